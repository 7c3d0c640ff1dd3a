"""Setting meters' clocks by broadcast, within the limits of the standard.

DL/T 645-2007 §7.2.1 (08H): a meter obeys when it is at most five minutes off, at most once a day, and nobody is to send
it around midnight, when it settles and freezes. A broadcast sets every meter on the line, so that it is sent in the small
hours, when a step of seconds moves no price period, and only where a meter is off by more than reading can tell.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from wattkeeper.collection.drivers.base import Commander
from wattkeeper.collection.meters import KnownMeter

FROM_HOUR, UNTIL_HOUR = 1, 5
"""Local hours between which clocks are set: far from midnight, and before the day's first price period."""
WORTH_SETTING: Final = timedelta(seconds=5)
"""A deviation up to this may be the line's and the meter's whole seconds."""
OBEYED_WITHIN: Final = timedelta(minutes=5)
"""A meter further off does not obey a broadcast; that needs a command, and is an alarm."""


@dataclass(slots=True)
class ClockSetter:
    """Whether the clocks of one link are to be set now."""

    set_on: date | None = None
    """The day on which they were set last."""

    def wants(self, now: datetime, zone: ZoneInfo, meters: Iterable[KnownMeter]) -> Commander | None:
        """Who sets them, when it is the hour, it was not done today, and a meter is off and would obey."""
        local = now.astimezone(zone)
        if not FROM_HOUR <= local.hour < UNTIL_HOUR or self.set_on == local.date():
            return None
        return next((commander for known in meters if (commander := _obeying(known)) is not None), None)

    def was_set(self, now: datetime, zone: ZoneInfo, meters: Iterable[KnownMeter]) -> None:
        """Measure the clocks anew with the next read: only that says whether they obeyed."""
        self.set_on = now.astimezone(zone).date()
        for known in meters:
            if _obeying(known) is not None:
                known.clock_asked_at = None


def _obeying(known: KnownMeter) -> Commander | None:
    """The way to set this meter's clock by broadcast, where that is worth it and it would obey."""
    deviation = known.clock_deviation
    if deviation is None or not WORTH_SETTING < abs(deviation) <= OBEYED_WITHIN:
        return None
    return known.driver.commander
