"""What a customer used, and what it costs as far as that can be told: this month so far, and any day, week, month, year."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo

from wattkeeper.billing.errors import BillingRefused
from wattkeeper.billing.running import Running, Slot
from wattkeeper.billing.tariff import TouPeriod
from wattkeeper.kernel.money import Money
from wattkeeper.kernel.timerange import TimeRange, start_of_day
from wattkeeper.web.queries.portal import OwnAccount, OwnAccounts

DAY: Final = timedelta(days=1)
WEEK_DAYS: Final = 7
UNPRICED: Final = "not_divisible"
"""Why parts of a month have no price: tier and period of the day decide together."""


@dataclass(frozen=True, slots=True)
class Figure:
    """Energy and cost of a stretch; `refused` says why there is no cost, with a reason of BillingRefused."""

    period: TimeRange
    kwh: Decimal | None
    cost: Money | None = None
    cost_until: datetime | None = None
    """Where the cost stops short of what is known, because readings between are missing."""
    complete: bool = False
    estimated: bool = False
    refused: str | None = None
    billed: bool = False
    """Whether the cost is that of a bill, and so final."""


@dataclass(frozen=True, slots=True)
class Months:
    """The month so far, against the last one."""

    this: Figure | None
    """None until the first reading of the month."""
    same: Figure | None
    """The last month up to the same day and hour; None where the account had no meter all that time."""
    last: Figure | None
    """All of the last month that the account had a meter for."""
    today: Figure | None
    yesterday: Figure | None

    @property
    def until(self) -> datetime | None:
        """Up to when this month is known."""
        return None if self.this is None else self.this.period.end


def months_of(own: OwnAccounts, account: OwnAccount) -> Months:
    """The figures of the portal's first page."""
    now, zone = own.now, account.zone
    today = now.astimezone(zone).date()
    month = TimeRange.month(today.year, today.month, zone)
    before = (today.replace(day=1) - DAY).replace(day=1)
    last = TimeRange.month(before.year, before.month, zone)
    billed = own.bills_of_months(account.id, [last])
    with own.running(
        account.id, TimeRange(last.start, max(now, month.start + timedelta.resolution))
    ) as running:
        this = _so_far(running, month)
        return Months(
            this=this,
            same=_same_stretch(running, last, this),
            last=_whole(running, last, billed.get(last)),
            today=_energy(running, TimeRange.day(today, zone)),
            yesterday=_energy(running, TimeRange.day(today - DAY, zone)),
        )


def _energy(running: Running, period: TimeRange) -> Figure | None:
    """What is known of the energy of a period; None where nothing is."""
    known = running.known(period)
    if known is None or not known.covered:
        return None
    return Figure(period, known.kwh, complete=known.complete, estimated=known.estimated)


def _so_far(running: Running, month: TimeRange) -> Figure | None:
    until = running.last_known(month)
    if until is None or until <= month.start:
        return None
    return _priced(running, TimeRange(month.start, until))


def _same_stretch(running: Running, last: TimeRange, this: Figure | None) -> Figure | None:
    if this is None:
        return None
    end = min(last.start + this.period.duration, last.closed_end)
    figure = _priced(running, TimeRange(last.start, end))
    return figure if figure is not None and figure.complete else None


def _whole(running: Running, month: TimeRange, bill: Money | None) -> Figure | None:
    if bill is None:
        return _priced(running, month)
    figure = _energy(running, month)
    kwh = None if figure is None else figure.kwh
    return Figure(month, kwh, cost=bill, complete=True, billed=True)


def _priced(running: Running, period: TimeRange) -> Figure | None:
    """Energy and cost of a stretch; the cost of its beginning where readings in the middle are missing."""
    known = running.known(period)
    until = running.known_until(period)
    if known is None or not known.covered:
        return None
    common = {"kwh": known.kwh, "complete": known.complete, "estimated": known.estimated}
    if until is None:
        return Figure(period, **common, refused="missing_intervals")  # type: ignore[arg-type]
    try:
        cost = running.cost(TimeRange(period.start, until))
    except BillingRefused as refused:
        return Figure(period, **common, refused=refused.reason)  # type: ignore[arg-type]
    short = None if until == period.end else until
    return Figure(period, **common, cost=cost.total, cost_until=short)  # type: ignore[arg-type]


class Span(StrEnum):
    """How much of the past a view of the usage shows."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"


@dataclass(frozen=True, slots=True)
class Bin:
    """One bar: its energy [kWh], and its cost where that can be told."""

    period: TimeRange
    kwh: Decimal | None
    cost: Decimal | None
    complete: bool
    estimated: bool
    by_tou: tuple[tuple[str, Decimal], ...]


@dataclass(frozen=True, slots=True)
class Usage:
    """A period in bins, and the one before it for comparison."""

    span: Span
    period: TimeRange
    bins: tuple[Bin, ...]
    before_period: TimeRange
    before: tuple[Bin, ...]
    before_same_kwh: Decimal | None
    """The energy of the period before up to the same moment."""
    until: datetime | None
    """Up to when the period is known."""
    tou: tuple[TouPeriod, ...]
    currency: str
    unpriced: str | None
    """Why some bins have no cost."""
    fixed: bool
    """Whether the tariff has charges per month, which no bin carries."""
    billed: frozenset[TimeRange] = field(default_factory=frozenset)
    """Bins whose cost is that of their bill."""

    @property
    def kwh(self) -> Decimal | None:
        """The energy of all bins."""
        return summed([one.kwh for one in self.bins])

    @property
    def cost(self) -> Money | None:
        """The cost of all bins; None when one with energy has none."""
        return self._cost(self.bins)

    @property
    def before_kwh(self) -> Decimal | None:
        """The energy of the period before."""
        return summed([one.kwh for one in self.before])

    @property
    def before_cost(self) -> Money | None:
        """The cost of the period before."""
        return self._cost(self.before)

    @property
    def shares(self) -> list[tuple[TouPeriod, Decimal]]:
        """The energy of each period of the day, where the tariff has them."""
        sums: dict[str, Decimal] = {}
        for one in self.bins:
            for code, kwh in one.by_tou:
                sums[code] = sums.get(code, Decimal(0)) + kwh
        return [(period, sums[period.code]) for period in self.tou if period.code in sums]

    def _cost(self, bins: Sequence[Bin]) -> Money | None:
        used = [one for one in bins if one.kwh is not None]
        if not used or any(one.cost is None for one in used):
            return None
        return Money(sum((one.cost or Decimal(0) for one in used), Decimal(0)), self.currency)


def summed(values: Sequence[Decimal | None]) -> Decimal | None:
    """The sum of what is known; None where nothing is."""
    known = [value for value in values if value is not None]
    return sum(known, Decimal(0)) if known else None


def period_of(span: Span, day: date, zone: ZoneInfo) -> TimeRange:
    """The civil day, week (from Monday), month or year that a day lies in."""
    match span:
        case Span.DAY:
            return TimeRange.day(day, zone)
        case Span.WEEK:
            monday = day - DAY * day.weekday()
            return TimeRange(start_of_day(monday, zone), start_of_day(monday + DAY * WEEK_DAYS, zone))
        case Span.MONTH:
            return TimeRange.month(day.year, day.month, zone)
        case Span.YEAR:
            return TimeRange(
                start_of_day(date(day.year, 1, 1), zone), start_of_day(date(day.year + 1, 1, 1), zone)
            )


def bins_of(span: Span, period: TimeRange, zone: ZoneInfo) -> list[TimeRange]:
    """The bars of a view."""
    if span is Span.DAY:
        return period.slots(timedelta(hours=1), zone)
    return period.months(zone) if span is Span.YEAR else period.days(zone)


def usage_of(own: OwnAccounts, account: OwnAccount, *, span: Span, day: date) -> Usage:
    """A view of the usage: the bins of the period that `day` lies in, and of the period before."""
    zone = account.zone
    period = period_of(span, day, zone)
    before = period_of(span, (period.start - timedelta.resolution).astimezone(zone).date(), zone)
    return read_usage(own, account, span=span, period=period, before=before)


def read_usage(
    own: OwnAccounts, account: OwnAccount, *, span: Span, period: TimeRange, before: TimeRange
) -> Usage:
    """The bins of a period of civil parts, and of another for comparison."""
    zone, now = account.zone, own.now
    start = max(before.start, account.begin).astimezone(zone)
    begin = min(TimeRange.month(start.year, start.month, zone).start, period.start)
    window = TimeRange(begin, max(min(period.closed_end, now), begin + timedelta(hours=1)))
    slots, slots_before = bins_of(span, period, zone), bins_of(span, before, zone)
    billed = own.bills_of_months(account.id, slots_before + slots) if span is Span.YEAR else {}
    with own.running(account.id, window) as running:
        read = _months_read if span is Span.YEAR else _read
        versions = [version for _, tariff in running.tariffs for version in tariff.versions]
        until = running.last_known(period)
        return Usage(
            span=span,
            period=period,
            bins=read(running, slots, zone, billed),
            before_period=before,
            before=read(running, slots_before, zone, billed),
            before_same_kwh=_same_kwh(running, period, before, until),
            until=until,
            tou=tuple(
                {p.code: p for version in versions if version.tou for p in version.tou.periods}.values()
            ),
            currency=account.currency,
            unpriced=_unpriced(running),
            fixed=any(c.part_month is not None for version in versions for c in version.components),
            billed=frozenset(billed),
        )


def _unpriced(running: Running) -> str | None:
    if not running.tariffs:
        return "no_tariff"
    return None if running.divisible else UNPRICED


def _read(
    running: Running, slots: list[TimeRange], zone: ZoneInfo, billed: dict[TimeRange, Money]
) -> tuple[Bin, ...]:
    del billed
    return tuple(_bin(slot) for slot in running.slots(slots, zone))


def _bin(slot: Slot) -> Bin:
    known = slot.known
    if known is None or not known.covered:
        return Bin(slot.period, None, None, complete=False, estimated=False, by_tou=())
    return Bin(slot.period, known.kwh, slot.cost, known.complete, known.estimated, known.by_tou)


def _months_read(
    running: Running, months: list[TimeRange], zone: ZoneInfo, billed: dict[TimeRange, Money]
) -> tuple[Bin, ...]:
    """Months cost what their bills say, and what the bill would say where there is none yet."""
    del zone
    return tuple(_month(running, month, billed.get(month)) for month in months)


def _month(running: Running, month: TimeRange, bill: Money | None) -> Bin:
    known = running.known(month)
    if known is None or not known.covered:
        return Bin(month, None, None, complete=False, estimated=False, by_tou=())
    until = running.last_known(month)
    figure = _priced(running, TimeRange(month.start, until)) if until and bill is None else None
    cost = bill or (figure.cost if figure and figure.cost_until is None else None)
    return Bin(
        month, known.kwh, None if cost is None else cost.amount, known.complete, known.estimated, known.by_tou
    )


def _same_kwh(
    running: Running, period: TimeRange, before: TimeRange, until: datetime | None
) -> Decimal | None:
    """The energy of the period before, up to the same moment; None unless all of it is known."""
    if until is None or until <= period.start:
        return None
    end = (
        before.closed_end
        if until >= period.closed_end
        else min(before.start + (until - period.start), before.closed_end)
    )
    known = running.known(TimeRange(before.start, end))
    return known.kwh if known is not None and known.complete else None
