"""What a batch must be before any of it is stored."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from wattkeeper.readings.errors import BadReadings
from wattkeeper.readings.quantities import QUANTITIES
from wattkeeper.readings.schemas import (
    ESTIMATES,
    EXCHANGE_SCHEMA,
    INTERVAL_SCHEMA,
    METHODS,
    READING_SCHEMA,
    SOURCES,
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# DL/T 645-2007 stamps carry two digits of the year, so no meter can mean another century: 2000 to 2099 on a civil
# clock, which is up to a day earlier or later in UTC. 2000-01-01 00:00 is what a clock without battery starts at.
_EARLIEST = datetime(1999, 12, 31, tzinfo=UTC)
_LATEST = datetime(2100, 1, 2, tzinfo=UTC)


def microseconds(instant: datetime) -> int:
    """An aware instant in microseconds since 1970 UTC, exactly."""
    if instant.tzinfo is None:
        raise BadReadings(
            f"The instant {instant} says no time zone.", hint="Give an aware datetime, best in UTC."
        )
    return (instant - _EPOCH) // timedelta(microseconds=1)


def checked_readings(table: pa.Table) -> pa.Table:
    """The batch in READING_SCHEMA exactly, or BadReadings."""
    batch = _shaped(table, READING_SCHEMA, nullable={"exchange_id"})
    _known(batch, "quantity", tuple(QUANTITIES))
    _known(batch, "source", SOURCES)
    _in_range(batch, "read_at", "meter_id")
    return batch


def checked_intervals(table: pa.Table) -> pa.Table:
    """The batch in INTERVAL_SCHEMA exactly, or BadReadings."""
    batch = _shaped(table, INTERVAL_SCHEMA, nullable={"energy", "error"})
    _known(batch, "quantity", tuple(QUANTITIES))
    _known(batch, "method", METHODS)
    _errors_of_estimates(batch)
    _in_range(batch, "start_at", "point_id")
    backwards = pc.less_equal(batch["end_at"], batch["start_at"])
    if pc.any(backwards).as_py():
        row = batch.filter(backwards).slice(0, 1).to_pylist()[0]
        raise BadReadings(
            f"An interval of metering point {row['point_id']} ends at {row['end_at']}, not after its start."
        )
    return batch


def _errors_of_estimates(batch: pa.Table) -> None:
    """Only an estimate has an error, and none is below zero."""
    estimated = pc.is_in(batch["method"], pa.array(ESTIMATES))
    wrong = pc.and_kleene(
        pc.is_valid(batch["error"]), pc.or_(pc.invert(estimated), pc.less(batch["error"], 0))
    )
    if pc.any(wrong).as_py():
        row = batch.filter(wrong).slice(0, 1).to_pylist()[0]
        raise BadReadings(
            f"A {row['method']} interval of metering point {row['point_id']} has the error {row['error']}; "
            "none of the batch was stored.",
            hint=f"Only the estimates {', '.join(ESTIMATES)} have one, and it is not below zero.",
        )


def checked_exchanges(table: pa.Table) -> pa.Table:
    """The batch in EXCHANGE_SCHEMA exactly, or BadReadings."""
    return _shaped(table, EXCHANGE_SCHEMA, nullable={"link_id", "meter_id", "request", "reply", "ended_at"})


def _shaped(table: pa.Table, schema: pa.Schema, *, nullable: set[str]) -> pa.Table:
    missing = [name for name in schema.names if name not in table.column_names]
    extra = [name for name in table.column_names if name not in schema.names]
    if missing or extra:
        raise BadReadings(
            f"A batch has the wrong columns: {', '.join(missing) or 'none'} missing, {', '.join(extra) or 'none'} too many.",
            hint=f"It needs exactly {', '.join(schema.names)}.",
        )
    try:
        batch = table.select(schema.names).cast(schema)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise BadReadings(
            f"A batch cannot be stored as it is: {error}.",
            hint="Values have up to 14 digits and four decimals.",
        ) from error
    for name in schema.names:
        if name not in nullable and batch[name].null_count:
            raise BadReadings(
                f"A batch has {batch[name].null_count} rows without {name}; none of it was stored."
            )
    return batch


def _known(batch: pa.Table, column: str, allowed: tuple[str, ...]) -> None:
    unknown = sorted(set(pc.unique(batch[column]).to_pylist()) - set(allowed))
    if unknown:
        raise BadReadings(
            f"A batch has the {column} {', '.join(map(repr, unknown))}, which the store does not know; none of it was stored."
        )


def _in_range(batch: pa.Table, column: str, owner: str) -> None:
    span: Any = pc.min_max(batch[column])
    if not batch.num_rows or (span["min"].as_py() >= _EARLIEST and span["max"].as_py() < _LATEST):
        return
    outside = pc.or_(
        pc.less(batch[column], pa.scalar(_EARLIEST, batch[column].type)),
        pc.greater_equal(batch[column], pa.scalar(_LATEST, batch[column].type)),
    )
    row = batch.filter(outside).slice(0, 1).to_pylist()[0]
    raise BadReadings(
        f"A batch has {column} {row[column]:%Y-%m-%dT%H:%M:%SZ} for {owner} {row[owner]}; none of it was stored.",
        hint="Instants lie in the years 2000 to 2099. The meter's clock may have lost its battery.",
    )
