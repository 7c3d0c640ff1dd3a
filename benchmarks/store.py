"""What the readings store costs: commits against a bare append, bytes on disk beside row stores, queries of a large one.

Each figure is a ratio with its two raw numbers, or a size with its aim. Run ``python benchmarks/store.py``; with
``--meters``, ``--ticks`` and ``--rows`` smaller for a quick look.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa

import store_large
import store_real
from wattkeeper.readings.intervals import decimals
from wattkeeper.readings.lake import Lake
from wattkeeper.readings.layout import prepare
from wattkeeper.readings.schemas import INSTANT, READING_SCHEMA
from wattkeeper.readings.store import ReadingsStore

_START = datetime(2026, 1, 1, tzinfo=UTC)
_TICK = timedelta(minutes=15)
_QUANTITY = "active_energy_import"


class Fleet:
    """Household-like registers of 0.01 kWh: mostly small steps, an evening peak, meters that differ."""

    def __init__(self, meters: int, *, traced: bool) -> None:
        self._random = np.random.default_rng(645)
        self._meters = np.arange(1, meters + 1, dtype=np.int64)
        self._mean = self._random.gamma(2.0, 5.0, meters)
        self._register = self._random.integers(0, 2_000_000, meters)
        self._traced = traced
        self._tick = 0

    def batch(self, ticks: int = 1) -> pa.Table:
        """The next ticks of all meters."""
        columns = [self._step() for _ in range(ticks)]
        rows = len(self._meters) * ticks
        exchange = pa.array(self._exchanges(rows, ticks)) if self._traced else pa.nulls(rows, pa.int64())
        return pa.table(
            [
                pa.array(np.tile(self._meters, ticks)),
                pa.array([_QUANTITY]).take(pa.array(np.zeros(rows, np.int64))),
                pa.array(np.concatenate([at for at, _ in columns])).cast(INSTANT),
                decimals(np.concatenate([value for _, value in columns]) * 100),
                pa.array(np.zeros(rows, np.int32)),
                pa.array(["polled" if self._traced else "meter"]).take(pa.array(np.zeros(rows, np.int64))),
                exchange,
            ],
            schema=READING_SCHEMA,
        )

    def _exchanges(self, rows: int, ticks: int) -> np.ndarray:
        """An exchange for each reading, somewhere in the ten minutes a bus takes to go round."""
        tick = np.repeat(np.arange(self._tick - ticks, self._tick), len(self._meters))
        milliseconds = (
            int(_START.timestamp() * 1000) + tick * 900_000 + self._random.integers(0, 600_000, rows)
        )
        return milliseconds << 12 | 64 << 4

    def _step(self) -> tuple[np.ndarray, np.ndarray]:
        hour = self._tick / 4 % 24
        shape = 0.5 + 1.5 * np.exp(-(((hour - 19.5) / 2.5) ** 2))
        self._register = self._register + self._random.poisson(self._mean * shape)
        at = int((_START + self._tick * _TICK).timestamp() * 1e6)
        self._tick += 1
        return np.full(len(self._meters), at, np.int64), self._register


def stores() -> Iterator[tuple[Lake, ReadingsStore]]:
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake.embedded(Path(folder))
        prepare(lake)
        store = ReadingsStore(lake)
        try:
            yield lake, store
        finally:
            store.close()


def commits(meters: int, ticks: int) -> None:
    """Alternate the public call and a bare INSERT of the same batch into a twin table of the same lake."""
    for lake, store in stores():
        with lake.transaction() as cursor:
            cursor.execute("CREATE TABLE lake.bare AS FROM lake.reading")
            cursor.execute("ALTER TABLE lake.bare SET PARTITIONED BY (year(read_at), month(read_at))")
            cursor.execute("ALTER TABLE lake.bare SET SORTED BY (quantity, meter_id, read_at)")
        fleet = Fleet(meters, traced=True)
        ours, bare = [], []
        for tick in range(ticks + 3):
            batch = fleet.batch()
            now = _START + tick * _TICK
            began = time.perf_counter()
            store.append_readings(batch, now)
            between = time.perf_counter()
            with lake.transaction() as cursor:
                cursor.register("batch", batch)
                cursor.execute("INSERT INTO lake.bare SELECT *, ?::TIMESTAMPTZ FROM batch", [now])
            ended = time.perf_counter()
            ours.append(between - began)
            bare.append(ended - between)
        rates = [meters / statistics.median(times[3:]) for times in (ours, bare)]
        print(
            f"readings committed, {meters:,} meters a tick: {rates[0] / rates[1]:.0%} of a bare append "
            f"({rates[0]:,.0f}/s against {rates[1]:,.0f}/s; aim 60 %)"
        )


def disk(meters: int, *, days: int, traced: bool) -> None:
    """Days of 15-minute registers, then maintenance: load profiles by the day, or polls tick by tick."""
    for _, store in stores():
        fleet = Fleet(meters, traced=traced)
        ticks = 1 if traced else 96
        began = time.perf_counter()
        for batch in range(days * 96 // ticks):
            store.append_readings(fleet.batch(ticks), _START + (batch + 1) * ticks * _TICK)
        written = time.perf_counter()
        maintained = store.maintain(_START + timedelta(days=40), keep_snapshots=timedelta(0))
        tidy = time.perf_counter() - written
        rows = meters * 96 * days
        what = "polled tick by tick, each with its own trace" if traced else "load profiles by the day"
        print(
            f"bytes per reading after maintenance, {what}: {maintained.bytes_after / rows:.2f} "
            f"({maintained.bytes_after:,} bytes, {rows:,} readings{'' if traced else '; aim 2'}); "
            f"written in {written - began:.1f} s, maintained in {tidy:.1f} s"
        )
        if not traced:
            newest(store)


def newest(store: ReadingsStore) -> None:
    """The newest reading of one meter, the first time and from then on."""
    times = []
    for _ in range(2):
        began = time.perf_counter()
        store.latest([1])
        times.append(time.perf_counter() - began)
    print(f"latest of one meter: {times[1] * 1000:.1f} ms; {times[0] * 1000:.0f} ms the first time")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--meters", type=int, default=20_000, help="meters a tick")
    parser.add_argument("--ticks", type=int, default=40, help="ticks measured")
    parser.add_argument("--month", type=int, default=2_000, help="meters whose month is written")
    parser.add_argument("--rows", type=int, default=60_000_000, help="readings of the large store")
    chosen = parser.parse_args()
    commits(chosen.meters, chosen.ticks)
    disk(chosen.month, days=31, traced=False)
    disk(chosen.month, days=5, traced=True)
    store_real.report()
    store_large.report(chosen.rows)


if __name__ == "__main__":
    main()
