"""Who may ask for what, who must agree, and what can still be taken back: the rules of commands, in a real ledger."""

from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from tests.integration.collection.conftest import NOON

from wattkeeper.collection.commands.desk import CommandDesk
from wattkeeper.collection.commands.errors import (
    BadCommand,
    KeepsPower,
    NotOptedIn,
    SecondPersonNeeded,
    StandingOrderRefuses,
    TooLate,
    UnknownCommand,
)
from wattkeeper.collection.commands.kinds import CommandKind, CommandState, Outcome
from wattkeeper.collection.commands.ledger import CommandLedger
from wattkeeper.collection.commands.service import CommandService, Wanted
from wattkeeper.collection.commands.values import CommandOptions, ControlState
from wattkeeper.collection.drivers import check_command
from wattkeeper.collection.drivers.base import MeterSecret
from wattkeeper.registry.models import AreaKind, Installation, PointKind
from wattkeeper.registry.repository import Registry
from wattkeeper.registry.scope import Scope
from wattkeeper.security.acting import Actor, ActorKind, acting

FIRST, SECOND, THIRD = "000000000001", "000000000002", "000000000003"
WANG = Actor(ActorKind.USER, "wang", user_id=1)
LI = Actor(ActorKind.USER, "li", user_id=2)
LIS_PROGRAM = Actor(ActorKind.TOKEN, "li / nightly", user_id=2)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def commands(house):
    house.register({"A": ("tcp://127.0.0.1:9", [FIRST, SECOND, THIRD])})
    return CommandService(house.database, house.hub, check=check_command)


@pytest.fixture
def desk(house):
    return CommandDesk(
        house.database,
        house.hub,
        now=house.clock.now,
        options=CommandOptions(),
        secret=MeterSecret("02123456"),
    )


def ask(commands, house, kind=CommandKind.TRIP, *addresses, by=WANG, **more):
    meters = [house.meters[address] for address in addresses or (FIRST,)]
    with acting(by):
        return commands.ask(Wanted(kind=kind, meter_ids=meters, reason="欠费", **more), now=NOON)


def states(commands, batch):
    return {command.address: command.state for command in commands.commands(batch_id=batch.id)}


def test_a_trip_waits_for_a_second_person_and_the_rest_does_not(commands, house):
    assert ask(commands, house).counts == {CommandState.ASKED: 1}
    for kind in (
        CommandKind.CLOSE_ALLOWED,
        CommandKind.ALARM_ON,
        CommandKind.KEEP_POWER_ON,
        CommandKind.SET_CLOCK,
    ):
        assert ask(commands, house, kind).counts == {CommandState.APPROVED: 1}, kind


def test_who_asked_cannot_agree_nor_their_program_for_them(commands, house):
    batch = ask(commands, house, by=LI)
    for same in (LI, LIS_PROGRAM):
        with acting(same), pytest.raises(SecondPersonNeeded, match="another person has to decide"):
            commands.approve(batch.id, now=NOON + MINUTE)
    assert states(commands, batch) == {FIRST: CommandState.ASKED}
    with acting(WANG):
        view = commands.approve(batch.id, now=NOON + MINUTE, note="账单已核对")
    assert (view.decision, view.decided_by, view.decision_note) == (
        CommandState.APPROVED,
        "wang",
        "账单已核对",
    )
    assert states(commands, batch) == {FIRST: CommandState.APPROVED}


def test_what_was_decided_is_not_decided_again(commands, house):
    batch = ask(commands, house)
    with acting(LI):
        commands.reject(batch.id, now=NOON + MINUTE)
        for decide in (commands.approve, commands.reject):
            with pytest.raises(TooLate):
                decide(batch.id, now=NOON + MINUTE)
    with acting(WANG), pytest.raises(TooLate):
        commands.withdraw(batch.id, now=NOON + MINUTE)
    assert states(commands, batch) == {FIRST: CommandState.REJECTED}


def test_nobody_agrees_to_what_has_expired(commands, house):
    batch = ask(commands, house, expires_at=NOON + MINUTE)
    with acting(LI), pytest.raises(TooLate):
        commands.approve(batch.id, now=NOON + MINUTE)
    assert states(commands, batch) == {FIRST: CommandState.ASKED}


def test_what_has_left_cannot_be_taken_back(commands, house, desk):
    batch = ask(commands, house, CommandKind.ALARM_ON, FIRST, SECOND)
    with house.database.write() as session:
        ledger = CommandLedger(session)
        first = ledger.commands(batch_id=batch.id)[-1]
        ledger.queue([first.id], NOON)
        assert ledger.begin_sending(first.id, now=NOON, meter_expires_at=NOON + 5 * MINUTE)
    with acting(WANG):
        commands.withdraw(batch.id, now=NOON + MINUTE)
    assert states(commands, batch) == {FIRST: CommandState.SENDING, SECOND: CommandState.WITHDRAWN}
    with house.database.write() as session:
        assert not CommandLedger(session).begin_sending(
            first.id, now=NOON, meter_expires_at=NOON + 5 * MINUTE
        )


def test_a_relay_is_closed_directly_only_where_that_was_opted_in(commands, house):
    with pytest.raises(NotOptedIn, match="somebody may be at the wires"):
        ask(commands, house, CommandKind.CLOSE)
    opted = CommandService(
        house.database, house.hub, check=check_command, options=CommandOptions(direct_close=True)
    )
    assert ask(opted, house, CommandKind.CLOSE).waits_for_decision


def test_a_meter_that_keeps_power_is_not_tripped(commands, house):
    with house.database.write() as session:
        CommandLedger(session).save_control(
            house.meters[SECOND], ControlState(relay_open=False, keep_power=True), now=NOON, exchange_id=7
        )
    with pytest.raises(KeepsPower, match=SECOND):
        ask(commands, house, CommandKind.TRIP, FIRST, SECOND)
    assert commands.batches() == []
    assert ask(commands, house, CommandKind.TRIP, FIRST).total == 1


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ({"meter_ids": []}, "No meter was named"),
        ({"meter_ids": [4711]}, "There is no meter 4711"),
        ({"reason": "  "}, "needs a reason"),
        ({"expires_at": NOON}, "expires in the future"),
        ({"expires_at": NOON + timedelta(days=2)}, "within 24 hours"),
        ({"argument": {"identifier": "04000108"}}, "takes no argument"),
        ({"kind": CommandKind.SET_PARAMETER}, "not the identifier of one parameter"),
        (
            {
                "kind": CommandKind.SET_PARAMETER,
                "argument": {"identifier": "04000401", "value": "000000000009"},
            },
            "another address or number makes it another meter",
        ),
        (
            {"kind": CommandKind.SET_PARAMETER, "argument": {"identifier": "04000103", "value": "minutes"}},
            "'minutes' cannot be written to 04000103",
        ),
    ],
)
def test_what_makes_no_sense_is_a_sentence_and_asks_nothing(commands, house, wanted, says):
    whole = {"kind": CommandKind.ALARM_ON, "meter_ids": [house.meters[FIRST]], "reason": "test"} | wanted
    with acting(WANG), pytest.raises(BadCommand, match=says):
        commands.ask(Wanted(**whole), now=NOON)
    assert commands.batches() == []


def test_parameters_are_written_to_one_meter_at_a_time(commands, house):
    argument = {"identifier": "04000103", "value": "15"}
    with pytest.raises(BadCommand, match="one meter at a time"):
        ask(commands, house, CommandKind.SET_PARAMETER, FIRST, SECOND, argument=argument)


def test_meters_of_another_protocol_take_no_commands(commands, house):
    with house.database.write() as session:
        Registry(session).get_meter(house.meters[FIRST]).protocol = "pigeon"
    with pytest.raises(BadCommand, match="pigeon take no commands"):
        ask(commands, house, CommandKind.ALARM_ON)


def test_beyond_ones_areas_there_is_no_meter_and_no_batch(commands, house):
    with house.database.write() as session:
        registry = Registry(session)
        site = registry.add_site(code="s", name="s", zone="Asia/Shanghai")
        area = registry.add_area(site_id=site.id, code="A1", name="A1", kind=AreaKind.AREA)
        point = registry.add_point(
            site_id=site.id, area_id=area.id, code="P1", name="P1", kind=PointKind.HOUSEHOLD
        )
        registry.add_installation(
            Installation(point_id=point.id, meter_id=house.meters[FIRST], valid_from=NOON - timedelta(days=1))
        )
        mine = Scope(areas=frozenset({area.id}))
    batch = ask(commands, house, CommandKind.TRIP, FIRST, SECOND)
    with pytest.raises(BadCommand, match="There is no meter"):
        commands.ask(
            Wanted(kind=CommandKind.ALARM_ON, meter_ids=[house.meters[SECOND]], reason="x"),
            now=NOON,
            scope=mine,
        )
    assert commands.batch(batch.id, scope=mine).total == 1, "the other meter is none of theirs"
    with acting(LI), pytest.raises(SecondPersonNeeded, match="out of your reach"):
        commands.approve(batch.id, now=NOON, scope=mine)
    other = ask(commands, house, CommandKind.ALARM_ON, SECOND)
    with pytest.raises(UnknownCommand):
        commands.batch(other.id, scope=mine)
    assert [view.id for view in commands.batches(scope=mine)] == [batch.id]


def test_a_standing_order_holds_within_its_limits_and_only_after_a_second_person(commands, house):
    def order(**changes):
        wanted = {
            "kind": CommandKind.TRIP,
            "site_id": None,
            "area_id": None,
            "daily_cap": 2,
            "reason": "夜间欠费停电",
        }
        with acting(WANG):
            return commands.standing.ask(
                **wanted | {"expires_at": NOON + timedelta(days=30)} | changes, now=NOON
            )

    standing = order()
    with pytest.raises(StandingOrderRefuses, match="waits for a second person"):
        ask(commands, house, standing_order_id=standing.id)
    with acting(WANG), pytest.raises(SecondPersonNeeded):
        commands.standing.approve(standing.id, now=NOON)
    with acting(LI):
        commands.standing.approve(standing.id, now=NOON)
    assert ask(commands, house, standing_order_id=standing.id).counts == {CommandState.APPROVED: 1}
    with pytest.raises(StandingOrderRefuses, match="allows 2 commands a day; 1 were asked today"):
        ask(commands, house, CommandKind.TRIP, SECOND, THIRD, standing_order_id=standing.id)
    with pytest.raises(StandingOrderRefuses, match="is for trip"):
        ask(commands, house, CommandKind.CLOSE_ALLOWED, standing_order_id=standing.id)
    with acting(LI):
        commands.standing.end(standing.id, now=NOON)
    with pytest.raises(StandingOrderRefuses, match="does not hold any more"):
        ask(commands, house, standing_order_id=standing.id)
    [told] = commands.standing.all(now=NOON)
    assert (told.used_today, told.state(NOON)) == (1, "ended")


def test_every_act_and_every_step_is_on_record_and_steps_cannot_be_changed(commands, house):
    batch = ask(commands, house)
    with acting(LI):
        commands.approve(batch.id, now=NOON + MINUTE)
    [command] = commands.commands(batch_id=batch.id)
    _, steps = commands.command(command.id)
    assert [(step.at, step.state) for step in steps] == [
        (NOON, CommandState.ASKED),
        (NOON + MINUTE, CommandState.APPROVED),
    ]
    with house.database.read() as session:
        acts = session.execute(text("SELECT actor_name, action FROM audit_event ORDER BY id")).all()
    assert [tuple(act) for act in acts] == [("wang", "command.ask"), ("li", "command.approve")]
    for change in ("UPDATE command_step SET state = 'confirmed'", "DELETE FROM command_step"):
        with pytest.raises(DBAPIError, match="append-only"), house.database.write() as session:
            session.execute(text(change))


async def test_what_runs_out_of_time_unsent_is_expired_and_says_so(commands, house, desk):
    waiting = ask(commands, house, CommandKind.TRIP, expires_at=NOON + MINUTE)
    queued = ask(commands, house, CommandKind.ALARM_ON, SECOND, expires_at=NOON + MINUTE)
    later = ask(commands, house, CommandKind.ALARM_ON, THIRD)
    found, overdue = desk.waiting(thorough=False)
    assert ([command.meter_id for command in found], overdue) == (
        [house.meters[SECOND], house.meters[THIRD]],
        False,
    )
    desk.take(found[:1])
    house.clock.advance(MINUTE)
    assert desk.waiting(thorough=True)[1]
    desk.expire()
    assert states(commands, waiting) == {FIRST: CommandState.EXPIRED}
    [gone] = commands.commands(batch_id=queued.id)
    assert (gone.state, gone.outcome, gone.sent_at) == (CommandState.EXPIRED, Outcome.TOO_LATE, None)
    assert states(commands, later) == {THIRD: CommandState.APPROVED}


def test_what_takes_two_is_not_asked_where_nobody_is_signed_in(commands, house):
    """The owner of the folder may be the same person as any of the users."""
    root = Actor(ActorKind.LOCAL, "root")
    with pytest.raises(SecondPersonNeeded, match="nobody is signed in"):
        ask(commands, house, CommandKind.TRIP, by=root)
    assert ask(commands, house, CommandKind.ALARM_ON, by=root).total == 1
