"""Modbus meters on real sockets and lines: ours read pymodbus's server, theirs reads ours, and both share a wire."""

import struct
from decimal import Decimal
from pathlib import Path

import pytest
from pymodbus import FramerType
from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient
from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from wattkeeper.collection.drivers.modbus_maps import read_map
from wattkeeper.collection.errors import BadAddress, ReadFailed
from wattkeeper.collection.modbus_fieldwork import identify, probe, read_registers
from wattkeeper.links import Bus, LinkUrl
from wattkeeper.protocols.modbus import ReadRegisters, WriteRegister, WriteRegisters
from wattkeeper.protocols.modbus.mapfiles import shipped_maps
from wattkeeper.registry.repository import Registry

DLT645 = "000000000161"
SDM630 = shipped_maps()["eastron-sdm630"]


def their_device():
    """An SDM630 as pymodbus's server: 230.5 V on L1, 50.02 Hz, 1234.5 kWh; all other registers 0."""
    words = [0] * 400
    for address, value in ((0, 230.5), (70, 50.02), (72, 1234.5)):
        words[address : address + 2] = struct.unpack(">2H", struct.pack(">f", value))
    return SimDevice(1, simdata=[SimData(0, values=words, datatype=DataType.REGISTERS)])


@pytest.fixture(params=["tcp", "rtu over tcp", "serial"])
async def their_meter(request):
    """pymodbus's server behind a URL of ours."""
    if request.param == "serial":
        theirs, ours = request.getfixturevalue("serial_cable")
        server = ModbusSerialServer(their_device(), port=theirs, baudrate=19200, timeout=1)
        url = f"serial://{ours}?baud=19200&parity=none"
    else:
        framer = FramerType.SOCKET if request.param == "tcp" else FramerType.RTU
        server = ModbusTcpServer(their_device(), framer=framer, address=("127.0.0.1", 0))
        url = None
    await server.serve_forever(background=True)
    if url is None:
        url = f"tcp://127.0.0.1:{server.transport.sockets[0].getsockname()[1]}"
    yield url, request.param == "rtu over tcp"
    await server.shutdown()


async def test_we_read_pymodbus_s_server(their_meter):
    url, rtu = their_meter
    values = {value.key: value.value for value in await read_registers(url, 1, SDM630, rtu=rtu)}
    assert (values["voltage_l1"], values["frequency"], values["active_energy_import"]) == (
        Decimal("230.5"),
        Decimal("50.02"),
        Decimal("1234.5"),
    )
    assert len(values) == len(SDM630.registers)


async def test_we_write_to_pymodbus_s_server_and_read_it_back(their_meter):
    url, rtu = their_meter
    framing = "tcp" if url.startswith("tcp") and not rtu else "rtu"
    bus = Bus("test", LinkUrl.parse(url))
    try:
        await bus.run(WriteRegister(1, 300, 4711, framing=framing))
        await bus.run(WriteRegisters(1, 301, [1, 2], framing=framing))
        read = await bus.run(ReadRegisters(1, 300, 3, framing=framing))
    finally:
        await bus.close()
    assert read.registers == (4711, 1, 2)


MIXED = {
    "code": "wall",
    "meters": [{"address": DLT645, "point": "home"}],
    "modbus": [{"unit": 7, "map": "eastron-sdm630"}, {"unit": 8, "map": "carlo-gavazzi-em24"}],
}


async def test_pymodbus_s_client_reads_our_simulator(house, street):
    async with street(
        house.clock,
        {"code": "tcp", "transport": "modbus-tcp", "modbus": MIXED["modbus"]},
        {**MIXED, "transport": "pty"},
    ) as world:
        tcp = LinkUrl.parse(world.url("tcp"))
        clients = [
            AsyncModbusTcpClient(tcp.host, port=tcp.port),
            AsyncModbusSerialClient(LinkUrl.parse(world.url("wall")).device, baudrate=115200),
        ]
        for client in clients:
            assert await client.connect()
            reply = await client.read_input_registers(0, count=2, device_id=7)
            assert struct.unpack(">f", struct.pack(">2H", *reply.registers))[0] == pytest.approx(220, abs=15)
            refused = await client.read_input_registers(2000, count=2, device_id=8)
            assert (refused.isError(), refused.exception_code) == (True, 2)
            client.close()
        who = await identify(world.url("tcp"), 8)
    assert who == {0: "Carlo Gavazzi", 1: "EM24DINAV93XISX", 2: "simulated"}


@pytest.mark.parametrize("transport", ["tcp", "pty"])
@pytest.mark.parametrize("echo", [False, True])
async def test_dlt645_and_modbus_meters_share_one_line(house, street, until, transport, echo):
    house.plan(code="all", quantities=("active_energy_import", "voltage_l1"), every_seconds=900)
    async with street(house.clock, {**MIXED, "transport": transport, "echo": echo, "baud": 19200}) as world:
        house.register({"wall": (world.url("wall"), [DLT645])})
        register(house, "7", "modbus-rtu", "eastron-sdm630")
        register(house, "8", "modbus-rtu", "carlo-gavazzi-em24")
        async with house.collecting() as collector:
            await until(lambda: collector.is_idle)
        expected = {unit: world.modbus["wall", int(unit)].quantities() for unit in ("7", "8")}
    for unit, measured in expected.items():
        [(_, volts, source)] = house.values(unit, "voltage_l1")
        assert (Decimal(volts), source) == (measured["voltage_l1"][0], "polled")
        [(_, energy, _)] = house.values(unit)
        assert Decimal(energy) == pytest.approx(measured["active_energy_import"][0], abs=Decimal("0.1"))
    assert len(house.values(DLT645)) == 1


async def test_one_bad_register_costs_only_itself_and_is_remembered(house, street, until):
    phases = tuple(f"voltage_l{phase}" for phase in (1, 2, 3))
    house.plan(code="all", quantities=(*phases, "frequency"), every_seconds=900)
    async with street(
        house.clock,
        {"code": "A", "transport": "modbus-tcp", "modbus": [{"unit": 1, "map": "eastron-sdm630"}]},
    ) as world:
        meter = world.modbus["A", 1]
        meter.lacking = {2, 3}  # voltage_l2
        house.register({"A": (world.url("A"), [])})
        register(house, "1", "modbus-tcp", "eastron-sdm630")
        async with house.collecting() as collector:
            await until(lambda: collector.is_idle)
            [state] = collector.meter_states()
            assert state.unsupported == ("voltage_l2",)
            await collector.read_now(house.meters["1"], (*phases, "frequency"))
    stored = {key for key in (*phases, "frequency") if house.values("1", key)}
    assert stored == {"voltage_l1", "voltage_l3", "frequency"}


async def test_a_modbus_meter_has_no_load_record_and_nobody_asks_for_one(house, street, until):
    house.plan(code="all", quantities=("active_energy_import",), every_seconds=900, profile=True)
    async with street(
        house.clock, {"code": "A", "transport": "modbus-tcp", "modbus": [{"unit": 1, "map": "abb-b2x"}]}
    ) as world:
        house.register({"A": (world.url("A"), [])})
        register(house, "1", "modbus-tcp", "abb-b2x")
        async with house.collecting(history_days=3) as collector:
            await until(lambda: collector.is_idle)
            assert collector.link_states()[0].backfilling == 0
    assert len(house.values("1")) == 1


@pytest.mark.parametrize("name", sorted(shipped_maps()))
async def test_every_shipped_map_is_found_by_probing_a_meter_that_has_it(house, street, name):
    one = {"code": "A", "transport": "modbus-tcp", "modbus": [{"unit": 1, "map": name, "kind": "factory"}]}
    async with street(house.clock, one) as world:
        best, *others = await probe(world.url("A"), 1, shipped_maps().values())
        evidence = {fit.map.name: fit for fit in (best, *others)}[name]
    poor = name in ("acrel-adl300", "chint-dtsu666-old")  # three energies and nothing else
    assert evidence.verdict == ("possible" if poor else "fits")
    assert best.evidence == evidence.evidence or best.verdict == "fits"


async def test_wrong_questions_are_answered_in_sentences(house, street):
    async with street(
        house.clock, {"code": "A", "transport": "modbus-tcp", "modbus": [{"unit": 1, "map": "abb-b2x"}]}
    ) as world:
        with pytest.raises(BadAddress, match="248 is not the unit"):
            await read_registers(world.url("A"), 248, SDM630)
        with pytest.raises(ReadFailed, match="no such register"):
            await read_registers(world.url("A"), 1, SDM630)


async def test_the_line_rests_before_a_modbus_frame(house, street):
    """3.5 bytes of 10 bits at 1200 baud are 29 ms; a DL/T 645 bus leaves one byte."""
    async with street(house.clock, {**MIXED, "transport": "pty", "baud": 1200}) as world:
        bus = Bus("test", LinkUrl.parse(world.url("wall")))
        passed = []
        bus.add_tap(lambda traffic: passed.append((traffic.direction, traffic.at)))
        try:
            for _ in range(3):
                await bus.run(ReadRegisters(7, 0, 2, function=4))
        finally:
            await bus.close()
    sent = [at for direction, at in passed if direction == "tx"]
    rests = [
        (at - max(came for way, came in passed if way == "rx" and came < at)).total_seconds()
        for at in sent[1:]
    ]
    assert min(rests) >= 0.029


async def test_the_map_of_the_how_to_reads_the_maker_s_own_examples(tmp_path):
    """Finder's sheet: 13 and 60383 are 9123.51 kWh, 230 is 230 V, 314 is 31.4 A, 1545 is 15.45 kW; it counts from 1."""
    page = (Path(__file__).parents[3] / "docs/howto/add-a-modbus-meter.md").read_text(encoding="utf-8")
    written = tmp_path / "finder.toml"
    written.write_text(page.split("```toml\n", 1)[1].split("```", 1)[0], encoding="utf-8")
    words = [0] * 50
    for number, value in ((7, 0x3745), (28, 13), (29, 60383), (36, 230), (37, 314), (38, 1545)):
        words[number - 1] = value
    device = SimDevice(1, simdata=[SimData(0, values=words, datatype=DataType.REGISTERS)])
    server = ModbusTcpServer(device, address=("127.0.0.1", 0))
    await server.serve_forever(background=True)
    url = f"tcp://127.0.0.1:{server.transport.sockets[0].getsockname()[1]}"
    try:
        values = {value.key: str(value.value) for value in await read_registers(url, 1, read_map(written))}
        best, *_ = await probe(url, 1, [*shipped_maps().values(), read_map(written)])
    finally:
        await server.shutdown()
    assert values == {
        "active_energy_import": "9123.5100",
        "active_energy_export": "0.0000",
        "voltage_l1": "230.0000",
        "current_l1": "31.4000",
        "active_power": "15.4500",
    }
    assert (best.map.name, best.verdict) == ("finder-7e23", "fits")


def register(house, address, protocol, model):
    """A Modbus meter on the first link."""
    with house.database.write() as session:
        added = Registry(session).add_meter(
            address=address, protocol=protocol, model=model, link_id=next(iter(house.links.values()))
        )
        house.meters[address] = added.id
