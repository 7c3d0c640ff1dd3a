"""Our bus and our simulator against PyPI `dlt645` 3.2.0, an implementation we did not write.

Where the two disagree the standard decides, and the test says what it says: that package takes and
gives addresses in the order of the wire, answers reads that are meant for other meters, and reverses
the time of a maximum demand.
"""

from datetime import datetime

import pytest
from dlt645 import Demand, MeterClientService, MeterServerService

from wattkeeper.links import Bus, LinkUrl, Timing
from wattkeeper.protocols.dlt645 import MeterRefused, ReadAddressExchange, ReadExchange

ADDRESS = "000000000161"
WIRE_ORDER = "610100000000"  # how that package writes the same address


def _furnish(service: MeterServerService) -> MeterServerService:
    service.set_address(WIRE_ORDER)
    service.set_00(0x00010000, 123456.78)
    service.set_02(0x02010100, 220.1)
    service.set_02(0x02030000, 1.5)
    service.set_01(0x01010000, Demand(1.2345, datetime(2026, 3, 4, 5, 6)))  # noqa: DTZ001 -- a meter's civil time
    assert service.server.start()
    return service


@pytest.fixture(scope="module", params=["tcp", "pty"])
def their_server(request):
    """Their server, over a socket and over a serial cable; starting one takes it a second."""
    if request.param == "tcp":
        service = _furnish(MeterServerService.new_tcp_server("127.0.0.1", 0))
        yield f"tcp://127.0.0.1:{service.server.port}"
    else:
        theirs, ours = request.getfixturevalue("serial_cable")
        service = _furnish(MeterServerService.new_rtu_server(theirs, 8, 1, 9600, "N", 1.0))
        yield f"serial://{ours}?baud=9600&parity=none"
    service.server.stop()


@pytest.fixture
async def bus_to_their_server(their_server):
    bus = Bus("theirs", LinkUrl.parse(their_server), timing=Timing(reply_timeout=2.0, attempts=1))
    yield bus
    await bus.close()


@pytest.mark.parametrize(
    ("di", "told"),
    [
        pytest.param("00010000", "123456.78", id="energy"),
        pytest.param("02010100", "220.1", id="voltage"),
        pytest.param("02030000", "1.5000", id="power"),
        pytest.param("01010000", "1.2345", id="maximum demand"),
    ],
)
async def test_we_read_their_meter(bus_to_their_server, di, told):
    exchange = await bus_to_their_server.run(ReadExchange(ADDRESS, di))
    assert str(exchange.values[0].value) == told


async def test_we_learn_their_meters_address(bus_to_their_server):
    assert (await bus_to_their_server.run(ReadAddressExchange())).address == ADDRESS


async def test_they_answer_for_other_meters_where_the_standard_asks_for_silence(bus_to_their_server):
    # A refusal under a foreign address: taken for what it says it is, as the frame cannot tell.
    with pytest.raises(MeterRefused) as refused:
        await bus_to_their_server.run(ReadExchange("000000000162", "00010000"))
    assert (refused.value.address, refused.value.bits) == ("000000000162", 0x01)


async def test_their_client_reads_our_meter_over_tcp(world, in_thread):
    neighbourhood, _ = await world()
    host, port = neighbourhood.url("bus").removeprefix("tcp://").split(":")
    client = MeterClientService.new_tcp_client(host, int(port), timeout=5.0)
    with client.client:
        await _reads_our_meter(client, in_thread)


async def test_their_client_reads_our_meter_over_a_serial_port(world, in_thread):
    neighbourhood, _ = await world(transport="pty")
    path = LinkUrl.parse(neighbourhood.url("bus")).device
    client = MeterClientService.new_rtu_client(path, 9600, 8, 1, "N", 5.0)
    with client.client:
        await _reads_our_meter(client, in_thread)


async def test_our_meter_is_silent_when_their_client_asks_for_another(world, in_thread):
    neighbourhood, _ = await world()
    host, port = neighbourhood.url("bus").removeprefix("tcp://").split(":")
    client = MeterClientService.new_tcp_client(host, int(port), timeout=0.2)
    with client.client:
        client.set_address("620100000000")
        assert await in_thread(client.read_00, 0x00010000) is None


async def _reads_our_meter(client, in_thread):
    client.set_address(WIRE_ORDER)
    energy = await in_thread(client.read_00, 0x00010000)
    assert (energy.value, energy.unit) == (6000.00, "kWh")  # 62.5 days of 96 kWh
    tariff = await in_thread(client.read_00, 0x00010400)
    assert tariff.value == 2012.00
    voltage = await in_thread(client.read_02, 0x02010100)
    assert 200.0 < voltage.value < 240.0
    # Our largest demand ended on 2026-03-01 at 00:15, low byte first on the wire: 15 00 01 03 26. They take
    # the year first, find a month 00 and give up.
    assert await in_thread(client.read_01, 0x01010000) is None
    told = await in_thread(client.read_address)
    assert told.value.replace(" ", "") in {ADDRESS, WIRE_ORDER}
