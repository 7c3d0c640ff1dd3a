"""Half-open periods of time, and their division into civil days, months and slots.

Instants are aware and kept in UTC, so lengths and comparisons are true across clock changes. Civil
boundaries are those of a time zone given by the caller: a day of ``Europe/Berlin`` has 23, 24 or 25 hours.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import Self
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from wattkeeper.kernel.errors import WattkeeperError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_DAY = timedelta(days=1)


class BadTimeRange(WattkeeperError, ValueError):
    """A period that is empty, runs backwards, has a naive end, or is open where it must be closed."""


@dataclass(frozen=True, slots=True)
class TimeRange:
    """The instants from ``start`` up to, but not including, ``end``; ``end=None`` is open-ended.

    A range is never empty, and its ends are kept in UTC whatever zone they came in.
    """

    start: datetime
    end: datetime | None

    def __post_init__(self) -> None:
        object.__setattr__(self, "start", _in_utc(self.start))
        if self.end is None:
            return
        object.__setattr__(self, "end", _in_utc(self.end))
        if self.end <= self.start:
            raise BadTimeRange(
                f"A period must end after its start, but {self.start} is followed by {self.end}."
            )

    @classmethod
    def day(cls, day: date, zone: ZoneInfo) -> Self:
        """The civil day, from its first instant to the first instant of the next day."""
        return cls(start_of_day(day, zone), start_of_day(day + _DAY, zone))

    @classmethod
    def month(cls, year: int, month: int, zone: ZoneInfo) -> Self:
        """The civil month."""
        first = date(year, month, 1)
        return cls(start_of_day(first, zone), start_of_day(_next_month(first), zone))

    def contains(self, instant: datetime) -> bool:
        """Whether the instant lies inside; the start does, the end does not."""
        return self.start <= instant and (self.end is None or instant < self.end)

    def overlaps(self, other: "TimeRange") -> bool:
        """Whether the two share any instant; ranges that only touch do not."""
        return (other.end is None or self.start < other.end) and (self.end is None or other.start < self.end)

    def intersection(self, other: "TimeRange") -> "TimeRange | None":
        """What the two share, or None."""
        if not self.overlaps(other):
            return None
        ends = [end for end in (self.end, other.end) if end is not None]
        return TimeRange(max(self.start, other.start), min(ends, default=None))

    def minus(self, *others: "TimeRange") -> list["TimeRange"]:
        """What is left when the others are taken away, in order; they may overlap each other."""
        left: list[TimeRange] = []
        start = self.start
        for other in sorted(others, key=lambda taken: taken.start):
            if not self.overlaps(other):
                continue
            if start < other.start:
                left.append(TimeRange(start, other.start))
            if other.end is None:
                return left
            start = max(start, other.end)
        if self.end is None or start < self.end:
            left.append(TimeRange(start, self.end))
        return left

    @property
    def duration(self) -> timedelta:
        """The elapsed time; a day of a clock change lasts 23 or 25 hours."""
        return self.closed_end - self.start

    def days(self, zone: ZoneInfo) -> list["TimeRange"]:
        """The civil days, in order; the first and last are cut to this range, so the days partition it."""
        return self._split(list(_midnights(self, zone)))

    def months(self, zone: ZoneInfo) -> list["TimeRange"]:
        """The civil months, in order; the first and last are cut to this range, so the months partition it."""
        first = self.start.astimezone(zone).date().replace(day=1)
        cuts = []
        while (cut := start_of_day(first, zone)) < self.closed_end:
            cuts.append(cut)
            first = _next_month(first)
        return self._split(cuts)

    def slots(self, step: timedelta, zone: ZoneInfo) -> list["TimeRange"]:
        """The slots of the grid that restarts at each civil midnight, cut to this range, so they partition it."""
        grid = slot_starts(self, step, zone)
        return self._split([moment.replace(tzinfo=UTC) for moment in grid.tolist()])

    def _split(self, cuts: list[datetime]) -> list["TimeRange"]:
        end = self.closed_end
        # A day that a country skipped on its way across the date line begins when it ends: one edge, not two.
        edges = dict.fromkeys([self.start, *(cut for cut in cuts if self.start < cut < end), end])
        return [TimeRange(a, b) for a, b in pairwise(edges)]

    @property
    def closed_end(self) -> datetime:
        """The end of a period that must have one."""
        if self.end is None:
            raise BadTimeRange(
                f"The period from {self.start} has no end yet, so it has no length and no parts."
            )
        return self.end

    def __str__(self) -> str:
        return f"{self.start:%Y-%m-%dT%H:%M:%SZ}/{'..' if self.end is None else f'{self.end:%Y-%m-%dT%H:%M:%SZ}'}"


def start_of_day(day: date, zone: ZoneInfo) -> datetime:
    """The first instant of a civil day, in UTC.

    Where the clocks skip midnight this is the instant after the gap; where midnight comes twice, the first one.
    """
    return datetime.combine(day, time(0), zone).astimezone(UTC)


def slot_starts(period: TimeRange, step: timedelta, zone: ZoneInfo) -> npt.NDArray[np.datetime64]:
    """The grid instants within a closed period, as ``datetime64[us]`` in UTC.

    The grid restarts at each civil midnight: a quarter-hour grid has 92, 96 or 100 instants a day.
    ``step`` divides 24 hours; on a day of another length the last slot of a coarse grid is shorter.
    """
    if step <= timedelta(0) or step >= _DAY or _DAY % step:
        raise BadTimeRange(f"A slot must divide a day of 24 hours evenly, and {step} does not.")
    midnights = np.array([_microseconds(cut) for cut in _midnights(period, zone)], dtype=np.int64)
    width = step // _MICROSECOND
    per_day = -(-np.diff(midnights) // width)
    within_day = np.arange(per_day.sum()) - np.repeat(np.cumsum(per_day) - per_day, per_day)
    starts = np.repeat(midnights[:-1], per_day) + within_day * width
    first, last = np.searchsorted(starts, [_microseconds(period.start), _microseconds(period.closed_end)])
    inside: npt.NDArray[np.datetime64] = starts[first:last].astype("datetime64[us]")
    return inside


def _midnights(period: TimeRange, zone: ZoneInfo) -> Iterator[datetime]:
    """The midnights from that of the first day up to the first one at or after the end."""
    end = period.closed_end
    day = period.start.astimezone(zone).date()
    while (midnight := start_of_day(day, zone)) < end:
        yield midnight
        day += _DAY
    yield midnight


def _next_month(first: date) -> date:
    return date(first.year + first.month // 12, first.month % 12 + 1, 1)


def _in_utc(instant: datetime) -> datetime:
    if instant.tzinfo is None:
        raise BadTimeRange(f"The instant {instant} has no time zone; give it one before it goes in a period.")
    return instant.astimezone(UTC)


def _microseconds(instant: datetime) -> int:
    return (instant - _EPOCH) // _MICROSECOND
