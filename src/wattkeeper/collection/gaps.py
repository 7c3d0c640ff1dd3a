"""Which parts of the past are missing: a query to the store, and what it says handed to the links' workers."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from wattkeeper.collection.meters import KnownMeter
from wattkeeper.collection.reader import Records
from wattkeeper.collection.worker import LinkWorker
from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.readings.store import ReadingsStore

_TELLING = "active_energy_import"
"""Where this register is missing, the meter's own memory is fetched."""
_SETTLING = timedelta(seconds=60)
"""A meter's clock may be a little late, and it writes its record after the quarter hour."""
_MOST_METERS = 2000
_MOST_SLOTS = 700_000
"""Meters, and slots of them, in one query: enough to be worth a scan, and short enough to leave the store to others."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Grid(NamedTuple):
    """Where records should be: every `step` since 1970-01-01 UTC plus `phase`."""

    step: timedelta
    phase: timedelta

    def after(self, instant: datetime) -> datetime:
        """The first instant of the grid that is not before this one."""
        begin = _EPOCH + self.phase
        return begin + -((begin - instant) // self.step) * self.step


class GapFinder:
    """Asks the store what should be there and is not."""

    def __init__(self, store: ReadingsStore, records: Records) -> None:
        self._store = store
        self._records = records

    async def look(self, workers: Iterable[LinkWorker]) -> None:
        """Tell each worker what its meters lack; readings still in memory are committed first."""
        if not await self._records.writer.flush():
            return  # what waits in memory would be fetched a second time
        now = self._records.now()
        asked: dict[Grid, list[_Asked]] = {}
        for worker in list(workers):
            await self._records.turns.enter()  # a look at tens of thousands of meters takes a while
            for known, past in worker.profiled():
                if known.health.may_be_asked(now) and known.meter.meter_id not in worker.backfill:
                    grid = Grid(past.step(known.meter.slot), past.phase(known.meter.zone, now))
                    start = grid.after(self._start(known, now))
                    asked.setdefault(grid, []).append(_Asked(start, worker, known))
        for grid, group in asked.items():
            group.sort(key=lambda one: one.start)
            for together in _chunks(group, grid, until=grid.after(now - _SETTLING)):
                await self._ask_store(together, grid=grid, now=now)

    async def _ask_store(self, group: Sequence["_Asked"], *, grid: Grid, now: datetime) -> None:
        until = grid.after(now - _SETTLING)
        starts = {one.known.meter.meter_id: one.start for one in group}
        gaps = await asyncio.to_thread(self._missing, starts, until, grid)
        for one in group:
            self._found(one.worker, one.known, gaps[one.known.meter.meter_id], until=max(until, one.start))
        for worker in {id(one.worker): one.worker for one in group}.values():
            worker.wake()

    def _missing(
        self, starts: Mapping[int, datetime], until: datetime, grid: Grid
    ) -> dict[int, list[TimeRange]]:
        """What the store lacks of each meter from its start on; called in a thread."""
        gaps: dict[int, list[TimeRange]] = {meter_id: [] for meter_id in starts}
        earliest = min(starts.values())
        if earliest >= until:
            return gaps
        period = TimeRange(earliest, until)
        found = self._store.missing_slots(list(starts), _TELLING, period, grid.step, grid.phase)
        for row in found.to_pylist():
            start = max(row["start_at"], starts[row["meter_id"]])
            if start < row["end_at"]:
                gaps[row["meter_id"]].append(TimeRange(start, row["end_at"]))
        return gaps

    def _found(
        self, worker: LinkWorker, known: KnownMeter, gaps: list[TimeRange], *, until: datetime
    ) -> None:
        meter_id = known.meter.meter_id
        if worker.meters.get(meter_id) is not known:
            return  # it left the link while the store was asked
        worker.backfill.found(meter_id, gaps, until=until)
        if not gaps and known.backfilled_until != until:
            known.backfilled_until = until
            self._records.writer.backfilled(meter_id, until)

    def _start(self, known: KnownMeter, now: datetime) -> datetime:
        """From where on a meter's past is wanted: what was dealt with before is not looked at again."""
        start = known.backfilled_until or now - timedelta(days=self._records.options.history_days)
        return max(start, known.meter.installed_from or start)


class _Asked(NamedTuple):
    """A meter about which the store is asked."""

    start: datetime
    worker: LinkWorker
    known: KnownMeter


def _chunks(group: Sequence[_Asked], grid: Grid, *, until: datetime) -> Iterator[Sequence[_Asked]]:
    """Meters to be asked about in one query, the earliest start first: many of a few slots, or few of many."""
    first = 0
    while first < len(group):
        slots = max(1, (until - group[first].start) // grid.step)
        size = max(1, min(_MOST_METERS, _MOST_SLOTS // slots))
        yield group[first : first + size]
        first += size
