"""Files of tables: what a cell keeps, and what a spreadsheet makes of it."""

import csv
import io
import re
import tracemalloc
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from zipfile import ZipFile
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from python_calamine import CalamineWorkbook

from wattkeeper import web
from wattkeeper.kernel.money import Money
from wattkeeper.web.columns import Column, plain, with_currency
from wattkeeper.web.csv_file import csv_chunks, csv_line
from wattkeeper.web.exports import attachment, paged
from wattkeeper.web.language import language
from wattkeeper.web.xlsx_file import sheet_name, width, xlsx_file

ZH, EN = language("zh"), language("en")
AT = datetime(2026, 11, 22, 16, 30, 5, 250_000, tzinfo=UTC)  # half past midnight in Shanghai


@dataclass(frozen=True)
class Line:
    """A row with one cell of each kind."""

    text: str | None
    number: Decimal | int | None
    money: Money | None = None
    share: float | None = None
    at: datetime | None = None


COLUMNS = (
    Column[Line]("Address", lambda line: line.text),
    Column[Line]("Import register", lambda line: line.number, "number", unit="kWh", decimals=2),
    Column[Line]("Amount", lambda line: line.money, "money"),
    Column[Line]("Success", lambda line: line.share, "percent"),
    Column[Line]("Last reading", lambda line: line.at, "moment"),
    Column[Line]("Opened", lambda line: line.at, "date"),
)
FULL = Line("000000000101", Decimal("12345678.1234"), Money(Decimal("-86.50"), "CNY"), 0.997, AT)
BARE = Line(None, None)


def read(file, sheet=0):
    with file:
        return CalamineWorkbook.from_filelike(io.BytesIO(file.read())).get_sheet_by_index(sheet).to_python()


def sheet(columns, rows, say=ZH, **wanted):
    return read(xlsx_file(columns, rows, say, title="电表", **wanted))


def test_a_csv_has_plain_whole_numbers_and_civil_times():
    text = "".join(csv_chunks(with_currency(COLUMNS, ["CNY"]), [FULL, BARE], ZH))
    assert text.splitlines() == [
        "\ufeff表号,正向有功示数 (kWh),金额 (CNY),成功率 (%),最近读数 (Asia/Shanghai),开户日期",
        "000000000101,12345678.1234,-86.50,99.7,2026-11-23 00:30:05,2026-11-23",
        ",,,,,",
    ]


def test_a_sheet_has_real_numbers_and_dates_under_the_same_heading():
    head, full, bare, _ = sheet(with_currency(COLUMNS, ["CNY"]), [FULL, BARE, FULL])
    assert head == [
        "表号", "正向有功示数 (kWh)", "金额 (CNY)", "成功率 (%)", "最近读数 (Asia/Shanghai)", "开户日期",
    ]  # fmt: skip
    assert full == [
        "000000000101", 12345678.1234, -86.5, 0.997, datetime.fromisoformat("2026-11-23T00:30:05"), date(2026, 11, 23),
    ]  # fmt: skip
    assert bare == ["", "", "", "", "", ""]


def test_a_sheet_shows_money_and_energy_with_their_decimals_and_keeps_its_heading_in_view():
    with (
        xlsx_file(with_currency(COLUMNS, ["CNY"]), [FULL], EN, title="Meters") as file,
        ZipFile(file) as parts,
    ):
        sheet_xml, styles = (
            parts.read("xl/worksheets/sheet1.xml").decode(),
            parts.read("xl/styles.xml").decode(),
        )
    formats = re.findall(r'formatCode="([^"]*)"', styles)
    assert formats == ["#,##0.00", "0.0%", "yyyy-mm-dd hh:mm:ss", "yyyy-mm-dd"]
    assert '<pane ySplit="1"' in sheet_xml
    assert '<autoFilter ref="A1:F2"/>' in sheet_xml
    assert '<col min="1" max="1" width="13.7' in sheet_xml


@pytest.mark.parametrize(
    "text", ["=1+1", "+86 138", "-1", "@SUM(A1)", "\tx", "http://example.org", "12", "{=A1}"]
)
def test_no_text_becomes_a_formula_a_link_or_a_number(text):
    columns = (Column[str]("Name", lambda row: row),)
    assert sheet(columns, [text])[1] == [text]
    written = next(csv.reader(io.StringIO("".join(csv_chunks(columns, [text], ZH)).split("\n", 1)[1])))
    assert written == [f"'{text}" if text[0] in "=+-@\t" else text]


def test_the_sign_of_a_number_is_no_formula():
    columns = (Column[Decimal]("Amount", lambda row: row, "number"),)
    assert "".join(csv_chunks(columns, [Decimal("-0.5")], EN)).splitlines()[1] == "-0.5"
    assert csv_line(["-0.5"]) == "'-0.5\r\n"


@settings(max_examples=20)
@given(st.lists(st.decimals(min_value=0, max_value=Decimal("99999999.9999"), places=4), min_size=30))
def test_every_register_with_four_decimals_survives_a_double(registers):
    """Eight digits before the point and four behind: twelve of the fifteen that a double keeps."""
    rows = sheet((Column[Decimal]("Energy", lambda row: row, "number"),), registers)[1:]
    assert [Decimal(repr(number)).quantize(Decimal("0.0001")) for (number,) in rows] == registers


def test_a_number_that_a_double_would_round_stands_as_a_text():
    long = Decimal("12345678901234.5678")
    assert sheet((Column[Decimal]("Energy", lambda row: row, "number"),), [long])[1] == [str(long)]


def test_more_rows_than_a_sheet_holds_go_on_in_the_next_one():
    columns = (Column[int]("Number", lambda row: row, "number"),)
    with xlsx_file(columns, range(5), EN, title="Rows", sheet_rows=3) as file:
        book = CalamineWorkbook.from_filelike(io.BytesIO(file.read()))
    assert book.sheet_names == ["Rows", "Rows 2", "Rows 3"]
    assert [book.get_sheet_by_name(name).to_python() for name in book.sheet_names] == [
        [["Number"], [0.0], [1.0]], [["Number"], [2.0], [3.0]], [["Number"], [4.0]],
    ]  # fmt: skip


def test_a_long_table_costs_no_memory():
    columns = (Column[int]("Number", lambda row: row, "number"), Column[int]("Name", lambda row: f"P{row}"))
    xlsx_file(columns, range(10), EN, title="Rows").close()  # what is loaded once
    tracemalloc.start()
    try:
        xlsx_file(columns, range(20_000), EN, title="Rows").close()
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()


def test_an_error_on_the_way_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def rows():
        yield FULL
        raise RuntimeError("the store is gone")

    with pytest.raises(RuntimeError, match="the store is gone"):
        xlsx_file(COLUMNS, rows(), ZH, title="电表")
    assert list(tmp_path.iterdir()) == []


def test_money_of_several_currencies_says_which_in_a_column_of_its_own():
    columns = with_currency(COLUMNS, ["CNY", "EUR"])
    assert [column.label for column in columns][2:4] == ["Amount", "Currency"]
    assert columns[3].value(FULL) == "CNY"
    assert columns[3].value(BARE) is None


def test_a_time_is_told_in_the_given_zone():
    kathmandu = ZH.at(ZoneInfo("Asia/Kathmandu"))
    assert plain(AT, kathmandu) == datetime.fromisoformat("2026-11-22T22:15:05")
    assert (
        Column[Line]("Last reading", lambda line: line.at, "moment").heading(kathmandu)
        == "最近读数 (Asia/Kathmandu)"
    )


def test_a_list_is_asked_page_by_page_as_far_as_rows_are_taken():
    asked = []

    def page(after):
        asked.append(after)
        start = int(after or 0)
        return range(start, start + 2), str(start + 2) if start < 4 else None

    rows = paged(page)
    assert [next(rows), next(rows)] == [0, 1]
    assert asked == [None]
    assert list(rows) == [2, 3, 4, 5]
    assert asked == [None, "2", "4"]


def test_names_of_sheets_and_files():
    assert sheet_name("a/b:c" + "x" * 40, 12) == "a b c" + "x" * 23 + " 12"
    assert width("电表 kWh") == 8
    assert attachment("meters", "电表/A", "2026-11-22.csv") == (
        "attachment; filename=\"meters-2026-11-22.csv\"; filename*=UTF-8''%E7%94%B5%E8%A1%A8%20A%202026-11-22.csv"
    )


TEMPLATES = Path(web.__file__).parent / "templates"
WITHOUT_FILES = {
    "account_tariff.html": "what a change of tariff would do, before it is done",
    "api.html": "the reference; openapi.json has it whole",
    "meter_frames.html": "octets of frames",
    "monitor.html": "frames while they pass",
    "act_macros.html": "a macro; its pages have the files",
    "macros.html": "a macro; octets of frames",
    "money.html": "a macro; its pages have the files",
    "trace_macros.html": "a macro; the versions of one value, which the API has",
    "user_macros.html": "a macro; its pages have the files",
}
SECTIONS_WITHOUT_FILES = {
    ("import.html", "Columns of the template"): "the template itself is a file",
    ("meter.html", "Now"): "the file of the registers has these values too",
    ("account.html", "Balance"): "three sums of the bills",
    ("exception.html", "Evidence"): "the few readings one exception rests on",
    ("user.html", "Last acts"): "the audit has the file, and is linked",
}
A_TABLE = re.compile(r"<table|\{\{ \w+_(?:table|rows)\(")


@pytest.mark.parametrize("template", sorted(TEMPLATES.glob("*.html")), ids=lambda path: path.name)
def test_every_table_of_the_console_has_its_files(template):
    if template.name in WITHOUT_FILES or template.name.startswith(
        "portal_"
    ):  # its own tests say what it offers
        return
    head, *sections = re.split(r"(?=<section\b|<details class=\"card)", template.read_text(encoding="utf-8"))
    for section in sections:
        heading = re.search(r'<h2>\{\{ _\("([^"]+)"', section)
        named = (template.name, heading[1] if heading else "")
        if A_TABLE.search(section) and named not in SECTIONS_WITHOUT_FILES:
            assert re.search(r"\b(?:exports|files)\(", section + head), f"{named}: a table without its files"
