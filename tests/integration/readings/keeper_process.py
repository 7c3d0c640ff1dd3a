"""What a server does to its stores, in a process of its own: ``keeper_process.py LEDGER LOCATION DATA_PATH FROM_STEP``.

Each step is acknowledged by its number once it is done: readings are taken in, files are imported for older days, a person
edits and another agrees, edits are undone, files are compacted. It goes on until it is killed.
"""

import itertools
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow as pa

from wattkeeper.kernel.database import Database
from wattkeeper.readings.editing.service import ReadingEditing
from wattkeeper.readings.editing.values import READING_EDIT_SCHEMA, EditState
from wattkeeper.readings.schemas import READING_SCHEMA
from wattkeeper.readings.store import ReadingsStore
from wattkeeper.security.acting import Actor, ActorKind, acting

START = datetime(2026, 1, 1, tzinfo=UTC)
METERS = 150  # more than are inlined in the catalogue, so that files and catalogue are both in play
QUARTER = timedelta(minutes=15)
KEY = "active_energy_import"
ANNA, BEN = (Actor(ActorKind.USER, name, user_id=n) for n, name in enumerate(("anna", "ben"), start=1))


def slots_of(step: int) -> range:
    """The slots of time that a step brings readings of, counted from START; none where it is another kind of step."""
    if step % 8 in {0, 1, 3, 4}:
        return range(step, step + 1)
    return (
        range(-4 * step - 8, -4 * step - 4) if step % 8 == 6 else range(0)
    )  # a file goes further and further back


def value_of(meter: int, slot: int) -> Decimal:
    """What a meter shows in a slot."""
    return Decimal(1_000_000 + slot) + Decimal(meter) / 100


def readings_of(step: int) -> pa.Table:
    rows = [(meter, slot) for slot in slots_of(step) for meter in range(1, METERS + 1)]
    return pa.table(
        {
            "meter_id": [meter for meter, _ in rows],
            "quantity": [KEY] * len(rows),
            "read_at": [START + slot * QUARTER for _, slot in rows],
            "value": [value_of(*row) for row in rows],
            "status": [0] * len(rows),
            "source": ["imported" if step % 8 == 6 else "meter"] * len(rows),
            "exchange_id": [None] * len(rows),
        },
        schema=READING_SCHEMA,
    )


class Steps:
    """The steps over both stores, each by its number."""

    def __init__(self, database: Database, store: ReadingsStore) -> None:
        self.store, self.editing = store, ReadingEditing(database, store)

    def take(self, step: int) -> None:
        now = START + timedelta(days=600, seconds=step)
        kind = step % 8
        if kind in {0, 1, 3, 4, 6}:
            self.store.append_readings(readings_of(step), now)
        elif kind in {2, 5}:
            self.edit(step, now)
        else:
            self.undo(now)
            self.store.maintain(datetime.now(UTC), keep_snapshots=timedelta(0))

    def edit(self, step: int, now: datetime) -> None:
        """Change three meters' readings of the step before, and one that no meter gives."""
        rows = [(meter, step - 1) for meter in (1, 2, 1 + step % METERS)]
        rows = [*dict.fromkeys(rows), (METERS, step + 16)]
        wanted = pa.table(
            [
                [meter for meter, _ in rows],
                [KEY] * len(rows),
                [START + slot * QUARTER for _, slot in rows],
                [Decimal(step) for _ in rows],
            ],
            schema=READING_EDIT_SCHEMA,
        )
        with acting(ANNA):
            edit = self.editing.propose_readings(wanted, f"step {step}", now=now)
        with acting(BEN):
            self.editing.approve(edit.id, now=now)

    def undo(self, now: datetime) -> None:
        """Take the last edit back."""
        for edit in self.editing.edits(states=[EditState.APPLIED], limit=1)[:1]:
            with acting(BEN):
                self.editing.propose_undo(edit.id, "it was right", now=now)
            with acting(ANNA):
                self.editing.approve(edit.id, now=now)


def main() -> None:
    ledger, location, data_path, begin = sys.argv[1:]
    database = Database(ledger)
    with ReadingsStore.open(location, data_path=Path(data_path)) as store:
        steps = Steps(database, store)
        steps.editing.settle(START + timedelta(days=600))
        for step in itertools.count(int(begin)):
            steps.take(step)
            sys.stdout.write(f"{step}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
