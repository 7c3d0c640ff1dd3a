"""The DuckLake under the readings store: attached, locked for writing, and its errors told as ours.

The two sizes differ only here: where the catalogue is, and what keeps two writers apart.
"""

import contextlib
import importlib.util
import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import duckdb
import pg8000.exceptions
import pg8000.native
from sqlalchemy.engine import URL, make_url

from wattkeeper.readings.errors import (
    ReadingsError,
    StoreBusy,
    StoreDamaged,
    StoreFull,
    StoreTooNew,
    StoreUnavailable,
)

_WRITER_LOCK = 0x5754_4B52_0001
_MAINTENANCE_LOCK = 0x5754_4B52_0002
_CATALOGUE_SCHEMA = "wattkeeper_readings"
# A row inlined into the catalogue costs about 0.2 ms, a Parquet file about 15 ms and a later merge: 100 rows break even.
_INLINED_ROWS = 100


# What DuckDB's words mean. None of ours repeats them: they hold the connection string, password included.
_STORIES: tuple[tuple[str, type[ReadingsError], str, str], ...] = (
    (
        r"No space left|[Dd]isk full",
        StoreFull,
        "The disk under the readings store {place} is full; the batch was not stored.",
        "Free some space; nothing stored before is lost, and the batch may be given again.",
    ),
    (
        r"only supports versions|newer (version|DuckDB)|version number \d+, but",
        StoreTooNew,
        "The readings store {place} was written by a newer version of Wattkeeper.",
        "Install that version again, or restore the copy made before the update.",
    ),
    (
        r"not a valid DuckDB database|Corrupt",
        StoreDamaged,
        "The catalogue of the readings store {place} cannot be read: it is damaged or no catalogue.",
        "Restore it from the last copy; the Parquet files beside it are untouched.",
    ),
    (
        r"has been invalidated",
        StoreUnavailable,
        "The readings store {place} stopped after an error of its disk or catalogue; nothing stored is lost.",
        "Start again once the disk has room and the catalogue answers.",
    ),
    (
        r"IO Error.*([Uu]nable to connect|Permission denied)",
        StoreUnavailable,
        "The readings store {place} cannot be opened: its catalogue or folder refuses us.",
        "Check that the server runs, and that this user may read and write there.",
    ),
)


class Guard(Protocol):
    """What keeps two writers of one store apart."""

    def writing(self) -> contextlib.AbstractContextManager[None]:
        """Held from matching a batch to its commit."""

    def maintaining(self) -> contextlib.AbstractContextManager[bool]:
        """Held during maintenance; False when somebody else is at it."""

    def close(self) -> None:
        """Give up whatever the guard holds open."""


class LocalGuard:
    """The embedded store has one process, so locks between its threads are enough."""

    def __init__(self) -> None:
        self._writer = threading.Lock()
        self._maintenance = threading.Lock()

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """One thread at a time."""
        with self._writer:
            yield

    @contextlib.contextmanager
    def maintaining(self) -> Iterator[bool]:
        """Does not wait: False when another thread is at it."""
        mine = self._maintenance.acquire(blocking=False)
        try:
            yield mine
        finally:
            if mine:
                self._maintenance.release()

    def close(self) -> None:
        """There is nothing to give up."""


class PostgresGuard:
    """Advisory locks of the catalogue's PostgreSQL: they die with the connection, so a killed writer blocks nobody.

    Writers commit one after another. DuckLake lets two appends to one table pass side by side, and it has no
    unique key: without the lock two writers could both find a reading new and store it twice. It also makes the
    order of ``recorded_at`` the order of commits, which is what a cursor over changes needs.
    """

    def __init__(self, url: URL) -> None:
        self._url = url
        self._threads = threading.Lock()
        self._connection: pg8000.native.Connection | None = None

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """One thread of one process at a time."""
        with self._threads:
            self._run("SELECT pg_advisory_lock(:key)", _WRITER_LOCK)
            try:
                yield
            finally:
                self._unlock()

    @contextlib.contextmanager
    def maintaining(self) -> Iterator[bool]:
        """Does not wait: False when another process is at it."""
        connection = self._connect()
        try:
            yield bool(connection.run("SELECT pg_try_advisory_lock(:key)", key=_MAINTENANCE_LOCK)[0][0])
        finally:
            connection.close()

    def close(self) -> None:
        """Close the connection the lock lives on."""
        with self._threads:
            self._drop()

    def _run(self, statement: str, key: int) -> None:
        """Run on the kept connection; one that the server closed meanwhile is replaced once."""
        if self._connection is not None:
            try:
                self._connection.run(statement, key=key)
            except (pg8000.exceptions.InterfaceError, pg8000.exceptions.DatabaseError, OSError):
                self._drop()
            else:
                return
        self._connection = self._connect()
        self._connection.run(statement, key=key)

    def _unlock(self) -> None:
        try:
            assert self._connection is not None
            self._connection.run("SELECT pg_advisory_unlock(:key)", key=_WRITER_LOCK)
        except (pg8000.exceptions.InterfaceError, pg8000.exceptions.DatabaseError, OSError):
            self._drop()  # closing the connection is what unlocks then

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):
                connection.close()

    def _connect(self) -> pg8000.native.Connection:
        host = self._url.query.get("host", self._url.host or "localhost")
        host = host if isinstance(host, str) else host[0]
        where: dict[str, Any] = {"host": host, "port": self._url.port or 5432}
        if host.startswith("/"):
            where = {"unix_sock": f"{host}/.s.PGSQL.{self._url.port or 5432}"}
        try:
            return pg8000.native.Connection(
                self._url.username or "postgres",
                password=self._url.password,
                database=self._url.database,
                **where,
            )
        except (pg8000.exceptions.InterfaceError, pg8000.exceptions.DatabaseError, OSError) as error:
            raise StoreUnavailable(
                f"The PostgreSQL catalogue of the readings store at {self._url.render_as_string()} does not answer: "
                f"{_words(error)}.",
                hint="Check that the server runs and that the URL, user and password are right.",
            ) from error


class Lake:
    """One DuckLake, attached as ``lake`` to an in-memory DuckDB whose cursors many threads may use."""

    def __init__(self, *, attach: str, data_path: Path, place: str, guard: Guard) -> None:
        self.place = place
        self.guard = guard
        shared = attach.startswith("ducklake:postgres:")
        self.metadata = f"__ducklake_metadata_lake.{_CATALOGUE_SCHEMA if shared else 'main'}"
        """Where the catalogue's own tables are, as SQL."""
        # Files are named relative to the data path, so a store that was moved or restored elsewhere opens there.
        self._options = ", OVERRIDE_DATA_PATH true"
        self._options += f", METADATA_SCHEMA {_quoted(_CATALOGUE_SCHEMA)}" if shared else ""
        self._extensions = (
            "duckdb_extension_ducklake",
            *(["duckdb_extension_postgres_scanner"] if shared else []),
        )
        self._attach = attach
        self._data_path = data_path
        self._connection = self._connect()

    @classmethod
    def embedded(cls, folder: Path) -> "Lake":
        """A folder with a local DuckDB catalogue and Parquet beside it; one process owns it."""
        folder = folder.resolve()
        data_path = folder / "parquet"
        try:
            data_path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreUnavailable(
                f"The readings store cannot use the folder {folder}: {error.strerror}.",
                hint="Choose a folder this user may write to.",
            ) from error
        attach = f"ducklake:{folder / 'catalogue.ducklake'}"
        return cls(attach=attach, data_path=data_path, place=str(folder), guard=LocalGuard())

    @classmethod
    def shared(cls, url: str, data_path: Path) -> "Lake":
        """A catalogue in PostgreSQL and Parquet in a folder that every writer sees."""
        parsed = make_url(url)
        data_path = data_path.resolve()
        data_path.mkdir(parents=True, exist_ok=True)
        guard = PostgresGuard(parsed)
        try:
            with guard.writing():  # of several first openers, one creates the catalogue
                return cls(
                    attach=f"ducklake:postgres:{_libpq(parsed)}",
                    data_path=data_path,
                    place=parsed.render_as_string(),
                    guard=guard,
                )
        except BaseException:
            guard.close()
            raise

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """A connection of its own for one use by one thread; close it after."""
        return self._connection.cursor()

    @contextlib.contextmanager
    def reading(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A cursor for queries, with DuckDB's errors told as ours."""
        with self.explained(), contextlib.closing(self.cursor()) as cursor:
            yield cursor

    @contextlib.contextmanager
    def transaction(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A cursor inside one transaction: committed at the end, rolled back when anything is raised."""
        with self.explained(), contextlib.closing(self.cursor()) as cursor:
            cursor.begin()
            try:
                yield cursor
                cursor.commit()
            except BaseException:
                with contextlib.suppress(duckdb.Error):
                    cursor.rollback()
                raise

    def close(self) -> None:
        """Give the catalogue back, so that another process may open it."""
        self._connection.close()
        self.guard.close()

    def _connect(self) -> duckdb.DuckDBPyConnection:
        connection = duckdb.connect(
            config={"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}
        )
        try:
            for package in self._extensions:
                connection.execute(f"LOAD {_quoted(str(_extension_file(package)))}")
            connection.execute("SET GLOBAL TimeZone = 'UTC'")
            options = f"DATA_PATH {_quoted(f'{self._data_path}/')}, DATA_INLINING_ROW_LIMIT {_INLINED_ROWS}"
            with self.explained():
                connection.execute(f"ATTACH {_quoted(self._attach)} AS lake ({options}{self._options})")
        except BaseException:
            connection.close()
            raise
        return connection

    @contextlib.contextmanager
    def explained(self) -> Iterator[None]:
        """Tell DuckDB's errors as ours, with what to do next; conflicts pass, for the caller to try again."""
        try:
            yield
        except duckdb.Error as error:
            known = self._known(error)
            if known is None:
                raise
            raise known from error

    def _known(self, error: duckdb.Error) -> ReadingsError | None:
        text = str(error)
        if re.search(r"Conflicting lock|Could not set lock|already attached", text):
            owner = re.search(r"PID (\d+)", text)
            return StoreBusy(self.place, int(owner.group(1)) if owner else os.getpid())
        for pattern, kind, message, hint in _STORIES:
            if re.search(pattern, text):
                return kind(message.format(place=self.place), hint=hint)
        return None


def _extension_file(package: str) -> Path:
    """The signed extension that the package brings for exactly this DuckDB; nothing is ever downloaded."""
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.submodule_search_locations is not None
    folder = Path(spec.submodule_search_locations[0]) / "extensions" / f"v{duckdb.__version__}"
    return next(folder.glob("*.duckdb_extension"))


def _words(error: Exception) -> str:
    """What PostgreSQL said; pg8000 gives its fields as a mapping."""
    said = error.args[0] if error.args else ""
    return str(said.get("M", said) if isinstance(said, dict) else said or error)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _libpq(url: URL) -> str:
    """The URL as libpq's ``key='value'`` pairs."""
    parts = {
        "dbname": url.database,
        "host": url.query.get("host", url.host),
        "port": url.port,
        "user": url.username,
        "password": url.password,
    }
    escaped = {
        key: str(part).replace("\\", "\\\\").replace("'", "\\'") for key, part in parts.items() if part
    }
    return " ".join(f"{key}='{part}'" for key, part in escaped.items())
