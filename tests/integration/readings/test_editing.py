"""A person edits, a second one agrees; everything derived follows, and taking it back restores what stood before."""

from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import DBAPIError

from wattkeeper.kernel.database import Database
from wattkeeper.kernel.feed import ChangeFeed
from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.readings.corrections import Corrections
from wattkeeper.readings.editing.errors import BadEdit, EditDecided, SecondReaderNeeded, UnknownEdit
from wattkeeper.readings.editing.models import ReadingEditValue
from wattkeeper.readings.editing.repository import EditRepository
from wattkeeper.readings.editing.service import ReadingEditing
from wattkeeper.readings.editing.trail import EditTrail
from wattkeeper.readings.editing.values import (
    INTERVAL_EDIT_SCHEMA,
    READING_EDIT_SCHEMA,
    EditKind,
    EditState,
)
from wattkeeper.readings.errors import StoreFull
from wattkeeper.readings.schemas import IntervalStatus
from wattkeeper.readings.service import TOPIC, IntervalService
from wattkeeper.readings.store import ReadingsStore
from wattkeeper.registry.repository import Registry
from wattkeeper.registry.scope import NOTHING
from wattkeeper.registry.service import install_meter
from wattkeeper.security.acting import Actor, ActorKind, acting
from wattkeeper.security.models import AuditEvent

T0 = datetime(2026, 1, 5, 6, 0, tzinfo=UTC)  # 14:00 in Shanghai
NOW = T0 + timedelta(days=20)
KEY = "active_energy_import"
SHANGHAI = ZoneInfo("Asia/Shanghai")
DAY = (date(2026, 1, 5), date(2026, 1, 5))


def after(minutes: float) -> datetime:
    return T0 + timedelta(minutes=minutes)


@contextmanager
def signed_in(name: str):
    with acting(Actor(ActorKind.USER, name, user_id={"anna": 1, "ben": 2, "carla": 3}[name])):
        yield


class World:
    """A metering point with a meter that was read every quarter hour for two hours, 1 kWh each, and who may edit."""

    def __init__(self, database: Database, store: ReadingsStore, batch) -> None:
        self.database, self.store, self.batch = database, store, batch
        self.intervals = IntervalService(database, store)
        self.editing = ReadingEditing(database, store)
        self.trail = EditTrail(database, store)
        self.now = NOW
        with database.write() as session:
            registry = Registry(session)
            site = registry.add_site(code="S", name="Site", zone="Asia/Shanghai")
            link = registry.add_link(code="L", name="Link", url="tcp://127.0.0.1:2404")
            meter = registry.add_meter(address="000000000001", link_id=link.id)
            point = registry.add_point(site_id=site.id, code="P", name="Point")
            session.flush()
            self.point, self.meter = point.id, meter.id
            install_meter(session, point_id=point.id, meter_id=meter.id, at=T0, first_register=Decimal(100))
        self.read(*((15 * n, str(100 + n)) for n in range(9)))
        self.derive()
        self.events()

    def later(self) -> datetime:
        self.now += timedelta(hours=1)
        return self.now

    def read(self, *rows: tuple) -> None:
        self.store.append_readings(
            self.batch(
                *((self.meter, after(m), value, *(source or ("meter",))) for m, value, *source in rows)
            ),
            self.later(),
        )

    def derive(self) -> int:
        return self.intervals.derive_pending(self.later())

    def propose(self, *rows: tuple[float, str], by: str = "anna"):
        wanted = pa.Table.from_pylist(
            [
                {"meter_id": self.meter, "quantity": KEY, "read_at": after(m), "value": Decimal(v)}
                for m, v in rows
            ],
            schema=READING_EDIT_SCHEMA,
        )
        with signed_in(by):
            return self.editing.propose_readings(wanted, "display photographed", now=self.later())

    def propose_energy(self, *rows: tuple[float, str], by: str = "anna"):
        wanted = pa.Table.from_pylist(
            [
                {"point_id": self.point, "quantity": KEY, "start_at": after(m), "energy": Decimal(v)}
                for m, v in rows
            ],
            schema=INTERVAL_EDIT_SCHEMA,
        )
        with signed_in(by):
            return self.editing.propose_intervals(wanted, "transformer was out", now=self.later())

    def approve(self, edit, by: str = "ben"):
        with signed_in(by):
            return self.editing.approve(edit.id, now=self.later())

    def edited(self, *rows):
        return self.approve(self.propose(*rows))

    def undone(self, edit, by: str = "ben", seconded_by: str = "anna"):
        with signed_in(by):
            self.editing.propose_undo(edit.id, "it was right", now=self.later())
        return self.approve(edit, seconded_by)

    def registers(self, **known) -> dict[float, str]:
        found = self.store.readings(meter_ids=[self.meter], **known).to_pylist()
        return {(r["read_at"] - T0) / timedelta(minutes=1): str(r["value"].normalize() + 0) for r in found}

    def energies(self, **known) -> dict[float, str | None]:
        found = self.store.intervals(point_ids=[self.point], **known).to_pylist()
        return {
            (r["start_at"] - T0) / timedelta(minutes=1): None
            if r["energy"] is None
            else str(r["energy"].normalize() + 0)
            for r in found
        }

    def day(self) -> list[Decimal]:
        """The sum of the day as it is kept, and as the intervals say."""
        kept = self.store.energy_of_points(None, KEY, DAY, SHANGHAI)["energy"].to_pylist()
        period = TimeRange.day(DAY[0], SHANGHAI)
        stored = self.store.intervals(point_ids=[self.point], period=period)["energy"].to_pylist()
        return [sum(kept), sum(energy or 0 for energy in stored)]

    def events(self) -> list[tuple[float, float]]:
        feed = ChangeFeed()
        with self.database.write() as session:
            events = feed.read(session, "test", [TOPIC], 100)
            for event in events:
                feed.advance(session, "test", event.sequence)
        ends = [(event.payload["start"], event.payload["end"]) for event in events]
        return [
            tuple((datetime.fromisoformat(end) - T0) / timedelta(minutes=1) for end in pair) for pair in ends
        ]

    def restarted(self) -> ReadingEditing:
        """What a server that was killed starts with."""
        return ReadingEditing(self.database, self.store)


@pytest.fixture
def world(database, store, batch):
    return World(database, store, batch)


BEFORE = {15.0 * n: "1" for n in range(8)}


def test_an_edit_counts_once_a_second_person_agreed_and_everything_follows(world):
    assert world.day() == [8, 8]
    edit = world.propose((30, "102.4"))
    world.derive()
    assert (edit.state, world.registers()[30], world.energies()) == (EditState.PROPOSED, "102", BEFORE)
    done = world.approve(edit)
    assert (done.state, done.proposed_by, done.values) == (EditState.APPLIED, "anna", 1)
    world.derive()
    assert world.registers()[30] == "102.4"
    assert world.energies() == BEFORE | {15: "1.4", 30: "0.6"}
    assert world.events() == [(15, 45)]
    assert world.day() == [8, 8]


def test_who_asked_never_agrees_and_nobody_agrees_unseen(world):
    edit = world.propose((30, "102.4"))
    with pytest.raises(SecondReaderNeeded, match="anna asked for this"):
        world.approve(edit, by="anna")
    with pytest.raises(SecondReaderNeeded, match="nobody is signed in"):
        world.editing.approve(edit.id, now=world.later())
    world.approve(edit)
    with pytest.raises(EditDecided, match="is applied"):
        world.approve(edit, by="carla")
    with signed_in("ben"):
        world.editing.propose_undo(edit.id, "look again", now=world.later())
    with pytest.raises(SecondReaderNeeded, match="ben asked for this"):
        world.approve(edit, by="ben")
    assert world.registers()[30] == "102.4"


def test_what_is_refused_or_withdrawn_changes_nothing(world):
    refused, withdrawn = world.propose((30, "102.4")), world.propose((45, "103.2"))
    with signed_in("ben"), pytest.raises(BadEdit, match="needs a reason"):
        world.editing.refuse(refused.id, now=world.later(), note=" ")
    with signed_in("ben"):
        assert world.editing.refuse(refused.id, now=world.later(), note="no photo").state is EditState.REFUSED
    with signed_in("anna"):
        assert world.editing.withdraw(withdrawn.id, now=world.later()).state is EditState.WITHDRAWN
    assert world.editing.settle(world.later()) == 0
    assert world.derive() == 0
    assert world.registers()[30] == "102"


def test_undoing_restores_what_stood_before_and_tells_everything_computed(world):
    edit = world.edited((30, "102.4"))
    world.derive()
    world.events()
    assert world.undone(edit).state is EditState.UNDONE
    world.derive()
    assert world.registers()[30] == "102"
    assert world.energies() == BEFORE
    assert world.events() == [(15, 45)]
    assert world.day() == [8, 8]
    known = world.registers(as_known_at=edit.applied_at), world.energies(as_known_at=world.now)
    assert (known[0][30], known[1]) == ("102.4", BEFORE)


def test_a_reading_that_only_a_person_said_is_gone_when_it_is_taken_back(world):
    edit = world.edited((37.5, "102.9"))
    world.derive()
    assert world.registers()[37.5] == "102.9"
    world.undone(edit)
    assert 37.5 not in world.registers()
    assert world.registers(as_known_at=edit.applied_at)[37.5] == "102.9"
    world.derive()
    assert world.energies() == BEFORE


def test_a_last_reading_that_is_taken_back_is_the_latest_no_more(world):
    edit = world.edited((135, "110"))
    world.derive()
    world.events()
    assert world.store.latest([world.meter])["value"].to_pylist() == [Decimal(110)]
    assert world.energies()[120] == "2"
    world.undone(edit)
    assert world.store.latest([world.meter])["value"].to_pylist() == [Decimal(108)]
    world.derive()
    assert world.energies() == BEFORE
    assert world.events() == [(120, 135)]
    assert world.day() == [8, 8]


def test_the_latest_reading_is_right_also_in_a_store_opened_anew(open_store, database, batch):
    world = World(database, open_store(), batch)
    edit = world.edited((135, "110"))
    world.store.maintain(NOW)
    world.undone(edit)
    world.store.close()
    assert open_store().latest([world.meter])["value"].to_pylist() == [Decimal(108)]


def test_an_edit_survives_a_reread_and_what_the_meter_said_meanwhile_stands_after_it(world):
    edit = world.edited((30, "102.4"))
    world.read((30, "102"))
    assert world.registers()[30] == "102.4"
    world.read((30, "102.2"))
    assert world.registers()[30] == "102.4"
    world.undone(edit)
    assert world.registers()[30] == "102.2"
    world.read((30, "102.2"))
    assert [row.source for row in world.trail.history(EditKind.READING, world.meter, KEY, after(30))] == [
        "meter",
        "edited",
        "meter",
        "meter",
    ]


def test_of_two_edits_the_later_stands_and_each_can_be_taken_back_alone(world):
    first, second = world.edited((30, "102.1")), world.edited((30, "102.2"), (45, "103.3"))
    world.undone(first)
    assert (world.registers()[30], world.registers()[45]) == ("102.2", "103.3")
    world.undone(second)
    assert (world.registers()[30], world.registers()[45]) == ("102", "103")
    third, fourth = world.edited((30, "102.3")), world.edited((30, "102.4"))
    world.undone(fourth)
    assert world.registers()[30] == "102.3"
    world.undone(third)
    assert world.registers()[30] == "102"


def test_an_edit_that_repeats_another_holds_when_that_is_taken_back(world):
    first, second = world.edited((30, "102.4")), world.edited((30, "102.4"))
    world.undone(first)
    assert world.registers()[30] == "102.4"
    world.undone(second)
    assert world.registers()[30] == "102"


def test_an_edited_interval_stands_over_what_is_derived_until_it_is_taken_back(world):
    edit = world.approve(world.propose_energy((15, "1.7"), (120, "0.5")))
    world.derive()
    assert world.energies() == BEFORE | {15: "1.7", 120: "0.5"}
    assert world.events() == [(15, 135)]
    assert world.day() == [Decimal("9.2")] * 2
    found = world.store.intervals(point_ids=[world.point]).to_pylist()
    assert [(r["method"], r["status"]) for r in found if r["start_at"] == after(15)] == [
        ("edited", IntervalStatus.EDITED.value)
    ]
    world.read((30, "102.5"))
    world.derive()
    assert world.energies() == BEFORE | {15: "1.7", 30: "0.5", 120: "0.5"}
    world.undone(edit)
    world.derive()
    assert world.energies() == BEFORE | {15: "1.5", 30: "0.5"}
    assert world.day() == [8, 8]


def test_an_interval_whose_ground_went_while_it_was_edited_does_not_come_back(world):
    reading = world.edited((135, "110"))
    world.derive()
    interval = world.approve(world.propose_energy((120, "1.9")))
    world.undone(reading)
    world.derive()
    assert world.energies() == BEFORE | {120: "1.9"}
    world.undone(interval)
    assert world.energies() == BEFORE
    assert world.day() == [8, 8]


def test_the_diff_says_before_and_after_with_where_each_came_from(world):
    edit = world.propose((30, "102.4"), (37.5, "102.9"))
    rows, more = world.trail.diff(edit.id, limit=1)
    assert (rows[0].wanted, rows[0].before.value, rows[0].before.source, rows[0].change) == (
        Decimal("102.4"),
        Decimal(102),
        "meter",
        Decimal("0.4"),
    )
    rows, more = world.trail.diff(edit.id, after=more, limit=1)
    assert ([(r.at, r.before, r.now, r.change) for r in rows], more) == (
        [(after(37.5), None, None, None)],
        None,
    )
    world.approve(edit)
    world.read((30, "102.1"))
    row = world.trail.diff(edit.id)[0][0]
    assert (row.before.value, row.now.value, row.now.source) == (Decimal(102), Decimal("102.4"), "edited")
    world.undone(edit)
    row = world.trail.diff(edit.id)[0][0]
    assert (row.before.value, row.now.value, row.now.source) == (Decimal(102), Decimal("102.1"), "meter")


def test_the_history_of_a_value_names_who_and_why(world):
    edit = world.edited((30, "102.4"))
    undone = world.undone(edit)
    found = world.trail.history(EditKind.READING, world.meter, KEY, after(30))
    assert [
        (str(v.value), v.source, v.edit and v.edit.reason, v.undone and v.undone.id, v.superseded_at)
        for v in found
    ] == [
        ("102.0000", "meter", None, edit.id, None),
        ("102.4000", "edited", "display photographed", None, undone.undone_at),
        ("102.0000", "meter", None, None, edit.applied_at),
    ]
    assert [(step.state.value, step.by, step.note) for step in world.editing.steps(edit.id)] == [
        ("proposed", "anna", "display photographed"),
        ("approved", "ben", None),
        ("applied", "system", None),
        ("undo_proposed", "ben", "it was right"),
        ("undo_approved", "anna", None),
        ("undone", "system", None),
    ]
    with world.database.read() as session:
        actions = session.scalars(select(AuditEvent.action).where(AuditEvent.subject_kind == "reading_edit"))
        assert list(actions) == ["edit.propose", "edit.approve", "edit.undo_propose", "edit.undo_approve"]


def test_what_was_asked_and_done_cannot_be_changed_afterwards(world):
    world.propose((30, "102.4"))
    with pytest.raises(DBAPIError, match="append-only"), world.database.write() as session:
        session.execute(update(ReadingEditValue).values(value=Decimal(0)))


def test_a_batch_over_a_period_is_one_edit(world):
    edit = world.edited(*((15 * n, str(100 + n * 2)) for n in range(9)))
    assert (edit.values, edit.first_at, edit.last_at) == (9, after(0), after(120))
    world.derive()
    assert world.energies() == {15.0 * n: "2" for n in range(8)}
    assert [e.id for e in world.editing.edits(meter_id=world.meter)] == [edit.id]
    assert world.editing.edits(states=[EditState.PROPOSED]) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"read_at": NOW + timedelta(days=9)}, "future"),
        ({"value": Decimal(-1)}, "below zero"),
        ({"value": Decimal(10) ** 14 - 1 + 1 - 1}, None),
        ({"meter_id": 77}, "no meter 77"),
        ({"quantity": None}, "not complete"),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason(world, change, words):
    row = {"meter_id": world.meter, "quantity": KEY, "read_at": after(30), "value": Decimal(1)} | change
    wanted = pa.Table.from_pylist([row], schema=READING_EDIT_SCHEMA)
    with signed_in("anna"):
        if words is None:
            assert world.editing.propose_readings(wanted, "so it was", now=NOW).values == 1
            return
        with pytest.raises(BadEdit, match=words):
            world.editing.propose_readings(wanted, "so it was", now=NOW)


def test_an_edit_without_a_reason_or_without_values_is_refused(world):
    with pytest.raises(BadEdit, match="has no value"):
        world.propose()
    wanted = pa.table([[world.meter], [KEY], [T0], [Decimal(1)]], schema=READING_EDIT_SCHEMA)
    with signed_in("anna"), pytest.raises(BadEdit, match="needs a reason"):
        world.editing.propose_readings(wanted, " ", now=NOW)


def test_an_interval_off_the_grid_and_a_value_said_twice_are_refused(world):
    with pytest.raises(BadEdit, match=r"begins at 2026-01-05 14:07:00.*15 minutes"):
        world.propose_energy((7, "1"))
    with pytest.raises(BadEdit, match="says twice"):
        world.propose((30, "1"), (30, "2"))
    row = {"point_id": world.point, "quantity": "voltage_l1", "start_at": T0, "energy": Decimal(1)}
    wanted = pa.Table.from_pylist([row], schema=INTERVAL_EDIT_SCHEMA)
    with signed_in("anna"), pytest.raises(BadEdit, match="has no intervals"):
        world.editing.propose_intervals(wanted, "so it was", now=NOW)


def test_an_edit_out_of_reach_is_as_if_it_were_not_there(world):
    edit = world.propose((30, "102.4"))
    assert world.editing.edits(scope=NOTHING) == []
    with signed_in("ben"), pytest.raises(UnknownEdit):
        world.editing.approve(edit.id, now=NOW, scope=NOTHING)
    with pytest.raises(UnknownEdit):
        world.trail.diff(edit.id, scope=NOTHING)


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("step", ["before the store", "after the store", "after the ledger noted it"])
@pytest.mark.parametrize("undo", [False, True])
def test_a_kill_at_any_step_ends_right_after_a_restart(world, monkeypatch, step, undo):
    """The approval is committed; the server dies before the store has it, after, or before the ledger's commit."""
    values = (30, "102.4"), (37.5, "102.9")
    edit = world.edited(*values) if undo else world.propose(*values)
    if undo:
        with signed_in("ben"):
            world.editing.propose_undo(edit.id, "it was right", now=world.later())
    where, name = Corrections, "take_back" if undo else "apply"
    if "ledger" in step:
        where, name = EditRepository, "move"
    original = getattr(where, name)

    def dies(*arguments, **named):
        if name == "move" and named["to"] not in {EditState.APPLIED, EditState.UNDONE}:
            return original(*arguments, **named)
        if "after" in step:
            original(*arguments, **named)
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(where, name, dies)
        with pytest.raises(Killed):
            world.approve(edit, by="anna" if undo else "ben")
    again = world.restarted()
    assert (again.settle(world.later()), again.settle(world.later())) == (1, 0)
    found = again.edit(edit.id)
    versions = world.trail.history(EditKind.READING, world.meter, KEY, after(30))
    registers = world.registers()
    if undo:
        assert (found.state, registers[30], registers.get(37.5)) == (EditState.UNDONE, "102", None)
        assert [v.source for v in versions] == ["meter", "edited", "meter"]
    else:
        assert (found.state, registers[30], registers[37.5]) == (EditState.APPLIED, "102.4", "102.9")
        assert [v.source for v in versions] == ["edited", "meter"]
    assert found.applied_at == versions[-1].superseded_at


def test_an_approval_that_the_store_cannot_take_now_is_carried_out_when_it_can(world, monkeypatch):
    edit = world.propose((30, "102.4"))

    def full(*_arguments, **_named):
        raise StoreFull("The disk is full.")

    with monkeypatch.context() as patched:
        patched.setattr(Corrections, "apply", full)
        assert world.approve(edit).state is EditState.APPROVED
        with pytest.raises(StoreFull):
            world.editing.settle(world.later())
    assert world.editing.settle(world.later()) == 1
    assert world.registers()[30] == "102.4"


def test_maintenance_between_an_edit_and_its_undoing_changes_nothing(world):
    edit = world.edited(*((15 * n, str(200 + n)) for n in range(9)))
    world.store.maintain(NOW, keep_snapshots=timedelta(0))
    world.undone(edit)
    world.store.maintain(NOW, keep_snapshots=timedelta(0))
    assert world.registers() == {15.0 * n: str(100 + n) for n in range(9)}
    world.derive()
    assert world.energies() == BEFORE
