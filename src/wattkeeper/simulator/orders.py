"""What a meter does when it is told to: write, freeze, clear, switch (DL/T 645-2007 §7.2-7.4; 1CH of the supplement)."""

from collections.abc import Callable
from datetime import datetime
from typing import ClassVar, Protocol

from wattkeeper.protocols.dlt645.identifiers import lookup
from wattkeeper.simulator.bcd import low_first
from wattkeeper.simulator.clock import civil_seconds, civil_time
from wattkeeper.simulator.freezes import FreezeMemory
from wattkeeper.simulator.journal import (
    CLOCK_SET,
    CLOSED,
    DEMANDS_CLEARED,
    EVENTS_CLEARED,
    METER_CLEARED,
    PROGRAMMED,
    TRIPPED,
    Journal,
)
from wattkeeper.simulator.meter_clock import MeterClock
from wattkeeper.simulator.passwords import Passwords
from wattkeeper.simulator.past import Past
from wattkeeper.simulator.relay import Relay
from wattkeeper.simulator.spec import MeterSpec

OTHER, NO_DATA, PASSWORD, BAUD = 0x01, 0x02, 0x04, 0x08
"""Bits of the ERR byte."""
DATE, TIME, DATE_AND_TIME = "04000101", "04000102", "0400010C"
_ADDRESS = "04000401"
_PASSWORD = "04000C"  # noqa: S105 -- an identifier
_SPEEDS = {0x02: 600, 0x04: 1200, 0x08: 2400, 0x10: 4800, 0x20: 9600, 0x40: 19200}
_CLEARS, _WRITES = 2, 4  # password levels
_KEY_LASTS = 4 * 3600.0  # how long programming is allowed after the key was pressed [s]
_PROGRAMMING_ALLOWED = 0x0008  # of status word 3
_SECURE_LEVEL = 0x98
_SECURITY_STATE = bytes.fromhex("FF028107")  # 078102FF
_NOT_AUTHENTICATED = 0x0008  # of SERR
_ENERGIES = ("import", "export", "q1", "q2", "q3", "q4")


class Memory(Protocol):
    """What orders ask a meter for."""

    def energies(self) -> bytes:
        """Its total registers now, forward, reverse and QI to QIV, in wire order."""
        ...

    def demands(self) -> bytes:
        """Its largest demands of this period, forward and reverse, each with its time, in wire order."""
        ...


class Orders:
    """The commands of one meter, and what they changed.

    Args:
        spec: what the meter is.
        now: the moment, in true civil seconds.
        memory: its counters.
        clock, past, freezes: parts of the meter that commands change.

    """

    def __init__(
        self,
        spec: MeterSpec,
        *,
        now: Callable[[], float],
        memory: Memory,
        clock: MeterClock,
        past: Past,
        freezes: FreezeMemory,
    ) -> None:
        self.address = spec.address
        self.baud: int | None = None
        self.written: dict[str, bytes] = {}
        self.journal = Journal()
        self.passwords = Passwords.of(spec.passwords)
        self.relay = Relay(on_open=self._tripped, on_close=self._closed)
        self._guarded = spec.guarded
        self._esam = spec.esam
        self._key_pressed_at = float("-inf")
        self._now = now
        self._memory = memory
        self._clock = clock
        self._past = past
        self._freezes = freezes

    def execute(self, function: int, body: bytes) -> bytes | int:
        """The data of the normal reply, or the ERR bits of a refusal."""
        obey = self._functions.get(function)
        return OTHER if obey is None else obey(self, body)

    def press_programming_key(self) -> None:
        """Somebody breaks the seal and presses the key: programming is allowed for four hours."""
        self._key_pressed_at = self._now()

    @property
    def word_3(self) -> bytes:
        """Status word 3 in wire order."""
        word = self.relay.word | (_PROGRAMMING_ALLOWED if self._programmable else 0)
        return word.to_bytes(2, "little")

    @property
    def _programmable(self) -> bool:
        return self._now() - self._key_pressed_at < _KEY_LASTS

    @property
    def _shown(self) -> float:
        return self._clock.label(self._now())

    def _may(self, octets: bytes, level: int) -> bool:
        """Whether PA P0 P1 P2 are right, and the key pressed on a meter that wants it; never with a security chip."""
        return (
            not self._esam
            and (self._programmable or not self._guarded)
            and self.passwords.allow(octets, level=level, now=self._shown)
        )

    def _stamp(self) -> bytes:
        return low_first(f"{civil_time(self._shown):%y%m%d%H%M%S}")

    # -- 03H: the security chip

    def _tell_security_state(self, body: bytes) -> bytes | int:
        """The state of the chip may be asked by anybody; authentication fails, as nobody here has keys."""
        if not self._esam:
            return OTHER
        return body[:4] + bytes(26) if body[:4] == _SECURITY_STATE else _NOT_AUTHENTICATED

    # -- 14H: write

    def _write(self, body: bytes) -> bytes | int:
        if len(body) < 12 or not self._may(body[4:8], _WRITES):  # noqa: PLR2004 -- DI, PA to P2, C0 to C3
            return PASSWORD
        di, operator, data = body[3::-1].hex().upper(), body[8:12], body[12:]
        found = lookup(di)
        if found is None or "w" not in found.access or di.startswith(_PASSWORD):
            return NO_DATA
        if found.size.isdecimal() and len(data) != int(found.size):
            return OTHER
        if di in (DATE, TIME, DATE_AND_TIME):
            return self._set_clock(di, operator, data)
        if di == _ADDRESS:
            self.address = data[::-1].hex()
        else:
            self.written[di[2:]] = data
        self.journal.add(PROGRAMMED, [self._stamp(), operator, body[:4], b"\xff" * 36])
        return b""

    def _set_clock(self, di: str, operator: bytes, data: bytes) -> bytes | int:
        before = civil_time(self._shown)
        digits = data[::-1].hex()
        date, time = f"{before:%y%m%d}", f"{before:%H%M%S}"
        if di != TIME:
            date = digits[:6]  # the weekday behind it follows from the date
        if di != DATE:
            time = digits[-6:]
        try:
            after = datetime.strptime(date + time, "%y%m%d%H%M%S")  # noqa: DTZ007 -- a meter's clock has no zone
        except ValueError:
            return OTHER
        self._clock.set(civil_seconds(after), self._now())
        stamps = [low_first(f"{at:%y%m%d%H%M%S}") for at in (before, after)]
        self.journal.add(CLOCK_SET, [operator, *stamps])
        return b""

    # -- 15H to 18H: address, freeze, speed, password

    def _take_address(self, body: bytes) -> bytes | int:
        digits = body[::-1].hex()
        if not self._programmable or len(body) != 6 or not digits.isdecimal():  # noqa: PLR2004
            return PASSWORD
        self.address = digits
        return b""

    def _freeze(self, body: bytes) -> bytes | int:
        digits = body[::-1].hex()
        if len(body) != 4 or not digits.isdecimal() or not self._freezes.order(digits, self._shown):  # noqa: PLR2004
            return OTHER
        return b""

    def _change_baud(self, body: bytes) -> bytes | int:
        if len(body) != 1 or body[0] not in _SPEEDS:
            return BAUD
        self.baud = _SPEEDS[body[0]]
        return body

    def _change_password(self, body: bytes) -> bytes | int:
        if len(body) != 12 or body[3:0:-1].hex().upper() != _PASSWORD or body[8] > 9:  # noqa: PLR2004
            return PASSWORD
        if not self._may(body[4:8], body[8]):
            return PASSWORD
        self.passwords.change(body[8:])
        return body[8:]

    # -- 19H to 1BH: clear

    def _clear_demands(self, body: bytes) -> bytes | int:
        if len(body) != 8 or not self._may(body[:4], _WRITES):  # noqa: PLR2004
            return PASSWORD
        parts = [self._stamp(), body[4:8], self._memory.demands(), b"\xff" * 176]
        self.journal.add(DEMANDS_CLEARED, parts)
        self._past.demands_cleared_at = self._now()
        return b""

    def _clear_meter(self, body: bytes) -> bytes | int:
        if len(body) != 8 or not self._may(body[:4], _CLEARS):  # noqa: PLR2004
            return PASSWORD
        parts = [self._stamp(), body[4:8], self._memory.energies(), b"\xff" * 72]
        self.journal.clear("FFFFFFFF")
        self.journal.add(METER_CLEARED, parts)
        self._past.cleared_at = self._past.demands_cleared_at = self._now()
        self._freezes.forget()
        return b""

    def _clear_events(self, body: bytes) -> bytes | int:
        if len(body) != 12 or not self._may(body[:4], _CLEARS):  # noqa: PLR2004
            return PASSWORD
        di = body[:7:-1].hex().upper()
        if not di.endswith("FF"):
            return NO_DATA
        self.journal.clear(di)
        self.journal.add(EVENTS_CLEARED, [self._stamp(), body[4:8], body[8:]])
        return b""

    # -- 1CH: the relay

    def _switch(self, body: bytes) -> bytes | int:
        if body[:1] == bytes([_SECURE_LEVEL]) or len(body) != 16 or not self._may(body[:4], _CLEARS):  # noqa: PLR2004
            return PASSWORD  # cipher text needs an ESAM, which a simulated meter has not
        try:
            expires = datetime.strptime(body[:9:-1].hex(), "%y%m%d%H%M%S")  # noqa: DTZ007
        except ValueError:
            return OTHER
        if civil_seconds(expires) < self._shown or not self.relay.obey(body[8], body[4:8]):
            return OTHER
        return b""

    def _tripped(self, operator: bytes) -> None:
        self._past.open_relay(self._now())
        self.journal.add(TRIPPED, [self._stamp(), operator, self._memory.energies()])

    def _closed(self, operator: bytes) -> None:
        self._past.close_relay(self._now())
        self.journal.add(CLOSED, [self._stamp(), operator, self._memory.energies()])

    # By control code; one table for all meters of a world.
    _functions: ClassVar[dict[int, Callable[["Orders", bytes], bytes | int]]] = {
        0x03: _tell_security_state,
        0x14: _write,
        0x15: _take_address,
        0x16: _freeze,
        0x17: _change_baud,
        0x18: _change_password,
        0x19: _clear_demands,
        0x1A: _clear_meter,
        0x1B: _clear_events,
        0x1C: _switch,
    }
