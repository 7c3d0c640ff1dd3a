"""Meters whose clocks are off: their stamps are kept as they are, and moved to true time when intervals are derived.

What a meter's clock showed at a moment we know is a reading of the quantity ``clock``. A stamp was off by what the last
such reading before it says, or, where there was none for three days, by what the next one within three days says. Up to
half a minute it is left alone: that is what a boundary forgives, and what the way of an answer may take.
"""

import threading
from collections.abc import Container
from dataclasses import dataclass
from datetime import timedelta

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from wattkeeper.readings.lake import Lake
from wattkeeper.readings.layout import newest
from wattkeeper.readings.selection import chosen_ids, instant

CLOCK = "clock"
"""The catalogue's quantity: what a meter's clock showed, in seconds since 1970 UTC."""
_FORGIVEN_US = 30_000_000
_REACH = timedelta(days=3)
_REACH_US = _REACH // timedelta(microseconds=1)
# A clock that lost its battery starts at 2000; stamps that are off by more than a day are findings, not energy.
_MOST_US = 86_400_000_000
_DAY_US = 86_400_000_000
_DAYS_KEPT = 800

_OFFSET = "(c.value::DECIMAL(38,4) * 1000000)::BIGINT - epoch_us(c.read_at)"


@dataclass(frozen=True, slots=True)
class Corrected:
    """Readings at true time, and by meter how far stamps were moved at most: (back, forward) [µs], both at least 0."""

    readings: pa.Table
    moved: dict[int, tuple[int, int]]


class ClockOffsets:
    """How far meters' clocks were off, from their own readings in the store."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._lock = threading.Lock()
        self._off: dict[int, set[int]] = {}
        """By day [since 1970 UTC] the meters whose clock was off on it: hardly any, and nobody else is looked at."""
        self._seen = 0
        """The ``recorded_at`` [µs] up to which the days are complete."""

    def corrected(self, readings: pa.Table) -> Corrected:
        """The readings (meter_id, quantity, read_at, value, source) with what the meter stamped moved to true time."""
        if not pc.any(pc.equal(readings["source"], "meter")).as_py():
            return Corrected(readings, {})
        with self._lake.reading() as cursor:
            cursor.register("given", readings)
            low, high = cursor.execute(
                "SELECT epoch_us(min(read_at)), epoch_us(max(read_at)) FROM given"
            ).fetchall()[0]
            meters = self._ever_off(cursor, low - _REACH_US, high + _REACH_US)
            meters &= set(pc.unique(readings["meter_id"]).to_pylist())
            if not meters:
                return Corrected(readings, {})
            cursor.execute(f"""
                CREATE OR REPLACE TEMP TABLE clocks AS
                SELECT c.meter_id, epoch_us(c.read_at) AS at, {_OFFSET} AS off FROM lake.reading c
                WHERE c.quantity = '{CLOCK}' AND {chosen_ids("c.meter_id", meters)}
                  AND c.read_at BETWEEN {instant(low - _REACH_US)} AND {instant(high + _REACH_US)}
            """)  # noqa: S608  built from numbers
            return self._moved(cursor, readings.schema)

    @staticmethod
    def _moved(cursor: duckdb.DuckDBPyConnection, schema: pa.Schema) -> Corrected:
        cursor.execute(f"""
            CREATE OR REPLACE TEMP TABLE moved AS
            WITH g AS (SELECT *, epoch_us(read_at) AS stamp FROM given),
            offs AS (
                SELECT g.*, CASE
                    WHEN g.source <> 'meter' THEN 0
                    WHEN g.stamp - b.at <= {_REACH_US} THEN b.off
                    WHEN a.at - g.stamp <= {_REACH_US} THEN a.off
                    ELSE 0 END AS off
                FROM g
                ASOF LEFT JOIN temp.clocks b ON b.meter_id = g.meter_id AND g.stamp >= b.at
                ASOF LEFT JOIN temp.clocks a ON a.meter_id = g.meter_id AND g.stamp <= a.at
            )
            SELECT * REPLACE (CASE WHEN abs(off) BETWEEN {_FORGIVEN_US + 1} AND {_MOST_US} THEN off ELSE 0 END AS off)
            FROM offs
        """)  # noqa: S608  numbers only
        # Two that fall on one instant are one: as everywhere, a person's entry first, then the meter's own stamp.
        rows = cursor.execute(f"""
            SELECT {", ".join(schema.names)} FROM (
                SELECT * REPLACE (make_timestamptz(stamp - off) AS read_at) FROM temp.moved
                QUALIFY row_number() OVER (
                    PARTITION BY meter_id, quantity, stamp - off
                    ORDER BY source = 'edited' DESC, source = 'meter' DESC, value
                ) = 1
            )
        """)  # noqa: S608  column names of our own
        readings = rows.to_arrow_table().cast(schema)
        reach = cursor.execute(
            "SELECT meter_id, greatest(max(off), 0), greatest(-min(off), 0) FROM temp.moved WHERE off <> 0 GROUP BY ALL"
        ).fetchall()
        return Corrected(readings, {meter: (back, forward) for meter, back, forward in reach})

    def disturbed(self, changes: pa.Table) -> list[tuple[int, int, int]]:
        """The stamps that new clock readings (CHANGE_SCHEMA) put elsewhere: (meter_id, first, last) [µs].

        They are those after a clock reading, and those before the first one, of meters whose clock was off then.
        """
        clocks = changes.filter(pc.equal(changes["quantity"], CLOCK))
        if not clocks.num_rows:
            return []
        with self._lake.reading() as cursor:
            cursor.register("changed", clocks)
            low, high = cursor.execute(
                "SELECT epoch_us(min(start_at)), epoch_us(max(end_at)) FROM changed"
            ).fetchall()[0]
            meters = self._ever_off(cursor, low - _REACH_US, high) & set(clocks["meter_id"].to_pylist())
            if not meters:
                return []
            return cursor.execute(f"""
                SELECT n.meter_id,
                       epoch_us(n.start_at) - CASE WHEN bool_or(c.read_at < n.start_at) THEN 0 ELSE {_REACH_US} END,
                       epoch_us(n.end_at) + {_REACH_US}
                FROM changed n JOIN lake.reading c
                  ON c.meter_id = n.meter_id AND c.quantity = '{CLOCK}' AND c.read_at <= n.end_at
                 AND epoch_us(c.read_at) >= epoch_us(n.start_at) - {_REACH_US}
                WHERE c.read_at BETWEEN {instant(low - _REACH_US)} AND {instant(high)}
                  AND {chosen_ids("n.meter_id", meters)} AND {chosen_ids("c.meter_id", meters)}
                GROUP BY n.meter_id, n.start_at, n.end_at
                HAVING bool_or(abs({_OFFSET}) > {_FORGIVEN_US})
                ORDER BY n.meter_id, n.start_at
            """).fetchall()  # noqa: S608  numbers only

    def _ever_off(self, cursor: duckdb.DuckDBPyConnection, low: int, high: int) -> set[int]:
        """The meters whose clock was ever off from one instant to another [µs]; each day is gone through once."""
        with self._lock:
            recorded = newest(cursor, self._lake, ["reading"], ["recorded_at"])
            if recorded > self._seen and self._off:
                self._take_in(cursor, f"c.recorded_at > {instant(self._seen)}", self._off)
            self._seen = recorded
            days = range(low // _DAY_US, high // _DAY_US + 1)
            missing = [day for day in days if day not in self._off]
            if missing:
                others = [day for day in self._off if day not in days]
                for day in others[: max(0, len(self._off) + len(missing) - _DAYS_KEPT)]:
                    del self._off[day]
                self._off |= {day: set() for day in missing}
                ends = instant(missing[0] * _DAY_US), instant((missing[-1] + 1) * _DAY_US)
                self._take_in(cursor, f"c.read_at >= {ends[0]} AND c.read_at < {ends[1]}", set(missing))
            return set().union(*(self._off[day] for day in days))

    def _take_in(self, cursor: duckdb.DuckDBPyConnection, which: str, days: Container[int]) -> None:
        rows = cursor.execute(f"""
            SELECT DISTINCT epoch_us(c.read_at) // {_DAY_US}, c.meter_id FROM lake.reading c
            WHERE c.quantity = '{CLOCK}' AND {which} AND abs({_OFFSET}) > {_FORGIVEN_US}
        """).fetchall()  # noqa: S608  built from numbers
        for day, meter in rows:
            if day in days:
                self._off[day].add(meter)
