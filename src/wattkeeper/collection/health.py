"""Whether a meter answers, and how rarely to ask one that does not.

Pure. A dead meter costs its bus one reply time-out per attempt, so the pauses between attempts double up to a
limit; the first answer forgets them all.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from wattkeeper.collection.values import CollectorOptions, Presence


@dataclass(slots=True)
class MeterHealth:
    """The recent past of one meter."""

    presence: Presence = Presence.UNKNOWN
    since: datetime | None = None
    failures_in_a_row: int = 0
    last_success_at: datetime | None = None
    last_failure_at: datetime | None = None
    last_failure: str | None = None
    next_attempt_at: datetime | None = None
    jams_in_a_row: int = 0
    """Attempts after which noise held the line for long."""
    in_quarantine: bool = False
    """Left alone for hours because it disturbs its line."""

    def may_be_asked(self, now: datetime) -> bool:
        """Whether a read by plan may be tried now; a person may always ask."""
        return self.next_attempt_at is None or self.next_attempt_at <= now

    def answered(self, now: datetime) -> bool:
        """Note an answer; True when this changes the meter's presence."""
        self.failures_in_a_row = self.jams_in_a_row = 0
        self.in_quarantine = False
        self.next_attempt_at = None
        self.last_success_at = now
        return self._become(Presence.ANSWERING, now)

    def failed(self, now: datetime, *, why: str, options: CollectorOptions, jammed: bool = False) -> bool:
        """Note a read without an answer; True when this changes the meter's presence.

        `jammed`: noise went on and on instead. Such a meter holds up its neighbours far longer than a dead one, so that
        after a few times it is left alone for hours (quarantine).
        """
        self.failures_in_a_row += 1
        self.jams_in_a_row = self.jams_in_a_row + 1 if jammed else 0
        self.last_failure_at = now
        self.last_failure = why
        if self.jams_in_a_row >= options.jams_after:
            return self.leave_alone(now + timedelta(hours=options.quarantine_hours), now)
        beyond = self.failures_in_a_row - options.silent_after
        if beyond < 0:
            return self._become(Presence.FAILING, now)
        self.next_attempt_at = now + back_off(beyond, options=options)
        return self._become(Presence.SILENT, now)

    def leave_alone(self, until: datetime, now: datetime) -> bool:
        """Do not ask it before `until`; True when this changes its presence."""
        self.in_quarantine = True
        self.next_attempt_at = until
        return self._become(Presence.SILENT, now)

    def _become(self, presence: Presence, now: datetime) -> bool:
        if self.presence is presence:
            return False
        self.presence, self.since = presence, now
        return True


def back_off(doublings: int, *, options: CollectorOptions) -> timedelta:
    """The pause after the given number of doublings, never above the longest."""
    seconds = options.first_back_off_seconds
    for _ in range(doublings):
        if seconds >= options.longest_back_off_seconds:
            break
        seconds *= 2
    return timedelta(seconds=min(seconds, options.longest_back_off_seconds))
