"""What one link still has to do, in the order it matters: asked by a person, then due, then the past.

Pure: no clock and no I/O. The link's worker asks for the next piece of work and says how it went.
"""

import heapq
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

_PATIENCE = 8
"""Reads of meters that answer for one read of a meter that may not: its time-out is as long as many answers."""


@dataclass(slots=True)
class DueRead:
    """The quantities of one meter that are due, gathered from every plan that wants some."""

    meter_id: int
    quantities: set[str]
    attempts: int = 0
    """How often this due read was tried and failed."""
    answered: bool = False
    """The meter has answered something of it."""
    unanswered: set[str] = field(default_factory=set)
    """Requests (their keys) that found no answer at all."""
    until: datetime | None = None
    """The window of every plan that wants it closes then, and it is given up; None: whenever the line is free."""


@dataclass(slots=True)
class DueQueue:
    """Due reads of the meters on one link, each meter at most once.

    First come first served; meters that did not answer the last time stand in a line of their own behind the others,
    which moves too, but slowly, while the others wait.
    """

    _line: deque[int] = field(default_factory=deque)
    _behind: deque[int] = field(default_factory=deque)
    _overtaken: int = 0
    """Reads taken from the line since the last one from behind it."""
    _reads: dict[int, DueRead] = field(default_factory=dict)
    _parked: list[tuple[datetime, int]] = field(default_factory=list)
    is_late: bool = False
    """A meter came due again for what it still waited for, and the line has not been empty since."""

    def __len__(self) -> int:
        return len(self._reads)

    def __contains__(self, meter_id: object) -> bool:
        return meter_id in self._reads

    def add(
        self,
        meter_id: int,
        quantities: Iterable[str],
        *,
        silent: bool = False,
        until: datetime | None = None,
    ) -> None:
        """Note that a meter is due; a meter that still waits only gains what it lacks, `silent` ones stand behind."""
        waiting = self._reads.get(meter_id)
        if waiting is not None:
            due = set(quantities)
            self.is_late = self.is_late or not waiting.quantities.isdisjoint(due)
            waiting.quantities |= due
            waiting.until = _later(waiting.until, until)
            return
        self._reads[meter_id] = DueRead(meter_id, set(quantities), until=until)
        (self._behind if silent else self._line).append(meter_id)

    def pop(self, now: datetime) -> DueRead | None:
        """The next due read; those put back stand behind the others once their pause is over."""
        while self._parked and self._parked[0][0] <= now:
            self._behind.append(heapq.heappop(self._parked)[1])
        while self._line or self._behind:
            behind = not self._line or bool(self._behind and self._overtaken >= _PATIENCE)
            read = self._reads.pop((self._behind if behind else self._line).popleft(), None)
            if read is not None and (read.until is None or now < read.until):
                self._overtaken = 0 if behind else self._overtaken + 1
                return read
        self.is_late = False
        return None

    def put_back(self, read: DueRead, *, not_before: datetime) -> None:
        """Keep a read that failed: it comes again behind the others after a pause, whoever is to blame."""
        waiting = self._reads.get(read.meter_id)
        if waiting is not None:  # it came due again while it was being read
            waiting.quantities |= read.quantities
            waiting.attempts, waiting.answered = read.attempts, read.answered
            waiting.unanswered = read.unanswered
            waiting.until = _later(waiting.until, read.until)
            return
        self._reads[read.meter_id] = read
        heapq.heappush(self._parked, (not_before, read.meter_id))

    def drop(self, meter_id: int) -> None:
        """Forget a meter that is no longer read here."""
        self._reads.pop(meter_id, None)

    @property
    def next_ripe(self) -> datetime | None:
        """When the earliest read that was put back may be tried again."""
        return self._parked[0][0] if self._parked else None


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    return None if one is None or other is None else max(one, other)
