"""Counts of how reading goes, per link, meter and hour, gathered in memory and written down now and then."""

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


@dataclass(frozen=True, slots=True, order=True)
class HourKey:
    """One row of the statistics."""

    hour: datetime
    link_id: int
    meter_id: int


@dataclass(slots=True)
class ReadStatistics:
    """What has been counted since the last `take`."""

    counts: dict[HourKey, Counter[str]] = field(default_factory=dict)

    def count(
        self,
        at: datetime,
        *,
        link_id: int,
        meter_id: int,
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
        key = HourKey(at.replace(minute=0, second=0, microsecond=0), link_id, meter_id)
        counter = self.counts.setdefault(key, Counter())
        counter["attempts"] += attempts
        counter["strays"] += strays
        if not ended:
            return
        counter["reads"] += 1
        if failure is not None:
            counter[failure.value] += 1
            return
        counter["succeeded"] += 1
        counter["answer_ms"] += took // _MILLISECOND
        counter["first_time"] += attempts == 1 and not repeated

    def take(self) -> dict[HourKey, Counter[str]]:
        """Hand over what was counted and begin again."""
        taken, self.counts = self.counts, {}
        return taken

    def give_back(self, taken: dict[HourKey, Counter[str]]) -> None:
        """Keep counts that could not be written."""
        for key, counter in taken.items():
            self.counts.setdefault(key, Counter()).update(counter)
