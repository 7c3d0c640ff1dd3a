"""When a plan's reads are due: aligned to the civil clock, the same after every restart."""

import zlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from wattkeeper.kernel.timerange import TimeRange


@dataclass(frozen=True, slots=True, kw_only=True)
class Rhythm:
    """A period aligned to civil midnight, with an offset and a spread over links."""

    every: timedelta
    offset: timedelta = timedelta()
    jitter: timedelta = timedelta()

    def shift(self, key: str) -> timedelta:
        """How much later than the grid the reads of `key` (a link's code) are due.

        The same key always gives the same shift, so that a restart does not move anyone's readings.
        """
        share = zlib.crc32(key.encode()) / 2**32
        return self.offset + self.jitter * share

    def next_due(self, after: datetime, *, zone: ZoneInfo, key: str = "") -> datetime:
        """The first due instant later than `after` (aware UTC).

        The grid restarts at each civil midnight of `zone`, like the slots of energy intervals: on the day of a
        clock change a quarter-hourly plan has 92 or 100 due instants.
        """
        shift = self.shift(key) % self.every if self.every < timedelta(days=1) else self.shift(key)
        day = TimeRange.day((after - shift).astimezone(zone).date(), zone)
        assert day.end is not None
        steps = (after - shift - day.start) // self.every + 1
        return min(day.start + steps * self.every, day.end) + shift
