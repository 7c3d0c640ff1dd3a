"""Nothing lost and nothing doubled, whenever a writer is killed and however many write at once."""

import importlib.util
import random
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from wattkeeper.readings.store import ReadingsStore

_spec = importlib.util.spec_from_file_location(
    "writer_process", Path(__file__).with_name("writer_process.py")
)
writer_process = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(writer_process)

METERS = 300  # more than are inlined in the catalogue, so that files and catalogue are both in play


def contents(store: ReadingsStore) -> dict[int, int]:
    """How many rows each tick has, after checking that each row is there once and with its value."""
    table = store.readings()
    keys = list(zip(table["meter_id"].to_pylist(), table["read_at"].to_pylist(), strict=True))
    assert len(keys) == len(set(keys))
    counts: dict[int, int] = {}
    for (meter, at), value in zip(keys, table["value"].to_pylist(), strict=True):
        tick = (at - writer_process.START) // timedelta(minutes=15)
        assert value * 100 == tick * 100 + meter
        counts[tick] = counts.get(tick, 0) + 1
    return counts


def run_and_kill(start_writer, folder: Path, next_tick: int, patience: float) -> int:
    """Let a writer commit a little, kill it in the middle of something, and tell its last acknowledged tick."""
    writer = start_writer(folder, folder, 1, METERS, next_tick)
    acknowledged = int(writer.stdout.readline())  # it is up and writing
    time.sleep(patience)
    writer.kill()
    rest = writer.stdout.read().split("\n")
    complete = [line for line in rest[:-1] if line]
    return int(complete[-1]) if complete else acknowledged


def kill_again_and_again(start_writer, folder: Path, kills: int) -> None:
    chance = random.Random(645)
    next_tick = 0
    for _ in range(kills):
        acknowledged = run_and_kill(start_writer, folder, next_tick, chance.uniform(0, 0.6))
        with ReadingsStore.open(folder) as store:
            counts = contents(store)
        assert set(counts.values()) == {METERS}, "a batch is stored whole or not at all"
        assert set(range(acknowledged + 1)) <= set(counts), "what was acknowledged is there"
        assert max(counts) <= acknowledged + 1, "at most the commit that was under way is there as well"
        next_tick = acknowledged + 1  # what was not acknowledged is given again
    with ReadingsStore.open(folder) as store:
        store.maintain(datetime.now(UTC) + timedelta(days=2), keep_snapshots=timedelta(0))
        assert set(contents(store)) >= set(range(next_tick))


@pytest.mark.embedded
def test_a_writer_killed_in_the_middle_loses_and_doubles_nothing(start_writer, tmp_path):
    kill_again_and_again(start_writer, tmp_path, kills=3)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_writer_killed_20_times_loses_and_doubles_nothing(start_writer, tmp_path):
    kill_again_and_again(start_writer, tmp_path, kills=20)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_four_writers_at_once_lose_and_double_nothing(start_writer, postgres_database, tmp_path):
    """Two pairs, each pair writing the very same readings of its meters."""
    ticks = 25
    writers = [
        start_writer(postgres_database, tmp_path, first, METERS, 0, ticks) for first in (1, 1, 1001, 1001)
    ]
    for writer in writers:
        assert writer.wait(500) == 0
    with ReadingsStore.open(postgres_database, data_path=tmp_path) as store:
        assert contents(store) == dict.fromkeys(range(ticks), 2 * METERS)
        assert store.latest().num_rows == 2 * METERS


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_killed_writer_of_the_shared_store_blocks_nobody(start_writer, postgres_database, tmp_path):
    for patience in (0.1, 0.35, 0.6):
        writer = start_writer(postgres_database, tmp_path, 1, METERS, 0)
        writer.stdout.readline()
        time.sleep(patience)
        writer.kill()
        survivor = start_writer(postgres_database, tmp_path, 1, METERS, 0, 8)
        assert survivor.wait(120) == 0
    with ReadingsStore.open(postgres_database, data_path=tmp_path) as store:
        counts = contents(store)
        assert set(counts.values()) == {METERS}
        assert set(range(8)) <= set(counts)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_follower_of_the_cursor_misses_no_commit_of_several_writers(
    start_writer, postgres_database, tmp_path
):
    ticks = 20
    writers = [start_writer(postgres_database, tmp_path, first, 120, 0, ticks) for first in (1, 1001, 2001)]
    seen: set[tuple[int, int]] = set()
    with ReadingsStore.open(postgres_database, data_path=tmp_path) as store:
        cursor, last_round = 0, False
        while not last_round:
            last_round = all(writer.poll() is not None for writer in writers)
            changes, cursor = store.changed_meters(cursor)
            for row in changes.to_pylist():
                first, last = (
                    (row[end] - writer_process.START) // timedelta(minutes=15)
                    for end in ("start_at", "end_at")
                )
                seen |= {(row["meter_id"], tick) for tick in range(first, last + 1)}
        assert len(seen) == 3 * 120 * ticks
