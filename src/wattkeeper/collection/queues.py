"""What one link still has to do, in the order it matters: asked by a person, then due, then the past.

Pure: no clock and no I/O. The link's worker asks for the next piece of work and says how it went.
"""

import heapq
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(slots=True)
class DueRead:
    """The quantities of one meter that are due, gathered from every plan that wants some."""

    meter_id: int
    quantities: set[str]
    attempts: int = 0
    """How often this due read was tried and failed."""


@dataclass(slots=True)
class DueQueue:
    """Due reads of the meters on one link, first come first served, each meter at most once."""

    _line: deque[int] = field(default_factory=deque)
    _reads: dict[int, DueRead] = field(default_factory=dict)
    _parked: list[tuple[datetime, int]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self._reads)

    def __contains__(self, meter_id: object) -> bool:
        return meter_id in self._reads

    def add(self, meter_id: int, quantities: Iterable[str]) -> None:
        """Note that a meter is due; a meter that still waits only gains what it lacks."""
        waiting = self._reads.get(meter_id)
        if waiting is not None:
            waiting.quantities.update(quantities)
            return
        self._reads[meter_id] = DueRead(meter_id, set(quantities))
        self._line.append(meter_id)

    def pop(self, now: datetime) -> DueRead | None:
        """The next due read; those put back join the end of the line once their pause is over."""
        while self._parked and self._parked[0][0] <= now:
            self._line.append(heapq.heappop(self._parked)[1])
        while self._line:
            read = self._reads.pop(self._line.popleft(), None)
            if read is not None:
                return read
        return None

    def put_back(self, read: DueRead, *, not_before: datetime) -> None:
        """Keep a read that failed: it joins the end of the line after a pause, whoever is to blame."""
        waiting = self._reads.get(read.meter_id)
        if waiting is not None:  # it came due again while it was being read
            waiting.quantities |= read.quantities
            waiting.attempts = read.attempts
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
