"""Security authentication (03H) and ciphered commands (State Grid supplement): the frames, without the secrets.

What a cipher text says is between the meter's security chip (ESAM) and the utility's key machine. This module carries
it: a `SecurityModule` (the caller's, in front of a key machine or a key card) makes and takes the opaque bytes.
"""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from wattkeeper.protocols.dlt645 import requests
from wattkeeper.protocols.dlt645.commands import CommandExchange, RelayExchange
from wattkeeper.protocols.dlt645.errors import Dlt645Error, RequestError
from wattkeeper.protocols.dlt645.frames import Frame
from wattkeeper.protocols.dlt645.master import Exchange

__all__ = [
    "AuthenticateExchange",
    "AuthenticationFailed",
    "AuthenticationNeeded",
    "SecurityModule",
    "SecurityStatusExchange",
    "sealed_relay",
]

AUTHENTICATE, STATUS = "070000FF", "078102FF"
"""Identity authentication, and the query of a security chip's state, which needs no authentication."""
_CHALLENGE = 24  # cipher text 1, random number 1, diversification factor: 8 bytes each
_SERR = 2


class SecurityModule(Protocol):
    """Holds the keys. Bytes are in wire order, without the 33H; it may raise its own errors."""

    def challenge(self, address: str) -> bytes:
        """24 bytes with which to authenticate to a meter: cipher text, random number, diversification factor."""

    def accept(self, address: str, answer: bytes) -> None:
        """The meter believes us; `answer` is its random number (4 bytes) and the number of its chip (8 bytes)."""

    def seal(self, address: str, plain: bytes) -> bytes:
        """Cipher text and MAC of the plain body of a command to a meter that has been authenticated to."""


class AuthenticationNeeded(Dlt645Error):
    """The meter takes this only in ciphered form, and there is no security module to make it. Nothing was sent."""

    def __init__(self, address: str) -> None:
        super().__init__(f"Meter {address} wants authentication, which needs a security module.")
        self.address = address
        self.zh = f"电表 {address} 需要身份认证，须接入安全模块（加密机）。"


class AuthenticationFailed(Dlt645Error):
    """The meter's security chip answered with an error (SERR, a mask of 16 bits)."""

    def __init__(self, address: str, serr: int) -> None:
        super().__init__(f"Meter {address} refused the authentication (SERR {serr:04X}H).")
        self.address = address
        self.serr = serr
        self.zh = f"电表 {address} 拒绝身份认证（SERR {serr:04X}H）。"


class _SecurityExchange(Exchange):
    """One question to a security chip."""

    def __init__(self, address: str, di: str, data: bytes, *, operator: str, what: str) -> None:
        super().__init__(
            requests.security(address, di, data, operator=operator), subject=f"meter {address}: {what}"
        )
        self._head = self._asked.body[:4]

    def _take(self, frame: Frame) -> bool:
        asked = self._asked
        if (
            frame.is_error
            and frame.function == asked.function
            and frame.address == asked.address
            and len(frame.body) == _SERR
        ):
            self.request = None
            raise AuthenticationFailed(frame.address, int.from_bytes(frame.body, "little"))
        return super()._take(frame)

    def _answer(self, frame: Frame) -> bool:
        if frame.body[:4] != self._head:
            return self._stray(frame, f"it carries {frame.body[3::-1].hex().upper() or 'no identifier'}")
        self._heard(frame.body[4:])
        self._ask(None)
        return True

    def _heard(self, data: bytes) -> None:
        raise NotImplementedError


class SecurityStatusExchange(_SecurityExchange):
    """Whether a meter has a security chip: ask it for its state.

    A plain command to a meter with a chip is refused with ERR 04H, as one with a wrong password is to any meter; this
    question tells the two apart.
    """

    def __init__(self, address: str, *, operator: str = "00000000") -> None:
        super().__init__(address, STATUS, b"", operator=operator, what="the state of its security chip")
        self.state: bytes | None = None
        """The chip's state, once it has answered; a meter without a chip refuses or is silent."""

    def _heard(self, data: bytes) -> None:
        self.state = data


class AuthenticateExchange(_SecurityExchange):
    """Authenticate to a meter (03H, 070000FF); afterwards its commands can be sealed."""

    def __init__(self, address: str, security: SecurityModule | None, *, operator: str = "00000000") -> None:
        if security is None:
            raise AuthenticationNeeded(address)
        challenge = security.challenge(address)
        if len(challenge) != _CHALLENGE:
            raise RequestError(f"A challenge has {_CHALLENGE} bytes, not {len(challenge)}.")
        super().__init__(address, AUTHENTICATE, challenge, operator=operator, what="authentication")
        self._security = security
        self.authenticated = False
        """Whether the meter believes us."""

    def _heard(self, data: bytes) -> None:
        self._security.accept(self._asked.address, data)
        self.authenticated = True


def sealed_relay(
    address: str,
    action: str,
    *,
    valid_until: datetime,
    security: SecurityModule | None,
    operator: str = "00000000",
) -> CommandExchange:
    """`RelayExchange` with PA = 98H, its body sealed; `AuthenticationNeeded` without a security module."""
    if security is None:
        raise AuthenticationNeeded(address)
    plain = requests.relay_body(action, valid_until)
    return RelayExchange.ciphered(address, security.seal(address, plain), operator=operator)
