"""Customers: the list, one customer with their accounts, and how to reach them."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.responses import Response

from wattkeeper.billing.values import AccountFilter, BillFilter, PaymentFilter
from wattkeeper.kernel.errors import WattkeeperError
from wattkeeper.registry import customers
from wattkeeper.registry.customer_search import SORT_KEYS
from wattkeeper.registry.customers import CustomerWanted
from wattkeeper.registry.errors import RegistryError
from wattkeeper.security.rights import Right
from wattkeeper.web.access import needs, principal_of
from wattkeeper.web.console.forms import Id, Line
from wattkeeper.web.console.words import Notice, pager
from wattkeeper.web.pages import language_of, render, services_of
from wattkeeper.web.problems import status_of
from wattkeeper.web.queries import money

router = APIRouter(include_in_schema=False)
VIEWING = [needs(Right.CUSTOMERS_VIEW)]
EDITING = [needs(Right.CUSTOMERS_EDIT)]
SHOWN = 20
"""Bills and payments on a customer's page; the rest is a link away."""


@dataclass(frozen=True, slots=True)
class CustomersAsked:
    """What an address asks of the list of customers, as its form shows it."""

    search: str
    sort: str
    descending: bool

    @property
    def narrowed(self) -> bool:
        """Whether anything is left out."""
        return bool(self.search)


def asked_customers(
    *,
    search: Annotated[str, Query(max_length=100)] = "",
    sort: Annotated[str, Query(max_length=10)] = "code",
    descending: Annotated[bool, Query()] = False,
) -> CustomersAsked:
    """The filter an address carries."""
    return CustomersAsked(search.strip(), sort if sort in SORT_KEYS else "code", descending)


Asked = Annotated[CustomersAsked, Depends(asked_customers)]


@router.get("/customers", dependencies=VIEWING, response_class=HTMLResponse)
def customers_page(
    request: Request, asked: Asked, after: Annotated[str | None, Query(max_length=500)] = None
) -> HTMLResponse:
    """The list of customers."""
    services, say = services_of(request), language_of(request)
    lines, total, following = money.find_customers(
        services, search=asked.search, sort=asked.sort, descending=asked.descending, after=after
    )
    return render(
        request,
        "customers.html",
        block="results",
        page=pager(say, lines, after=following, asked=after, total=total),
        filters=asked,
    )


@router.get("/customers/new", dependencies=EDITING, response_class=HTMLResponse)
def new_customer_page(request: Request) -> HTMLResponse:
    """The form of a new customer."""
    return _form(request, CustomerWanted(code="", name=""))


@router.post("/customers", dependencies=EDITING)
def add_customer(
    request: Request, *, code: Line, name: Line, phone: Line = "", email: Line = "", address: Line = ""
) -> Response:
    """Enter a customer."""
    services = services_of(request)
    wanted = CustomerWanted(code=code, name=name, phone=phone, email=email, address=address)
    try:
        with services.database.write() as session:
            customer = customers.add_customer(session, wanted, now=services.clock())
    except RegistryError as error:
        return _form(request, wanted, error=error)
    return RedirectResponse(f"/customers/{customer.id}?done=added", status_code=303)


@router.get("/customers/{customer_id}", dependencies=VIEWING, response_class=HTMLResponse)
def customer_page(request: Request, customer_id: Id) -> HTMLResponse:
    """A customer: how to reach them, their accounts, and what they owe together."""
    services, say = services_of(request), language_of(request)
    with services.database.read() as session:
        customer = services.registry(session).get_customer(customer_id)
    bills = money.find_bills(services, BillFilter(customer_id=customer_id), say, limit=SHOWN)
    payments, _ = money.find_payments(services, PaymentFilter(customer_id=customer_id), limit=SHOWN)
    owed = services.billing.books.owed_by_customers([customer_id], scope=services.scope)
    done = {"added": say.text("The customer is entered."), "saved": say.text("The changes are saved.")}
    text = done.get(request.query_params.get("done", ""))
    return render(
        request,
        "customer.html",
        customer=customer,
        notice=Notice("good", text) if text else None,
        owed=owed[customer_id],
        accounts=money.find_accounts(services, AccountFilter(customer_id=customer_id), say, limit=500).lines,
        bills=bills.lines,
        payments=payments.rows,
        users=_portal_users(request, customer_id),
    )


@router.get("/customers/{customer_id}/edit", dependencies=EDITING, response_class=HTMLResponse)
def edit_customer_page(request: Request, customer_id: Id) -> HTMLResponse:
    """The form of a customer."""
    services = services_of(request)
    with services.database.read() as session:
        found = services.registry(session).get_customer(customer_id)
    wanted = CustomerWanted(
        code=found.code, name=found.name, phone=found.phone, email=found.email, address=found.address
    )
    return _form(request, wanted, customer_id=customer_id)


@router.post("/customers/{customer_id}/edit", dependencies=EDITING)
def change_customer(
    request: Request,
    customer_id: Id,
    *,
    code: Line,
    name: Line,
    phone: Line = "",
    email: Line = "",
    address: Line = "",
) -> Response:
    """Change a customer."""
    services = services_of(request)
    wanted = CustomerWanted(code=code, name=name, phone=phone, email=email, address=address)
    try:
        with services.database.write() as session:
            services.registry(session).get_customer(customer_id)
            customers.change_customer(session, customer_id, wanted, now=services.clock())
    except RegistryError as error:
        return _form(request, wanted, customer_id=customer_id, error=error)
    return RedirectResponse(f"/customers/{customer_id}?done=saved", status_code=303)


@dataclass(frozen=True, slots=True)
class PortalUser:
    """Who signs in for a customer."""

    id: int
    login: str
    name: str
    disabled: bool


def _portal_users(request: Request, customer_id: int) -> list[PortalUser] | None:
    """Who signs in for a customer; None for who may not manage users."""
    if not principal_of(request).may(Right.USERS_MANAGE):
        return None
    found = services_of(request).security.users.find(customer_id=customer_id, limit=100)
    return [PortalUser(user.id, user.login, user.name, user.disabled_at is not None) for user in found.users]


def _form(
    request: Request,
    wanted: CustomerWanted,
    *,
    customer_id: int | None = None,
    error: WattkeeperError | None = None,
) -> HTMLResponse:
    return render(
        request,
        "customer_form.html",
        http_status=status_of(error) if error else 200,
        notice=Notice.of(error, language_of(request)) if error else None,
        wanted=wanted,
        customer_id=customer_id,
    )
