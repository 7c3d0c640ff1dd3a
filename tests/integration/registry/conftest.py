"""A ledger database in both sizes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

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
