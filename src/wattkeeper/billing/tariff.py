"""The model of a tariff: dated data that a clerk can read, and nothing that computes money.

A tariff has versions for half-open periods. A version has components (energy, surcharges, fixed charges), and
where it needs them tiers, time-of-use periods, and one named rounding rule. Prices are per kWh (fixed: per month)
in the tariff's currency. Civil boundaries are those of the tariff's zone.
"""

import hashlib
import json
from dataclasses import dataclass
from datetime import date, datetime
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, ROUND_HALF_UP, ROUND_UP, Decimal
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from wattkeeper.kernel.calendars import DayKind
from wattkeeper.kernel.timerange import TimeRange, start_of_day

MONTHS_OF_YEAR = 12
#: The smallest part of a kWh that is billed apart, that of the readings store.
KWH_UNIT = Decimal("0.0001")


class Kind(StrEnum):
    """What a component of a price is."""

    ENERGY = "energy"
    SURCHARGE = "surcharge"
    FIXED = "fixed"


class Cycle(StrEnum):
    """How long energy is counted before tiers begin anew; calendar months or years."""

    MONTH = "month"
    YEAR = "year"


class PartCycle(StrEnum):
    """What the limits are when a tariff is in force for part of a cycle only.

    MONTHS: limit x months in force / months of the cycle, a part of a month counting as a whole one.
    """

    WHOLE = "whole"
    MONTHS = "months"


class PartMonth(StrEnum):
    """What part of a monthly charge is due for part of a month.

    WHOLE: all of it, once. DAYS: days / days of that month. THIRTIETHS: 1/30 for each day, whatever the month.
    """

    WHOLE = "whole"
    DAYS = "days"
    THIRTIETHS = "thirtieths"


class RoundAt(StrEnum):
    """The one place where money is rounded."""

    LINE = "line"
    TOTAL = "total"


ROUNDING_MODES = {"half_up": ROUND_HALF_UP, "half_even": ROUND_HALF_EVEN, "down": ROUND_DOWN, "up": ROUND_UP}


@dataclass(frozen=True, slots=True)
class Rounding:
    """To how many digits, how and where; `mode` is a key of ROUNDING_MODES."""

    at: RoundAt
    digits: int
    mode: str

    def apply(self, amount: Decimal) -> Decimal:
        """The amount at the stated digits."""
        return amount.quantize(Decimal(1).scaleb(-self.digits), rounding=ROUNDING_MODES[self.mode])


@dataclass(frozen=True, slots=True)
class SeasonLimits:
    """The upper limits [kWh per cycle] of all tiers but the open last one, for a set of months (a year: all)."""

    months: frozenset[int]
    limits_kwh: tuple[Decimal, ...]


@dataclass(frozen=True, slots=True)
class Tiers:
    """Tiers 阶梯: the price of a kWh depends on how many went before it in the cycle."""

    cycle: Cycle
    part_cycle: PartCycle
    seasons: tuple[SeasonLimits, ...]

    @property
    def count(self) -> int:
        """The number of tiers, the open last one included."""
        return len(self.seasons[0].limits_kwh) + 1

    def cycle_at(self, instant: datetime, zone: ZoneInfo) -> TimeRange:
        """The calendar month or year an instant lies in."""
        day = instant.astimezone(zone).date()
        if self.cycle is Cycle.MONTH:
            return TimeRange.month(day.year, day.month, zone)
        return TimeRange(
            start_of_day(date(day.year, 1, 1), zone), start_of_day(date(day.year + 1, 1, 1), zone)
        )

    def limits(self, cycle: TimeRange, in_force: TimeRange, zone: ZoneInfo) -> tuple[Decimal, ...]:
        """The limits of one cycle [kWh], when the account had this tariff during `in_force`."""
        month = cycle.start.astimezone(zone).month
        full = next(season.limits_kwh for season in self.seasons if month in season.months)
        if self.part_cycle is PartCycle.WHOLE or self.cycle is Cycle.MONTH:
            return full
        within = cycle.intersection(in_force)
        months = MONTHS_OF_YEAR if within is None else len(within.months(zone))
        return tuple((limit * months / MONTHS_OF_YEAR).quantize(KWH_UNIT, ROUND_HALF_UP) for limit in full)


@dataclass(frozen=True, slots=True)
class TouPeriod:
    """A time-of-use period 尖峰平谷: its code, names, and the meter's register that counts it.

    `register` is a quantity key, "rest" (total minus the others) or None where only intervals can tell.
    """

    code: str
    zh: str
    en: str
    register: str | None


@dataclass(frozen=True, slots=True)
class DayRule:
    """Which period each minute of certain days belongs to; `spans` are (first minute, end minute, code)."""

    months: frozenset[int]
    kinds: frozenset[DayKind]
    spans: tuple[tuple[int, int, str], ...]


@dataclass(frozen=True, slots=True)
class Tou:
    """The time-of-use clock of a version. Of the rules that fit a day, the first counts."""

    periods: tuple[TouPeriod, ...]
    rules: tuple[DayRule, ...]

    def rule(self, month: int, kind: DayKind) -> DayRule:
        """The rule of a day; the loader has made sure there is one."""
        return next(rule for rule in self.rules if month in rule.months and kind in rule.kinds)

    def needs_kinds(self, month: int) -> bool:
        """Whether the days of a month differ, so that the holiday calendar must be asked."""
        return len({self.rule(month, kind) for kind in DayKind}) > 1

    def period(self, code: str) -> TouPeriod:
        """The period of a code."""
        return next(period for period in self.periods if period.code == code)

    def hours(self, code: str, month: int) -> str | None:
        """The hours of a period as "08:00-12:00, 17:00-21:00"; None where the days of the month differ."""
        if self.needs_kinds(month):
            return None
        spans = [span for span in self.rule(month, DayKind.WORKDAY).spans if span[2] == code]
        return ", ".join(f"{clock(start)}-{clock(end)}" for start, end, _ in spans) or None


def clock(minute: int) -> str:
    """A minute of the day as HH:MM; the end of the day is 24:00."""
    return f"{minute // 60:02d}:{minute % 60:02d}"


@dataclass(frozen=True, slots=True)
class Component:
    """One part of the price. `prices` maps (tier, TOU code) to a price; None where it does not depend on it."""

    code: str
    kind: Kind
    zh: str
    en: str
    by_tier: bool
    by_tou: bool
    prices: tuple[tuple[tuple[int | None, str | None], Decimal], ...]
    part_month: PartMonth | None

    def price(self, tier: int | None = None, tou: str | None = None) -> Decimal:
        """The price of a tier (from 1) and period, each ignored where the component does not depend on it."""
        return dict(self.prices)[tier if self.by_tier else None, tou if self.by_tou else None]


@dataclass(frozen=True, slots=True)
class Version:
    """What a tariff says during a half-open period."""

    period: TimeRange
    rounding: Rounding
    tiers: Tiers | None
    tou: Tou | None
    components: tuple[Component, ...]


@dataclass(frozen=True)
class Tariff:
    """A tariff with all its versions, in order of time and without gaps.

    `content` is what was read, as plain JSON: a bill keeps it, and `content_hash` names it.
    """

    code: str
    name_zh: str
    name_en: str
    currency: str
    zone: ZoneInfo
    calendar: str | None
    source: str
    in_force: str
    versions: tuple[Version, ...]
    content: dict[str, Any]

    @property
    def content_hash(self) -> str:
        """SHA-256 of the content in canonical JSON."""
        text = json.dumps(self.content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def period(self) -> TimeRange:
        """From the first version's start to the last one's end."""
        return TimeRange(self.versions[0].period.start, self.versions[-1].period.end)

    def version_at(self, instant: datetime) -> Version:
        """The version in force; StopIteration is impossible inside `period`."""
        return next(version for version in self.versions if version.period.contains(instant))

    def segments(self, period: TimeRange) -> list[TimeRange]:
        """A period within the tariff's, cut where the version or the tier cycle changes: rated piece by piece."""
        pieces: list[TimeRange] = []
        for version in self.versions:
            if (piece := version.period.intersection(period)) is None:
                continue
            if version.tiers is None:
                pieces.append(piece)
                continue
            while piece is not None:
                cycle = version.tiers.cycle_at(piece.start, self.zone)
                inside = piece.intersection(cycle)
                assert inside is not None
                pieces.append(inside)
                rest = piece.minus(cycle)
                piece = rest[0] if rest else None
        return pieces
