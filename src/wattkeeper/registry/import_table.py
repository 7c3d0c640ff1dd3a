"""Import files: an Excel or CSV file as rows of values with an error for each bad cell, and the template."""

import csv
import io
from dataclasses import dataclass
from typing import Any, Literal

import xlsxwriter
from python_calamine import CalamineError, CalamineWorkbook

from wattkeeper.registry.errors import BadValue, RegistryError
from wattkeeper.registry.import_columns import COLUMNS, Column, column_of

_MOST_ROWS = 100_000
_EXCEL_SIGNS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")


class ImportFileUnreadable(RegistryError):
    """The file is no table we can read."""


@dataclass(frozen=True, slots=True)
class CellError:
    """What is wrong in one cell. ``row`` counts as the spreadsheet does: the headings are row 1."""

    row: int
    column: str
    value: str
    message: str
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row: the values by column key; empty cells are absent."""

    number: int
    values: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Table:
    """A file's rows, and what could not be read in it. ``ignored`` are headings that mean nothing to us."""

    rows: tuple[TableRow, ...]
    errors: tuple[CellError, ...]
    ignored: tuple[str, ...]


def read_table(content: bytes, name: str) -> Table:
    """Read an Excel (xlsx, xls, ods) or CSV (UTF-8 or GB18030) file; raises ImportFileUnreadable."""
    grid = _excel(content, name) if content.startswith(_EXCEL_SIGNS) else _csv(content, name)
    if len(grid) > _MOST_ROWS:
        raise ImportFileUnreadable(
            f"{name} has {len(grid)} rows, and an import takes at most {_MOST_ROWS}.", hint="Split the file."
        )
    header_at = next((number for number, row in enumerate(grid) if not _is_empty(row)), None)
    if header_at is None:
        raise ImportFileUnreadable(f"{name} is empty.", hint="Download the template and fill it in.")
    columns, ignored = _columns(grid[header_at], name)
    errors: list[CellError] = []
    rows = [
        TableRow(number, _values(number, cells, columns, errors))
        for number, cells in enumerate(grid[header_at + 1 :], header_at + 2)
        if not _is_empty(cells)
    ]
    return Table(tuple(rows), tuple(errors), ignored)


def template(language: Literal["zh", "en"] = "zh") -> bytes:
    """An Excel file with the headings, and a second sheet that explains every column with an example."""
    chinese = language == "zh"
    file = io.BytesIO()
    with xlsxwriter.Workbook(file, {"in_memory": True}) as book:
        sheet = book.add_worksheet("电表档案" if chinese else "Meters")
        notes = book.add_worksheet("说明" if chinese else "Notes")
        as_text = book.add_format({"num_format": "@"})
        bold = book.add_format({"bold": True, "bg_color": "#DDEBF7", "num_format": "@"})
        sheet.freeze_panes(1, 0)
        notes.set_column(0, 0, 24)
        notes.set_column(1, 2, 60)
        for index, column in enumerate(COLUMNS):
            heading = (column.zh if chinese else column.en) + (" *" if column.required else "")
            sheet.set_column(index, index, 20, as_text)
            sheet.write_string(0, index, heading, bold)
            notes.write_string(index, 0, heading, bold)
            notes.write_string(index, 1, column.note_zh if chinese else column.note_en)
            notes.write_string(index, 2, column.example)
    return file.getvalue()


def _excel(content: bytes, name: str) -> list[list[Any]]:
    try:
        sheet = CalamineWorkbook.from_filelike(io.BytesIO(content)).get_sheet_by_index(0)
        return sheet.to_python(skip_empty_area=False)
    except (CalamineError, ValueError, IndexError, OSError) as error:
        raise ImportFileUnreadable(
            f"{name} cannot be read as an Excel file: {error}.",
            hint="Open it in a spreadsheet, remove any password, and save it again as .xlsx or .csv.",
        ) from error


def _csv(content: bytes, name: str) -> list[list[Any]]:
    written = _decoded(content, name)
    first = written.lstrip("\r\n").partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    try:
        return list(csv.reader(io.StringIO(written, newline=""), delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise ImportFileUnreadable(
            f"{name} is not a proper CSV file: {error}.",
            hint="Save it again from the spreadsheet as .xlsx or .csv.",
        ) from error


def _decoded(content: bytes, name: str) -> str:
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            written = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in written:
            return written
    raise ImportFileUnreadable(
        f"{name} is neither Excel nor text in UTF-8 or GB18030.",
        hint="Save it again as .xlsx, or as CSV in UTF-8.",
    )


def _columns(headings: list[Any], name: str) -> tuple[dict[int, Column], tuple[str, ...]]:
    columns: dict[int, Column] = {}
    ignored: list[str] = []
    for index, heading in enumerate(headings):
        written = str(heading).strip()
        if (column := column_of(written)) is None:
            ignored += [written] if written else []
        elif column in columns.values():
            raise ImportFileUnreadable(f"{name} has the column {written} twice.", hint="Remove one of them.")
        else:
            columns[index] = column
    missing = [
        f"{column.zh} ({column.en})"
        for column in COLUMNS
        if column.required and column not in columns.values()
    ]
    if missing:
        raise ImportFileUnreadable(
            f"{name} lacks the column {', '.join(missing)}.",
            hint="The first row must hold the headings of the template.",
        )
    return columns, tuple(ignored)


def _values(
    number: int, cells: list[Any], columns: dict[int, Column], errors: list[CellError]
) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for index, column in columns.items():
        cell = cells[index] if index < len(cells) else ""
        if _is_empty([cell]):
            if column.required:
                errors.append(
                    CellError(number, column.key, "", "This cell must be filled in.", column.note_en or None)
                )
            continue
        try:
            values[column.key] = column.parse(cell)
        except BadValue as error:
            errors.append(CellError(number, column.key, str(cell), error.message, error.hint))
    return values


def _is_empty(cells: list[Any]) -> bool:
    return all(cell is None or (isinstance(cell, str) and not cell.strip()) for cell in cells)
