"""The change feed is ordered by commit, complete, and read at least once."""

import threading
import time
from decimal import Decimal

import pytest

from wattkeeper.kernel.database import Database
from wattkeeper.kernel.feed import ChangeFeed, Event

feed = ChangeFeed()


class Crash(Exception):
    """The process ends in the middle of a transaction."""


def crash(database: Database, work) -> None:
    with database.write() as session:
        work(session)
        raise Crash


def append(database: Database, topic: str, payload: object) -> int:
    with database.write() as session:
        return feed.append(session, topic, payload)


def read(
    database: Database, consumer: str = "billing", topics: tuple[str, ...] = ("a", "b"), limit: int = 100
):
    with database.read() as session:
        return feed.read(session, consumer, topics, limit)


def test_events_come_in_order_and_only_of_the_topics_asked_for(database):
    append(database, "a", {"kwh": Decimal("1.50")})
    append(database, "c", {})
    append(database, "b", [1])
    assert read(database) == [Event(1, "a", {"kwh": "1.50"}), Event(3, "b", [1])]
    assert read(database, limit=1) == [Event(1, "a", {"kwh": "1.50"})]


def test_every_consumer_has_its_own_cursor_which_never_moves_back(database):
    sequences = [append(database, "a", number) for number in range(3)]
    with database.write() as session:
        feed.advance(session, "billing", sequences[1])
        feed.advance(session, "billing", sequences[0])
    assert [event.payload for event in read(database)] == [2]
    assert [event.payload for event in read(database, "analysis")] == [0, 1, 2]


def test_an_event_is_seen_again_when_the_work_on_it_was_rolled_back(database):
    append(database, "a", 1)
    with pytest.raises(Crash):
        crash(database, lambda session: feed.advance(session, "billing", 1))
    assert [event.sequence for event in read(database)] == [1]


def test_an_event_of_a_rolled_back_change_is_never_seen(database):
    with pytest.raises(Crash):
        crash(database, lambda session: feed.append(session, "a", "not true"))
    append(database, "a", "true")
    assert [event.payload for event in read(database)] == ["true"]


def test_only_what_every_consumer_has_dealt_with_is_pruned(database):
    for number in range(4):
        append(database, "a", number)
    with database.write() as session:
        feed.advance(session, "billing", 0)
        assert feed.prune(session) == 0
        feed.advance(session, "billing", 3)
        feed.advance(session, "analysis", 2)
        assert feed.prune(session) == 2
    assert [event.payload for event in read(database, "new")] == [2, 3]
    assert append(database, "a", 4) == 5


def test_where_nobody_reads_nothing_is_kept_until_somebody_says_so(database):
    append(database, "a", "unread")
    with database.write() as session:
        assert feed.prune(session) == 1
        assert feed.prune(session) == 0
        feed.advance(session, "billing", feed.head(session))
    append(database, "a", "awaited")
    with database.write() as session:
        assert feed.prune(session) == 0
    assert [event.payload for event in read(database)] == ["awaited"]


def test_a_sequence_number_is_not_used_again_after_pruning(database):
    last = append(database, "a", 1)
    with database.write() as session:
        feed.advance(session, "billing", feed.head(session))
        feed.prune(session)
    assert append(database, "a", 2) > last


def test_a_slow_commit_is_not_overtaken_so_no_reader_can_skip_it(database):
    """Two writers; the one that draws its number first commits last. A reader polls all the time."""
    slow_has_appended, seen = threading.Event(), []

    def slow() -> None:
        with database.write() as session:
            feed.append(session, "a", "slow")
            slow_has_appended.set()
            time.sleep(0.3)

    def fast() -> None:
        slow_has_appended.wait(10)
        append(database, "a", "fast")

    writers = [threading.Thread(target=slow), threading.Thread(target=fast)]
    for writer in writers:
        writer.start()
    deadline = time.monotonic() + 20
    while len(seen) < 2 and time.monotonic() < deadline:
        for event in read(database):
            with database.write() as session:
                feed.advance(session, "billing", event.sequence)
            seen.append(event.payload)
        time.sleep(0.01)
    for writer in writers:
        writer.join(10)
    assert seen == ["slow", "fast"]
