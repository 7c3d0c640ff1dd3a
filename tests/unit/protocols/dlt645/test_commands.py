# ruff: noqa: DTZ001 -- a meter's clock has no zone
"""A command is one request and one acknowledgement, and goes to one meter only."""

from datetime import datetime

import pytest

from wattkeeper.protocols.dlt645 import (
    Access,
    BroadcastFreeze,
    ChangeBaudExchange,
    ChangePasswordExchange,
    ClearDemandExchange,
    ClearEventsExchange,
    ClearMeterExchange,
    ControlWord,
    Frame,
    FreezeExchange,
    MeterRefused,
    RelayExchange,
    RequestError,
    WriteAddressExchange,
    WriteExchange,
)
from wattkeeper.protocols.dlt645.errors import ERROR_BITS_2007
from wattkeeper.protocols.dlt645.requests import RELAY_ACTIONS

METER = "000000000161"
CLEARS = Access(2, "123456", "12345678")
AT = datetime(2025, 11, 2, 23, 59, 58)
HEAD = "02 56 34 12 78 56 34 12"  # PA P0 P1 P2 C0 C1 C2 C3


def sent(exchange):
    frame = Frame.decode(exchange.request)
    return f"{frame.address} {frame.control:02X} {frame.body.hex(' ')}"


@pytest.mark.parametrize(
    ("exchange", "request_", "reply"),
    [
        (WriteExchange(METER, "04000409", b"\x00\x12\x00", access=CLEARS), f"14 09 04 00 04 {HEAD} 00 12 00", Frame(METER, 0x94)),
        (FreezeExchange(METER, "99990000"), "16 00 00 99 99", Frame(METER, 0x96)),
        (ChangeBaudExchange(METER, 9600), "17 20", Frame(METER, 0x97, b"\x20")),
        (
            ChangePasswordExchange(METER, "04000C03", old=CLEARS, new=Access(2, "777888")),
            "18 03 0c 00 04 02 56 34 12 02 88 78 77",
            Frame(METER, 0x98, bytes.fromhex("02887877")),
        ),
        (ClearDemandExchange(METER, access=CLEARS), f"19 {HEAD}", Frame(METER, 0x99)),
        (ClearMeterExchange(METER, access=CLEARS), f"1A {HEAD}", Frame(METER, 0x9A)),
        (ClearEventsExchange(METER, access=CLEARS), f"1B {HEAD} ff ff ff ff", Frame(METER, 0x9B)),
        (
            RelayExchange(METER, "close_allowed", access=CLEARS, valid_until=AT),
            f"1C {HEAD} 1b 00 58 59 23 02 11 25",
            Frame(METER, 0x9C),
        ),
        (
            RelayExchange.ciphered(METER, bytes(range(20)), operator="12345678"),
            f"1C 98 00 00 00 78 56 34 12 {bytes(range(20)).hex(' ')}",
            Frame(METER, 0x9C),
        ),
    ],
    ids=["write", "freeze", "baud", "password", "clear_demand", "clear_meter", "clear_events", "relay", "ciphered"],
)  # fmt: skip
def test_a_command_is_sent_as_the_standard_writes_it_and_acknowledged(exchange, request_, reply):
    assert sent(exchange) == f"{METER} {request_}"
    assert not exchange.acknowledged
    assert exchange.feed(reply.encode())
    assert exchange.acknowledged
    assert exchange.request is None


def test_every_relay_action_has_its_byte():
    told = {
        action: Frame.decode(
            RelayExchange(METER, action, access=CLEARS, valid_until=AT).request
        ).body[8]
        for action in RELAY_ACTIONS
    }  # fmt: skip
    assert told == {
        "trip": 0x1A, "close_allowed": 0x1B, "close": 0x1C, "alarm": 0x2A, "alarm_off": 0x2B, "keep_power": 0x3A,
        "keep_power_off": 0x3B,
    }  # fmt: skip


def test_a_new_address_confirms_itself():
    exchange = WriteAddressExchange("000000000162")
    assert sent(exchange) == "AAAAAAAAAAAA 15 62 01 00 00 00 00"
    assert not exchange.feed(Frame(METER, 0x95).encode())
    assert exchange.feed(Frame("000000000162", 0x95).encode())
    assert exchange.acknowledged


def test_a_freeze_of_all_meters_has_no_reply():
    exchange = BroadcastFreeze()
    assert sent(exchange) == "999999999999 16 99 99 99 99"
    assert not exchange.expects_reply


@pytest.mark.parametrize("bit", range(8))
def test_every_bit_of_a_refusal_is_named_in_both_languages(bit):
    exchange = RelayExchange(METER, "trip", access=CLEARS, valid_until=AT)
    with pytest.raises(MeterRefused) as refused:
        exchange.feed(Frame(METER, 0xDC, bytes([1 << bit])).encode())
    reason = ERROR_BITS_2007[bit]
    assert str(refused.value) == f"Meter {METER} refused the trip: {reason.en} (ERR {1 << bit:02X}H)."
    assert refused.value.zh == reason.zh
    assert not exchange.acknowledged


def test_a_speed_that_was_not_asked_for_is_no_confirmation():
    exchange = ChangeBaudExchange(METER, 9600)
    assert not exchange.feed(Frame(METER, 0x97, b"\x08").encode())
    assert [stray.reason for stray in exchange.strays] == ["it confirms 08"]


@pytest.mark.parametrize("address", ["AAAAAAAAAAAA", "AAAAAAAA0161", "999999999999"])
def test_no_command_goes_to_more_than_one_meter(address):
    with pytest.raises(RequestError, match="one meter by its whole address"):
        RelayExchange(address, "trip", access=CLEARS, valid_until=AT)


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: Access(10, "123456"), "0 to 9"),
        (lambda: RelayExchange(METER, "explode", access=CLEARS, valid_until=AT), "not a relay action"),
        (lambda: RelayExchange(METER, "trip", access=Access(2, "12345"), valid_until=AT), "6 digits"),
        (lambda: ChangeBaudExchange(METER, 115200), "not a speed of the standard"),
        (lambda: WriteExchange(METER, "04000409", bytes(39), access=CLEARS), "at most 50 bytes"),
        (lambda: FreezeExchange(METER, "9999"), "MMDDhhmm"),
    ],
)
def test_what_cannot_be_commanded_is_refused_before_anything_is_sent(make, problem):
    with pytest.raises(RequestError, match=problem):
        make()


def test_a_password_is_not_shown():
    assert "123456" not in repr(Access(2, "123456", "87654321"))


def test_the_control_word_tells_what_commands_change():
    assert ControlWord.of(0) == ControlWord(
        relay_open=False, ordered_open=False, alarm=False, keep_power=False
    )
    assert ControlWord.of(0x10D0) == ControlWord(
        relay_open=True, ordered_open=True, alarm=True, keep_power=True
    )
    assert ControlWord.of(0x0010).close_allowed
