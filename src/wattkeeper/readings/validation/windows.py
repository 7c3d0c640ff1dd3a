"""Which days an appended reading touches, and the readings of days with what surrounds them: the store's side of it."""

from collections.abc import Iterable, Sequence
from typing import Final

import duckdb
import numpy as np
import pyarrow as pa

from wattkeeper.readings.lake import Lake
from wattkeeper.readings.registers import Integers
from wattkeeper.readings.schemas import INSTANT, INTERVAL_SCHEMA, STORED_READING_SCHEMA, IntervalStatus
from wattkeeper.readings.selection import chosen_ids, chosen_quantities, instant
from wattkeeper.readings.validation.stamps import GRID_QUANTITIES, HISTORY_US, IMPORT
from wattkeeper.readings.validation.table import ENERGY_KEYS, HOUR_US

Days = Sequence[tuple[int, int, int]]
"""(meter, first instant, end) of runs of civil days [µs since 1970 UTC]."""

_NEIGHBOURS: Final = 3
"""Readings of a register on each side that decide whether one next to a day is trusted, and so its first and last step."""
_TOUCHED: Final = 2
"""A reading can change what is said of so many on each side of it."""
_NEXT_DOOR_US: Final = 48 * HOUR_US
_FURTHER_US: Final = (40 * 24 * HOUR_US, 400 * 24 * HOUR_US)
"""Neighbours are mostly next door; registers that are read once a month or a year are looked for further away."""
_REGISTERS: Final = chosen_quantities("r.quantity", ENERGY_KEYS)
_GRID: Final = chosen_quantities("r.quantity", GRID_QUANTITIES)
_FOLLOWED: Final = chosen_quantities("r.quantity", ENERGY_KEYS | set(GRID_QUANTITIES))
_COLUMNS: Final = ", ".join(f"r.{name}" for name in STORED_READING_SCHEMA.names)
_DAYS_SCHEMA: Final = pa.schema([("meter_id", pa.int64()), ("start_at", INSTANT), ("end_at", INSTANT)])


class Windows:
    """Queries of validation, each over many meters at once."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake

    def touched(self, changes: pa.Table) -> tuple[Integers, Integers, Integers]:
        """Meter, first and last instant of what changed readings (CHANGE_SCHEMA) can change findings about.

        That is from the second reading of the register before to the second after it, and a week on for what is
        compared with its own history.
        """
        if not changes.num_rows:
            nothing = np.zeros(0, np.int64)
            return nothing, nothing, nothing
        with self._lake.reading() as cursor:
            cursor.register("changes", changes)
            cursor.execute("""
                CREATE OR REPLACE TEMP TABLE touched AS
                SELECT row_number() OVER () AS number, *, NULL::TIMESTAMPTZ AS before_at, NULL::TIMESTAMPTZ AS after_at
                FROM changes
            """)
            for reach in (_NEXT_DOOR_US, *_FURTHER_US):
                _look_back(cursor, reach)
            _look_ahead(cursor)
            rows = cursor.execute(f"""
                SELECT DISTINCT meter_id, epoch_us(coalesce(before_at, start_at)) AS first_at,
                       greatest(epoch_us(end_at), epoch_us(coalesce(after_at, end_at)),
                                epoch_us(end_at) + CASE WHEN {_GRID} AND after_at IS NOT NULL THEN {HISTORY_US} ELSE 0 END)
                       AS last_at
                FROM temp.touched r
            """).fetchnumpy()  # noqa: S608  constants of this module
        return tuple(np.asarray(rows[name], np.int64) for name in ("meter_id", "first_at", "last_at"))  # type: ignore[return-value]

    def readings(self, days: Days) -> pa.Table:
        """The readings of days, with their superseded versions before them, and what surrounds them of registers.

        STORED_READING_SCHEMA, in order of meter, quantity and time. Before a day there are at least three readings of
        each of its registers, where there are as many, and a week of what is compared with its history; after it three.
        """
        with self._lake.reading() as cursor:
            _register_days(cursor, days)
            _load(cursor)
            for reach in _FURTHER_US:
                if not _load_further(cursor, reach, ahead=False):
                    break
            for reach in _FURTHER_US:
                if not _load_further(cursor, reach, ahead=True):
                    break
            once = (
                "DISTINCT" if len({day[0] for day in days}) < len(days) else ""
            )  # neighbours of two runs of days
            rows = cursor.execute(f"""
                SELECT {once} {", ".join(STORED_READING_SCHEMA.names)}, current FROM temp.loaded
                ORDER BY meter_id, quantity, read_at, current, recorded_at
            """)  # noqa: S608  constants of this module
            return rows.to_arrow_table().drop_columns("current").cast(STORED_READING_SCHEMA)

    def intervals(self, point_ids: Iterable[int], first: int, last: int) -> pa.Table:
        """The intervals (INTERVAL_SCHEMA) of some points that start in a period [µs] and whose energy is known."""
        with self._lake.reading() as cursor:
            rows = cursor.execute(f"""
                SELECT {", ".join(INTERVAL_SCHEMA.names)} FROM lake.interval
                WHERE {chosen_ids("point_id", point_ids)} AND energy IS NOT NULL
                  AND start_at >= {instant(first)} AND start_at < {instant(last)}
                  AND status & {IntervalStatus.WITHDRAWN.value} = 0
            """)  # noqa: S608  built from checked parts
            return rows.to_arrow_table().cast(INTERVAL_SCHEMA)

    def incomplete(
        self, meters: Sequence[tuple[int, int]], first: int, last: int, *, heard_since: int
    ) -> set[int]:
        """Those of some meters (id, grid [µs]) that lack a reading on the grid of a day [µs] and were heard before its end."""
        if not meters:
            return set()
        columns = [pa.array(column, pa.int64()) for column in zip(*meters, strict=True)]
        edge = 30_000_000
        with self._lake.reading() as cursor:
            cursor.register("asked", pa.table(columns, names=["meter_id", "step"]))
            rows = cursor.execute(f"""
                SELECT r.meter_id FROM lake.reading r JOIN asked a USING (meter_id)
                WHERE r.quantity = '{IMPORT}' AND r.read_at >= {instant(heard_since)} AND r.read_at < {instant(last - edge)}
                GROUP BY r.meter_id
                HAVING count(DISTINCT (epoch_us(r.read_at) - {first} + {edge}) // a.step) FILTER (
                           r.read_at >= {instant(first - edge)}
                           AND (epoch_us(r.read_at) - {first} + {edge}) % a.step <= {2 * edge}
                       ) < ({last} - {first} + any_value(a.step) - 1) // any_value(a.step)
            """).fetchall()  # noqa: S608  numbers and constants
        return {int(row[0]) for row in rows}


def _look_back(cursor: duckdb.DuckDBPyConnection, reach: int) -> None:
    """The second reading before each touched one of a register, or the first where there is no second."""
    low, high = cursor.execute("""
        SELECT epoch_us(min(start_at)), epoch_us(max(start_at)) FROM temp.touched WHERE before_at IS NULL
    """).fetchall()[0]
    if low is None:
        return
    cursor.execute(f"""
        UPDATE temp.touched SET before_at = found.before_at FROM (
            SELECT t.number, list_last(max(r.read_at, {_TOUCHED})) AS before_at
            FROM lake.reading r JOIN temp.touched t USING (meter_id, quantity)
            WHERE t.before_at IS NULL AND {_REGISTERS} AND r.read_at < t.start_at
              AND r.read_at BETWEEN {instant(low - reach)} AND {instant(high)}
              AND epoch_us(r.read_at) >= epoch_us(t.start_at) - {reach}
            GROUP BY t.number
        ) found WHERE touched.number = found.number
    """)  # noqa: S608  numbers and constants


def _look_ahead(cursor: duckdb.DuckDBPyConnection) -> None:
    """The second reading after each, however far away: mostly there is none, and nothing is read."""
    cursor.execute(f"""
        UPDATE temp.touched SET after_at = found.after_at FROM (
            SELECT t.number, list_last(min(r.read_at, {_TOUCHED})) AS after_at
            FROM lake.reading r JOIN temp.touched t USING (meter_id, quantity)
            WHERE {_FOLLOWED} AND r.read_at > t.end_at
              AND r.read_at >= (SELECT min(end_at) FROM temp.touched)
            GROUP BY t.number
        ) found WHERE touched.number = found.number
    """)  # noqa: S608  numbers and constants


def _register_days(cursor: duckdb.DuckDBPyConnection, days: Days) -> None:
    meter, start, end = np.array(days, np.int64).reshape(-1, 3).T
    instants = [pa.array(column).cast(INSTANT) for column in (start, end)]
    cursor.register("wanted", pa.table([pa.array(meter), *instants], schema=_DAYS_SCHEMA))
    cursor.execute("CREATE OR REPLACE TEMP TABLE day AS SELECT row_number() OVER () AS number, * FROM wanted")


def _load(cursor: duckdb.DuckDBPyConnection) -> None:
    """What lies next door, which is nearly always all; superseded versions only of the days themselves."""
    low, high, first, last = cursor.execute(
        "SELECT epoch_us(min(start_at)), epoch_us(max(end_at)), min(meter_id), max(meter_id) FROM temp.day"
    ).fetchall()[0]
    before = f"CASE WHEN {_GRID} THEN {HISTORY_US} WHEN {_REGISTERS} THEN {_NEXT_DOOR_US} ELSE 0 END"
    after = f"CASE WHEN {_REGISTERS} THEN {_NEXT_DOOR_US} ELSE 0 END"
    meters = f"r.meter_id BETWEEN {first} AND {last}"
    cursor.execute(f"""
        CREATE OR REPLACE TEMP TABLE loaded AS
        SELECT d.number, {_COLUMNS}, 1 AS current
        FROM lake.reading r JOIN temp.day d USING (meter_id)
        WHERE r.read_at >= {instant(low - HISTORY_US)} AND r.read_at <= {instant(high + _NEXT_DOOR_US)} AND {meters}
          AND epoch_us(r.read_at) >= epoch_us(d.start_at) - {before}
          AND epoch_us(r.read_at) < epoch_us(d.end_at) + {after}
        UNION ALL
        SELECT d.number, {_COLUMNS}, 0
        FROM lake.reading_superseded r JOIN temp.day d USING (meter_id)
        WHERE r.read_at >= {instant(low)} AND r.read_at < {instant(high)} AND {meters}
          AND r.read_at >= d.start_at AND r.read_at < d.end_at
    """)  # noqa: S608  numbers and constants


def _load_further(cursor: duckdb.DuckDBPyConnection, reach: int, *, ahead: bool) -> bool:
    """More neighbours for the registers that have too few on one side; whether any may still have."""
    beyond = "r.read_at >= d.end_at" if ahead else "r.read_at < d.start_at"
    cursor.execute(f"""
        CREATE OR REPLACE TEMP TABLE short AS
        SELECT d.number, d.meter_id, r.quantity, any_value(d.start_at) AS start_at, any_value(d.end_at) AS end_at
        FROM temp.loaded r JOIN temp.day d USING (number)
        WHERE {_REGISTERS} AND r.current = 1
        GROUP BY d.number, d.meter_id, r.quantity
        HAVING count(*) FILTER ({beyond}) < {_NEIGHBOURS}
           AND count(*) FILTER (r.read_at >= d.start_at AND r.read_at < d.end_at) > 0
    """)  # noqa: S608  numbers and constants
    low, first_end, high = cursor.execute(
        "SELECT epoch_us(min(start_at)), epoch_us(min(end_at)), epoch_us(max(end_at)) FROM temp.short"
    ).fetchall()[0]
    if low is None:
        return False
    side, order, bounds = (
        ("r.read_at >= s.end_at", "ASC", (first_end, high + reach))
        if ahead
        else ("r.read_at < s.start_at", "DESC", (low - reach, high))
    )
    cursor.execute(f"""
        INSERT INTO temp.loaded
        SELECT s.number, {_COLUMNS}, 1 FROM lake.reading r JOIN temp.short s USING (meter_id, quantity)
        WHERE {side} AND r.read_at BETWEEN {instant(bounds[0])} AND {instant(bounds[1])}
        QUALIFY row_number() OVER (PARTITION BY s.number, r.quantity ORDER BY r.read_at {order}) <= {_NEIGHBOURS}
    """)  # noqa: S608  numbers and constants
    return True
