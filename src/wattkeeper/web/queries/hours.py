"""Reads hour by hour as bars: geometry only, so that a slow phone needs no chart library."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from wattkeeper.collection.values import SuccessRate
from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.web.language import Language

HEIGHT: Final = 100
SLOT: Final = 10
"""The width of an hour, of which a bar takes most."""
GAP: Final = 2
MANY: Final = 100
"""From so many hours on, bars stand without gaps between them."""
HOUR: Final = timedelta(hours=1)
NAMED_HOURS: Final = (0, 3, 6, 9, 12, 15, 18, 21)
MOST_DAYS_NAMED: Final = 10


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a bar, in the picture's units from the top left."""

    tone: str
    """`first`: at the first attempt, `later`: with repetitions, `failed`."""
    y: str
    height: str


@dataclass(frozen=True, slots=True)
class Bar:
    """An hour."""

    x: str
    width: str
    title: str
    pieces: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Hours:
    """All hours of a period, and the marks below them, each of which spans as much as the others."""

    bars: tuple[Bar, ...]
    width: int
    highest: int
    """Reads in the busiest hour: what the height of the picture stands for."""
    marks: tuple[str, ...]

    @property
    def height(self) -> int:
        """The picture's."""
        return HEIGHT


def hours_drawn(rates: Iterable[SuccessRate], period: TimeRange, say: Language) -> Hours:
    """The hours of a period that has an end, an empty slot where nothing was read."""
    assert period.end is not None
    counted = {rate.hour: rate for rate in rates}
    hours = [period.start + number * HOUR for number in range(-((period.start - period.end) // HOUR))]
    highest = max((rate.reads for rate in counted.values()), default=0)
    gap = GAP if len(hours) <= MANY else 0
    bars = tuple(
        _bar(counted[hour], number * SLOT, SLOT - gap, highest, say)
        for number, hour in enumerate(hours)
        if hour in counted and counted[hour].reads
    )
    return Hours(bars, len(hours) * SLOT, highest, _marks(hours, say))


def _bar(rate: SuccessRate, x: int, width: int, highest: int, say: Language) -> Bar:
    pieces, top = [], float(HEIGHT)
    for tone, reads in (
        ("first", rate.first_time),
        ("later", rate.succeeded - rate.first_time),
        ("failed", rate.failed),
    ):
        height = reads / highest * HEIGHT
        top -= height
        if reads:
            pieces.append(Piece(tone, f"{top:.2f}", f"{height:.2f}"))
    title = say.text(
        "%(hour)s: %(reads)s reads, %(success)s succeeded, %(first)s at the first attempt",
        hour=say.moment(rate.hour),
        reads=say.number(rate.reads),
        success=say.percent(rate.rate),
        first=say.percent(rate.first_rate),
    )
    return Bar(str(x), str(width), title, tuple(pieces))


def _marks(hours: list[datetime], say: Language) -> tuple[str, ...]:
    """Every third hour of a day; of more days the days, and of many only some."""
    civil = [hour.astimezone(say.zone) for hour in hours]
    days = sorted({hour.date() for hour in civil})
    if len(days) == 1:
        return tuple(f"{hour:02d}:00" for hour in NAMED_HOURS)
    step = -(-len(days) // MOST_DAYS_NAMED)
    return tuple(f"{day.month}/{day.day}" for day in days[::step])
