"""Bytes per reading on real load, beside row stores: our files after maintenance, SQLite, and PostgreSQL where there is one.

Load of the folder of data (``WATTKEEPER_SHARED``, or ``shared`` beside the checkout) becomes registers of 0.01 kWh, as meters
keep them; behind transformers the meter counts the secondary side. The row stores keep the same columns in their smallest
integers, with the key they need to find a meter's month.
"""

import os
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from wattkeeper.readings.intervals import decimals
from wattkeeper.readings.schemas import INSTANT, READING_SCHEMA
from wattkeeper.readings.store import ReadingsStore

SHARED = Path(os.environ.get("WATTKEEPER_SHARED", Path(__file__).resolve().parents[2] / "shared")) / "data"
QUANTITY = "active_energy_import"


@dataclass(frozen=True)
class Load:
    """One of the real sets."""

    name: str
    file: str
    meter: str | None
    time: str
    amount: str
    kwh: float
    """Of one unit of the amount over one step."""
    ratio: int
    """Of the transformers before the meter."""


SETS = (
    Load("50 homes, 30 min", "sgsc_50hh_30min_raw", "customer_id", "ts_local", "kwh", 1, 1),
    Load("73 apartments, 15 min", "mrs_73apt_15min_raw", "apartment", "ts_utc", "kw", 0.25, 1),
    Load("a steel plant behind 1,000:1, 15 min", "steel_plant_15min", None, "ts", "kwh", 1, 1000),
    Load("a region behind 220,000:1, 15 min", "guangdong_region_15min", None, "ts", "kw", 0.25, 220_000),
)


def registers(load: Load) -> pa.Table | None:
    """The set as readings of its meters in order of time, each meter and moment once; None where it is not there."""
    path = SHARED / f"{load.file}.parquet"
    if not path.is_file():
        return None
    table = pq.read_table(path)
    rows = table.num_rows
    meter = np.zeros(rows, np.int64)
    if load.meter is not None:
        coded = pc.dictionary_encode(table[load.meter].cast(pa.string())).combine_chunks()
        meter = coded.indices.to_numpy().astype(np.int64)
    at = table[load.time].cast(pa.timestamp("us")).cast(pa.int64()).to_numpy()
    amount = np.nan_to_num(table[load.amount].to_numpy().astype(np.float64))
    order = np.lexsort((at, meter))
    meter, at, amount = meter[order], at[order], amount[order]
    first = np.ones(rows, bool)
    first[1:] = (meter[1:] != meter[:-1]) | (at[1:] != at[:-1])
    meter, at, amount = meter[first], at[first], np.maximum(amount[first], 0)
    counted = np.cumsum(amount * load.kwh / load.ratio)
    begun = np.flatnonzero(np.diff(meter, prepend=-1))
    counted -= np.repeat(counted[begun] - amount[begun], np.diff(np.append(begun, len(meter))))
    value = np.floor(counted * 100).astype(np.int64) * 100
    count = len(meter)
    return pa.table(
        [
            pa.array(meter + 1),
            pa.array([QUANTITY]).take(pa.array(np.zeros(count, np.int64))),
            pa.array(at).cast(INSTANT),
            decimals(value),
            pa.array(np.zeros(count, np.int32)),
            pa.array(["meter"]).take(pa.array(np.zeros(count, np.int64))),
            pa.nulls(count, pa.int64()),
        ],
        schema=READING_SCHEMA,
    ).sort_by("read_at")


def ours(readings: pa.Table) -> int:
    """Bytes of the store's files after maintenance, the readings given a week at a time."""
    with tempfile.TemporaryDirectory() as folder, ReadingsStore.open(Path(folder)) as store:
        week = pc.divide(readings["read_at"].cast(pa.int64()), 7 * 86_400_000_000)
        edges = np.flatnonzero(np.diff(week.to_numpy(), prepend=-1))
        for begin, end in zip(edges, [*edges[1:], readings.num_rows], strict=True):
            part = readings.slice(begin, end - begin)
            store.append_readings(part, part["read_at"][-1].as_py())
        store.maintain(datetime.now(UTC), keep_snapshots=timedelta(0))
        return store.maintain(datetime.now(UTC), keep_snapshots=timedelta(0)).bytes_after


def row_store(readings: pa.Table) -> Iterator[tuple[int, ...]]:
    """The readings as rows of small integers: meter, quantity, time, value, status, source, recorded."""
    at = readings["read_at"].cast(pa.int64()).to_numpy()
    value = pc.multiply(readings["value"], 100).cast(pa.float64()).to_numpy().astype(np.int64)
    columns = readings["meter_id"].to_numpy(), at // 1_000_000, value
    return ((int(m), 1, int(t), int(v), 0, 2, int(t)) for m, t, v in zip(*columns, strict=True))


def sqlite(readings: pa.Table) -> int:
    """Bytes of an SQLite file, vacuumed."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.sqlite"
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(
                "CREATE TABLE reading (meter INTEGER, quantity INTEGER, read_at INTEGER, value INTEGER, status INTEGER, "
                "source INTEGER, recorded_at INTEGER, PRIMARY KEY (meter, quantity, read_at)) WITHOUT ROWID"
            )
            connection.executemany("INSERT INTO reading VALUES (?,?,?,?,?,?,?)", row_store(readings))
            connection.commit()
            connection.execute("VACUUM")
        return path.stat().st_size


def postgresql(readings: pa.Table, server: "Server") -> int:
    """Bytes of a PostgreSQL table with its index, vacuumed."""
    return server.table_of(row_store(readings))


class Server:
    """A private PostgreSQL of this machine, spoken to by its own psql."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self._programs, self._folder = programs, folder
        self._user = "nobody" if os.geteuid() == 0 else None  # it refuses to run as root
        if self._user:
            subprocess.run(["chown", self._user, str(folder)], check=True)
        data = ["-D", str(folder / "data")]
        self._run("initdb", *data, "-U", "postgres", "--auth=trust", "--no-sync")
        options = f"-k {folder} -h '' -c fsync=off"
        self._run("pg_ctl", *data, "-l", str(folder / "log"), "-w", "-o", options, "start")

    def table_of(self, rows: Iterator[tuple[int, ...]]) -> int:
        """Load rows into a table with its key, and tell its size."""
        lines = "".join("\t".join(map(str, row)) + "\n" for row in rows)
        self._psql(
            "DROP TABLE IF EXISTS reading; CREATE TABLE reading (meter int, quantity smallint, read_at int, value bigint, "
            "status smallint, source smallint, recorded_at int)"
        )
        self._psql("\\copy reading FROM pstdin", lines)
        self._psql("ALTER TABLE reading ADD PRIMARY KEY (meter, quantity, read_at)")
        self._psql("VACUUM FULL reading")
        return int(self._psql("SELECT pg_total_relation_size('reading')"))

    def stop(self) -> None:
        """End it."""
        self._run("pg_ctl", "-D", str(self._folder / "data"), "-m", "immediate", "stop")

    def _psql(self, command: str, given: str = "") -> str:
        flags = ["-h", str(self._folder), "-U", "postgres", "-qAt", "-v", "ON_ERROR_STOP=1", "-c", command]
        return self._run("psql", *flags, given=given)

    def _run(self, program: str, *arguments: str, given: str = "") -> str:
        done = subprocess.run(
            [self._programs / program, *arguments],
            input=given, text=True, check=True, user=self._user, cwd=self._folder, capture_output=True,
        )  # fmt: skip
        return done.stdout.strip()


def programs() -> Path | None:
    """Where this machine's PostgreSQL has its programs; None without one."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    return found[-1].parent if found else None


def report() -> None:
    """A line for each set."""
    with tempfile.TemporaryDirectory() as folder:
        where = programs()
        server = None if where is None else Server(where, Path(folder))
        try:
            for load in SETS:
                readings = registers(load)
                if readings is None:
                    print(f"bytes per reading, {load.name}: not measured, the set is not here")
                    continue
                count = readings.num_rows
                size = ours(readings)
                rows = f"SQLite {sqlite(readings) / count:.1f}"
                rows += "" if server is None else f", PostgreSQL {postgresql(readings, server) / count:.1f}"
                print(
                    f"bytes per reading, {load.name}: {size / count:.2f} after maintenance (aim 2; {rows}; {count:,} readings)"
                )
        finally:
            if server is not None:
                server.stop()


if __name__ == "__main__":
    report()
