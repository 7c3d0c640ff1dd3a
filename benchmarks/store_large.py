"""A large store: one meter's month, the whole fleet's day beside the engine's own scan, and what superseded versions cost.

The month is made inside DuckDB, a day of all meters at a time as collection brings it, and then maintained. Registers
count in 0.01 kWh: steps that differ from quarter hour to quarter hour and from meter to meter.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.readings.lake import Lake
from wattkeeper.readings.layout import prepare
from wattkeeper.readings.schemas import READING_SCHEMA
from wattkeeper.readings.selection import within
from wattkeeper.readings.store import ReadingsStore

START = datetime(2026, 1, 1, tzinfo=UTC)
DAYS = 31
TICKS = 96
QUANTITY = "active_energy_import"
REPEATS = 15


def day_of(meters: int, day: int) -> str:
    """A day of all meters, as SQL in the columns of READING_SCHEMA; a register never runs down."""
    return f"""
        SELECT m AS meter_id, '{QUANTITY}' AS quantity,
               TIMESTAMPTZ '{START:%Y-%m-%d}T00:00:00Z' + t * INTERVAL 15 MINUTE AS read_at,
               (floor(m * 131 + (2 + m % 19) * (t + 0.9 * (hash(m, t) % 1000) / 1000)) / 100)::DECIMAL(18,4) AS value,
               0::INTEGER AS status, 'meter' AS source, NULL::BIGINT AS exchange_id
        FROM range(1, {meters + 1}) a(m), range({day * TICKS}, {(day + 1) * TICKS}) b(t)
    """


def build(lake: Lake, meters: int) -> None:
    """A month of all meters, written day by day."""
    for day in range(DAYS):
        with lake.transaction() as cursor:
            cursor.execute(
                f"INSERT INTO lake.reading SELECT *, ?::TIMESTAMPTZ FROM ({day_of(meters, day)})",
                [START + (day + 1) * timedelta(days=1)],
            )


def supersede(lake: Lake, store: ReadingsStore, meters: int) -> int:
    """Correct every twentieth reading, by what every writer calls; returns how many."""
    replaced = 0
    for day in range(DAYS):
        with lake.reading() as cursor:
            rows = cursor.execute(f"""
                SELECT * REPLACE (value + 0.005 AS value, 'edited' AS source)
                FROM ({day_of(meters, day)}) WHERE hash(meter_id, read_at) % 20 = 0
            """).to_arrow_table()
        replaced += store.append_readings(rows.cast(READING_SCHEMA), START + timedelta(days=40)).superseding
    return replaced


@dataclass(frozen=True)
class Took:
    """Seconds of a query: by the clock, and of the processors, which another program on the machine lengthens less."""

    clock: float
    work: float

    @classmethod
    def median(cls, times: Sequence["Took"]) -> "Took":
        """The median of some."""
        return cls(statistics.median(t.clock for t in times), statistics.median(t.work for t in times))


@contextmanager
def taking(times: list[Took]) -> Iterator[None]:
    """Time a block."""
    clock, work = time.perf_counter(), time.process_time()
    yield
    times.append(Took(time.perf_counter() - clock, time.process_time() - work))


def months(store: ReadingsStore, meters: int) -> Took:
    """One meter's month: the median of some meters, asked as pages ask."""
    period = TimeRange(START, START + timedelta(days=DAYS))
    times: list[Took] = []
    for meter in np.random.default_rng(1).integers(1, meters + 1, REPEATS):
        with taking(times):
            found = store.readings(meter_ids=[int(meter)], quantities=[QUANTITY], period=period)
        assert found.num_rows == DAYS * TICKS
    return Took.median(times)


def fleet_days(lake: Lake, meters: int) -> tuple[Took, Took]:
    """A day of all meters added up, through the store's catalogue and from its bare files, by turns."""
    wanted = []
    for day in range(5, 5 + REPEATS):
        period = TimeRange(START + timedelta(days=day), START + timedelta(days=day + 1))
        wanted.append(f"WHERE quantity = '{QUANTITY}' AND {within('read_at', period)}")
    with lake.reading() as cursor:
        files = [
            row[0]
            for row in cursor.execute(
                "SELECT data_file FROM ducklake_list_files('lake', 'reading')"
            ).fetchall()
        ]

        sources = ("lake.reading", f"read_parquet({files})")
        times: tuple[list[Took], list[Took]] = ([], [])
        for condition in [wanted[0], *wanted]:  # the first is not counted: both have seen the files then
            for source, of in zip(sources, times, strict=True):
                with taking(of):
                    found = cursor.execute(
                        f"SELECT count(*), sum(value) FROM {source} {condition}"
                    ).fetchall()
                assert found[0][0] == meters * TICKS
    return Took.median(times[0][1:]), Took.median(times[1][1:])


def report(rows: int) -> None:
    """Build, measure, correct every twentieth reading, and measure again."""
    meters = max(100, rows // (DAYS * TICKS))
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake.embedded(Path(folder))
        prepare(lake)
        store = ReadingsStore(lake)
        took = _timed(lambda: build(lake, meters))
        tidied = _timed(lambda: store.maintain(keep_snapshots=timedelta(0)))
        held = meters * DAYS * TICKS
        size = store.maintain(keep_snapshots=timedelta(0)).bytes_after
        print(
            f"a month of {meters:,} meters, {held:,} readings: {size / held:.2f} bytes each (aim 2); "
            f"written in {took:.0f} s, maintained in {tidied:.0f} s"
        )
        month, (day, plain) = months(store, meters), fleet_days(lake, meters)
        print(
            f"one meter's month: {month.clock * 1000:.0f} ms, {month.work * 1000:.0f} ms of the processors, among {held:,} "
            "readings (aim 30 ms at 60 M)"
        )
        print(
            f"a day of the whole fleet: {day.work / plain.work:.2f} of a plain scan of the same Parquet files "
            f"({day.clock * 1000:.0f} ms against {plain.clock * 1000:.0f} ms for {meters * TICKS:,} readings; aim 1)"
        )
        replaced = supersede(lake, store, meters)
        store.maintain(keep_snapshots=timedelta(0))
        month_after, (day_after, _) = months(store, meters), fleet_days(lake, meters)
        print(
            f"the same with {replaced / held:.1%} superseded: a month {month_after.work / month.work:.2f} of the work without "
            f"({month_after.clock * 1000:.0f} ms), a day {day_after.work / day.work:.2f} ({day_after.clock * 1000:.0f} ms); aim 1"
        )
        store.close()


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=60_000_000, help="readings of the month")
    report(parser.parse_args().rows)


if __name__ == "__main__":
    main()
