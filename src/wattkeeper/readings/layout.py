"""The tables of the readings store: how they are partitioned, sorted and written."""

from collections.abc import Collection

import duckdb

from wattkeeper.readings.errors import StoreTooNew
from wattkeeper.readings.lake import Lake

FORMAT = 4
"""Raised with every change of the tables that an older version could not work with.

2: intervals have an error. 3: edits that were carried out or taken back are on record. 4: months that are in the
archive only are.
"""

READING_COLUMNS = """
    meter_id BIGINT, quantity VARCHAR, read_at TIMESTAMPTZ, value DECIMAL(18,4), status INTEGER, source VARCHAR,
    exchange_id BIGINT, recorded_at TIMESTAMPTZ"""
_INTERVAL = """
    point_id BIGINT, quantity VARCHAR, start_at TIMESTAMPTZ, end_at TIMESTAMPTZ, energy DECIMAL(18,4), status INTEGER,
    method VARCHAR, error DECIMAL(18,4), recorded_at TIMESTAMPTZ"""
_EDIT = "edit_id BIGINT, about VARCHAR, act VARCHAR, recorded_at TIMESTAMPTZ"
# ``recorded_at`` is the moment of the last commit by then: a table that was emptied remembers none.
_LET_GO = "class VARCHAR, month DATE, file VARCHAR, recorded_at TIMESTAMPTZ, kept_until TIMESTAMPTZ"
_EXCHANGE = """
    exchange_id BIGINT, link_id BIGINT, meter_id BIGINT, began_at TIMESTAMPTZ, ended_at TIMESTAMPTZ, request BLOB,
    reply BLOB, outcome VARCHAR"""

_MONTHLY = "(year({0}), month({0}))"
_DAILY = "(year({0}), month({0}), day({0}))"

# Table, columns, partition, sort. Months keep the files of a fleet within one merge and let old months rest;
# within a file one meter's one quantity lies together in time, so that values differ little from row to row
# and a meter's month is a few row groups. Exchanges are dropped by the day.
_TABLES: tuple[tuple[str, str, str | None, str | None], ...] = (
    ("reading", READING_COLUMNS, _MONTHLY.format("read_at"), "quantity, meter_id, read_at"),
    (
        "reading_superseded",
        f"{READING_COLUMNS}, superseded_at TIMESTAMPTZ",
        _MONTHLY.format("read_at"),
        "quantity, meter_id, read_at",
    ),
    ("interval", _INTERVAL, _MONTHLY.format("start_at"), "quantity, point_id, start_at"),
    (
        "interval_superseded",
        f"{_INTERVAL}, superseded_at TIMESTAMPTZ",
        _MONTHLY.format("start_at"),
        "quantity, point_id, start_at",
    ),
    ("exchange", _EXCHANGE, _DAILY.format("began_at"), "exchange_id"),
    # What was done for the edits of the ledger: ``act`` (applied, undone) with the table it was ``about``, and when.
    ("edit", _EDIT, None, "recorded_at"),
    # Months of a class of data that are in a file of the archive only; without a file, one that was brought back from it.
    ("let_go", _LET_GO, None, None),
    # The newest readings as of the last maintenance, so that opening does not read history.
    ("latest", READING_COLUMNS, None, None),
)

TABLES = tuple(name for name, *_ in _TABLES)
"""Every table that maintenance looks after."""

_OPTIONS = (
    ("parquet_compression", "zstd"),
    ("parquet_compression_level", "6"),
    ("parquet_version", "2"),  # version 2 has delta encoding, which is what registers are made for
    ("target_file_size", "256MB"),
)


# What brings a store from the format before to each format.
_UPGRADES = {
    2: tuple(
        f"ALTER TABLE lake.{table} ADD COLUMN error DECIMAL(18,4)"
        for table in ("interval", "interval_superseded")
    ),
    3: (f"CREATE TABLE lake.edit ({_EDIT})", "ALTER TABLE lake.edit SET SORTED BY (recorded_at)"),
    4: (f"CREATE TABLE lake.let_go ({_LET_GO})",),
}


def stored_format(cursor: duckdb.DuckDBPyConnection) -> int | None:
    """The format of the store's tables, or None where there are none yet."""
    present = cursor.execute(
        "SELECT 1 FROM duckdb_tables() WHERE database_name = 'lake' AND table_name = 'store_format'"
    ).fetchall()
    if not present:
        return None
    return int(cursor.execute("SELECT max(format) FROM lake.store_format").fetchall()[0][0])


def prepare(lake: Lake) -> None:
    """Create the tables in a new store, bring an older one to this format; refuse one that is newer."""
    with lake.guard.writing(), lake.transaction() as cursor:
        found = stored_format(cursor)
        if found is None:
            _create(cursor)
        elif found > FORMAT:
            raise StoreTooNew(
                f"The readings store {lake.place} has format {found}; this version of Wattkeeper knows up to {FORMAT}.",
                hint="Start the newer version again, or restore the copy made before the update.",
            )
        else:
            _upgrade(cursor, found)


def _create(cursor: duckdb.DuckDBPyConnection) -> None:
    """All in one transaction: a kill leaves either no table or every one."""
    for option, value in _OPTIONS:
        cursor.execute(f"CALL lake.set_option('{option}', '{value}')")
    for name, columns, partition, sort in _TABLES:
        cursor.execute(f"CREATE TABLE lake.{name} ({columns})")
        if partition is not None:
            cursor.execute(f"ALTER TABLE lake.{name} SET PARTITIONED BY {partition}")
        if sort is not None:
            cursor.execute(f"ALTER TABLE lake.{name} SET SORTED BY ({sort})")
    cursor.execute("CREATE TABLE lake.store_format (format INTEGER)")
    cursor.execute(f"INSERT INTO lake.store_format VALUES ({FORMAT})")  # noqa: S608  a constant of this module


def _upgrade(cursor: duckdb.DuckDBPyConnection, found: int) -> None:
    """In the caller's one transaction: a kill leaves the store in the format it had."""
    for target in range(found + 1, FORMAT + 1):
        for statement in _UPGRADES[target]:
            cursor.execute(statement)
        cursor.execute(f"INSERT INTO lake.store_format VALUES ({target})")  # noqa: S608  a number


def newest(
    cursor: duckdb.DuckDBPyConnection, lake: Lake, tables: Collection[str], columns: Collection[str]
) -> int:
    """The latest instant any row of these columns of these tables ever had [µs since 1970 UTC]; 0 where there was none.

    It comes from the catalogue's own statistics, which know it without reading a file.
    """
    found = cursor.execute(
        f"""
        SELECT coalesce(max(epoch_us(s.max_value::TIMESTAMPTZ)), 0)
        FROM {lake.metadata}.ducklake_table t
        JOIN {lake.metadata}.ducklake_column c ON c.table_id = t.table_id AND c.end_snapshot IS NULL
        JOIN {lake.metadata}.ducklake_table_column_stats s ON s.table_id = c.table_id AND s.column_id = c.column_id
        WHERE t.end_snapshot IS NULL AND t.table_name IN {_texts(tables)} AND c.column_name IN {_texts(columns)}
          AND s.max_value IS NOT NULL
        """  # noqa: S608  names of our own
    ).fetchall()
    return int(found[0][0])


def _texts(names: Collection[str]) -> str:
    return "(" + ", ".join(f"'{name}'" for name in names) + ")"
