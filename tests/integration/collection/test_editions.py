"""Meters of both editions of DL/T 645 on one line, over a real socket: read, and told apart."""

from decimal import Decimal

from wattkeeper.registry.repository import Registry

OLD, NEW = "000000000097", "000000000007"
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
