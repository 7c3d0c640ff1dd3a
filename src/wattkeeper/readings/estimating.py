"""What derivation would estimate if some readings had not been there: for a person who doubts them, to propose."""

from collections.abc import Sequence
from datetime import timedelta

import pyarrow as pa
import pyarrow.compute as pc

from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.readings.batches import microseconds
from wattkeeper.readings.intervals import Window, derive_intervals
from wattkeeper.readings.registers import FOREVER, Group
from wattkeeper.readings.schemas import INTERVAL_SCHEMA, IntervalStatus
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
