"""The ledger database keeps its promises about transactions, threads and bad circumstances, in both sizes."""

import sqlite3
import threading
from pathlib import Path

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from wattkeeper.kernel.database import (
    Database,
    DatabaseBusy,
    DatabaseError,
    DatabaseUnavailable,
    violates_constraint,
)
from wattkeeper.kernel.feed import FeedCursor


def cursors(database: Database) -> list[str]:
    with database.read() as session:
        return list(session.scalars(select(FeedCursor.consumer).order_by(FeedCursor.consumer)))


class Crash(Exception):
    """The process ends in the middle of a transaction."""


def crash(database: Database) -> None:
    with database.write() as session:
        session.add(FeedCursor(consumer="lost", sequence=1))
        session.flush()
        raise Crash


def add(database: Database, consumer: str, sequence: int = 0) -> None:
    with database.write() as session:
        session.add(FeedCursor(consumer=consumer, sequence=sequence))


def test_a_write_block_is_kept_whole_or_not_at_all(database):
    add(database, "kept")
    with pytest.raises(Crash):
        crash(database)
    assert cursors(database) == ["kept"]


def test_a_read_session_cannot_write(database):
    with pytest.raises((DBAPIError, DatabaseError)), database.read() as session:
        session.execute(text("INSERT INTO feed_cursor (consumer, sequence) VALUES ('x', 1)"))
    assert cursors(database) == []


def test_a_read_session_sees_one_state_however_long_it_looks(database):
    with database.read() as session:
        before = session.scalars(select(FeedCursor.consumer)).all()
        add(database, "meanwhile")
        assert session.scalars(select(FeedCursor.consumer)).all() == before == []
    assert cursors(database) == ["meanwhile"]


def test_the_database_itself_refuses_what_a_constraint_forbids(database):
    with pytest.raises(DBAPIError) as refused:
        add(database, "negative", sequence=-1)
    assert violates_constraint(refused.value)


def test_what_a_session_read_can_be_used_after_it(database):
    add(database, "a", 7)
    with database.read() as session:
        found = session.scalars(select(FeedCursor)).one()
    assert (found.consumer, found.sequence) == ("a", 7)


def test_writers_in_many_threads_wait_for_each_other(database):
    add(database, "counter", 0)

    def count() -> None:
        for _ in range(10):
            with database.write() as session:
                session.get(FeedCursor, "counter", with_for_update=True).sequence += 1

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    with database.read() as session:
        assert session.get(FeedCursor, "counter").sequence == 40


def test_sqlite_checks_foreign_keys_and_survives_a_power_cut(sqlite_url):
    database = Database(sqlite_url)
    with database.read() as session:
        settings = [
            session.scalar(text(f"PRAGMA {name}")) for name in ("journal_mode", "foreign_keys", "synchronous")
        ]
    database.dispose()
    assert settings == ["wal", 1, 2]


def test_a_database_held_by_another_program_is_said_to_be_busy(sqlite_url, tmp_path, monkeypatch):
    monkeypatch.setattr("wattkeeper.kernel.database._BUSY_SECONDS", 0.2)
    database = Database(sqlite_url)
    database.create_schema()
    other = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(DatabaseBusy, match="Another program has held"):
        add(database, "a")
    other.execute("ROLLBACK")
    other.close()
    add(database, "a")
    database.dispose()


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        pytest.param("sqlite:////no/such/folder/ledger.db", "Check that the folder exists", id="no_folder"),
        pytest.param(
            "postgresql://nobody@127.0.0.1:1/none", "Check that the database server runs", id="no_server"
        ),
    ],
)
def test_a_database_that_cannot_be_opened_is_explained(url, sentence):
    database = Database(url)
    with pytest.raises(DatabaseUnavailable, match=sentence), database.read() as session:
        session.execute(text("SELECT 1"))
    database.dispose()


def test_a_file_that_is_no_database_is_explained_and_left_alone(tmp_path: Path):
    file = tmp_path / "ledger.db"
    file.write_bytes(b"not a database" * 100)
    database = Database(f"sqlite:///{file}")
    with pytest.raises(DatabaseUnavailable, match="restore it from a backup"):
        add(database, "a")
    database.dispose()
    assert file.read_bytes() == b"not a database" * 100


@pytest.mark.slow
def test_a_password_is_not_repeated_in_an_error(postgres_database):
    database = Database(postgres_database.replace("postgres@", "postgres:secret@") + "_missing")
    with (
        pytest.raises(DatabaseUnavailable, match="Create the database first") as refused,
        database.read() as session,
    ):
        session.execute(text("SELECT 1"))
    database.dispose()
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("url", ["mysql://host/name", "nonsense"])
def test_other_kinds_of_url_are_refused_with_an_example(url):
    with pytest.raises(DatabaseUnavailable, match="sqlite:"):
        Database(url)


def test_a_database_in_memory_is_one_for_all_threads():
    database = Database("sqlite://")
    database.create_schema()
    writer = threading.Thread(target=add, args=(database, "a"))
    writer.start()
    writer.join(10)
    assert cursors(database) == ["a"]
    database.dispose()


def test_analysing_tells_sqlite_what_its_indexes_are_worth(tmp_path):
    database = Database(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    database.create_schema()
    for consumer in ("a", "b"):
        add(database, consumer)
    with database.read() as held:  # a reader does not keep anyone from analysing
        held.execute(text("SELECT count(*) FROM feed_cursor"))
        database.analyse()
    with database.read() as session:
        known = session.execute(text("SELECT tbl, stat FROM sqlite_stat1")).all()
    assert known
    assert cursors(database) == ["a", "b"]
    database.dispose()
