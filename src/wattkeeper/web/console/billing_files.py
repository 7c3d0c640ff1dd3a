"""The tables of money as files: bills with their lines and readings, accounts with their movements."""

from collections.abc import Iterable
from typing import Annotated, Final

from fastapi import APIRouter, Path, Request

from wattkeeper.billing.values import (
    AccountFilter,
    BillFilter,
    BillView,
    Line,
    PaymentFilter,
    PaymentRow,
    ReadingRow,
    StatementRow,
)
from wattkeeper.security.rights import Right
from wattkeeper.web.access import needs
from wattkeeper.web.console.accounts import Asked as AccountsAsked
from wattkeeper.web.console.bills import UNITS
from wattkeeper.web.console.bills import Asked as BillsAsked
from wattkeeper.web.console.customers import Asked as CustomersAsked
from wattkeeper.web.console.payments import Asked as PaymentsAsked
from wattkeeper.web.exports import PAGE, Column, Export, Table, exported, paged
from wattkeeper.web.language import Language
from wattkeeper.web.pages import language_of, services_of
from wattkeeper.web.queries import money, within
from wattkeeper.web.queries.accounts import MOVEMENTS, account_view
from wattkeeper.web.queries.money import AccountLine, BillLine, CustomerLine
from wattkeeper.web.queries.states import N_

router = APIRouter(include_in_schema=False)
Id = Annotated[int, Path(ge=1, le=2**53)]

BILLS: Final[Table[BillLine]] = Table(
    "bills",
    N_("Bills"),
    (
        Column(N_("Number"), lambda line: line.number),
        Column(N_("Account number"), lambda line: line.account_code),
        Column(N_("Account"), lambda line: line.account_name),
        Column(N_("Period"), lambda line: line.period_text),
        Column(N_("State"), lambda line: line.state_text),
        Column(N_("Energy"), lambda line: line.energy_kwh, "number", unit="kWh", decimals=2),
        Column(N_("Amount"), lambda line: line.total, "money"),
    ),
)


@exported(router, "/bills", needs(Right.BILLS_VIEW))
def bills_export(request: Request, asked: BillsAsked) -> Export[BillLine]:
    """Every bill of the filter."""
    say = language_of(request)
    return bills_wanted(request, asked.wanted(say))


def bills_wanted(request: Request, wanted: BillFilter) -> Export[BillLine]:
    """The bills of a filter."""
    services, say = services_of(request), language_of(request)

    def page(after: str | None) -> tuple[list[BillLine], str | None]:
        found = money.find_bills(services, wanted, say, after=after, limit=PAGE)
        return found.lines, found.after

    return Export(BILLS, paged(page), say)


@exported(router, "/bills/{bill_id}/lines", needs(Right.BILLS_VIEW))
def bill_lines_export(request: Request, bill_id: Id) -> Export[Line]:
    """How the amount of a bill comes about."""
    bill = within.bill(services_of(request), bill_id)
    say = language_of(request, bill.party.zone)
    return Export(
        Table(f"bill-{bill.number}-lines", N_("Bill lines"), _line_columns(bill, say)), bill.lines, say
    )


def _line_columns(bill: BillView, say: Language) -> tuple[Column[Line], ...]:
    return (
        Column(N_("Line"), lambda line: say.choose(line.label_zh, line.label_en)),
        Column(N_("TOU period"), lambda line: say.choose(line.tou_zh, line.tou_en)),
        Column(N_("Tier"), lambda line: line.tier, "number"),
        Column(N_("From"), lambda line: line.period.start, "moment"),
        Column(N_("To"), lambda line: line.period.end, "moment"),
        Column(N_("Quantity"), lambda line: line.quantity, "number", decimals=4),
        Column(N_("Unit"), lambda line: say.text(UNITS.get(line.unit, line.unit))),
        Column(N_("Price"), lambda line: line.price, "number", unit=bill.total.currency, decimals=8),
        Column(N_("Amount"), lambda line: line.amount, "number", unit=bill.total.currency, decimals=2),
        Column(N_("Rule"), lambda line: say.choose(line.rule_zh, line.rule_en)),
    )


@exported(router, "/bills/{bill_id}/readings", needs(Right.BILLS_VIEW))
def bill_readings_export(request: Request, bill_id: Id) -> Export[ReadingRow]:
    """The readings a bill rests on."""
    bill = within.bill(services_of(request), bill_id)
    say = language_of(request, bill.party.zone)
    columns: tuple[Column[ReadingRow], ...] = (
        Column(N_("Metering point"), lambda row: row.point_code),
        Column(N_("Name"), lambda row: row.point_name),
        Column(N_("Meter"), lambda row: row.meter_address),
        Column(N_("Register"), lambda row: say.quantity(row.quantity)),
        Column(N_("From"), lambda row: row.period.start, "moment"),
        Column(N_("To"), lambda row: row.period.end, "moment"),
        Column(N_("First register"), lambda row: row.start, "number", decimals=2),
        Column(N_("Last register"), lambda row: row.end, "number", decimals=2),
        Column(N_("Ratio"), lambda row: row.ratio, "number"),
        Column(N_("Energy"), lambda row: row.energy_kwh, "number", unit="kWh", decimals=2),
    )
    return Export(
        Table(f"bill-{bill.number}-readings", N_("Readings it rests on"), columns), bill.readings, say
    )


ACCOUNTS: Final[Table[AccountLine]] = Table(
    "accounts",
    N_("Accounts"),
    (
        Column(N_("Account number"), lambda line: line.code),
        Column(N_("Name"), lambda line: line.name),
        Column(N_("Kind"), lambda line: line.kind_text),
        Column(N_("Tariff"), lambda line: line.tariff),
        Column(N_("Owes"), lambda line: line.balance, "money"),
    ),
)


@exported(router, "/accounts", needs(Right.CUSTOMERS_VIEW))
def accounts_export(request: Request, asked: AccountsAsked) -> Export[AccountLine]:
    """Every account of the filter."""
    return accounts_wanted(request, asked.wanted(language_of(request)))


def accounts_wanted(request: Request, wanted: AccountFilter) -> Export[AccountLine]:
    """The accounts of a filter."""
    services, say = services_of(request), language_of(request)

    def page(after: str | None) -> tuple[Iterable[AccountLine], str | None]:
        found = money.find_accounts(services, wanted, say, after=after, limit=PAGE)
        return found.lines, found.after

    return Export(ACCOUNTS, paged(page), say)


@exported(router, "/accounts/{account_id}/bills", needs(Right.CUSTOMERS_VIEW))
def account_bills_export(request: Request, account_id: Id) -> Export[BillLine]:
    """Every bill of an account."""
    account_view(services_of(request), account_id)
    return bills_wanted(request, BillFilter(account_id=account_id))


CUSTOMERS: Final[Table[CustomerLine]] = Table(
    "customers",
    N_("Customers"),
    (
        Column(N_("Customer number"), lambda line: line.code),
        Column(N_("Name"), lambda line: line.name),
        Column(N_("Phone"), lambda line: line.phone),
        Column(N_("E-mail"), lambda line: line.email),
        Column(N_("Accounts"), lambda line: line.accounts, "number"),
        Column(N_("Owes"), lambda line: line.owed[0] if len(line.owed) == 1 else None, "money"),
    ),
)


@exported(router, "/customers", needs(Right.CUSTOMERS_VIEW))
def customers_export(request: Request, asked: CustomersAsked) -> Export[CustomerLine]:
    """Every customer of the filter; what is owed in several currencies stays with the accounts."""
    services = services_of(request)

    def page(after: str | None) -> tuple[list[CustomerLine], str | None]:
        lines, _, following = money.find_customers(
            services,
            search=asked.search,
            sort=asked.sort,
            descending=asked.descending,
            after=after,
            limit=PAGE,
        )
        return lines, following

    return Export(CUSTOMERS, paged(page), language_of(request))


@exported(router, "/payments", needs(Right.BILLS_VIEW))
def payments_export(request: Request, asked: PaymentsAsked) -> Export[PaymentRow]:
    """Every payment of the filter."""
    return payments_wanted(request, asked.wanted(language_of(request)))


def payments_wanted(request: Request, wanted: PaymentFilter) -> Export[PaymentRow]:
    """The payments of a filter."""
    services, say = services_of(request), language_of(request)
    methods = money.method_words(say)
    columns: tuple[Column[PaymentRow], ...] = (
        Column(N_("Receipt"), lambda row: row.receipt),
        Column(N_("Account number"), lambda row: row.account_code),
        Column(N_("Account"), lambda row: row.account_name),
        Column(N_("Received"), lambda row: row.received_at, "moment"),
        Column(N_("Method"), lambda row: methods[row.method]),
        Column(N_("Cashier"), lambda row: row.cashier),
        Column(N_("Amount"), lambda row: row.amount, "money"),
    )

    def page(after: str | None) -> tuple[Iterable[PaymentRow], str | None]:
        found, following = money.find_payments(services, wanted, after=after, limit=PAGE)
        return found.rows, following

    return Export(Table("payments", N_("Payments"), columns), paged(page), say)


@exported(router, "/accounts/{account_id}/statement", needs(Right.CUSTOMERS_VIEW))
def statement_export(request: Request, account_id: Id) -> Export[StatementRow]:
    """Every movement of an account, oldest first, with the balance after it."""
    services, say = services_of(request), language_of(request)
    account_view(services, account_id)
    columns: tuple[Column[StatementRow], ...] = (
        Column(N_("Date"), lambda row: row.at, "moment"),
        Column(N_("Kind"), lambda row: say.text(MOVEMENTS.get(row.kind, row.kind))),
        Column(N_("Reference"), lambda row: row.reference),
        Column(N_("Amount"), lambda row: row.amount, "money"),
        Column(N_("Balance"), lambda row: row.balance, "money"),
    )
    table = Table("statement", N_("Statement"), columns)
    return Export(table, services.billing.statement(account_id), say)
