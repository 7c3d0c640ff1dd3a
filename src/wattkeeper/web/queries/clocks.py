"""How far the clocks of meters are off, as they were last measured."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final, Literal

from sqlalchemy import ColumnElement, and_, case, func, select

from wattkeeper.collection.models import MeterProgress
from wattkeeper.collection.spoken import spoken_protocol
from wattkeeper.registry.keyset import mark
from wattkeeper.registry.keyset import page as keyset_page
from wattkeeper.registry.models import Meter
from wattkeeper.web.language import Language
from wattkeeper.web.queries.command_targets import takes_commands
from wattkeeper.web.queries.states import N_, Level
from wattkeeper.web.services import Services

Band = Literal["good", "small", "large", "beyond", "unknown"]
PAGE: Final = 50
GOOD_MS: Final = 5_000
SMALL_MS: Final = 60_000
_MILLISECOND: Final = timedelta(milliseconds=1)
_off: ColumnElement[int] = func.abs(MeterProgress.clock_deviation_ms)


@dataclass(frozen=True, slots=True)
class ClockLine:
    """A meter with its clock."""

    id: int
    address: str
    point: str | None
    link: str
    link_code: str
    deviation_s: Decimal
    """The meter's clock minus ours; positive when the meter is ahead. [s]"""
    shown: str
    level: Level
    read_at: datetime
    settable: bool
    """Whether meters of its protocol can be told the time."""


@dataclass(frozen=True, slots=True)
class BandCount:
    """How many clocks are off by so much."""

    code: Band
    name: str
    level: Level
    meters: int


@dataclass(frozen=True, slots=True)
class Clocks:
    """A page of clocks, the worst first."""

    lines: tuple[ClockLine, ...]
    after: str | None


def bands(services: Services, say: Language) -> tuple[BandCount, ...]:
    """How many clocks are off by how much, of the meters in use; and of how many it is not known."""
    limit = limit_of(services)
    found = _within(limit)
    counts = [
        func.coalesce(func.sum(case((condition, 1), else_=0)), 0).label(code)
        for code, condition in found.items()
    ]
    wanted = (
        select(*counts)
        .select_from(Meter)
        .outerjoin(MeterProgress, MeterProgress.meter_id == Meter.id)
        .where(Meter.enabled, services.scope.has_meter())
    )
    with services.database.read() as session:
        row = session.execute(wanted).one()._mapping  # noqa: SLF001 - SQLAlchemy's name for its public mapping
    names: dict[Band, tuple[str, Level]] = {
        "good": (say.text("up to 5 s"), "ok"),
        "small": (say.text("up to 1 min"), "ok"),
        "large": (say.text("up to %(limit)s", limit=span(limit, say)), "warn"),
        "beyond": (say.text("more than %(limit)s", limit=span(limit, say)), "bad"),
        "unknown": (say.text("not measured yet"), "idle"),
    }
    return tuple(BandCount(code, name, level, int(row[code])) for code, (name, level) in names.items())


def clock_lines(
    services: Services,
    say: Language,
    *,
    band: Band | None = None,
    after: str | None = None,
    limit: int = PAGE,
) -> Clocks:
    """The clocks that were measured, the worst first; BadValue for a cursor that is none."""
    alarm = limit_of(services)
    wanted = (
        select(Meter.id, spoken_protocol(), MeterProgress.clock_deviation_ms, MeterProgress.clock_read_at)
        .join(MeterProgress, MeterProgress.meter_id == Meter.id)
        .where(Meter.enabled, MeterProgress.clock_deviation_ms.is_not(None), services.scope.has_meter())
    )
    if band is not None:
        wanted = wanted.where(_within(alarm)[band])
    wanted = keyset_page(wanted, _off, Meter.id, descending=True, after=after)
    with services.database.read() as session:
        rows = session.execute(wanted.limit(limit + 1)).all()
        more, rows = len(rows) > limit, rows[:limit]
        found = services.registry(session).find_meters(
            meter_ids=[row[0] for row in rows], limit=max(1, len(rows)), counted=False
        )
    places = {place.meter_id: place for place in found.rows}
    lines = tuple(_line(row, places[row[0]], say, alarm=alarm) for row in rows if row[0] in places)
    off: Any = rows[-1][-1] if rows else None  # the key that the page was sorted by
    return Clocks(lines, mark(off, rows[-1][0]) if more else None)


def limit_of(services: Services) -> timedelta:
    """Beyond this a clock raises an alarm."""
    return services.monitoring.limits.clock_off


def _within(limit: timedelta) -> Mapping[Band, ColumnElement[bool]]:
    """The condition of each band; an end belongs to the band below it."""
    most = limit // _MILLISECOND
    return {
        "good": _off <= GOOD_MS,
        "small": and_(_off > GOOD_MS, _off <= SMALL_MS),
        "large": and_(_off > SMALL_MS, _off <= most),
        "beyond": _off > most,
        "unknown": MeterProgress.clock_deviation_ms.is_(None),
    }


def _line(row: Any, place: Any, say: Language, *, alarm: timedelta) -> ClockLine:
    meter_id, protocol, deviation_ms, read_at = row[:4]
    off = abs(deviation_ms) * _MILLISECOND
    ahead = N_("%(span)s ahead") if deviation_ms >= 0 else N_("%(span)s behind")
    return ClockLine(
        id=meter_id,
        address=place.address,
        point=place.point_name,
        link=place.link_name,
        link_code=place.link_code,
        deviation_s=Decimal(deviation_ms) / 1000,
        shown=say.text(ahead, span=span(off, say)),
        level="bad" if off > alarm else "warn" if off > SMALL_MS * _MILLISECOND else "ok",
        read_at=read_at,
        settable=takes_commands(protocol),
    )


def span(length: timedelta, say: Language) -> str:
    """A length of time in its two largest units, seconds with a decimal below a minute.

    Fits what a clock may be off by: from tenths of a second to years.
    """
    seconds = length.total_seconds()
    if seconds < 60:  # noqa: PLR2004
        return f"{seconds:.1f}".removesuffix(".0") + " " + say.text("s")
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [(days, say.text("d")), (hours, say.text("h")), (minutes, say.text("min")), (rest, say.text("s"))]
    first = next(place for place, (count, _) in enumerate(parts) if count)
    return " ".join(f"{say.number(count)} {unit}" for count, unit in parts[first : first + 2] if count)
