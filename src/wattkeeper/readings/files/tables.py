"""Tables as CSV, Parquet and Arrow, written batch by batch: a file of any length takes the memory of one batch."""

import io
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.readings.civil import utc_offsets

MARK: Final = "\ufeff".encode()
"""Excel takes a file for UTF-8 only with this in front."""
_FORMULA: Final = "^([=+@\t\r-])"
_ROW_GROUP: Final = 200_000


class TableFormat(StrEnum):
    """A file of columns."""

    CSV = "csv"
    PARQUET = "parquet"
    ARROW = "arrow"


MEDIA_TYPES: Final = {
    TableFormat.CSV: "text/csv; charset=utf-8",
    TableFormat.PARQUET: "application/vnd.apache.parquet",
    TableFormat.ARROW: "application/vnd.apache.arrow.stream",
}


def written(
    batches: Iterable[pa.RecordBatch], schema: pa.Schema, file_format: TableFormat, zone: ZoneInfo
) -> Iterator[bytes]:
    """The file in pieces. In CSV instants are civil times of the zone with their offset; elsewhere they are UTC."""
    match file_format:
        case TableFormat.CSV:
            return _csv(batches, schema, zone)
        case TableFormat.PARQUET:
            return _parquet(batches, schema)
        case TableFormat.ARROW:
            return _arrow(batches, schema)


class _Sink(io.RawIOBase):
    """Takes what a writer writes, for somebody to take away."""

    def __init__(self) -> None:
        super().__init__()
        self._pieces: list[bytes] = []
        self._position = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def write(self, piece: object, /) -> int:
        data = bytes(piece)  # type: ignore[call-overload]
        self._pieces.append(data)
        self._position += len(data)
        return len(data)

    def taken(self) -> bytes:
        """All that was written since the last time."""
        data = b"".join(self._pieces)
        self._pieces.clear()
        return data


def _csv(batches: Iterable[pa.RecordBatch], schema: pa.Schema, zone: ZoneInfo) -> Iterator[bytes]:
    texts = pa.schema([_as_text(field) for field in schema])
    sink = _Sink()
    sink.write(MARK)
    with pa.csv.CSVWriter(sink, texts) as writer:
        for batch in batches:
            columns = [_text(batch.column(field.name), field, zone) for field in schema]
            writer.write_batch(pa.record_batch(columns, schema=texts))
            yield sink.taken()
    yield sink.taken()


def _parquet(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[bytes]:
    sink = _Sink()
    options = {"compression": "zstd", "data_page_version": "2.0", "version": "2.6"}
    with pa.parquet.ParquetWriter(sink, schema, **options) as writer:
        for table in _gathered(batches, schema):
            writer.write_table(table)
            yield sink.taken()
    yield sink.taken()


def _arrow(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[bytes]:
    sink = _Sink()
    with pa.ipc.new_stream(sink, schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        for batch in batches:
            writer.write_batch(batch)
            yield sink.taken()
    yield sink.taken()


def _gathered(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.Table]:
    """Small batches in one, so that a Parquet file does not get a row group for each."""
    waiting: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        waiting.append(batch)
        rows += batch.num_rows
        if rows >= _ROW_GROUP:
            yield pa.Table.from_batches(waiting, schema)
            waiting, rows = [], 0
    if waiting:
        yield pa.Table.from_batches(waiting, schema)


def _as_text(field: pa.Field) -> pa.Field:
    return (
        pa.field(field.name, pa.string())
        if pa.types.is_timestamp(field.type) or pa.types.is_decimal(field.type)
        else field
    )


def _text(column: pa.Array, field: pa.Field, zone: ZoneInfo) -> pa.Array:
    """A column as CSV shows it: exact numbers, civil times, and no text that a spreadsheet takes for a formula."""
    if pa.types.is_timestamp(field.type):
        return civil_texts(column, zone)
    if pa.types.is_decimal(field.type):
        return column.cast(pa.string())
    if pa.types.is_string(field.type):
        return pc.replace_substring_regex(column, _FORMULA, r"'\1")
    return column


def civil_texts(instants: pa.Array, zone: ZoneInfo) -> pa.Array:
    """Instants as ISO 8601 in a zone, with the offset that tells the two hours of a clock change apart."""
    if instants.null_count == len(instants):
        return pa.nulls(len(instants), pa.string())
    utc = instants.cast(pa.int64())
    span = pc.min_max(utc).as_py()
    offsets = utc_offsets(
        TimeRange(_instant(span["min"]), _instant(span["max"]) + timedelta(microseconds=1)), zone
    )
    since, lengths = (np.asarray(part, dtype=np.int64) for part in zip(*offsets, strict=True))
    at = np.searchsorted(since, utc.fill_null(span["min"]).to_numpy(zero_copy_only=False), side="right") - 1
    civil = pc.add(utc, pa.array(lengths[at]))
    whole = pc.all(pc.equal(civil, pc.multiply(pc.divide(civil, 1_000_000), 1_000_000))).as_py()
    stamps = civil.cast(pa.timestamp("us"))
    shown = pc.strftime(stamps.cast(pa.timestamp("s")) if whole else stamps, format="%Y-%m-%dT%H:%M:%S")
    texts = pa.array([offset_text(length) for length in lengths.tolist()]).take(pa.array(at))
    return pc.binary_join_element_wise(shown, texts, "")


def offset_text(offset_us: int) -> str:
    """How far clocks are from UTC: `+08:00`; seconds only where a zone of long ago had some."""
    seconds = abs(offset_us) // 1_000_000
    text = f"{'-' if offset_us < 0 else '+'}{seconds // 3600:02d}:{seconds // 60 % 60:02d}"
    return f"{text}:{seconds % 60:02d}" if seconds % 60 else text


def _instant(microseconds: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
