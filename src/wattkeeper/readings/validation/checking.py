"""All rules over one table of readings: pure, in columns, without store or ledger."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import pyarrow as pa

from wattkeeper.readings.batches import microseconds
from wattkeeper.readings.schemas import INSTANT
from wattkeeper.readings.validation import electrics, loads, stamps, steps, sums
from wattkeeper.readings.validation.facts import FactColumns, MeterFacts
from wattkeeper.readings.validation.found import FINDING_SCHEMA, Found, findings
from wattkeeper.readings.validation.loads import Loads
from wattkeeper.readings.validation.parameters import Parameters
from wattkeeper.readings.validation.presence import missing
from wattkeeper.readings.validation.rules import RULES
from wattkeeper.readings.validation.steps import Steps
from wattkeeper.readings.validation.table import Readings

__all__ = ["FINDING_SCHEMA", "Context", "MeterFacts", "check"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What the rules know beside the readings."""

    facts: Sequence[MeterFacts] | None = None
    """The installations of the meters; readings outside them are not judged. None: nothing is known of any meter."""
    parameters: Parameters = field(default_factory=Parameters)
    days: Sequence[tuple[int, int, int]] | None = None
    """(meter, first instant, end) [µs since 1970 UTC]: the civil days that are judged, half-open and disjoint for each
    meter; the readings around them are neighbours and history. None: every day."""
    intervals: pa.Table | None = None
    """Intervals (INTERVAL_SCHEMA) to be compared with the registers."""
    now: datetime | None = None
    """Readings may still come for a day that ended less than the grace before; None: none will."""


_OF_READINGS: Final[Mapping[str, Callable[[Readings], Iterator[Found]]]] = {
    rule.__name__: rule
    for rule in (
        stamps.duplicate_value,
        stamps.late,
        stamps.future,
        stamps.clock_drift,
        stamps.off_grid,
        stamps.meter_flag,
        electrics.demand_rating,
        sums.tariff_sum,
        sums.phase_sum,
        electrics.voltage_high,
        electrics.voltage_low,
        electrics.voltage_lost,
        electrics.current_high,
        electrics.power_factor,
        electrics.frequency,
        electrics.voltage_unbalance,
        electrics.current_unbalance,
    )
}
_OF_STEPS: Final[Mapping[str, Callable[[Steps], Iterator[Found]]]] = {
    rule.__name__: rule
    for rule in (
        steps.register_outlier,
        steps.register_backwards,
        steps.register_rollover,
        steps.register_reset,
        steps.register_capacity,
        steps.exchange_mismatch,
        steps.spike_rating,
        loads.stuck,
        loads.zero_with_current,
        loads.vacant_use,
        loads.negative_import_only,
    )
}
_OF_LOADS: Final[Mapping[str, Callable[[Loads], Iterator[Found]]]] = {
    rule.__name__: rule for rule in (loads.spike_day, loads.spike_history, loads.low_history, loads.dip)
}


def check(readings: pa.Table, context: Context) -> pa.Table:
    """The findings (FINDING_SCHEMA) about the judged days, in order of meter, start, code and quantity.

    ``readings`` has meter_id, quantity, read_at and value, and the other columns of STORED_READING_SCHEMA where they are
    known; see the package for what they mean.
    """
    facts = context.facts
    if facts is None:
        facts = [MeterFacts(meter_id=meter) for meter in readings["meter_id"].unique().to_pylist()]
    table = Readings(readings, FactColumns(facts), context.parameters, context.days)
    rows = [row for code, found in _found(table, context) for row in findings(code, found, table)]
    rows.sort(key=lambda row: (row["meter_id"], row["start_at"], row["code"], row["quantity"]))
    return pa.table([_column(rows, column) for column in FINDING_SCHEMA], schema=FINDING_SCHEMA)


def _found(readings: Readings, context: Context) -> Iterator[tuple[str, Iterator[Found]]]:
    now = None if context.now is None else microseconds(context.now)
    yield "missing", missing(readings, context.days, now)
    if not len(readings):
        return
    for code, rule in _OF_READINGS.items():
        yield code, rule(readings)
    counted = Steps(readings)
    for code, of_steps in _OF_STEPS.items():
        yield code, of_steps(counted)
    load = Loads(counted)
    for code, of_loads in _OF_LOADS.items():
        yield code, of_loads(load)
    if context.intervals is not None and context.intervals.num_rows:
        yield "interval_sum", sums.interval_sum(readings, context.intervals)


def _column(rows: Sequence[Mapping[str, Any]], of: pa.Field) -> pa.Array:
    values = [row[of.name] for row in rows]
    return pa.array(values, pa.int64()).cast(INSTANT) if of.type == INSTANT else pa.array(values, of.type)


assert {*_OF_READINGS, *_OF_STEPS, *_OF_LOADS, "missing", "interval_sum"} == set(RULES), (
    "a rule without a function"
)
