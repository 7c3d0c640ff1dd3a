"""The newest reading of every meter and quantity, kept in memory and caught up when asked.

It starts from the table `latest` that maintenance leaves behind and then takes in what was recorded since, which
DuckLake finds by the bounds of ``recorded_at`` in its files. So it costs what is new and what is wanted, never
history, and it is right with several writers: their commits, too, carry a later ``recorded_at``.
"""

import contextlib
import threading
from collections.abc import Iterable

import duckdb
import pyarrow as pa

from wattkeeper.readings.lake import Lake
from wattkeeper.readings.layout import READING_COLUMNS, newest
from wattkeeper.readings.schemas import STORED_READING_SCHEMA
from wattkeeper.readings.selection import chosen_ids, chosen_quantities

_REST = ("read_at", "value", "status", "source", "exchange_id", "recorded_at")
_PACKED = ", ".join(f"{name} := {name}" for name in _REST)
_UPDATES = ", ".join(f"{name} = excluded.{name}" for name in _REST)


class LatestReadings:
    """A table in memory beside the lake, one row for each meter and quantity."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._lock = threading.Lock()
        self._seen: int | None = None
        """The ``recorded_at`` up to which the table is complete, in microseconds; None before the first use."""

    def read(self, meter_ids: Iterable[int] | None, quantities: Iterable[str] | None) -> pa.Table:
        """The newest readings of the wanted meters and quantities, in their order."""
        condition = f"{chosen_ids('meter_id', meter_ids)} AND {chosen_quantities('quantity', quantities)}"
        with self._lake.reading() as cursor:
            self.catch_up(cursor)
            rows = cursor.execute(f"FROM memory.latest WHERE {condition} ORDER BY meter_id, quantity")
            return rows.to_arrow_table().cast(STORED_READING_SCHEMA)

    def checkpoint(self) -> None:
        """Leave what is known in the lake, so that the next opening starts from it."""
        with self._lake.reading() as cursor:
            self.catch_up(cursor)
        with self._lake.transaction() as cursor:
            cursor.execute("DELETE FROM lake.latest")
            cursor.execute("INSERT INTO lake.latest FROM memory.latest")

    def checkpointed(self) -> bool:
        """The same, unless a writer is in the way: then the next run does it."""
        with contextlib.suppress(duckdb.TransactionException):
            self.checkpoint()
            return True
        return False

    def catch_up(self, cursor: duckdb.DuckDBPyConnection) -> None:
        """Make ``memory.latest`` complete up to what is committed now."""
        with self._lock:
            # Asked first: what is committed after this is taken in again next time, and changes nothing then.
            recorded = newest(
                cursor, self._lake, ["reading", "reading_superseded"], ["recorded_at", "superseded_at"]
            )
            if self._seen is None:
                cursor.execute(
                    f"CREATE TABLE memory.latest ({READING_COLUMNS}, PRIMARY KEY (meter_id, quantity))"
                )
                cursor.execute("INSERT INTO memory.latest FROM lake.latest")
                since = cursor.execute(
                    "SELECT coalesce(epoch_us(max(recorded_at)), 0) FROM memory.latest"
                ).fetchall()
                self._seen = int(since[0][0])
            if recorded > self._seen:
                self._take_in(cursor, self._seen)
                self._look_back(cursor, self._seen)
                self._seen = recorded

    @staticmethod
    def _take_in(cursor: duckdb.DuckDBPyConnection, since: int) -> None:
        cursor.execute(f"""
            INSERT INTO memory.latest
            SELECT meter_id, quantity, unnest(max_by(struct_pack({_PACKED}), read_at))
            FROM lake.reading WHERE recorded_at > make_timestamptz({since}) GROUP BY meter_id, quantity
            ON CONFLICT DO UPDATE SET {_UPDATES}
            WHERE (excluded.read_at, excluded.recorded_at) > (latest.read_at, latest.recorded_at)
        """)  # noqa: S608  built from this module's constants

    @staticmethod
    def _look_back(cursor: duckdb.DuckDBPyConnection, since: int) -> None:
        """Find the newest reading again where it was an edit that was taken back since: there may be none left there."""
        cursor.execute(f"""
            CREATE OR REPLACE TEMP TABLE in_doubt AS
            SELECT DISTINCT meter_id, quantity FROM memory.latest l
            SEMI JOIN (
                SELECT meter_id, quantity, read_at FROM lake.reading_superseded
                WHERE source = 'edited' AND superseded_at > make_timestamptz({since})
            ) s ON s.meter_id = l.meter_id AND s.quantity = l.quantity AND s.read_at = l.read_at
        """)  # noqa: S608  a number
        if cursor.execute("SELECT count(*) FROM temp.in_doubt").fetchall()[0][0]:
            cursor.execute("DELETE FROM memory.latest WHERE (meter_id, quantity) IN (FROM temp.in_doubt)")
            cursor.execute(f"""
                INSERT INTO memory.latest
                SELECT meter_id, quantity, unnest(max_by(struct_pack({_PACKED}), read_at))
                FROM lake.reading SEMI JOIN temp.in_doubt USING (meter_id, quantity) GROUP BY meter_id, quantity
            """)  # noqa: S608  built from this module's constants
