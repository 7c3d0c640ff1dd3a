"""An archive of old months: Parquet files that any tool reads, with a manifest of their checksums, and the way back.

A file holds one class of data of one month (UTC), as it was when it was written, and is never written over. A month is
let go of in the store only in the transaction that has compared it, row for row, with a file whose checksum is right.
Whatever is killed in between, the month is in the store, or in the archive, or in both.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import duckdb

from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.readings.batches import microseconds
from wattkeeper.readings.errors import ReadingsError
from wattkeeper.readings.kinds import DataClass
from wattkeeper.readings.lake import Lake
from wattkeeper.readings.layout import newest
from wattkeeper.readings.selection import instant, within
from wattkeeper.readings.versions import INTERVALS, READINGS

MANIFEST: Final = "manifest.json"
_FORMAT: Final = 1
_RECORDED: Final = (
    READINGS.name,
    READINGS.superseded,
    INTERVALS.name,
    INTERVALS.superseded,
    "edit",
    "let_go",
)
"""Tables whose rows have the moment of a commit."""
_UTC_MONTH: Final = timedelta(days=31)
_BLOCK: Final = 1 << 20


class ArchiveDamaged(ReadingsError):
    """A file of the archive is missing or is not what its manifest says."""


class NothingArchived(ReadingsError):
    """The archive has nothing of what was asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchivedFile:
    """One file of the archive, as the manifest has it."""

    kept: str
    """The name of its class."""
    month: date
    path: str
    """Below the archive's folder."""
    rows: int
    bytes: int
    sha256: str
    written_at: datetime


class Archive:
    """The archive in one folder, of one store. Who writes holds the maintenance lock."""

    def __init__(self, lake: Lake, folder: Path) -> None:
        self._lake = lake
        self.folder = folder

    def files(self) -> list[ArchivedFile]:
        """What the manifest lists, by class and month, the oldest part of a month first."""
        try:
            said = json.loads((self.folder / MANIFEST).read_bytes())
        except FileNotFoundError:
            return []
        except (OSError, ValueError) as error:
            raise ArchiveDamaged(
                f"The manifest of the archive {self.folder} cannot be read: {error}.",
                hint="Restore manifest.json from a copy; the Parquet files beside it are untouched.",
            ) from error
        if said.get("format") != _FORMAT:
            raise ArchiveDamaged(
                f"The archive {self.folder} has format {said.get('format')}; this version knows {_FORMAT}.",
                hint="Use the version that wrote it.",
            )
        return [_file(entry) for entry in said["files"]]

    def months(self, kept: DataClass, before: datetime) -> list[date]:
        """The months that the store has of a class and that end by a moment, oldest first."""
        until = before.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        with self._lake.reading() as cursor:
            found = cursor.execute(
                f"""
                SELECT DISTINCT date_trunc('month', {kept.time})::DATE AS month FROM lake.{kept.table}
                WHERE {kept.condition} AND {kept.time} < {instant(microseconds(until))} ORDER BY month
                """  # noqa: S608  a class's own names
            ).fetchall()
        return [row[0] for row in found]

    def write(self, kept: DataClass, month: date, now: datetime) -> ArchivedFile:
        """Write what the store has of a month, unless a file says just that; returns the file.

        An earlier file of the month is replaced unless the store has let go of what it holds.
        """
        gone = self._let_go(kept, month)
        files = self.files()
        mine = [file for file in files if (file.kept, file.month) == (kept.name, month)]
        for file in mine:
            if file.path not in gone and self.intact(file) and self._agrees(kept, file):
                return file
        written = self._written(kept, month, len(mine), now)
        replaced = [file for file in mine if file.path not in gone]
        self._list([file for file in files if file not in replaced] + [written])
        for file in replaced:
            (self.folder / file.path).unlink(missing_ok=True)
        return written

    def intact(self, file: ArchivedFile) -> bool:
        """Whether a file is there and has the checksum of the manifest."""
        try:
            return _sha256(self.folder / file.path) == file.sha256
        except OSError:
            return False

    def let_go(self, kept: DataClass, file: ArchivedFile) -> bool:
        """Remove a month from the store when it is just what an intact file holds; False, and nothing done, otherwise."""
        if not self.intact(file):
            return False
        month = _month(file.month)
        with self._lake.guard.writing(), self._lake.transaction() as cursor:
            if _digest(cursor, kept, f"lake.{kept.table}", month) != self._digest_of(cursor, kept, file):
                return False
            last = newest(cursor, self._lake, _RECORDED, ("recorded_at", "superseded_at"))
            cursor.execute(f"DELETE FROM lake.{kept.table} WHERE {_wanted(kept, month)}")  # noqa: S608
            cursor.execute(
                "DELETE FROM lake.let_go WHERE class = ? AND month = ? AND file IS NULL",
                [kept.name, file.month],
            )
            cursor.execute(
                "INSERT INTO lake.let_go VALUES (?, ?, ?, make_timestamptz(?), NULL)",
                [kept.name, file.month, file.path, last],
            )
        return True

    def restore(self, kept: DataClass, month: date, *, keep_until: datetime) -> int:
        """Bring a month back from all its files; returns how many rows came. Retention leaves it alone until a moment.

        Rows that are there already are left as they are; a value whose key has another one by now joins the superseded.
        """
        files = [file for file in self.files() if (file.kept, file.month) == (kept.name, month)]
        if not files:
            raise NothingArchived(
                f"The archive {self.folder} has no {kept.name} of {month:%Y-%m}.",
                hint="`wattkeeper archive list` says what it has.",
            )
        if damaged := [file.path for file in files if not self.intact(file)]:
            raise ArchiveDamaged(
                f"{', '.join(damaged)} of the archive {self.folder} is missing or was changed; nothing was restored.",
                hint="Bring it back from a copy: its SHA-256 is in manifest.json.",
            )
        with self._lake.guard.writing(), self._lake.transaction() as cursor:
            came = sum(self._bring_back(cursor, kept, file) for file in reversed(files))
            cursor.execute("DELETE FROM lake.let_go WHERE class = ? AND month = ?", [kept.name, month])
            cursor.execute(
                "INSERT INTO lake.let_go VALUES (?, ?, NULL, make_timestamptz(?), make_timestamptz(?))",
                [
                    kept.name,
                    month,
                    newest(cursor, self._lake, _RECORDED, ("recorded_at", "superseded_at")),
                    microseconds(keep_until),
                ],
            )
        return came

    # -- inside -----------------------------------------------------------------------------------------------------

    def _bring_back(self, cursor: duckdb.DuckDBPyConnection, kept: DataClass, file: ArchivedFile) -> int:
        columns = ", ".join(kept.columns)
        month = _month(file.month)
        source = f"read_parquet('{_escaped(self.folder / file.path)}')"
        cursor.execute(f"CREATE OR REPLACE TEMP TABLE back AS SELECT {columns} FROM {source}")  # noqa: S608
        there = f"(SELECT * FROM lake.{kept.table} WHERE {_wanted(kept, month)})"  # noqa: S608
        same = " AND ".join(f"t.{name} IS NOT DISTINCT FROM b.{name}" for name in kept.columns)
        cursor.execute(f"DELETE FROM temp.back b USING {there} t WHERE {same}")  # noqa: S608
        came = 0
        if kept.keys:
            taken = " AND ".join(f"t.{name} = b.{name}" for name in kept.keys)
            came += _count(
                cursor,
                f"""
                INSERT INTO lake.{kept.superseded} ({columns}, superseded_at)
                SELECT {", ".join(f"b.{name}" for name in kept.columns)}, t.recorded_at
                FROM temp.back b JOIN {there} t ON {taken} WHERE b.recorded_at < t.recorded_at
                """,  # noqa: S608
            )
            cursor.execute(f"DELETE FROM temp.back b USING {there} t WHERE {taken}")  # noqa: S608
        return came + _count(cursor, f"INSERT INTO lake.{kept.table} ({columns}) FROM temp.back")

    def _written(self, kept: DataClass, month: date, number: int, now: datetime) -> ArchivedFile:
        name = f"{kept.name}/{kept.name}-{month:%Y-%m}{f'.{number}' if number else ''}.parquet"
        while (self.folder / name).exists() and self._listed(name):
            number += 1
            name = f"{kept.name}/{kept.name}-{month:%Y-%m}.{number}.parquet"
        target = self.folder / name
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with _replacing(target) as draft, self._lake.reading() as cursor:
                cursor.execute(f"""
                    COPY (SELECT {", ".join(kept.columns)} FROM lake.{kept.table} WHERE {_wanted(kept, _month(month))}
                          ORDER BY {kept.sort})
                    TO '{_escaped(draft)}' (FORMAT parquet, COMPRESSION zstd)
                """)  # noqa: S608  a class's own names
                rows = _count(cursor, f"SELECT count(*) FROM read_parquet('{_escaped(draft)}')")  # noqa: S608
        except OSError as error:
            raise ReadingsError(
                f"The archive {self.folder} cannot be written: {error.strerror}.",
                hint="Check the folder and the room on its disk; nothing was taken from the store.",
            ) from error
        return ArchivedFile(
            kept=kept.name,
            month=month,
            path=name,
            rows=rows,
            bytes=target.stat().st_size,
            sha256=_sha256(target),
            written_at=now,
        )

    def _listed(self, path: str) -> bool:
        return any(file.path == path for file in self.files())

    def _list(self, files: Iterable[ArchivedFile]) -> None:
        ordered = sorted(files, key=lambda file: (file.kept, file.month, file.written_at))
        entries = [
            asdict(file) | {"month": f"{file.month:%Y-%m}", "written_at": file.written_at.isoformat()}
            for file in ordered
        ]
        content = json.dumps({"format": _FORMAT, "files": entries}, indent=1)
        with _replacing(self.folder / MANIFEST) as draft:
            draft.write_text(f"{content}\n")

    def _let_go(self, kept: DataClass, month: date) -> set[str]:
        """The files of a month that hold what the store has no more."""
        with self._lake.reading() as cursor:
            found = cursor.execute(
                "SELECT file FROM lake.let_go WHERE class = ? AND month = ? AND file IS NOT NULL",
                [kept.name, month],
            ).fetchall()
        return {row[0] for row in found}

    def _agrees(self, kept: DataClass, file: ArchivedFile) -> bool:
        with self._lake.reading() as cursor:
            stored = _digest(cursor, kept, f"lake.{kept.table}", _month(file.month))
            return stored == self._digest_of(cursor, kept, file)

    def _digest_of(
        self, cursor: duckdb.DuckDBPyConnection, kept: DataClass, file: ArchivedFile
    ) -> tuple[int, int]:
        source = f"read_parquet('{_escaped(self.folder / file.path)}')"
        return _digest(cursor, kept, source, _month(file.month))


def _digest(
    cursor: duckdb.DuckDBPyConnection, kept: DataClass, source: str, month: TimeRange
) -> tuple[int, int]:
    """How many rows, and the sum of their hashes: equal for equal rows in any order."""
    found = cursor.execute(
        f"""
        SELECT count(*), coalesce(sum(hash({", ".join(kept.columns)})::HUGEINT), 0) FROM {source}
        WHERE {_wanted(kept, month)}
        """  # noqa: S608  a class's own names
    ).fetchall()[0]
    return int(found[0]), int(found[1])


def _wanted(kept: DataClass, month: TimeRange) -> str:
    return f"{kept.condition} AND {within(kept.time, month)}"


def _month(first: date) -> TimeRange:
    start = datetime(first.year, first.month, 1, tzinfo=UTC)
    return TimeRange(start, (start + _UTC_MONTH).replace(day=1))


def _file(entry: dict[str, Any]) -> ArchivedFile:
    return ArchivedFile(
        **entry
        | {
            "month": datetime.strptime(f"{entry['month']}-01", "%Y-%m-%d").replace(tzinfo=UTC).date(),
            "written_at": datetime.fromisoformat(entry["written_at"]),
        }
    )


@contextmanager
def _replacing(target: Path) -> Iterator[Path]:
    """A draft beside a file that takes its place, safely on disk, once it is whole."""
    draft = target.with_name(f".{target.name}.tmp")
    draft.unlink(missing_ok=True)  # a killed writer's
    yield draft
    with draft.open("rb") as written:
        os.fsync(written.fileno())
    draft.replace(target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _count(cursor: duckdb.DuckDBPyConnection, statement: str) -> int:
    return int(cursor.execute(statement).fetchall()[0][0])


def _escaped(path: Path) -> str:
    return str(path).replace("'", "''")
