"""The readings store: versioned readings and intervals in a DuckLake, embedded or on a shared PostgreSQL catalogue.

Calls are synchronous and may come from any thread. Nothing is ever overwritten; see `versions`.
"""

import contextlib
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Self
from zoneinfo import ZoneInfo

import duckdb
import pyarrow as pa

from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.readings import batches, versions
from wattkeeper.readings.archive import Archive
from wattkeeper.readings.commits import Commits
from wattkeeper.readings.corrections import Corrections
from wattkeeper.readings.days import DayTotals
from wattkeeper.readings.histories import Histories
from wattkeeper.readings.lake import Lake
from wattkeeper.readings.latest import LatestReadings
from wattkeeper.readings.layout import newest, prepare
from wattkeeper.readings.maintenance import Maintained, Maintenance
from wattkeeper.readings.offsets import ClockOffsets
from wattkeeper.readings.queries import StoreQueries
from wattkeeper.readings.recorded import Recorded
from wattkeeper.readings.schemas import Appended
from wattkeeper.readings.series import Series
from wattkeeper.readings.streams import Streams
from wattkeeper.readings.surroundings import Surroundings
from wattkeeper.readings.validation.windows import Windows
from wattkeeper.readings.versions import INTERVALS, READINGS, VersionedTable


class ReadingsStore(StoreQueries, Histories, Series, Streams):
    """Readings, intervals and exchanges of all meters; open it with `ReadingsStore.open`."""

    def __init__(self, lake: Lake) -> None:
        super().__init__(lake)
        self._latest = LatestReadings(lake)
        self._days = DayTotals(lake)
        self.recorded = Recorded(lake)
        self._commits = Commits(lake)
        self.corrections = Corrections(lake, self._commits)
        self.surroundings = Surroundings(lake, self._latest)
        self.offsets = ClockOffsets(lake)
        self.windows = Windows(lake)
        self._maintenance = Maintenance(lake, self._latest)

    @classmethod
    def open(cls, location: Path | str, *, data_path: Path | None = None) -> Self:
        """Open or create a store: a folder, or a PostgreSQL URL and the folder of Parquet files all writers share.

        Raises StoreBusy, StoreTooNew, StoreDamaged or StoreUnavailable.
        """
        if isinstance(location, str) and location.startswith("postgres"):
            if data_path is None:
                raise ValueError(
                    "A readings store on PostgreSQL needs data_path, the folder its writers share."
                )
            lake = Lake.shared(location, data_path)
        else:
            lake = Lake.embedded(Path(location))
        try:
            prepare(lake)
        except BaseException:
            lake.close()
            raise
        return cls(lake)

    def close(self) -> None:
        """Give the store back; an embedded one may then be opened by another process."""
        self._lake.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def append_readings(self, readings: pa.Table, now: datetime) -> Appended:
        """Store a batch of READING_SCHEMA, whole or not at all, and say what became of it.

        ``now`` becomes ``recorded_at``, raised where needed so that it strictly increases with each commit.
        """
        batch = batches.checked_readings(readings)
        return self._append(READINGS, batch, now)

    def append_intervals(self, intervals: pa.Table, now: datetime) -> Appended:
        """Store a batch of INTERVAL_SCHEMA, whole or not at all."""
        batch = batches.checked_intervals(intervals)
        return self._append(INTERVALS, batch, now)

    def append_exchanges(self, exchanges: pa.Table) -> int:
        """Store the frames of exchanges (EXCHANGE_SCHEMA); returns how many."""
        batch = batches.checked_exchanges(exchanges)
        if batch.num_rows:
            with self._lake.guard.writing(), self._lake.transaction() as cursor:
                cursor.register("batch", batch)
                cursor.execute("INSERT INTO lake.exchange SELECT * FROM batch")
        return int(batch.num_rows)

    def latest(
        self, meter_ids: Iterable[int] | None = None, quantities: Iterable[str] | None = None
    ) -> pa.Table:
        """The newest reading of each meter and quantity (STORED_READING_SCHEMA)."""
        return self._latest.read(meter_ids, quantities)

    def energy_of_days(
        self, point_ids: Iterable[int] | None, quantity: str, period: TimeRange, zone: ZoneInfo
    ) -> pa.Table:
        """The energy of some points together, None meaning all, on each civil day of a closed period (DAYS_SCHEMA)."""
        return self._days.read(point_ids, quantity, period, zone)

    def energy_of_points(
        self, point_ids: Iterable[int] | None, quantity: str, days: tuple[date, date], zone: ZoneInfo
    ) -> pa.Table:
        """The energy of each of some points, None meaning all, over civil days, the last included (POINTS_SCHEMA)."""
        return self._days.by_point(point_ids, quantity, days, zone)

    def energy_of_places(
        self, places: pa.Table, quantity: str, days: tuple[date, date], zone: ZoneInfo
    ) -> pa.Table:
        """The energy of places, a table of point_id and place, on each civil day, the last included (PLACES_SCHEMA)."""
        return self._days.by_place(places, quantity, days, zone)

    def maintain(
        self,
        now: datetime | None = None,
        *,
        keep_exchanges: timedelta | None = timedelta(days=90),
        keep_snapshots: timedelta = timedelta(hours=1),
    ) -> Maintained:
        """Flush, merge, sort and tidy while others read and write; a kill at any point loses nothing.

        Frames older than ``keep_exchanges`` are dropped; None leaves them to the archive. Ages of files and snapshots
        are those of this machine's clock, which is also what ``now`` is when left out.
        """
        return self._maintenance.run(
            now or datetime.now(UTC), keep_exchanges=keep_exchanges, keep_snapshots=keep_snapshots
        )

    def maintaining(self) -> contextlib.AbstractContextManager[bool]:
        """Held by whoever moves months about; False when somebody else, in any process, is at it."""
        return self._lake.guard.maintaining()

    def keep_latest(self) -> bool:
        """Leave the newest readings in the store on their own, before months go; False when a writer was in the way."""
        return self._latest.checkpointed()

    def archive(self, folder: Path) -> Archive:
        """The archive of this store in a folder."""
        return Archive(self._lake, folder)

    def forget_sums(self) -> None:
        """Sums in memory no longer hold: months have left the store, or come back."""
        self._days.forget()

    def _append(self, table: VersionedTable, batch: pa.Table, now: datetime) -> Appended:
        if not batch.num_rows:
            return Appended(accepted=0, repeated=0, superseding=0)
        distinct = versions.distinct_keys(batch, table)
        first, _ = versions.bounds(batch, table)

        def write(cursor: duckdb.DuckDBPyConnection, recorded_at: int) -> Appended:
            fresh = distinct and first > newest(cursor, self._lake, [table.name], [table.time])
            return versions.store(cursor, table, batch, recorded_at=recorded_at, fresh=fresh)

        return self._commits.run(table, now, write)
