"""Customers: listed, read, entered, changed, and given accounts."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field

from wattkeeper.registry import customers
from wattkeeper.registry.customers import CustomerWanted
from wattkeeper.security.rights import Right
from wattkeeper.web.access import needs
from wattkeeper.web.api import schemas
from wattkeeper.web.api.accounts import AccountDetail, AccountOpening, account_detail, storable
from wattkeeper.web.api.billing import After, Id, Limit, money_item
from wattkeeper.web.pages import services_of
from wattkeeper.web.problems import documented
from wattkeeper.web.queries.money import find_customers

router = APIRouter(prefix="/customers", tags=["customers"])
EDITING = [needs(Right.CUSTOMERS_EDIT)]
VIEWING = [needs(Right.CUSTOMERS_VIEW)]


class CustomerChange(BaseModel):
    """What a customer is to be."""

    code: str = Field(min_length=1, max_length=64, examples=["C001"])
    name: str = Field(min_length=1, max_length=200)
    phone: str | None = Field(default=None, max_length=200)
    email: str | None = Field(default=None, max_length=200)
    address: str | None = Field(default=None, max_length=200)

    def wanted(self) -> CustomerWanted:
        """As the registry knows it."""
        return CustomerWanted(**self.model_dump())


class CustomerItem(BaseModel):
    """A customer of a list, and what their accounts owe together, one amount per currency."""

    id: int
    code: str
    name: str
    phone: str | None
    email: str | None
    accounts: int
    owed: list[schemas.MoneyItem]


class CustomerDetail(schemas.Shape):
    """A customer and how to reach them; `/accounts?customer=` has their accounts."""

    id: int
    code: str
    name: str
    phone: str | None
    email: str | None
    address: str | None
    owed: list[schemas.MoneyItem]


@router.get("", dependencies=VIEWING, responses=documented(422), summary="List customers")
def list_customers(
    request: Request,
    *,
    search: Annotated[str, Query(max_length=100)] = "",
    sort: Literal["code", "name"] = "code",
    descending: bool = False,
    limit: Limit = 50,
    after: After = None,
) -> schemas.Page[CustomerItem]:
    """Customers; `search` is a part of a name, a number or a phone."""
    lines, total, following = find_customers(
        services_of(request),
        search=search.strip(),
        sort=sort,
        descending=descending,
        limit=limit,
        after=after,
    )
    items = [
        CustomerItem(
            id=line.id,
            code=line.code,
            name=line.name,
            phone=line.phone,
            email=line.email,
            accounts=line.accounts,
            owed=[money_item(amount) for amount in line.owed],
        )
        for line in lines
    ]
    return schemas.Page(items=items, next=following, total=total)


@router.post(
    "", dependencies=EDITING, status_code=201, responses=documented(409, 422), summary="Enter a customer"
)
def post_customer(request: Request, change: CustomerChange) -> CustomerDetail:
    """Enter a customer; a number is used once (409)."""
    services = services_of(request)
    with services.database.write() as session:
        added = customers.add_customer(session, change.wanted(), now=services.clock()).id
    return _detail(request, added)


@router.get("/{customer_id}", dependencies=VIEWING, responses=documented(404, 422), summary="One customer")
def get_customer(request: Request, customer_id: Id) -> CustomerDetail:
    """A customer and how to reach them."""
    return _detail(request, customer_id)


@router.put(
    "/{customer_id}",
    dependencies=EDITING,
    responses=documented(404, 409, 422),
    summary="Change a customer",
)
def put_customer(request: Request, customer_id: Id, change: CustomerChange) -> CustomerDetail:
    """Change a customer's number, name and how to reach them."""
    services = services_of(request)
    with services.database.write() as session:
        services.registry(session).get_customer(customer_id)
        customers.change_customer(session, customer_id, change.wanted(), now=services.clock())
    return _detail(request, customer_id)


@router.post(
    "/{customer_id}/accounts",
    dependencies=EDITING,
    status_code=201,
    responses=documented(400, 404, 409, 422),
    summary="Open an account",
)
def post_account(request: Request, customer_id: Id, opening: AccountOpening) -> AccountDetail:
    """Open an account of a customer; it pays for nothing until it is given metering points."""
    services = services_of(request)
    opened_at = storable(opening.opened_at)
    with services.database.write() as session:
        services.registry(session).get_customer(customer_id)
        opened = customers.open_account(
            session, customer_id, opening.wanted(), opened_at=opened_at, now=services.clock()
        ).id
    return account_detail(request, opened)


def _detail(request: Request, customer_id: int) -> CustomerDetail:
    services = services_of(request)
    with services.database.read() as session:
        found = services.registry(session).get_customer(customer_id)
    owed = services.billing.books.owed_by_customers([customer_id], scope=services.scope)
    return CustomerDetail(
        id=found.id,
        code=found.code,
        name=found.name,
        phone=found.phone,
        email=found.email,
        address=found.address,
        owed=[money_item(amount) for amount in owed[customer_id]],
    )
