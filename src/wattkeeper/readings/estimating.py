"""What would be estimated for a person to propose: in the place of readings in doubt, or where no register ends a gap."""

from collections.abc import Sequence
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from wattkeeper.kernel.timerange import TimeRange, slot_starts
from wattkeeper.readings.batches import microseconds
from wattkeeper.readings.estimation.open_gaps import METHODS, fill, gaps_of
from wattkeeper.readings.estimation.values import Flags, Integers
from wattkeeper.readings.estimation.windows import HISTORY_DAYS, Clock
from wattkeeper.readings.intervals import Window, decimals, derive_intervals
from wattkeeper.readings.registers import FOREVER, Group
from wattkeeper.readings.schemas import INSTANT, INTERVAL_SCHEMA, IntervalStatus
from wattkeeper.readings.store import ReadingsStore
from wattkeeper.readings.surroundings import Span
from wattkeeper.registry.values import InstalledMeter

_ONE_READING = timedelta(seconds=1)
"""A period no longer than this is about the reading at its start, a longer one about those between its ends."""


def estimated_without(
    store: ReadingsStore, installed: Sequence[InstalledMeter], quantity: str, period: TimeRange
) -> pa.Table:
    """The estimated intervals (INTERVAL_SCHEMA) of a point, without what was read in the period.

    They lie between the last trusted register before it and the first after it, and add up to what that counted;
    nothing is estimated where there is no register on one of the sides. ``installed`` are the point's installations.
    """
    tables = [
        _of_meter(store, meter, quantity, period) for meter in installed if meter.period.overlaps(period)
    ]
    found = pa.concat_tables(tables) if tables else INTERVAL_SCHEMA.empty_table()
    estimated = pc.not_equal(pc.bit_wise_and(found["status"], int(IntervalStatus.ESTIMATED)), 0)
    return found.filter(pc.and_(estimated, pc.is_valid(found["energy"])))


def _of_meter(store: ReadingsStore, meter: InstalledMeter, quantity: str, period: TimeRange) -> pa.Table:
    group = Group(meter, quantity)
    first, last = microseconds(period.start), microseconds(period.closed_end)
    span = Span(
        meter.meter_id,
        quantity,
        max(first, group.start),
        min(last, group.end),
        group.start,
        FOREVER if meter.period.end is None else group.end,
    )
    readings = store.offsets.corrected(store.surroundings.of([span]).readings).readings
    at = readings["read_at"].cast(pa.int64())
    single = period.duration <= _ONE_READING
    inside = pc.and_(pc.greater_equal(at, first) if single else pc.greater(at, first), pc.less(at, last))
    slot = timedelta(minutes=meter.interval_minutes)
    touched = TimeRange(period.start - slot, period.closed_end) if single else period
    return derive_intervals(
        readings.filter(pc.invert(inside)),
        [meter],
        windows=[Window(meter.point_id, quantity, touched)],
        history=store.surroundings.measured,
    )


def estimated_open(
    store: ReadingsStore, meter: InstalledMeter, quantity: str, period: TimeRange, peers: Sequence[int]
) -> pa.Table:
    """The intervals (INTERVAL_SCHEMA) of a closed period that were not measured, where no register tells their sum.

    They are likely by the point's own days before the period; where it has too few, by what its peers, points of the same
    grid, used at the time. Nothing is estimated where neither tells, nor over more than five weeks.
    """
    step = timedelta(minutes=meter.interval_minutes)
    reach = TimeRange(period.start - timedelta(days=HISTORY_DAYS + 2), period.closed_end + step)
    starts = slot_starts(reach, step, meter.zone).astype(np.int64)
    clock = Clock.of(starts, step // timedelta(microseconds=1), meter.zone)
    points = [meter.point_id, *(peer for peer in peers if peer != meter.point_id)]
    known = store.surroundings.measured(_asked(points, quantity, clock))
    grid = np.full((len(points), len(clock.day)), np.nan)
    number, start, energy = (known[name].to_numpy() for name in ("number", "start_at", "energy"))
    grid[number, clock.slot_of(start)] = energy
    begin, end = microseconds(period.start), microseconds(period.closed_end)
    wanted = (clock.starts[1:] > begin) & (clock.starts[:-1] < end)
    gaps = _runs(np.isnan(grid[0]) & wanted)
    filled = fill(grid, gaps, clock, meter.zone, only_before=True)
    slot = np.flatnonzero((filled.method[0] > METHODS.index("measured")) & wanted)
    return pa.table(
        [
            pa.array(np.full(len(slot), meter.point_id)),
            pa.array([quantity] * len(slot), pa.string()),
            pa.array(clock.starts[slot]).cast(INSTANT),
            pa.array(clock.starts[slot + 1]).cast(INSTANT),
            decimals(np.rint(filled.value[0, slot]).astype(np.int64)),
            pa.array(np.full(len(slot), IntervalStatus.ESTIMATED.value, np.int32)),
            pa.array([METHODS[place] for place in filled.method[0, slot].tolist()], pa.string()),
            decimals(np.ceil(filled.error[0, slot]).astype(np.int64)),
        ],
        schema=INTERVAL_SCHEMA,
    )


def _asked(points: Sequence[int], quantity: str, clock: Clock) -> pa.Table:
    count = len(points)
    columns = {
        "number": pa.array(range(count), pa.int64()),
        "point_id": pa.array(points, pa.int64()),
        "quantity": pa.array([quantity] * count, pa.string()),
        "start_at": pa.array([int(clock.starts[0])] * count, pa.int64()),
        "end_at": pa.array([int(clock.starts[-1])] * count, pa.int64()),
        "step": pa.array([86_400_000_000 // clock.per_day] * count, pa.int64()),
    }
    return pa.table(columns)


def _runs(missing: Flags) -> Integers:
    """The runs of missing slots of the first series, as (0, first slot, end slot)."""
    known = np.concatenate([[True], ~missing, [True]])
    runs = gaps_of(known[None])
    runs[:, 1:] -= 1
    return runs
