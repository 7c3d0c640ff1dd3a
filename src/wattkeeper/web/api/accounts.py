"""Accounts: listed, read, changed, closed, and given metering points."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from pydantic import AwareDatetime, BaseModel, Field

from wattkeeper.billing.values import AccountFilter, AccountRow, StatementRow
from wattkeeper.registry import customers
from wattkeeper.registry.customers import AccountWanted
from wattkeeper.registry.models import AccountKind
from wattkeeper.security.rights import Right
from wattkeeper.web.access import needs
from wattkeeper.web.api import schemas
from wattkeeper.web.api.billing import After, Id, Limit, Wanted, money_item
from wattkeeper.web.pages import language_of, services_of, site_zone
from wattkeeper.web.problems import BadRequest, documented
from wattkeeper.web.queries import accounts
from wattkeeper.web.queries.money import month_of

router = APIRouter(tags=["accounts"])
EDITING = [needs(Right.CUSTOMERS_EDIT)]
VIEWING = [needs(Right.CUSTOMERS_VIEW)]
EARLIEST = 1970
LATEST = 9998


class AccountChange(BaseModel):
    """What an account is to be."""

    code: str = Field(min_length=1, max_length=64, examples=["330100001234"])
    name: str = Field(min_length=1, max_length=200)
    kind: AccountKind = AccountKind.RESIDENTIAL
    address: str | None = Field(default=None, max_length=200)

    def wanted(self) -> AccountWanted:
        """As the registry knows it."""
        return AccountWanted(code=self.code, name=self.name, kind=self.kind, address=self.address)


class AccountOpening(AccountChange):
    """A new account, and from when on it is open."""

    opened_at: AwareDatetime = Field(examples=["2026-11-01T00:00:00+08:00"])


class Closing(BaseModel):
    """From when on an account is closed."""

    at: AwareDatetime = Field(examples=["2026-11-30T00:00:00+08:00"])


class PointWanted(BaseModel):
    """A metering point that an account is to pay for, from an instant on."""

    point: str = Field(min_length=1, max_length=64, description="Code of the metering point.")
    at: AwareDatetime = Field(examples=["2026-11-01T00:00:00+08:00"])


class PointItem(schemas.Shape):
    """A metering point that an account pays or paid for, and the meter there now."""

    id: int
    code: str
    name: str
    start: schemas.InstantText
    end: schemas.InstantText | None
    meter_id: int | None
    meter_address: str | None


class AgeingItem(BaseModel):
    """What is owed by how long it has been due; a bill without a day to pay by is due at once."""

    not_due: schemas.MoneyItem
    days_30: schemas.MoneyItem = Field(description="Due for up to 30 days.")
    days_60: schemas.MoneyItem = Field(description="Due for 31 to 60 days.")
    older: schemas.MoneyItem
    credit: schemas.MoneyItem = Field(description="What was paid beyond all bills.")


class AccountDetail(schemas.Shape):
    """An account, what it owes and what it pays for."""

    id: int
    code: str
    name: str
    kind: AccountKind
    address: str | None
    customer_id: int
    customer_name: str
    opened_at: schemas.InstantText
    closed_at: schemas.InstantText | None
    balance: schemas.MoneyItem
    ageing: AgeingItem
    points: list[PointItem]


class MovementItem(BaseModel):
    """A movement of money, and the balance after it."""

    at: schemas.InstantText
    kind: str = Field(description="bill, cancellation or payment.")
    reference: str
    amount: schemas.MoneyItem
    balance: schemas.MoneyItem


@router.get("/accounts", dependencies=VIEWING, responses=documented(400, 422), summary="List accounts")
def list_accounts(
    request: Request,
    *,
    search: Annotated[str, Query(max_length=100)] = "",
    customer: Wanted = None,
    kind: AccountKind | None = None,
    owing: bool = False,
    without_tariff: bool = False,
    unbilled: Annotated[
        str | None,
        Query(pattern=r"^\d{4}-\d{2}$", description="A month whose bill they lack.", examples=["2026-10"]),
    ] = None,
    sort: Literal["code", "name", "balance"] = "code",
    descending: bool = False,
    limit: Limit = 50,
    after: After = None,
) -> schemas.Page[schemas.AccountItem]:
    """Accounts with what each owes now."""
    services = services_of(request)
    wanted = AccountFilter(
        search=search.strip(),
        kind=kind,
        owing=owing,
        without_tariff=without_tariff,
        unbilled=month_of(unbilled, site_zone(request)) if unbilled else None,
        customer_id=customer,
        sort=sort,
        descending=descending,
    )
    page = services.billing.books.accounts(
        wanted, now=services.clock(), scope=services.scope, limit=limit, after=after
    )
    return schemas.Page(items=[_item(row) for row in page.rows], next=page.after, total=page.total)


@router.get(
    "/accounts/{account_id}", dependencies=VIEWING, responses=documented(404, 422), summary="One account"
)
def get_account(request: Request, account_id: Id) -> AccountDetail:
    """An account, what it owes by how long it has been due, and the points it pays for."""
    return account_detail(request, account_id)


@router.put(
    "/accounts/{account_id}",
    dependencies=EDITING,
    responses=documented(400, 404, 409, 422),
    summary="Change an account",
)
def put_account(request: Request, account_id: Id, change: AccountChange) -> AccountDetail:
    """Change its number, name, kind and address."""
    services = services_of(request)
    with services.database.write() as session:
        services.registry(session).get_account(account_id)
        customers.change_account(session, account_id, change.wanted(), now=services.clock())
    return account_detail(request, account_id)


@router.post(
    "/accounts/{account_id}/closing",
    dependencies=EDITING,
    responses=documented(400, 404, 409, 422),
    summary="Close an account",
)
def close_account(request: Request, account_id: Id, closing: Closing) -> AccountDetail:
    """From that instant on it pays for none of its points; what is billed is not changed (409)."""
    services = services_of(request)
    accounts.account_view(services, account_id)
    services.billing.accounts.close(account_id, at=storable(closing.at), now=services.clock())
    return account_detail(request, account_id)


@router.post(
    "/accounts/{account_id}/points",
    dependencies=EDITING,
    status_code=201,
    responses=documented(400, 404, 409, 422),
    summary="Let an account pay for a metering point",
)
def move_point(request: Request, account_id: Id, wanted: PointWanted) -> AccountDetail:
    """From that instant on; who paid for it until then pays no longer. What is billed is not changed (409)."""
    services = services_of(request)
    accounts.account_view(services, account_id)
    with services.database.read() as session:
        point_id = customers.point_of_code(services.registry(session), wanted.point)
    services.billing.accounts.move_point(
        point_id=point_id, account_id=account_id, at=storable(wanted.at), now=services.clock()
    )
    return account_detail(request, account_id)


@router.get(
    "/accounts/{account_id}/statement",
    dependencies=VIEWING,
    responses=documented(404, 422),
    summary="Statement of an account",
)
def get_statement(request: Request, account_id: Id) -> list[MovementItem]:
    """How money moved, oldest first, with the balance after each movement."""
    services = services_of(request)
    accounts.account_view(services, account_id)
    return [_movement(row) for row in services.billing.statement(account_id)]


def account_detail(request: Request, account_id: int) -> AccountDetail:
    """An account as the API tells it."""
    services = services_of(request)
    view = accounts.account_view(services, account_id)
    ageing = services.billing.books.ageing(account_id, now=services.clock())
    points = accounts.account_points(services, account_id, language_of(request))
    ages = ("not_due", "days_30", "days_60", "older", "credit")
    return AccountDetail(
        id=view.id,
        code=view.code,
        name=view.name,
        kind=view.kind,
        address=view.address,
        customer_id=view.customer_id,
        customer_name=view.customer_name,
        opened_at=view.opened_at,
        closed_at=view.closed_at,
        balance=money_item(services.billing.balance(account_id)),
        ageing=AgeingItem(**{age: money_item(getattr(ageing, age)) for age in ages}),
        points=[PointItem.model_validate(point) for point in points],
    )


def storable(at: datetime) -> datetime:
    """An instant that the calendar of any zone knows, or BadRequest."""
    if EARLIEST <= at.year <= LATEST:
        return at
    raise BadRequest(f"{at.isoformat()} lies outside of the calendar.", hint=f"Use a year after {EARLIEST}.")


def _item(row: AccountRow) -> schemas.AccountItem:
    return schemas.AccountItem(
        id=row.id,
        code=row.code,
        name=row.name,
        kind=row.kind,
        address=row.address,
        customer_id=row.customer_id,
        customer_name=row.customer_name,
        opened_at=row.opened_at,
        closed_at=row.closed_at,
        tariff=row.tariff_code,
        balance=money_item(row.balance),
    )


def _movement(row: StatementRow) -> MovementItem:
    return MovementItem(
        at=row.at,
        kind=row.kind,
        reference=row.reference,
        amount=money_item(row.amount),
        balance=money_item(row.balance),
    )
