"""Real things that the tests of several rooms stand on: a ledger database in both sizes, a serial cable."""

import os
import select
import shutil
import threading
import tty
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import wattkeeper.migrations
from wattkeeper.kernel.database import Database


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'ledger.db'}"


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def empty_database(request: pytest.FixtureRequest) -> Iterator[Database]:
    """A database without tables."""
    name = {"sqlite": "sqlite_url", "postgresql": "postgres_database"}[request.param]
    database = Database(request.getfixturevalue(name))
    yield database
    database.dispose()


@pytest.fixture
def database(empty_database: Database) -> Database:
    """A database with every table of the rooms imported so far."""
    empty_database.create_schema()
    return empty_database


@pytest.fixture(scope="module")
def serial_cable() -> Iterator[tuple[str, str]]:
    """Two serial ports with a cable between them: what goes into one comes out of the other."""
    ends = [os.openpty() for _ in range(2)]
    for _, slave in ends:
        tty.setraw(slave)
    (one, _), (other, _) = ends
    unplugged = threading.Event()

    def carry() -> None:
        while not unplugged.is_set():
            for end in select.select([one, other], [], [], 0.05)[0]:
                os.write(other if end == one else one, os.read(end, 1000))

    carrier = threading.Thread(target=carry)
    carrier.start()
    yield os.ttyname(ends[0][1]), os.ttyname(ends[1][1])
    unplugged.set()
    carrier.join()
    for master, slave in ends:
        os.close(master)
        os.close(slave)


@pytest.fixture
def migrations_before(tmp_path: Path) -> Callable[[str], Path]:
    """Our migration folder as it was before a revision."""

    def folder(revision: str) -> Path:
        before = tmp_path / "migrations"
        shutil.copytree(Path(wattkeeper.migrations.__file__).parent, before)
        for version in (before / "versions").glob("0*.py"):
            if version.name >= revision:
                version.unlink()
        return before

    return folder
