"""Everything that is stored leaves as it is, in every format of tables, a batch at a time."""

import io
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.readings.files import tables
from wattkeeper.readings.files.kinds import What
from wattkeeper.readings.files.outgoing import ExportAsked, outgoing
from wattkeeper.readings.files.tables import TableFormat, civil_texts, written
from wattkeeper.readings.schemas import INSTANT, INTERVAL_SCHEMA, READING_SCHEMA
from wattkeeper.readings.store import ReadingsStore
from wattkeeper.registry.chosen import Wanted
from wattkeeper.registry.models import AreaKind, PointKind
from wattkeeper.registry.repository import Registry
from wattkeeper.registry.scope import EVERYTHING, Scope
from wattkeeper.registry.service import install_meter

BERLIN = ZoneInfo("Europe/Berlin")
START = datetime(2026, 10, 24, 22, 0, tzinfo=UTC)
QUARTER = timedelta(minutes=15)
PERIOD = TimeRange(START, START + timedelta(days=2))


@pytest.fixture
def town(database, tmp_path):
    """Two points in an area and one outside; a quarter-hour register on each, and a voltage on the first."""
    with database.write() as session:
        registry = Registry(session)
        site = registry.add_site(code="S", name="Site", zone="Europe/Berlin")
        area = registry.add_area(site_id=site.id, code="A", name="Area", kind=AreaKind.AREA)
        link = registry.add_link(code="bus", name="bus", url="tcp://127.0.0.1:9")
        for number in (1, 2, 3):
            point = registry.add_point(
                site_id=site.id, code=f"P{number}", name=f"Point {number}", kind=PointKind.HOUSEHOLD,
                area_id=area.id if number < 3 else None,
            )  # fmt: skip
            meter = registry.add_meter(address=f"00000000000{number}", link_id=link.id)
            install_meter(session, point_id=point.id, meter_id=meter.id, at=START - timedelta(days=1))
    store = ReadingsStore.open(tmp_path / "readings")
    rows = [
        {"meter_id": meter, "quantity": "active_energy_import", "read_at": START + n * QUARTER, "value": Decimal(n + meter),
         "status": 3 if n == 1 else 0, "source": "polled", "exchange_id": None}
        for meter in (1, 2, 3) for n in range(4)
    ]  # fmt: skip
    rows.append(rows[0] | {"quantity": "voltage_l1", "value": Decimal("230.1")})
    store.append_readings(pa.Table.from_pylist(rows, READING_SCHEMA), START)
    intervals = [
        dict.fromkeys(INTERVAL_SCHEMA.names)
        | {"point_id": point, "quantity": "active_energy_import", "start_at": START, "end_at": START + QUARTER,
           "energy": None if point == 2 else Decimal("0.2500"), "status": 1, "method": "none" if point == 2 else "linear"}
        for point in (1, 2)
    ]  # fmt: skip
    store.append_intervals(pa.Table.from_pylist(intervals, INTERVAL_SCHEMA), START)
    yield database, store
    store.close()


def rows_of(town, scope=EVERYTHING, what=What.READINGS, quantities=(), **wanted):
    database, store = town
    with database.read() as session:
        found = outgoing(session, scope, store, ExportAsked(what, Wanted(**wanted), PERIOD, quantities))
    return found, pa.Table.from_batches(found.batches, found.schema)


def meters(town, **wanted):
    return sorted(set(rows_of(town, **wanted)[1]["meter"].to_pylist()))


def test_all_there_is_leaves_when_nothing_is_named_and_the_number_is_known_before(town):
    found, table = rows_of(town)
    assert found.rows == table.num_rows == 13
    assert table.slice(0, 2).drop_columns("recorded_at").to_pylist() == [
        {"meter": "000000000001", "quantity": "active_energy_import", "unit": "kWh", "read_at": START,
         "value": Decimal(1), "status": "", "source": "polled"},
        {"meter": "000000000001", "quantity": "active_energy_import", "unit": "kWh", "read_at": START + QUARTER,
         "value": Decimal(2), "status": "clock_unsure|meter_flagged", "source": "polled"},
    ]  # fmt: skip


def test_what_is_named_leaves_and_nothing_else(town):
    one, two, three = (f"00000000000{n}" for n in (1, 2, 3))
    assert meters(town, meters=(one,)) == [one]
    assert meters(town, points=("P3",)) == [three]
    assert meters(town, areas=("A",)) == [one, two]
    assert meters(town, areas=("A",), meters=(three,)) == [one, two, three]
    assert rows_of(town, quantities=("voltage_l1",))[1].num_rows == 1


def test_who_may_see_an_area_exports_that_area(town):
    assert meters(town, scope=Scope(areas=frozenset({1}))) == ["000000000001", "000000000002"]


def test_an_unknown_energy_leaves_as_unknown_with_its_reason(town):
    _, table = rows_of(town, what=What.INTERVALS)
    assert [(row["point"], row["energy"], row["status"], row["method"]) for row in table.to_pylist()] == [
        ("P1", Decimal("0.2500"), "estimated", "linear"),
        ("P2", None, "estimated", "none"),
    ]


@pytest.mark.parametrize("file_format", list(TableFormat))
def test_each_format_reads_back_as_what_was_stored(town, file_format):
    database, store = town
    with database.read() as session:
        found = outgoing(session, EVERYTHING, store, ExportAsked(What.READINGS, Wanted(), PERIOD))
    data = b"".join(written(found.batches, found.schema, file_format, BERLIN))
    _, expected = rows_of(town)
    match file_format:
        case TableFormat.CSV:
            types = {name: pa.string() for name in expected.schema.names} | {"value": pa.decimal128(18, 4)}
            options = pa.csv.ConvertOptions(column_types=types, strings_can_be_null=False)
            table = pa.csv.read_csv(io.BytesIO(data), convert_options=options)
            moments = [datetime.fromisoformat(text) for text in table["read_at"].to_pylist()]
            assert moments == expected["read_at"].to_pylist()
            assert table.drop_columns(["read_at", "recorded_at"]) == expected.drop_columns(
                ["read_at", "recorded_at"]
            )
        case TableFormat.PARQUET:
            assert pa.parquet.read_table(io.BytesIO(data)) == expected
        case TableFormat.ARROW:
            assert pa.ipc.open_stream(data).read_all() == expected


def test_the_two_hours_of_a_clock_change_are_told_apart():
    moments = pa.array([datetime(2026, 10, 25, hour, 30, tzinfo=UTC) for hour in (0, 1)], INSTANT)
    assert civil_texts(moments, BERLIN).to_pylist() == [
        "2026-10-25T02:30:00+02:00",
        "2026-10-25T02:30:00+01:00",
    ]
    broken = pa.array([datetime(2026, 6, 1, 0, 0, 0, 250_000, tzinfo=UTC), None], INSTANT)
    assert civil_texts(broken, ZoneInfo("America/St_Johns")).to_pylist() == [
        "2026-05-31T21:30:00.250000-02:30",
        None,
    ]


def test_a_text_that_a_spreadsheet_takes_for_a_formula_is_kept_one():
    batch = pa.record_batch({"code": ["=1+1", "-2", "plain"]})
    assert b"".join(tables.written([batch], batch.schema, TableFormat.CSV, BERLIN)).decode("utf-8-sig") == (
        '"code"\n"\'=1+1"\n"\'-2"\n"plain"\n'
    )


def test_a_long_export_is_never_in_memory_at_once(town):
    """A year of a quarter-hour register passes the writer in pieces of a hundred thousand rows at most."""
    database, store = town
    count = 35_040
    rows = pa.table(
        {
            "meter_id": pa.array([1] * count), "quantity": pa.array(["active_energy_export"] * count),
            "read_at": pa.array([START + n * timedelta(seconds=1) for n in range(count)], INSTANT),
            "value": pa.array([Decimal(n) for n in range(count)], pa.decimal128(18, 4)), "status": pa.array([0] * count, pa.int32()),
            "source": pa.array(["polled"] * count), "exchange_id": pa.nulls(count, pa.int64()),
        }
    )  # fmt: skip
    store.append_readings(rows, START)
    seen = []
    with database.read() as session:
        found = outgoing(session, EVERYTHING, store, ExportAsked(What.READINGS, Wanted(), PERIOD))
    told = found.told(lambda done, total: seen.append((done, total)))
    pieces = list(written(told.batches, told.schema, TableFormat.CSV, BERLIN))
    assert seen[-1] == (count + 13, count + 13)
    assert max(map(len, pieces)) < 10_000_000
