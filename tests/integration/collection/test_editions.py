"""Meters of both editions of DL/T 645 on one line, over a real socket: read, and told apart."""

from datetime import timedelta
from decimal import Decimal

import pytest

from wattkeeper.collection.errors import ReadFailed
from wattkeeper.collection.repository import CollectionRepository
from wattkeeper.collection.values import Presence
from wattkeeper.registry.repository import Registry

OLD, NEW = "000000000097", "000000000007"
ENERGY = ("active_energy_import",)
WANTED = (
    "active_energy_import",
    "active_energy_import_t1",
    "voltage_l1",
    "voltage_l2",
    "voltage_l3",
    "active_power",
    "clock",
)


def line(**more):
    """One of each edition."""
    meters = [{"address": OLD, "point": OLD, "edition": 1997}, {"address": NEW, "point": NEW}]
    return {"code": "A", "meters": meters, **more}


def register(house, url, protocols):
    """Register the line's meters, each with a protocol."""
    with house.database.write() as session:
        registry = Registry(session)
        house.links["A"] = registry.add_link(code="A", name="A", url=url).id
        for address, protocol in protocols.items():
            row = registry.add_meter(address=address, link_id=house.links["A"], protocol=protocol)
            house.meters[address] = row.id


async def test_a_meter_of_1997_is_read_beside_one_of_2007(house, street):
    async with street(house.clock, line()) as world:
        register(house, world.url("A"), {OLD: "dlt645-1997", NEW: "dlt645-2007"})
        async with house.collecting() as collector:
            old = {one.quantity: one for one in await collector.read_now(house.meters[OLD], WANTED)}
            new = {one.quantity: one for one in await collector.read_now(house.meters[NEW], WANTED)}
        assert set(old) == set(WANTED)
        assert old["voltage_l1"].value == round(new["voltage_l1"].value, 0)  # 1997 tells whole volts
        shown = world.meters[OLD].read_1997("9010")
    assert old["active_energy_import"].value == Decimal(int(shown[::-1].hex())) / 100
    traced = house.store.exchange(old["active_energy_import"].exchange_id)
    assert traced["request"].hex().startswith("fefefefe" + "68970000000000" + "68" + "01")


def functions_asked(house, address):
    """The control codes of everything that was sent to a meter, in order, as hexadecimal digits."""
    traces = sorted(house.store.traces.items())
    sent = (trace["request"] for _, trace in traces if trace["meter_id"] == house.meters[address])
    return [request[12:13].hex() for request in sent]


def kept(house):
    """What the ledger says that each meter speaks."""
    with house.database.read() as session:
        memories = CollectionRepository(session).memories()
    return {
        address: memories[meter_id].speaks
        for address, meter_id in house.meters.items()
        if meter_id in memories
    }


async def test_each_meter_is_asked_once_which_edition_it_speaks_and_never_again_after_a_restart(
    house, street, until
):
    house.plan(code="registers", quantities=ENERGY, every_seconds=900)
    async with street(house.clock, line()) as world:
        register(house, world.url("A") + "?timeout=0.3", {OLD: "dlt645", NEW: "dlt645"})
        async with house.collecting(clock_hours=10**4) as collector:
            await until(lambda: collector.is_idle)
            assert {state.speaks for state in collector.meter_states()} == {"dlt645-1997", "dlt645-2007"}
        # The old meter is silent to the question of 2007 (11H) and answers that of 1997 (01H); then both are read.
        assert functions_asked(house, OLD) == ["11", "01", "01", "01"]
        assert functions_asked(house, NEW) == ["11", "11", "11"]
        await until(lambda: kept(house) == {OLD: "dlt645-1997", NEW: "dlt645-2007"})
        house.store.traces.clear()
        house.clock.advance(timedelta(minutes=15))
        async with house.collecting(clock_hours=10**4) as collector:
            await until(lambda: collector.is_idle)
        assert functions_asked(house, OLD) == ["01"]
        assert functions_asked(house, NEW) == ["11"]
    assert len(house.values(OLD)) == len(house.values(NEW)) == 2
    assert {state.presence for state in collector.meter_states()} == {Presence.ANSWERING}


async def test_a_person_reads_a_meter_before_any_plan_has_met_it(house, street):
    house.plan(code="never", quantities=ENERGY, every_seconds=86400, meter_ids=[])
    async with street(house.clock, line()) as world:
        register(house, world.url("A") + "?timeout=0.3", {OLD: "dlt645"})
        async with house.collecting() as collector:
            [reading] = await collector.read_now(house.meters[OLD], ENERGY)
        assert reading.value == Decimal(int(world.meters[OLD].read_1997("9010")[::-1].hex())) / 100
    assert functions_asked(house, OLD) == ["11", "01", "01"]


async def test_a_meter_silent_to_both_has_failed_once_and_nothing_is_remembered(house, street, until):
    house.plan(code="registers", quantities=ENERGY, every_seconds=900)
    async with street(house.clock, line()) as world:
        register(house, world.url("A") + "?timeout=0.1", {"000000000404": "dlt645"})
        async with house.collecting(retries=0) as collector:
            await until(lambda: collector.is_idle)
            [state] = collector.meter_states()
            assert (state.failures_in_a_row, state.presence, state.speaks) == (1, Presence.FAILING, None)
            with pytest.raises(ReadFailed, match="Meter 000000000404 on A was not read"):
                await collector.read_now(house.meters["000000000404"], ENERGY)
        assert functions_asked(house, "000000000404") == ["11", "01"] * 2
    assert kept(house) == {}


async def test_a_meter_that_is_silent_in_what_it_spoke_is_asked_anew_after_a_day(house, street, until):
    """Another device has taken its place and its address."""
    house.plan(code="registers", quantities=ENERGY, every_seconds=3600)
    async with street(house.clock, line()) as world:
        register(house, world.url("A") + "?timeout=0.1", {NEW: "dlt645"})
        with house.database.write() as session:
            CollectionRepository(session).save_editions({house.meters[NEW]: "dlt645-1997"})
        async with house.collecting(retries=0, silent_after=1) as collector:
            await until(lambda: collector.is_idle)
            await collector.flush()
            assert set(functions_asked(house, NEW)) == {"01"}
            assert collector.meter_state(house.meters[NEW]).presence is Presence.SILENT
            house.clock.advance(timedelta(days=1, hours=1))
            await until(lambda: collector.meter_state(house.meters[NEW]).speaks == "dlt645-2007")
            await until(lambda: collector.is_idle)
    await until(lambda: kept(house) == {NEW: "dlt645-2007"})
    assert len(house.values(NEW)) == 1


async def test_a_meter_registered_with_its_edition_after_all_is_not_asked(house, street, until):
    house.plan(code="registers", quantities=ENERGY, every_seconds=900)
    async with street(house.clock, line()) as world:
        register(house, world.url("A") + "?timeout=0.3", {OLD: "dlt645"})
        async with house.collecting(clock_hours=10**4) as collector:
            await until(lambda: collector.is_idle)
            with house.database.write() as session:
                Registry(session).get_meter(house.meters[OLD]).protocol = "dlt645-1997"
            await collector.reload()
            await until(lambda: collector.is_idle)
            assert collector.meter_state(house.meters[OLD]).speaks is None
    assert functions_asked(house, OLD).count("11") == 1
