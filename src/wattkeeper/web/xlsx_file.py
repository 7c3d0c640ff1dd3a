"""A table as an Excel workbook: numbers and dates are real ones, texts are never formulas, however many rows.

Rows go to disk as they come (XlsxWriter's constant memory), so that a large table costs time and no memory.
"""

import tempfile
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import IO, Any, Final

import xlsxwriter
from xlsxwriter.format import Format
from xlsxwriter.workbook import Workbook
from xlsxwriter.worksheet import Worksheet

from wattkeeper.web.columns import Cell, Column
from wattkeeper.web.language import Language

MEDIA_TYPE: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
SHEET_ROWS: Final = 1_048_576
"""What one sheet holds, its heading included; more goes on in a further sheet."""
DIGITS: Final = 15
"""A sheet's numbers are doubles. Registers with four decimals fit; a longer number stands as a text, unrounded."""
LONGEST_TEXT: Final = 32_767
FIRST_DAY: Final = date(1900, 3, 1)
"""Excel believes in a 29 February 1900: what lies before is written as a text."""
NARROWEST, WIDEST = 8, 48
SHEET_NAME: Final = 31
_FORBIDDEN: Final = str.maketrans(dict.fromkeys("[]:*?/\\", " "))
_WIDE: Final = frozenset("WF")
_OPTIONS: Final = {
    "constant_memory": True,
    "strings_to_formulas": False,
    "strings_to_urls": False,
    "strings_to_numbers": False,
}


def xlsx_file(
    columns: Sequence[Column[Any]],
    rows: Iterable[Any],
    say: Language,
    *,
    title: str,
    sheet_rows: int = SHEET_ROWS,
) -> IO[bytes]:
    """The workbook as an open file without a name: gone when it is closed, or when the process is."""
    file = tempfile.TemporaryFile(prefix="wattkeeper-export-")  # noqa: SIM115 (the answer closes it)
    try:
        with tempfile.TemporaryDirectory(prefix="wattkeeper-export-") as scratch:
            path = Path(scratch) / "table.xlsx"
            # It is closed on an error too: XlsxWriter keeps the rows in files of its own until then.
            with xlsxwriter.Workbook(path, {**_OPTIONS, "tmpdir": scratch}) as book:
                _write(book, columns, rows, say, title=title, sheet_rows=sheet_rows)
            with path.open("rb") as written:
                while chunk := written.read(1 << 20):
                    file.write(chunk)
        file.seek(0)
    except BaseException:
        file.close()
        raise
    return file


def _write(
    book: Workbook,
    columns: Sequence[Column[Any]],
    rows: Iterable[Any],
    say: Language,
    *,
    title: str,
    sheet_rows: int,
) -> None:
    sheet = _Sheet(book, columns, say, sheet_name(title, 1))
    number = 1
    for row in rows:
        if sheet.rows == sheet_rows:
            sheet.finish()
            number += 1
            sheet = _Sheet(book, columns, say, sheet_name(title, number))
        sheet.add([column.cell(row, say) for column in columns])
    sheet.finish()


class _Sheet:
    """One sheet: its heading, then rows from above to below."""

    def __init__(self, book: Workbook, columns: Sequence[Column[Any]], say: Language, name: str) -> None:
        self._sheet: Worksheet = book.add_worksheet(name)
        self._formats = [_format(book, column) for column in columns]
        self._widths = [NARROWEST] * len(columns)
        self.rows = 0
        self._sheet.freeze_panes(1, 0)
        bold = book.add_format({"bold": True, "bottom": 1, "text_wrap": False})
        for place, column in enumerate(columns):
            heading = column.heading(say)
            self._sheet.write_string(0, place, heading, bold)
            self._widths[place] = max(self._widths[place], width(heading) + 3)  # and the filter's arrow
        self.rows = 1

    def add(self, cells: Sequence[Cell]) -> None:
        """One more row."""
        for place, cell in enumerate(cells):
            if cell is not None:
                self._put(place, cell)
        self.rows += 1

    def finish(self) -> None:
        """Widths and the filter, once all rows are known."""
        for place, wanted in enumerate(self._widths):
            self._sheet.set_column(place, place, min(wanted, WIDEST))
        self._sheet.autofilter(0, 0, max(self.rows - 1, 1), len(self._widths) - 1)

    def _put(self, place: int, cell: Cell) -> None:
        row, form = self.rows, self._formats[place]
        if isinstance(cell, datetime) or (isinstance(cell, date) and cell >= FIRST_DAY):
            self._sheet.write_datetime(row, place, cell, form)
            self._widths[place] = max(self._widths[place], 20 if isinstance(cell, datetime) else 12)
        elif isinstance(cell, int | Decimal) and _fits(cell):
            self._sheet.write_number(row, place, cell, form)
            self._widths[place] = max(self._widths[place], len(f"{cell:,.4f}"))
        else:
            text = str(cell)[:LONGEST_TEXT]
            self._sheet.write_string(row, place, text, form)
            self._widths[place] = max(self._widths[place], width(text) + 1)


def _fits(number: int | Decimal) -> bool:
    """Whether a double keeps every digit."""
    exact = Decimal(number)
    return exact.is_finite() and len(exact.normalize().as_tuple().digits) <= DIGITS


def _format(book: Workbook, column: Column[Any]) -> Format | None:
    decimals = "." + "0" * column.decimals if column.decimals else ""
    match column.kind:
        case "number":
            return book.add_format({"num_format": f"#,##0{decimals}"})
        case "money":
            return book.add_format({"num_format": "#,##0.00"})
        case "percent":
            return book.add_format({"num_format": "0.0%"})
        case "moment":
            return book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
        case "date":
            return book.add_format({"num_format": "yyyy-mm-dd"})
        case "text":
            return None


def width(text: str) -> int:
    """How wide a text stands, in the widths of a digit: a Chinese character is two."""
    return sum(2 if unicodedata.east_asian_width(letter) in _WIDE else 1 for letter in text)


def sheet_name(title: str, number: int) -> str:
    """A name that Excel takes."""
    suffix = "" if number == 1 else f" {number}"
    name = title.translate(_FORBIDDEN).strip().strip("'") or "1"
    return name[: SHEET_NAME - len(suffix)] + suffix
