"""Where no register ends a gap, what is proposed is likely by the point's own days, else by its peers, with a bound."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest

from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.readings.estimating import estimated_open
from wattkeeper.readings.schemas import INTERVAL_SCHEMA, IntervalStatus
from wattkeeper.readings.store import ReadingsStore
from wattkeeper.registry.values import InstalledMeter

KEY = "active_energy_import"
ZONE = ZoneInfo("Asia/Shanghai")
MIDNIGHT = datetime(2026, 3, 15, 16, tzinfo=UTC)  # Monday 16 March, 00:00 in Shanghai
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
GAP = TimeRange(MIDNIGHT, MIDNIGHT + DAY)


def used(hour: int) -> Decimal:
    return Decimal(4) if 18 <= hour % 24 < 22 else Decimal(1)


@pytest.fixture
def store(tmp_path):
    with ReadingsStore.open(tmp_path) as store:
        yield store


@pytest.fixture
def meter():
    return InstalledMeter(
        installation_id=1, point_id=1, meter_id=1, period=TimeRange(MIDNIGHT - 90 * DAY, None), ratio=Decimal(1),
        register_digits=6, register_decimals=2, first_register=Decimal(0), last_register=None, interval_minutes=60,
        zone=ZONE, rated_power_kw=None,
    )  # fmt: skip


def fill(store, point: int, days: tuple[int, int], scale: str = "1", method: str = "measured") -> None:
    """Hours of a point from so many days after the gap's midnight to so many."""
    rows = [
        {"point_id": point, "quantity": KEY, "start_at": MIDNIGHT + n * HOUR, "end_at": MIDNIGHT + (n + 1) * HOUR,
         "energy": used(n) * Decimal(scale), "status": 0, "method": method}
        for n in range(24 * days[0], 24 * days[1])
    ]  # fmt: skip
    store.append_intervals(pa.Table.from_pylist(rows, INTERVAL_SCHEMA), GAP.closed_end)


def test_the_points_own_days_tell_what_is_likely(store, meter):
    fill(store, 1, (-28, 0))
    rows = estimated_open(store, meter, KEY, GAP, []).to_pylist()
    assert [row["start_at"] for row in rows] == [MIDNIGHT + n * HOUR for n in range(24)]
    assert {(row["method"], row["status"]) for row in rows} == {("history", IntervalStatus.ESTIMATED.value)}
    assert all(abs(row["energy"] - used(n)) < Decimal("0.02") for n, row in enumerate(rows))
    assert all(row["error"] is not None for row in rows)


def test_what_was_measured_in_the_period_is_left_alone(store, meter):
    fill(store, 1, (-28, 0))
    fill(store, 1, (0, 1))
    assert estimated_open(store, meter, KEY, GAP, []).num_rows == 0


def test_a_young_point_goes_by_its_peers_at_its_own_level(store, meter):
    fill(store, 1, (-2, 0), "2")
    for peer in (2, 3, 4):
        fill(store, peer, (-20, 1))
    rows = estimated_open(store, meter, KEY, GAP, [1, 2, 3, 4]).to_pylist()
    assert {row["method"] for row in rows} == {"peers"}
    # Its mean is 3 kWh an hour, twice that of its peers: so is every hour.
    assert [row["energy"] for row in rows] == [2 * used(n) for n in range(24)]


def test_nothing_is_estimated_where_nothing_tells(store, meter):
    fill(store, 1, (-2, 0))
    assert estimated_open(store, meter, KEY, GAP, [2, 3]).num_rows == 0
    fill(store, 1, (-30, -2), method="imported")
    assert estimated_open(store, meter, KEY, GAP, []).num_rows == 0
