"""Readings are committed in batches, kept when the store fails, and never acknowledged before they are stored."""

import asyncio
import threading
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from wattkeeper.collection.values import CollectorOptions
from wattkeeper.collection.writer import POLLED, ExchangeRow, ReadingRow, ReadingWriter
from wattkeeper.readings.errors import BadReadings
from wattkeeper.readings.schemas import EXCHANGE_SCHEMA, READING_SCHEMA

NOW = datetime(2026, 3, 10, 4, 0, tzinfo=UTC)


class Store:
    """A store that can be told to fail, and what it was given."""

    def __init__(self):
        self.failing: set[str] = set()
        self.log: list[tuple[str, int]] = []

    def _take(self, what, count):
        if what in self.failing:
            raise OSError(f"no room for {what}")
        self.log.append((what, count))

    def append_exchanges(self, table):
        assert table.schema == EXCHANGE_SCHEMA
        self._take("exchanges", table.num_rows)

    def append_readings(self, table, now):
        assert (table.schema, now) == (READING_SCHEMA, NOW)
        self._take("readings", table.num_rows)

    def save_backfilled(self, reached):
        self._take("backfilled", len(reached))


@pytest.fixture
def store():
    return Store()


@pytest.fixture
def writer(store):
    options = CollectorOptions(commit_seconds=30, commit_rows=3)
    return ReadingWriter(store, now=lambda: NOW, save_backfilled=store.save_backfilled, options=options)


def exchange(number=1):
    return ExchangeRow(number, 1, 1, NOW, NOW, b"\x68", b"\x16", "ok")


def reading(number=1):
    return ReadingRow(1, "voltage_l1", NOW, Decimal("220.3"), 0, POLLED, number)


async def test_a_row_the_store_will_never_take_does_not_hold_up_the_others(store, writer, monkeypatch):
    kept = []

    def append_readings(table, now):
        numbers = table["exchange_id"].to_pylist()
        if 5 in numbers:
            raise BadReadings("A batch has read_at 1850-01-01 for meter_id 1; none of it was stored.")
        kept.extend(numbers)

    monkeypatch.setattr(store, "append_readings", append_readings)
    writer.add(exchange(), [reading(number) for number in range(1, 9)])
    assert await writer.flush()
    assert sorted(kept) == [1, 2, 3, 4, 6, 7, 8]
    assert (writer.waiting, writer.error) == (0, None)


async def test_the_past_is_acknowledged_only_behind_its_readings(store, writer):
    writer.add(exchange(), [reading()])
    writer.backfilled(1, NOW)
    assert writer.waiting == 1
    assert await writer.flush()
    assert store.log == [("exchanges", 1), ("readings", 1), ("backfilled", 1)]
    assert (writer.waiting, writer.committed, writer.error) == (0, 1, None)


@pytest.mark.parametrize("part", ["exchanges", "readings", "backfilled"])
async def test_what_the_store_refuses_is_kept_and_committed_once(store, writer, part):
    store.failing = {part}
    writer.add(exchange(), [reading()])
    writer.backfilled(1, NOW)
    assert not await writer.flush()
    assert writer.error == f"no room for {part}"
    writer.add(exchange(2), [reading(2)])
    store.failing = set()
    assert await writer.flush()
    assert sorted(store.log) == [
        ("backfilled", 1),
        ("exchanges", 1),
        ("exchanges", 1),
        ("readings", 1),
        ("readings", 1),
    ]
    assert (writer.committed, writer.error) == (2, None)


async def test_many_rows_are_committed_without_waiting(store, writer):
    writer.start()
    writer.add(exchange(), [reading(number) for number in range(3)])
    async with asyncio.timeout(5):
        while not writer.committed:  # noqa: ASYNC110 - a count has no event
            await asyncio.sleep(0.01)
    await writer.stop()
    assert store.log == [("exchanges", 1), ("readings", 3)]


async def test_stopping_commits_what_is_left(store, writer):
    writer.start()
    writer.add(exchange(), [reading()])
    await writer.stop()
    assert store.log == [("exchanges", 1), ("readings", 1)]


async def test_readings_that_cannot_be_committed_even_at_the_end_are_said(store, writer, capsys):
    store.failing = {"exchanges"}
    writer.add(exchange(), [reading()])
    await writer.stop()
    assert "readings lost" in capsys.readouterr().out


async def test_the_past_waits_while_the_store_is_behind(writer):
    assert not writer.is_behind
    writer.add(exchange(), [reading(number) for number in range(31)])
    assert writer.is_behind


async def test_a_commit_whose_caller_left_runs_to_its_end_and_is_not_repeated(store, writer):
    entered, may_end = threading.Event(), threading.Event()
    append = store.append_exchanges

    def slowly(table):
        entered.set()
        assert may_end.wait(10)
        append(table)

    store.append_exchanges = slowly
    writer.add(exchange(), [reading()])
    flushing = asyncio.ensure_future(writer.flush())
    await asyncio.to_thread(entered.wait, 10)
    flushing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await flushing
    stopping = asyncio.ensure_future(writer.stop())
    await asyncio.sleep(0)
    may_end.set()
    await stopping
    assert store.log == [("exchanges", 1), ("readings", 1)]


async def test_memory_is_not_filled_without_end_while_the_store_fails(writer):
    writer.add(exchange(), [reading(number) for number in range(150)])
    assert not writer.is_full
    writer.add(exchange(), [reading()])
    assert writer.is_full
