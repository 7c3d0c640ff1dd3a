"""Keeping the store small and quick while others read and write it.

Every step is one DuckLake transaction: a kill leaves the state before or after it. Files left behind by a killed
writer are no part of any snapshot, and are deleted once they are a day old.

A step that moves rows holds the writers' lock. DuckLake 1.0 does not see every conflict between moving rows and
deleting them: rows superseded during a flush or merge came back (measured: 320 of 4,320 with three writers).
Readers never wait, and a step is short because it only touches small files.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import duckdb

from wattkeeper.readings.batches import microseconds
from wattkeeper.readings.lake import Lake
from wattkeeper.readings.latest import LatestReadings
from wattkeeper.readings.layout import TABLES
from wattkeeper.readings.selection import instant

_ORPHANS_AFTER = timedelta(days=1)
# Files below the limit are merged; larger ones rest. 8 MB are some five million readings, merged in about 4 s: what
# a writer waits at most.
_SMALL_FILE = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Maintained:
    """What a run of maintenance did."""

    ran: bool
    """False when another process was already at it."""
    files_before: int = 0
    files_after: int = 0
    bytes_after: int = 0
    postponed: tuple[str, ...] = ()
    """Steps that gave way to a writer and will be done by the next run."""


class Maintenance:
    """The steps, in an order that each makes the next one cheaper."""

    def __init__(self, lake: Lake, latest: LatestReadings) -> None:
        self._lake = lake
        self._latest = latest

    def run(
        self, now: datetime, *, keep_exchanges: timedelta | None, keep_snapshots: timedelta
    ) -> Maintained:
        """Do all steps once; a step that meets a writer on the same rows gives way."""
        with self._lake.guard.maintaining() as mine:
            if not mine:
                return Maintained(ran=False)
            before, _ = self._files()
            postponed = [
                name for name, statement in self._steps(now, keep_exchanges) if not self._did(statement)
            ]
            if not self._latest.checkpointed():
                postponed.append("latest")
            postponed += self._tidy(now, keep_snapshots)
            after, size = self._files()
            return Maintained(
                ran=True, files_before=before, files_after=after, bytes_after=size, postponed=tuple(postponed)
            )

    def _steps(self, now: datetime, keep_exchanges: timedelta | None) -> list[tuple[str, str]]:
        steps = []
        if keep_exchanges is not None:
            oldest = instant(microseconds(now - keep_exchanges))
            steps.append(("exchange retention", f"DELETE FROM lake.exchange WHERE began_at < {oldest}"))  # noqa: S608
        for table in TABLES:
            steps += [
                (f"flush {table}", f"CALL ducklake_flush_inlined_data('lake', table_name => '{table}')"),
                (
                    f"rewrite {table}",
                    f"CALL ducklake_rewrite_data_files('lake', '{table}', delete_threshold => 0.02)",
                ),
                (
                    f"merge {table}",
                    f"CALL ducklake_merge_adjacent_files('lake', '{table}', max_file_size => {_SMALL_FILE})",
                ),
            ]
        return steps

    def _did(self, statement: str) -> bool:
        with self._lake.guard.writing():
            return self._passed(statement)

    def _passed(self, statement: str) -> bool:
        """Whether a step went through; a conflict leaves it to the next run."""
        try:
            with self._lake.reading() as cursor:
                cursor.execute(statement)
        except duckdb.TransactionException:
            return False
        return True

    def _tidy(self, now: datetime, keep_snapshots: timedelta) -> list[str]:
        """Forget old snapshots, then their files; whoever reads an older state has ``keep_snapshots`` for it.

        No row moves, so writers need not wait for files to be listed and deleted.
        """
        expiry = instant(microseconds(now - keep_snapshots))
        orphans = instant(microseconds(now - _ORPHANS_AFTER))
        steps = {
            "snapshots": f"CALL ducklake_expire_snapshots('lake', older_than => {expiry})",
            "old files": f"CALL ducklake_cleanup_old_files('lake', older_than => {expiry})",
            "orphans": f"CALL ducklake_delete_orphaned_files('lake', older_than => {orphans})",
        }
        return [name for name, statement in steps.items() if not self._passed(statement)]

    def _files(self) -> tuple[int, int]:
        with self._lake.reading() as cursor:
            count, size = cursor.execute(
                "SELECT coalesce(sum(file_count), 0), coalesce(sum(file_size_bytes), 0) FROM ducklake_table_info('lake')"
            ).fetchall()[0]
        return int(count), int(size)
