"""How long each class of data is kept in the store; nothing is let go of that is not in the archive."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from wattkeeper.kernel.database import Database
from wattkeeper.readings.archive import Archive, ArchivedFile
from wattkeeper.readings.errors import ReadingsError
from wattkeeper.readings.kinds import CLASSES
from wattkeeper.readings.store import ReadingsStore
from wattkeeper.security.audit import record

RESTORED_FOR = timedelta(days=30)
"""How long a month that was brought back is left alone."""


class StoreInMaintenance(ReadingsError):
    """Maintenance is at work on the very months."""


class BadMonth(ReadingsError):
    """A month that is written otherwise."""


class NoArchive(ReadingsError):
    """No archive is set up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """Ages by the name of the class; a class that is not named is kept for ever."""

    keep: Mapping[str, timedelta] = field(default_factory=dict)
    archive: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Enforced:
    """What a look at the ages did."""

    let_go: tuple[ArchivedFile, ...] = ()
    """Months that are in the archive only, from now on."""
    waiting: tuple[str, ...] = ()
    """Months that are old enough, and stay because something changed meanwhile; the next look takes them again."""


class Keeper:
    """Writes the archive, lets old months go, and brings them back."""

    def __init__(self, database: Database, store: ReadingsStore, retention: Retention) -> None:
        self._database = database
        self._store = store
        self._retention = retention

    def enforce(self, now: datetime) -> Enforced:
        """Let go of what is older than its class is kept, once it is archived; nothing while another is at it."""
        if self._retention.archive is None or not self._retention.keep:
            return Enforced()
        gone, waiting = [], []
        with self._store.maintaining() as mine:
            if not mine or not self._store.keep_latest():
                return Enforced()
            archive = self._archive()
            for name, age in self._retention.keep.items():
                kept, spared = CLASSES[name], self._store.spared(name, now)
                for month in archive.months(kept, now - age):
                    if month in spared:
                        continue
                    file = archive.write(kept, month, now)
                    if archive.let_go(kept, file):
                        gone.append(file)
                    else:
                        waiting.append(f"{name} {month:%Y-%m}")
        if gone:
            self._store.forget_sums()
        return Enforced(let_go=tuple(gone), waiting=tuple(waiting))

    def create(self, name: str, month: date, now: datetime) -> ArchivedFile:
        """Write a month of a class to the archive; it stays in the store as well."""
        with self._store.maintaining() as mine:
            file = self._mine(mine).write(CLASSES[name], month, now)
        self._record("archive.create", name, month, file.rows, now)
        return file

    def months(self, name: str, now: datetime) -> list[date]:
        """The months of a class that are over and in the store."""
        return self._archive().months(CLASSES[name], now)

    def files(self, *, check: bool = False) -> list[tuple[ArchivedFile, bool | None]]:
        """What the archive has; with ``check``, which reads all of it, whether each file is as it was written."""
        archive = self._archive()
        return [(file, archive.intact(file) if check else None) for file in archive.files()]

    def restore(self, name: str, month: date, now: datetime) -> int:
        """Bring a month of a class back for RESTORED_FOR; returns how many rows came."""
        with self._store.maintaining() as mine:
            came = self._mine(mine).restore(CLASSES[name], month, keep_until=now + RESTORED_FOR)
        self._store.forget_sums()
        self._record("archive.restore", name, month, came, now)
        return came

    def _record(self, action: str, name: str, month: date, rows: int, now: datetime) -> None:
        with self._database.write() as session:
            after = {"class": name, "month": f"{month:%Y-%m}", "rows": rows}
            record(session, action, now=now, after=after)

    def _mine(self, mine: bool) -> Archive:  # noqa: FBT001  what the lock said
        if not mine:
            raise StoreInMaintenance(
                "The store is being maintained right now.", hint="Try again in a minute."
            )
        return self._archive()

    def _archive(self) -> Archive:
        if self._retention.archive is None:
            raise NoArchive("No archive is set up.", hint="Set archive_dir to the folder it is to be in.")
        return self._store.archive(self._retention.archive)


def month_of(text: str) -> date:
    """A month written as 2026-03, within those that instants of readings lie in (see `batches`)."""
    try:
        month = datetime.strptime(text, "%Y-%m").replace(tzinfo=UTC).date()
    except ValueError:
        month = date.min
    if not date(1999, 12, 1) <= month <= date(2100, 1, 1):
        raise BadMonth(f"{text!r} is no month of the years 2000 to 2099.", hint="Write it as 2026-03.")
    return month
