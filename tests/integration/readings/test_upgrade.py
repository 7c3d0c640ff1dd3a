"""A store that an earlier version made is brought to today's format when it is opened, and nothing in it changes."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import duckdb
import pyarrow as pa
import pytest

from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.readings import layout
from wattkeeper.readings.lake import Lake
from wattkeeper.readings.schemas import INTERVAL_SCHEMA
from wattkeeper.readings.store import ReadingsStore

KEY = "active_energy_import"
T0 = datetime(2026, 1, 5, 8, tzinfo=UTC)
QUARTER = timedelta(minutes=15)

READING = """meter_id BIGINT, quantity VARCHAR, read_at TIMESTAMPTZ, value DECIMAL(18,4), status INTEGER, source VARCHAR,
    exchange_id BIGINT, recorded_at TIMESTAMPTZ"""
INTERVAL = """point_id BIGINT, quantity VARCHAR, start_at TIMESTAMPTZ, end_at TIMESTAMPTZ, energy DECIMAL(18,4),
    status INTEGER, method VARCHAR, recorded_at TIMESTAMPTZ"""
EXCHANGE = """exchange_id BIGINT, link_id BIGINT, meter_id BIGINT, began_at TIMESTAMPTZ, ended_at TIMESTAMPTZ,
    request BLOB, reply BLOB, outcome VARCHAR"""
FORMAT_1 = [
    # The statements with which format 1 made its tables, word for word but for line breaks.
    "CALL lake.set_option('parquet_compression', 'zstd')",
    *(
        statement
        for name, columns, partition, sort in (
            ("reading", READING, "year(read_at), month(read_at)", "quantity, meter_id, read_at"),
            ("reading_superseded", f"{READING}, superseded_at TIMESTAMPTZ", "year(read_at), month(read_at)",
             "quantity, meter_id, read_at"),
            ("interval", INTERVAL, "year(start_at), month(start_at)", "quantity, point_id, start_at"),
            ("interval_superseded", f"{INTERVAL}, superseded_at TIMESTAMPTZ", "year(start_at), month(start_at)",
             "quantity, point_id, start_at"),
            ("exchange", EXCHANGE, "year(began_at), month(began_at), day(began_at)", "exchange_id"),
        )
        for statement in (
            f"CREATE TABLE lake.{name} ({columns})",
            f"ALTER TABLE lake.{name} SET PARTITIONED BY ({partition})",
            f"ALTER TABLE lake.{name} SET SORTED BY ({sort})",
        )
    ),
    f"CREATE TABLE lake.latest ({READING})",
    "CREATE TABLE lake.store_format (format INTEGER)",
    "INSERT INTO lake.store_format VALUES (1)",
]  # fmt: skip
# 1,000 intervals as Parquet, then two inlined into the catalogue, one of which replaced an earlier one.
FILLED = [
    f"""INSERT INTO lake.interval SELECT 1, '{KEY}', TIMESTAMPTZ '2026-01-05 08:00:00+00' + n * INTERVAL 15 MINUTE,
        TIMESTAMPTZ '2026-01-05 08:15:00+00' + n * INTERVAL 15 MINUTE, 1 + n % 7 * 0.25, 0, 'measured',
        TIMESTAMPTZ '2026-02-01 00:00:00+00' FROM range(1000) t(n)""",
    f"""INSERT INTO lake.interval VALUES
        (2, '{KEY}', TIMESTAMPTZ '2026-01-05 08:00:00+00', TIMESTAMPTZ '2026-01-05 08:15:00+00', 3, 0, 'measured',
         TIMESTAMPTZ '2026-02-03 00:00:00+00'),
        (2, '{KEY}', TIMESTAMPTZ '2026-01-05 08:15:00+00', TIMESTAMPTZ '2026-01-05 08:30:00+00', 4, 1, 'linear',
         TIMESTAMPTZ '2026-02-02 00:00:00+00')""",
    f"""INSERT INTO lake.interval_superseded VALUES
        (2, '{KEY}', TIMESTAMPTZ '2026-01-05 08:00:00+00', TIMESTAMPTZ '2026-01-05 08:15:00+00', 2.5, 1, 'linear',
         TIMESTAMPTZ '2026-02-02 00:00:00+00', TIMESTAMPTZ '2026-02-03 00:00:00+00')""",
]  # fmt: skip


def lake_of(size: str, place) -> Lake:
    folder, url = place
    return Lake.embedded(folder / "readings") if size == "embedded" else Lake.shared(url, folder / "parquet")


def opened(size: str, place) -> ReadingsStore:
    folder, url = place
    if size == "embedded":
        return ReadingsStore.open(folder / "readings")
    return ReadingsStore.open(url, data_path=folder / "parquet")


@pytest.fixture(
    params=[
        pytest.param("embedded", marks=pytest.mark.embedded),
        pytest.param("shared", marks=pytest.mark.slow),
    ]
)
def of_format_1(request, tmp_path):
    """A store of format 1 in either size, closed: its size and place."""
    place = tmp_path, request.getfixturevalue("postgres_database") if request.param == "shared" else None
    lake = lake_of(request.param, place)
    with lake.transaction() as cursor:
        for statement in FORMAT_1:
            cursor.execute(statement)
    for statement in FILLED:
        with lake.transaction() as cursor:
            cursor.execute(statement)
    lake.close()
    return request.param, place


def interval(start, energy, method, error):
    return pa.Table.from_pylist(
        [{"point_id": 2, "quantity": KEY, "start_at": start, "end_at": start + QUARTER, "energy": Decimal(energy),
          "status": 1, "method": method, "error": error}],
        schema=INTERVAL_SCHEMA,
    )  # fmt: skip


def short(store, **wanted):
    return [
        (row["start_at"], row["energy"], row["method"], row["error"])
        for row in store.intervals(**wanted).to_pylist()
    ]


def test_a_store_of_format_1_is_opened_with_all_it_held(of_format_1):
    with opened(*of_format_1) as store:
        assert store.intervals(point_ids=[1]).num_rows == 1000
        assert short(store, point_ids=[2]) == [
            (T0, Decimal(3), "measured", None),
            (T0 + QUARTER, Decimal(4), "linear", None),
        ]
        known = datetime(2026, 2, 2, 12, tzinfo=UTC)
        assert short(store, point_ids=[2], as_known_at=known)[0] == (T0, Decimal("2.5"), "linear", None)


def test_an_upgraded_store_takes_errors_and_keeps_its_past(of_format_1):
    now = datetime(2026, 3, 1, tzinfo=UTC)
    with opened(*of_format_1) as store:
        assert (
            store.append_intervals(interval(T0 + QUARTER, "4", "profile", Decimal("0.5")), now).superseding
            == 1
        )
        store.maintain(now)
    with opened(*of_format_1) as store:
        assert short(store, point_ids=[2]) == [
            (T0, Decimal(3), "measured", None),
            (T0 + QUARTER, Decimal(4), "profile", Decimal("0.5")),
        ]
        assert short(store, point_ids=[2], as_known_at=now - timedelta(days=1))[1] == (
            T0 + QUARTER, Decimal(4), "linear", None,
        )  # fmt: skip
        total = store.energy_by_day([1], KEY, TimeRange(T0, T0 + timedelta(days=30)), ZoneInfo("UTC"))
        assert sum(total["energy"].to_pylist()) == sum(1 + n % 7 * Decimal("0.25") for n in range(1000))


def test_an_upgrade_that_fails_half_way_leaves_format_1(of_format_1, monkeypatch):
    statements = layout._UPGRADES[2]
    monkeypatch.setitem(
        layout._UPGRADES, 2, (statements[0], "ALTER TABLE lake.nowhere ADD COLUMN error INTEGER")
    )
    with pytest.raises(duckdb.CatalogException):
        opened(*of_format_1)
    lake = lake_of(*of_format_1)
    with lake.reading() as cursor:
        assert layout.stored_format(cursor) == 1
        assert "error" not in [row[0] for row in cursor.execute("DESCRIBE lake.interval").fetchall()]
    lake.close()
    monkeypatch.setitem(layout._UPGRADES, 2, statements)
    with opened(*of_format_1) as store:
        assert store.intervals(point_ids=[1]).num_rows == 1000
