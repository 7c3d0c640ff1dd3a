"""The meter side answers as the standard asks, and our master understands it."""

from datetime import datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattkeeper.protocols.dlt645 import (
    BroadcastTime,
    Frame,
    MeterRefused,
    MeterSide,
    ReadAddressExchange,
    ReadExchange,
    encode_value,
    requests,
)

METER = "000000000161"
ACCESS = requests.Access(2, "123456", "12345678")


class Device:
    """A meter with a few values, and a record of what it was told."""

    def __init__(self, **data):
        self.address = METER
        self.data = {"00010000": encode_value("00010000", Decimal("123456.78"))} | data
        self.clock = None
        self.commands = []

    def read(self, di, tail):
        return self.data.get(di)

    def set_time(self, at):
        self.clock = at

    def execute(self, function, body):
        self.commands.append((function, body))
        return 0x04 if function == 0x1A else b""


def talk(exchange, meter, *, limit=300):
    for _ in range(limit):
        if exchange.request is None:
            return exchange
        (reply,) = meter.feed(exchange.request)
        assert exchange.feed(reply)
    raise AssertionError("it does not end")


def answer(device, frame):
    return [Frame.decode(raw) for raw in MeterSide(device).feed(frame.encode())]


@pytest.mark.parametrize("address", [METER, "AAAAAAAAAAAA", "AAAAAAAA0161"])
def test_a_read_is_answered_from_the_real_address(address):
    exchange = talk(ReadExchange(address, "00010000"), MeterSide(Device()))
    assert exchange.address == METER
    assert exchange.values[0].value == Decimal("123456.78")


def test_a_request_may_come_in_pieces_with_noise():
    meter = MeterSide(Device())
    request = b"\x00\xff" + requests.read(METER, "00010000").encode(1)
    assert meter.feed(request[:7]) == []
    assert len(meter.feed(request[7:])) == 1


def test_an_unknown_identifier_is_refused():
    with pytest.raises(MeterRefused, match="no such data"):
        talk(ReadExchange(METER, "02010100"), MeterSide(Device()))


@given(st.integers(0, 2000))
def test_a_reply_of_any_length_arrives_whole(size):
    body = bytes(byte % 251 for byte in range(size))
    meter = MeterSide(Device(**{"03300501": body}))
    assert talk(ReadExchange(METER, "03300501"), meter).body == body


@pytest.mark.parametrize(("size", "frames"), [(0, 1), (196, 1), (197, 2), (391, 2), (392, 3)])
def test_no_frame_carries_more_than_200_bytes(size, frames):
    meter = MeterSide(Device(**{"03300501": bytes(size)}))
    exchange = ReadExchange(METER, "03300501")
    lengths = []
    while exchange.request:
        (reply,) = meter.feed(exchange.request)
        lengths.append(len(Frame.decode(reply).body))
        exchange.feed(reply)
    assert len(lengths) == frames
    assert max(lengths) <= 200


def test_a_device_may_say_itself_where_a_long_reply_is_cut():
    meter = MeterSide(Device(**{"06000001": [b"\x01" * 103, b"\x02" * 103]}))
    exchange = ReadExchange(METER, "06000001")
    exchange.feed(meter.feed(exchange.request)[0])
    assert exchange.body == b"\x01" * 103
    exchange.feed(meter.feed(exchange.request)[0])
    assert exchange.body == b"\x01" * 103 + b"\x02" * 103


def test_load_records_are_cut_between_blocks_and_short_ones_share_a_frame():
    full = b"\xa0\xa0\x62" + bytes(100)
    meter = MeterSide(Device(**{"06000001": full * 3, "06030001": (b"\xa0\xa0\x0e" + bytes(16)) * 12}))
    assert _frame_sizes(meter, "06000001") == [103, 103, 103]
    assert _frame_sizes(meter, "06030001") == [190, 38]


def _frame_sizes(meter, di):
    exchange, sizes = ReadExchange(METER, di), []
    while exchange.request:
        before = len(exchange.body)
        exchange.feed(meter.feed(exchange.request)[0])
        sizes.append(len(exchange.body) - before)
    return sizes


def test_a_follow_up_frame_can_be_asked_for_again():
    meter = MeterSide(Device(**{"03300501": bytes(300)}))
    meter.feed(requests.read(METER, "03300501").encode())
    again = requests.read_next(METER, "03300501", 1).encode()
    assert meter.feed(again) == meter.feed(again)


@pytest.mark.parametrize("seq", [2, 255])
def test_a_follow_up_that_does_not_exist_is_refused(seq):
    device = Device(**{"03300501": bytes(300)})
    meter = MeterSide(device)
    meter.feed(requests.read(METER, "03300501").encode())
    (reply,) = meter.feed(requests.read_next(METER, "03300501", seq).encode())
    assert Frame.decode(reply) == Frame(METER, 0xD2, b"\x01")


def test_read_address_is_answered_by_whoever_is_asked_with_wildcards():
    assert talk(ReadAddressExchange(), MeterSide(Device())).address == METER
    assert MeterSide(Device()).feed(requests.read_address("AAAAAAAAAA62").encode()) == []


@pytest.mark.parametrize(
    "silent",
    [
        pytest.param(requests.read("000000000162", "00010000").encode(), id="another_meter"),
        pytest.param(requests.read(METER, "00010000").encode()[:-2] + b"\x00\x16", id="wrong_checksum"),
        pytest.param(Frame("999999999999", 0x11, bytes.fromhex("00000100")).encode(), id="broadcast_read"),
        pytest.param(Frame(METER, 0x91, bytes.fromhex("00000100")).encode(), id="a_reply"),
        pytest.param(b"\x68\x16\xfe" * 40, id="noise"),
    ],
)
def test_silence(silent):
    assert MeterSide(Device()).feed(silent) == []


def test_broadcast_time_reaches_the_device_and_is_not_answered():
    device = Device()
    at = datetime(2025, 11, 2, 23, 59, 58)  # noqa: DTZ001
    assert MeterSide(device).feed(BroadcastTime(at).request) == []
    assert device.clock == at


def test_a_broadcast_time_that_is_none_is_ignored():
    device = Device()
    MeterSide(device).feed(Frame("999999999999", 0x08, bytes.fromhex("615259136021")).encode())
    MeterSide(device).feed(Frame("999999999999", 0x08).encode())
    assert device.clock is None


def test_a_broadcast_freeze_reaches_the_device_and_is_not_answered():
    device = Device()
    assert answer(device, requests.freeze("999999999999")) == []
    assert device.commands == [(0x16, b"\x99\x99\x99\x99")]


def test_a_command_is_executed_or_refused_by_the_device():
    device = Device()
    assert answer(device, requests.clear_demand(METER, access=ACCESS)) == [Frame(METER, 0x99)]
    assert answer(device, requests.clear_meter(METER, access=ACCESS)) == [Frame(METER, 0xDA, b"\x04")]
    assert [function for function, _ in device.commands] == [0x19, 0x1A]


def test_a_command_to_everybody_by_wildcard_is_not_executed():
    device = Device()
    assert answer(device, requests.clear_demand("AAAAAAAAAAAA", access=ACCESS)) == [
        Frame(METER, 0xD9, b"\x04")
    ]
    assert device.commands == []


@given(st.lists(st.binary(max_size=60), max_size=4), st.integers(0, 0x7F), st.binary(max_size=20))
def test_no_bytes_make_the_meter_raise(chunks, control, body):
    meter = MeterSide(Device())
    for chunk in [*chunks, Frame(METER, control, body).encode()]:
        meter.feed(chunk)
