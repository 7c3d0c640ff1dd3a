"""An exchange ends with the answer to its own question, whatever else is on the line."""

from datetime import datetime
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattkeeper.protocols.dlt645 import (
    BroadcastTime,
    Dlt645Error,
    Frame,
    LoadRecord,
    LoadRecordExchange,
    MeterRefused,
    ReadAddressExchange,
    ReadExchange,
    RequestError,
    UnexpectedReply,
    Value,
    WrongAddress,
    encode_load_record,
    encode_value,
)
from wattkeeper.protocols.dlt645.planning import plan_reads
from wattkeeper.protocols.dlt645.requests import identifier_bytes

METER = "000000000161"
DI = "00010000"
HEAD = identifier_bytes(DI)


def reply(body=b"", *, control=0x91, address=METER, di=DI, seq=None):
    tail = b"" if seq is None else bytes([seq])
    return Frame(address, control, identifier_bytes(di) + body + tail).encode()


ENERGY = encode_value(DI, Decimal("123456.78"))
ANSWER = reply(ENERGY)


def test_a_read():
    exchange = ReadExchange(METER, DI)
    assert exchange.request == bytes.fromhex("FEFEFEFE68610100000000681104333334331416")
    assert exchange.subject == "meter 000000000161 reading 00010000"
    assert exchange.expects_reply
    assert exchange.feed(ANSWER)
    assert exchange.request is None
    assert exchange.values == (Value(DI, Decimal("123456.78"), "kWh"),)
    assert exchange.raw == bytes.fromhex("FEFEFEFE68610100000000681104333334331416") + ANSWER
    assert exchange.strays == []


@given(st.lists(st.integers(0, len(ANSWER)), max_size=6))
def test_the_answer_may_come_in_any_pieces(cuts):
    exchange = ReadExchange(METER, DI)
    edges = [0, *sorted(cuts), len(ANSWER)]
    answered = [exchange.feed(ANSWER[a:b]) for a, b in pairwise(edges)]
    assert sum(answered) == 1
    assert exchange.values[0].value == Decimal("123456.78")


def test_a_long_reply_is_put_together_from_its_follow_up_frames():
    exchange = ReadExchange(METER, DI)
    assert exchange.feed(reply(b"\x11" * 8, control=0xB1))
    assert exchange.request == Frame(METER, 0x12, HEAD + b"\x01").encode()
    assert exchange.feed(reply(b"\x22" * 8, control=0xB2, seq=1))
    assert exchange.request == Frame(METER, 0x12, HEAD + b"\x02").encode()
    assert exchange.feed(reply(b"\x33" * 4, control=0x92, seq=2))
    assert exchange.request is None
    assert exchange.body == b"\x11" * 8 + b"\x22" * 8 + b"\x33" * 4


def test_a_follow_up_frame_is_asked_for_again_by_the_same_number():
    exchange = ReadExchange(METER, DI)
    exchange.feed(reply(b"\x11" * 8, control=0xB1))
    asked = exchange.request
    half = reply(b"\x22" * 8, control=0x92, seq=1)
    assert not exchange.feed(half[:9])
    exchange.restart()
    assert exchange.request == asked
    assert exchange.feed(half)
    assert exchange.body == b"\x11" * 8 + b"\x22" * 8


def test_a_repeated_follow_up_frame_is_not_taken_twice():
    exchange = ReadExchange(METER, DI)
    exchange.feed(reply(b"\x11" * 8, control=0xB1))
    assert exchange.feed(reply(b"\x22" * 8, control=0xB2, seq=1))
    assert not exchange.feed(reply(b"\x22" * 8, control=0xB2, seq=1))
    assert exchange.feed(reply(b"\x33" * 8, control=0x92, seq=2))
    assert exchange.body == b"\x11" * 8 + b"\x22" * 8 + b"\x33" * 8
    assert [stray.reason for stray in exchange.strays] == ["it is not number 2"]


def test_a_meter_that_never_ends_is_stopped_after_255_follow_ups():
    exchange = ReadExchange(METER, DI)
    exchange.feed(reply(b"\x11", control=0xB1))
    for seq in range(1, 255):
        assert exchange.feed(reply(b"\x11", control=0xB2, seq=seq))
    with pytest.raises(UnexpectedReply, match="after 255 follow-up frames"):
        exchange.feed(reply(b"\x11", control=0xB2, seq=255))
    assert exchange.request is None


def test_a_refusal_names_the_meter_the_identifier_and_every_reason():
    exchange = ReadExchange(METER, DI)
    with pytest.raises(MeterRefused) as refused:
        exchange.feed(Frame(METER, 0xD1, b"\x06").encode())
    error = refused.value
    assert (error.address, error.identifier, error.bits) == (METER, DI, 6)
    assert [reason.key for reason in error.reasons] == ["no_such_data", "password_or_unauthorised"]
    assert [reason.zh for reason in error.reasons] == ["无请求数据", "密码错/未授权"]
    assert str(error) == (
        "Meter 000000000161 refused 00010000: the meter has no such data; wrong password or not authorised (ERR 06H)."
    )
    assert exchange.request is None


@pytest.mark.parametrize(
    ("stray", "kind"),
    [
        pytest.param(reply(ENERGY, address="000000000162"), WrongAddress, id="another_meter"),
        pytest.param(
            Frame("000000000162", 0xD1, b"\x02").encode(), WrongAddress, id="refusal_of_another_meter"
        ),
        pytest.param(reply(b"\x03\x22", di="02010100"), UnexpectedReply, id="another_identifier"),
        pytest.param(reply(ENERGY, control=0x92, seq=1), UnexpectedReply, id="follow_up_nobody_asked_for"),
        pytest.param(Frame(METER, 0x93, bytes(6)).encode(), UnexpectedReply, id="another_function"),
        pytest.param(Frame(METER, 0x91, b"").encode(), UnexpectedReply, id="no_identifier"),
        pytest.param(Frame(METER, 0xD1, b"").encode(), UnexpectedReply, id="refusal_without_reason"),
        pytest.param(ReadExchange(METER, DI).request, UnexpectedReply, id="echo_of_the_request"),
    ],
)
def test_a_stray_frame_is_kept_aside_and_the_answer_behind_it_is_taken(stray, kind):
    exchange = ReadExchange(METER, DI)
    assert not exchange.feed(stray)
    assert [type(found) for found in exchange.strays] == [kind]
    assert exchange.feed(ANSWER)
    assert exchange.values[0].value == Decimal("123456.78")


def test_a_second_copy_of_the_answer_is_a_stray():
    exchange = ReadExchange(METER, DI)
    assert exchange.feed(ANSWER + ANSWER)
    assert [stray.reason for stray in exchange.strays] == ["it came after the answer"]
    assert not exchange.feed(ANSWER)


def test_damage_is_kept_for_the_record():
    exchange = ReadExchange(METER, DI)
    damaged = ANSWER[4:-2] + b"\x00\x16"
    assert not exchange.feed(damaged)
    assert [broken.raw for broken in exchange.broken] == [damaged]


@pytest.mark.parametrize("pattern", ["AAAAAAAAAAAA", "AAAAAAAA0161", "999999999999"])
def test_a_wildcard_is_answered_with_the_real_address_which_follow_ups_use(pattern):
    exchange = ReadExchange(pattern, DI)
    assert exchange.feed(reply(b"\x11" * 8, control=0xB1))
    assert exchange.address == METER
    assert exchange.request == Frame(METER, 0x12, HEAD + b"\x01").encode()


def test_a_wildcard_read_does_not_take_a_meter_with_other_digits():
    exchange = ReadExchange("AAAAAAAA0162", DI)
    assert not exchange.feed(ANSWER)
    assert isinstance(exchange.strays[0], WrongAddress)


def test_read_address():
    exchange = ReadAddressExchange()
    assert exchange.request == bytes.fromhex("FEFEFEFE68AAAAAAAAAAAA681300DF16")
    assert exchange.feed(bytes.fromhex("6861010000000068930694343333333 35F16".replace(" ", "")))
    assert exchange.address == METER
    assert exchange.request is None


def test_read_address_does_not_believe_two_different_addresses():
    exchange = ReadAddressExchange()
    assert not exchange.feed(Frame(METER, 0x93, bytes.fromhex("620100000000")).encode())
    assert exchange.address is None


def test_broadcast_time():
    exchange = BroadcastTime(datetime(2025, 11, 2, 23, 59, 58))  # noqa: DTZ001
    assert exchange.request == bytes.fromhex("FEFEFEFE689999999999996808068B8C56354458B216")
    assert not exchange.expects_reply
    assert not exchange.feed(Frame(METER, 0x88).encode())


def test_load_records_from_a_time():
    at = datetime(2025, 11, 2, 23, 45)  # noqa: DTZ001
    exchange = LoadRecordExchange(METER, "06000001", at, 2)
    assert exchange.request == b"\xfe" * 4 + bytes.fromhex("6861010000000068110A34333339357856354458F416")
    record = LoadRecord(at, tuple(Value(f"0206{phase:02X}00", Decimal("0.990")) for phase in range(4)))
    block = encode_load_record(record)
    assert exchange.feed(reply(block, control=0xB1, di="06000001"))
    assert exchange.feed(reply(block, control=0x92, di="06000001", seq=1))
    assert exchange.records == (record, record)


def test_no_matching_load_record_is_no_record():
    exchange = LoadRecordExchange(METER, "06000001", datetime(2025, 11, 2), 1)  # noqa: DTZ001
    assert exchange.feed(bytes.fromhex("68610100000000689104343333399A16"))
    assert exchange.records == ()


def test_latest_load_records_need_no_time():
    assert LoadRecordExchange(METER, "06000002").request == b"\xfe" * 4 + bytes.fromhex(
        "6861010000000068110535333339345016"
    )


@pytest.mark.parametrize(
    ("address", "di", "problem"),
    [
        ("161", DI, "pad it with zeros"),
        (METER, "0001", "8 hexadecimal digits"),
        (METER, "0001000G", "8 hexadecimal digits"),
    ],
)
def test_a_wrong_question_is_refused_before_anything_is_sent(address, di, problem):
    with pytest.raises(RequestError, match=problem):
        ReadExchange(address, di)


@given(st.lists(st.binary(max_size=60), max_size=5))
def test_no_bytes_make_an_exchange_raise_anything_but_its_own_errors(chunks):
    exchange = ReadExchange(METER, DI)
    try:
        for chunk in chunks:
            exchange.feed(chunk)
    except Dlt645Error:
        pass


@given(st.integers(0, 255), st.binary(max_size=40))
def test_no_frame_makes_an_exchange_raise_anything_but_its_own_errors(control, body):
    for exchange in (ReadExchange(METER, DI), ReadAddressExchange(), BroadcastTime(datetime(2025, 1, 1))):  # noqa: DTZ001
        try:
            exchange.feed(Frame(METER, control, body).encode())
        except MeterRefused:
            assert control & 0xC0 == 0xC0


# --- the fewest reads ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "asked"),
    [
        pytest.param([], [], id="nothing"),
        pytest.param([DI], [DI], id="one_value_is_never_a_block"),
        pytest.param([DI, DI], [DI], id="twice_the_same"),
        pytest.param([DI, "00010100"], ["0001FF00"], id="two_tariffs"),
        pytest.param([DI, "00010001"], ["000100FF"], id="two_settlements"),
        pytest.param([DI, "00010101"], [DI, "00010101"], id="two_values_no_block_shares"),
        pytest.param([DI, "00020000"], [DI, "00020000"], id="two_quantities"),
        pytest.param(["02010100", "02010200", "02010300", "02800002"], ["0201FF00", "02800002"], id="phases"),
        pytest.param(["020A0101", "020A0115"], ["020A01FF"], id="harmonics"),
        pytest.param(["04000501", "04000507"], ["040005FF"], id="status_words"),
        pytest.param(
            ["00010000", "00010100", "00010001", "00010101"], ["0001FF00", "0001FF01"], id="a_square"
        ),
        pytest.param(["00010100", "00010101", "00010102", "00010200"], ["000101FF", "00010200"], id="mixed"),
        pytest.param(["04FFAAF9", "06000002"], ["04FFAAF9", "06000002"], id="what_has_no_block"),
    ],
)
def test_the_fewest_reads_checked_by_hand(wanted, asked):
    assert plan_reads(wanted) == asked


@given(st.sets(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=9))
def test_no_plan_could_do_with_fewer_reads(cells):
    wanted = [f"0001{tariff:02X}{settlement:02X}" for tariff, settlement in sorted(cells)]
    asked = plan_reads(wanted)
    # By trying all: each value is brought by its tariff block, its settlement block, or itself.
    best = (
        min(
            len({t for t, _ in cells if mask >> t & 1} | {(s,) for t, s in cells if not mask >> t & 1})
            for mask in range(16)
        )
        if cells
        else 0
    )
    assert len(asked) <= best
    brought = {di for di in wanted for block in asked if block in (di, f"{di[:4]}FF{di[6:]}", f"{di[:6]}FF")}
    assert brought == set(wanted)
