"""The collector: reads every meter by plan, keeps every link busy with what matters most, and loses nothing."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import structlog

from wattkeeper.collection.clock import Clock, SystemClock
from wattkeeper.collection.commands.desk import CommandDesk
from wattkeeper.collection.commands.dispatch import CommandDispatcher
from wattkeeper.collection.commands.lane import CommandLane
from wattkeeper.collection.commands.values import CommandOptions
from wattkeeper.collection.counts import ReadStatistics, Totals
from wattkeeper.collection.drivers import DRIVERS
from wattkeeper.collection.drivers.base import Driver, DriverFamily, MeterSecret
from wattkeeper.collection.errors import CollectionError, UnknownMeter
from wattkeeper.collection.fleet import Fleet, LinkToCollect, Memory, MeterToCollect, Plan
from wattkeeper.collection.gaps import GapFinder
from wattkeeper.collection.meters import KnownMeter
from wattkeeper.collection.notes import Notes
from wattkeeper.collection.ownership import own_meters
from wattkeeper.collection.plan_repository import PlanRepository
from wattkeeper.collection.reader import Records
from wattkeeper.collection.repository import CollectionRepository
from wattkeeper.collection.values import (
    CollectorOptions,
    LinkStatus,
    LiveReading,
    MeterState,
    Presence,
    SuccessRate,
)
from wattkeeper.collection.worker import LinkWorker
from wattkeeper.collection.writer import ReadingWriter
from wattkeeper.kernel.database import Database
from wattkeeper.kernel.hub import Hub
from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.links.bus import Bus
from wattkeeper.links.errors import BadLinkUrl
from wattkeeper.links.url import LinkUrl
from wattkeeper.readings.quantities import quantity
from wattkeeper.readings.store import ReadingsStore

log = structlog.get_logger(__name__)

_RELOAD_SHARE = 20
"""Looking at the registry may take one part in so many of the time between two looks."""


class Collector:
    """Owns every enabled link and reads the meters behind it.

    Lives on one event loop; the ledger database and the store are only touched in threads.
    """

    def __init__(
        self,
        database: Database,
        store: ReadingsStore,
        hub: Hub,
        *,
        options: CollectorOptions | None = None,
        clock: Clock | None = None,
        drivers: Mapping[str, DriverFamily] = DRIVERS,
        commands: CommandOptions | None = None,
        secret: MeterSecret | None = None,
    ) -> None:
        self.options = options or CollectorOptions()
        self._database = database
        self._clock = clock or SystemClock()
        self._drivers = drivers
        self._hub = hub
        self._store = store
        self._fleet = Fleet({}, ())
        self._memories: dict[int, Memory] = {}
        self._known: dict[int, KnownMeter] = {}
        self._workers: dict[int, LinkWorker] = {}
        self._unusable: dict[int, LinkStatus] = {}
        self._said: set[tuple[str, str, tuple[str, ...]]] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._reloading = asyncio.Lock()
        self._look_for_gaps = asyncio.Event()
        self._let_go: Callable[[], None] = lambda: None
        self.writer = ReadingWriter(
            store, now=self._clock.now, save_backfilled=self._save_backfilled, options=self.options
        )
        self._records = Records(
            now=self._clock.now,
            writer=self.writer,
            statistics=ReadStatistics(),
            hub=hub,
            options=self.options,
        )
        self._notes = Notes(database, self._records)
        self._desk = CommandDesk(
            database, hub, now=self._clock.now, options=commands or CommandOptions(), secret=secret
        )
        self._dispatcher = CommandDispatcher(self._desk)
        self._gaps = GapFinder(store, self._records)

    # -- life -------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Create the default plans where there are none, load the registry and begin to read; raises AnotherCollects."""
        self._let_go = await asyncio.to_thread(own_meters, self._database)
        self._memories = await asyncio.to_thread(self._prepare)
        await self._dispatcher.recover()
        self.writer.start()
        await self.reload()
        options = self.options
        self._tasks = [
            asyncio.create_task(
                self._every(options.reload_seconds, self._reload_gently), name="collector: registry"
            ),
            asyncio.create_task(
                self._every(options.statistics_seconds, self._notes.save), name="collector: notes"
            ),
            asyncio.create_task(self._watch_gaps(), name="collector: gaps"),
            asyncio.create_task(
                self._every(options.commands_seconds, self._dispatch_commands), name="collector: commands"
            ),
        ]

    async def stop(self) -> None:
        """Let the request in flight on each link end, close the links and commit what was read."""
        async with self._reloading:  # a look at the registry that closes links closes them first
            for task in self._tasks:
                task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        workers, self._workers = self._workers, {}
        await asyncio.gather(*(worker.stop() for worker in workers.values()))
        await self.writer.stop()
        await self._notes.save()
        self._let_go()

    async def reload(self) -> None:
        """Take over new, changed and disabled links, meters and plans now, not at the next interval."""
        async with self._reloading:
            fleet = await asyncio.to_thread(self._load_if_changed, self._fleet)
            if fleet is None:
                return
            before, self._fleet = self._fleet, fleet
            try:
                await self._close_links(fleet)
                for link in fleet.links.values():
                    await self._records.turns.enter()  # hundreds: those that are open already go on reading
                    if before.plans != fleet.plans or before.links.get(link.link_id) != link:
                        self._open_or_change(link)
            except BaseException:
                self._fleet = before  # so that the next look tries again
                raise
            self._look_for_gaps.set()

    # -- what others ask for ----------------------------------------------------------------------------------------

    async def read_now(self, meter_id: int, quantities: Sequence[str] | None = None) -> list[LiveReading]:
        """Read a meter ahead of everything queued; None reads what its plans read.

        When the meter stops answering half-way, what it said before is returned; its state tells the rest.

        Raises:
            UnknownMeter: not registered, disabled or without an enabled link.
            UnknownQuantity: a key that is not in the catalogue.
            ReadFailed: the meter did not answer, or has nothing of what was asked.

        """
        known = self._known.get(meter_id)
        worker = None if known is None else self._workers.get(known.meter.link_id)
        if known is None or worker is None:
            raise UnknownMeter(
                f"Meter {meter_id} is not read: it is not registered, it or its link is disabled or cannot be used, "
                "or no driver speaks its protocol.",
                hint="Look at the meter's and the link's page; a change there takes effect within seconds.",
            )
        if quantities is None:
            plans = [plan for plan in self._fleet.plans if plan.covers(meter_id)]
            quantities = sorted({key for plan in plans for key in plan.quantities})
        for key in quantities:
            quantity(key)
        return await worker.read_live(meter_id, quantities)

    def link_states(self) -> list[LinkStatus]:
        """Every enabled link, by code."""
        statuses = [worker.status() for worker in self._workers.values()]
        return sorted([*statuses, *self._unusable.values()], key=lambda status: status.code)

    def presences(self) -> dict[int, Presence]:
        """Whether each meter the collector reads answers, by id."""
        return {meter_id: known.health.presence for meter_id, known in list(self._known.items())}

    def meter_states(self) -> list[MeterState]:
        """Every meter the collector reads, by id."""
        return [known.state() for _, known in sorted(self._known.items())]

    def meter_state(self, meter_id: int) -> MeterState | None:
        """One meter, or None when the collector does not read it."""
        known = self._known.get(meter_id)
        return None if known is None else known.state()

    def totals(self) -> Mapping[tuple[int, str], Totals]:
        """Everything counted since the process began, by link and protocol."""
        return self._records.statistics.totals

    @property
    def readings_waiting(self) -> int:
        """Readings that are in memory only."""
        return self.writer.waiting

    def backfilled_until(self, meter_id: int) -> datetime | None:
        """Up to where a meter's past has been fetched, or found not to exist any more; None: not looked at yet."""
        known = self._known.get(meter_id)
        return None if known is None else known.backfilled_until

    def health(
        self, period: TimeRange, *, meter_id: int | None = None, link_id: int | None = None
    ) -> list[SuccessRate]:
        """Success per link, then per meter, over whole hours that `period` touches.

        Reads the ledger database: call it in a thread. Counts of the last seconds are still in memory.
        """
        with self._database.read() as session:
            repository = CollectionRepository(session)
            links = [] if meter_id is not None else repository.success_by_link(period, link_id=link_id)
            return links + repository.success_by_meter(period, meter_id=meter_id, link_id=link_id)

    @property
    def is_idle(self) -> bool:
        """Whether every link has done what was queued."""
        return all(worker.is_idle for worker in self._workers.values())

    async def flush(self) -> bool:
        """Commit what was read so far; False when the store failed and the readings are kept in memory."""
        await self._notes.save()
        return await self.writer.flush()

    async def look_for_gaps(self) -> None:
        """Ask the store now what is missing, not at the next interval."""
        await self._gaps.look(list(self._workers.values()))

    # -- links and meters -------------------------------------------------------------------------------------------

    async def _close_links(self, fleet: Fleet) -> None:
        """Let go of the links that are gone, disabled, or somewhere else now."""
        closing = [
            self._workers.pop(link_id)
            for link_id, worker in list(self._workers.items())
            if (link := fleet.links.get(link_id)) is None
            or (link.url, link.code) != (worker.link.url, worker.link.code)
        ]
        await asyncio.gather(*(worker.stop() for worker in closing))
        self._unusable = {
            link_id: status for link_id, status in self._unusable.items() if link_id in fleet.links
        }
        reading = {meter_id for link in fleet.links.values() for meter_id in link.meters}
        for gone in self._known.keys() - reading:
            self._memories[gone] = self._known.pop(gone).memory()

    def _open_or_change(self, link: LinkToCollect) -> None:
        zone = next((meter.zone for meter in link.meters.values()), ZoneInfo(self.options.zone))
        worker = self._workers.get(link.link_id)
        if worker is None:
            try:
                url = LinkUrl.parse(link.url)
            except BadLinkUrl as error:
                self._cannot_use(link, error)
                return
            self._unusable.pop(link.link_id, None)
            worker = LinkWorker(link, Bus(link.code, url), self._clock, self._records, zone, self._desk)
            self._workers[link.link_id] = worker
            worker.start()
        meters = {
            meter.meter_id: self._know(meter, driver)
            for meter in link.meters.values()
            if (driver := self._driver_of(meter)) is not None
        }
        covering = [plan for plan in self._fleet.plans if any(plan.covers(meter_id) for meter_id in meters)]
        worker.configure(link, meters, covering, zone=zone)
        self._say_what_cannot_be_read(covering, {known.driver for known in meters.values()})

    def _say_what_cannot_be_read(self, plans: Iterable[Plan], drivers: Iterable[Driver]) -> None:
        """Once for each quantity of a plan for which a protocol has no name: no meter of it will ever tell it."""
        for driver in sorted(drivers, key=lambda driver: driver.protocol):
            protocol = driver.protocol
            for plan in plans:
                nameless = tuple(key for key in plan.quantities if not driver.supports(key))
                if nameless and (plan.code, protocol, nameless) not in self._said:
                    self._said.add((plan.code, protocol, nameless))
                    log.warning(
                        "quantities not read: the meters' protocol has no name for them",
                        plan=plan.code,
                        protocol=protocol,
                        quantities=", ".join(nameless),
                    )

    def _know(self, meter: MeterToCollect, driver: Driver) -> KnownMeter:
        """The meter's state: as it was when it is the same device, else as remembered, else new."""
        known = self._known.get(meter.meter_id)
        if known is not None and (known.registered_driver, known.meter.address) == (
            driver,
            meter.address,
        ):
            known.meter = meter
            return known
        memory = self._memories.pop(meter.meter_id, Memory())
        known = KnownMeter.remembered(meter, driver=driver, memory=memory)
        self._known[meter.meter_id] = known
        return known

    def _driver_of(self, meter: MeterToCollect) -> Driver | None:
        family = self._drivers.get(meter.protocol)
        if family is None:
            log.warning(
                "meter not read: no driver speaks its protocol", meter=meter.address, protocol=meter.protocol
            )
            return None
        try:
            return family.for_model(meter.model)
        except CollectionError as error:
            log.warning("meter not read", meter=meter.address, protocol=meter.protocol, error=str(error))
            return None

    def _cannot_use(self, link: LinkToCollect, error: BadLinkUrl) -> None:
        log.warning("link not used", link=link.code, error=str(error))
        self._unusable[link.link_id] = LinkStatus(
            link_id=link.link_id,
            code=link.code,
            url=link.url,
            connected=False,
            since=None,
            error=str(error),
            meters=len(link.meters),
            waiting_commands=0,
            waiting_live=0,
            waiting_due=0,
            backfilling=0,
        )

    # -- in threads -------------------------------------------------------------------------------------------------

    def _prepare(self) -> dict[int, Memory]:
        with self._database.write() as session:
            PlanRepository(session).ensure_defaults(self.options)
            repository = CollectionRepository(session)
            repository.forget_refused(before=self._clock.now() - timedelta(days=self.options.refused_days))
            return repository.memories()

    def _load_if_changed(self, before: Fleet) -> Fleet | None:
        with self._database.read() as session:
            fleet = CollectionRepository(session).fleet(now=self._clock.now(), zone=self.options.zone)
        return None if fleet == before else fleet

    def _save_backfilled(self, reached: dict[int, datetime]) -> None:
        self._notes.save_backfilled(reached)

    async def _dispatch_commands(self) -> None:
        """Bring new commands to the links of their meters."""
        lanes = [worker.lane for worker in self._workers.values()]
        for lane in await self._dispatcher.look(lanes, self._lane_of):
            lane.wake()

    def _lane_of(self, meter_id: int) -> CommandLane | None:
        known = self._known.get(meter_id)
        worker = None if known is None else self._workers.get(known.meter.link_id)
        return None if worker is None else worker.lane

    # -- now and then -----------------------------------------------------------------------------------------------

    async def _reload_gently(self) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        await self.reload()
        # With tens of thousands of meters a look takes a while; then it is taken less often.
        await asyncio.sleep(_RELOAD_SHARE * (loop.time() - began))

    async def _watch_gaps(self) -> None:
        while True:
            self._look_for_gaps.clear()
            try:
                await self.look_for_gaps()
            except Exception:
                log.exception("the search for gaps failed")
            until = self._clock.now() + timedelta(seconds=self.options.gaps_seconds)
            await self._clock.wait(self._look_for_gaps, until=until)

    async def _every(self, seconds: float, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(seconds)
            try:
                await work()
            except Exception:
                log.exception("the collector's housekeeping failed", what=getattr(work, "__name__", ""))
