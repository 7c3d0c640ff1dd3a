"""Counts of how reading goes, gathered in memory.

Per link, meter and hour they are written down now and then; per link and protocol they grow as long as the process
lives, for whoever watches it.
"""

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum


class Failure(StrEnum):
    """Why a read failed; the names are the columns of the statistics table."""

    NO_REPLY = "no_reply"
    REFUSED = "refused"
    UNSUPPORTED = "unsupported"
    """The meter does not have what was asked, and is not asked again soon."""
    GARBLED = "garbled"
    LINK_DOWN = "link_down"


_MILLISECOND = timedelta(milliseconds=1)
NO_METER = 0
"""Stands for the meter where the link itself is the trouble."""


ANSWER_BOUNDS_MS = (50, 100, 200, 300, 500, 750, 1_000, 2_000, 5_000, 10_000, 30_000)
"""Upper bounds of the classes of answer times, each included; what takes longer has a class of its own. [ms]"""


@dataclass(frozen=True, slots=True, order=True)
class HourKey:
    """What is counted together: an hour of one meter, asked over one link in one protocol."""

    hour: datetime
    link_id: int
    meter_id: int
    protocol: str


@dataclass(slots=True)
class Totals:
    """Everything counted on one link in one protocol since the process began."""

    counts: Counter[str] = field(default_factory=Counter)
    """By column of the statistics table; only ever grows."""
    answers: list[int] = field(default_factory=lambda: [0] * (len(ANSWER_BOUNDS_MS) + 1))
    """Reads that succeeded, by how long the answer took: the classes of `ANSWER_BOUNDS_MS`, and the rest."""


@dataclass(slots=True)
class ReadStatistics:
    """What has been counted since the last `take`, and in all."""

    counts: dict[HourKey, Counter[str]] = field(default_factory=dict)
    totals: dict[tuple[int, str], Totals] = field(default_factory=dict)
    """By link and protocol."""

    def count(
        self,
        at: datetime,
        *,
        link_id: int,
        meter_id: int,
        protocol: str,
        attempts: int,
        strays: int = 0,
        failure: Failure | None = None,
        repeated: bool = False,
        ended: bool = True,
        took: timedelta = timedelta(),
    ) -> None:
        """Count the attempts of a read and, when it has `ended`, how: well, after `took`, or with a failure.

        `repeated`: earlier attempts of the same read have been counted before.
        """
        key = HourKey(at.replace(minute=0, second=0, microsecond=0), link_id, meter_id, protocol)
        total = self.totals.get((link_id, protocol))
        if total is None:
            total = self.totals[link_id, protocol] = Totals()
        for counter in (self.counts.setdefault(key, Counter()), total.counts):
            counter["attempts"] += attempts
            counter["strays"] += strays
            if not ended:
                continue
            counter["reads"] += 1
            if failure is not None:
                counter[failure.value] += 1
                continue
            counter["succeeded"] += 1
            counter["answer_ms"] += took // _MILLISECOND
            counter["first_time"] += attempts == 1 and not repeated
        if ended and failure is None:
            total.answers[bisect_left(ANSWER_BOUNDS_MS, took / _MILLISECOND)] += 1

    def take(self) -> dict[HourKey, Counter[str]]:
        """Hand over what was counted and begin again."""
        taken, self.counts = self.counts, {}
        return taken

    def give_back(self, taken: dict[HourKey, Counter[str]]) -> None:
        """Keep counts that could not be written."""
        for key, counter in taken.items():
            self.counts.setdefault(key, Counter()).update(counter)
