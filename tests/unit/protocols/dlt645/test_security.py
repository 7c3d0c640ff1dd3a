# ruff: noqa: DTZ001 -- a meter's clock has no zone
"""Authentication and ciphered commands are carried for whoever has the keys; without keys the meter's wish is said."""

from datetime import datetime

import pytest

from wattkeeper.protocols.dlt645 import Frame, RequestError
from wattkeeper.protocols.dlt645.security import (
    AuthenticateExchange,
    AuthenticationFailed,
    AuthenticationNeeded,
    SecurityStatusExchange,
    sealed_relay,
)

METER = "000000000161"
AT = datetime(2025, 11, 2, 23, 59, 58)
HEAD = bytes.fromhex("FF000007")


class Keys:
    """A key machine whose cipher is to turn bits; it remembers what it was told."""

    def __init__(self, size=24):
        self.size = size
        self.accepted = None

    def challenge(self, address):
        return bytes(range(self.size))

    def accept(self, address, answer):
        self.accepted = (address, answer.hex())

    def seal(self, address, plain):
        assert self.accepted
        return bytes(byte ^ 0xFF for byte in plain).ljust(16, b"\0") + b"MAC!"


def test_a_meter_is_authenticated_to_and_then_takes_a_sealed_command():
    keys = Keys()
    exchange = AuthenticateExchange(METER, keys, operator="12345678")
    asked = Frame.decode(exchange.request)
    assert (asked.control, asked.body.hex()) == (0x03, "ff00000778563412" + bytes(range(24)).hex())
    assert asked.edition == 2007
    assert exchange.feed(Frame(METER, 0x83, HEAD + bytes(12)).encode())
    assert exchange.authenticated
    assert keys.accepted == (METER, "00" * 12)
    trip = sealed_relay(METER, "trip", valid_until=AT, security=keys, operator="12345678")
    body = Frame.decode(trip.request).body
    assert body.hex(" ").startswith("98 00 00 00 78 56 34 12 e5 ff a7 a6 dc fd ee da")
    assert len(body) == 0x1C
    assert body.endswith(b"MAC!")


@pytest.mark.parametrize(
    "ask",
    [
        lambda: AuthenticateExchange(METER, None),
        lambda: sealed_relay(METER, "trip", valid_until=AT, security=None),
    ],
)
def test_without_a_security_module_the_meters_wish_is_said_in_both_languages(ask):
    with pytest.raises(AuthenticationNeeded) as needed:
        ask()
    assert str(needed.value) == "Meter 000000000161 wants authentication, which needs a security module."
    assert needed.value.zh == "电表 000000000161 需要身份认证，须接入安全模块（加密机）。"


def test_a_failed_authentication_says_the_chips_own_error():
    exchange = AuthenticateExchange(METER, Keys())
    with pytest.raises(AuthenticationFailed, match=r"SERR 0108H") as failed:
        exchange.feed(Frame(METER, 0xC3, b"\x08\x01").encode())
    assert failed.value.serr == 0x0108
    assert exchange.request is None
    assert not exchange.authenticated


def test_the_answer_to_another_question_is_a_stray():
    exchange = SecurityStatusExchange(METER)
    assert not exchange.feed(Frame(METER, 0x83, HEAD + bytes(12)).encode())
    assert exchange.feed(Frame(METER, 0x83, bytes.fromhex("FF028107") + bytes(26)).encode())
    assert exchange.state == bytes(26)


def test_a_challenge_of_another_length_is_not_sent():
    with pytest.raises(RequestError, match="24 bytes, not 8"):
        AuthenticateExchange(METER, Keys(8))
