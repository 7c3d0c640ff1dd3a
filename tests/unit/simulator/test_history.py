"""The past as a file: 4 kW since 2026-01-01 00:00 in China, seen on 2026-03-04 at 12:00."""

from datetime import UTC, datetime, time, timedelta
from decimal import Decimal

import pyarrow.parquet as pq
import pytest

from wattkeeper.simulator import Neighbourhood, WorldPlan
from wattkeeper.simulator.history import HISTORY_SCHEMA, write_history

ONE, TWO = "000000000161", "000000000162"
NEW_YEAR = datetime(2025, 12, 31, 16, 0, tzinfo=UTC)
QUARTER_HOUR = timedelta(minutes=15)


@pytest.fixture
def past(tmp_path, clock, constant_load):
    """The rows of each address, from a world of these meters."""

    def write(*meters, until):
        described = {"links": [{"code": "a", "meters": [{"point": "home", **meter} for meter in meters]}]}
        plan = WorldPlan.from_mapping(described, today=clock.at.date())
        world = Neighbourhood(
            plan, clock=clock, loads={meter["address"]: constant_load(4.0) for meter in meters}
        )
        file = tmp_path / "past.parquet"
        rows = write_history(world, file, until=until)
        table = pq.read_table(file)
        assert table.num_rows == rows
        assert table.schema.names == HISTORY_SCHEMA.names
        return {
            address: [
                (row["read_at"], row["active_energy_import"])
                for row in table.to_pylist()
                if row["address"] == address
            ]
            for address in (ONE, TWO)
        }

    return write


def test_every_quarter_hour_before_the_end_is_told_as_the_meter_shows_it(past):
    rows = past({"address": ONE, "first_register": 7}, until=NEW_YEAR + 3 * QUARTER_HOUR)[ONE]
    assert rows == [
        (NEW_YEAR, Decimal("7.0000")),
        (NEW_YEAR + QUARTER_HOUR, Decimal("8.0000")),
        (NEW_YEAR + 2 * QUARTER_HOUR, Decimal("9.0000")),
    ]


def test_the_file_ends_where_the_load_record_goes_on(past, clock):
    until = clock.at - timedelta(hours=1)
    [*_, (last, register)] = past({"address": ONE}, until=until)[ONE]
    # 62 days and 10.75 hours of 96 kWh.
    assert (last, register) == (until - QUARTER_HOUR, Decimal("5995.0000"))


def test_a_slow_clock_stamps_its_past_by_itself(past):
    rows = past({"address": ONE, "clock_offset": -420}, until=NEW_YEAR + 2 * QUARTER_HOUR)[ONE]
    # What it stamps 00:00 was 00:07: 7 of 15 minutes of 1 kWh.
    assert [at for at, _ in rows] == [NEW_YEAR, NEW_YEAR + QUARTER_HOUR]
    assert [float(register) for _, register in rows] == pytest.approx([0.47, 1.47], abs=0.02)


def test_of_a_meter_that_is_gone_all_is_told_to_its_end_and_its_successor_begins_there(past, clock):
    exchange = {"at": {"days_ago": 1, "time": time(14, 7)}, "address": TWO, "first_register": 3}
    told = past({"address": ONE, "exchange": exchange}, until=clock.at)
    assert told[ONE][-1] == (datetime(2026, 3, 3, 6, 0, tzinfo=UTC), Decimal("5912.0000"))
    assert [at for at, _ in told[TWO]][:2] == [
        datetime(2026, 3, 3, 6, 15, tzinfo=UTC),
        datetime(2026, 3, 3, 6, 30, tzinfo=UTC),
    ]
    before = past({"address": ONE, "exchange": exchange}, until=NEW_YEAR + QUARTER_HOUR)
    assert (before[ONE], before[TWO]) == (told[ONE], [])


def test_of_a_silent_meter_all_is_told_until_it_fell_silent(past):
    rows = past(
        {"address": ONE, "silent_since": {"days_ago": 1, "time": time(3, 20)}}, until=NEW_YEAR + QUARTER_HOUR
    )
    assert rows[ONE][-1][0] == datetime(2026, 3, 2, 19, 15, tzinfo=UTC)


def test_nothing_is_told_of_the_future(past, clock):
    rows = past({"address": ONE}, until=clock.at + timedelta(days=3))[ONE]
    assert rows[-1][0] == clock.at - QUARTER_HOUR
