# ruff: noqa: DTZ001 -- a meter's clock has no zone
"""The edition of 1997: two bytes of identifier, no SEQ, no operator code, and which of the two a meter speaks."""

import random
from datetime import datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattkeeper.protocols.dlt645 import (
    Access,
    BroadcastTime,
    Dlt645Error,
    Frame,
    MeterRefused,
    MeterSide,
    RequestError,
    UnexpectedReply,
    edition1997,
)
from wattkeeper.protocols.dlt645.codecs import Bits, Digits, Hex, Number, Raw, Stamp
from wattkeeper.protocols.dlt645.detection import EditionProbe, edition_probes, silence_after
from wattkeeper.protocols.dlt645.identifiers import TABLE_1997
from wattkeeper.protocols.dlt645.master_1997 import (
    ReadExchange1997,
    WriteAddressExchange1997,
    WriteExchange1997,
)
from wattkeeper.protocols.dlt645.meter_1997 import MeterSide1997

METER = "000000000414"
ACCESS = Access(0, "123456")
HEAD = b"\x10\x90"


class Device:
    """A meter of 1997 with a few values, and a record of what it was told."""

    def __init__(self, **data):
        self.address = METER
        self.data = {"9010": bytes.fromhex("15809500")} | data
        self.clock = None
        self.commands = []

    def read_1997(self, di):
        return self.data.get(di)

    def set_time(self, at):
        self.clock = at

    def execute_1997(self, function, body):
        self.commands.append((function, body.hex(" ")))
        return b""


def talk(exchange, meter):
    for _ in range(600):
        if exchange.request is None:
            return exchange
        (reply,) = meter.feed(exchange.request)
        assert exchange.feed(reply)
    raise AssertionError("it does not end")


@pytest.mark.parametrize("address", [METER, "999999999999"])
def test_a_read_is_answered_from_the_real_address_also_when_anybody_is_asked(address):
    exchange = talk(ReadExchange1997(address, "9010"), MeterSide1997(Device()))
    assert exchange.address == METER
    assert [(str(value.value), value.unit) for value in exchange.values] == [("9580.15", "kWh")]


def test_a_read_of_1997_as_it_was_published():
    exchange = ReadExchange1997("000000063295", "9010")
    assert Frame.decode(exchange.request) == Frame("000000063295", 0x01, HEAD)
    assert exchange.feed(bytes.fromhex("6895320600000068810643C3483333330B16"))
    assert exchange.values[0].value == Decimal("0.15")


def test_a_refusal_is_in_the_words_of_1997():
    with pytest.raises(MeterRefused) as refused:
        talk(ReadExchange1997(METER, "B611"), MeterSide1997(Device()))
    assert refused.value.zh == "数据标识错"
    assert str(refused.value) == (
        "Meter 000000000414 refused B611: the meter does not know this data identifier (ERR 02H)."
    )


@given(st.integers(0, 1500))
def test_a_reply_of_any_length_arrives_whole(size):
    body = bytes(byte % 251 for byte in range(size))
    assert talk(ReadExchange1997(METER, "901F"), MeterSide1997(Device(**{"901F": body}))).body == body


def test_follow_up_frames_are_asked_for_without_a_number():
    exchange = ReadExchange1997(METER, "901F")
    exchange.feed(Frame(METER, 0xA1, b"\x1f\x90" + bytes(198)).encode())
    assert Frame.decode(exchange.request) == Frame(METER, 0x02, b"\x1f\x90")
    assert exchange.feed(Frame(METER, 0x82, b"\x1f\x90\xaa").encode())
    assert exchange.body == bytes(198) + b"\xaa"


def test_a_read_whose_follow_up_was_repeated_begins_anew_and_is_right():
    body = bytes(byte % 251 for byte in range(500))
    meter = MeterSide1997(Device(**{"901F": body}))
    exchange = ReadExchange1997(METER, "901F")
    exchange.feed(meter.feed(exchange.request)[0])
    meter.feed(exchange.request)  # the reply to this one is lost
    exchange.restart()
    exchange.feed(meter.feed(exchange.request)[0])
    assert Frame.decode(exchange.request).control == 0x01
    assert talk(exchange, meter).body == body


def test_a_line_that_loses_every_follow_up_is_given_up():
    meter = MeterSide1997(Device(**{"901F": bytes(500)}))
    exchange = ReadExchange1997(METER, "901F")

    def lose_every_follow_up():
        while exchange.request:
            if Frame.decode(exchange.request).control == 0x02:
                exchange.restart()
            exchange.feed(meter.feed(exchange.request)[0])

    with pytest.raises(UnexpectedReply, match="lost 3 times"):
        lose_every_follow_up()
    assert exchange.request is None


def test_a_meter_repeats_its_last_piece_when_asked_again():
    meter = MeterSide1997(Device(**{"901F": bytes(range(250))}))
    meter.feed(Frame(METER, 0x01, b"\x1f\x90").encode())
    (second,) = meter.feed(Frame(METER, 0x02, b"\x1f\x90").encode())
    (again,) = meter.feed(Frame(METER, 0x03, b"\x1f\x90").encode())
    assert Frame.decode(again).body == Frame.decode(second).body == b"\x1f\x90" + bytes(range(198, 250))
    assert Frame.decode(again).control == 0x83


def test_a_write_has_a_password_and_no_operator_code():
    device = Device()
    payload = edition1997.encode_body("C011", ["235958"])
    assert talk(WriteExchange1997(METER, "C011", payload, access=ACCESS), MeterSide1997(device)).acknowledged
    assert device.commands == [(0x04, "11 c0 00 56 34 12 58 59 23")]


def test_a_new_address_is_written_to_99_and_answered_from_the_new_one():
    device = Device()
    exchange = WriteAddressExchange1997("000000000777")
    device.execute_1997 = lambda function, body: setattr(device, "address", body[::-1].hex()) or b""
    assert talk(exchange, MeterSide1997(device)).acknowledged
    assert exchange.strays == []


def test_a_broadcast_time_is_the_frame_of_2007():
    device = Device()
    assert MeterSide1997(device).feed(BroadcastTime(datetime(2025, 11, 2, 23, 59, 58)).request) == []
    assert device.clock == datetime(2025, 11, 2, 23, 59, 58)


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: ReadExchange1997(METER, "00010000"), "4 hexadecimal digits"),
        (lambda: ReadExchange1997("414", "9010"), "pad it with zeros"),
        (lambda: WriteExchange1997("999999999999", "C011", b"", access=ACCESS), "one meter"),
        (lambda: WriteExchange1997(METER, "C011", bytes(45), access=ACCESS), "at most 50"),
        (lambda: edition1997.encode_body("0000", [1]), "no identifier"),
    ],
)
def test_what_1997_has_no_words_for_is_refused_before_anything_is_sent(make, problem):
    with pytest.raises(RequestError, match=problem):
        make()


def _sample(codec, chance):
    match codec:
        case Number(size=size, decimals=decimals):
            return Decimal(chance.randrange(100**size)).scaleb(-decimals)
        case Stamp(order=order):
            return "".join(str(chance.randrange(10)) for _ in order)
        case Digits(size=size):
            return "".join(str(chance.randrange(10)) for _ in range(2 * size))
        case Hex(size=size):
            return chance.randbytes(size).hex().upper()
        case Bits(size=size):
            return chance.getrandbits(8 * size)
        case Raw(size=size):
            return chance.randbytes(size or 7).hex().upper()


def test_every_identifier_of_1997_survives_the_round_trip():
    chance = random.Random(1997)
    seen = 0
    for di in TABLE_1997:
        layout = edition1997.layout_of(di)
        fields = layout.fields[: chance.choice(list(layout.counts.values()))]
        values = [_sample(field.codec, chance) for field in fields]
        found = edition1997.decode_body(di, edition1997.encode_body(di, values))
        assert [value.value for value in found] == values, di
        assert [value.identifier for value in found] == [field.identifier for field in fields]
        seen += 1
    assert seen == 1332


@given(st.lists(st.binary(max_size=60), max_size=4), st.integers(0, 0xFF), st.binary(max_size=20))
def test_no_bytes_make_either_side_raise_anything_but_its_own_errors(chunks, control, body):
    meter = MeterSide1997(Device())
    exchange = ReadExchange1997(METER, "9010")
    for chunk in [*chunks, Frame(METER, control, body).encode()]:
        meter.feed(chunk)
        try:
            exchange.feed(chunk)
        except Dlt645Error:
            return


# --- which edition a meter speaks ----------------------------------------------------------------------------------


class Device2007:
    address = METER

    def __init__(self, *, knows=True):
        self.knows = knows

    def read(self, di, tail):
        return b"\x00" * 4 if self.knows else None

    def set_time(self, at):
        raise AssertionError(at)

    def execute(self, function, body):
        raise AssertionError(function)


@pytest.mark.parametrize(
    ("meter", "edition", "asked"),
    [
        pytest.param(MeterSide(Device2007()), 2007, 1, id="2007"),
        pytest.param(MeterSide(Device2007(knows=False)), 2007, 1, id="2007_refusing"),
        pytest.param(MeterSide1997(Device()), 1997, 2, id="1997"),
    ],
)
def test_a_meter_answers_in_its_own_edition_only(meter, edition, asked):
    probes = list(edition_probes(METER))
    for probe in probes:
        for reply in meter.feed(probe.request):
            assert probe.feed(reply)
    answered = [probe for probe in probes if probe.edition is not None]
    assert [(probe.edition, probe.address) for probe in answered] == [(edition, METER)]
    assert probes.index(answered[0]) == asked - 1


def test_a_meter_of_1997_that_refuses_the_question_of_2007_has_told_its_edition():
    probe = EditionProbe(METER, 2007)
    assert probe.feed(Frame(METER, 0xC1, b"\x02").encode())
    assert probe.edition == 1997


def test_another_meter_and_an_echo_tell_nothing():
    probe = EditionProbe(METER, 2007)
    assert not probe.feed(probe.request)
    assert not probe.feed(Frame("000000000415", 0x81, HEAD + bytes(4)).encode())
    assert probe.edition is None
    assert len(probe.strays) == 2


def test_silence_is_long_enough_for_the_slowest_meter_at_each_speed():
    # 500 ms before the reply, 24 bytes of 11 bits, one gap of 500 ms.
    assert silence_after(1200) == pytest.approx(1.22)
    assert silence_after(9600) == pytest.approx(1.0275)
