"""Import files are read as people make them: Excel or CSV, in either language, in the encodings spreadsheets write."""

import io
from datetime import date, datetime, time
from decimal import Decimal

import pytest
import xlsxwriter
from hypothesis import given
from hypothesis import strategies as st
from python_calamine import CalamineWorkbook

from wattkeeper.registry.import_columns import COLUMNS
from wattkeeper.registry.import_table import CellError, ImportFileUnreadable, TableRow, read_table, template
from wattkeeper.registry.models import AccountKind, PointKind
from wattkeeper.registry.sides import Shows

HEADINGS = "通道编码,表地址,计量点编码"


def local(month: int, hour: int = 0, minute: int = 0) -> datetime:
    """The first of a month of 2026 on the clock of the site, as a spreadsheet has it."""
    return datetime.combine(date(2026, month, 1), time(hour, minute))


def excel(*rows: list) -> bytes:
    file = io.BytesIO()
    with xlsxwriter.Workbook(file, {"in_memory": True}) as book:
        sheet = book.add_worksheet()
        day = book.add_format({"num_format": "yyyy-mm-dd hh:mm"})
        for at, row in enumerate(rows):
            for column, cell in enumerate(row):
                if isinstance(cell, datetime | date):
                    sheet.write_datetime(at, column, cell, day)
                else:
                    sheet.write(at, column, cell)
    return file.getvalue()


def one_cell(key: str, cell: str) -> object:
    """The value, or the error, of one cell under one heading."""
    table = read_table(f"{HEADINGS};{key}\nL,000000000161,P;{cell}".replace(",", ";").encode(), "meters.csv")
    return table.rows[0].values.get(key) if not table.errors else table.errors[0]


EXPECTED = {"link_code": "L", "address": "000000000161", "point_code": "1栋101"}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_csv_is_read_in_the_encodings_that_spreadsheets_write(encoding, delimiter, newline):
    content = (
        newline.join([HEADINGS, "L,000000000161,1栋101", "", ",,"]).replace(",", delimiter).encode(encoding)
    )
    table = read_table(content, "meters.csv")
    assert (table.rows, table.errors, table.ignored) == ((TableRow(2, EXPECTED),), (), ())


@pytest.mark.parametrize(
    "headings",
    [
        pytest.param(["通道编码 *", "表地址 *", "计量点编码 *"], id="chinese_template"),
        pytest.param(["Link code *", "Meter address *", "Point code *"], id="english_template"),
        pytest.param(["link_code", "ADDRESS", "point code"], id="keys"),
    ],
)
def test_excel_is_read_with_headings_in_either_language(headings):
    table = read_table(excel(headings, ["L", "000000000161", "1栋101"]), "meters.xlsx")
    assert (table.rows, table.errors) == ((TableRow(2, EXPECTED),), ())


def test_excel_gives_back_the_zeros_it_took_from_an_address_and_reads_its_own_dates_and_numbers():
    table = read_table(
        excel(
            [
                "link_code",
                "address",
                "point_code",
                "installed_at",
                "ct_ratio",
                "first_register",
                "register_digits",
            ],
            [7, 161, 12.0, local(3, 14, 30), 40, 123.45, 6],
        ),
        "meters.xlsx",
    )
    assert table.rows == (
        TableRow(
            2,
            {
                "link_code": "7",
                "address": "000000000161",
                "point_code": "12",
                "installed_at": local(3, 14, 30),
                "ct_ratio": Decimal(40),
                "first_register": Decimal("123.45"),
                "register_digits": 6,
            },
        ),
    )


def test_row_numbers_are_those_of_the_spreadsheet():
    table = read_table(excel([], ["link_code", "address", "point_code"], [], ["L", "", "P"]), "meters.xlsx")
    assert table.errors == (
        CellError(
            4,
            "address",
            "",
            "This cell must be filled in.",
            "The 12 digits of the label, as text; of a Modbus meter its unit, 1 to 247",
        ),
    )


@pytest.mark.parametrize(
    ("key", "cell", "value"),
    [
        ("shows", "一次", Shows.PRIMARY),
        ("shows", "Secondary", Shows.SECONDARY),
        ("point_kind", "路灯", PointKind.STREET_LIGHT),
        ("point_kind", "street light", PointKind.STREET_LIGHT),
        ("account_kind", "工业", AccountKind.INDUSTRIAL),
        ("installed_at", "2026/3/1", local(3)),
        ("installed_at", "2026年3月1日", local(3)),
        ("installed_at", "2026-03-01 14:30", local(3, 14, 30)),
        ("ct_ratio", "66.6667", Decimal("66.6667")),
        ("rated_power_kw", "7.5", Decimal("7.5")),
        ("interval_minutes", "30", 30),
    ],
)
def test_cells_become_values(key, cell, value):
    assert one_cell(key, cell) == value


@pytest.mark.parametrize(
    ("key", "cell", "sentence"),
    [
        ("shows", "both", "not one of the choices"),
        ("point_kind", "船", "not one of the choices"),
        ("installed_at", "soon", "not a date"),
        ("installed_at", "2026-02-30", "not a date"),
        ("ct_ratio", "200/5", "not a number"),
        ("ct_ratio", "500001", "impossible"),
        ("installed_at", "0001-01-01", "not a date"),
        ("installed_at", "2100-01-01", "not a date"),
        ("ct_ratio", "0", "impossible"),
        ("first_register", "-1", "not a number"),
        ("first_register", "1E+30", "not a number"),
        ("first_register", "NaN", "not a number"),
        ("rated_power_kw", "0", "above zero"),
        ("max_current_a", "5.0001", "above zero"),
        ("register_digits", "13", "from 1 to 12"),
        ("register_digits", "６", "from 1 to 12"),
        ("interval_minutes", "7", "7 minutes"),
        ("model", "x" * 201, "200 characters"),
    ],
)
def test_a_cell_that_cannot_be_right_is_an_error_with_a_hint(key, cell, sentence):
    error = one_cell(key, cell)
    assert (error.row, error.column, error.value) == (2, key, cell)
    assert sentence in error.message
    assert error.hint


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        pytest.param(b"", "is empty", id="empty"),
        pytest.param(b"\n\n ,\n", "is empty", id="blank"),
        pytest.param(b"\x00\x01\x02", "neither Excel nor text", id="binary"),
        pytest.param(b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "neither Excel nor text", id="picture"),
        pytest.param(b"PK\x03\x04 no zip", "cannot be read as an Excel file", id="broken_excel"),
        pytest.param(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "cannot be read as an Excel file", id="broken_xls"),
        pytest.param("通道编码,表地址\nL,1".encode(), "lacks the column 计量点编码", id="column_missing"),
        pytest.param(f"{HEADINGS},表地址".encode(), "has the column 表地址 twice", id="column_twice"),
        pytest.param(f'{HEADINGS}\n"L,1,P'.encode(), "not a proper CSV", id="open_quote"),
        pytest.param(f"{HEADINGS}\n".encode() + b"L,1,P\n" * 100_001, "at most 100000", id="too_many_rows"),
    ],
)
def test_a_file_that_is_no_table_of_meters_is_refused_with_a_sentence(content, sentence):
    with pytest.raises(ImportFileUnreadable, match=sentence) as refused:
        read_table(content, "meters.csv")
    assert refused.value.hint


def test_headings_that_mean_nothing_are_told_and_ignored():
    assert read_table(f"{HEADINGS},备注\nL,000000000161,P,好".encode(), "meters.csv").ignored == ("备注",)


@given(st.binary(max_size=200))
def test_no_file_does_anything_but_give_a_table_or_say_why_not(content):
    for start in (b"", HEADINGS.encode() + b"\n", b"PK\x03\x04", b"\xd0\xcf\x11\xe0"):
        try:
            read_table(start + content, "any")
        except ImportFileUnreadable:
            continue


@pytest.mark.parametrize(("language", "sheets"), [("zh", ["电表档案", "说明"]), ("en", ["Meters", "Notes"])])
def test_the_template_is_a_file_we_can_read_and_explains_every_column(language, sheets):
    content = template(language)
    book = CalamineWorkbook.from_filelike(io.BytesIO(content))
    assert book.sheet_names == sheets
    assert len(book.get_sheet_by_index(1).to_python()) == len(COLUMNS)
    table = read_table(content, "template.xlsx")
    assert (table.rows, table.errors, table.ignored) == ((), (), ())


def test_the_examples_of_the_template_can_be_imported():
    table = read_table(
        excel([column.zh for column in COLUMNS], [column.example for column in COLUMNS]), "example.xlsx"
    )
    assert table.errors == ()
    assert table.rows[0].values["installed_at"] == local(1)
