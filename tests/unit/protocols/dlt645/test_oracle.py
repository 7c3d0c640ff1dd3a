"""PyPI dlt645 3.2.0, an independent implementation: the same answers, except where it departs from the standard.

Its known departures, each pinned by a test here so that a new version shows: it takes address strings in wire order,
puts the time of a demand high byte first, treats the top bit of every number as a sign, and knows numbers as floats.
"""

import logging
import random
from datetime import datetime
from decimal import Decimal

import pytest

pytest.importorskip("dlt645", reason="the independent implementation is a development dependency")

from dlt645.common.transform import bcd_to_float, float_to_bcd
from dlt645.protocol.protocol import DLT645Protocol

from wattkeeper.protocols.dlt645 import Frame, FrameReader, decode_body, encode_value, lookup, requests

METER = "123456789012"
NUMBERS = [
    "00000000", "00010000", "00020000", "00030000", "00050000", "00090000", "02010100", "02020100", "02030000",
    "02040000", "02050000", "02060000", "02070100", "02800001", "02800002", "02800007",
]  # fmt: skip


@pytest.fixture(autouse=True)
def _quiet_oracle():
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def _random_value(found, chance):
    places = found.format.replace(".", "")
    largest = 8 * 10 ** (len(places) - 1)  # below the top bit, which it takes for a sign
    value = Decimal(chance.randrange(largest)) * found.scale
    return -value if found.signed and chance.random() < 0.5 else value


def test_it_reads_every_frame_we_write():
    chance = random.Random(1)
    for _ in range(300):
        frame = Frame(
            METER, chance.choice([0x11, 0x91, 0xB1, 0xD1, 0x14]), chance.randbytes(chance.randint(0, 200))
        )
        theirs = DLT645Protocol.deserialize(frame.encode(chance.randint(0, 4)))
        assert bytes(theirs.addr)[::-1].hex() == METER
        assert (theirs.ctrl_code, bytes(theirs.data)) == (frame.control, frame.body)


def test_we_read_every_frame_it_writes():
    chance = random.Random(2)
    reader = FrameReader()
    for _ in range(300):
        body = chance.randbytes(chance.randint(0, 200))
        raw = bytes(DLT645Protocol.build_frame(bytes.fromhex(METER)[::-1], 0x91, body, chance.randint(0, 4)))
        assert Frame(METER, 0x91, body) in reader.feed(raw)


@pytest.mark.parametrize("di", NUMBERS)
def test_both_write_and_read_the_same_numbers(di):
    chance = random.Random(di)
    found = lookup(di)
    for _ in range(200):
        value = _random_value(found, chance)
        wire = encode_value(di, value)
        assert bytes(float_to_bcd(float(value), found.format, "little")) == wire
        assert bcd_to_float(wire, found.format, "little") == pytest.approx(float(value), abs=1e-9)
        assert decode_body(di, wire)[0].value == value


def test_it_takes_data_for_a_sign_where_the_standard_has_none():
    wire = bytes.fromhex("34120080")
    assert decode_body("00010000", wire)[0].value == Decimal("800012.34")  # §6: forward energy is unsigned
    assert bcd_to_float(wire, "XXXXXX.XX", "little") == pytest.approx(-12.34)


def test_it_writes_the_time_of_a_demand_high_byte_first():
    from dlt645.common.transform import bcd_to_time

    at = datetime(2023, 1, 2, 12, 34)  # noqa: DTZ001 - a meter's clock
    wire = encode_value("01010000", Decimal("12.3456"), occurred_at=at)
    assert wire[3:].hex(" ") == "34 12 02 01 23"  # §6.1: low byte first, mm hh DD MM YY
    assert bcd_to_time(wire[3:][::-1]) == at


def test_it_takes_an_address_in_wire_order():
    from dlt645 import MeterClientService

    client = MeterClientService.new_tcp_client("127.0.0.1", 1)  # never connects
    client.set_address(METER)
    asked = DLT645Protocol.build_frame(bytes(client.address), 0x11, requests.identifier_bytes("00010000"))
    assert Frame.decode(bytes(asked)).address == "129078563412"  # §5.2.2: the lowest pair goes first
