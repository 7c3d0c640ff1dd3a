"""The requests of DL/T 645-2007, one function per control code (§7.1-7.2)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime

from wattkeeper.protocols.dlt645.errors import RequestError
from wattkeeper.protocols.dlt645.frames import BROADCAST, MAX_BODY, WILDCARD, Frame, check_address

__all__ = [
    "BAUD_WORDS",
    "RELAY_ACTIONS",
    "SECURE_LEVEL",
    "Access",
    "broadcast_time",
    "change_baud",
    "change_password",
    "clear_demand",
    "clear_events",
    "clear_meter",
    "freeze",
    "identifier_bytes",
    "load_record_tail",
    "read",
    "read_address",
    "read_next",
    "relay",
    "relay_body",
    "relay_ciphered",
    "security",
    "write",
    "write_address",
]

BAUD_WORDS = {600: 0x02, 1200: 0x04, 2400: 0x08, 4800: 0x10, 9600: 0x20, 19200: 0x40}
"""Word Z of 17H and 040007xx: exactly one bit set."""
RELAY_ACTIONS = {
    "trip": 0x1A,
    "close_allowed": 0x1B,
    "close": 0x1C,
    "alarm": 0x2A,
    "alarm_off": 0x2B,
    "keep_power": 0x3A,
    "keep_power_off": 0x3B,
}
"""N1 of 1CH by name (State Grid supplement)."""
SECURE_LEVEL = 0x98
"""Password level PA of a body that is cipher text and MAC instead of a password and plain data."""
_IDENTIFIER = re.compile(r"[0-9A-Fa-f]{8}")
_MAX_RECORDS = 99  # N is one BCD byte
_MAX_SEQ = 255
_LONGEST_WRITE = 50  # DATA bytes of a write, §5.2.5


@dataclass(frozen=True, slots=True)
class Access:
    """Who asks: password level PA, password P2P1P0 and operator code C3..C0, as people write them."""

    level: int
    """0 to 9, 0 the highest; 02 clears, trips and closes, 04 writes (§7.3)."""
    password: str = field(repr=False)
    operator: str = "00000000"

    def __post_init__(self) -> None:
        if not 0 <= self.level <= 9:  # noqa: PLR2004 - one digit
            raise RequestError(f"A password level is 0 to 9, not {self.level}.")

    @property
    def password_bytes(self) -> bytes:
        """PA P0 P1 P2."""
        return bytes([self.level]) + _digits(self.password, 3, "password")

    def encode(self) -> bytes:
        """PA P0 P1 P2 C0 C1 C2 C3."""
        return self.password_bytes + _digits(self.operator, 4, "operator code")


def identifier_bytes(di: str) -> bytes:
    """DI0 DI1 DI2 DI3 of an identifier written DI3..DI0.

    >>> identifier_bytes("00010000").hex()
    '00000100'
    """
    if not _IDENTIFIER.fullmatch(di):
        raise RequestError(f"{di!r} is not a data identifier: it has 8 hexadecimal digits, as 00010000.")
    return bytes.fromhex(di)[::-1]


def read(address: str, di: str, tail: bytes = b"") -> Frame:
    """11H: read the data of one identifier; `tail` is what load records add (`load_record_tail`)."""
    return Frame(check_address(address), 0x11, identifier_bytes(di) + tail)


def read_next(address: str, di: str, seq: int) -> Frame:
    """12H: the next piece of a long reply, `seq` 1..255."""
    if not 1 <= seq <= _MAX_SEQ:
        raise RequestError(f"A follow-up number is 1 to 255, not {seq}.")
    return Frame(check_address(address), 0x12, identifier_bytes(di) + bytes([seq]))


def load_record_tail(count: int, start: datetime | None = None) -> bytes:
    """N, and mm hh DD MM YY when reading from a given time (appendix B)."""
    if not 1 <= count <= _MAX_RECORDS:
        raise RequestError(f"A request asks for 1 to {_MAX_RECORDS} load records, not {count}.")
    tail = bytes.fromhex(f"{count:02d}")
    return tail if start is None else tail + bytes.fromhex(start.strftime("%y%m%d%H%M"))[::-1]


def read_address(address: str = WILDCARD) -> Frame:
    """13H: whoever is alone on the line tells its address."""
    return Frame(check_address(address), 0x13)


def broadcast_time(local: datetime) -> Frame:
    """08H: set every clock that is less than 5 minutes off; no reply. `local` is the meters' civil time."""
    return Frame(BROADCAST, 0x08, _clock(local))


def write(address: str, di: str, payload: bytes, *, access: Access) -> Frame:
    """14H: write `payload` (wire order, without 33H); `encode_value` makes it."""
    return _within(
        Frame(check_address(address), 0x14, identifier_bytes(di) + access.encode() + payload), _LONGEST_WRITE
    )


def write_address(new_address: str) -> Frame:
    """15H: give the one meter on the line (its programming key pressed) a new address."""
    if "A" in check_address(new_address):
        raise RequestError("A meter's own address has 12 digits and no wildcard.")
    return Frame(WILDCARD, 0x15, bytes.fromhex(new_address)[::-1])


def freeze(address: str, at: str = "99999999") -> Frame:
    """16H: freeze at MMDDhhmm; 99DDhhmm monthly, 9999hhmm daily, 999999mm hourly, 99999999 now."""
    if address != BROADCAST:
        check_address(address)
    return Frame(address, 0x16, _digits(at, 4, "freeze time MMDDhhmm"))


def change_baud(address: str, baud: int) -> Frame:
    """17H: another speed [bit/s], in effect after the reply."""
    if baud not in BAUD_WORDS:
        raise RequestError(f"{baud} bit/s is not a speed of the standard: {', '.join(map(str, BAUD_WORDS))}.")
    return Frame(check_address(address), 0x17, bytes([BAUD_WORDS[baud]]))


def change_password(address: str, di: str, *, old: Access, new: Access) -> Frame:
    """18H: `di` is 04000Cnn of the password."""
    return Frame(check_address(address), 0x18, identifier_bytes(di) + old.password_bytes + new.password_bytes)


def clear_demand(address: str, *, access: Access) -> Frame:
    """19H: clear the maximum demands."""
    return Frame(check_address(address), 0x19, access.encode())


def clear_meter(address: str, *, access: Access) -> Frame:
    """1AH: clear energies, demands, events and freezes."""
    return Frame(check_address(address), 0x1A, access.encode())


def clear_events(address: str, di: str = "FFFFFFFF", *, access: Access) -> Frame:
    """1BH: all events, or those of one family (DI0 = FF)."""
    return Frame(check_address(address), 0x1B, access.encode() + identifier_bytes(di))


def relay(address: str, action: str, *, access: Access, valid_until: datetime) -> Frame:
    """1CH: trip, close, alarm or keep power; the meter drops it after `valid_until` (its own clock)."""
    return Frame(check_address(address), 0x1C, access.encode() + relay_body(action, valid_until))


def relay_body(action: str, valid_until: datetime) -> bytes:
    """N1 to N8 of 1CH: what to do, and until when by the meter's own clock."""
    if action not in RELAY_ACTIONS:
        raise RequestError(f"{action!r} is not a relay action: {', '.join(RELAY_ACTIONS)}.")
    return bytes([RELAY_ACTIONS[action], 0]) + _clock(valid_until)


def relay_ciphered(address: str, operator: str, cipher: bytes) -> Frame:
    """1CH with PA = 98H: what `cipher` (cipher text and MAC, 20 bytes for one command) says only a key tells."""
    access = bytes([SECURE_LEVEL, 0, 0, 0]) + _digits(operator, 4, "operator code")
    return _within(Frame(check_address(address), 0x1C, access + cipher), MAX_BODY)


def security(address: str, di: str, data: bytes, *, operator: str) -> Frame:
    """03H: `data` for the meter's security chip under an identifier of family 07."""
    body = identifier_bytes(di) + _digits(operator, 4, "operator code") + data
    return _within(Frame(check_address(address), 0x03, body), MAX_BODY)


def _within(frame: Frame, most: int) -> Frame:
    if len(frame.body) > most:
        raise RequestError(f"A request of this kind carries at most {most} bytes, not {len(frame.body)}.")
    return frame


def _clock(at: datetime) -> bytes:
    return bytes.fromhex(at.strftime("%y%m%d%H%M%S"))[::-1]


def _digits(text: str, size: int, what: str) -> bytes:
    if len(text) != 2 * size or not text.isdecimal() or not text.isascii():
        raise RequestError(f"{text!r} is not a {what}: it has {2 * size} digits.")
    return bytes.fromhex(text)[::-1]
