"""When a plan's reads are due: aligned to the civil clock, the same after every restart."""

import zlib
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from wattkeeper.kernel.timerange import TimeRange

_DAY_MINUTES = 24 * 60
_LOOKED_AHEAD = 4
"""Openings of a window that are tried for a due instant: a plan that is due in one of them is due in the first few."""


@dataclass(frozen=True, slots=True)
class Window:
    """The part of each day in which a plan may read, in minutes after civil midnight; it may pass midnight.

    A carrier line that is quiet by night is read from 22:00 to 06:00: ``Window(1320, 360)``.
    """

    begins: int
    ends: int

    @property
    def is_part_of_a_day(self) -> bool:
        """Whether both minutes are of a day, and differ."""
        return self.begins != self.ends and {self.begins, self.ends} <= set(range(_DAY_MINUTES))

    def holds(self, at: datetime, zone: ZoneInfo) -> bool:
        """Whether an instant (aware UTC) lies within; the beginning does, the end does not."""
        local = at.astimezone(zone)
        minute = 60 * local.hour + local.minute
        if self.begins < self.ends:
            return self.begins <= minute < self.ends
        return minute >= self.begins or minute < self.ends

    def opens(self, after: datetime, zone: ZoneInfo) -> datetime:
        """The next beginning later than `after` (aware UTC)."""
        return self._next(after, self.begins, zone)

    def closes(self, after: datetime, zone: ZoneInfo) -> datetime:
        """The next end later than `after` (aware UTC)."""
        return self._next(after, self.ends, zone)

    @staticmethod
    def _next(after: datetime, minute: int, zone: ZoneInfo) -> datetime:
        today = after.astimezone(zone).date()
        for day in (today, today + timedelta(days=1), today + timedelta(days=2)):
            moment = datetime.combine(day, time(minute // 60, minute % 60), zone).astimezone(UTC)
            if moment > after:
                return moment
        raise AssertionError("every second day has every minute, whatever clocks do")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rhythm:
    """A period aligned to civil midnight, with an offset and a spread over links, and a window where there is one."""

    every: timedelta
    offset: timedelta = timedelta()
    jitter: timedelta = timedelta()
    window: Window | None = None

    def shift(self, key: str) -> timedelta:
        """How much later than the grid the reads of `key` (a link's code) are due.

        The same key always gives the same shift, so that a restart does not move anyone's readings.
        """
        return self.offset + self.jitter * _share(key)

    def next_due(self, after: datetime, *, zone: ZoneInfo, key: str = "") -> datetime:
        """The first due instant later than `after` (aware UTC) that its window lets through.

        Where the grid has none within the window, as with one read a day at noon and a window by night, the opening of
        the window is due instead.
        """
        due = self._on_the_grid(after, zone=zone, key=key)
        if self.window is None or self.window.holds(due, zone):
            return due
        for _ in range(_LOOKED_AHEAD):
            opening = self.window.opens(due, zone)
            due = self._on_the_grid(opening - timedelta(microseconds=1), zone=zone, key=key)
            if self.window.holds(due, zone):
                return due
        return self.window.opens(after, zone) + self.jitter * _share(key)

    def _on_the_grid(self, after: datetime, *, zone: ZoneInfo, key: str) -> datetime:
        """The first instant of the grid later than `after`.

        The grid restarts at each civil midnight of `zone`, like the slots of energy intervals: on the day of a
        clock change a quarter-hourly plan has 92 or 100 due instants.
        """
        shift = self.shift(key) % self.every if self.every < timedelta(days=1) else self.shift(key)
        day = TimeRange.day((after - shift).astimezone(zone).date(), zone)
        assert day.end is not None
        steps = (after - shift - day.start) // self.every + 1
        return min(day.start + steps * self.every, day.end) + shift


def _share(key: str) -> float:
    return zlib.crc32(key.encode()) / 2**32
