"""Finding, reading and listening at the meter, over real sockets and a serial line."""

import asyncio
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from wattkeeper.collection import fieldwork
from wattkeeper.collection.errors import (
    BadAddress,
    LineDisturbed,
    ReadFailed,
    UnknownProtocol,
    UnknownWord,
)
from wattkeeper.links.errors import LinkUnavailable, NoReply
from wattkeeper.protocols.dlt645.frames import Frame, FrameReader
from wattkeeper.simulator.clock import FixedClock

NOON = datetime(2026, 3, 10, 4, 0, tzinfo=UTC)
READING = bytes.fromhex("6861010000000068910833333433593333338A16")


def link(*addresses, **more):
    return {"code": "A", "meters": [{"address": address, "point": address} for address in addresses], **more}


class Answering(asyncio.Protocol):
    """Says something at once, and then answers whatever it hears by a function of the bytes."""

    def __init__(self, answer, greeting):
        self.answer = answer
        self.greeting = greeting

    def connection_made(self, transport):
        self.transport = transport
        transport.write(self.greeting)

    def data_received(self, data):
        self.transport.write(self.answer(data))


@pytest.fixture
async def server():
    """A TCP server with its own idea of answers; gives its URL."""
    running = []

    async def serve(answer, *, greeting=b""):
        loop = asyncio.get_running_loop()
        running.append(await loop.create_server(lambda: Answering(answer, greeting), "127.0.0.1", 0))
        return f"tcp://127.0.0.1:{running[-1].sockets[0].getsockname()[1]}?timeout=0.05"

    yield serve
    for one in running:
        one.close()


async def test_the_only_meter_is_found_by_one_question(street):
    async with street(FixedClock(NOON), link("000000000161")) as world:
        said = []
        found = await fieldwork.scan(f"{world.url('A')}?timeout=0.1", progress=said.append)
    assert [(meter.address, meter.protocol, meter.baud) for meter in found] == [
        ("000000000161", "dlt645-2007", None)
    ]
    assert len(said) == 1


async def test_meters_that_talk_at_once_are_called_apart_by_their_low_digits(street):
    addresses = ["000000000161", "000000000262", "000000010262", "112233440262"]
    async with street(FixedClock(NOON), link(*addresses)) as world:
        found = await fieldwork.scan(f"{world.url('A')}?timeout=0.01&baud=115200")
    assert [meter.address for meter in found] == addresses


async def test_the_speed_of_a_serial_line_is_found(street):
    async with street(FixedClock(NOON), link("000000000161", transport="pty")) as world:
        found = await fieldwork.scan(world.url("A"), bauds=[4800, 9600])
    assert [(meter.address, meter.baud) for meter in found] == [("000000000161", 4800)]
    assert "baud=4800" in found[0].url


async def test_nobody_there_is_an_empty_list(server):
    assert await fieldwork.scan(await server(lambda _: b"")) == []


async def test_a_crackle_of_the_line_is_not_taken_for_a_crowd(street, server):
    heard = []

    def answer(chunk):
        heard.append(chunk)
        return (
            b"\x00\x55"
            if len(heard) == 1
            else Frame("000000000161", 0x93, bytes.fromhex("610100000000")).encode()
        )

    [found] = await fieldwork.scan(await server(answer))
    assert (found.address, len(heard)) == ("000000000161", 2)


async def test_a_line_that_makes_noise_whatever_is_asked_ends_the_scan(server):
    url = await server(lambda _: b"\x00\x55")
    with pytest.raises(LineDisturbed, match="makes noise whatever is asked"):
        await fieldwork.scan(f"{url}&baud=115200")


async def test_a_meter_of_1997_is_found_and_told_apart(server):
    def answer(chunk):
        for frame in FrameReader().feed(chunk):
            if frame.function == 0x01:
                return Frame("000000000777", 0x81, bytes.fromhex("109000001200")).encode()
        return b""

    [found] = await fieldwork.scan(await server(answer))
    assert (found.address, found.protocol) == ("000000000777", "dlt645-1997")


@pytest.mark.parametrize("address", ["000000000777", None])
async def test_a_meter_of_1997_is_read_in_its_own_words(street, address):
    old = {"code": "A", "meters": [{"address": "000000000777", "point": "P", "edition": 1997}]}
    async with street(FixedClock(NOON), old) as world:
        url = f"{world.url('A')}?timeout=0.1"
        [value] = await fieldwork.read_meter(url, address=address, words=["active_energy_import"])
        shown = world.meters["000000000777"].read_1997("9010")
    assert (value.address, value.unit) == ("000000000777", "kWh")
    assert value.value == Decimal(int(shown[::-1].hex())) / 100


@pytest.mark.parametrize("address", ["000000000777", None])
async def test_an_edition_that_is_named_is_the_only_one_asked_in(street, address):
    old = {"code": "A", "meters": [{"address": "000000000777", "point": "P", "edition": 1997}]}
    asked = []
    async with street(FixedClock(NOON), old) as world:
        bus = world.servers["A"].bus
        answers = bus.answers
        bus.answers = lambda request, **line: asked.append(request.function) or answers(request, **line)
        url, words = f"{world.url('A')}?timeout=0.1", ["active_energy_import"]
        [value] = await fieldwork.read_meter(url, address=address, words=words, protocol="dlt645-1997")
        assert set(asked) == {0x01}  # read data, as 1997 calls it
        with pytest.raises(NoReply):
            await fieldwork.read_meter(url, address=address, words=words, protocol="dlt645-2007")
        assert asked.count(0x01) == (1 if address else 2)
    assert value.address == "000000000777"


@pytest.mark.parametrize(
    ("protocol", "hint"),
    [("modbus-rtu", "`wattkeeper modbus read`"), ("iec62056", "Use dlt645, dlt645-2007, dlt645-1997.")],
)
async def test_a_protocol_that_is_not_spoken_here_is_refused_before_anything_is_sent(protocol, hint):
    with pytest.raises(UnknownProtocol) as refused:
        await fieldwork.read_meter("tcp://127.0.0.1:1", protocol=protocol)
    assert hint in str(refused.value)


async def test_words_become_values_with_units(street):
    async with street(FixedClock(NOON), link("000000000161")) as world:
        values = await fieldwork.read_meter(
            world.url("A"), address="000000000161", words=["voltage", "功率", "clock"]
        )
    told = {value.quantity: (value.unit, value.name_zh) for value in values}
    assert told == {
        "voltage_l1": ("V", "A相电压"),  # a single-phase meter: the absent phases have no value
        "active_power": ("kW", "总有功功率"),
        "active_power_l1": ("kW", "A相有功功率"),
        "clock": ("s", "电表时钟"),
    }
    assert values[-1].value == int(NOON.timestamp())


async def test_without_an_address_the_only_meter_is_asked(street):
    async with street(FixedClock(NOON), link("000000000161")) as world:
        [value] = await fieldwork.read_meter(world.url("A"), words=["frequency"])
    assert (value.address, value.unit) == ("000000000161", "Hz")


async def test_without_an_address_several_meters_are_not_guessed_at(street):
    async with street(FixedClock(NOON), link("000000000161", "000000000262")) as world:
        with pytest.raises(ReadFailed, match="Several meters"):
            await fieldwork.read_meter(f"{world.url('A')}?timeout=0.1")


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        pytest.param({"address": "161"}, BadAddress, "000000000161", id="short address"),
        pytest.param({"address": "0000000001x1"}, BadAddress, "12 digits", id="no digits"),
        pytest.param({"words": ["volltage"]}, UnknownWord, "Did you mean voltage?", id="unknown word"),
    ],
)
async def test_bad_input_is_refused_before_anything_is_sent(given, error, said):
    with pytest.raises(error, match=said.replace("?", r"\?")):
        await fieldwork.read_meter("tcp://127.0.0.1:9", **given)


async def test_a_port_where_nobody_listens_is_said(server):
    with pytest.raises(LinkUnavailable, match="refused"):
        await fieldwork.read_meter("tcp://127.0.0.1:9", address="000000000161")


async def test_a_meter_that_never_answers_is_said(server):
    with pytest.raises(NoReply, match="asked 3 times"):
        await fieldwork.read_meter(await server(lambda _: b""), address="000000000161")


async def test_listening_shows_frames_and_broken_ones_in_words(server):
    broken = READING[:-2] + b"\x00\x16"
    url = await server(lambda _: b"", greeting=b"\xfe\xfe" + READING + broken + READING[:9])
    heard = []
    async with asyncio.timeout(10):
        async for frame in fieldwork.monitor(url):
            heard.append((frame.valid, frame.raw, fieldwork.summary_of(frame)))
            if len(heard) == 3:
                break
    assert heard == [
        (True, READING, "000000000161 answers 91 read 00010000: active_energy_import 0.26 kWh"),
        (False, broken, "broken: checksum 00 expected 8A"),
        (False, READING[:9], "broken: silence after 9 of at least 12 bytes"),
    ]


async def test_a_question_without_an_answer_takes_nothing_from_the_others(street, server):
    async with street(FixedClock(NOON), link("000000000161")) as world:
        answers = world.servers["A"].bus.answers
        deaf = {bytes.fromhex("00ff0100"), bytes.fromhex("02008002")}  # the block of energies, the frequency
        world.servers["A"].bus.answers = lambda frame, **line: (
            [] if frame.body[:4] in deaf else answers(frame, **line)
        )
        values = await fieldwork.read_meter(
            f"{world.url('A')}?timeout=0.1", address="000000000161", words=["energy", "frequency", "voltage"]
        )
    told = [value.quantity for value in values]
    assert told == [f"active_energy_import{end}" for end in ("", "_t1", "_t2", "_t3", "_t4")] + [
        "active_energy_export",
        "voltage_l1",
    ]
