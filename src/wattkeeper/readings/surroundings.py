"""What deriving intervals needs from the store: the changed readings with their neighbours in time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import duckdb
import pyarrow as pa

from wattkeeper.readings.lake import Lake
from wattkeeper.readings.latest import LatestReadings
from wattkeeper.readings.registers import FOREVER, UNIT
from wattkeeper.readings.schemas import INSTANT, INTERVAL_SCHEMA, IntervalStatus
from wattkeeper.readings.selection import instant

# How many readings on each side decide about a change. Its nearest two can change their trust with it, so energy
# up to the second is derived again; the slot that holds the second rests on the third, whose trust rests on the fourth.
_NEIGHBOURS = 4
_TOUCHED = 2
# Neighbours are mostly next door; only registers with too few there are looked for further away.
_REACHES = (
    timedelta(hours=2),
    timedelta(days=2),
    timedelta(days=32),
    timedelta(days=400),
    timedelta(days=36500),
)

_SPAN_SCHEMA = pa.schema(
    [
        ("number", pa.int64()),
        ("meter_id", pa.int64()),
        ("quantity", pa.string()),
        ("start_at", INSTANT),
        ("end_at", INSTANT),
        ("floor_at", INSTANT),
        ("ceiling_at", INSTANT),
    ]
)


@dataclass(frozen=True, slots=True)
class Span:
    """Changed readings of one register, all within one installation; instants in microseconds since 1970 UTC."""

    meter_id: int
    quantity: str
    start: int
    end: int
    floor: int
    """The start of the installation."""
    ceiling: int
    """Its end."""


@dataclass(frozen=True, slots=True)
class Surrounded:
    """The readings of the spans and around them, and for each span the period whose energy they touch."""

    readings: pa.Table
    touched: list[tuple[int, int]]


class Surroundings:
    """Queries of the derivation, each over many registers at once."""

    def __init__(self, lake: Lake, latest: LatestReadings) -> None:
        self._lake = lake
        self._latest = latest

    def of(self, spans: Sequence[Span]) -> Surrounded:
        """The readings of each span with four neighbours on each side, where there are as many."""
        columns = zip(
            *((n, s.meter_id, s.quantity, s.start, s.end, s.floor, s.ceiling) for n, s in enumerate(spans)),
            strict=True,
        )
        fields = zip(columns, _SPAN_SCHEMA, strict=True)
        table = pa.table([_column(values, field.type) for values, field in fields], schema=_SPAN_SCHEMA)
        with self._lake.reading() as cursor:
            self._latest.catch_up(cursor)
            cursor.register("spans", table)
            cursor.execute("CREATE OR REPLACE TEMP TABLE pending AS FROM spans")
            cursor.execute("""
                CREATE OR REPLACE TEMP TABLE found (
                    number BIGINT, side TINYINT, place BIGINT, meter_id BIGINT, quantity VARCHAR, read_at TIMESTAMPTZ,
                    value DECIMAL(18,4), source VARCHAR)
            """)
            for reach in _REACHES:
                if not _look(cursor, reach):
                    break
            readings = cursor.execute(
                "SELECT DISTINCT meter_id, quantity, read_at, value, source FROM temp.found"
            )
            return Surrounded(readings.to_arrow_table(), _touched(cursor))

    def unsupported(self, windows: pa.Table, derived: pa.Table) -> pa.Table:
        """Intervals that start in a window (point_id, quantity, start_at, end_at) and were not derived any more.

        They come as rows (INTERVAL_SCHEMA) that withdraw them; what a file brought never stood on readings and stays. What a person edited stands above that; it is what holds
        once the edit is taken back.
        """
        if not windows.num_rows:
            return INTERVAL_SCHEMA.empty_table()
        with self._lake.reading() as cursor:
            cursor.register("windows", windows)
            cursor.register("derived", derived)
            bounds = cursor.execute(
                "SELECT epoch_us(min(start_at)), epoch_us(max(end_at)) FROM windows"
            ).fetchall()[0]
            rows = cursor.execute(
                f"""
                SELECT DISTINCT i.point_id, i.quantity, i.start_at, i.end_at, NULL::DECIMAL(18,4) AS energy,
                       {IntervalStatus.WITHDRAWN.value}::INTEGER AS status, 'none' AS method,
                       NULL::DECIMAL(18,4) AS error
                FROM lake.interval i
                JOIN windows w ON w.point_id = i.point_id AND w.quantity = i.quantity
                              AND i.start_at >= w.start_at AND i.start_at < w.end_at
                ANTI JOIN derived d ON d.point_id = i.point_id AND d.quantity = i.quantity AND d.start_at = i.start_at
                WHERE i.start_at >= {instant(bounds[0])} AND i.start_at < {instant(bounds[1])}
                  AND i.status & {IntervalStatus.WITHDRAWN.value} = 0
                """  # noqa: S608  numbers only
            )
            return rows.to_arrow_table().cast(INTERVAL_SCHEMA)

    def measured(self, asked: pa.Table) -> pa.Table:
        """What was measured of some series before their gaps: a `bridges.History`."""
        with self._lake.reading() as cursor:
            cursor.register("asked", asked)
            first, last, low, high = cursor.execute(
                "SELECT min(start_at), max(end_at), min(point_id), max(point_id) FROM asked"
            ).fetchall()[0]
            rows = cursor.execute(f"""
                SELECT a.number, epoch_us(i.start_at) AS start_at, (i.energy * {UNIT})::DOUBLE AS energy
                FROM lake.interval i JOIN asked a ON a.point_id = i.point_id AND a.quantity = i.quantity
                WHERE i.start_at >= {instant(first)} AND i.start_at < {instant(last)}
                  AND i.point_id BETWEEN {low} AND {high}
                  AND i.method = 'measured' AND i.status & {IntervalStatus.PARTIAL.value} = 0
                  AND epoch_us(i.start_at) >= a.start_at AND epoch_us(i.end_at) <= a.end_at
                  AND epoch_us(i.end_at) - epoch_us(i.start_at) = a.step
            """)  # noqa: S608  numbers only
            return rows.to_arrow_table()


def _column(values: Sequence[int | str], kind: pa.DataType) -> pa.Array:
    return pa.array(values, pa.int64()).cast(kind) if kind == INSTANT else pa.array(values, kind)


def _look(cursor: duckdb.DuckDBPyConnection, reach: timedelta) -> bool:
    """Take in what lies within reach of the pending spans; whether any of them needs to look further."""
    width = reach // timedelta(microseconds=1)
    low, high, first, last = cursor.execute("""
        SELECT epoch_us(min(start_at)), epoch_us(max(end_at)), min(meter_id), max(meter_id) FROM temp.pending
    """).fetchall()[0]
    cursor.execute(f"""
        INSERT INTO temp.found
        SELECT p.number,
               CASE WHEN r.read_at < p.start_at THEN -1 WHEN r.read_at > p.end_at THEN 1 ELSE 0 END AS side,
               row_number() OVER (
                   PARTITION BY p.number, side
                   ORDER BY CASE WHEN side < 0 THEN -epoch_us(r.read_at) ELSE epoch_us(r.read_at) END
               ) AS place,
               r.meter_id, r.quantity, r.read_at, r.value, r.source
        FROM lake.reading r JOIN temp.pending p USING (meter_id, quantity)
        WHERE r.read_at BETWEEN {instant(low - width)} AND {instant(high + width)}
          AND r.meter_id BETWEEN {first} AND {last}
          AND epoch_us(r.read_at) BETWEEN epoch_us(p.start_at) - {width} AND epoch_us(p.end_at) + {width}
          AND r.read_at BETWEEN p.floor_at AND p.ceiling_at
        QUALIFY side = 0 OR place <= {_NEIGHBOURS}
    """)  # noqa: S608  numbers only
    cursor.execute(f"""
        CREATE OR REPLACE TEMP TABLE short AS
        SELECT p.number FROM temp.pending p
        LEFT JOIN (
            SELECT number, count(*) FILTER (side < 0) AS before, count(*) FILTER (side > 0) AS after
            FROM temp.found GROUP BY number
        ) f USING (number)
        LEFT JOIN memory.latest l USING (meter_id, quantity)
        WHERE (coalesce(f.before, 0) < {_NEIGHBOURS} AND epoch_us(p.start_at) - {width} > epoch_us(p.floor_at))
           OR (coalesce(f.after, 0) < {_NEIGHBOURS}
               AND epoch_us(p.end_at) + {width} < least(epoch_us(p.ceiling_at), epoch_us(l.read_at)))
    """)  # noqa: S608  numbers only
    cursor.execute("DELETE FROM temp.found WHERE number IN (FROM temp.short)")
    cursor.execute("DELETE FROM temp.pending WHERE number NOT IN (FROM temp.short)")
    return bool(cursor.execute("SELECT count(*) FROM temp.short").fetchall()[0][0])


def _touched(cursor: duckdb.DuckDBPyConnection) -> list[tuple[int, int]]:
    """For each span in its order, from the second reading before it to the second after it.

    Where the installation has no second reading on a side, its noted register at that end may be the neighbour, so
    all from there is touched. The last reading of all may stand for a boundary up to 30 s after it.
    """
    rows = cursor.execute(f"""
        SELECT epoch_us(coalesce(max(f.read_at) FILTER (side < 0 AND place = {_TOUCHED}), any_value(s.floor_at))),
               epoch_us(coalesce(
                   min(f.read_at) FILTER (side > 0 AND place = {_TOUCHED}),
                   CASE WHEN epoch_us(any_value(s.ceiling_at)) < {FOREVER} THEN any_value(s.ceiling_at)
                        ELSE greatest(max(f.read_at), any_value(s.end_at)) + INTERVAL 31 SECOND END))
        FROM spans s LEFT JOIN temp.found f USING (number) GROUP BY number ORDER BY number
    """).fetchall()  # noqa: S608  numbers only
    return [(int(start), int(end)) for start, end in rows]
