"""What the collector missed it fetches from the meters' own memory, and only once."""

import asyncio
import signal
import sys
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from wattkeeper.collection.repository import CollectionRepository
from wattkeeper.collection.values import Presence
from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.readings.store import ReadingsStore
from wattkeeper.registry.models import Link
from wattkeeper.simulator.faults import Faults

NOON = datetime(2026, 3, 10, 4, 0, tzinfo=UTC)
FIRST, SECOND = "000000000001", "000000000002"
QUARTER = timedelta(minutes=15)


def link(code="A", *addresses, **more):
    return {"code": code, "meters": [{"address": address, "point": address} for address in addresses], **more}


def with_load_record(house):
    house.plan(code="registers", quantities=["active_energy_import"], every_seconds=900, profile=True)


def slots(house, **back):
    """The quarter hours of the last so many hours or days, up to now."""
    now = house.clock.now()
    start = now - timedelta(**back)
    return [start + number * QUARTER for number in range((now - start) // QUARTER)]


def stamped(house, address):
    return {read_at: Decimal(value) for read_at, value, source in house.values(address) if source == "meter"}


def memory(world, address, at):
    """What the simulated meter's register showed at these instants."""
    return {instant: Decimal(world.meters[address].register(instant)) / 100 for instant in at}


async def filled(house, collector, until, *addresses):
    """Wait until the past is committed."""
    now = house.clock.now()

    def done():
        known = [collector._known.get(house.meters[address]) for address in addresses]
        reached = all(one and one.backfilled_until and one.backfilled_until > now - QUARTER for one in known)
        return reached and collector.is_idle

    await until(done)
    assert await collector.flush()


async def test_the_past_of_a_new_meter_comes_from_its_load_record(lasting_house, street, until):
    house = lasting_house
    with_load_record(house)
    async with street(house.clock, link("A", FIRST, SECOND)) as world:
        house.register({"A": (world.url("A"), [FIRST, SECOND])})
        async with house.collecting(history_days=3) as collector:
            await filled(house, collector, until, FIRST, SECOND)
        for address in (FIRST, SECOND):
            assert stamped(house, address) == memory(world, address, slots(house, days=3))


async def test_after_six_hours_of_downtime_nothing_is_missing(lasting_house, street, until):
    house = lasting_house
    with_load_record(house)
    async with street(house.clock, link("A", FIRST)) as world:
        house.register({"A": (world.url("A"), [FIRST])})
        async with house.collecting() as collector:
            await until(lambda: collector.is_idle)
            house.clock.advance(QUARTER)
            await until(lambda: collector.is_idle)
        house.clock.advance(timedelta(hours=6))
        async with house.collecting() as collector:
            await filled(house, collector, until, FIRST)
        values = {read_at: Decimal(value) for read_at, value, _ in house.values(FIRST)}
        expected = memory(world, FIRST, [house.clock.now() - number * QUARTER for number in range(26)])
        assert values == expected  # polled at both ends, stamped by the meter in between


async def test_stopped_half_way_it_goes_on_where_it_stopped(lasting_house, street, until):
    house = lasting_house
    with_load_record(house)
    async with street(house.clock, link("A", FIRST, baud=19200)) as world:
        house.register({"A": (world.url("A"), [FIRST])})
        async with house.collecting(history_days=2, commit_seconds=0.05) as collector:
            await until(lambda: len(stamped(house, FIRST)) > 20)
        first_part = stamped(house, FIRST)
        assert len(first_part) < 192
        with house.database.read() as session:
            reached = CollectionRepository(session).memories()[house.meters[FIRST]].backfilled_until
        assert reached <= max(first_part) + QUARTER  # never ahead of what is committed
    async with street(house.clock, link("A", FIRST)) as world:
        with house.database.write() as session:  # the same installation, its link at another port
            session.get(Link, house.links["A"]).url = world.url("A")
        async with house.collecting(history_days=2) as collector:
            await filled(house, collector, until, FIRST)
        assert stamped(house, FIRST) == memory(world, FIRST, slots(house, days=2))
    assert max(Counter(read_at for read_at, _, _ in house.values(FIRST)).values()) == 1


async def test_what_the_meter_forgot_is_not_asked_for_again(lasting_house, street, until):
    house = lasting_house
    with_load_record(house)
    async with street(house.clock, link("A", FIRST), record_days=1) as world:
        house.register({"A": (world.url("A"), [FIRST])})
        async with house.collecting(history_days=5, clock_hours=1e6) as collector:
            await filled(house, collector, until, FIRST)
            assert stamped(house, FIRST) == memory(world, FIRST, slots(house, days=1))
            hour = TimeRange(house.clock.now() - timedelta(hours=1), None)
            before = collector.health(hour)[0].reads
            await collector.look_for_gaps()
            await until(lambda: collector.is_idle)
            await collector.flush()
            assert collector.health(hour)[0].reads == before


async def test_a_person_is_not_kept_waiting_by_the_past(lasting_house, street, until):
    house = lasting_house
    with_load_record(house)
    async with street(house.clock, link("A", FIRST, baud=2400)) as world:
        house.register({"A": (world.url("A"), [FIRST])})
        async with house.collecting(history_days=30) as collector:
            await until(lambda: collector.link_states()[0].backfilling)
            await until(lambda: len(stamped(house, FIRST)) > 5)
            began = asyncio.get_running_loop().time()
            await collector.read_now(house.meters[FIRST], ["active_energy_import"])
            # at 2400 baud a record takes 0.15 s: the one request that may be in flight is kept near 1.5 s
            assert asyncio.get_running_loop().time() - began < 4


COLLECT = """
import asyncio, sys
from datetime import datetime
from pathlib import Path
from wattkeeper.collection.clock import ManualClock
from wattkeeper.collection.engine import Collector
from wattkeeper.collection.values import CollectorOptions
from wattkeeper.kernel.database import Database
from wattkeeper.kernel.hub import Hub
from wattkeeper.readings.store import ReadingsStore

async def main(folder, now):
    store = ReadingsStore.open(Path(folder) / "store")
    options = CollectorOptions(history_days=2, commit_seconds=0.02)
    database = Database(f"sqlite:///{folder}/ledger.sqlite")
    collector = Collector(database, store, Hub(), options=options, clock=ManualClock(datetime.fromisoformat(now)))
    await collector.start()
    while True:
        await asyncio.sleep(0.02)
        print(collector.writer.committed, flush=True)

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.slow
async def test_killed_in_the_middle_it_loses_and_doubles_nothing(house, street, until, tmp_path):
    with_load_record(house)
    async with street(house.clock, link("A", FIRST, baud=19200)) as world:
        house.register({"A": (world.url("A"), [FIRST])})
        now = house.clock.now().isoformat()
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", COLLECT, str(tmp_path), now, stdout=asyncio.subprocess.PIPE
        )
        async with asyncio.timeout(60):
            while int(await child.stdout.readline()) < 300:  # readings, 4 of each record
                pass
        child.send_signal(signal.SIGKILL)
        await child.wait()
        world.servers["A"].baud = None
        with ReadingsStore.open(tmp_path / "store") as store:
            house.store = store
            assert 0 < len(stamped(house, FIRST)) < 192
            async with house.collecting(history_days=2) as collector:
                await filled(house, collector, until, FIRST)
            assert stamped(house, FIRST) == memory(world, FIRST, slots(house, days=2))
            assert len(house.values(FIRST)) == len(stamped(house, FIRST)) + 1  # and the polled one of now


async def test_a_meter_that_refuses_times_it_has_no_record_of_still_tells_the_rest(
    lasting_house, street, until
):
    house = lasting_house
    with_load_record(house)
    async with street(house.clock, link("A", FIRST), record_days=1) as world:
        memory_of = world.meters[FIRST]._memory.read
        first = house.clock.now() - timedelta(days=1)
        refused = []

        def read(di, tail, **now):
            asked = datetime.strptime(tail[:0:-1].hex(), "%y%m%d%H%M") if di.endswith("01") else None  # noqa: DTZ007
            if asked and asked < (first + timedelta(hours=8)).replace(tzinfo=None):
                refused.append(asked)
                return None
            return memory_of(di, tail, **now)

        world.meters[FIRST]._families["06"] = lambda di, tail: read(di, tail, now=world.meters[FIRST]._now())
        house.register({"A": (world.url("A"), [FIRST])})
        async with house.collecting(history_days=5) as collector:
            await filled(house, collector, until, FIRST)
        assert len(refused) == 1
        # and the record of this moment, which was asked for to see whether there are newer ones
        assert stamped(house, FIRST) == memory(world, FIRST, [*slots(house, days=1), house.clock.now()])


def midnights(house, days):
    """The last civil midnights of Shanghai, the oldest first."""
    today = house.clock.now().astimezone(ZoneInfo("Asia/Shanghai")).replace(hour=0, minute=0)
    return [(today - timedelta(days=back)).astimezone(UTC) for back in reversed(range(days))]


async def test_a_meter_without_load_record_tells_its_midnights_from_its_daily_freezes(
    lasting_house, street, until
):
    house = lasting_house
    with_load_record(house)
    async with street(house.clock, link("A", FIRST)) as world:
        world.meters[FIRST]._families["06"] = lambda _di, _tail: None
        house.register({"A": (world.url("A"), [FIRST])})
        async with house.collecting(history_days=5) as collector:
            await until(lambda: "06040002" in collector._known[house.meters[FIRST]].refused)
            await until(lambda: collector.is_idle)
            await collector.look_for_gaps()
            await until(lambda: collector.is_idle)
            assert await collector.flush()
            assert stamped(house, FIRST) == memory(world, FIRST, midnights(house, 5))
            house.clock.advance(timedelta(days=1))
            await collector.look_for_gaps()
            await until(lambda: collector.is_idle)
            assert await collector.flush()
        assert stamped(house, FIRST) == memory(world, FIRST, midnights(house, 6))


async def test_a_meter_that_remembers_nothing_is_left_alone(lasting_house, street, until):
    house = lasting_house
    with_load_record(house)
    async with street(house.clock, link("A", FIRST)) as world:
        for family in ("05", "06"):
            world.meters[FIRST]._families[family] = lambda _di, _tail: None
        house.register({"A": (world.url("A"), [FIRST])})
        async with house.collecting(history_days=5) as collector:
            refused = collector._known[house.meters[FIRST]].refused
            await until(lambda: "06040002" in refused)
            await until(lambda: collector.is_idle)
            await collector.look_for_gaps()
            await until(lambda: "05060001" in refused)
            await until(lambda: collector.is_idle)
            await collector.look_for_gaps()
            assert collector.link_states()[0].backfilling == 0
            assert collector.meter_state(house.meters[FIRST]).presence is Presence.ANSWERING
        assert stamped(house, FIRST) == {}


async def test_after_six_hours_without_the_link_nothing_is_missing(lasting_house, street, until):
    house = lasting_house
    with_load_record(house)
    async with street(house.clock, link("A", FIRST, SECOND)) as world:
        house.register({"A": (world.url("A"), [FIRST, SECOND])})
        async with house.collecting(history_days=1) as collector:
            await filled(house, collector, until, FIRST, SECOND)
            server = world.servers["A"]
            await server.stop()
            for _ in range(24):
                house.clock.advance(QUARTER)
                await until(lambda: collector.link_states()[0].error is not None)
            assert not collector.link_states()[0].connected
            await server.start()  # on the port it had
            house.clock.advance(QUARTER)
            await until(lambda: collector.link_states()[0].connected, seconds=30)
            await collector.look_for_gaps()
            await filled(house, collector, until, FIRST, SECOND)
        cut = slots(house, hours=7)
        for address in (FIRST, SECOND):
            found = {read_at: Decimal(value) for read_at, value, _ in house.values(address)}
            assert {slot: found.get(slot) for slot in cut} == memory(world, address, cut)


async def test_an_answer_that_comes_twice_costs_no_record(lasting_house, street, until):
    house = lasting_house
    with_load_record(house)
    async with street(house.clock, link("A", FIRST)) as world:
        bus = world.servers["A"].bus
        answers = bus.answers
        before = []

        def once_more(request, **line):
            """To each question for records, first the answer to the one before."""
            replies = answers(request, **line)
            if request.body[:4] != bytes.fromhex("01000406"):
                return replies
            doubled = [*before, *replies]
            before[:] = replies
            return doubled

        bus.answers = once_more
        house.register({"A": (world.url("A"), [FIRST])})
        async with house.collecting(history_days=2) as collector:
            await filled(house, collector, until, FIRST)
        assert stamped(house, FIRST) == memory(world, FIRST, slots(house, days=2))


async def test_a_disturbed_meter_gets_its_past_and_does_not_hold_up_its_neighbours(
    lasting_house, street, until
):
    house = lasting_house
    with_load_record(house)
    async with street(house.clock, link("A", FIRST, SECOND)) as world:
        world.meters[FIRST].faults = Faults(noisy=0.3)
        house.register({"A": (f"{world.url('A')}?timeout=0.05", [FIRST, SECOND])})
        order = []
        async with house.collecting(history_days=1, clock_hours=1e6, first_back_off_seconds=5) as collector:
            bus = collector._workers[house.links["A"]].bus
            bus.timing = replace(bus.timing, byte_gap=0.05)
            known = [collector._known[house.meters[address]] for address in (FIRST, SECOND)]
            reached = lambda one: one.backfilled_until and one.backfilled_until > NOON - QUARTER  # noqa: E731
            async with asyncio.timeout(60):
                while not all(map(reached, known)):
                    order += [one for one in known if reached(one) and one not in order]
                    if collector._workers[house.links["A"]].is_waiting:
                        house.clock.advance(timedelta(seconds=5))
                        if collector.link_states()[0].backfilling == 0:
                            await collector.look_for_gaps()
                    await asyncio.sleep(0.005)
        assert order[0] is known[1]
        for address in (FIRST, SECOND):
            expected = memory(world, address, [NOON - number * QUARTER for number in range(1, 97)])
            assert expected.items() <= stamped(house, address).items()
