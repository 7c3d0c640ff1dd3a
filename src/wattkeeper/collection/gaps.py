"""Which parts of the past are missing: a query to the store, and what it says handed to the links' workers."""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from wattkeeper.collection.meters import KnownMeter
from wattkeeper.collection.reader import Records
from wattkeeper.collection.worker import LinkWorker
from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.readings.store import ReadingsStore

_TELLING = "active_energy_import"
"""Where this register is missing, the meter's own memory is fetched."""
_SETTLING = timedelta(seconds=60)
"""A meter's clock may be a little late, and it writes its record after the quarter hour."""
_CHUNK = 100
"""Meters in one query: long enough to be worth a scan, short enough to leave the store to others."""
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
        for worker in workers:
            await self._look(worker)

    async def _look(self, worker: LinkWorker) -> None:
        now = self._records.now()
        by_grid: dict[Grid, list[KnownMeter]] = {}
        for known in worker.profiled():
            if known.health.may_be_asked(now) and known.meter.meter_id not in worker.backfill:
                past = known.past(now, options=self._records.options)
                assert past is not None
                grid = Grid(past.step(known.meter.slot), past.phase(known.meter.zone, now))
                by_grid.setdefault(grid, []).append(known)
        for grid, group in by_grid.items():
            group.sort(key=lambda known: self._start(known, now))
            for first in range(0, len(group), _CHUNK):
                await self._ask_store(worker, group[first : first + _CHUNK], grid=grid, now=now)
        worker.wake()

    async def _ask_store(
        self, worker: LinkWorker, group: Sequence[KnownMeter], *, grid: Grid, now: datetime
    ) -> None:
        until = grid.after(now - _SETTLING)
        starts = {known.meter.meter_id: grid.after(self._start(known, now)) for known in group}
        earliest = min(starts.values())
        missing: list[dict[str, Any]] = []
        if earliest < until:
            period = TimeRange(earliest, until)
            found = await asyncio.to_thread(
                self._store.missing_slots, list(starts), _TELLING, period, grid.step, grid.phase
            )
            missing = found.to_pylist()
        gaps: dict[int, list[TimeRange]] = {meter_id: [] for meter_id in starts}
        for row in missing:
            start = max(row["start_at"], starts[row["meter_id"]])
            if start < row["end_at"]:
                gaps[row["meter_id"]].append(TimeRange(start, row["end_at"]))
        for known in group:
            meter_id = known.meter.meter_id
            self._found(worker, known, gaps[meter_id], until=max(until, starts[meter_id]))

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
