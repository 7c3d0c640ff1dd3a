"""Commands over a real socket to simulated meters: sent once, believed when the meter's own state shows it."""

from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from tests.integration.collection.conftest import NOON

from wattkeeper.collection.commands.kinds import CommandKind, CommandState, Outcome
from wattkeeper.collection.commands.service import CommandService, Wanted
from wattkeeper.collection.commands.values import CommandOptions
from wattkeeper.collection.drivers import check_command
from wattkeeper.collection.drivers.base import MeterSecret
from wattkeeper.collection.engine import Collector
from wattkeeper.collection.values import CollectorOptions
from wattkeeper.registry.repository import Registry
from wattkeeper.security.acting import Actor, ActorKind, acting
from wattkeeper.simulator.device import VirtualMeter
from wattkeeper.simulator.faults import Faults

FIRST, SECOND = "000000000001", "000000000002"
WANG, LI = Actor(ActorKind.USER, "wang", user_id=1), Actor(ActorKind.USER, "li", user_id=2)
SECRET = MeterSecret("02123456", "00000007")
OPTIONS = CommandOptions(
    direct_close=True,
    looks=(timedelta(seconds=0.01), timedelta(seconds=0.02)),
    look_again=timedelta(seconds=30),
)
MINUTE = timedelta(minutes=1)
TRIP = 0x1A
"""N1 of a trip, the ninth byte of 1CH's data."""


class Desk:
    """Two people, and the meters they tell things."""

    def __init__(self, house):
        self.house = house
        self.service = CommandService(house.database, house.hub, check=check_command, options=OPTIONS)

    def tell(self, kind, *addresses, **more):
        """Ask as Wang and agree as Li; returns the batch's id."""
        house = self.house
        meters = [house.meters[address] for address in addresses]
        with acting(WANG):
            batch = self.service.ask(
                Wanted(kind=kind, meter_ids=meters, reason="test", **more), now=house.clock.now()
            )
        if batch.waits_for_decision:
            with acting(LI):
                self.service.approve(batch.id, now=house.clock.now())
        return batch.id

    def command(self, batch_id, address=FIRST):
        return next(one for one in self.service.commands(batch_id=batch_id) if one.address == address)

    def became(self, batch_id, address=FIRST):
        command = self.command(batch_id, address)
        return command.state, command.outcome

    def steps(self, batch_id):
        return [step.state for step in self.service.command(self.command(batch_id).id)[1]]


@pytest.fixture
def people(house):
    return Desk(house)


@asynccontextmanager
async def running(house, *, secret=SECRET, options=OPTIONS):
    collector = Collector(
        house.database,
        house.store,
        house.hub,
        options=replace(CollectorOptions(), history_days=0, statistics_seconds=0.2, commands_seconds=0.02),
        clock=house.clock,
        commands=options,
        secret=secret,
    )
    await collector.start()
    try:
        yield collector
    finally:
        await collector.stop()


@asynccontextmanager
async def street_with(house, street, *meters, **options):
    """One bus with these meters, registered, no plans, and a collector."""
    house.plan(code="never", quantities=("active_energy_import",), every_seconds=86400, meter_ids=[])
    described = [meter if isinstance(meter, dict) else {"address": meter, "point": meter} for meter in meters]
    async with street(house.clock, {"code": "A", "meters": described}) as world:
        house.register({"A": (world.url("A") + "?timeout=0.3", [meter["address"] for meter in described])})
        async with running(house, **options):
            yield world


async def test_a_trip_opens_the_relay_and_is_confirmed_by_the_meters_own_status_word(
    house, street, until, people
):
    async with street_with(house, street, FIRST, SECOND) as world:
        batch = people.tell(CommandKind.TRIP, FIRST)
        await until(lambda: people.became(batch)[0] is CommandState.CONFIRMED)
        assert world.meters[FIRST].is_tripped
        assert not world.meters[SECOND].is_tripped
    assert people.became(batch) == (CommandState.CONFIRMED, Outcome.READ_BACK)
    command, steps = people.service.command(people.command(batch).id)
    assert [step.state for step in steps] == [
        CommandState.ASKED,
        CommandState.APPROVED,
        CommandState.QUEUED,
        CommandState.SENDING,
        CommandState.SENDING,
        CommandState.CONFIRMED,
    ]
    assert command.meter_expires_at - command.sent_at == OPTIONS.meter_waits
    sent = house.store.exchange(steps[4].exchange_id)
    assert b"\x68\x1c\x10" in sent["request"], "1CH with 16 bytes of data"
    assert sent["outcome"] == "ok"
    seen = people.service.control(house.meters[FIRST])
    assert (seen.state.relay_open, seen.state.close_allowed, seen.exchange_id) == (
        True,
        False,
        steps[5].exchange_id,
    )


async def test_leave_to_close_closes_nothing_until_somebody_presses_the_key(house, street, until, people):
    async with street_with(house, street, FIRST) as world:
        trip = people.tell(CommandKind.TRIP, FIRST)
        await until(lambda: people.became(trip)[0] is CommandState.CONFIRMED)
        leave = people.tell(CommandKind.CLOSE_ALLOWED, FIRST)
        await until(lambda: people.became(leave)[0] is CommandState.CONFIRMED)
        assert world.meters[FIRST].is_tripped
        assert people.service.control(house.meters[FIRST]).state.close_allowed
        world.meters[FIRST].press_key()
        assert not world.meters[FIRST].is_tripped


async def test_each_kind_is_carried_out_and_shown(house, street, until, people):
    async with street_with(house, street, FIRST) as world:
        for kind, shows in (
            (CommandKind.ALARM_ON, lambda meter: meter.orders.relay.alarm),
            (CommandKind.ALARM_OFF, lambda meter: not meter.orders.relay.alarm),
            (CommandKind.TRIP, lambda meter: meter.is_tripped),
            (CommandKind.CLOSE, lambda meter: not meter.is_tripped),
            (CommandKind.KEEP_POWER_ON, lambda meter: meter.orders.relay.keeps_power),
            (CommandKind.KEEP_POWER_OFF, lambda meter: not meter.orders.relay.keeps_power),
        ):
            batch = people.tell(kind, FIRST)
            await until(lambda batch=batch: people.became(batch)[0] is CommandState.CONFIRMED)
            assert people.became(batch) == (CommandState.CONFIRMED, Outcome.READ_BACK), kind
            assert shows(world.meters[FIRST]), kind


async def test_what_is_so_already_is_not_sent(house, street, until, people):
    async with street_with(house, street, FIRST):
        first, again = people.tell(CommandKind.TRIP, FIRST), people.tell(CommandKind.TRIP, FIRST)
        await until(lambda: people.became(again)[0] is CommandState.CONFIRMED)
    assert people.became(first) == (CommandState.CONFIRMED, Outcome.READ_BACK)
    assert people.became(again) == (CommandState.CONFIRMED, Outcome.ALREADY_SO)
    assert CommandState.SENDING not in people.steps(again)


async def test_a_meter_that_turns_out_to_keep_power_is_left_alone(house, street, until, people):
    async with street_with(house, street, FIRST) as world:
        world.meters[FIRST].orders.relay.keeps_power = True
        batch = people.tell(CommandKind.TRIP, FIRST)
        await until(lambda: people.became(batch)[0] is CommandState.FAILED)
        assert not world.meters[FIRST].is_tripped
    assert people.became(batch) == (CommandState.FAILED, Outcome.KEEPS_POWER)
    assert CommandState.SENDING not in people.steps(batch)


async def test_a_refusal_is_told_in_the_meters_words(house, street, until, people):
    async with street_with(house, street, FIRST, secret=MeterSecret("02999999")) as world:
        batch = people.tell(CommandKind.TRIP, FIRST)
        await until(lambda: people.became(batch)[0] is CommandState.FAILED)
        assert not world.meters[FIRST].is_tripped
    command = people.command(batch)
    assert command.outcome is Outcome.REFUSED
    assert "wrong password or not authorised" in command.detail
    assert (command.why.code, command.why.facts) == ("refused", {"err": 0x04, "edition": 2007})


async def test_a_meter_with_a_security_chip_wants_authentication_whatever_the_password(
    house, street, until, people
):
    guarded = {"address": FIRST, "point": FIRST, "esam": True}
    async with street_with(house, street, guarded, SECOND) as world:
        batch = people.tell(CommandKind.TRIP, FIRST, SECOND)
        await until(lambda: people.became(batch)[0] is CommandState.FAILED)
        await until(lambda: people.became(batch, SECOND)[0] is CommandState.CONFIRMED)
        assert not world.meters[FIRST].is_tripped
    command = people.command(batch)
    assert command.outcome is Outcome.WANTS_AUTHENTICATION
    assert command.detail == f"Meter {FIRST} wants authentication, which needs a security module."
    assert command.why.code == "wants_authentication"
    asked = [
        trace["request"][12] for trace in house.store.traces.values() if trace["meter_id"] == command.meter_id
    ]
    assert asked.count(0x1C) == asked.count(0x03) == 1  # sent once, and asked for its chip once


async def test_a_meter_of_either_edition_is_met_first_and_one_of_1997_is_told_nothing(
    house, street, until, people
):
    house.plan(code="never", quantities=("active_energy_import",), every_seconds=86400, meter_ids=[])
    meters = [{"address": FIRST, "point": FIRST, "edition": 1997}, {"address": SECOND, "point": SECOND}]
    async with street(house.clock, {"code": "A", "meters": meters}) as world:
        house.register({"A": (world.url("A") + "?timeout=0.3", [FIRST, SECOND])})
        with house.database.write() as session:
            for meter_id in house.meters.values():
                Registry(session).get_meter(meter_id).protocol = "dlt645"
        async with running(house):
            batch = people.tell(CommandKind.TRIP, FIRST, SECOND)
            await until(lambda: people.became(batch)[0] is CommandState.FAILED)
            await until(lambda: people.became(batch, SECOND)[0] is CommandState.CONFIRMED)
    assert people.became(batch) == (CommandState.FAILED, Outcome.NO_DRIVER)
    assert CommandState.SENDING not in people.steps(batch)
    assert people.became(batch, SECOND) == (CommandState.CONFIRMED, Outcome.READ_BACK)


async def test_without_a_password_nothing_leaves(house, street, until, people):
    async with street_with(house, street, FIRST, secret=None):
        batch = people.tell(CommandKind.ALARM_ON, FIRST)
        await until(lambda: people.became(batch)[0] is CommandState.FAILED)
    assert people.became(batch) == (CommandState.FAILED, Outcome.NO_PASSWORD)


async def test_a_dead_meter_is_sent_nothing_and_its_command_expires(house, street, until, people):
    dead = {"address": FIRST, "point": FIRST, "faults": {"dead": True}}
    async with street_with(house, street, dead, SECOND):
        batch = people.tell(CommandKind.ALARM_ON, FIRST, SECOND, expires_at=NOON + 2 * MINUTE)
        await until(lambda: people.became(batch, SECOND)[0] is CommandState.CONFIRMED)
        await until(
            lambda: people.service.command(people.command(batch).id)[1][-1].outcome is Outcome.NO_ANSWER
        )
        assert people.became(batch)[0] is CommandState.QUEUED
        house.clock.advance(2 * MINUTE)
        await until(lambda: people.became(batch)[0] is CommandState.EXPIRED)
    assert CommandState.SENDING not in people.steps(batch)


@pytest.fixture
def deafened(monkeypatch):
    """Meters that fall silent once they were given a command: they may have obeyed, or not."""
    given = []
    execute = VirtualMeter.execute

    def build(*, obeys):
        def deaf(meter, function, body):
            given.append(body[8])
            meter.faults = Faults(dead=True)
            return execute(meter, function, body) if obeys else b""

        monkeypatch.setattr(VirtualMeter, "execute", deaf)
        return given

    return build


@pytest.mark.parametrize("obeys", [True, False])
async def test_what_may_have_worked_is_unknown_is_only_read_and_ends_in_the_truth(  # noqa: PLR0917
    house, street, until, people, deafened, obeys
):
    async with street_with(house, street, FIRST) as world:
        given = deafened(obeys=obeys)
        batch = people.tell(CommandKind.TRIP, FIRST)
        await until(lambda: people.became(batch)[0] is CommandState.UNKNOWN)
        later = people.tell(CommandKind.ALARM_ON, FIRST)
        await until(
            lambda: people.service.command(people.command(later).id)[1][-1].outcome is Outcome.BEFORE_IT
        )
        world.meters[FIRST].faults = Faults()
        house.clock.advance(MINUTE)
        if not obeys:  # it does not show it, and could still carry out a frame that comes late
            await until(lambda: len(people.steps(batch)) >= 6)
            assert people.became(batch)[0] is CommandState.UNKNOWN
            house.clock.advance(6 * MINUTE)
        await until(lambda: people.became(batch)[0] in {CommandState.CONFIRMED, CommandState.FAILED})
        assert world.meters[FIRST].is_tripped is obeys
        assert given.count(TRIP) == 1, "a trip is sent once"
    expected = (
        (CommandState.CONFIRMED, Outcome.READ_BACK) if obeys else (CommandState.FAILED, Outcome.NOT_SHOWN)
    )
    assert people.became(batch) == expected


async def test_the_expiry_is_by_the_meters_own_clock(house, street, until, people):
    """A meter seven minutes ahead drops a command that expires in five by our clock; told by its own, it obeys."""
    ahead = {"address": FIRST, "point": FIRST, "clock_offset": 420}
    async with street_with(house, street, ahead) as world:
        batch = people.tell(CommandKind.TRIP, FIRST)
        await until(
            lambda: (
                people.became(batch)[0]
                not in {CommandState.QUEUED, CommandState.APPROVED, CommandState.SENDING}
            )
        )
        assert world.meters[FIRST].is_tripped
    assert people.became(batch) == (CommandState.CONFIRMED, Outcome.READ_BACK)


async def test_a_clock_is_set_and_shown(house, street, until, people):
    slow = {"address": FIRST, "point": FIRST, "clock_offset": -420}
    async with street_with(house, street, slow, secret=MeterSecret("04123456")) as world:
        batch = people.tell(CommandKind.SET_CLOCK, FIRST)
        await until(lambda: people.became(batch)[0] in {CommandState.CONFIRMED, CommandState.FAILED})
        assert people.became(batch) == (CommandState.CONFIRMED, Outcome.READ_BACK), people.command(
            batch
        ).detail
        local = house.clock.now().astimezone(ZoneInfo("Asia/Shanghai")).replace(tzinfo=None)
        assert abs(world.meters[FIRST].local_time() - local) <= timedelta(seconds=1)


async def test_a_batch_has_a_result_for_each_meter(house, street, until, people):
    addresses = [f"{number:012d}" for number in range(1, 21)]
    async with street_with(house, street, *addresses) as world:
        world.meters[addresses[3]].faults = Faults(dead=True)
        world.meters[addresses[7]].orders.relay.keeps_power = True
        batch = people.tell(CommandKind.TRIP, *addresses)
        await until(lambda: people.service.batch(batch).ended == 19)
    view = people.service.batch(batch)
    assert dict(view.counts) == {CommandState.CONFIRMED: 18, CommandState.FAILED: 1, CommandState.QUEUED: 1}
    assert (view.total, view.ended) == (20, 19)
