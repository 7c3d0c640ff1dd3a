"""What a person's edits do to the store, and what every value was before.

An edit is written in one transaction together with a row of the table ``edit`` that says so, and so is its undoing.
Whoever carries an edit out may therefore do so again after a crash: the second time changes nothing.
"""

from datetime import UTC, datetime, timedelta

import duckdb
import pyarrow as pa

from wattkeeper.readings import versions
from wattkeeper.readings.batches import microseconds
from wattkeeper.readings.commits import Commits
from wattkeeper.readings.lake import Lake
from wattkeeper.readings.schemas import INSTANT
from wattkeeper.readings.selection import instant, known
from wattkeeper.readings.versions import VersionedTable

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Corrections:
    """Carries out edits of readings and of intervals, and takes them back."""

    def __init__(self, lake: Lake, commits: Commits) -> None:
        self._lake = lake
        self._commits = commits

    def apply(self, edit_id: int, table: VersionedTable, batch: pa.Table, now: datetime) -> datetime:
        """Store the values of an edit, unless that was done; returns the ``recorded_at`` they have.

        ``batch`` is of the table's schema, all of it edited, and has each key once. A value that repeats what stands
        is stored too: it holds for this edit whatever becomes of the other.
        """

        def write(cursor: duckdb.DuckDBPyConnection, recorded_at: int) -> int:
            done = _when(cursor, edit_id, "applied")
            if done is None:
                versions.store(cursor, table, batch, recorded_at=recorded_at, fresh=False, restate=True)
                _note(cursor, edit_id, table, "applied", recorded_at)
            return recorded_at if done is None else done

        return _instant(self._commits.run(table, now, write))

    def take_back(self, edit_id: int, table: VersionedTable, keys: pa.Table, now: datetime) -> datetime:
        """Let what an edit covered stand again, unless that was done; returns when it was.

        ``keys`` has the columns of the table's key. A value that another edit covers stays as that one says, and
        one that had no other version is gone; what was known before is still told as known then.
        """

        def write(cursor: duckdb.DuckDBPyConnection, recorded_at: int) -> int:
            done = _when(cursor, edit_id, "undone")
            if done is None:
                versions.take_back(cursor, table, keys, edit_id=edit_id, recorded_at=recorded_at)
                _note(cursor, edit_id, table, "undone", recorded_at)
            return recorded_at if done is None else done

        return _instant(self._commits.run(table, now, write))

    def values(
        self, table: VersionedTable, keys: pa.Table, *, as_known_before: datetime | None = None
    ) -> pa.Table:
        """The current values of some keys, or those just before a moment; in no order, and without those not there."""
        at = None if as_known_before is None else as_known_before - timedelta(microseconds=1)
        first, last = versions.bounds(keys, table)
        wanted = f"({table.keys}) IN (SELECT ({table.keys}) FROM keys)"  # noqa: S608  the table's own names
        condition = f"{wanted} AND {_between(table, first, last)}"
        with self._lake.reading() as cursor:
            cursor.register("keys", keys)
            rows = cursor.execute(known(table, condition, at)).to_arrow_table()
            return rows.cast(table.schema.append(pa.field("recorded_at", INSTANT)))

    def history(self, table: VersionedTable, key: tuple[int, str, datetime]) -> pa.Table:
        """Every version of one value, the newest first, with what ended it and the edit it came by.

        Columns: those of the stored table, ``superseded_at`` (null for the current one), ``edit_id`` of the edit that
        wrote this version and ``undone_id`` of the one whose undoing did, null for what was read or derived.
        """
        owner, quantity, moment = key
        at = microseconds(moment)
        condition = f"{table.owner} = ? AND quantity = ? AND {_between(table, at, at)}"
        with self._lake.reading() as cursor:
            return cursor.execute(
                f"""
                WITH versions AS (
                    SELECT {table.stored}, NULL::TIMESTAMPTZ AS superseded_at FROM lake.{table.name} WHERE {condition}
                    UNION ALL
                    SELECT {table.stored}, superseded_at FROM lake.{table.superseded} WHERE {condition}
                )
                SELECT v.*, a.edit_id, u.edit_id AS undone_id FROM versions v
                LEFT JOIN lake.edit a ON a.recorded_at = v.recorded_at AND a.act = 'applied' AND a.about = '{table.name}'
                LEFT JOIN lake.edit u ON u.recorded_at = v.recorded_at AND u.act = 'undone' AND u.about = '{table.name}'
                ORDER BY v.superseded_at DESC NULLS FIRST, v.recorded_at DESC
                """,  # noqa: S608  built from this module's and the table's names
                [owner, quantity, owner, quantity],
            ).to_arrow_table()


def _when(cursor: duckdb.DuckDBPyConnection, edit_id: int, act: str) -> int | None:
    found = cursor.execute(
        "SELECT epoch_us(recorded_at) FROM lake.edit WHERE edit_id = ? AND act = ?", [edit_id, act]
    ).fetchone()
    return None if found is None else int(found[0])


def _note(
    cursor: duckdb.DuckDBPyConnection, edit_id: int, table: VersionedTable, act: str, recorded_at: int
) -> None:
    cursor.execute(
        "INSERT INTO lake.edit VALUES (?, ?, ?, make_timestamptz(?))", [edit_id, table.name, act, recorded_at]
    )


def _between(table: VersionedTable, first: int, last: int) -> str:
    return f"{table.time} BETWEEN {instant(first)} AND {instant(last)}"


def _instant(microseconds_utc: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds_utc)
