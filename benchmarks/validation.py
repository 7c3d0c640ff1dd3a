"""What validation costs: all rules over days of a fleet, and one tick of it, beside one rule reading by reading.

Every meter has a register, three voltages and three currents on a 15-minute grid. The peer is a loop over the same
readings in plain Python that looks for one thing only, a register that runs backwards. Run ``python
benchmarks/validation.py``; with ``--meters`` and ``--days`` smaller for a quick look.
"""

import argparse
import tempfile
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa

from wattkeeper.kernel.database import Database
from wattkeeper.readings.intervals import decimals
from wattkeeper.readings.schemas import INSTANT, READING_SCHEMA
from wattkeeper.readings.store import ReadingsStore
from wattkeeper.readings.validation.checking import Context, check
from wattkeeper.readings.validation.service import ValidationService
from wattkeeper.registry.repository import Registry
from wattkeeper.registry.service import install_meter

START = datetime(2025, 12, 31, 16, tzinfo=UTC)  # midnight in Shanghai
TICK_US = 900_000_000
QUANTITIES = ("active_energy_import", *(f"{kind}_l{n}" for kind in ("voltage", "current") for n in (1, 2, 3)))


def readings(meters: int, ticks: int, *, first: int = 0) -> pa.Table:
    """Ticks of a healthy fleet, whose registers count on from tick to tick."""
    random = np.random.default_rng(645 + first)
    at = int(START.timestamp() * 1e6) + (first + np.arange(ticks)) * TICK_US
    counted = 100_000 + 10 * (first + np.arange(ticks)) + random.integers(0, 10, (meters, ticks))
    counted[:, 0] -= counted[:, 0] % 10  # the first is what was noted when the meter was put up
    parts = [counted * 100]  # hundredths of a kWh in units of the store
    parts += [random.integers(2_240, 2_280, (meters, ticks)) * 1_000 for _ in range(3)]
    parts += [random.integers(800, 1_200, (meters, ticks)) * 10 for _ in range(3)]
    rows = meters * ticks
    zeros = pa.array(np.zeros(rows * len(parts), np.int64))
    return pa.table(
        [
            pa.array(np.tile(np.repeat(np.arange(1, meters + 1), ticks), len(parts))),
            pa.array(QUANTITIES).take(pa.array(np.repeat(np.arange(len(parts)), rows))),
            pa.array(np.tile(at, meters * len(parts))).cast(INSTANT),
            decimals(np.concatenate([part.ravel() for part in parts]).astype(np.int64)),
            zeros.cast(pa.int32()),
            pa.array(["meter"]).take(zeros),
            pa.nulls(rows * len(parts), pa.int64()),
        ],
        schema=READING_SCHEMA,
    )


def ledger(folder: Path, meters: int) -> Database:
    database = Database(f"sqlite:///{folder / 'ledger.db'}")
    database.create_schema()
    with database.write() as session:
        registry = Registry(session)
        site = registry.add_site(code="S", name="Site", zone="Asia/Shanghai")
        link = registry.add_link(code="L", name="Link", url="tcp://127.0.0.1:2404")
        for number in range(1, meters + 1):
            meter = registry.add_meter(address=f"{number:012d}", link_id=link.id, max_current_a=Decimal(60))
            point = registry.add_point(
                site_id=site.id, code=f"P{number}", name="Point", rated_power_kw=Decimal(20)
            )
            session.flush()
            install_meter(
                session, point_id=point.id, meter_id=meter.id, at=START, first_register=Decimal(1000)
            )
    return database


def one_by_one(table: pa.Table) -> float:
    """Readings a second of the peer."""
    began = time.perf_counter()
    rows = table.slice(0, 200_000).to_pylist()
    latest: dict[tuple[int, str], Decimal] = {}
    backwards = 0
    for row in rows:
        key = row["meter_id"], row["quantity"]
        backwards += row["quantity"] == QUANTITIES[0] and row["value"] < latest.get(key, row["value"])
        latest[key] = row["value"]
    assert not backwards
    return len(rows) / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--meters", type=int, default=500)
    parser.add_argument("--days", type=int, default=7)
    options = parser.parse_args()
    meters, ticks = options.meters, options.days * 96
    table = readings(meters, ticks)
    peer = one_by_one(table)
    began = time.perf_counter()
    assert not check(table, Context()).num_rows
    pure = table.num_rows / (time.perf_counter() - began)
    print(
        f"rules over a table: {pure:,.0f} readings/s, {pure / peer:.1f} times a loop over Python objects with one rule "
        f"({peer:,.0f}/s)"
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        database = ledger(folder, meters)
        with ReadingsStore.open(folder / "readings") as store:
            service = ValidationService(database, store)
            now = START + timedelta(microseconds=ticks * TICK_US)
            store.append_readings(table, now)
            began = time.perf_counter()
            found = service.validate_pending(now)
            took = time.perf_counter() - began
            print(
                f"backlog through the store, {meters:,} meters, {options.days} days: {table.num_rows / took:,.0f} "
                f"readings/s ({took:.1f} s; {found.raised} findings)"
            )
            tick = readings(meters, 1, first=ticks)
            store.append_readings(tick, now + timedelta(minutes=1))
            began = time.perf_counter()
            service.validate_pending(now + timedelta(minutes=1))
            took = time.perf_counter() - began
            print(
                f"one tick of {meters:,} meters, the civil day of each judged again: {took * 1000:,.0f} ms for "
                f"{tick.num_rows:,} readings ({took / 900:.2%} of the quarter hour until the next)"
            )
        database.dispose()


if __name__ == "__main__":
    main()
