"""Killed at any moment of taking in, importing, editing, undoing and compacting, the stores open and are right.

`make test-all` kills a hundred times; WATTKEEPER_KILLS=1000 does so a thousand times.
"""

import importlib.util
import os
import random
import subprocess
import sys
import time
from collections import defaultdict
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from wattkeeper.kernel.database import Database
from wattkeeper.readings.editing.models import ReadingEdit, ReadingEditValue
from wattkeeper.readings.editing.service import ReadingEditing
from wattkeeper.readings.editing.values import IN_FORCE, WAITING, EditState
from wattkeeper.readings.store import ReadingsStore
from wattkeeper.registry.repository import Registry

PROCESS = Path(__file__).with_name("keeper_process.py")
_spec = importlib.util.spec_from_file_location("keeper_process", PROCESS)
keeper = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(keeper)

KILLS = int(os.environ.get("WATTKEEPER_KILLS", "100"))
SETTLED = (*WAITING, EditState.APPLIED, EditState.UNDONE)


class Kept:
    """Both stores in a folder, and what is known of them from outside."""

    def __init__(self, folder: Path, location: str) -> None:
        self.ledger = f"sqlite:///{folder / 'ledger.sqlite'}"
        self.location, self.data_path = location, folder / "readings"
        database = Database(self.ledger)
        database.create_schema()
        with database.write() as session:
            registry = Registry(session)
            link = registry.add_link(code="L", name="Link", url="tcp://127.0.0.1:2404")
            for number in range(1, keeper.METERS + 1):
                registry.add_meter(address=f"{number:012d}", link_id=link.id)
        database.dispose()

    def run_and_kill(self, step: int, patience: float) -> int:
        """Let the process work from a step on, kill it, and tell the last step it acknowledged."""
        command = [sys.executable, PROCESS, self.ledger, self.location, self.data_path, str(step)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            first = process.stdout.readline()
            time.sleep(patience)
        finally:
            process.kill()
            rest = process.stdout.read()
            process.wait(30)
            process.stdout.close()
        told = [line for line in (first + rest).split("\n")[:-1] if line]
        return int(told[-1]) if told else step - 1

    def check(self, reached: int) -> int:
        """Open the stores and compare all that is in them with what must be; returns how many values that were."""
        database = Database(self.ledger)
        with ReadingsStore.open(self.location, data_path=self.data_path) as store:
            ReadingEditing(database, store).settle(keeper.START + timedelta(days=601))
            table = store.readings()
        keys = list(zip(table["meter_id"].to_pylist(), table["read_at"].to_pylist(), strict=True))
        found = dict(zip(keys, table["value"].to_pylist(), strict=True))
        assert len(found) == len(keys), "each reading is there once"
        edited, states = self._edits(database)
        database.dispose()
        assert set(states) <= set(SETTLED)
        for step in range(reached + 1):
            for slot in keeper.slots_of(step):
                for meter in range(1, keeper.METERS + 1):
                    key = meter, keeper.START + slot * keeper.QUARTER
                    assert found.pop(key) == edited.pop(key, keeper.value_of(meter, slot)), (step, key)
        under_way = len(keeper.slots_of(reached + 1)) * keeper.METERS
        for key, value in edited.items():
            assert found.pop(key) == value, key
        assert len(found) in {0, under_way}, (
            "nothing but the step that was under way, and that whole or not at all"
        )
        return len(keys)

    @staticmethod
    def _edits(database):
        """The value of each key that an edit in force has, the last one, and the state of every edit."""
        with database.read() as session:
            edits = {edit.id: edit for edit in session.scalars(select(ReadingEdit))}
            values = defaultdict(list)
            for row in session.scalars(select(ReadingEditValue)):
                edit = edits[row.edit_id]
                if edit.state in IN_FORCE:
                    values[row.meter_id, row.at].append((edit.applied_at, row.value))
        return {key: max(of)[1] for key, of in values.items()}, [edit.state for edit in edits.values()]


def kill_again_and_again(kept: Kept, kills: int, seed: int = 698) -> tuple[int, int]:
    chance = random.Random(seed)
    reached, values = -1, 0
    for _ in range(kills):
        reached = max(reached, kept.run_and_kill(reached + 1, chance.uniform(0, 1.2)))
        values = kept.check(reached)
    return reached, values


def test_a_few_kills_lose_and_double_nothing(tmp_path):
    reached, values = kill_again_and_again(Kept(tmp_path, str(tmp_path / "readings")), kills=2)
    assert values >= keeper.METERS
    assert reached >= 1


@pytest.mark.slow
@pytest.mark.timeout(60 + 60 * KILLS)
def test_random_kills_lose_and_double_nothing(tmp_path):
    reached, values = kill_again_and_again(Kept(tmp_path, str(tmp_path / "readings")), kills=KILLS)
    assert reached >= KILLS
    assert values >= KILLS * keeper.METERS


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_random_kills_of_the_shared_store_lose_and_double_nothing(tmp_path, postgres_database):
    reached, _ = kill_again_and_again(Kept(tmp_path, postgres_database), kills=10, seed=7)
    assert reached >= 10
