"""The collector reads real sockets, and what it promises holds when meters and links misbehave."""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import text
from tests.integration.collection.conftest import NOON, House, MemoryStore

from wattkeeper.collection.clock import ManualClock
from wattkeeper.collection.errors import AnotherCollects, ReadFailed, UnknownMeter
from wattkeeper.collection.plan_repository import PlanRepository
from wattkeeper.collection.repository import CollectionRepository
from wattkeeper.collection.schedule import Window
from wattkeeper.collection.values import Presence
from wattkeeper.kernel.database import Database
from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.protocols.dlt645.master import ReadExchange
from wattkeeper.readings.errors import UnknownQuantity
from wattkeeper.registry.models import Link, Meter
from wattkeeper.simulator.faults import Emission, Faults

FIRST, SECOND = "000000000001", "000000000002"
ENERGY = ("active_energy_import",)
SHANGHAI = ZoneInfo("Asia/Shanghai")


def link(code="A", *meters, **more):
    described = [meter if isinstance(meter, dict) else {"address": meter, "point": meter} for meter in meters]
    return {"code": code, "meters": described, **more}


def meter(address, **faults):
    return {"address": address, "point": address, "faults": faults}


async def test_a_reading_can_be_traced_to_the_frame_it_came_in(house, street):
    async with street(house.clock, link("A", FIRST)) as world:
        house.register({"A": (world.url("A"), [FIRST])})
        async with house.collecting() as collector:
            [reading] = await collector.read_now(house.meters[FIRST], ENERGY)
    stored = house.store.exchange(reading.exchange_id)
    replayed = ReadExchange(FIRST, "00010000")
    assert stored["request"] == replayed.request
    assert replayed.feed(stored["reply"])
    assert replayed.values[0].value == reading.value
    assert (stored["link_id"], stored["meter_id"]) == (house.links["A"], house.meters[FIRST])
    assert stored["outcome"] == "ok"


async def test_registers_are_read_on_the_quarter_hour_of_the_civil_clock(house, street, until):
    house.plan(code="registers", quantities=ENERGY, every_seconds=900)
    async with street(house.clock, link("A", FIRST)) as world:
        house.register({"A": (world.url("A"), [FIRST])})
        house.clock.advance(timedelta(minutes=7))
        async with house.collecting() as collector:
            await until(lambda: collector.is_idle)
            for _ in range(3):
                house.clock.advance(timedelta(minutes=4))
                await until(lambda: collector.is_idle)
    at = [read_at for read_at, _, _ in house.values(FIRST)]
    assert at == [datetime(2026, 3, 10, 4, minute, tzinfo=UTC) for minute in (7, 15)]


async def test_a_person_is_served_before_what_is_due(house, street):
    house.plan(code="all", quantities=ENERGY, every_seconds=900)
    addresses = [f"{number:012d}" for number in range(1, 61)]
    async with street(house.clock, link("A", *addresses, baud=9600)) as world:
        house.register({"A": (world.url("A"), addresses)})
        async with house.collecting() as collector:
            [reading] = await collector.read_now(house.meters[addresses[-1]], ("voltage_l1",))
            [status] = collector.link_states()
            assert reading.quantity == "voltage_l1"
            assert status.waiting_due >= 55  # at 9600 baud each read takes some 60 ms


async def test_a_due_read_that_still_waits_is_not_queued_twice(house, street, until):
    house.plan(code="all", quantities=ENERGY, every_seconds=60)
    addresses = [f"{number:012d}" for number in range(1, 11)]
    async with street(house.clock, link("A", *addresses, baud=9600)) as world:
        house.register({"A": (world.url("A"), addresses)})
        async with house.collecting() as collector:
            for _ in range(5):  # five minutes pass while the first round still goes on
                house.clock.advance(timedelta(minutes=1))
                await asyncio.sleep(0.02)
                assert collector.link_states()[0].waiting_due <= len(addresses)
            await until(lambda: collector.is_idle)
    assert sum(len(house.values(address)) for address in addresses) <= 2 * len(addresses)


async def test_a_dead_meter_costs_the_31_others_on_its_bus_nothing(house, street, until):
    house.plan(code="live", quantities=ENERGY, every_seconds=60)
    addresses = [f"{number:012d}" for number in range(1, 33)]
    dead = addresses[7]
    minutes = 12
    meters = [meter(address, dead=True) if address == dead else address for address in addresses]
    async with street(house.clock, link("A", *meters)) as world:
        # The time-out is long beside what a slow machine takes to answer: no live meter may fail by chance.
        house.register({"A": (f"{world.url('A')}?timeout=0.5", addresses)})
        async with house.collecting(
            retry_seconds=1, first_back_off_seconds=120, clock_hours=1e6
        ) as collector:
            worker = collector._workers[house.links["A"]]
            await until(lambda: worker.is_waiting)
            for _ in range(2 * minutes):
                house.clock.advance(timedelta(seconds=30))
                await until(lambda: worker.is_waiting)
            await collector.flush()
            state = collector.meter_state(house.meters[dead])
            assert state.presence is Presence.SILENT
            rates = collector.health(TimeRange(house.clock.now() - timedelta(hours=1), None))
            cost = next(rate for rate in rates if rate.meter_id == house.meters[dead])
            # 3 attempts within a minute until it is silent; then with the round 2, 4 and 8 minutes after the last.
            assert (cost.succeeded, cost.reads, cost.attempts) == (0, 3, 5)
            # Once it answers, its back-off is forgotten and it misses nothing more.
            world.meters[dead].faults = Faults()
            await collector.read_now(house.meters[dead], ENERGY)
            house.clock.advance(timedelta(minutes=1))
            await until(lambda: collector.is_idle)
            assert collector.meter_state(house.meters[dead]).presence is Presence.ANSWERING
    for address in addresses:
        expected = 2 if address == dead else 1 + minutes + 1  # at the start, each minute, and the last one
        assert len(house.values(address)) == expected, address


async def test_when_the_link_is_down_its_meters_are_not_blamed(house, street, until):
    house.plan(code="live", quantities=ENERGY, every_seconds=60)
    world = street(house.clock, link("A", FIRST))
    await world.start()
    house.register({"A": (world.url("A"), [FIRST])})
    async with house.collecting() as collector:
        await until(lambda: collector.is_idle)
        await world.stop()
        house.clock.advance(timedelta(minutes=1))
        await until(lambda: collector.link_states()[0].error)
        with pytest.raises(ReadFailed, match="was not read"):
            await collector.read_now(house.meters[FIRST], ENERGY)
        state = collector.meter_state(house.meters[FIRST])
        assert (state.presence, state.failures_in_a_row) == (Presence.ANSWERING, 0)
        assert not collector.link_states()[0].connected
        assert collector.link_states()[0].waiting_due == 1  # kept for when the link is back
        await collector.flush()
        hour = TimeRange(house.clock.now() - timedelta(hours=1), None)
        [rate] = collector.health(hour, meter_id=house.meters[FIRST])
        assert rate.failures == {}
        total = collector.health(hour, link_id=house.links["A"])[0]
        assert total.failures["link_down"] >= 1


async def test_a_meter_that_answers_for_another_is_recorded_and_not_believed(house, street, until):
    house.plan(code="never", quantities=ENERGY, every_seconds=86400, meter_ids=[])
    async with street(house.clock, link("A", meter(FIRST, stranger=1.0), SECOND)) as world:
        house.register({"A": (f"{world.url('A')}?timeout=0.1", [FIRST, SECOND])})
        async with house.collecting() as collector:
            with pytest.raises(ReadFailed, match="asked 3 times"):
                await collector.read_now(house.meters[FIRST], ENERGY)
            await collector.flush()
            [rate] = collector.health(
                TimeRange(house.clock.now() - timedelta(hours=1), None), meter_id=house.meters[FIRST]
            )
            assert (rate.succeeded, rate.strays) == (0, 3)
            assert (
                "Meter 000000000001 was asked, meter 000000000000 answered."
                in collector.meter_state(house.meters[FIRST]).last_failure
            )
    assert house.values(FIRST) == []


async def test_what_a_meter_does_not_have_is_not_asked_again_soon(house, street, until):
    quantities = ("active_energy_import", "phase_angle_l1", "battery_voltage_backup")
    house.plan(code="live", quantities=quantities, every_seconds=60)
    async with street(house.clock, link("A", FIRST)) as world:
        world.meters[FIRST]._families["02"] = lambda di, tail: None
        house.register({"A": (world.url("A"), [FIRST])})
        async with house.collecting() as collector:
            await until(lambda: collector.is_idle)
            house.clock.advance(timedelta(minutes=1))
            await until(lambda: collector.is_idle)
            await collector.flush()
            state = collector.meter_state(house.meters[FIRST])
            assert state.unsupported == ("battery_voltage_backup", "phase_angle_l1")
            assert state.presence is Presence.ANSWERING
            [rate] = collector.health(
                TimeRange(house.clock.now() - timedelta(hours=1), None), meter_id=house.meters[FIRST]
            )
            assert rate.failures == {"unsupported": 2}
        async with house.collecting() as restarted:
            assert restarted.meter_state(house.meters[FIRST]).unsupported == state.unsupported


async def test_a_clock_is_compared_at_each_contact_and_its_drift_is_known(house, street, until):
    house.plan(code="live", quantities=ENERGY, every_seconds=900)
    async with street(
        house.clock, link("A", {"address": FIRST, "point": "x", "clock_offset": 90.0})
    ) as world:
        house.register({"A": (world.url("A"), [FIRST])})
        measured = []
        async with house.collecting() as collector:
            for _ in range(6):
                await until(lambda: collector.is_idle)
                state = collector.meter_state(house.meters[FIRST])
                measured.append(state.clock_deviation)
                assert state.clock_read_at == house.clock.now()
                world.meters[FIRST].drift(2.0)
                house.clock.advance(timedelta(minutes=15))
            await until(lambda: collector.is_idle)
    assert measured == [timedelta(seconds=90 + 2 * contact) for contact in range(6)]
    with house.database.read() as session:
        [kept] = CollectionRepository(session).memories().values()
    assert kept.clock_deviation == timedelta(seconds=102)


async def test_a_plan_that_reads_every_minute_asks_for_the_clock_every_ten(house, street, until):
    house.plan(code="live", quantities=ENERGY, every_seconds=60)
    async with street(house.clock, link("A", FIRST)) as world:
        house.register({"A": (world.url("A"), [FIRST])})
        async with house.collecting() as collector:
            began = house.clock.now()
            for _ in range(24):
                await until(lambda: collector.is_idle)
                house.clock.advance(timedelta(minutes=1))
            await until(lambda: collector.is_idle)
    told = [read_at - began for read_at, _, _ in house.values(FIRST, "clock")]
    assert told == [timedelta(), timedelta(minutes=10), timedelta(minutes=20)]


async def test_a_line_that_does_not_keep_up_leaves_clocks_until_it_does(house, street, until):
    house.plan(code="live", quantities=ENERGY, every_seconds=900)
    async with street(house.clock, link("A", FIRST, SECOND, baud=2400)) as world:
        house.register({"A": (world.url("A"), [FIRST, SECOND])})
        async with house.collecting() as collector:

            async def clocks_told() -> list[int]:
                await until(lambda: collector.is_idle)
                await collector.flush()
                return [len(house.values(address, "clock")) for address in (FIRST, SECOND)]

            assert await clocks_told() == [1, 1]
            house.clock.advance(timedelta(minutes=15))
            await until(lambda: collector.link_states()[0].waiting_due == 1)
            house.clock.advance(
                timedelta(minutes=15)
            )  # the second meter comes due again and has not been read
            assert await clocks_told() == [2, 1]
            house.clock.advance(timedelta(minutes=15))
            assert await clocks_told() == [3, 2]


async def test_new_disabled_and_moved_meters_are_taken_over_without_a_restart(house, street, until):
    house.plan(code="live", quantities=ENERGY, every_seconds=60)
    async with street(house.clock, link("A", FIRST), link("B", SECOND)) as world:
        house.register({"A": (world.url("A"), [FIRST])})
        async with house.collecting() as collector:
            await until(lambda: collector.is_idle)
            house.register({"B": (world.url("B"), [SECOND])})
            await until(lambda: len(collector.link_states()) == 2)
            await until(lambda: collector.meter_state(house.meters[SECOND]))
            await until(lambda: collector.meter_state(house.meters[SECOND]).presence is Presence.ANSWERING)
            with house.database.write() as session:
                session.get(Meter, house.meters[FIRST]).enabled = False
                session.get(Link, house.links["B"]).enabled = False
            await until(lambda: [status.code for status in collector.link_states()] == ["A"])
            await until(lambda: collector.meter_states() == [])
            with pytest.raises(UnknownMeter, match="is not read"):
                await collector.read_now(house.meters[FIRST])


async def test_an_unknown_quantity_is_refused_with_the_nearest_one(house, street):
    async with street(house.clock, link("A", FIRST)) as world:
        house.register({"A": (world.url("A"), [FIRST])})
        async with house.collecting() as collector:
            with pytest.raises(UnknownQuantity, match="voltage_l1"):
                await collector.read_now(house.meters[FIRST], ["voltage_l"])


async def test_live_pages_hear_readings_traffic_links_and_meters(house, street, until):
    house.plan(code="live", quantities=ENERGY, every_seconds=60)
    async with street(house.clock, link("A", FIRST)) as world:
        house.register({"A": (world.url("A"), [FIRST])})
        async with (
            house.hub.subscribe("reading", "traffic", "link", "meter") as news,
            house.collecting() as collector,
        ):
            await until(lambda: collector.is_idle)
            messages = news.drain()
    assert {message.topic for message in messages} == {"reading", "traffic", "link", "meter"}
    [reading] = next(message.body for message in messages if message.topic == "reading")
    assert (reading.meter_id, reading.unit) == (house.meters[FIRST], "kWh")
    assert [message.body.direction for message in messages if message.topic == "traffic"][:2] == ["tx", "rx"]
    assert next(message.body for message in messages if message.topic == "link").connected


async def test_plans_of_a_new_installation_are_created_once_and_can_be_changed(house, street, until):
    async with street(house.clock, link("A", FIRST)) as world:
        house.register({"A": (world.url("A"), [FIRST])})
        for _ in range(2):
            async with house.collecting(live_seconds=300) as collector:
                await until(lambda: collector.is_idle)
    with house.database.read() as session:
        plans = PlanRepository(session).to_read()
    assert [(plan.code, plan.rhythm.every, plan.profile) for plan in plans] == [
        ("live", timedelta(minutes=5), False),
        ("registers", timedelta(minutes=15), True),
    ]
    assert Decimal(house.values(FIRST, "voltage_l1")[0][1]) > 200


def deaf_to(world, *identifiers):
    """Make the meters of link A silent to some identifiers, where they should refuse."""
    bus = world.servers["A"].bus
    answers = bus.answers
    asked = []

    def some(request, **line):
        di = request.body[3::-1].hex().upper()
        asked.append(di)
        return [] if di in identifiers else answers(request, **line)

    bus.answers = some
    return asked


async def test_a_meter_that_is_silent_to_blocks_is_read_item_by_item(house, street, until):
    quantities = ("active_energy_import", "active_energy_import_t1", "frequency")
    house.plan(code="registers", quantities=quantities, every_seconds=900)
    async with street(house.clock, link("A", FIRST)) as world:
        asked = deaf_to(world, "0001FF00")
        house.register({"A": (f"{world.url('A')}?timeout=0.2", [FIRST])})
        async with house.collecting(retry_seconds=1, clock_hours=1e6) as collector:
            for due in range(7):
                for _ in range(4):
                    await until(lambda: collector._workers[house.links["A"]].is_waiting)
                    house.clock.advance(timedelta(seconds=225))
                assert collector.meter_state(house.meters[FIRST]).presence is Presence.ANSWERING, due
    for quantity in quantities:
        assert len(house.values(FIRST, quantity)) >= 7, quantity
    assert asked.count("0001FF00") == 5  # then it is known


async def test_one_item_without_an_answer_costs_the_others_nothing_and_is_soon_left_out(house, street, until):
    quantities = ("active_energy_import", "voltage_l1", "frequency")
    house.plan(code="live", quantities=quantities, every_seconds=60)
    async with street(house.clock, link("A", FIRST)) as world:
        asked = deaf_to(world, "00010000")  # the first of the three
        house.register({"A": (f"{world.url('A')}?timeout=0.2", [FIRST])})
        async with house.collecting(retry_seconds=1, clock_hours=1e6) as collector:
            for _ in range(28):
                await until(lambda: collector._workers[house.links["A"]].is_waiting)
                house.clock.advance(timedelta(seconds=15))
            await until(lambda: collector.is_idle)
            state = collector.meter_state(house.meters[FIRST])
            assert (state.presence, state.unsupported) == (Presence.ANSWERING, ("active_energy_import",))
    assert len(house.values(FIRST, "voltage_l1")) == len(house.values(FIRST, "frequency")) == 8
    assert asked.count("00010000") == 5 * 3  # each time with its two repetitions


async def test_a_meter_known_to_be_silent_is_asked_once_by_a_person(house, street, until):
    house.plan(code="never", quantities=ENERGY, every_seconds=86400, meter_ids=[])
    async with street(house.clock, link("A", meter(FIRST, dead=True))) as world:
        house.register({"A": (f"{world.url('A')}?timeout=0.05", [FIRST])})
        async with house.collecting(silent_after=1) as collector:
            with pytest.raises(ReadFailed, match="asked 3 times"):
                await collector.read_now(house.meters[FIRST], ENERGY)
            with pytest.raises(ReadFailed, match="asked once"):
                await collector.read_now(house.meters[FIRST], ENERGY)


async def test_a_quantity_the_protocol_has_no_name_for_is_said_once(house, street, until, capsys):
    house.plan(code="odd", quantities=("frequency", "active_demand_export"), every_seconds=60)
    async with street(house.clock, link("A", FIRST)) as world:
        house.register({"A": (world.url("A"), [FIRST])})
        async with house.collecting() as collector:
            house.register({"B": ("tcp://127.0.0.1:1", [SECOND])})
            await until(lambda: len(collector.link_states()) == 2)
            await until(lambda: house.values(FIRST, "frequency"))
    said = [line for line in capsys.readouterr().out.splitlines() if "no name for them" in line]
    assert len(said) == 1
    assert "active_demand_export" in said[0]


async def test_nothing_is_read_by_plan_while_memory_is_full(house, street, until):
    house.plan(code="live", quantities=ENERGY, every_seconds=60)
    append, broken = house.store.append_readings, asyncio.Event()
    broken.set()

    def failing(readings, now):
        if broken.is_set():
            raise OSError("no room")
        append(readings, now)

    house.store.append_readings = failing
    async with street(house.clock, link("A", FIRST)) as world:
        house.register({"A": (world.url("A"), [FIRST])})
        async with house.collecting(commit_rows=0, commit_seconds=0.01, clock_hours=1e6) as collector:
            await until(lambda: collector.writer.is_full)
            house.clock.advance(timedelta(minutes=1))
            await until(lambda: collector._workers[house.links["A"]].is_waiting)
            assert collector.link_states()[0].waiting_due == 1
            assert await collector.read_now(house.meters[FIRST], ENERGY)  # a person may
            broken.clear()
            async with asyncio.timeout(10):
                while collector.link_states()[0].waiting_due:
                    house.clock.advance(timedelta(seconds=1))
                    await asyncio.sleep(0.02)
                    await collector.flush()


async def test_a_plan_with_a_window_reads_within_it_only(house, street, until):
    house.plan(code="night", quantities=ENERGY, every_seconds=3600, window=Window(22 * 60, 6 * 60))
    async with street(house.clock, link("A", FIRST)) as world:
        house.register({"A": (world.url("A"), [FIRST])})
        async with house.collecting() as collector:
            await until(lambda: collector.is_idle)
            for _ in range(24):
                house.clock.advance(timedelta(hours=1))
                await until(lambda: collector.is_idle)
    hours = [read_at.astimezone(SHANGHAI).hour for read_at, _, _ in house.values(FIRST)]
    assert hours == [22, 23, 0, 1, 2, 3, 4, 5]


class Babbler:
    """A line on which one meter babbles for seconds when it is asked, and its neighbour answers."""

    def __init__(self, world, address):
        bus = world.servers["A"].bus
        answers = bus.answers
        self.asked = 0

        def babble(request, **line):
            if request.address != address:
                return answers(request, **line)
            self.asked += 1
            return [Emission(0.05 * step, b"\x55" * 8) for step in range(24)]

        bus.answers = babble


async def test_a_meter_that_jams_its_line_is_left_alone_and_its_neighbours_are_read(house, street, until):
    house.plan(code="registers", quantities=ENERGY, every_seconds=60)
    async with street(house.clock, link("A", FIRST, SECOND)) as world:
        babbler = Babbler(world, FIRST)
        house.register({"A": (world.url("A") + "?timeout=0.1", [FIRST, SECOND])})
        async with house.collecting(retries=0, first_back_off_seconds=1) as collector:
            for _ in range(6):
                await until(lambda: collector.is_idle, seconds=30)
                house.clock.advance(timedelta(minutes=1))
            await until(lambda: collector.is_idle, seconds=30)
            state = collector.meter_state(house.meters[FIRST])
            assert (babbler.asked, state.in_quarantine, state.presence) == (3, True, Presence.SILENT)
            assert state.next_attempt_at - state.last_failure_at == timedelta(hours=6)
            await collector.flush()
            assert len(house.values(SECOND)) == 7
        async with house.collecting() as restarted:
            await until(lambda: restarted.is_idle, seconds=30)
            assert restarted.meter_state(house.meters[FIRST]).in_quarantine, "remembered over a restart"
    assert babbler.asked == 3


async def test_clocks_a_little_off_are_set_by_broadcast_at_night_once_a_day(house, street, until):
    house.plan(code="registers", quantities=ENERGY, every_seconds=3600)
    slow = {"address": FIRST, "point": FIRST, "clock_offset": -90}
    far = {"address": SECOND, "point": SECOND, "clock_offset": 600}
    async with street(house.clock, link("A", slow, far)) as world:
        house.register({"A": (world.url("A"), [FIRST, SECOND])})
        async with house.collecting(set_clocks=True) as collector:
            for _ in range(18):  # from noon to six in the morning
                await until(lambda: collector.is_idle)
                house.clock.advance(timedelta(hours=1))
            await until(lambda: collector.is_idle)
            deviations = {
                address: collector.meter_state(house.meters[address]).clock_deviation
                for address in (FIRST, SECOND)
            }
    assert abs(deviations[FIRST]) <= timedelta(seconds=1)
    assert deviations[SECOND] == timedelta(seconds=600), "too far off for a broadcast"
    with house.database.read() as session:
        acts = session.execute(text("SELECT action, actor_name, subject_name FROM audit_event")).all()
    assert [tuple(act) for act in acts] == [("link.set_clocks", "system", "A")]


@pytest.mark.slow
async def test_of_two_servers_on_one_ledger_one_reads_the_meters(postgres_database):
    ledgers = [Database(postgres_database) for _ in range(2)]
    ledgers[0].create_schema()
    first, second = (House(ledger, MemoryStore(), ManualClock(NOON)) for ledger in ledgers)
    async with first.collecting():
        with pytest.raises(AnotherCollects, match="Another server reads the meters of this ledger database"):
            async with second.collecting():
                pass
    async with second.collecting() as collector:
        assert collector.is_idle
    for ledger in ledgers:
        ledger.dispose()
