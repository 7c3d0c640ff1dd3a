"""Tariffs as pictures and tables: the clock of time-of-use periods, and what each unit costs."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

from wattkeeper.billing.tariff import Component, DayRule, Kind, Tariff, Tiers, Tou, Version, clock
from wattkeeper.kernel.calendars import DayKind
from wattkeeper.web.language import Language
from wattkeeper.web.queries.states import N_

CENTRE: Final = 60
OUTER: Final = 46
INNER: Final = 27
FIGURES: Final = 54
DAY_MINUTES: Final = 1440
ALL_MONTHS: Final = frozenset(range(1, 13))
KINDS: Final = {
    DayKind.WORKDAY: N_("workdays"),
    DayKind.WEEKEND: N_("weekends"),
    DayKind.HOLIDAY: N_("holidays"),
}
_TONES: Final = {"尖": "sharp", "峰": "peak", "平": "flat", "深": "deep_valley", "谷": "valley"}


@dataclass(frozen=True, slots=True)
class Band:
    """A ring segment of the clock."""

    tone: str
    path: str
    title: str


@dataclass(frozen=True, slots=True)
class Clock:
    """The day as a ring: midnight on top, noon below."""

    months: str
    description: str
    bands: tuple[Band, ...]
    hours: tuple[tuple[int, str, str], ...]


@dataclass(frozen=True, slots=True)
class Price:
    """One price of a version."""

    label: str
    applies: str
    price: Decimal
    unit: str


@dataclass(frozen=True, slots=True)
class VersionView:
    """What a tariff says during a period."""

    valid_from: datetime
    valid_to: datetime | None
    clocks: tuple[Clock, ...]
    legend: tuple[tuple[str, str], ...]
    prices: tuple[Price, ...]


@dataclass(frozen=True, slots=True)
class TariffView:
    """A tariff, its newest version first."""

    code: str
    name: str
    currency: str
    source: str
    verified: bool
    versions: tuple[VersionView, ...]


def tariff_view(tariff: Tariff, say: Language) -> TariffView:
    """A tariff for its page."""
    return TariffView(
        code=tariff.code,
        name=say.choose(tariff.name_zh, tariff.name_en),
        currency=tariff.currency,
        source=tariff.source,
        verified=tariff.in_force != "unverified",
        versions=tuple(_version(version, say) for version in reversed(tariff.versions)),
    )


def _version(version: Version, say: Language) -> VersionView:
    tou = version.tou
    return VersionView(
        valid_from=version.period.start,
        valid_to=version.period.end,
        clocks=tuple(_clock(rule, tou, say) for rule in tou.rules) if tou else (),
        legend=tuple((tone_of(period.zh), say.choose(period.zh, period.en)) for period in tou.periods)
        if tou
        else (),
        prices=tuple(price for component in version.components for price in _prices(component, version, say)),
    )


def _prices(component: Component, version: Version, say: Language) -> Iterator[Price]:
    unit = say.text("month") if component.kind is Kind.FIXED else "kWh"
    label = say.choose(component.zh, component.en)
    for (tier, tou), price in component.prices:
        applies = [
            *([_tier(version.tiers, tier, say)] if tier and version.tiers else []),
            *(
                [say.choose(period.zh, period.en) for period in [version.tou.period(tou)]]
                if tou and version.tou
                else []
            ),
        ]
        yield Price(label, say.listed(applies) or say.text("everything"), price, unit)


def _tier(tiers: Tiers, tier: int, say: Language) -> str:
    """A tier with its limits, where they are the same all year."""
    name = say.text("tier %(n)s", n=tier)
    if len(tiers.seasons) > 1:
        return name
    limits = tiers.seasons[0].limits_kwh
    cycle = say.text("a year") if tiers.cycle == "year" else say.text("a month")
    if tier <= len(limits):
        within = say.text("up to %(limit)s kWh %(cycle)s", limit=say.exact(limits[tier - 1]), cycle=cycle)
    else:
        within = say.text("above %(limit)s kWh %(cycle)s", limit=say.exact(limits[-1]), cycle=cycle)
    return say.text("%(tier)s: %(range)s", tier=name, range=within)


def tone_of(name_zh: str) -> str:
    """The colour of a period by its Chinese name: sharp peak 尖, peak 峰, flat 平, valley 谷, deep valley 深谷."""
    return next((tone for sign, tone in _TONES.items() if sign in name_zh), "flat")


def _clock(rule: DayRule, tou: Tou, say: Language) -> Clock:
    bands = []
    for start, end, code in rule.spans:
        period = tou.period(code)
        title = f"{clock(start)}–{clock(end)} {say.choose(period.zh, period.en)}"
        bands.append(Band(tone_of(period.zh), _ring(start, end), title))
    when = _when(rule, say)
    hours = tuple((hour, *_at(hour * 60, FIGURES)) for hour in range(0, 24, 3))
    description = say.text("Clock of the periods, %(when)s: ", when=when) + say.listed(
        band.title for band in bands
    )
    return Clock(when, description, tuple(bands), hours)


def _when(rule: DayRule, say: Language) -> str:
    """The months and kinds of day of a rule."""
    parts = []
    if rule.months != ALL_MONTHS:
        parts.append(say.text("months %(list)s", list=say.listed(_ranges(sorted(rule.months)))))
    if rule.kinds != frozenset(DayKind):
        parts.append(say.listed(say.text(KINDS[kind]) for kind in DayKind if kind in rule.kinds))
    return " ".join(parts) or say.text("all year")


def _ranges(numbers: list[int]) -> list[str]:
    """Months in short: 1-3, 7, 10-12."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][-1] == number - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return [f"{run[0]}–{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs]


def _ring(start: int, end: int) -> str:
    """A segment of the ring as an SVG path; a whole day is two halves, because an arc cannot end where it began."""
    if end - start >= DAY_MINUTES:
        half = start + DAY_MINUTES // 2
        return f"{_ring(start, half)} {_ring(half, end)}"
    large = 1 if end - start > DAY_MINUTES // 2 else 0
    (x1, y1), (x2, y2) = _at(start, OUTER), _at(end, OUTER)
    (x3, y3), (x4, y4) = _at(end, INNER), _at(start, INNER)
    return (
        f"M{x1} {y1}A{OUTER} {OUTER} 0 {large} 1 {x2} {y2}L{x3} {y3}A{INNER} {INNER} 0 {large} 0 {x4} {y4}Z"
    )


def _at(minute: int, radius: float) -> tuple[str, str]:
    """A minute's place on a circle, midnight on top."""
    angle = 2 * math.pi * minute / DAY_MINUTES
    return f"{CENTRE + radius * math.sin(angle):.2f}", f"{CENTRE - radius * math.cos(angle):.2f}"
