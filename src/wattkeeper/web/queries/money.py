"""Bills and accounts as pages show them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

from wattkeeper.billing.values import BillSummary
from wattkeeper.kernel.money import Money
from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.registry.models import Account, AccountKind, Customer
from wattkeeper.registry.repository import Registry
from wattkeeper.web.language import Language
from wattkeeper.web.problems import BadRequest
from wattkeeper.web.queries.states import N_, Level, bill_shown
from wattkeeper.web.services import Services

PAGE: Final = 50
MONTHS_OFFERED: Final = 12
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


def period_text(period: TimeRange, say: Language) -> str:
    """A civil month by its name, anything else by its first and last day."""
    first = period.start.astimezone(say.zone)
    assert period.end is not None
    if period == TimeRange.month(first.year, first.month, say.zone):
        return say.month(first.date())
    return f"{say.date(period.start)} – {say.date(period.end - timedelta(microseconds=1))}"


def bill_line(bill: BillSummary, say: Language, now: datetime) -> BillLine:
    """A bill's line."""
    shown = bill_shown(bill.state, due_at=None, now=now, say=say)
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
    kind_text: str
    tariff: str | None
    balance: Money


@dataclass(frozen=True, slots=True)
class FoundAccounts:
    """A page of accounts; `after` is the code to continue from."""

    accounts: tuple[Account, ...]
    total: int
    after: str | None


def find_accounts(
    services: Services, *, search: str = "", after: str | None = None, limit: int = PAGE
) -> FoundAccounts:
    """Accounts by code whose code, name or customer contains the search."""
    with services.database.read() as session:
        registry = Registry(session)
        found = registry.accounts()
        customers = (
            {customer.id: customer.name for customer in registry.everything(Customer)} if search else {}
        )
    if search:
        found = [
            account
            for account in found
            if _matches(account, customers[account.customer_id], search.casefold())
        ]
    rest = [account for account in found if after is None or account.code > after]
    page = tuple(rest[:limit])
    return FoundAccounts(page, len(found), page[-1].code if len(rest) > limit else None)


def _matches(account: Account, customer: str, wanted: str) -> bool:
    return any(wanted in text.casefold() for text in (account.code, account.name, customer))


def account_lines(services: Services, accounts: Sequence[Account], say: Language) -> list[AccountLine]:
    """The accounts with their tariff and what they owe now."""
    names = {tariff.code: say.choose(tariff.name_zh, tariff.name_en) for tariff in services.billing.tariffs()}
    now = services.clock()

    def tariff_of(account_id: int) -> str | None:
        assigned = services.billing.assigned_tariffs(account_id)
        current = next((item for item in assigned if item.period.contains(now)), None)
        return names.get(current.tariff_code, current.tariff_code) if current else None

    return [
        AccountLine(
            id=account.id,
            code=account.code,
            name=account.name,
            kind_text=say.text(KINDS[account.kind]),
            tariff=tariff_of(account.id),
            balance=services.billing.balance(account.id),
        )
        for account in accounts
    ]


def finished_months(now: datetime, zone: ZoneInfo) -> list[TimeRange]:
    """The last twelve civil months that are over, newest first."""
    months = []
    day = now.astimezone(zone).date().replace(day=1)
    for _ in range(MONTHS_OFFERED):
        day = (day - timedelta(days=1)).replace(day=1)
        months.append(TimeRange.month(day.year, day.month, zone))
    return months


def month_of(text: str, zone: ZoneInfo) -> TimeRange:
    """The civil month written `2026-10`."""
    year, _, month = text.partition("-")
    try:
        return TimeRange.month(int(year), int(month), zone)
    except (ValueError, OverflowError):
        raise BadRequest(f"{text!r} is not a month.", hint="Write it as 2026-10.") from None
