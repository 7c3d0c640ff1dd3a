"""What pages ask of long stretches of time, added up or looked through inside the store."""

from collections.abc import Iterable
from datetime import datetime

import pyarrow as pa

from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.readings.lake import Lake
from wattkeeper.readings.schemas import EXCHANGE_SCHEMA, INSTANT, ReadingStatus
from wattkeeper.readings.selection import chosen_quantities, within

_ENERGY = pa.decimal128(18, 4)
_DROP_SCHEMA = pa.schema(
    [
        ("quantity", pa.string()),
        ("before_at", INSTANT),
        ("before", _ENERGY),
        ("read_at", INSTANT),
        ("value", _ENERGY),
    ]
)


class Histories:
    """Queries over the current values whose answers are small, however much they look at."""

    _lake: Lake

    def register_drops(self, meter_id: int, quantities: Iterable[str], period: TimeRange) -> pa.Table:
        """Where a register read less than the time before: it ran over, ran back, or was replaced inside.

        Readings that validation doubts are passed over.
        """
        return self._found(
            f"""
            SELECT quantity, before_at, before, read_at, value FROM (
                SELECT quantity, read_at, value, lag(read_at) OVER series AS before_at, lag(value) OVER series AS before
                FROM lake.reading
                WHERE meter_id = {int(meter_id)} AND {chosen_quantities("quantity", quantities)}
                  AND {within("read_at", period)} AND status & {ReadingStatus.SUSPECT.value} = 0
                WINDOW series AS (PARTITION BY quantity ORDER BY read_at)
            ) WHERE value < before ORDER BY read_at, quantity
            """,  # noqa: S608  built from checked parts
            _DROP_SCHEMA,
        )

    def exchanges_of(self, meter_id: int, *, since: datetime, most: int) -> pa.Table:
        """The newest exchanges with a meter (EXCHANGE_SCHEMA), newest first; also those without a sound reply."""
        return self._found(
            f"""
            FROM lake.exchange WHERE meter_id = {int(meter_id)} AND {within("began_at", TimeRange(since, None))}
            ORDER BY began_at DESC, exchange_id DESC LIMIT {int(most)}
            """,
            EXCHANGE_SCHEMA,
        )

    def _found(self, statement: str, schema: pa.Schema) -> pa.Table:
        with self._lake.reading() as cursor:
            return cursor.execute(statement).to_arrow_table().cast(schema)
