"""A fleet with a year of quarter hours, for `pages.py`: who is there, and what the meters counted.

Everything follows from the number of meters and days, so it is built once and kept. Registers go in through the
store's own call, ten days of all meters at a time and in order of time, as a concentrator's daily reports would leave
them after a merge. Intervals are not derived one by one: energy is the difference of two neighbouring registers times
the ratio, which is what derivation makes of a gapless load record; `checked` holds a sample against the real derivation.
"""

import contextlib
import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from wattkeeper.kernel.timerange import TimeRange, start_of_day
from wattkeeper.protocols.dlt645.frames import Frame
from wattkeeper.protocols.dlt645.values import encode_value
from wattkeeper.readings.intervals import decimals, derive_intervals
from wattkeeper.readings.lake import Lake
from wattkeeper.readings.layout import prepare
from wattkeeper.readings.schemas import EXCHANGE_SCHEMA, INSTANT, INTERVAL_SCHEMA, READING_SCHEMA
from wattkeeper.readings.store import ReadingsStore
from wattkeeper.registry.models import PointKind
from wattkeeper.registry.values import InstalledMeter

VERSION = 1
"""Raised when what is built changes: an older folder is then left alone and a new one built."""
ZONE = ZoneInfo("Asia/Shanghai")
NOW = datetime(2026, 11, 22, 8, 7, 5, tzinfo=UTC)  # 16:07:05 in Shanghai
ENERGY = "active_energy_import"
QUARTER = timedelta(minutes=15)
QUARTER_US = 900_000_000
DAYS_AT_ONCE = 10
METERS_A_LINK = 50
SILENT_EVERY = 800
RATIO = 40
KINDS = (
    (PointKind.HOUSEHOLD, 0.85, 3.0),
    (PointKind.SHOP, 0.09, 9.0),
    (PointKind.OFFICE, 0.04, 15.0),
    (PointKind.STREET_LIGHT, 0.01, 2.0),
    (PointKind.FACTORY, 0.01, 240.0),
)
LIVE = {
    "voltage_l1": "230.4", "current_l1": "4.251", "active_power": "0.9521", "power_factor": "0.976",
    "frequency": "50.01", "active_demand_import_max": "2.1044",
}  # fmt: skip


@dataclass(frozen=True)
class Estate:
    """So many meters with so many days behind them; ids count from one in every table."""

    meters: int
    days: int

    @property
    def start(self) -> datetime:
        """When everything was installed: a civil midnight."""
        return start_of_day(self.first_day, ZONE)

    @property
    def first_day(self) -> date:
        """The first day of data."""
        return NOW.astimezone(ZONE).date() - timedelta(days=self.days)

    @property
    def links(self) -> int:
        """How many links there are."""
        return -(-self.meters // METERS_A_LINK)

    def kind(self, number: int) -> int:
        """The place in KINDS of a meter, the kinds well mixed."""
        share, place = (number * 0.6180339887) % 1.0, 0.0
        for kind, (_, part, _) in enumerate(KINDS):
            place += part
            if share < place:
                return kind
        return 0

    def ratio(self, number: int) -> int:
        """The current transformers' ratio."""
        return RATIO if KINDS[self.kind(number)][0] is PointKind.FACTORY else 1

    def peak_kw(self, number: int) -> float:
        """The highest power [kW]."""
        return KINDS[self.kind(number)][2] * (0.6 + (number * 0.7548776662) % 1.0)

    def silent(self, number: int) -> bool:
        """Whether the meter has not answered since the morning."""
        return number % SILENT_EVERY == SILENT_EVERY - 1

    @staticmethod
    def address(number: int) -> str:
        """The meter's address."""
        return f"{330_000_000_000 + number:012d}"


def folder(estate: Estate) -> Path:
    """Where this estate is kept: `$WATTKEEPER_BENCH_DATA`, else under /var/tmp."""
    base = Path(os.environ.get("WATTKEEPER_BENCH_DATA", "/var/tmp/wattkeeper-bench"))
    return base / f"pages-v{VERSION}-{estate.meters}-meters-{estate.days}-days"


def readings_of(estate: Estate) -> Path:
    """The folder of the readings store, built now if it is not there yet."""
    place = folder(estate) / "readings"
    with building(estate):
        if not place.exists():
            growing = place.with_name("readings.growing")
            shutil.rmtree(growing, ignore_errors=True)
            _build(estate, growing)
            growing.rename(place)
    return place


@contextlib.contextmanager
def building(estate: Estate) -> Iterator[None]:
    """Let no two processes build the same estate; the second waits and finds it built."""
    folder(estate).mkdir(parents=True, exist_ok=True)
    with (folder(estate) / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(estate: Estate, place: Path) -> None:
    rows = estate.meters * estate.days * 96
    print(f"building {rows:,} registers and {rows:,} intervals in {place.parent} …", flush=True)
    began = time.perf_counter()
    lake = Lake.embedded(place)
    prepare(lake)
    store = ReadingsStore(lake)
    try:
        load = Load(estate)
        for batch in _batches(estate):
            readings, intervals = load.tables(batch)
            store.append_readings(readings, batch.closed_end)
            store.append_intervals(intervals, batch.closed_end)
            store.latest([1])  # takes the batch in now, while it is small
            print(f"  up to {batch.closed_end:%Y-%m-%d}: {time.perf_counter() - began:,.0f} s", flush=True)
        _live(estate, store)
        checked(estate, store)
        store.maintain(NOW, keep_snapshots=timedelta(0))
    finally:
        store.close()
    size = sum(file.stat().st_size for file in place.rglob("*") if file.is_file())
    print(f"  built in {time.perf_counter() - began:,.0f} s, {size / 1e6:,.0f} MB", flush=True)


def _batches(estate: Estate) -> Iterator[TimeRange]:
    """Ten days at a time; the last batch ends with the present."""
    start, end = estate.start, NOW.replace(minute=NOW.minute // 15 * 15, second=0)
    while start < end:
        until = min(start + DAYS_AT_ONCE * timedelta(days=1), end)
        yield TimeRange(start, until)
        start = until


class Load:
    """The registers of all meters, one batch after the other."""

    def __init__(self, estate: Estate) -> None:
        numbers = range(estate.meters)
        self._ids = np.arange(1, estate.meters + 1, dtype=np.int64)
        self._kinds = np.array([estate.kind(number) for number in numbers])
        self._ratio = np.array([estate.ratio(number) for number in numbers], dtype=np.int64)
        peak = np.array([estate.peak_kw(number) for number in numbers])
        self._step = (peak / self._ratio / 4 * 100).astype(np.float32)
        """Energy of a quarter hour at full load, as the meter counts it [0.01 kWh]."""
        self._register = np.zeros(estate.meters, dtype=np.int64)
        self._first = True

    def tables(self, period: TimeRange) -> tuple[pa.Table, pa.Table]:
        """The readings and intervals of a period; the very first batch brings the first register, too."""
        slots = int(period.duration / QUARTER)
        starts = int(period.start.timestamp() * 1e6) + np.arange(slots, dtype=np.int64) * QUARTER_US
        energy = self._energy(starts)
        registers = self._register[:, None] + np.cumsum(energy, axis=1)
        stamps = starts + QUARTER_US
        if self._first:
            self._first = False
            registers = np.concatenate([self._register[:, None], registers], axis=1)
            stamps = np.concatenate([starts[:1], stamps])
        self._register = registers[:, -1]
        return self._readings(stamps, registers), self._intervals(starts, energy)

    def _energy(self, starts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Whole hundredths of kWh per meter and slot: the shape of its kind, noise, and fair rounding."""
        random = np.random.default_rng(int(starts[0] // QUARTER_US))
        shapes = np.stack([_shape(kind, starts) for kind, *_ in KINDS]).astype(np.float32)
        noise = random.random((len(self._ids), len(starts)), dtype=np.float32)
        wanted = shapes[self._kinds] * (self._step[:, None] * (0.5 + noise))
        wanted += random.random(wanted.shape, dtype=np.float32)
        return wanted.astype(np.int64)

    def _readings(self, stamps: npt.NDArray[np.int64], registers: npt.NDArray[np.int64]) -> pa.Table:
        rows = registers.size
        return pa.table(
            [
                pa.array(np.repeat(self._ids, len(stamps))),
                _constant(ENERGY, rows),
                pa.array(np.tile(stamps, len(self._ids))).cast(INSTANT),
                decimals(registers.ravel() * 100),
                pa.array(np.zeros(rows, np.int32)),
                _constant("meter", rows),
                pa.nulls(rows, pa.int64()),
            ],
            schema=READING_SCHEMA,
        )

    def _intervals(self, starts: npt.NDArray[np.int64], energy: npt.NDArray[np.int64]) -> pa.Table:
        rows = energy.size
        return pa.table(
            [
                pa.array(np.repeat(self._ids, len(starts))),
                _constant(ENERGY, rows),
                pa.array(np.tile(starts, len(self._ids))).cast(INSTANT),
                pa.array(np.tile(starts + QUARTER_US, len(self._ids))).cast(INSTANT),
                decimals((energy * self._ratio[:, None]).ravel() * 100),
                pa.array(np.zeros(rows, np.int32)),
                _constant("measured", rows),
                pa.nulls(rows, INTERVAL_SCHEMA.field("error").type),
            ],
            schema=INTERVAL_SCHEMA,
        )


def _constant(text: str, rows: int) -> pa.Array:
    return pa.array([text]).take(pa.array(np.zeros(rows, np.int32)))


def _shape(kind: PointKind, starts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Share of the full load over the day: homes in the evening, trade by day, lamps at night."""
    local = starts / 3.6e9 + 8
    hour, day = local % 24, (local // 24).astype(np.int64)
    workday = np.where((day + 3) % 7 < 5, 1.0, 0.4)
    season = 1 + 0.25 * np.cos(2 * np.pi * (day % 365) / 182.5)  # heating and cooling
    if kind is PointKind.HOUSEHOLD:
        morning, evening = np.exp(-(((hour - 7.5) / 1.2) ** 2)), np.exp(-(((hour - 20) / 2.2) ** 2))
        return (0.05 + 0.15 * morning + 0.4 * evening) * season
    if kind is PointKind.STREET_LIGHT:
        return np.where((hour > 18) | (hour < 6), 0.6, 0.0)
    return (0.05 + 0.5 * ((hour > 8) & (hour < 20)) * workday) * season


def _live(estate: Estate, store: ReadingsStore) -> None:
    """The last round of live values, and the frames they came in."""
    at = NOW - timedelta(seconds=20)
    answering = [n for n in range(estate.meters) if not estate.silent(n)]
    exchange = {n: int(at.timestamp() * 1000) << 12 | n for n in answering}
    rows = [
        {"meter_id": n + 1, "quantity": key, "read_at": at, "value": Decimal(value), "status": 0, "source": "polled",
         "exchange_id": exchange[n]}
        for key, value in LIVE.items() for n in answering
    ]  # fmt: skip
    store.append_readings(pa.Table.from_pylist(rows, READING_SCHEMA), NOW)
    frames = [_exchange(n, exchange[n], at) for n in answering]
    store.append_exchanges(pa.Table.from_pylist(frames, EXCHANGE_SCHEMA))


def _exchange(number: int, exchange_id: int, at: datetime) -> dict[str, object]:
    identifier, address = bytes.fromhex("02010100")[::-1], Estate.address(number)
    return {
        "exchange_id": exchange_id, "link_id": number // METERS_A_LINK + 1, "meter_id": number + 1, "began_at": at,
        "ended_at": at + timedelta(milliseconds=84), "request": Frame(address, 0x11, identifier).encode(),
        "reply": Frame(address, 0x91, identifier + encode_value("02010100", Decimal("230.4"))).encode(), "outcome": "ok",
    }  # fmt: skip


def checked(estate: Estate, store: ReadingsStore) -> None:
    """Hold the last two days of a sample of meters against the real derivation, row by row."""
    end = NOW.replace(minute=0, second=0)
    period = TimeRange(end - timedelta(days=2), end)
    around = TimeRange(period.start - QUARTER, end + QUARTER)
    for number in range(0, estate.meters, max(1, estate.meters // 10)):
        readings = store.readings(meter_ids=[number + 1], quantities=[ENERGY], period=around)
        derived = derive_intervals(readings, [_installed(estate, number)], period)
        kept = store.intervals(point_ids=[number + 1], quantity=ENERGY, period=period)
        assert derived.num_rows == 192
        assert derived.equals(kept.select(derived.column_names)), f"intervals of meter {number + 1} differ"


def _installed(estate: Estate, number: int) -> InstalledMeter:
    return InstalledMeter(
        installation_id=number + 1, meter_id=number + 1, point_id=number + 1, period=TimeRange(estate.start, None),
        ratio=Decimal(estate.ratio(number)), first_register=Decimal(0), last_register=None, register_digits=6,
        register_decimals=2, interval_minutes=15, rated_power_kw=None, zone=ZONE,
    )  # fmt: skip
