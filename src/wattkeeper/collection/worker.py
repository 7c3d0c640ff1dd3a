"""The owner of one link: takes what matters most from its queues, one request at a time.

A command goes first, then a person's read, then what is due, then the past. One task per link, none per meter.
"""

import asyncio
import heapq
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import structlog

from wattkeeper.collection.backfill import Backfill
from wattkeeper.collection.clock import Clock
from wattkeeper.collection.clocks import ClockSetter
from wattkeeper.collection.commands.desk import CommandDesk
from wattkeeper.collection.commands.lane import CommandLane
from wattkeeper.collection.counts import Failure
from wattkeeper.collection.drivers.base import CLOCK, Past, Request
from wattkeeper.collection.fleet import LinkToCollect, Plan
from wattkeeper.collection.live import LiveReads
from wattkeeper.collection.meters import KnownMeter
from wattkeeper.collection.queues import DueQueue, DueRead
from wattkeeper.collection.reader import Reader, Records, Result
from wattkeeper.collection.values import LinkStatus, LiveReading, Presence
from wattkeeper.links.bus import Bus
from wattkeeper.links.errors import LinkLost, LinkUnavailable

log = structlog.get_logger(__name__)

_AFTER_A_BUG = timedelta(seconds=1)
_STORE_CATCHES_UP = timedelta(seconds=1)
_SHORTEST_PAUSE = 0.5
"""Between two attempts to open a link, whatever the bus says. [s]"""
_MOST_MISSED = 2
"""Requests without an answer in one go at a meter that did answer others; then its neighbours come first."""
_GRACE = 2.0
"""How long the request in flight may take to end when the collector stops. [s]"""


@dataclass(slots=True)
class LinkWorker:
    """The queues of one link and the task that works them off."""

    link: LinkToCollect
    bus: Bus
    clock: Clock
    records: Records
    zone: ZoneInfo
    """In which plans are aligned to the clock."""
    desk: CommandDesk
    meters: dict[int, KnownMeter] = field(default_factory=dict)
    plans: dict[int, Plan] = field(default_factory=dict)
    backfill: Backfill = field(init=False)
    lane: CommandLane = field(init=False)
    _clocks: ClockSetter = field(default_factory=ClockSetter)
    _due: DueQueue = field(default_factory=DueQueue)
    _live: LiveReads = field(init=False)
    _timetable: list[tuple[datetime, int]] = field(default_factory=list)
    """Heap of the next due instant of each plan."""
    _paused_until: datetime | None = None
    _store_until: datetime | None = None
    """The store is behind: until then some work waits."""
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _stopping: bool = False
    _working: bool = True
    _reader: Reader = field(init=False)
    _task: asyncio.Task[None] | None = None

    def __post_init__(self) -> None:
        self._reader = Reader(self.bus, link_id=self.link.link_id, records=self.records)
        self.backfill = Backfill(self._reader, records=self.records)
        self._live = LiveReads(self._reader, self.link.code, records=self.records)
        self.lane = CommandLane(self._reader, self.desk, self.wake)

    # -- from outside -----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to work."""
        self._task = asyncio.create_task(self._run(), name=f"collector: link {self.link.code}")

    async def stop(self) -> None:
        """Let the request in flight end, refuse those who wait, and close the link."""
        self._stopping = True
        self._wake.set()
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=_GRACE)
        await self.bus.close()
        if self._task is not None:
            await self._task
        self._reader.close()
        self._live.refuse()

    def read_live(self, meter_id: int, quantities: Sequence[str]) -> asyncio.Future[list[LiveReading]]:
        """Queue a person's read before everything else."""
        answer = self._live.ask(meter_id, quantities)
        self._wake.set()
        return answer

    def configure(
        self, link: LinkToCollect, meters: Mapping[int, KnownMeter], plans: Sequence[Plan], *, zone: ZoneInfo
    ) -> None:
        """Take over the meters of the link and the plans that cover some of them, aligned to the clock of `zone`."""
        now = self.clock.now()
        self._look_at_the_clock(now)
        for gone in self.meters.keys() - meters.keys():
            self._due.drop(gone)
            self.backfill.drop(gone)
        new = meters.keys() - self.meters.keys()
        self.link, self.zone = link, zone
        self.meters = dict(meters)
        before, self.plans = self.plans, {plan.plan_id: plan for plan in plans}
        for plan in plans:
            old = before.get(plan.plan_id)
            if old is None or not old.differs_only_in_meters(plan):
                # a new plan begins at once, like everything at the start, and then keeps to the clock
                self._come_due(plan, self.meters, now=now)
            else:  # a group that has gained a meter reads that one, not all of it again
                gained = [meter_id for meter_id in self.meters if meter_id in new or not old.covers(meter_id)]
                self._come_due(plan, gained, now=now)
        self._timetable = [(self._next(plan, now), plan.plan_id) for plan in plans]
        heapq.heapify(self._timetable)
        self._wake.set()

    def profiled(self) -> list[tuple[KnownMeter, Past]]:
        """The meters whose past is wanted and that remember it, each with its memory."""
        now = self.clock.now()
        plans = [
            plan
            for plan in self.plans.values()
            if plan.profile and (plan.rhythm.window is None or plan.rhythm.window.holds(now, self.zone))
        ]
        return [
            (known, past)
            for meter_id, known in self.meters.items()
            if any(plan.covers(meter_id) for plan in plans)
            and (past := known.past(now, options=self.records.options)) is not None
        ]

    def wake(self) -> None:
        """Look again whether there is something to do."""
        self._wake.set()

    @property
    def is_waiting(self) -> bool:
        """Whether nothing can be done before time passes or something new comes."""
        next_instant = self._next_instant()
        due_now = next_instant is not None and next_instant <= self.clock.now()
        return not (self._working or due_now or self._live or self.lane.is_ready)

    @property
    def is_idle(self) -> bool:
        """Whether everything that was queued or is due is done."""
        return self.is_waiting and not (len(self._due) or len(self.backfill))

    def status(self) -> LinkStatus:
        """A snapshot for others."""
        state = self.bus.state
        return LinkStatus(
            link_id=self.link.link_id,
            code=self.link.code,
            url=self.link.url,
            connected=state.connected,
            since=state.since,
            error=state.error,
            meters=len(self.meters),
            waiting_commands=len(self.lane),
            waiting_live=len(self._live),
            waiting_due=len(self._due),
            backfilling=len(self.backfill),
        )

    # -- the task ---------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        while not self._stopping:
            self._wake.clear()
            try:
                self._working = True
                worked = await self._work()
            except Exception:
                # A fault of ours with one meter must not end the reading of all the others on the link.
                log.exception("reading failed", link=self.link.code)
                self._paused_until = self.clock.now() + _AFTER_A_BUG
                worked = False
            self._working = False
            if not worked and not self._stopping:
                await self.clock.wait(self._wake, until=self._next_instant())
                await self.records.turns.enter()

    async def _work(self) -> bool:
        """The piece of work that matters most; False when there is nothing to do now."""
        connected = self.bus.state.connected
        try:
            if await self._serve_people():
                return True
            now = self.clock.now()
            self._look_at_the_clock(now)
            if self._paused_until is not None:
                if now < self._paused_until:
                    return False
                self._paused_until = None
            if self.records.writer.is_full:
                self._store_until = now + _STORE_CATCHES_UP
                return False
            if (read := self._due.pop(now)) is not None:
                await self._read_due(read)
                return True
            return await self._set_clocks(now) or await self._fill_a_gap(now)
        finally:
            if self.bus.state.connected != connected:
                self.records.hub.publish("link", self.status())

    def _look_at_the_clock(self, now: datetime) -> None:
        while self._timetable and self._timetable[0][0] <= now:
            plan = self.plans[self._timetable[0][1]]
            heapq.heapreplace(self._timetable, (self._next(plan, now), plan.plan_id))
            self._come_due(plan, self.meters, now=now)

    def _come_due(self, plan: Plan, meter_ids: Iterable[int], *, now: datetime) -> None:
        window = plan.rhythm.window
        if window is not None and not window.holds(now, self.zone):
            return  # what begins at once, as at a start, waits for the window all the same
        until = None if window is None else window.closes(now, self.zone)
        for meter_id in meter_ids:
            if plan.covers(meter_id) and self.meters[meter_id].health.may_be_asked(now):
                silent = self.meters[meter_id].health.presence is Presence.SILENT
                self._due.add(meter_id, plan.quantities, silent=silent, until=until)

    def _next(self, plan: Plan, after: datetime) -> datetime:
        return plan.rhythm.next_due(after, zone=self.zone, key=self.link.code)

    def _next_instant(self) -> datetime | None:
        if self._paused_until is not None:
            ripe = self.lane.next_ripe
            return self._paused_until if ripe is None else min(self._paused_until, ripe)
        next_plan = self._timetable[0][0] if self._timetable else None
        instants = (
            next_plan,
            self._due.next_ripe,
            self.backfill.next_ripe,
            self.lane.next_ripe,
            self._store_until,
        )
        return min((instant for instant in instants if instant is not None), default=None)

    # -- clocks -----------------------------------------------------------------------------------------------------

    async def _set_clocks(self, now: datetime) -> bool:
        """Set the clocks of the line by broadcast where that is wanted; True when it was sent."""
        if not self.records.options.set_clocks:
            return False
        commander = self._clocks.wants(now, self.zone, self.meters.values())
        if commander is None:
            return False
        try:
            await self.bus.run(commander.broadcast_time(now, zone=self.zone))
        except (LinkLost, LinkUnavailable):
            self._pause()
            return False
        self._clocks.was_set(now, self.zone, self.meters.values())
        await self.desk.clocks_were_set(self.link.link_id, self.link.code)
        return True

    # -- due --------------------------------------------------------------------------------------------------------

    async def _read_due(self, read: DueRead) -> None:
        """All that is due of one meter; a person's read goes in between two requests.

        Many a meter is silent where it should refuse, most often to blocks. What found no answer is asked last when
        the read is tried again, a block item by item, so that nothing else is lost over it.
        """
        known = self.meters[read.meter_id]
        if known.is_to_be_met(self.clock.now()) and not await self._meet(known, read):
            return
        waiting = deque(self._plan_due(known, read))
        repeated = read.attempts > 0
        missed = 0
        while waiting and missed < _MOST_MISSED and not self._stopping:
            await self._serve_people()
            request = waiting.popleft()
            more = self._may_retry(known, read)
            result = await self._reader.ask(
                known, request, attempts=1, repeated=repeated, last=not more, present=read.answered
            )
            repeated = False
            if result.failure is Failure.LINK_DOWN:
                # Behind the others: a gateway that hangs up on one meter must not be asked for it again and again.
                self._due.put_back(read, not_before=self._pause())
                return
            missed += self._file(read, request, result)
            if result.silent and not read.answered:
                break
            if result.failure is Failure.UNSUPPORTED:
                waiting.extendleft(reversed(request.parts))
        if not missed or not self._try_again(known, read):
            self._learn_ignored(known, read)

    async def _meet(self, known: KnownMeter, read: DueRead) -> bool:
        """Find out which edition the meter speaks; False when it did not say and the read is tried again later."""
        more = self._may_retry(known, read)
        result = await self._reader.meet(known, repeated=read.attempts > 0, last=not more)
        if result.failure is Failure.LINK_DOWN:
            self._due.put_back(read, not_before=self._pause())
        elif result.failure is not None:
            self._try_again(known, read)
        read.answered = read.answered or result.failure is None
        return result.failure is None

    def _file(self, read: DueRead, request: Request, result: Result) -> bool:
        """Note what became of one request of a due read; True when it found no answer."""
        if result.silent:
            if result.failure is Failure.NO_REPLY:
                read.unanswered.add(request.key)
            return True
        read.answered = True
        read.unanswered.discard(request.key)
        if not (result.failure is Failure.UNSUPPORTED and request.parts):
            read.quantities.difference_update(request.quantities)
        return False

    def _learn_ignored(self, known: KnownMeter, read: DueRead) -> None:
        """At the end of a due read: what the meter never answers, although it answers, is not asked again soon."""
        if read.answered:
            for key in known.ignores(read.unanswered, options=self.records.options):
                self._reader.note_refusal(known, key, at=self.clock.now())

    def _may_retry(self, known: KnownMeter, read: DueRead) -> bool:
        """Whether a failure now is followed by another attempt: not for a meter that is silent, or about to be."""
        options = self.records.options
        return read.attempts < options.retries and known.health.failures_in_a_row + 1 < options.silent_after

    def _try_again(self, known: KnownMeter, read: DueRead) -> bool:
        """Behind the other meters, after a pause; False for the silent: theirs are the plans and their own back-off."""
        options = self.records.options
        read.attempts += 1
        if read.attempts > options.retries or not known.health.may_be_asked(self.clock.now()):
            return False
        pause = timedelta(seconds=options.retry_seconds * 2 ** (read.attempts - 1))
        self._due.put_back(read, not_before=self.clock.now() + pause)
        return True

    def _plan_due(self, known: KnownMeter, read: DueRead) -> list[Request]:
        """The requests of a due read: what found no answer before comes last, and in pieces where it can be divided."""
        wanted = set(read.quantities)
        if known.wants_clock(self.clock.now(), options=self.records.options, late=self._due.is_late):
            wanted.add(CLOCK)
        blocks = {key for key in read.unanswered if not known.driver.brings(key)}
        planned = known.plan(wanted, self.clock.now(), options=self.records.options, without=blocks)
        return sorted(planned, key=lambda request: request.key in read.unanswered)

    def _pause(self) -> datetime:
        """The link is down: nobody on it can be asked until it may be opened again, at the instant returned."""
        seconds = max(self.bus.retry_in, _SHORTEST_PAUSE)
        self._paused_until = self.clock.now() + timedelta(seconds=seconds)
        self.records.hub.publish("link", self.status())
        return self._paused_until

    # -- a person waits ---------------------------------------------------------------------------------------------

    async def _serve_people(self) -> bool:
        """Give the commands that can be given and read for everyone who waits; True when there was somebody."""
        served = False
        while not self._stopping and await self.lane.serve(self.meters):
            served = True
            # A batch of commands takes minutes: who asked for one meter goes in between.
            await self._live.serve(self.meters)
        return (not self._stopping and await self._live.serve(self.meters)) or served

    # -- the past ---------------------------------------------------------------------------------------------------

    async def _fill_a_gap(self, now: datetime) -> bool:
        """One request for the oldest gap; False when there is none, or the store must catch up first."""
        if self.records.writer.is_behind:
            self._store_until = now + _STORE_CATCHES_UP
            return False
        self._store_until = None
        meter_id = self.backfill.next_meter()
        if meter_id is None:
            return False
        known = self.meters[meter_id]
        past = known.past(now, options=self.records.options)
        if past is None or not known.health.may_be_asked(now):
            self.backfill.drop(meter_id)
            return True
        try:
            result = await self.backfill.step(known, past)
        except Exception:
            self.backfill.drop(meter_id)  # or it would come first again, for ever
            raise
        if result.failure is Failure.LINK_DOWN:
            self._pause()
        return True
