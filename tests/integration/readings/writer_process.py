"""A writer in a process of its own: ``writer_process.py LOCATION DATA_PATH FIRST_METER METERS FROM_TICK [TICKS]``.

Appends one tick of its meters after another, prints each tick once it is committed, and maintains every tenth
time. Every third batch repeats the tick before, as a collector does that was killed before it heard of its commit.
"""

import itertools
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow as pa

from wattkeeper.readings.schemas import READING_SCHEMA
from wattkeeper.readings.store import ReadingsStore

START = datetime(2026, 1, 1, tzinfo=UTC)


def tick_of(meters: range, tick: int) -> pa.Table:
    at = START + tick * timedelta(minutes=15)
    return pa.table(
        {
            "meter_id": list(meters),
            "quantity": ["active_energy_import"] * len(meters),
            "read_at": [at] * len(meters),
            "value": [Decimal(tick) + Decimal(meter) / 100 for meter in meters],
            "status": [0] * len(meters),
            "source": ["meter"] * len(meters),
            "exchange_id": [None] * len(meters),
        },
        schema=READING_SCHEMA,
    )


def main() -> None:
    location, data_path, first, count, begin, *rest = sys.argv[1:]
    meters = range(int(first), int(first) + int(count))
    ticks = range(int(begin), int(begin) + int(rest[0])) if rest else itertools.count(int(begin))
    store = ReadingsStore.open(location, data_path=Path(data_path))
    for tick in ticks:
        batch = tick_of(meters, tick)
        if tick % 3 == 2:
            batch = pa.concat_tables([tick_of(meters, tick - 1), batch])
        store.append_readings(batch, START + timedelta(days=1, seconds=tick))
        sys.stdout.write(f"{tick}\n")
        sys.stdout.flush()
        if tick % 10 == 9:
            store.maintain(datetime.now(UTC), keep_snapshots=timedelta(0))
    store.close()


if __name__ == "__main__":
    main()
