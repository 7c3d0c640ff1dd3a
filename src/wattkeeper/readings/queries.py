"""What can be asked of the readings store; `store.ReadingsStore` adds what can be done to it."""

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pyarrow as pa

from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.readings.batches import microseconds
from wattkeeper.readings.civil import civil_day
from wattkeeper.readings.lake import Lake
from wattkeeper.readings.layout import newest
from wattkeeper.readings.schemas import (
    CHANGE_SCHEMA,
    EXCHANGE_SCHEMA,
    INSTANT,
    POINT_CHANGE_SCHEMA,
    STORED_INTERVAL_SCHEMA,
    STORED_READING_SCHEMA,
    IntervalStatus,
)
from wattkeeper.readings.selection import chosen_ids, chosen_quantities, instant, known, within
from wattkeeper.readings.versions import INTERVALS, READINGS, VersionedTable

_TOLERANCE = timedelta(seconds=30)
_DAY_US = 86_400_000_000
_ALL_TIME_US = 10**18
_DAY_SCHEMA = pa.schema(
    [
        ("point_id", pa.int64()),
        ("day", pa.date32()),
        ("energy", pa.decimal128(18, 4)),
        ("intervals", pa.int64()),
        ("estimated", pa.int64()),
        ("without_energy", pa.int64()),
    ]
)
_MISSING_SCHEMA = pa.schema([("meter_id", pa.int64()), ("start_at", INSTANT), ("end_at", INSTANT)])


class StoreQueries:
    """Queries over the current values, and over what was known at a past moment."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake

    def readings(
        self,
        *,
        meter_ids: Iterable[int] | None = None,
        quantities: Iterable[str] | None = None,
        period: TimeRange | None = None,
        as_known_at: datetime | None = None,
    ) -> pa.Table:
        """Readings (STORED_READING_SCHEMA) in order of meter, quantity and time; None means all."""
        condition = f"{chosen_ids('meter_id', meter_ids)} AND {chosen_quantities('quantity', quantities)}"
        condition += f" AND {within('read_at', period)}"
        return self._query(
            f"FROM ({known(READINGS, condition, as_known_at)}) ORDER BY meter_id, quantity, read_at",
            STORED_READING_SCHEMA,
        )

    def versions_of(self, meter_id: int, quantity: str, read_at: datetime) -> pa.Table:
        """Every version a reading ever had (STORED_READING_SCHEMA), the current one first, then the newest."""
        moment = microseconds(read_at)
        condition = f"meter_id = {int(meter_id)} AND {chosen_quantities('quantity', [quantity])} AND read_at = {instant(moment)}"
        columns = ", ".join(STORED_READING_SCHEMA.names)
        return self._query(
            f"""
            SELECT {columns} FROM (
                SELECT {columns}, 0 AS place FROM lake.reading WHERE {condition}
                UNION ALL SELECT {columns}, 1 FROM lake.reading_superseded WHERE {condition}
            ) ORDER BY place, recorded_at DESC
            """,  # noqa: S608  built from checked parts
            STORED_READING_SCHEMA,
        )

    def exchange(self, exchange_id: int) -> dict[str, object] | None:
        """The frames of one exchange as a mapping of EXCHANGE_SCHEMA, or None when it is past its retention."""
        rows = self._query(
            f"FROM lake.exchange WHERE exchange_id = {int(exchange_id)}", EXCHANGE_SCHEMA
        ).to_pylist()
        return rows[0] if rows else None

    def intervals(
        self,
        *,
        point_ids: Iterable[int] | None = None,
        quantity: str = "active_energy_import",
        period: TimeRange | None = None,
        as_known_at: datetime | None = None,
    ) -> pa.Table:
        """Intervals (STORED_INTERVAL_SCHEMA) that start in the period, in order of point and time.

        An interval with null energy is one that cannot be told; its status says why. Gaps have no interval.
        """
        condition = f"{chosen_ids('point_id', point_ids)} AND {chosen_quantities('quantity', [quantity])}"
        condition += f" AND {within('start_at', period)}"
        return self._query(
            f"""
            FROM ({known(INTERVALS, condition, as_known_at)})
            WHERE status & {IntervalStatus.WITHDRAWN.value} = 0 ORDER BY point_id, start_at
            """,
            STORED_INTERVAL_SCHEMA,
        )

    def energy_by_day(
        self, point_ids: Iterable[int] | None, quantity: str, period: TimeRange, zone: ZoneInfo
    ) -> pa.Table:
        """Energy of each civil day: the sum of its intervals, how many there are, and how many are not measured."""
        status = IntervalStatus
        return self._query(
            f"""
            SELECT point_id, {civil_day("start_at", period, zone)} AS day,
                   coalesce(sum(energy), 0) AS energy, count(*) AS intervals,
                   count(*) FILTER (energy IS NOT NULL AND status & {status.ESTIMATED.value} <> 0) AS estimated,
                   count(*) FILTER (energy IS NULL) AS without_energy
            FROM lake.interval
            WHERE {chosen_ids("point_id", point_ids)} AND {chosen_quantities("quantity", [quantity])}
              AND {within("start_at", period)} AND status & {status.WITHDRAWN.value} = 0
            GROUP BY point_id, day ORDER BY point_id, day
            """,  # noqa: S608  built from checked parts
            _DAY_SCHEMA,
        )

    def known_until(
        self, point_ids: Iterable[int] | None, quantity: str, period: TimeRange
    ) -> datetime | None:
        """The end of the last interval with an energy among those that start in the period."""
        found = self._query(
            f"""
            SELECT max(end_at) AS end_at FROM lake.interval
            WHERE {chosen_ids("point_id", point_ids)} AND {chosen_quantities("quantity", [quantity])}
              AND {within("start_at", period)} AND energy IS NOT NULL
            """,  # noqa: S608  built from checked parts
            pa.schema([("end_at", INSTANT)]),
        )
        newest_end: datetime | None = found["end_at"][0].as_py()
        return newest_end

    def missing_slots(
        self,
        meter_ids: Iterable[int],
        quantity: str,
        period: TimeRange,
        step: timedelta,
        phase: timedelta = timedelta(),
    ) -> pa.Table:
        """What should be there minus what is there: (meter_id, start_at, end_at), half-open, oldest first.

        Slots begin every `step` since 1970-01-01 UTC plus `phase`. A slot is there when a reading lies within 30 s of
        its start; neighbouring missing slots are one range.
        """
        width = step // timedelta(microseconds=1)
        shift = phase // timedelta(microseconds=1)
        edge = _TOLERANCE // timedelta(microseconds=1)
        first = -(-(microseconds(period.start) - shift) // width)
        last = -(-(microseconds(period.closed_end) - shift) // width)
        meters = ", ".join(str(int(meter)) for meter in sorted(set(meter_ids))) or "NULL"
        around = TimeRange(period.start - _TOLERANCE, period.closed_end + _TOLERANCE)
        return self._query(
            f"""
            WITH expected AS (
                SELECT meter_id, slot FROM (SELECT unnest([{meters}])::BIGINT AS meter_id), range({first}, {last}) s(slot)
            ),
            present AS (
                SELECT DISTINCT meter_id, (epoch_us(read_at) - {shift} + {edge}) // {width} AS slot FROM lake.reading
                WHERE meter_id IN (SELECT meter_id FROM expected) AND {chosen_quantities("quantity", [quantity])}
                  AND {within("read_at", around)} AND (epoch_us(read_at) - {shift} + {edge}) % {width} <= {2 * edge}
            ),
            missing AS (
                SELECT meter_id, slot, slot - row_number() OVER (PARTITION BY meter_id ORDER BY slot) AS run
                FROM expected ANTI JOIN present USING (meter_id, slot) WHERE meter_id IS NOT NULL
            )
            SELECT meter_id, make_timestamptz(min(slot) * {width} + {shift}) AS start_at,
                   make_timestamptz((max(slot) + 1) * {width} + {shift}) AS end_at
            FROM missing GROUP BY meter_id, run ORDER BY start_at, meter_id
            """,  # noqa: S608  built from checked parts
            _MISSING_SCHEMA,
        )

    def changed_meters(self, cursor: int, quantities: Iterable[str] | None = None) -> tuple[pa.Table, int]:
        """What was appended after a cursor (CHANGE_SCHEMA), and the cursor to continue from; begin with 0.

        A register has one row for each run of neighbouring days (UTC) with readings: of a live one and of last year's
        from a file, what lies between did not change.

        The cursor is a ``recorded_at`` in microseconds. Writers commit one after another and each takes a later
        ``recorded_at`` than all before it, so nothing can appear behind a cursor once handed out, also with
        several writers on a PostgreSQL catalogue.
        """
        return self._changed(
            READINGS, cursor, CHANGE_SCHEMA, chosen_quantities("quantity", quantities), part=_DAY_US
        )

    def changed_intervals(self, cursor: int) -> tuple[pa.Table, int]:
        """The same for intervals (POINT_CHANGE_SCHEMA): first ``start_at`` and last ``end_at`` of each point and quantity."""
        return self._changed(INTERVALS, cursor, POINT_CHANGE_SCHEMA, "true", part=_ALL_TIME_US)

    def changed_after(self, relied_on: pa.Table) -> pa.Table:
        """What of some things relied on (KNOWN_AT_SCHEMA) came out otherwise: ``id`` with first start and last end."""
        with self._lake.reading() as session:
            session.register("relied_on", relied_on)
            bounds = session.execute(
                "SELECT epoch_us(min(start_at)), epoch_us(max(end_at)), epoch_us(min(known_at)) FROM relied_on"
            ).fetchall()[0]
            first, last, since = map(instant, bounds)
            return session.execute(f"""
                SELECT r.id, min(i.start_at) AS start_at, max(i.end_at) AS end_at
                FROM lake.interval i JOIN relied_on r
                  ON r.point_id = i.point_id AND i.start_at >= r.start_at AND i.start_at < r.end_at
                 AND i.recorded_at > r.known_at
                WHERE i.start_at >= {first} AND i.start_at < {last} AND i.recorded_at > {since}
                GROUP BY r.id ORDER BY r.id
            """).to_arrow_table()  # noqa: S608  numbers only

    def spared(self, kept: str, now: datetime) -> set[date]:
        """The months of a class of data that were brought back from the archive and are left alone for now."""
        with self._lake.reading() as session:
            rows = session.execute(
                "SELECT month FROM lake.let_go WHERE class = ? AND kept_until > make_timestamptz(?)",
                [kept, microseconds(now)],
            ).fetchall()
        return {row[0] for row in rows}

    def derivable_from(self) -> int:
        """From when on [µs since 1970 UTC] intervals may be derived again: before, their registers are in the archive.

        The first month that is there is kept as it is, too: what it began from is not.
        """
        with self._lake.reading() as session:
            rows = session.execute("""
                SELECT epoch_us(max(month) + INTERVAL 2 MONTH) FROM lake.let_go
                WHERE class = 'registers' AND file IS NOT NULL
            """).fetchall()
        return int(rows[0][0] or 0)

    def _changed(
        self, table: VersionedTable, cursor: int, schema: pa.Schema, condition: str, *, part: int
    ) -> tuple[pa.Table, int]:
        """Runs of neighbouring parts of time, each so many microseconds, in which something was appended."""
        end = "read_at" if table is READINGS else "end_at"
        with self._lake.reading() as session:
            new_cursor = newest(
                session, self._lake, [table.name, table.superseded], ["recorded_at", "superseded_at"]
            )
            if new_cursor <= cursor:
                return schema.empty_table(), cursor
            columns = f"{table.owner}, quantity, {table.time}" + (f", {end}" if end != table.time else "")
            rows = session.execute(f"""
                WITH changed AS (
                    SELECT {columns} FROM lake.{table.name}
                    WHERE recorded_at > {instant(cursor)} AND recorded_at <= {instant(new_cursor)} AND {condition}
                    UNION ALL  -- an edit that was taken back may leave no winner
                    SELECT {columns} FROM lake.{table.superseded}
                    WHERE superseded_at > {instant(cursor)} AND superseded_at <= {instant(new_cursor)}
                      AND {table.ranked_by} = 'edited' AND {condition}
                ),
                parts AS (
                    SELECT {table.owner}, quantity, epoch_us({table.time}) // {part} AS part,
                           min({table.time}) AS start_at, max({end}) AS end_at
                    FROM changed GROUP BY {table.owner}, quantity, part
                ),
                runs AS (
                    SELECT *, part - row_number() OVER (PARTITION BY {table.owner}, quantity ORDER BY part) AS run
                    FROM parts
                )
                SELECT {table.owner}, quantity, min(start_at) AS start_at, max(end_at) AS end_at
                FROM runs GROUP BY {table.owner}, quantity, run ORDER BY {table.owner}, quantity, start_at
            """)  # noqa: S608  built from checked parts
            return rows.to_arrow_table().cast(schema), new_cursor

    def _query(self, statement: str, schema: pa.Schema) -> pa.Table:
        with self._lake.reading() as cursor:
            return cursor.execute(statement).to_arrow_table().cast(schema)
