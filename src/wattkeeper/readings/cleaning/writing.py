"""The cleaned values as a file: CSV or Parquet, as its name says."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from wattkeeper.readings.cleaning.values import CleaningError
from wattkeeper.readings.errors import ReadingsError

SUFFIXES = (".csv", ".parquet")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HALF_HOUR_US = 1_800_000_000


class NotWritten(ReadingsError):
    """The result could not be written; nothing is left half done."""


def checked_output(source: Path, output: Path) -> Path:
    """The output path, or CleaningError before any work is done."""
    if output.suffix.lower() not in SUFFIXES:
        raise CleaningError(
            f"{output} is neither .csv nor .parquet.", hint="Name the result with one of the two."
        )
    if output.resolve() == source.resolve():
        raise CleaningError(
            f"{output} is the file to be cleaned.", hint="Name another file; the raw one stays."
        )
    if not output.parent.is_dir():
        raise CleaningError(f"There is no folder {output.parent}.", hint="Make it first.")
    return output


def write(table: pa.Table, output: Path, zone: ZoneInfo) -> None:
    """Write the result (CLEAN_SCHEMA) whole or not at all; CSV has the zone's civil times with their offsets."""
    part = output.with_name(f".{output.name}.part")
    try:
        if output.suffix.lower() == ".parquet":
            pa.parquet.write_table(table, part, compression="zstd")
        else:
            _csv(table, part, zone)
        part.replace(output)
    except (OSError, pa.ArrowInvalid, duckdb.Error) as error:
        raise NotWritten(
            f"{output} could not be written: {error}.", hint="Is there room, and may this user write there?"
        ) from error
    finally:
        part.unlink(missing_ok=True)


def _csv(table: pa.Table, part: Path, zone: ZoneInfo) -> None:
    offsets = _offset_texts(table, zone)
    with duckdb.connect() as engine:
        engine.execute("SET TimeZone = 'UTC'")
        engine.register("cleaned", table.set_column(0, "time", table["time"].cast(pa.int64())))
        engine.register("offsets", offsets)
        engine.execute(
            """
            COPY (
                SELECT strftime(make_timestamp(c.time + o.ahead), '%Y-%m-%dT%H:%M:%S') || o.text AS time,
                       c.meter, c.value, c.status, c.method, c.error
                FROM cleaned c JOIN offsets o ON o.half_hour = c.time // 1800000000 ORDER BY c.meter, c.time
            ) TO $part (FORMAT csv, HEADER)
            """,
            {"part": str(part)},
        )


def _offset_texts(table: pa.Table, zone: ZoneInfo) -> pa.Table:
    """By half hour since 1970, how far civil time is ahead [µs] and how that is written."""
    half_hours = pc.unique(pc.divide(table["time"].cast(pa.int64()), _HALF_HOUR_US)).to_pylist()
    civil = [(_EPOCH + timedelta(microseconds=_HALF_HOUR_US * n)).astimezone(zone) for n in half_hours]
    ahead = [(moment.utcoffset() or timedelta()) // timedelta(microseconds=1) for moment in civil]
    texts = [moment.isoformat()[19:] for moment in civil]
    return pa.table(
        {"half_hour": pa.array(half_hours, pa.int64()), "ahead": pa.array(ahead, pa.int64()), "text": texts}
    )
