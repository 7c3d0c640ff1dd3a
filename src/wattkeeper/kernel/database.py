"""The ledger database: SQLite by default, PostgreSQL by URL, one code path.

Sessions are synchronous and run in threads; the event loop never waits for one. Application code never
calls ``commit``: a ``write()`` block is one transaction, committed at its end or rolled back by an exception.
"""

import enum
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Engine, MetaData, String, create_engine, event, make_url, text
from sqlalchemy import Enum as EnumColumn
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.pool import QueuePool

from wattkeeper.kernel.columns import BigId, Instant
from wattkeeper.kernel.errors import WattkeeperError

T = TypeVar("T")

_BUSY_SECONDS = 15
_NAMED_AT_ONCE = 500
_ROWS_ANALYSED = 1000
"""Rows of each index that tell enough of the rest; all of a large ledger would take a writer's time."""

_NOTICED_WHEN_GONE = (
    "SET tcp_keepalives_idle = 30",
    "SET tcp_keepalives_interval = 10",
    "SET tcp_keepalives_count = 3",
)
"""A machine that lost its power says no farewell, and holds what it held until PostgreSQL asks after it."""


class DatabaseError(WattkeeperError):
    """The ledger database could not do its part."""


class DatabaseUnavailable(DatabaseError):
    """The ledger database cannot be opened or reached."""


class DatabaseBusy(DatabaseError):
    """Another writer held the ledger database for longer than we wait."""


class SchemaTooNew(DatabaseError):
    """The ledger database was written by a newer version of Wattkeeper; nothing was changed."""


class Base(DeclarativeBase):
    """The base of every table. Integers are 64-bit, datetimes are instants, enumerations are checked texts."""

    metadata = MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy's declaration
        int: BigId,
        str: String(),
        datetime: Instant(),
        enum.Enum: EnumColumn(
            enum.Enum,
            native_enum=False,
            create_constraint=True,
            length=32,
            values_callable=lambda members: [member.value for member in members],
        ),
    }


class Database:
    """The ledger database behind one URL: ``sqlite:////path/file.db`` or ``postgresql://user@host/name``."""

    def __init__(self, url: str) -> None:
        self.url = _normalised(url)
        self._engine = _create_engine(self.url)
        self._reader = _reading(self._engine)
        self._writer = self._engine.execution_options(wattkeeper_writes=True)

    @property
    def is_postgresql(self) -> bool:
        """Whether this is the large size."""
        return self.url.get_backend_name() == "postgresql"

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A read-only session that sees one unmoving state of the database."""
        with self._explained(), Session(self._reader, autoflush=False, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """One transaction: committed at the end of the block, rolled back when it raises."""
        with self._explained(), Session(self._writer, expire_on_commit=False) as session, session.begin():
            yield session

    def create_schema(self) -> None:
        """Create the tables of every imported model directly, for tests; an installation uses ``migrate``."""
        with self._explained(), self._writer.begin() as connection:
            Base.metadata.create_all(connection)

    def migrate(self, *, scripts: Path | None = None) -> None:
        """Bring the tables to this version, or raise SchemaTooNew. ``scripts`` is our own folder by default."""
        from wattkeeper.migrations import runner  # noqa: PLC0415 - Alembic is slow to import, and only servers need it

        connect = self._writer.connect
        with self._explained(), connect() as connection, _foreign_keys_off(connection), connection.begin():
            runner.upgrade(connection, scripts=scripts)

    def analyse(self) -> None:
        """Tell SQLite how many rows it has and how they differ; PostgreSQL finds out by itself.

        Without it, SQLite takes `cancels_id IS NULL` for rare, because it is unique, and goes through every bill there
        is to find those of one account: 25 ms for each bill issued at 10,000 bills, and more with each month.
        """
        if self._engine.dialect.name != "sqlite" or _in_memory(self.url):
            return
        with self.write() as session:
            for statement in (f"PRAGMA analysis_limit={_ROWS_ANALYSED}", "ANALYZE"):
                session.connection().exec_driver_sql(statement)
        self._engine.dispose()  # what is open already would go on with what it knew

    def hold(self, key: int) -> Callable[[], None] | None:
        """Be the only one of all processes on this database that holds `key`; returns what lets go, None: another does.

        On PostgreSQL it is a lock of a session of its own, gone with the process, and a minute after its machine. An
        SQLite file has one process anyway: whoever owns its folder.
        """
        if not self.is_postgresql:
            return lambda: None
        with self._explained():
            connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            connection.detach()  # back in the pool the session would go on holding
            for setting in _NOTICED_WHEN_GONE:
                connection.exec_driver_sql(setting)
            if connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": key}):
                return connection.close
            connection.close()
            return None

    def dispose(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except PoolTimeout as error:
            raise DatabaseBusy(
                f"All connections to the ledger database were in use for {_BUSY_SECONDS} seconds.",
                hint="Try again.",
            ) from error
        except DBAPIError as error:
            if (explained := _explain(error, self.url)) is None:
                raise
            raise explained from error


def in_parts(items: Sequence[T], size: int = _NAMED_AT_ONCE) -> Iterator[Sequence[T]]:
    """The items some at a time: SQLite takes so many values in one statement and no more."""
    return (items[first : first + size] for first in range(0, len(items), size))


def violates_uniqueness(error: DBAPIError) -> bool:
    """Whether the database refused a second row of something that is unique."""
    return "UNIQUE constraint" in str(error.orig) or _sqlstate(error) == "23505"


def violates_constraint(error: DBAPIError) -> bool:
    """Whether the database refused a row for any of its constraints (SQLSTATE class 23)."""
    return "constraint failed" in str(error.orig) or _sqlstate(error).startswith("23")


def _sqlstate(error: DBAPIError) -> str:
    """PostgreSQL's code; pg8000 calls most violations a ProgrammingError, so the class of the exception does not tell."""
    return str(_facts(error).get("C", ""))


def _words(error: DBAPIError) -> str:
    return str(_facts(error).get("M", error.orig))


def _facts(error: DBAPIError) -> dict[str, Any]:
    """The fields of PostgreSQL's error message; empty for SQLite."""
    facts = error.orig.args[0] if error.orig is not None and error.orig.args else None
    return facts if isinstance(facts, dict) else {}


def _normalised(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise DatabaseUnavailable(
            "The database URL cannot be understood.",
            hint="Write sqlite:////folder/wattkeeper.db or postgresql://user:password@host/name.",
        ) from error
    backend = parsed.get_backend_name()
    if backend == "sqlite":
        return parsed
    if backend in {"postgresql", "postgres"}:
        return parsed.set(drivername="postgresql+pg8000")
    raise DatabaseUnavailable(
        f"The ledger database cannot be a {backend} database.", hint="Use a sqlite: or postgresql: URL."
    )


def _create_engine(url: URL) -> Engine:
    if url.get_backend_name() == "postgresql":
        return create_engine(url, pool_pre_ping=True)
    # Each thread has its own connection to a file; a database in memory lives in exactly one.
    sizes: dict[str, Any] = (
        {"pool_size": 1, "max_overflow": 0} if _in_memory(url) else {"pool_size": 8, "max_overflow": 32}
    )
    engine = create_engine(
        url,
        poolclass=QueuePool,
        pool_timeout=_BUSY_SECONDS,
        connect_args={"timeout": _BUSY_SECONDS, "check_same_thread": False},
        **sizes,
    )
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _in_memory(url: URL) -> bool:
    return url.database in {None, "", ":memory:"}


def _reading(engine: Engine) -> Engine:
    if engine.dialect.name == "postgresql":
        return engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    return engine


def _prepare_sqlite(connection: Any, _record: object) -> None:
    """Set what SQLite forgets between connections; the driver must not begin transactions on its own."""
    connection.isolation_level = None
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA foreign_keys=ON")
    # A bill that was issued or a command that was approved must survive a power cut, not only a crash.
    connection.execute("PRAGMA synchronous=FULL")


def _begin_sqlite(connection: Connection) -> None:
    """Take the write lock at the start: a transaction that reads first and writes later could not be kept."""
    writes = connection.get_execution_options().get("wattkeeper_writes", False)
    connection.exec_driver_sql(f"PRAGMA query_only={'OFF' if writes else 'ON'}")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextmanager
def _foreign_keys_off(connection: Connection) -> Iterator[None]:
    """Let a migration replace a table on SQLite, which cannot alter one, without touching the rows that refer to it.

    The pragma works only between transactions. ``runner`` checks every foreign key before the migration is kept.
    """
    if connection.dialect.name != "sqlite":
        yield
        return
    driver: Any = connection.connection.driver_connection
    driver.execute("PRAGMA foreign_keys=OFF")
    try:
        yield
    finally:
        driver.execute("PRAGMA foreign_keys=ON")


def _explain(error: DBAPIError, url: URL) -> DatabaseError | None:
    """The sentence for what an operator can mend; anything else is a fault of ours and stays as it is."""
    text = str(error.orig)
    where = url.render_as_string(hide_password=True)
    if "database is locked" in text:
        return DatabaseBusy(
            f"Another program has held {where} for more than {_BUSY_SECONDS} seconds.",
            hint="Try again, or look for a second server on the same folder.",
        )
    if _sqlstate(error) in _CONFLICTS:
        return DatabaseBusy(
            f"Two changes in {where} waited for each other, and this one was undone.", hint="Try again."
        )
    for sign, hint in _UNAVAILABLE.items():
        if sign in text:
            return DatabaseUnavailable(
                f"The ledger database {where} cannot be used: {_words(error)}.", hint=hint
            )
    return None


_CONFLICTS = {"40001", "40P01", "55P03"}
"""PostgreSQL: serialization failure, deadlock, lock not available."""
_UNAVAILABLE = {
    "unable to open database file": "Check that the folder exists and that this user may write there.",
    "readonly database": "Give this user the right to write the file and its folder.",
    "file is not a database": "The file is damaged or something else; restore it from a backup.",
    "disk image is malformed": "The file is damaged; restore it from a backup.",
    "database or disk is full": "Free some space on the disk and try again.",
    "network error": "Check that the database server runs and try again.",
    "Can't create a connection": "Check that the database server runs and can be reached.",
    "'C': '28": "Check the user and password in the database URL.",  # PostgreSQL's class of invalid authorisation
    "'C': '3D000'": "Create the database first.",
}
