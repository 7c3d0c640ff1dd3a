"""The tables of an account's and a customer's page as files."""

from collections.abc import Iterable
from typing import Final

from fastapi import APIRouter, Request

from wattkeeper.billing.values import AccountFilter, BillFilter, PaymentFilter, PaymentRow
from wattkeeper.security.rights import Right
from wattkeeper.web.access import needs
from wattkeeper.web.console.billing_files import accounts_wanted, bills_wanted, payments_wanted
from wattkeeper.web.console.forms import Id
from wattkeeper.web.console.users import EXPORT as USERS
from wattkeeper.web.exports import Column, Export, Table, exported, paged
from wattkeeper.web.pages import language_of, services_of
from wattkeeper.web.queries import accounts, people
from wattkeeper.web.queries.accounts import PointView, TariffView
from wattkeeper.web.queries.money import AccountLine, BillLine
from wattkeeper.web.queries.people import UserLine
from wattkeeper.web.queries.states import N_

router = APIRouter(include_in_schema=False)
POINTS: Final[Table[PointView]] = Table(
    "account-points",
    N_("Metering points"),
    (
        Column(N_("Code"), lambda view: view.code),
        Column(N_("Metering point"), lambda view: view.name),
        Column(N_("Meter"), lambda view: view.meter_address),
        Column(N_("State"), lambda view: view.state_text if view.meter_id else None),
        Column(N_("Import register"), lambda view: view.energy_kwh, "number", unit="kWh", decimals=2),
        Column(N_("Last reading"), lambda view: view.read_at, "moment"),
        Column(N_("From"), lambda view: view.start, "moment"),
        Column(N_("To"), lambda view: view.end, "moment"),
    ),
)
TARIFFS: Final[Table[TariffView]] = Table(
    "account-tariffs",
    N_("Tariff history"),
    (
        Column(N_("Code"), lambda view: view.code),
        Column(N_("Tariff"), lambda view: view.name),
        Column(N_("From"), lambda view: view.start, "moment"),
        Column(N_("To"), lambda view: view.end, "moment"),
    ),
)


@exported(router, "/accounts/{account_id}/points", needs(Right.CUSTOMERS_VIEW))
def points_export(request: Request, account_id: Id) -> Export[PointView]:
    """The points an account pays or paid for."""
    services, say = services_of(request), language_of(request)
    accounts.account_view(services, account_id)
    return Export(POINTS, accounts.account_points(services, account_id, say), say)


@exported(router, "/accounts/{account_id}/tariffs", needs(Right.CUSTOMERS_VIEW))
def tariffs_export(request: Request, account_id: Id) -> Export[TariffView]:
    """The tariffs of an account, newest first."""
    services, say = services_of(request), language_of(request)
    accounts.account_view(services, account_id)
    return Export(TARIFFS, accounts.account_tariffs(services, account_id, say), say)


@exported(router, "/accounts/{account_id}/payments", needs(Right.CUSTOMERS_VIEW))
def account_payments_export(request: Request, account_id: Id) -> Export[PaymentRow]:
    """Every payment of an account."""
    accounts.account_view(services_of(request), account_id)
    return payments_wanted(request, PaymentFilter(account_id=account_id))


def _check(request: Request, customer_id: int) -> None:
    """NotFound for a customer whom whoever asks may not see."""
    services = services_of(request)
    with services.database.read() as session:
        services.registry(session).get_customer(customer_id)


@exported(router, "/customers/{customer_id}/accounts", needs(Right.CUSTOMERS_VIEW))
def customer_accounts_export(request: Request, customer_id: Id) -> Export[AccountLine]:
    """Every account of a customer."""
    _check(request, customer_id)
    return accounts_wanted(request, AccountFilter(customer_id=customer_id))


@exported(router, "/customers/{customer_id}/bills", needs(Right.BILLS_VIEW))
def customer_bills_export(request: Request, customer_id: Id) -> Export[BillLine]:
    """Every bill of a customer."""
    _check(request, customer_id)
    return bills_wanted(request, BillFilter(customer_id=customer_id))


@exported(router, "/customers/{customer_id}/payments", needs(Right.BILLS_VIEW))
def customer_payments_export(request: Request, customer_id: Id) -> Export[PaymentRow]:
    """Every payment of a customer."""
    _check(request, customer_id)
    return payments_wanted(request, PaymentFilter(customer_id=customer_id))


@exported(router, "/customers/{customer_id}/users", needs(Right.USERS_MANAGE))
def customer_users_export(request: Request, customer_id: Id) -> Export[UserLine]:
    """Who signs in to the portal for a customer."""
    services, say = services_of(request), language_of(request)
    _check(request, customer_id)

    def page(after: str | None) -> tuple[Iterable[UserLine], str | None]:
        found = services.security.users.find(customer_id=customer_id, after=after, limit=100)
        return people.user_lines(services, found.users, say), found.after

    return Export(USERS, paged(page), say)
