"""The customer's tables as files: usage, bills and movements."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Final

from fastapi import APIRouter, Request

from wattkeeper.billing.values import StatementRow
from wattkeeper.kernel.money import Money
from wattkeeper.registry.errors import NotFound
from wattkeeper.security.rights import Right
from wattkeeper.web.access import needs
from wattkeeper.web.exports import PAGE, Column, Export, Table, exported, paged
from wattkeeper.web.portal.own import Chosen, chosen, own_of, speech
from wattkeeper.web.portal.usage import EARLIEST, bin_note
from wattkeeper.web.portal.words import MOVEMENTS
from wattkeeper.web.queries.money import BillLine, bill_line
from wattkeeper.web.queries.portal import OwnAccount, OwnAccounts
from wattkeeper.web.queries.portal_usage import Span, usage_of
from wattkeeper.web.queries.states import N_

router = APIRouter(include_in_schema=False, dependencies=[needs(Right.PORTAL)])

BILLS: Final[Table[BillLine]] = Table(
    "bills",
    N_("Bills"),
    (
        Column(N_("Number"), lambda line: line.number),
        Column(N_("Period"), lambda line: line.period_text),
        Column(N_("State"), lambda line: line.state_text),
        Column(N_("Energy"), lambda line: line.energy_kwh, "number", unit="kWh", decimals=2),
        Column(N_("Amount"), lambda line: line.total, "money"),
    ),
)


@dataclass(frozen=True, slots=True)
class UsageRow:
    """A bin of a usage view."""

    start: datetime
    end: datetime
    kwh: Decimal | None
    cost: Money | None
    note: str


@exported(router, "/portal/usage")
def usage_export(
    request: Request, account: Chosen = None, span: Span = Span.MONTH, at: date | None = None
) -> Export[UsageRow]:
    """The bins of the view; parts of the future are left out."""
    own, mine = _mine(request, account)
    say = speech(request, mine)
    today = own.now.astimezone(mine.zone).date()
    usage = usage_of(own, mine, span=span, day=min(max(at or today, EARLIEST), today))
    rows = [
        UsageRow(
            start=one.period.start,
            end=one.period.closed_end,
            kwh=one.kwh,
            cost=None if one.cost is None else Money(one.cost, usage.currency),
            note=bin_note(usage, one, say),
        )
        for one in usage.bins
        if one.period.start < own.now
    ]
    columns: tuple[Column[UsageRow], ...] = (
        Column(N_("From"), lambda row: row.start, "moment"),
        Column(N_("To"), lambda row: row.end, "moment"),
        Column(N_("Energy"), lambda row: row.kwh, "number", unit="kWh", decimals=2),
        Column(N_("Cost"), lambda row: row.cost, "money"),
        Column(N_("Note"), lambda row: row.note),
    )
    return Export(Table("usage", N_("Usage"), columns), rows, say)


@exported(router, "/portal/bills")
def bills_export(request: Request, account: Chosen = None) -> Export[BillLine]:
    """Every bill of the account."""
    own, mine = _mine(request, account)
    say = speech(request, mine)

    def page(after: str | None) -> tuple[list[BillLine], str | None]:
        found = own.bills(mine.id, after=int(after) if after else None, limit=PAGE)
        following = None if found.after is None else str(found.after)
        return [bill_line(bill, say, own.now) for bill in found.bills], following

    return Export(BILLS, paged(page), say)


@exported(router, "/portal/payments")
def statement_export(request: Request, account: Chosen = None) -> Export[StatementRow]:
    """Every movement of the account, newest first."""
    own, mine = _mine(request, account)
    say = speech(request, mine)
    columns: tuple[Column[StatementRow], ...] = (
        Column(N_("Date"), lambda row: row.at, "moment"),
        Column(N_("Kind"), lambda row: say.text(MOVEMENTS.get(row.kind, row.kind))),
        Column(N_("Reference"), lambda row: row.reference),
        Column(N_("Amount"), lambda row: row.amount, "money"),
        Column(N_("Balance"), lambda row: row.balance, "money"),
    )
    return Export(Table("statement", N_("Statement"), columns), own.statement(mine.id), say)


def _mine(request: Request, account_id: int | None) -> tuple[OwnAccounts, OwnAccount]:
    own = own_of(request)
    mine = chosen(own, account_id)
    if mine is None:
        raise NotFound("account", "-")
    return own, mine
