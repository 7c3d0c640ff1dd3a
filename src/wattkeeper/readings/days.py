"""What many points used together on each civil day, kept in memory and caught up when asked.

A month of a fleet is read once. From then on only what was recorded since is taken in: what came is added, what it
replaced is taken away, so that a sum costs what is new and not what is old, and is at every moment exactly that of the
stored intervals. It is right with several writers: their commits, too, carry a later ``recorded_at``.
"""

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from zoneinfo import ZoneInfo

import duckdb
import pyarrow as pa

from wattkeeper.kernel.timerange import TimeRange, start_of_day
from wattkeeper.readings.civil import civil_day
from wattkeeper.readings.lake import Lake
from wattkeeper.readings.layout import newest
from wattkeeper.readings.schemas import IntervalStatus
from wattkeeper.readings.selection import chosen_ids, chosen_quantities, instant, within

DAYS_SCHEMA = pa.schema(
    [
        ("day", pa.date32()),
        ("energy", pa.decimal128(18, 4)),
        ("intervals", pa.int64()),
        ("estimated", pa.int64()),
        ("edited", pa.int64()),
        ("without_energy", pa.int64()),
    ]
)
"""Energy of each day, of how many intervals it is the sum, and how many of them rest on an estimate, else on a
person's entry, or have no energy; the others are measured."""
POINTS_SCHEMA = pa.schema([("point_id", pa.int64()), *list(DAYS_SCHEMA)[1:]])
"""The same of each point."""
PLACES_SCHEMA = pa.schema([("place", pa.int64()), *list(DAYS_SCHEMA)])
"""The same of each day and place."""

_MONTHS_KEPT = 15
_FEW = 100
"""So many points of a month are read in a tenth of a second where they are stored."""
_COUNTED = ("energy", "intervals", "estimated", "edited", "without_energy")
_DAY = timedelta(days=1)


def _sums(sign: str = "1") -> str:
    """The columns of a day's totals from intervals, each counted ``sign`` times, as SQL."""
    ground = f"status & {(IntervalStatus.ESTIMATED | IntervalStatus.EDITED).value}"
    estimated = f"energy IS NOT NULL AND {ground} & {IntervalStatus.ESTIMATED.value} <> 0"
    edited = f"energy IS NOT NULL AND {ground} = {IntervalStatus.EDITED.value}"
    return f"""
        coalesce(sum({sign} * energy), 0) AS energy, sum({sign}) AS intervals,
        coalesce(sum({sign}) FILTER ({estimated}), 0) AS estimated,
        coalesce(sum({sign}) FILTER ({edited}), 0) AS edited,
        coalesce(sum({sign}) FILTER (energy IS NULL), 0) AS without_energy"""


@dataclass
class _Kept:
    """The months of one quantity and zone that are in memory."""

    table: str
    quantity: str
    zone: ZoneInfo
    seen: int
    """The ``recorded_at`` up to which they are complete, in microseconds."""
    months: dict[date, TimeRange] = field(default_factory=dict)
    """By their first day, the one asked for last at the end."""


class DayTotals:
    """Tables in memory beside the lake, one row for each point and day."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._lock = threading.Lock()
        self._kept: dict[tuple[str, str], _Kept] = {}

    def read(
        self, point_ids: Iterable[int] | None, quantity: str, period: TimeRange, zone: ZoneInfo
    ) -> pa.Table:
        """The sums of some points, None meaning all, for each day of a closed period (DAYS_SCHEMA).

        Few points are read where they are stored, and so are the days that the period cuts at its ends.
        """
        ids = None if point_ids is None else list(point_ids)
        whole = _whole_days(period, zone)
        if whole is None or (ids is not None and len(ids) <= _FEW):
            return self._stored(ids, quantity, period, zone)
        first, last = whole
        cut = period.minus(TimeRange(start_of_day(first, zone), start_of_day(last + _DAY, zone)))
        ends = [self._stored(ids, quantity, part, zone) for part in cut]
        kept = self._remembered("day", chosen_ids("point_id", ids), quantity, (first, last), zone).cast(
            DAYS_SCHEMA
        )
        return pa.concat_tables([kept, *ends]).sort_by("day")

    def by_point(
        self, point_ids: Iterable[int] | None, quantity: str, days: tuple[date, date], zone: ZoneInfo
    ) -> pa.Table:
        """The sums of each point over all days from the first to the last (POINTS_SCHEMA)."""
        ids = None if point_ids is None else list(point_ids)
        chosen = chosen_ids("point_id", ids)
        return self._remembered("point_id", chosen, quantity, days, zone).cast(POINTS_SCHEMA)

    def by_place(self, places: pa.Table, quantity: str, days: tuple[date, date], zone: ZoneInfo) -> pa.Table:
        """The sums of the points of each place on each day from the first to the last (PLACES_SCHEMA).

        ``places`` says where each point counts: its columns are point_id and place.
        """
        found = self._remembered("place, day", "true", quantity, days, zone, places=places)
        return found.cast(PLACES_SCHEMA)

    def forget(self) -> None:
        """Read months anew when they are asked for again: what was stored of them is elsewhere now, or back."""
        with self._lock, self._lake.reading() as cursor:
            for kept in self._kept.values():
                cursor.execute(f"DELETE FROM memory.{kept.table}")  # noqa: S608  our own name
                kept.months.clear()

    def _stored(
        self, ids: Sequence[int] | None, quantity: str, period: TimeRange, zone: ZoneInfo
    ) -> pa.Table:
        with self._lake.reading() as cursor:
            rows = cursor.execute(f"""
                SELECT {civil_day("start_at", period, zone)} AS day, {_sums()} FROM lake.interval
                WHERE {chosen_ids("point_id", ids)} AND {_wanted(quantity, period)} GROUP BY day ORDER BY day
            """)  # noqa: S608  built from checked parts
            return rows.to_arrow_table().cast(DAYS_SCHEMA)

    def _remembered(
        self,
        by: str,
        chosen: str,
        quantity: str,
        days: tuple[date, date],
        zone: ZoneInfo,
        *,
        places: pa.Table | None = None,
    ) -> pa.Table:
        first, last = days
        with self._lock, self._lake.reading() as cursor:
            kept = self._complete(cursor, quantity, zone)
            for month in _months(first, last, zone):
                self._load(cursor, kept, *month)
            source = f"memory.{kept.table}"
            if places is not None:
                cursor.register("places", places)
                source += " JOIN places USING (point_id)"
            rows = cursor.execute(f"""
                SELECT {by}, {", ".join(f"sum({name}) AS {name}" for name in _COUNTED)} FROM {source}
                WHERE day BETWEEN DATE '{first}' AND DATE '{last}' AND {chosen}
                GROUP BY {by} HAVING sum(intervals) > 0 ORDER BY {by}
            """)  # noqa: S608  built from checked parts
            found = rows.to_arrow_table()
            self._forget(cursor, kept)
            return found

    def _complete(self, cursor: duckdb.DuckDBPyConnection, quantity: str, zone: ZoneInfo) -> _Kept:
        """What is kept of a quantity, with all that is committed now."""
        recorded = newest(cursor, self._lake, ["interval"], ["recorded_at"])
        kept = self._kept.get((quantity, zone.key))
        if kept is None:
            kept = _Kept(f"day_total_{len(self._kept)}", quantity, zone, recorded)
            cursor.execute(f"""
                CREATE TABLE memory.{kept.table} (
                    point_id BIGINT, day DATE, energy DECIMAL(18,4), intervals INTEGER, estimated INTEGER,
                    edited INTEGER, without_energy INTEGER, PRIMARY KEY (day, point_id)
                )""")
            self._kept[quantity, zone.key] = kept
        elif recorded > kept.seen and kept.months:
            self._take_in(cursor, kept, recorded)
        kept.seen = max(kept.seen, recorded)
        return kept

    @staticmethod
    def _load(cursor: duckdb.DuckDBPyConnection, kept: _Kept, first: date, month: TimeRange) -> None:
        """Read a month as it was known when the others were completed, so that one cursor holds for all."""
        if first in kept.months:
            kept.months[first] = kept.months.pop(first)
            return
        seen = instant(kept.seen)
        wanted = _wanted(kept.quantity, month)
        cursor.execute(f"""
            INSERT INTO memory.{kept.table}
            SELECT point_id, {civil_day("start_at", month, kept.zone)} AS day, {_sums()} FROM (
                SELECT point_id, start_at, energy, status FROM lake.interval
                WHERE {wanted} AND recorded_at <= {seen}
                UNION ALL
                SELECT point_id, start_at, energy, status FROM lake.interval_superseded
                WHERE {wanted} AND recorded_at <= {seen} AND superseded_at > {seen}
            ) GROUP BY point_id, day
        """)  # noqa: S608  built from checked parts
        kept.months[first] = month

    @staticmethod
    def _take_in(cursor: duckdb.DuckDBPyConnection, kept: _Kept, recorded: int) -> None:
        """Add what was recorded since, and take away what had counted until then."""
        since, until = instant(kept.seen), instant(recorded)
        reach = TimeRange(
            min(month.start for month in kept.months.values()),
            max(month.closed_end for month in kept.months.values()),
        )
        wanted, columns = _wanted(kept.quantity, reach), "point_id, start_at, energy, status"
        months = ", ".join(f"DATE '{first}'" for first in kept.months)
        added = ", ".join(f"{name} = {name} + excluded.{name}" for name in _COUNTED)
        cursor.execute(f"""
            INSERT INTO memory.{kept.table}
            SELECT point_id, {civil_day("start_at", reach, kept.zone)} AS day, {_sums("sign")} FROM (
                SELECT {columns}, 1 AS sign FROM lake.interval
                WHERE {wanted} AND recorded_at > {since} AND recorded_at <= {until}
                UNION ALL
                SELECT {columns}, 1 FROM lake.interval_superseded
                WHERE {wanted} AND recorded_at > {since} AND recorded_at <= {until} AND superseded_at > {until}
                UNION ALL
                SELECT {columns}, -1 FROM lake.interval_superseded
                WHERE {wanted} AND recorded_at <= {since} AND superseded_at > {since} AND superseded_at <= {until}
            ) GROUP BY point_id, day HAVING date_trunc('month', day) IN ({months})
            ON CONFLICT DO UPDATE SET {added}
        """)  # noqa: S608  built from checked parts

    @staticmethod
    def _forget(cursor: duckdb.DuckDBPyConnection, kept: _Kept) -> None:
        """Let go of the months nobody has asked for in a long time."""
        for first in list(kept.months)[: max(0, len(kept.months) - _MONTHS_KEPT)]:
            cursor.execute(
                f"DELETE FROM memory.{kept.table} WHERE date_trunc('month', day) = DATE '{first}'"  # noqa: S608
            )
            del kept.months[first]


def _wanted(quantity: str, period: TimeRange) -> str:
    condition = f"{chosen_quantities('quantity', [quantity])} AND {within('start_at', period)}"
    return f"{condition} AND status & {IntervalStatus.WITHDRAWN.value} = 0"


def _months(first: date, last: date, zone: ZoneInfo) -> Iterable[tuple[date, TimeRange]]:
    """The civil months that two days and all between them lie in, each with its first day."""
    month = first.replace(day=1)
    while month <= last:
        yield month, TimeRange.month(month.year, month.month, zone)
        month = (month + 31 * _DAY).replace(day=1)


def _whole_days(period: TimeRange, zone: ZoneInfo) -> tuple[date, date] | None:
    """The first and last civil day that lie wholly within a closed period; None where there is none."""
    first = period.start.astimezone(zone).date()
    if start_of_day(first, zone) < period.start:
        first += _DAY
    last = period.closed_end.astimezone(zone).date() - _DAY
    return (first, last) if first <= last else None
