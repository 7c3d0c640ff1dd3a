"""The past of a world's meters as a file: what a system that read them before would hand over."""

import math
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from wattkeeper.simulator.clock import civil_seconds
from wattkeeper.simulator.device import VirtualMeter
from wattkeeper.simulator.loads import SLOT, Floats
from wattkeeper.simulator.world import Neighbourhood

HISTORY_SCHEMA = pa.schema(
    [
        ("address", pa.dictionary(pa.int32(), pa.string())),
        ("read_at", pa.timestamp("us", tz="UTC")),
        ("active_energy_import", pa.decimal128(18, 4)),
    ]
)
"""One row for each load record: the meter, its own stamp, and its forward register [kWh, as it shows it]."""
_STEP = pa.scalar(Decimal("0.01"), pa.decimal128(3, 2))


def write_history(world: Neighbourhood, path: Path, *, until: datetime) -> int:
    """Write the quarter hours that every meter recorded before ``until`` (aware UTC); returns how many rows.

    Of a meter that cannot be asked any more, because it was taken down or fell silent, all are written to its end.
    """
    table = pa.concat_tables(_records_of(meter, until) for meter in world.meters.values())
    pq.write_table(table, path)
    return int(table.num_rows)


def _records_of(meter: VirtualMeter, until: datetime) -> pa.Table:
    labels = _labels(meter, until)
    offset = round(meter.spec.utc_offset.total_seconds())
    stamps = ((labels - offset) * 1_000_000).astype(np.int64)
    registers = pa.array(meter.recorded(labels)).cast(pa.decimal128(19, 0))
    columns = [
        pa.DictionaryArray.from_arrays(np.zeros(len(labels), np.int32), [meter.address]),
        pa.array(stamps).cast(HISTORY_SCHEMA.field("read_at").type),
        pc.multiply(registers, _STEP).cast(HISTORY_SCHEMA.field("active_energy_import").type),
    ]
    return pa.table(columns, schema=HISTORY_SCHEMA)


def _labels(meter: VirtualMeter, until: datetime) -> Floats:
    """The quarter hours by the meter's clock, as its load record has them."""
    ahead = meter.spec.clock_offset
    now = meter.clock.now()
    ends = [end for end in (meter.present_until, meter.silent_since) if end is not None and end <= now]
    begin = civil_seconds(meter.spec.installed) + ahead
    # What is still there is cut by its own stamps, because that is how it will be asked for the rest.
    end = _civil(meter, min(ends)) + ahead if ends else _civil(meter, min(until, now))
    first, last = math.ceil(begin / SLOT), math.ceil(end / SLOT)
    return np.arange(first, max(first, last), dtype=np.float64) * SLOT


def _civil(meter: VirtualMeter, at: datetime) -> float:
    return at.timestamp() + meter.spec.utc_offset.total_seconds()
