"""The store in the order in which it was written: what a collector passes on to the platform, and takes in there."""

from collections.abc import Iterable
from typing import Final, NamedTuple

import pyarrow as pa

from wattkeeper.readings import batches
from wattkeeper.readings.lake import Lake
from wattkeeper.readings.layout import newest
from wattkeeper.readings.schemas import EXCHANGE_SCHEMA, READING_SCHEMA
from wattkeeper.readings.selection import chosen_ids, instant
from wattkeeper.readings.versions import READINGS

_COLLECTED: Final = "source IN ('polled', 'meter')"
"""What was read from meters here; files and people's edits belong to the platform."""


class Commit(NamedTuple):
    """One commit of readings."""

    recorded_at: int
    """[µs since 1970 UTC]"""
    rows: int


class Recorded:
    """Readings by the moment of their commit, which grows from commit to commit; nothing appears behind a moment."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake

    def newest(self) -> int:
        """The moment of the last commit of readings [µs since 1970 UTC], from the catalogue alone; 0: there is none."""
        with self._lake.reading() as cursor:
            return newest(cursor, self._lake, (READINGS.name, READINGS.superseded), ("recorded_at",))

    def commits(self, *, after: int, most: int) -> list[Commit]:
        """The next commits behind a moment in which something was read from meters, and how many rows of that."""
        both = _both(f"recorded_at > {instant(after)} AND {_COLLECTED}")
        with self._lake.reading() as cursor:
            rows = cursor.execute(
                f"SELECT epoch_us(recorded_at) AS moment, count(*) FROM ({both}) GROUP BY moment ORDER BY moment "  # noqa: S608
                f"LIMIT {int(most)}"
            ).fetchall()
        return [Commit(int(moment), int(count)) for moment, count in rows]

    def readings(self, *, after: int, until: int) -> pa.Table:
        """What commits behind a moment and up to another read from meters (READING_SCHEMA), in their order."""
        condition = f"recorded_at > {instant(after)} AND recorded_at <= {instant(until)} AND {_COLLECTED}"
        return self._found(f"FROM ({_both(condition)}) ORDER BY recorded_at", READING_SCHEMA)

    def readings_of(self, meter_ids: Iterable[int]) -> pa.Table:
        """All that was ever read from some meters (READING_SCHEMA), in the order of its commits."""
        condition = f"{chosen_ids('meter_id', meter_ids)} AND {_COLLECTED}"
        return self._found(f"FROM ({_both(condition)}) ORDER BY recorded_at", READING_SCHEMA)

    def exchanges(self, exchange_ids: Iterable[int]) -> pa.Table:
        """The frames of exchanges (EXCHANGE_SCHEMA) that are not past their retention."""
        return self._found(
            f"FROM lake.exchange WHERE {chosen_ids('exchange_id', exchange_ids)} ORDER BY exchange_id",
            EXCHANGE_SCHEMA,
        )

    def append_new_exchanges(self, exchanges: pa.Table) -> int:
        """Store the exchanges (EXCHANGE_SCHEMA) that are not there yet; how many those were."""
        batch = batches.checked_exchanges(exchanges)
        if not batch.num_rows:
            return 0
        there = chosen_ids("exchange_id", batch["exchange_id"].to_pylist())
        with self._lake.guard.writing(), self._lake.transaction() as cursor:
            cursor.register("batch", batch)
            found = cursor.execute(
                f"""
                INSERT INTO lake.exchange
                SELECT * FROM batch ANTI JOIN (FROM lake.exchange WHERE {there}) USING (exchange_id, began_at)
                """  # noqa: S608  built from checked parts
            ).fetchall()
        return int(found[0][0])

    def _found(self, rows: str, schema: pa.Schema) -> pa.Table:
        columns = ", ".join(schema.names)
        with self._lake.reading() as cursor:
            return cursor.execute(f"SELECT {columns} {rows}").to_arrow_table().cast(schema)


def _both(condition: str) -> str:
    """Winners and what they replaced, as SQL."""
    return f"""
        SELECT {READINGS.stored} FROM lake.{READINGS.name} WHERE {condition}
        UNION ALL SELECT {READINGS.stored} FROM lake.{READINGS.superseded} WHERE {condition}
    """  # noqa: S608  built from checked parts
