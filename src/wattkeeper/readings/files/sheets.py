"""Tables of readings as they are: CSV in any of the usual encodings, Excel, Parquet; all cells as text, in batches."""

import codecs
import csv
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from python_calamine import CalamineError, CalamineWorkbook

from wattkeeper.readings.errors import FileUnreadable

SAMPLE_ROWS: Final = 200
MOST_COLUMNS: Final = 20_000
_EXCEL_SIGNS: Final = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
_PARQUET_SIGN: Final = b"PAR1"
_HEAD_BYTES: Final = 1 << 18
_BLOCK_BYTES: Final = 1 << 22
_BATCH_ROWS: Final = 50_000
_MARKS: Final = ((codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


@dataclass
class Sheet:
    """A table of texts. Rows are numbered as a spreadsheet does; ``torn`` fills while the batches are gone through."""

    name: str
    headings: tuple[str, ...]
    sample: tuple[tuple[str, ...], ...]
    """The first rows, for a person and for guessing."""
    batches: Callable[[], Iterator[pa.RecordBatch]]
    """All rows as ``row``, ``c0``, ``c1`` ..., empty cells as empty texts."""
    torn: list[tuple[int, int]] = field(default_factory=list)
    """Rows with another number of cells than the headings: their number, and how many cells they have."""


def open_sheet(path: Path, name: str) -> Sheet:
    """A file as a table; FileUnreadable when it is none."""
    with path.open("rb") as file:
        sign = file.read(4)
    if sign.startswith(_EXCEL_SIGNS):
        return _excel(path, name)
    if sign == _PARQUET_SIGN:
        return _parquet(path, name)
    return _csv(path, name)


def columns_schema(count: int) -> pa.Schema:
    """The columns of the batches of a sheet."""
    return pa.schema([("row", pa.int64()), *((f"c{place}", pa.string()) for place in range(count))])


def _csv(path: Path, name: str) -> Sheet:
    encoding = _encoding(path, name)
    with path.open(
        encoding="utf-8-sig" if encoding == "utf-8" else encoding, newline="", errors="replace"
    ) as file:
        head = file.read(_HEAD_BYTES)
    first = head.lstrip("\r\n").partition("\n")[0]
    delimiter = max(",;\t|", key=first.count)
    reader = csv.reader(io.StringIO(head, newline=""), delimiter=delimiter)
    try:
        numbered = (
            (number, cells) for number, cells in enumerate(reader, 1) if any(cell.strip() for cell in cells)
        )
        header_row, headings = next(numbered, (0, []))
        lines = reader.line_num
        sample = [cells for _, cells in islice(numbered, SAMPLE_ROWS)]
    except csv.Error as error:
        raise _not_csv(name, error) from None
    if not headings:
        raise FileUnreadable(f"{name} is empty.", hint="It needs a row of headings and rows of values below.")
    sheet = Sheet(name, _named(headings, name), _even(sample, len(headings)), lambda: iter(()))
    sheet.batches = lambda: _csv_batches(path, sheet, encoding, delimiter, lines, header_row)
    return sheet


def _csv_batches(  # noqa: PLR0917 (called once, beside its definition)
    path: Path, sheet: Sheet, encoding: str, delimiter: str, lines: int, header_row: int
) -> Iterator[pa.RecordBatch]:
    schema = columns_schema(len(sheet.headings))
    names = schema.names[1:]
    torn: list[int] = []

    def note(row: pa.csv.InvalidRow) -> str:
        torn.append(row.number - lines + header_row)
        sheet.torn.append((torn[-1], row.actual_columns))
        return "skip"

    # One thread: only then is a row's number known.
    read = pa.csv.ReadOptions(
        use_threads=False, column_names=names, skip_rows=lines, encoding=encoding, block_size=_BLOCK_BYTES
    )
    parse = pa.csv.ParseOptions(
        delimiter=delimiter, invalid_row_handler=note, ignore_empty_lines=False, newlines_in_values=True
    )
    convert = pa.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False)
    row = header_row + 1
    try:
        with path.open("rb") as file:
            for batch in pa.csv.open_csv(
                file, read_options=read, parse_options=parse, convert_options=convert
            ):
                numbers = np.arange(row, row + batch.num_rows + len(torn))
                numbers = numbers[~np.isin(numbers, torn)][: batch.num_rows]
                row = int(numbers[-1]) + 1 if len(numbers) else row
                yield pa.record_batch([pa.array(numbers), *batch.columns], schema=schema)
    except pa.ArrowInvalid as error:
        if "Empty CSV" not in str(error):
            raise _not_csv(sheet.name, error) from None


def _not_csv(name: str, error: Exception) -> FileUnreadable:
    return FileUnreadable(
        f"{name} is not a proper CSV file: {error}.",
        hint="Save it again from the spreadsheet as .xlsx or .csv.",
    )


def _encoding(path: Path, name: str) -> str:
    """UTF-8, UTF-16 with its mark, or GB18030 (of which GBK and GB2312 are parts)."""
    with path.open("rb") as file:
        start = file.read(2)
    for mark, encoding in _MARKS:
        if start.startswith(mark):
            return encoding
    for encoding in ("utf-8", "gb18030"):
        decoder = codecs.getincrementaldecoder(encoding)()
        try:
            with path.open("rb") as file:
                while chunk := file.read(_BLOCK_BYTES):
                    if "\0" in decoder.decode(chunk):
                        break
                else:
                    decoder.decode(b"", final=True)
                    return encoding
        except UnicodeDecodeError:
            continue
    raise FileUnreadable(
        f"{name} is neither Excel nor Parquet nor text in UTF-8, UTF-16 or GB18030.",
        hint="Save it again as .xlsx, or as CSV in UTF-8.",
    )


def _excel(path: Path, name: str) -> Sheet:
    def rows() -> Iterator[tuple[int, list[str]]]:
        try:
            sheet = CalamineWorkbook.from_path(str(path)).get_sheet_by_index(0)
            first = (sheet.start or (0, 0))[0] + 1
            for number, cells in enumerate(sheet.iter_rows(), first):
                yield number, [_text(cell) for cell in cells]
        except (CalamineError, ValueError, IndexError, OSError) as error:
            raise FileUnreadable(
                f"{name} cannot be read as an Excel file: {error}.",
                hint="Open it in a spreadsheet, remove any password, and save it again as .xlsx or .csv.",
            ) from None

    beginning = rows()
    header_row, headings = next(((n, cells) for n, cells in beginning if any(cells)), (0, []))
    if not headings:
        raise FileUnreadable(f"{name} is empty.", hint="It needs a row of headings and rows of values below.")
    sample = [cells for _, cells in islice(beginning, SAMPLE_ROWS)]

    def batches() -> Iterator[pa.RecordBatch]:
        below = ((n, cells) for n, cells in rows() if n > header_row)
        while part := list(islice(below, _BATCH_ROWS)):
            numbers, cells = zip(*part, strict=True)
            columns = zip(*_even(cells, len(headings)), strict=True)
            arrays = [pa.array(column, pa.string()) for column in columns]
            yield pa.record_batch(
                [pa.array(numbers, pa.int64()), *arrays], schema=columns_schema(len(headings))
            )

    return Sheet(name, _named(headings, name), _even(sample, len(headings)), batches)


def _text(cell: Any) -> str:
    """A cell of a spreadsheet as a person would write it."""
    if isinstance(cell, datetime):
        return cell.isoformat(sep=" ")
    if isinstance(cell, date | time):
        return cell.isoformat()
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() else repr(cell)
    return "" if cell is None else str(cell).strip()


def _parquet(path: Path, name: str) -> Sheet:
    try:
        file = pa.parquet.ParquetFile(path)
        headings = tuple(file.schema_arrow.names)
        sample = next(file.iter_batches(batch_size=SAMPLE_ROWS), None)
        rows = (
            [] if sample is None else list(zip(*(_texts(c).to_pylist() for c in sample.columns), strict=True))
        )
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        raise FileUnreadable(
            f"{name} cannot be read as a Parquet file: {error}.", hint="Was it written to its end?"
        ) from None

    def batches() -> Iterator[pa.RecordBatch]:
        first = 1
        for batch in file.iter_batches(batch_size=_BATCH_ROWS):
            numbers = pa.array(range(first, first + batch.num_rows), pa.int64())
            first += batch.num_rows
            yield pa.record_batch(
                [numbers, *(_texts(column) for column in batch.columns)], schema=columns_schema(len(headings))
            )

    return Sheet(name, _named(headings, name), tuple(rows), batches)


def _texts(column: pa.Array) -> pa.Array:
    """A column of any plain type as texts; instants keep their offset."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = column.dictionary_decode(), kind.value_type
    if pa.types.is_timestamp(kind):
        aware = kind.tz is not None
        plain = (
            column.cast(pa.timestamp("us", tz=kind.tz), safe=False).cast(pa.timestamp("us")).cast(pa.string())
        )
        column = pa.compute.binary_join_element_wise(plain, "Z" if aware else "", "")
    elif pa.types.is_nested(kind) or pa.types.is_binary(kind):
        return pa.repeat(pa.scalar("", pa.string()), len(column))
    return column.cast(pa.string()).fill_null("")


def _named(headings: Sequence[str], name: str) -> tuple[str, ...]:
    if len(headings) > MOST_COLUMNS:
        raise FileUnreadable(
            f"{name} has {len(headings):,} columns, and an import takes at most {MOST_COLUMNS:,}.",
            hint="Split the file.",
        )
    return tuple(heading.strip() for heading in headings)


def _even(rows: Sequence[Sequence[str]], count: int) -> tuple[tuple[str, ...], ...]:
    """Every row with so many cells."""
    return tuple((*row[:count], *("",) * (count - len(row))) for row in rows)
