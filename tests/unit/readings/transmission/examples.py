"""Batches a person can check."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pyarrow as pa

from wattkeeper.readings.schemas import EXCHANGE_SCHEMA, READING_SCHEMA
from wattkeeper.readings.transmission.identities import MeterIdentity

NOON = datetime(2026, 3, 1, 4, tzinfo=UTC)
ENERGY = "active_energy_import"
METERS = tuple(
    MeterIdentity(protocol, link, address)
    for protocol, link, address in (
        ("dlt645-2007", "bus-1", "000000000017"),
        ("dlt645-2007", "bus-1", "000000000042"),
        ("modbus-rtu", "bus-2", "7"),
    )
)


def reading(
    meter: int,
    value: str,
    *,
    minutes: float = 0,
    quantity: str = ENERGY,
    status: int = 0,
    source: str = "meter",
    exchange: int | None = None,
) -> dict[str, object]:
    return {
        "meter_id": meter,
        "quantity": quantity,
        "read_at": NOON + timedelta(minutes=minutes),
        "value": Decimal(value),
        "status": status,
        "source": source,
        "exchange_id": exchange,
    }


def table(rows: Iterable[dict[str, object]]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=READING_SCHEMA)


def exchanges(rows: Iterable[dict[str, object]]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=EXCHANGE_SCHEMA)


def named(readings: pa.Table, meters: tuple[MeterIdentity, ...]) -> list[tuple[object, ...]]:
    """The rows with their meters' names, so that two tables with other places can be compared."""
    rows = [(meters[row["meter_id"]], *list(row.values())[1:]) for row in readings.to_pylist()]
    return sorted(rows, key=lambda row: (row[0], row[2], row[1]))
