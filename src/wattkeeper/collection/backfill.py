"""The past: what the store lacks is fetched from the meters' own memory, oldest first, in a link's idle time."""

import asyncio
import heapq
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from wattkeeper.collection.counts import Failure
from wattkeeper.collection.drivers.base import Past, Request
from wattkeeper.collection.meters import KnownMeter
from wattkeeper.collection.reader import Reader, Records, Result
from wattkeeper.collection.values import Presence
from wattkeeper.kernel.timerange import TimeRange

_ATTEMPTS = 2
_SECONDS_PER_REQUEST = 1.5
"""How long one request for the past may keep a person waiting."""
_FIRST_COUNT = 6
_MOST_COUNT = 96
_MOST_FAILURES = 4
"""Requests in a row without an answer after which a meter is left alone until the store is asked again."""


@dataclass(slots=True)
class _Gaps:
    """What one meter still has to tell, oldest first."""

    ranges: deque[TimeRange]
    until: datetime
    """The store was asked up to this instant: when nothing is left, all before it is dealt with."""
    earliest: datetime | None = None
    """The oldest record the meter has, once it was asked."""
    latest: datetime | None = None
    asked_extremes: bool = False
    most: int = _MOST_COUNT
    """Records that get through in one request: on a disturbed line one of many frames is always damaged."""
    failures: int = 0
    """Requests in a row without an answer."""
    rests: bool = False


@dataclass(slots=True)
class Backfill:
    """The gaps of the meters on one link."""

    reader: Reader
    records: Records
    _gaps: dict[int, _Gaps] = field(default_factory=dict)
    _order: list[tuple[datetime, int]] = field(default_factory=list)
    """Heap: the meter with the oldest gap first."""
    _resting: list[tuple[datetime, int]] = field(default_factory=list)
    """Heap: until when meters that failed stand back, so that their neighbours go on."""
    _count: int = _FIRST_COUNT
    """Records per request, so that it takes about as long as it may on this line."""

    def __len__(self) -> int:
        return len(self._gaps)

    def __contains__(self, meter_id: object) -> bool:
        return meter_id in self._gaps

    def found(self, meter_id: int, gaps: Iterable[TimeRange], *, until: datetime) -> None:
        """Take over what the store lacks of a meter, up to `until`; in place of what was known before."""
        ranges = deque(gaps)
        if not ranges:
            self._gaps.pop(meter_id, None)
            return
        self._gaps[meter_id] = _Gaps(ranges, until)
        heapq.heappush(self._order, (ranges[0].start, meter_id))

    def drop(self, meter_id: int) -> None:
        """Leave a meter alone until the store is asked again."""
        self._gaps.pop(meter_id, None)

    def next_meter(self) -> int | None:
        """The meter whose gap begins first, of those that do not rest."""
        now = self.records.now()
        while self._resting and self._resting[0][0] <= now:
            _, rested = heapq.heappop(self._resting)
            if (gaps := self._gaps.get(rested)) is not None:
                gaps.rests = False
                heapq.heappush(self._order, (gaps.ranges[0].start, rested))
        while self._order:
            start, meter_id = self._order[0]
            gaps = self._gaps.get(meter_id)
            if gaps is not None and not gaps.rests and gaps.ranges[0].start == start:
                return meter_id
            heapq.heappop(self._order)  # of a gap that rests, or was filled, dropped or replaced meanwhile
        return None

    @property
    def next_ripe(self) -> datetime | None:
        """When the first meter that rests may be asked again."""
        return self._resting[0][0] if self._resting else None

    async def step(self, known: KnownMeter, past: Past) -> Result:
        """One request for the oldest gap of a meter, to its memory."""
        gaps = self._gaps[known.meter.meter_id]
        step = past.step(known.meter.slot)
        start = gaps.ranges[0].start
        count = min(self._count, gaps.most, -(-gaps.ranges[0].duration // step))
        loop = asyncio.get_running_loop()
        began = loop.time()
        result = await self._ask_from(known, past, start, count=count)
        if result.newest is not None and result.newest < start:
            # The answer to the question before, come late or twice: on the wire nothing tells the two apart.
            result = await self._ask_from(known, past, start, count=count)
        if result.failure is Failure.UNSUPPORTED:
            return await self._nothing_there(
                known, past
            )  # some meters say so of a time they have no record of
        if result.failure is not None:
            return result
        self._learn_pace(loop.time() - began, asked=count)
        gaps.failures, gaps.most = 0, min(2 * gaps.most, _MOST_COUNT)
        if result.newest is not None and result.newest >= start:
            self._reached(known, result.newest + step)
            return result
        return await self._nothing_there(known, past)

    async def _ask_from(self, known: KnownMeter, past: Past, start: datetime, *, count: int) -> Result:
        address, zone = known.meter.address, known.meter.zone
        request = past.since(address, start, count=count, zone=zone, now=self.records.now())
        return await self._ask(known, request)

    async def _nothing_there(self, known: KnownMeter, past: Past) -> Result:
        """No record from the start of a gap on: the meter forgot it, or slept through it, or has yet to write it."""
        gaps = self._gaps.get(known.meter.meter_id)
        if gaps is None:  # the store was asked again meanwhile, and lacks nothing any more
            return Result()
        if not gaps.asked_extremes:
            failed = await self._ask_extremes(known, past, gaps)
            if failed is not None:
                return failed
        start = gaps.ranges[0].start
        if gaps.earliest is not None and start < gaps.earliest:
            self._reached(known, gaps.earliest)
        elif gaps.latest is not None and start < gaps.latest:
            # A meter that was without power wrote nothing then, and answers only to stamps it has.
            self._reached(known, start + past.step(known.meter.slot))
        else:
            self.drop(known.meter.meter_id)
        return Result()

    async def _ask_extremes(self, known: KnownMeter, past: Past, gaps: _Gaps) -> Result | None:
        """Learn the oldest and the newest record of a meter; the failure that kept us from it, or None."""
        extremes = []
        for way in (past.earliest, past.latest):
            result = await self._ask(known, way(known.meter.address, zone=known.meter.zone))
            if result.failure not in (None, Failure.UNSUPPORTED):
                return result
            extremes.append(result.newest)
        gaps.earliest, gaps.latest = extremes
        gaps.asked_extremes = True
        return None

    async def _ask(self, known: KnownMeter, request: Request) -> Result:
        """Ask, a meter in doubt only once; one that fails rests."""
        attempts = _ATTEMPTS if known.health.presence is Presence.ANSWERING else 1
        result = await self.reader.ask(known, request, attempts=attempts, announce=False)
        if result.failure not in (None, Failure.LINK_DOWN, Failure.UNSUPPORTED):
            self._rest(known)
        return result

    def _rest(self, known: KnownMeter) -> None:
        """Let a meter that failed stand back for a while, and ask it for less then; after a few times leave it alone."""
        meter_id, now = known.meter.meter_id, self.records.now()
        gaps = self._gaps.get(meter_id)
        if gaps is None:
            return
        gaps.failures += 1
        gaps.most = max(1, min(gaps.most, self._count) // 2)
        if gaps.failures >= _MOST_FAILURES or not known.health.may_be_asked(now):
            self.drop(meter_id)
            return
        gaps.rests = True
        pause = timedelta(seconds=self.records.options.retry_seconds)
        heapq.heappush(self._resting, (now + pause, meter_id))

    def _reached(self, known: KnownMeter, instant: datetime) -> None:
        """All before `instant` is fetched or cannot be had."""
        meter_id = known.meter.meter_id
        gaps = self._gaps.get(meter_id)
        if gaps is None:
            return
        while gaps.ranges and instant >= gaps.ranges[0].closed_end:
            gaps.ranges.popleft()
        if not gaps.ranges:
            self._note(known, gaps.until)
            self.drop(meter_id)
            return
        first = gaps.ranges[0]
        gaps.ranges[0] = TimeRange(max(instant, first.start), first.end)
        heapq.heappush(self._order, (gaps.ranges[0].start, meter_id))
        self._note(known, gaps.ranges[0].start)

    def _note(self, known: KnownMeter, until: datetime) -> None:
        known.backfilled_until = until
        self.records.writer.backfilled(known.meter.meter_id, until)

    def _learn_pace(self, seconds: float, *, asked: int) -> None:
        """As many records next time as the line carries in the time that a person may be kept waiting."""
        fitting = int(asked * _SECONDS_PER_REQUEST / max(seconds, 1e-3))
        self._count = max(1, min(fitting, 2 * self._count, _MOST_COUNT))
