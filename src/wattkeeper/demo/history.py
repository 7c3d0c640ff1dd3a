"""The past before the meters' own memory: registers from a predecessor's file, as any migration would bring them."""

import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from wattkeeper.parts import Parts
from wattkeeper.readings.schemas import READING_SCHEMA, Appended
from wattkeeper.registry.models import Meter
from wattkeeper.registry.repository import Registry

QUANTITY = "active_energy_import"
_ROWS_AT_ONCE = 250_000
"""Readings in one commit: live ones wait no longer than it takes."""


def import_history(parts: Parts, file: Path, *, stopping: Callable[[], bool]) -> Appended:
    """Append a file of `address`, `read_at` and registers to the store; what is known already is left as it is."""
    with parts.database.read() as session:
        meter_ids = {meter.address: meter.id for meter in Registry(session).everything(Meter)}
    appended = Appended(accepted=0, repeated=0, superseding=0)
    readings = _as_readings(pq.read_table(file), meter_ids)
    for start in range(0, readings.num_rows, _ROWS_AT_ONCE):
        if not stopping():
            appended += parts.store.append_readings(readings.slice(start, _ROWS_AT_ONCE), datetime.now(UTC))
    return appended


def temporary_file(folder: Path) -> tempfile.TemporaryDirectory[str]:
    """A folder for the file, beside the data, gone after use."""
    return tempfile.TemporaryDirectory(prefix="history-", dir=folder)


def _as_readings(history: pa.Table, meter_ids: dict[str, int]) -> pa.Table:
    addresses = history["address"].combine_chunks().cast(pa.string())
    known = pa.array(sorted(meter_ids), pa.string())
    ids = pa.array([meter_ids[address] for address in known.to_pylist()], pa.int64())
    columns = {
        "meter_id": ids.take(pc.index_in(addresses, value_set=known)),
        "quantity": pa.repeat(QUANTITY, history.num_rows),
        "read_at": history["read_at"],
        "value": history[QUANTITY],
        "status": pa.repeat(0, history.num_rows),
        "source": pa.repeat("imported", history.num_rows),
        "exchange_id": pa.nulls(history.num_rows),
    }
    table = pa.table(columns).cast(READING_SCHEMA)
    return table.filter(table["meter_id"].is_valid())
