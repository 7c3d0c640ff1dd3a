"""Readings come in from tables as people have them: every cell is read right or said to be wrong, and twice is once."""

import io
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet
import pytest
import xlsxwriter
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.readings.errors import BadMapping, FileUnreadable, NothingImported
from wattkeeper.readings.files.importing import Broken, staged
from wattkeeper.readings.files.kinds import What
from wattkeeper.readings.files.outgoing import ExportAsked, outgoing
from wattkeeper.readings.files.tables import TableFormat, written
from wattkeeper.readings.schemas import READING_SCHEMA, Appended
from wattkeeper.readings.store import ReadingsStore
from wattkeeper.registry.chosen import Wanted
from wattkeeper.registry.scope import EVERYTHING
from wattkeeper.security.models import AuditEvent

NOW = datetime(2026, 11, 20, tzinfo=UTC)
INSTALLED = datetime(2026, 1, 1, tzinfo=UTC)
BERLIN, SHANGHAI = ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Shanghai")


IMPORT = "active_energy_import"


def test_a_plain_table_comes_in_with_units_converted(office):
    stored = office.take_in(
        "time,meter,quantity,value,unit\n"
        "2026-11-01 00:15,000000000161,active_energy_import,1.5,MWh\n"
        "2026-11-01T00:15:00+08:00,161,1-0:2.8.0,2500,Wh\n"
        "2026-11-01 00:15,P-2,Voltage L1,0.2304,kV\n"
    )
    assert stored == Appended(accepted=3, repeated=0, superseding=0)
    assert office.stored() == [
        (1, "active_energy_export", "10-31 16:15", "2.5"),
        (1, IMPORT, "10-31 16:15", "1500"),
        (2, "voltage_l1", "10-31 16:15", "230.4"),
    ]


def test_the_same_file_again_says_nothing_new(office):
    file = "time,meter,value\n2026-11-01 00:15,161,1.5\n2026-11-01 00:30,161,1.75\n"
    office.take_in(file)
    assert office.take_in(file) == Appended(accepted=0, repeated=2, superseding=0)


def test_what_the_meter_said_itself_stands_above_a_file(office):
    moment = datetime(2026, 10, 31, 16, 15, tzinfo=UTC)
    row = {"meter_id": 1, "quantity": IMPORT, "read_at": moment, "value": Decimal("7.25"), "status": 0, "source": "polled", "exchange_id": None}  # fmt: skip
    office.store.append_readings(pa.Table.from_pylist([row], READING_SCHEMA), NOW)
    assert office.take_in("time,meter,value\n2026-11-01 00:15,161,9\n").outranked == 1
    assert office.store.readings()["value"].to_pylist() == [Decimal("7.25")]


CHINESE = "抄表时间;表号;正向有功总(MWh);A相电压(V)\r\n2026年11月1日 0:15;000000000161;1.234,56;220,1\r\n2026/11/1 24:00;162;1234,5;\r\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk", "utf-16"])
def test_chinese_headings_in_any_encoding_with_decimal_commas(office, encoding):
    assert office.take_in(CHINESE, encoding=encoding).accepted == 3
    assert office.stored() == [
        (1, IMPORT, "10-31 16:15", "1234560"),
        (1, "voltage_l1", "10-31 16:15", "220.1"),
        (2, IMPORT, "11-01 16:00", "1234500"),
    ]


def test_one_column_per_meter_with_date_and_time_apart(office):
    office.take_in(
        "Datum,Zeit,161,162 (MWh)\n31.10.2026,00:15,5,0.006\n31.10.2026,00:30,7,\n", zone="Europe/Berlin"
    )
    assert office.stored() == [
        (1, IMPORT, "10-30 23:15", "5"),
        (1, IMPORT, "10-30 23:30", "7"),
        (2, IMPORT, "10-30 23:15", "6"),
    ]


@pytest.mark.parametrize("backwards", [False, True], ids=["forwards", "newest first"])
def test_the_hour_that_comes_twice_is_told_by_its_order(office, backwards):
    start = datetime(2026, 10, 24, 22, 0, tzinfo=UTC)
    moments = [start + n * timedelta(minutes=15) for n in range(100)]
    rows = [f"{at.astimezone(BERLIN):%Y-%m-%d %H:%M},161,{n}\n" for n, at in enumerate(moments)]
    office.take_in(
        "time,meter,value\n" + "".join(reversed(rows) if backwards else rows), zone="Europe/Berlin"
    )
    assert office.store.readings()["read_at"].to_pylist() == moments
    assert [int(value) for value in office.store.readings()["value"].to_pylist()] == list(range(100))


def test_every_wrong_cell_is_named_with_its_row_and_the_rest_goes_in_or_nothing(office):
    rows = [f"2026-11-01 {n // 60:02d}:{n % 60:02d},161,{n},kWh\n" for n in range(20)]
    rows[2] = "yesterday,161,2,kWh\n"
    rows[5] = "2026-11-01 00:05,163,5,kWh\n"
    rows[7] = "2026-11-01 00:07,161,seven,kWh\n"
    rows[9] = "2026-11-01 00:09,161,9,V\n"
    rows[11] = "2026-11-01 00:11,161\n"
    rows[12] = "\n"
    rows[13] = "2026-11-01 00:13,,13,kWh\n"
    file = "time,meter,value,unit\n" + "".join(rows)
    assert office.wrong(file) == [
        (4, "time", "yesterday", "time"),
        (7, "meter", "163", "unknown"),
        (9, "value", "seven", "value"),
        (11, "unit", "V", "unit"),
        (13, "", "2", "torn"),
        (15, "value", "13", "unnamed"),
    ]
    with pytest.raises(NothingImported, match=r"6 wrong cells.*row 4, time: This is no date and time"):
        office.take_in(file)
    assert office.stored() == []
    assert office.take_in(file, broken=Broken.SKIP).accepted == 13


def test_a_time_that_never_was_is_wrong_not_moved(office):
    file = "time,meter,value\n2026-03-29 02:30,161,1\n2026-03-29 03:00,161,2\n"
    assert office.wrong(file, zone="Europe/Berlin") == [(2, "time", "2026-03-29 02:30", "gap")]


def test_a_reading_before_its_meter_hung_is_taken_and_an_energy_of_its_point_is_not(office):
    assert office.take_in("time,meter,value\n2025-11-01 00:00,161,1\n").accepted == 1
    assert office.wrong("time,meter,value\n2025-11-01 00:00,P-1,1\n") == [(2, "meter", "P-1", "nowhere")]


def test_energies_with_an_end_are_intervals_of_the_point(office):
    file = "start_at,end_at,meter,energy\n2026-11-01 00:00,2026-11-01 00:15,161,0.25\n2026-11-01 00:15,2026-11-01 00:10,161,1\n"
    assert office.wrong(file) == [(3, "end_at", "2026-11-01 00:10", "until")]
    assert office.take_in(file, broken=Broken.SKIP).accepted == 1
    [row] = office.store.intervals(point_ids=[1]).to_pylist()
    assert (row["start_at"], row["end_at"], row["energy"], row["method"]) == (
        datetime(2026, 10, 31, 16, 0, tzinfo=UTC), datetime(2026, 10, 31, 16, 15, tzinfo=UTC), Decimal("0.2500"), "imported",
    )  # fmt: skip


def sheet(*rows) -> bytes:
    file = io.BytesIO()
    with xlsxwriter.Workbook(file, {"in_memory": True}) as book:
        page, moment = book.add_worksheet(), book.add_format({"num_format": "yyyy-mm-dd hh:mm"})
        for number, cells in enumerate(rows):
            for place, cell in enumerate(cells):
                page.write(number, place, cell, moment if isinstance(cell, datetime) else None)
    return file.getvalue()


def test_an_excel_file_has_real_times_and_numbers_and_addresses_without_their_zeros(office):
    content = sheet(
        ["时间", "表号", "示数"],
        [datetime(2026, 11, 1, 0, 0), 161, 1234.5678],  # noqa: DTZ001 (a sheet knows no zones)
        [datetime(2026, 11, 1, 0, 15), "162", "x"],  # noqa: DTZ001
        [datetime(2026, 11, 1, 0, 30), 162, 5],  # noqa: DTZ001
    )
    assert office.wrong(content, name="r.xlsx") == [(3, "示数", "x", "value")]
    office.take_in(content, name="r.xlsx", broken=Broken.SKIP)
    assert office.stored() == [(1, IMPORT, "10-31 16:00", "1234.5678"), (2, IMPORT, "10-31 16:30", "5")]


def test_parquet_comes_in_by_its_columns_with_instants_as_they_are(office):
    file = io.BytesIO()
    instants = pa.array([datetime(2026, 11, 1, tzinfo=UTC)] * 2, pa.timestamp("us", tz="UTC"))
    table = pa.table({"time": instants, "meter": ["161", "162"], "value": [1.25, None]})
    pa.parquet.write_table(table, file)
    office.take_in(file.getvalue(), name="r.parquet")
    assert office.stored() == [(1, IMPORT, "11-01 00:00", "1.25")]


def test_what_was_said_of_headings_is_remembered_for_the_next_file(office):
    file = "when,which,stand\n01/02/2026 00:15,161,5\n"
    with pytest.raises(BadMapping, match="which column is the time"):
        office.looked(file)
    said = {
        "columns": [{"role": "time"}, {"role": "meter"}, {"role": "value", "quantity": "active_energy_export", "unit": "MWh"}],
        "zone": "UTC", "order": "mdy",
    }  # fmt: skip
    office.take_in(file, mapping=said)
    again = office.looked("When , which,STAND\n02/02/2026 00:15,161,6\n")
    assert (again.remembered, again.mapping.zone, again.looked.first) == (
        True,
        "UTC",
        datetime(2026, 2, 2, 0, 15, tzinfo=UTC),
    )
    assert office.stored() == [(1, "active_energy_export", "01-02 00:15", "5000")]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        (b"\x00\x01\x02\xff\xfe", "neither Excel nor Parquet nor text"),
        (b"PK\x03\x04 not really", "cannot be read as an Excel file"),
        (b"PAR1 not really", "cannot be read as a Parquet file"),
    ],
)
def test_what_is_no_table_is_said(office, content, said):
    with pytest.raises(FileUnreadable, match=said):
        office.looked(content)


@pytest.mark.parametrize(
    ("content", "mapping", "said"),
    [
        ("a,b\nx,y\n", None, "No column of the file is known to be its time"),
        ("time,value\n2026-11-01,1\n", None, "Nothing says which meter"),
        ("time,meter,value\n2026-11-01,161,1\n", {"columns": [{"role": "time"}], "zone": "UTC"}, "has 1 columns and the file 3"),
        ("time\n2026-11-01\n", {"columns": [{"role": "tomb"}], "zone": "UTC"}, "cannot be understood"),
        ("time,meter,value\n", {"columns": [{"role": "time"}, {"role": "meter"}, {"role": "value"}], "zone": "Mars", "quantity": IMPORT}, "no time zone"),
    ],
)  # fmt: skip
def test_a_mapping_that_is_not_enough_says_what_it_lacks(office, content, mapping, said):
    with pytest.raises(BadMapping, match=said):
        office.looked(content, mapping=mapping)


def test_an_import_is_on_record_before_anything_is_stored(office):
    office.take_in("time,meter,value\n2026-11-01,161,1\n", name="november.csv")
    with office.database.read() as session:
        [event] = session.scalars(select(AuditEvent).where(AuditEvent.action == "readings.import")).all()
    assert (event.subject_id, event.after) == ("november.csv", {"readings": 1, "intervals": 0, "wrong": 0})


def test_the_preview_tells_what_is_there(office):
    found = office.looked(
        "time,meter,value\n2026-11-01 00:00,161,1.00005\n2026-11-01 00:00,161,2\n2026-11-02 00:00,162,3\n"
    ).looked
    assert (found.readings, found.meters, found.quantities, found.rounded, found.repeated) == (
        3,
        2,
        (IMPORT,),
        1,
        1,
    )
    assert (found.first, found.last) == (
        datetime(2026, 10, 31, 16, tzinfo=UTC),
        datetime(2026, 11, 1, 16, tzinfo=UTC),
    )


STAMPS = st.integers(0, 4 * 24 * 365).map(
    lambda n: datetime(2026, 1, 1, tzinfo=UTC) + n * timedelta(minutes=15)
)
VALUES = st.decimals(-99_999_999, 99_999_999, places=4)


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.dictionaries(st.tuples(st.sampled_from([1, 2]), st.sampled_from([IMPORT, "voltage_l1"]), STAMPS), VALUES, min_size=1, max_size=30))  # fmt: skip
@pytest.mark.parametrize("file_format", [TableFormat.CSV, TableFormat.PARQUET])
def test_what_leaves_as_a_table_comes_back_as_it_was(office, tmp_path_factory, file_format, rows):
    table = pa.Table.from_pylist(
        [
            {"meter_id": meter, "quantity": quantity, "read_at": at, "value": value, "status": 0, "source": "imported", "exchange_id": None}
            for (meter, quantity, at), value in rows.items()
        ],
        READING_SCHEMA,
    )  # fmt: skip
    with (
        ReadingsStore.open(tmp_path_factory.mktemp("from") / "readings") as before,
        ReadingsStore.open(tmp_path_factory.mktemp("to") / "readings") as after,
    ):
        before.append_readings(table, NOW)
        with office.database.read() as session:
            asked = ExportAsked(What.READINGS, Wanted(), TimeRange(INSTALLED - timedelta(days=1), None))
            found = outgoing(session, EVERYTHING, before, asked)
        path = office.file(
            b"".join(written(found.batches, found.schema, file_format, SHANGHAI)), name=f"all.{file_format}"
        )
        with staged(path, path.name, office.database, EVERYTHING, zone="Europe/Berlin") as staged_file:
            staged_file.take_in(office.database, after, broken=Broken.REFUSE, now=NOW)
        columns = ["meter_id", "quantity", "read_at", "value", "status"]
        assert after.readings().select(columns) == before.readings().select(columns)
