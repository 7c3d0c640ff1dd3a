"""The tables of money as files: bills with their lines and readings, accounts with their movements."""

from typing import Annotated, Final

from fastapi import APIRouter, Path, Query, Request

from wattkeeper.billing.values import BillState, BillView, Line, ReadingRow, StatementRow
from wattkeeper.security.rights import Right
from wattkeeper.web.access import needs
from wattkeeper.web.api.billing import cursor
from wattkeeper.web.exports import PAGE, Column, Export, Table, exported, paged
from wattkeeper.web.language import Language
from wattkeeper.web.pages import language_of, services_of
from wattkeeper.web.queries import money, within
from wattkeeper.web.queries.money import AccountLine, BillLine
from wattkeeper.web.queries.states import N_

router = APIRouter(include_in_schema=False)
Id = Annotated[int, Path(ge=1, le=2**53)]
UNITS: Final = {"kWh": "kWh", "month": N_("months"), "months": N_("months")}
MOVEMENTS: Final = {"bill": N_("Bill"), "cancellation": N_("Cancellation"), "payment": N_("Payment")}

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
def bills_export(request: Request, state: str = "") -> Export[BillLine]:
    """Every bill of the filter."""
    services, say = services_of(request), language_of(request)
    chosen = BillState(state) if state in set(BillState) else None

    def page(after: str | None) -> tuple[list[BillLine], str | None]:
        found = services.billing.bills(state=chosen, scope=services.scope, limit=PAGE, after=cursor(after))
        following = None if found.next_after is None else str(found.next_after)
        return [money.bill_line(bill, say, services.clock()) for bill in found.items], following

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
def accounts_export(
    request: Request,
    search: Annotated[str, Query(max_length=100)] = "",
    unbilled: Annotated[str, Query(max_length=7)] = "",
) -> Export[AccountLine]:
    """Every account of the filter."""
    services, say = services_of(request), language_of(request)
    month = money.month_of(unbilled, say.zone) if unbilled else None

    def page(after: str | None) -> tuple[list[AccountLine], str | None]:
        found = money.find_accounts(services, search=search, unbilled=month, after=after, limit=PAGE)
        return money.account_lines(services, found.accounts, say), found.after

    return Export(ACCOUNTS, paged(page), say)


@exported(router, "/accounts/{account_id}/bills", needs(Right.CUSTOMERS_VIEW))
def account_bills_export(request: Request, account_id: Id) -> Export[BillLine]:
    """Every bill of an account."""
    services, say = services_of(request), language_of(request)
    _check(request, account_id)

    def page(after: str | None) -> tuple[list[BillLine], str | None]:
        found = services.billing.bills(account_id=account_id, limit=PAGE, after=cursor(after))
        following = None if found.next_after is None else str(found.next_after)
        return [money.bill_line(bill, say, services.clock()) for bill in found.items], following

    return Export(BILLS, paged(page), say)


@exported(router, "/accounts/{account_id}/statement", needs(Right.CUSTOMERS_VIEW))
def statement_export(request: Request, account_id: Id) -> Export[StatementRow]:
    """Every movement of an account, oldest first, with the balance after it."""
    services, say = services_of(request), language_of(request)
    _check(request, account_id)
    columns: tuple[Column[StatementRow], ...] = (
        Column(N_("Date"), lambda row: row.at, "moment"),
        Column(N_("Kind"), lambda row: say.text(MOVEMENTS.get(row.kind, row.kind))),
        Column(N_("Reference"), lambda row: row.reference),
        Column(N_("Amount"), lambda row: row.amount, "money"),
        Column(N_("Balance"), lambda row: row.balance, "money"),
    )
    table = Table("statement", N_("Statement"), columns)
    return Export(table, services.billing.statement(account_id), say)


def _check(request: Request, account_id: int) -> None:
    """NotFound for an account that whoever asks may not see."""
    services = services_of(request)
    with services.database.read() as session:
        services.registry(session).get_account(account_id)
