"""No bytes crash, hang or fatten the codec: a corpus every time, and a million frames bent on purpose when there is time.

The corpus is what the run of a million began with and the bent frames that were most awkward for the readers.
"""

import random
import resource

import pytest

from wattkeeper.protocols.modbus import (
    Frame,
    IdentificationExchange,
    MeterRefused,
    MeterSide,
    ReadBits,
    ReadFile,
    ReadRegisters,
    Refusal,
    RtuReader,
    TcpReader,
    WriteRegister,
)
from wattkeeper.protocols.modbus.explain import explain
from wattkeeper.protocols.modbus.requests import FilePart

CORPUS = [
    "", "00", "FF" * 300, "0103", "010400000002 71CB", "010404436633341B38", "0183020000", "018302C0F1",
    "0103FF", "0103FE" + "00" * 254, "010300610001C5D5", "012B0E018300000100FF", "012B0E0183FF00FF" + "00FF" * 100,
    "000100000006010400000002", "000100000000", "0001000000FF01", "00010000FFFF0103", "FFFF0000000201", "0018FFFFFFFF",
    "01140C0704", "0114FF", "0110000A00FFFF", "0118FFFF", "0188", "6861010000000068910833333433593333338A16",
]  # fmt: skip


class Device:
    """Refuses now and then."""

    def read_words(self, function, address, count):
        if address % 5 == 0:
            raise Refusal(2)
        return bytes(2 * count)

    def write_words(self, address, octets):
        pass

    def read_bits(self, function, address, count):
        return (True,) * count

    def write_bits(self, address, states):
        pass

    def read_file(self, file, record, words):
        return bytes(2 * words)

    def identification(self):
        return {0: "a" * 300, 1: "b", 0x80: "c" * 244}


SIDE = MeterSide(Device())
READERS = {side: RtuReader(side) for side in ("reply", "request", "both")}
TCP = TcpReader()


def exchanges():
    return [
        make(framing=framing)
        for framing in ("rtu", "tcp")
        for make in (
            lambda framing: ReadRegisters(1, 0, 2, framing=framing),
            lambda framing: ReadBits(1, 0, 9, framing=framing),
            lambda framing: WriteRegister(1, 0, 1, framing=framing),
            lambda framing: ReadFile(1, [FilePart(1, 0, 2)], framing=framing),
            lambda framing: IdentificationExchange(1, framing=framing),
        )
    ]


def survives(raw, generator):
    """Everything that takes bytes takes these; what is read back is what was there."""
    found = explain(raw)
    assert b"".join(part.octets for part in found.parts) == raw
    found.as_json()
    assert found.summary
    cut = generator.randrange(len(raw) + 1)
    for reader in (*READERS.values(), TCP):
        for piece in (raw[:cut], raw[cut:]):
            for event in reader.feed(piece):
                assert str(event)
                if isinstance(event, Frame) and len(event.body) <= 252:
                    reply = SIDE.answer(event)
                    assert reply is None or len(reply.encode()) <= 260
        assert len(reader._buffer) <= 262
        if generator.random() < 0.3:
            reader.flush()
    exchange = generator.choice(exchanges())
    try:
        for piece in (raw[:cut], raw[cut:]):
            exchange.feed(piece)
    except MeterRefused:
        assert exchange.request is None
    exchange.restart()


def bent(generator):
    """A frame of any kind with a sound envelope, then bent: bits turned, cut, doubled, glued to another."""
    function = generator.choice(
        [1, 2, 3, 4, 5, 6, 7, 8, 0x0B, 0x0F, 0x10, 0x11, 0x14, 0x16, 0x17, 0x18, 0x2B, 0x83, 0xAB, 0x41]
    )
    body = generator.randbytes(generator.choice([0, 1, 2, 4, 5, 7, 12, 40, 251]))
    if generator.random() < 0.6 and len(body) > 1:
        body = bytes((len(body) - 1,)) + body[1:]
    if function == 0x2B and generator.random() < 0.7:
        body = (
            b"\x0e\x01\x83"
            + bytes((generator.choice([0, 0xFF]), generator.randrange(4), generator.randrange(4)))
            + body
        )
    transaction = generator.choice([None, generator.randrange(0x10000)])
    raw = bytearray(Frame(generator.choice([0, 1, 1, 17, 255]), function, body[:252], transaction).encode())
    match generator.randrange(6):
        case 0:
            raw[generator.randrange(len(raw))] ^= 1 << generator.randrange(8)
        case 1:
            del raw[generator.randrange(len(raw)) :]
        case 2:
            raw *= 2
        case 3:
            raw[:0] = generator.randbytes(generator.randrange(8))
        case 4 if len(raw) > 5:
            raw[4:6] = generator.randbytes(2)
        case _:
            pass
    return bytes(raw)


@pytest.mark.parametrize("text", CORPUS)
def test_the_corpus_is_survived(text):
    generator = random.Random(text)
    for _ in range(20):
        survives(bytes.fromhex(text), generator)


def test_three_thousand_bent_frames_are_survived():
    generator = random.Random(3)
    for _ in range(3_000):
        survives(bent(generator), generator)


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_a_million_bent_frames_are_survived_without_growing():
    generator = random.Random(1_000_000)
    for _ in range(50_000):  # tables and caches have their size by then
        survives(bent(generator), generator)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(950_000):
        survives(bent(generator), generator)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # [KB]
