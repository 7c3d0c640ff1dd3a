"""Series over time at any resolution: energy from intervals, samples from readings, reduced inside the store.

Nothing is thinned out: of a slot that holds many values, energies are added, and of powers and of samples the lowest
and the highest are kept beside the mean, so that no peak is lost however coarse the grid.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.readings.batches import microseconds
from wattkeeper.readings.grids import Grid
from wattkeeper.readings.lake import Lake
from wattkeeper.readings.schemas import ENERGY, INSTANT, IntervalStatus, ReadingStatus
from wattkeeper.readings.selection import chosen_ids, chosen_quantities, instant, known, within
from wattkeeper.readings.versions import INTERVALS, READINGS

MEMBERS_SCHEMA: Final = pa.schema(
    [("series", pa.int64()), ("owner", pa.int64()), ("from_at", INSTANT), ("until_at", INSTANT)]
)
"""Whose values make up which series, and in which half-open period."""

ENERGY_BINS_SCHEMA: Final = pa.schema(
    [
        ("series", pa.int64()),
        ("start_at", INSTANT),
        ("end_at", INSTANT),
        ("energy", ENERGY),
        ("lowest", ENERGY),
        ("highest", ENERGY),
        ("known_us", pa.int64()),
        ("intervals", pa.int64()),
        ("shared", pa.int64()),
        ("estimated", pa.int64()),
        ("edited", pa.int64()),
    ]
)
"""Every slot of every series, in order. ``energy`` is null where nothing is known.

``lowest`` and ``highest`` are mean powers [energy per hour] of the series over its single intervals in the slot; null
where points with intervals of different lengths are added. The lowest looks at intervals in which as many points are
known as in any other of the slot. ``known_us`` is the time with a known energy, added up over the points; ``shared``
counts intervals longer than the slot, whose energy is shared out evenly.
"""

SAMPLE_BINS_SCHEMA: Final = pa.schema(
    [
        ("series", pa.int64()),
        ("start_at", INSTANT),
        ("end_at", INSTANT),
        ("mean", ENERGY),
        ("lowest", ENERGY),
        ("highest", ENERGY),
        ("first", ENERGY),
        ("last", ENERGY),
        ("readings", pa.int64()),
        ("doubtful", pa.int64()),
    ]
)
"""Every slot of every series, in order; values are null where there is no reading. ``doubtful`` have a status."""

_ALWAYS: Final = TimeRange(datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC))
_BATCH_ROWS: Final = 100_000


@dataclass(frozen=True, slots=True)
class Member:
    """A point or a meter of a series, for a period; None is always."""

    series: int
    owner: int
    period: TimeRange | None = None


def members_table(members: Iterable[Member]) -> pa.Table:
    """Members as a table (MEMBERS_SCHEMA)."""
    rows = [(m.series, m.owner, m.period or _ALWAYS) for m in members]
    columns = (
        [series for series, _, _ in rows],
        [owner for _, owner, _ in rows],
        [period.start for _, _, period in rows],
        [period.end or _ALWAYS.end for _, _, period in rows],
    )
    return pa.table(
        [pa.array(part, field.type) for part, field in zip(columns, MEMBERS_SCHEMA, strict=True)],
        schema=MEMBERS_SCHEMA,
    )


def only_shared(table: pa.Table) -> bool:
    """Whether all that a series of energy (ENERGY_BINS_SCHEMA) has are intervals longer than its slots."""
    intervals, shared = (pc.sum(table[name]).as_py() or 0 for name in ("intervals", "shared"))
    return bool(intervals > 0 and shared == intervals)


class Series:
    """Queries that lay values on a grid; each is one pass over what it reads."""

    _lake: Lake

    def energy_series(
        self, members: Iterable[Member], quantity: str, grid: Grid, *, as_known_at: datetime | None = None
    ) -> pa.Table:
        """The energy of each series of metering points in each slot (ENERGY_BINS_SCHEMA).

        An interval counts where it starts, and only if it lies within the grid's period; of a point that is a member
        for some time, intervals count that this time touches.
        """
        with self.energy_batches(members, quantity, grid, as_known_at=as_known_at) as batches:
            return pa.Table.from_batches(batches, ENERGY_BINS_SCHEMA)

    def sample_series(
        self, members: Iterable[Member], quantity: str, grid: Grid, *, as_known_at: datetime | None = None
    ) -> pa.Table:
        """The readings of each series of meters in each slot (SAMPLE_BINS_SCHEMA), as the meters gave them."""
        with self.sample_batches(members, quantity, grid, as_known_at=as_known_at) as batches:
            return pa.Table.from_batches(batches, SAMPLE_BINS_SCHEMA)

    @contextmanager
    def energy_batches(
        self, members: Iterable[Member], quantity: str, grid: Grid, *, as_known_at: datetime | None = None
    ) -> Iterator[Iterator[pa.RecordBatch]]:
        """The same as `energy_series`, read on while somebody takes it."""
        with self._laid(members, grid) as (cursor, table):
            statement = _energy_sql(table, quantity, grid, as_known_at)
            yield _batches(cursor, statement, ENERGY_BINS_SCHEMA)

    @contextmanager
    def sample_batches(
        self, members: Iterable[Member], quantity: str, grid: Grid, *, as_known_at: datetime | None = None
    ) -> Iterator[Iterator[pa.RecordBatch]]:
        """The same as `sample_series`, read on while somebody takes it."""
        with self._laid(members, grid) as (cursor, table):
            statement = _sample_sql(table, quantity, grid, as_known_at)
            yield _batches(cursor, statement, SAMPLE_BINS_SCHEMA)

    @contextmanager
    def _laid(
        self, members: Iterable[Member], grid: Grid
    ) -> Iterator[tuple[duckdb.DuckDBPyConnection, pa.Table]]:
        """A cursor that knows the members and the slots as tables."""
        table = members_table(members)
        with self._lake.reading() as cursor:
            cursor.register("member", table)
            cursor.register("bins", grid.bins())
            yield cursor, table


def _batches(
    cursor: duckdb.DuckDBPyConnection, statement: str, schema: pa.Schema
) -> Iterator[pa.RecordBatch]:
    for batch in cursor.execute(statement).to_arrow_reader(_BATCH_ROWS):
        yield batch.cast(schema)


def _energy_sql(members: pa.Table, quantity: str, grid: Grid, as_known_at: datetime | None) -> str:
    condition = (
        f"{chosen_ids('point_id', members['owner'].to_pylist())} AND {chosen_quantities('quantity', [quantity])} "
        f"AND {within('start_at', grid.period)}"
    )
    status, end = IntervalStatus, instant(microseconds(grid.period.closed_end))
    return f"""
        WITH chosen AS (
            SELECT m.series, i.start_at, i.end_at, i.energy, i.status
            FROM ({known(INTERVALS, condition, as_known_at)}) i
            JOIN member m ON m.owner = i.point_id AND i.end_at > m.from_at AND i.start_at < m.until_at
            WHERE i.end_at <= {end} AND i.status & {status.WITHDRAWN.value} = 0
        ),
        added AS (
            SELECT series, start_at, epoch_us(end_at) - epoch_us(start_at) AS length_us, sum(energy) AS energy,
                   count(energy) AS intervals,
                   count(*) FILTER (energy IS NOT NULL AND status & {status.ESTIMATED.value} <> 0) AS estimated,
                   count(*) FILTER (energy IS NOT NULL AND status & {status.EDITED.value} <> 0) AS edited
            FROM chosen GROUP BY series, start_at, length_us HAVING count(energy) > 0
        ),
        part AS ({_parts("added", grid)}),
        placed AS (
            SELECT *, {grid.bin_of("start_at")} AS bin,
                   round(energy * (3600000000.0 / length_us), 4) AS power
            FROM part
        ),
        ranked AS (SELECT *, max(intervals) OVER (PARTITION BY series, bin) AS fullest FROM placed),
        size AS (SELECT series, count(DISTINCT owner) AS owners FROM member GROUP BY series),
        summed AS (
            SELECT series, bin, sum(energy) AS energy,
                   min(power) FILTER (intervals = fullest) AS lowest, max(power) AS highest,
                   count(DISTINCT length_us) AS lengths, sum(length_us * intervals) AS known_us,
                   sum(intervals) AS intervals, sum(intervals) FILTER (parts > 1) AS shared,
                   sum(estimated) AS estimated, sum(edited) AS edited
            FROM ranked GROUP BY series, bin
        )
        SELECT s.series, b.start_at, b.end_at, v.energy,
               CASE WHEN s.owners = 1 OR v.lengths = 1 THEN v.lowest END AS lowest,
               CASE WHEN s.owners = 1 OR v.lengths = 1 THEN v.highest END AS highest,
               {_counts("v", "known_us", "intervals", "shared", "estimated", "edited")}
        FROM size s CROSS JOIN bins b LEFT JOIN summed v ON v.series = s.series AND v.bin = b.bin
        ORDER BY s.series, b.start_at
    """  # noqa: S608  built from checked parts


def _parts(table: str, grid: Grid) -> str:
    """Intervals cut to the grid's step: what is longer is shared out evenly, to the last digit."""
    if grid.step_us is None:
        return f"SELECT *, 1 AS parts FROM {table}"  # noqa: S608  built from checked parts
    step = grid.step_us
    units = "(energy * 10000)::HUGEINT"
    return f"""
        SELECT series, make_timestamptz(epoch_us(start_at) + part * {step}) AS start_at,
               CASE WHEN parts > 1 THEN {step} ELSE length_us END AS length_us,
               CASE WHEN parts > 1 THEN (({units} * (part + 1)) // parts - ({units} * part) // parts)::DECIMAL(38,0)
                    * 0.0001 ELSE energy END AS energy,
               intervals, estimated, edited, parts
        FROM (
            SELECT *, unnest(range(parts)) AS part
            FROM (SELECT *, greatest(1, length_us // {step}) AS parts FROM {table})
        )
    """  # noqa: S608  built from checked parts


def _sample_sql(members: pa.Table, quantity: str, grid: Grid, as_known_at: datetime | None) -> str:
    condition = (
        f"{chosen_ids('meter_id', members['owner'].to_pylist())} AND {chosen_quantities('quantity', [quantity])} "
        f"AND {within('read_at', grid.period)}"
    )
    return f"""
        WITH placed AS (
            SELECT m.series, r.read_at, r.value, r.status, {grid.bin_of("r.read_at")} AS bin
            FROM ({known(READINGS, condition, as_known_at)}) r
            JOIN member m ON m.owner = r.meter_id AND r.read_at >= m.from_at AND r.read_at < m.until_at
        ),
        summed AS (
            SELECT series, bin, round(avg(value), 4) AS mean, min(value) AS lowest, max(value) AS highest,
                   arg_min(value, read_at) AS first, arg_max(value, read_at) AS last, count(*) AS readings,
                   count(*) FILTER (status <> {ReadingStatus.OK.value}) AS doubtful
            FROM placed GROUP BY series, bin
        )
        SELECT s.series, b.start_at, b.end_at, v.mean, v.lowest, v.highest, v.first, v.last,
               {_counts("v", "readings", "doubtful")}
        FROM (SELECT DISTINCT series FROM member) s CROSS JOIN bins b
        LEFT JOIN summed v ON v.series = s.series AND v.bin = b.bin
        ORDER BY s.series, b.start_at
    """  # noqa: S608  built from checked parts


def _counts(alias: str, *names: str) -> str:
    return ", ".join(f"coalesce({alias}.{name}, 0)::BIGINT AS {name}" for name in names)
