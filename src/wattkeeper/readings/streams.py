"""Stored readings and intervals from one end to the other, in batches: what an export reads from.

Owners come one after another, some at a time: what is sorted at once stays small, however long the export.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import pyarrow as pa

from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.readings.lake import Lake
from wattkeeper.readings.schemas import STORED_INTERVAL_SCHEMA, STORED_READING_SCHEMA, IntervalStatus
from wattkeeper.readings.selection import chosen_ids, chosen_quantities, known, within
from wattkeeper.readings.series import Member, members_table
from wattkeeper.readings.versions import INTERVALS, READINGS, VersionedTable

_ROWS_AT_ONCE: Final = 1_000_000
_BATCH_ROWS: Final = 50_000


@dataclass(frozen=True)
class Selection:
    """Which rows: those of some members (None: all) and quantities (None: all) in a period, as known now or then."""

    members: tuple[Member, ...] | None
    quantities: tuple[str, ...] | None
    period: TimeRange
    as_known_at: datetime | None = None


class Streams:
    """Reads that go through all of something."""

    _lake: Lake

    def count_readings(self, wanted: Selection) -> dict[int, int]:
        """How many readings of each meter there are to be had."""
        return self._counted(READINGS, wanted)

    def stream_readings(self, wanted: Selection, counts: dict[int, int]) -> Iterator[pa.RecordBatch]:
        """The readings (STORED_READING_SCHEMA) of the meters that were counted, in order of meter, quantity and time."""
        return self._streamed(READINGS, STORED_READING_SCHEMA, wanted, counts)

    def count_intervals(self, wanted: Selection) -> dict[int, int]:
        """How many intervals of each metering point there are to be had."""
        return self._counted(INTERVALS, wanted)

    def stream_intervals(self, wanted: Selection, counts: dict[int, int]) -> Iterator[pa.RecordBatch]:
        """The intervals (STORED_INTERVAL_SCHEMA) of the points that were counted, in order of point, quantity and time."""
        return self._streamed(INTERVALS, STORED_INTERVAL_SCHEMA, wanted, counts)

    def _counted(self, table: VersionedTable, wanted: Selection) -> dict[int, int]:
        owners = None if wanted.members is None else {member.owner for member in wanted.members}
        with self._lake.reading() as cursor:
            cursor.register("member", members_table(wanted.members or ()))
            rows = cursor.execute(
                f"SELECT {table.owner}, count(*) FROM ({_rows(table, wanted, owners)}) r GROUP BY {table.owner}"  # noqa: S608
            ).fetchall()
        return dict(sorted((int(owner), int(count)) for owner, count in rows))

    def _streamed(
        self, table: VersionedTable, schema: pa.Schema, wanted: Selection, counts: dict[int, int]
    ) -> Iterator[pa.RecordBatch]:
        for owners in _some_at_a_time(counts):
            with self._lake.reading() as cursor:
                cursor.register("member", members_table(wanted.members or ()))
                order = f"{table.owner}, quantity, {table.time}"
                statement = f"SELECT * FROM ({_rows(table, wanted, owners)}) r ORDER BY {order}"  # noqa: S608
                for batch in cursor.execute(statement).to_arrow_reader(_BATCH_ROWS):
                    yield batch.select(schema.names).cast(schema)


def _rows(table: VersionedTable, wanted: Selection, owners: set[int] | None) -> str:
    condition = " AND ".join(
        (
            chosen_ids(table.owner, owners),
            chosen_quantities("quantity", wanted.quantities),
            within(table.time, wanted.period),
        )
    )
    stored = known(table, condition, wanted.as_known_at)
    if table is INTERVALS:
        stored = f"SELECT * FROM ({stored}) WHERE status & {IntervalStatus.WITHDRAWN.value} = 0"  # noqa: S608
    if wanted.members is None:
        return stored
    end = "end_at" if table is INTERVALS else table.time
    more = ">" if table is INTERVALS else ">="
    return f"""
        SELECT * FROM ({stored}) s SEMI JOIN member m
        ON m.owner = s.{table.owner} AND s.{end} {more} m.from_at AND s.{table.time} < m.until_at
    """  # noqa: S608  built from checked parts


def _some_at_a_time(counts: dict[int, int]) -> Iterator[set[int]]:
    owners: set[int] = set()
    rows = 0
    for owner, count in counts.items():
        if owners and rows + count > _ROWS_AT_ONCE:
            yield owners
            owners, rows = set(), 0
        owners.add(owner)
        rows += count
    if owners:
        yield owners
