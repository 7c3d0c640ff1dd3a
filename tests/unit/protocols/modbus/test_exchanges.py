"""A master and a meter understand each other, and a master believes only the answer to its own question."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattkeeper.protocols.modbus import (
    EXCEPTIONS,
    FilePart,
    Frame,
    IdentificationExchange,
    MeterRefused,
    MeterSide,
    ReadBits,
    ReadFile,
    ReadRegisters,
    Refusal,
    RequestError,
    RtuReader,
    TcpReader,
    WriteCoil,
    WriteCoils,
    WriteRegister,
    WriteRegisters,
)

UNIT = 17


class Device:
    """A meter with a hundred registers and a hundred coils."""

    def __init__(self):
        self.words = bytearray(200)
        self.coils = [False] * 100
        self.objects = {0: "Wattkeeper", 1: "T-1000", 2: "1.2", 0x80: "x" * 200, 0x81: "y" * 200}

    def read_words(self, function, address, count):
        del function
        self._check(address, count)
        return bytes(self.words[2 * address : 2 * (address + count)])

    def write_words(self, address, octets):
        self._check(address, len(octets) // 2)
        self.words[2 * address : 2 * address + len(octets)] = octets

    def read_bits(self, function, address, count):
        del function
        self._check(address, count)
        return tuple(self.coils[address : address + count])

    def write_bits(self, address, states):
        self._check(address, len(states))
        self.coils[address : address + len(states)] = states

    def read_file(self, file, record, words):
        return bytes((file, record)) * words

    def identification(self):
        return self.objects

    @staticmethod
    def _check(address, count):
        if address + count > 100:
            raise Refusal(2)


def converse(exchange, device):
    """Run an exchange against a meter, through both readers."""
    side = MeterSide(device)
    while (request := exchange.request) is not None:
        hears = RtuReader("request") if exchange._transaction is None else TcpReader()
        (asked,) = hears.feed(request)
        assert exchange.feed(side.answer(asked).encode())
    return exchange


@pytest.mark.parametrize("framing", ["rtu", "tcp"])
def test_every_function_there_and_back(framing):
    device = Device()
    converse(WriteRegisters(UNIT, 10, [1, 2, 0xFFFF], framing=framing), device)
    converse(WriteRegister(UNIT, 13, 4711, framing=framing), device)
    read = converse(ReadRegisters(UNIT, 10, 4, framing=framing), device)
    assert read.registers == (1, 2, 0xFFFF, 4711)
    converse(WriteCoils(UNIT, 3, [True, False, True], framing=framing), device)
    converse(WriteCoil(UNIT, 6, on=True, framing=framing), device)
    bits = converse(ReadBits(UNIT, 2, 6, function=2, framing=framing), device)
    assert bits.bits == (False, True, False, True, True, False)
    files = converse(ReadFile(UNIT, [FilePart(4, 1, 2), FilePart(3, 9, 1)], framing=framing), device)
    assert files.records == (b"\x04\x01\x04\x01", b"\x03\x09")
    who = converse(IdentificationExchange(UNIT, framing=framing), device)
    assert who.objects == device.objects


@pytest.mark.parametrize("code", sorted(EXCEPTIONS))
def test_an_exception_is_named(code):
    exchange = ReadRegisters(UNIT, 0, 1)
    with pytest.raises(MeterRefused, match=f"{EXCEPTIONS[code].en}.*{code:02X}") as refused:
        exchange.feed(Frame(UNIT, 0x83, bytes((code,))).encode())
    assert refused.value.code == code
    assert refused.value.reason.zh


def test_a_function_that_a_meter_lacks_is_exception_01():
    side = MeterSide(Device())
    assert side.answer(Frame(UNIT, 0x41, b"")) == Frame(UNIT, 0xC1, b"\x01")
    assert side.answer(Frame(UNIT, 3, b"\0\x63\0\x02")) == Frame(UNIT, 0x83, b"\x02")
    assert side.answer(Frame(UNIT, 3, b"\0\0\0\x7e")) == Frame(UNIT, 0x83, b"\x03")
    assert side.answer(Frame(0, 6, b"\0\0\0\x01")) is None


@pytest.mark.parametrize(
    ("came", "reason"),
    [
        (Frame(18, 3, b"\x02\0\x01"), "Unit 17 was asked, unit 18 answered"),
        (Frame(17, 4, b"\x02\0\x01"), "it answers function 04"),
        (Frame(17, 3, b"\x04\0\x01\0\x02"), "it carries 4 bytes; 2 were asked for"),
        (Frame(17, 0x84, b"\x02"), "it answers function 04"),
    ],
)
def test_what_does_not_answer_is_kept_aside_with_its_reason(came, reason):
    exchange = ReadRegisters(UNIT, 0, 1)
    assert not exchange.feed(came.encode())
    (stray,) = exchange.strays
    assert reason in str(stray)
    assert exchange.feed(Frame(UNIT, 3, b"\x02\0\x2a").encode())
    assert exchange.registers == (42,)


def test_an_answer_to_an_earlier_request_over_tcp_is_not_believed():
    exchange = ReadRegisters(UNIT, 0, 1, framing="tcp")
    late = exchange._transaction - 1
    assert not exchange.feed(Frame(UNIT, 3, b"\x02\0\x01", late).encode())
    assert f"request number {late}" in str(exchange.strays[0])


def test_our_own_request_heard_back_is_no_answer():
    exchange = ReadRegisters(UNIT, 0, 1)
    assert not exchange.feed(exchange.request)
    assert exchange.feed(Frame(UNIT, 3, b"\x02\0\x07").encode())


def test_a_broken_reply_is_named_when_the_question_is_repeated():
    exchange = ReadRegisters(UNIT, 0, 1)
    sound = Frame(UNIT, 3, b"\x02\0\x07").encode()
    assert not exchange.feed(sound[:-1] + bytes((sound[-1] ^ 1,)))
    exchange.restart()
    assert "CRC" in exchange.broken[0].reason
    assert exchange.feed(sound)


@pytest.mark.parametrize(
    "impossible",
    [
        lambda: ReadRegisters(0, 0, 1),
        lambda: ReadRegisters(248, 0, 1),
        lambda: ReadRegisters(1, 0, 126),
        lambda: ReadRegisters(1, 65535, 2),
        lambda: ReadRegisters(1, 0, 0),
        lambda: ReadRegisters(1, 0, 1, function=1),
        lambda: WriteRegister(1, 0, 65536),
        lambda: ReadFile(1, []),
    ],
)
def test_what_modbus_cannot_carry_is_refused_before_it_is_sent(impossible):
    with pytest.raises(RequestError):
        impossible()


@given(st.binary(max_size=60))
def test_no_bytes_crash_a_meter(body):
    side = MeterSide(Device())
    for function in (1, 3, 5, 6, 0x0F, 0x10, 0x14, 0x2B):
        reply = side.answer(Frame(UNIT, function, body))
        assert reply.function & 0x7F == function
