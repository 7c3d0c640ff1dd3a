"""A table as CSV: UTF-8 with the mark that Excel asks for, numbers plain and whole, times in the site's zone."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from itertools import islice
from typing import Any, Final

from wattkeeper.web.columns import Cell, Column
from wattkeeper.web.language import Language

MEDIA_TYPE: Final = "text/csv; charset=utf-8"
MARK: Final = "\ufeff"
"""Excel takes a file for UTF-8 only with this in front."""
CHUNK: Final = 500
FORMULA_STARTS: Final = frozenset("=+-@\t\r")


def csv_chunks(columns: Sequence[Column[Any]], rows: Iterable[Any], say: Language) -> Iterator[str]:
    """The file, some hundred lines at a time."""
    yield MARK + csv_line(column.heading(say) for column in columns)
    waiting = iter(rows)
    while chunk := list(islice(waiting, CHUNK)):
        yield "".join(csv_line(_text(column, column.cell(row, say)) for column in columns) for row in chunk)


def csv_line(cells: Iterable[object]) -> str:
    """A line of CSV; a text that a spreadsheet would take for a formula is kept one."""
    safe = [f"'{cell}" if isinstance(cell, str) and cell[:1] in FORMULA_STARTS else cell for cell in cells]
    line = io.StringIO()
    csv.writer(line).writerow("" if cell is None else cell for cell in safe)
    return line.getvalue()


def _text(column: Column[Any], cell: Cell) -> object:
    """A cell as it is written; only a text is one still, so that the sign of a number is no formula's."""
    if isinstance(cell, datetime):
        return _Written(f"{cell:%Y-%m-%d %H:%M:%S}")
    if isinstance(cell, Decimal):
        return _Written(f"{cell.scaleb(2).normalize() if column.kind == 'percent' else cell:f}")
    return cell


class _Written:
    """A number or a time, written."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def __str__(self) -> str:
        return self._text
