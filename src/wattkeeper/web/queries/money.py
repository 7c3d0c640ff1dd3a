"""Bills and accounts as pages show them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import aliased

from wattkeeper.billing.models import AccountTariff, Bill, LedgerAccount, Posting
from wattkeeper.billing.values import BillSummary
from wattkeeper.kernel.money import Money
from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.registry.models import Account, AccountKind, Customer
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
    services: Services,
    *,
    search: str = "",
    unbilled: TimeRange | None = None,
    after: str | None = None,
    limit: int = PAGE,
) -> FoundAccounts:
    """Accounts by code whose code, name or customer contains the search; `unbilled`: only those without its bill."""
    wanted = (
        select(Account).join(Customer, Customer.id == Account.customer_id).where(services.scope.has_account())
    )
    if search:
        searched = (Account.code, Account.name, Customer.name)
        wanted = wanted.where(or_(*(column.icontains(search, autoescape=True) for column in searched)))
    if unbilled is not None:
        wanted = wanted.where(*_without_bill(unbilled))
    with services.database.read() as session:
        total = session.scalar(wanted.with_only_columns(func.count(), maintain_column_froms=True)) or 0
        if after is not None:
            wanted = wanted.where(Account.code > after)
        found = session.scalars(wanted.order_by(Account.code).limit(limit + 1)).all()
    page = tuple(found[:limit])
    return FoundAccounts(page, total, page[-1].code if len(found) > limit else None)


def unbilled_accounts(services: Services, month: TimeRange) -> int:
    """How many accounts open all that month lack its bill; 0 while nobody at all has been billed for it."""
    billed = select(Bill.id).where(Bill.period_start == month.start, Bill.period_end == month.end).exists()
    wanted = (
        select(func.count())
        .select_from(Account)
        .where(billed, services.scope.has_account(), *_without_bill(month))
    )
    with services.database.read() as session:
        return session.scalar(wanted) or 0


def _without_bill(month: TimeRange) -> tuple[ColumnElement[bool], ...]:
    """Accounts open all that month with no bill for it, or none that still stands."""
    assert month.end is not None
    cancellation = aliased(Bill)
    standing = (
        select(Bill.id)
        .where(
            Bill.account_id == Account.id,
            Bill.period_start < month.end,
            Bill.period_end > month.start,
            Bill.cancels_id.is_(None),
            ~select(cancellation.id).where(cancellation.cancels_id == Bill.id).exists(),
        )
        .exists()
    )
    return (
        Account.opened_at <= month.start,
        or_(Account.closed_at.is_(None), Account.closed_at >= month.end),
        ~standing,
    )


def account_lines(services: Services, accounts: Sequence[Account], say: Language) -> list[AccountLine]:
    """The accounts with their tariff and what they owe now."""
    names = {tariff.code: say.choose(tariff.name_zh, tariff.name_en) for tariff in services.billing.tariffs()}
    ids = [account.id for account in accounts]
    owed, assigned = balances(services, ids), _tariffs_now(services, ids)

    def tariff_of(account_id: int) -> str | None:
        code = assigned.get(account_id)
        return names.get(code, code) if code else None

    return [
        AccountLine(
            id=account.id,
            code=account.code,
            name=account.name,
            kind_text=say.text(KINDS[account.kind]),
            tariff=tariff_of(account.id),
            balance=owed[account.id],
        )
        for account in accounts
    ]


def balances(services: Services, account_ids: Sequence[int]) -> dict[int, Money]:
    """What each of these accounts owes, in one look; negative is a credit."""
    wanted = (
        select(LedgerAccount.account_id, func.sum(Posting.amount))
        .join(Posting, Posting.ledger_account_id == LedgerAccount.id)
        .where(LedgerAccount.account_id.in_(account_ids))
        .group_by(LedgerAccount.account_id)
    )
    with services.database.read() as session:
        currencies = {site.currency for site in services.registry(session).sites()}
        sums = {row[0]: row[1] for row in session.execute(wanted)} if len(currencies) == 1 else {}
    if len(currencies) != 1:  # then only an account's own site tells which currency counts
        return {account_id: services.billing.balance(account_id) for account_id in account_ids}
    (currency,) = currencies
    return {account_id: Money(sums.get(account_id, Decimal(0)), currency) for account_id in account_ids}


def _tariffs_now(services: Services, account_ids: Sequence[int]) -> dict[int, str]:
    """The code of the tariff in force now, per account that has one."""
    now = services.clock()
    wanted = select(AccountTariff.account_id, AccountTariff.tariff_code).where(
        AccountTariff.account_id.in_(account_ids),
        AccountTariff.valid_from <= now,
        or_(AccountTariff.valid_to.is_(None), AccountTariff.valid_to > now),
    )
    with services.database.read() as session:
        return {row[0]: row[1] for row in session.execute(wanted)}


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
