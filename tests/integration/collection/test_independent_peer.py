"""The collector reads PyPI `dlt645` 3.2.0, an implementation we did not write, over TCP and a serial line.

Its server takes its address in the order of the wire and has no load record; the standard decides what we expect.
"""

from datetime import datetime

import dlt645
import pytest

from wattkeeper.collection import fieldwork

ADDRESS = "000000000161"
WIRE_ORDER = "610100000000"


@pytest.fixture(params=["tcp", "pty"])
def their_meter(request):
    """Their server behind a URL."""
    dlt645.disable_logging()
    if request.param == "tcp":
        service = dlt645.MeterServerService.new_tcp_server("127.0.0.1", 0)
    else:
        theirs, ours = request.getfixturevalue("serial_cable")
        service = dlt645.MeterServerService.new_rtu_server(theirs, 8, 1, 9600, "N", 1.0)
    service.set_address(WIRE_ORDER)
    service.set_00(0x00010000, 123456.78)
    service.set_02(0x02010100, 220.1)
    service.set_02(0x02030000, 1.5)
    service.set_01(0x01010000, dlt645.Demand(1.2345, datetime(2026, 3, 4, 5, 6)))  # noqa: DTZ001 - a meter's civil time
    assert service.server.start()
    port = getattr(service.server, "port", None)
    yield f"tcp://127.0.0.1:{port}" if request.param == "tcp" else f"serial://{ours}?baud=9600&parity=none"
    service.server.stop()


async def test_their_meter_is_found_read_and_collected(their_meter, house, until):
    [found] = await fieldwork.scan(their_meter, bauds=[9600])
    assert (found.address, found.protocol) == (ADDRESS, "dlt645-2007")
    [energy] = await fieldwork.read_meter(their_meter, words=["active_energy_import"])
    assert (energy.address, str(energy.value), energy.unit) == (ADDRESS, "123456.78", "kWh")
    quantities = ("active_energy_import", "voltage_l1", "active_power", "active_demand_import_max")
    house.plan(code="all", quantities=quantities, every_seconds=900)
    house.register({"A": (their_meter, [ADDRESS])})
    async with house.collecting() as collector:
        await until(lambda: collector.is_idle)
    stored = {quantity: [value for _, value, _ in house.values(ADDRESS, quantity)] for quantity in quantities}
    assert stored == {
        "active_energy_import": ["123456.7800"],
        "voltage_l1": ["220.1000"],
        "active_power": ["1.5000"],
        "active_demand_import_max": ["1.2345"],
    }
