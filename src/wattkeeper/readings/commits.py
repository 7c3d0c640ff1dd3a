"""One commit after another: each write to a versioned table has its moment, later than every one before it."""

import time
from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

import duckdb

from wattkeeper.readings.batches import microseconds
from wattkeeper.readings.lake import Lake
from wattkeeper.readings.layout import newest
from wattkeeper.readings.versions import VersionedTable

T = TypeVar("T")

_ATTEMPTS = 8


class Commits:
    """Runs what writes to a versioned table: in one transaction, under the writers' lock."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake

    def run(
        self, table: VersionedTable, now: datetime, write: Callable[[duckdb.DuckDBPyConnection, int], T]
    ) -> T:
        """Give ``write`` a cursor and the moment of this commit; what it returns is returned.

        The moment [µs since 1970 UTC] is ``now``, raised where needed so that it strictly increases with each commit.
        Tried again when maintenance moved the very rows that are replaced.
        """
        for attempt in range(_ATTEMPTS):
            try:
                with self._lake.guard.writing(), self._lake.transaction() as cursor:
                    before = newest(
                        cursor,
                        self._lake,
                        (table.name, table.superseded, "edit", "let_go"),
                        ("recorded_at", "superseded_at"),
                    )
                    return write(cursor, max(microseconds(now), before + 1))
            except duckdb.TransactionException:
                if attempt == _ATTEMPTS - 1:
                    raise
                time.sleep(0.02 * 2**attempt)
        raise AssertionError
