"""Keeping the intervals what the readings say: new, late and corrected readings, and changed installations."""

import functools
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from wattkeeper.kernel.database import Database
from wattkeeper.kernel.feed import ChangeFeed
from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.readings.batches import microseconds
from wattkeeper.readings.intervals import Window, derive_intervals
from wattkeeper.readings.offsets import CLOCK
from wattkeeper.readings.quantities import QUANTITIES
from wattkeeper.readings.registers import FOREVER
from wattkeeper.readings.repository import DerivationRepository, MovedInstallation
from wattkeeper.readings.schemas import INSTANT, POINT_CHANGE_SCHEMA
from wattkeeper.readings.store import ReadingsStore
from wattkeeper.readings.surroundings import Span
from wattkeeper.registry.repository import Registry
from wattkeeper.registry.values import InstalledMeter

TOPIC = "intervals.changed"

_READINGS = "readings"
_INTERVALS = "intervals"
_SPANS_AT_ONCE = 5_000
_READINGS_AT_ONCE = 1_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ENERGIES = frozenset(key for key, entry in QUANTITIES.items() if entry.is_energy)


@dataclass(frozen=True, slots=True)
class _Work:
    """Changed readings of one register within one installation."""

    installed: InstalledMeter
    span: Span
    until: int
    """Intervals of the point up to here [µs since 1970 UTC] may have lost their ground."""


class _StoredHistory:
    """The measured intervals before a gap, those among them that this very run derives."""

    def __init__(
        self,
        store: ReadingsStore,
        readings: pa.Table,
        installed: Sequence[InstalledMeter],
        windows: Sequence[Window],
        now: datetime,
    ) -> None:
        self._store, self._now = store, now
        self._derive = functools.partial(derive_intervals, readings, installed, windows=windows)
        self._complete = False
        self.stored = 0
        """How many intervals were stored so far."""

    def __call__(self, asked: pa.Table) -> pa.Table:
        """Asked for only where there are gaps: what was measured around them is stored first, so that it counts."""
        if not self._complete:
            derived = self._derive()
            measured = derived.filter(pc.equal(derived["method"], "measured"))
            self.stored = self._store.append_intervals(measured, self._now).accepted
            self._complete = True
        return self._store.surroundings.measured(asked)


class IntervalService:
    """Derives intervals from what was appended since it last did, and tells the change feed which changed.

    Every step may be repeated: intervals that come out the same are dropped as repeats, and the cursors move in the
    transaction that appends the events. A crash anywhere only makes the next run do a part again. Events are taken
    from the stored intervals, not from the run that stored them, so none is lost either.
    """

    def __init__(self, database: Database, store: ReadingsStore) -> None:
        self._database = database
        self._store = store
        self._feed = ChangeFeed()
        self._lock = threading.Lock()

    def derive_pending(self, now: datetime) -> int:
        """Bring the intervals up to date; returns how many changed."""
        with self._lock:
            with self._database.read() as session:
                progress = DerivationRepository(session)
                position, moved = progress.position(_READINGS), progress.moved_installations()
            changes, reached = self._store.changed_meters(position, _ENERGIES | {CLOCK})
            changed = sum(self._derive(work, now) for work in _chunks(self._work(changes, moved)))
            self._announce(reached, moved)
            return changed

    def _work(self, changes: pa.Table, moved: Sequence[MovedInstallation]) -> list[_Work]:
        """What changed, cut to the installations it belongs to."""
        disturbed = self._store.offsets.disturbed(changes)
        changes = changes.filter(pc.not_equal(changes["quantity"], CLOCK))
        meters = {
            *changes["meter_id"].to_pylist(),
            *(m.meter_id for m in moved),
            *(m for m, _, _ in disturbed),
        }
        if not meters:
            return []
        with self._database.read() as session:
            installed = Registry(session).installations(meter_ids=meters)
        of_meter: defaultdict[int, list[InstalledMeter]] = defaultdict(list)
        for meter in installed:
            of_meter[meter.meter_id].append(meter)
        work = [
            _cut(meter, quantity, start, end)
            for meter_id, quantity, start, end in zip(*_whole_numbers(changes), strict=True)
            for meter in of_meter[meter_id]
        ]
        work += self._work_of_moved(moved, {meter.installation_id: meter for meter in installed})
        work += self._work_of_disturbed(disturbed, of_meter)
        return sorted((w for w in work if w is not None), key=lambda w: (w.installed.point_id, w.span.start))

    def _work_of_moved(
        self, moved: Sequence[MovedInstallation], installed: dict[int, InstalledMeter]
    ) -> list[_Work | None]:
        """All that a changed installation touches, for every register its meter has."""
        if not moved:
            return []
        ends = self._newest({m.meter_id for m in moved})
        work = []
        for m in moved:
            start = microseconds(m.touched_from)
            work += [
                _cut(installed[m.installation_id], quantity, start, max(start, end))
                for quantity, end in ends[m.meter_id]
            ]
        return work

    def _work_of_disturbed(
        self, disturbed: Sequence[tuple[int, int, int]], of_meter: Mapping[int, Sequence[InstalledMeter]]
    ) -> list[_Work | None]:
        """The stamps of every register of meters whose clocks were found to be off."""
        if not disturbed:
            return []
        ends = self._newest({meter_id for meter_id, _, _ in disturbed})
        return [
            _cut(meter, quantity, first, min(last, end))
            for meter_id, first, last in disturbed
            for quantity, end in ends[meter_id]
            for meter in of_meter[meter_id]
            if first <= end
        ]

    def _newest(self, meters: set[int]) -> defaultdict[int, list[tuple[str, int]]]:
        """The newest instant of each register of some meters [µs]."""
        ends: defaultdict[int, list[tuple[str, int]]] = defaultdict(list)
        for row in self._store.latest(meters, _ENERGIES).to_pylist():
            ends[row["meter_id"]].append((row["quantity"], microseconds(row["read_at"])))
        return ends

    def _derive(self, work: Sequence[_Work], now: datetime) -> int:
        """Derive again what the work touches, and store what came out differently."""
        surrounded = self._store.surroundings.of([w.span for w in work])
        floor = self._store.derivable_from()
        windows = [
            Window(w.installed.point_id, w.span.quantity, _period(max(start, floor), max(end, w.until)))
            for w, (start, end) in zip(work, surrounded.touched, strict=True)
            if max(end, w.until) > floor
        ]
        with self._database.read() as session:
            installed = Registry(session).installations(point_ids={window.point_id for window in windows})
        readings = surrounded.readings
        if beside := _beside(windows, installed, {w.span for w in work}):
            more = self._store.surroundings.of(beside).readings
            readings = pa.concat_tables([readings, more]).group_by(readings.column_names).aggregate([])
        corrected = self._store.offsets.corrected(readings)
        if corrected.moved:
            windows = [
                _moved(window, corrected.moved.get(w.installed.meter_id))
                for w, window in zip(work, windows, strict=True)
            ]
        history = _StoredHistory(self._store, corrected.readings, installed, windows, now)
        derived = derive_intervals(corrected.readings, installed, windows=windows, history=history)
        unsupported = self._store.surroundings.unsupported(_as_table(windows), derived)
        stored = self._store.append_intervals(pa.concat_tables([derived, unsupported]), now)
        return history.stored + stored.accepted

    def _announce(self, reached: int, moved: Sequence[MovedInstallation]) -> None:
        """In one transaction: the events of all intervals stored since the last one, and both cursors."""
        with self._database.read() as session:
            progress = DerivationRepository(session)
            positions = progress.position(_READINGS), progress.position(_INTERVALS)
        changes, interval_position = self._store.changed_intervals(positions[1])
        if positions == (reached, interval_position) and not moved:
            return
        with self._database.write() as session:
            progress = DerivationRepository(session)
            progress.advance(_READINGS, reached)
            progress.advance(_INTERVALS, interval_position)
            progress.remember(moved)
            session.flush()
            self._feed.extend(session, TOPIC, [_event(row) for row in changes.to_pylist()])


def _whole_numbers(changes: pa.Table) -> list[list[Any]]:
    """The columns of a table with its instants in microseconds since 1970 UTC."""
    columns = (changes[name] for name in changes.column_names)
    return [(c.cast(pa.int64()) if c.type == INSTANT else c).to_pylist() for c in columns]


def _event(row: dict[str, Any]) -> dict[str, object]:
    return {
        "point_id": row["point_id"],
        "quantity": row["quantity"],
        "start": row["start_at"].isoformat(),
        "end": row["end_at"].isoformat(),
    }


def _cut(meter: InstalledMeter, quantity: str, start: int, end: int) -> _Work | None:
    """The part of a change that lies within an installation, both ends included."""
    floor = microseconds(meter.period.start)
    ceiling = FOREVER if meter.period.end is None else microseconds(meter.period.end)
    first, last = max(start, floor), min(end, ceiling)
    return (
        _Work(meter, Span(meter.meter_id, quantity, first, last, floor, ceiling), end)
        if first <= last
        else None
    )


def _beside(windows: Sequence[Window], installed: Sequence[InstalledMeter], known: set[Span]) -> list[Span]:
    """The meters before and after an exchange that a window reaches: a slot needs all its parts."""
    of_point: defaultdict[int, list[InstalledMeter]] = defaultdict(list)
    for meter in installed:
        of_point[meter.point_id].append(meter)
    found = {
        work.span
        for window in windows
        if len(of_point[window.point_id]) > 1
        for meter in of_point[window.point_id]
        if (work := _cut(meter, window.quantity, *_widened(window, meter.interval_minutes)))
    }
    return sorted(found - known, key=lambda span: (span.meter_id, span.start))


def _moved(window: Window, by: tuple[int, int] | None) -> Window:
    """A window widened to where the stamps in it were moved (back, forward) [µs]."""
    if by is None:
        return window
    back, forward = (timedelta(microseconds=most) for most in by)
    return replace(window, period=TimeRange(window.period.start - back, window.period.closed_end + forward))


def _widened(window: Window, minutes: int) -> tuple[int, int]:
    slot = timedelta(minutes=minutes)
    return microseconds(window.period.start - slot), microseconds(window.period.closed_end + slot)


def _chunks(work: Sequence[_Work]) -> Iterator[list[_Work]]:
    """The work in parts that fit memory; all work of one metering point stays together."""
    part: list[_Work] = []
    weight = 0
    for item in work:
        own = (item.until - item.span.start) // (item.installed.interval_minutes * 60_000_000) + 8
        full = len(part) >= _SPANS_AT_ONCE or weight + own > _READINGS_AT_ONCE
        if part and full and part[-1].installed.point_id != item.installed.point_id:
            yield part
            part, weight = [], 0
        part.append(item)
        weight += own
    if part:
        yield part


def _period(start: int, end: int) -> TimeRange:
    return TimeRange(
        _EPOCH + timedelta(microseconds=start), _EPOCH + timedelta(microseconds=max(end, start + 1))
    )


def _as_table(windows: Sequence[Window]) -> pa.Table:
    rows = [(w.point_id, w.quantity, w.period.start, w.period.end) for w in windows]
    columns = zip(*rows, strict=True) if rows else ((), (), (), ())
    return pa.table(
        [pa.array(c, f.type) for c, f in zip(columns, POINT_CHANGE_SCHEMA, strict=True)],
        schema=POINT_CHANGE_SCHEMA,
    )
