"""Bills, accounts, customers and payments as pages show them."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

from wattkeeper.billing.values import (
    AccountFilter,
    AccountRow,
    BillFilter,
    BillSummary,
    PaymentFilter,
    PaymentPage,
)
from wattkeeper.kernel.money import Money
from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.registry import customer_search
from wattkeeper.registry.models import AccountKind
from wattkeeper.web.language import Language
from wattkeeper.web.problems import BadRequest
from wattkeeper.web.queries.states import N_, Level, bill_shown
from wattkeeper.web.services import Services

PAGE: Final = 50
MONTHS_OFFERED: Final = 12
LARGEST_ID: Final = 2**53
_MONTH: Final = re.compile(r"([0-9]{4})-([0-9]{2})")
KINDS: Final = {
    AccountKind.RESIDENTIAL: N_("residential"),
    AccountKind.COMMERCIAL: N_("commercial"),
    AccountKind.INDUSTRIAL: N_("industrial"),
}
METHODS: Final = {"cash": N_("cash"), "card": N_("card")}


@dataclass(frozen=True, slots=True)
class BillLine:
    """One line of a list of bills."""

    id: int
    number: str
    account_id: int
    account_code: str
    account_name: str
    period_text: str
    level: Level
    state_text: str
    estimated: bool
    energy_kwh: Decimal
    total: Money


def method_words(say: Language) -> dict[str, str]:
    """The ways money comes in, in words."""
    return {code: say.text(text) for code, text in METHODS.items()}


def period_text(period: TimeRange, say: Language) -> str:
    """A civil month by its name, anything else by its first and last day."""
    first = period.start.astimezone(say.zone)
    assert period.end is not None
    if period == TimeRange.month(first.year, first.month, say.zone):
        return say.month(first.date())
    return f"{say.date(period.start)} – {say.date(period.end - timedelta(microseconds=1))}"


def bill_line(bill: BillSummary, say: Language, now: datetime) -> BillLine:
    """A bill's line."""
    shown = bill_shown(bill.state, due_at=bill.due_at, now=now, say=say)
    return BillLine(
        id=bill.id,
        number=bill.number,
        account_id=bill.account_id,
        account_code=bill.account_code,
        account_name=bill.account_name,
        period_text=period_text(bill.period, say),
        level=shown.level,
        state_text=shown.text,
        estimated=bill.estimated,
        energy_kwh=bill.energy_kwh,
        total=bill.total,
    )


@dataclass(frozen=True, slots=True)
class AccountLine:
    """One line of the list of accounts."""

    id: int
    code: str
    name: str
    customer_id: int
    customer_name: str
    kind_text: str
    tariff: str | None
    balance: Money
    closed: bool


@dataclass(frozen=True, slots=True)
class FoundAccounts:
    """A page of accounts; `after` asks for the next one."""

    lines: tuple[AccountLine, ...]
    total: int
    after: str | None


def find_accounts(
    services: Services, wanted: AccountFilter, say: Language, *, after: str | None = None, limit: int = PAGE
) -> FoundAccounts:
    """Accounts as the list shows them."""
    names = {tariff.code: say.choose(tariff.name_zh, tariff.name_en) for tariff in services.billing.tariffs()}
    page = services.billing.books.accounts(
        wanted, now=services.clock(), scope=services.scope, limit=limit, after=after
    )
    return FoundAccounts(tuple(_account_line(row, names, say) for row in page.rows), page.total, page.after)


def _account_line(row: AccountRow, names: Mapping[str, str], say: Language) -> AccountLine:
    return AccountLine(
        id=row.id,
        code=row.code,
        name=row.name,
        customer_id=row.customer_id,
        customer_name=row.customer_name,
        kind_text=say.text(KINDS[row.kind]),
        tariff=names.get(row.tariff_code, row.tariff_code) if row.tariff_code else None,
        balance=row.balance,
        closed=row.closed_at is not None,
    )


@dataclass(frozen=True, slots=True)
class FoundBills:
    """A page of bills; `after` asks for the next one."""

    lines: list[BillLine]
    after: str | None


def find_bills(
    services: Services, wanted: BillFilter, say: Language, *, after: str | None = None, limit: int = PAGE
) -> FoundBills:
    """Bills as the list shows them."""
    page = services.billing.books.bills(wanted, scope=services.scope, limit=limit, after=cursor(after))
    now = services.clock()
    following = None if page.next_after is None else str(page.next_after)
    return FoundBills([bill_line(bill, say, now) for bill in page.items], following)


def find_payments(
    services: Services, wanted: PaymentFilter, *, after: str | None = None, limit: int = PAGE
) -> tuple[PaymentPage, str | None]:
    """A page of payments, and the cursor of the next one."""
    page = services.billing.books.payments(wanted, scope=services.scope, limit=limit, after=cursor(after))
    return page, None if page.next_after is None else str(page.next_after)


@dataclass(frozen=True, slots=True)
class CustomerLine:
    """One line of the list of customers."""

    id: int
    code: str
    name: str
    phone: str | None
    email: str | None
    accounts: int
    owed: tuple[Money, ...]


def find_customers(
    services: Services,
    *,
    search: str = "",
    sort: str = "code",
    descending: bool = False,
    after: str | None = None,
    limit: int = PAGE,
) -> tuple[list[CustomerLine], int, str | None]:
    """A page of customers with what they owe together, how many there are, and the cursor of the next page."""
    with services.database.read() as session:
        page = customer_search.find_customers(
            session,
            services.scope,
            search=search,
            sort=sort,
            descending=descending,
            limit=limit,
            after=after,
        )
    owed = services.billing.books.owed_by_customers([row.id for row in page.rows], scope=services.scope)
    lines = [
        CustomerLine(row.id, row.code, row.name, row.phone, row.email, row.accounts, owed[row.id])
        for row in page.rows
    ]
    return lines, page.total, page.after


def unbilled_accounts(services: Services, month: TimeRange) -> int:
    """How many accounts open all that month lack its bill; 0 while nobody at all has been billed for it."""
    return services.billing.books.unbilled(month, scope=services.scope)


def cursor(text: str | None) -> int | None:
    """A cursor that is a number, as the lists of bills and payments hand them out."""
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or int(text) > LARGEST_ID:
        raise BadRequest(f"{text!r} is not a cursor of this list.", hint="Use the `next` of the page before.")
    return int(text)


def finished_months(now: datetime, zone: ZoneInfo) -> list[TimeRange]:
    """The last twelve civil months that are over, newest first."""
    months = []
    day = now.astimezone(zone).date().replace(day=1)
    for _ in range(MONTHS_OFFERED):
        day = (day - timedelta(days=1)).replace(day=1)
        months.append(TimeRange.month(day.year, day.month, zone))
    return months


def coming_months(now: datetime, zone: ZoneInfo) -> list[TimeRange]:
    """The civil month of `now` and the eleven after it."""
    months = []
    day = now.astimezone(zone).date().replace(day=1)
    for _ in range(MONTHS_OFFERED):
        months.append(TimeRange.month(day.year, day.month, zone))
        day = (day + timedelta(days=31)).replace(day=1)
    return months


def month_choices(months: Iterable[TimeRange], say: Language, chosen: str = "") -> list[tuple[str, str]]:
    """Months for a list of choices: how addresses write them, and their names; a chosen one is among them."""
    found = {f"{month.start.astimezone(say.zone):%Y-%m}": say.month(month.start) for month in months}
    if chosen and chosen not in found:
        found[chosen] = say.month(month_of(chosen, say.zone).start)
    return sorted(found.items(), reverse=True)


def month_of(text: str, zone: ZoneInfo) -> TimeRange:
    """The civil month written `2026-10`."""
    try:
        if written := _MONTH.fullmatch(text):
            return TimeRange.month(int(written[1]), int(written[2]), zone)
    except (ValueError, OverflowError):
        pass
    raise BadRequest(f"{text!r} is not a month.", hint="Write it as 2026-10.")
