"""The asking side: exchanges that turn a question into bytes and the answer's bytes into values.

They have the shape of those of `protocols.dlt645.master`, so that one link can run both: `request`, `feed`,
`restart`, `subject`, `strays`, `broken`. Besides: `silence`, the quiet that a serial line must have before the request
(3.5 bytes; MODBUS over Serial Line V1.02, section 2.5.1.1), and `mirrors`, whether the right answer has the request's
own bytes, which an adapter that hears itself makes hard to tell from an echo.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import count as counter
from struct import unpack
from typing import ClassVar

from wattkeeper.protocols.modbus import requests
from wattkeeper.protocols.modbus.errors import MeterRefused, RequestError, UnexpectedReply, WrongUnit
from wattkeeper.protocols.modbus.frames import BrokenFrame, Frame, Framing, reader_of
from wattkeeper.protocols.modbus.lengths import pdu_fits
from wattkeeper.protocols.modbus.requests import (
    MEI_IDENTIFICATION,
    READ_COILS,
    READ_DISCRETE,
    READ_FILE,
    READ_HOLDING,
    READ_IDENTIFICATION,
    READ_INPUT,
    WRITE_COIL,
    WRITE_COILS,
    WRITE_REGISTER,
    WRITE_REGISTERS,
    FilePart,
    function_name,
)

__all__ = [
    "BROADCAST",
    "Exchange",
    "IdentificationExchange",
    "ReadBits",
    "ReadFile",
    "ReadRegisters",
    "WriteCoil",
    "WriteCoils",
    "WriteRegister",
    "WriteRegisters",
]

BROADCAST = 0
"""The unit that every meter on a serial line obeys and none answers."""
MOST_UNIT = 247
_ERROR = 0x80
_KNOWN_QUESTIONS = 4096
_transactions = counter(1)


class Exchange:
    """One question to one meter. Subclasses say what the answer's data means."""

    silence: ClassVar[float] = 3.5
    mirrors: ClassVar[bool] = False

    def __init__(self, unit: int, function: int, body: bytes, *, what: str, framing: Framing = "rtu") -> None:
        """`what` is asked, for errors; over TCP (`framing="tcp"`) units 0 and 255 are allowed too."""
        if not (1 <= unit <= MOST_UNIT or (framing == "tcp" and unit in (0, 255))):
            raise RequestError(f"{unit} is not the unit of a meter, 1 to {MOST_UNIT}.")
        self.unit = unit
        self.subject = f"unit {unit} {what}"
        self._function = function
        self._transaction = next(_transactions) & 0xFFFF if framing == "tcp" else None
        self.request: bytes | None = _encoded(unit, function, body, self._transaction)
        self.strays: list[WrongUnit | UnexpectedReply] = []
        self.broken: list[BrokenFrame] = []
        self._reader = reader_of(framing)

    def feed(self, chunk: bytes) -> bool:
        """Take what the line brought; True once the outstanding request is answered."""
        answered = False
        for event in self._reader.feed(chunk):
            if isinstance(event, BrokenFrame):
                self.broken.append(event)
            elif answered or self.request is None:
                self._stray(event, "it came after the answer")
            else:
                answered = self._take(event)
        return answered

    def restart(self) -> None:
        """Forget the half-received reply; `request` (with the same transaction) is about to be sent again."""
        self.broken += [event for event in self._reader.flush() if isinstance(event, BrokenFrame)]

    def _take(self, frame: Frame) -> bool:
        if frame.unit != self.unit:
            self.strays.append(WrongUnit(asked=self.unit, frame=frame))
            return False
        if frame.transaction != self._transaction:
            return self._stray(frame, f"it answers request number {frame.transaction}")
        if frame.function == self._function | _ERROR and len(frame.body) == 1:
            self.request = None
            raise MeterRefused(self.subject, code=frame.body[0])
        if frame.function != self._function:
            return self._stray(frame, f"it answers function {frame.function & ~_ERROR:02X}")
        if problem := self._answer(frame.body):
            return self._stray(frame, problem)
        return True

    def _answer(self, body: bytes) -> str:
        """Take a reply's data and set `request`; what does not fit about it, or nothing."""
        raise NotImplementedError

    def _stray(self, frame: Frame, reason: str) -> bool:
        self.strays.append(UnexpectedReply(self.subject, reason, frame=frame))
        return False


class ReadRegisters(Exchange):
    """Read holding (03) or input (04) registers.

    >>> exchange = ReadRegisters(1, 0, 2, function=4)
    >>> exchange.request.hex()
    '01040000000271cb'
    >>> exchange.feed(bytes.fromhex("010404436633341B38")), exchange.octets.hex()
    (True, '43663334')
    """

    def __init__(
        self, unit: int, address: int, count: int, *, function: int = READ_HOLDING, framing: Framing = "rtu"
    ) -> None:
        """`address` as on the wire: the register that makers print as 40001 is 0."""
        if function not in (READ_HOLDING, READ_INPUT):
            raise RequestError(f"Registers are read with 03 or 04, not {function:02X}.")
        body, what = _reading(function, address, count)
        super().__init__(unit, function, body, what=what, framing=framing)
        self._size = 2 * count
        self.octets = b""
        """The registers' bytes in wire order, two each."""

    @property
    def registers(self) -> tuple[int, ...]:
        """The registers as unsigned numbers."""
        return unpack(f">{len(self.octets) // 2}H", self.octets)

    def _answer(self, body: bytes) -> str:
        size = self._size
        if len(body) != size + 1 or body[0] != size:
            told = f", its count says {body[0]}" if body and body[0] != len(body) - 1 else ""
            return f"it carries {len(body) - 1} bytes{told}; {size} were asked for"
        self.octets = body[1:]
        self.request = None
        return ""


class ReadBits(Exchange):
    """Read coils (01) or discrete inputs (02)."""

    def __init__(
        self, unit: int, address: int, count: int, *, function: int = READ_COILS, framing: Framing = "rtu"
    ) -> None:
        if function not in (READ_COILS, READ_DISCRETE):
            raise RequestError(f"Bits are read with 01 or 02, not {function:02X}.")
        body, what = _reading(function, address, count)
        super().__init__(unit, function, body, what=what, framing=framing)
        self._count = count
        self.bits: tuple[bool, ...] = ()

    def _answer(self, body: bytes) -> str:
        size = (self._count + 7) // 8
        if len(body) != size + 1 or body[0] != size:
            return f"it carries {len(body) - 1} bytes; {size} were asked for"
        self.bits = requests.unpack_bits(body[1:], self._count)
        self.request = None
        return ""


class _Write(Exchange):
    """A write, which the meter confirms with the first four bytes of the request's data."""

    def __init__(self, unit: int, function: int, body: bytes, *, what: str, framing: Framing) -> None:
        super().__init__(unit, function, body, what=what, framing=framing)
        self._confirmed = body[:4]

    def _answer(self, body: bytes) -> str:
        if body != self._confirmed:
            return f"it confirms {body.hex().upper()}, asked was {self._confirmed.hex().upper()}"
        self.request = None
        return ""


class WriteCoil(_Write):
    """Switch one coil (05); the meter's answer is the request again."""

    mirrors = True

    def __init__(self, unit: int, address: int, *, on: bool, framing: Framing = "rtu") -> None:
        body = requests.write_coil(address, on=on)
        what = f"switching coil {address} {'on' if on else 'off'}"
        super().__init__(unit, WRITE_COIL, body, what=what, framing=framing)


class WriteRegister(_Write):
    """Write one register (06); the meter's answer is the request again."""

    mirrors = True

    def __init__(self, unit: int, address: int, value: int, *, framing: Framing = "rtu") -> None:
        body = requests.write_register(address, value)
        super().__init__(unit, WRITE_REGISTER, body, what=f"writing register {address}", framing=framing)


class WriteCoils(_Write):
    """Switch several coils (0F)."""

    def __init__(self, unit: int, address: int, states: Sequence[bool], *, framing: Framing = "rtu") -> None:
        body = requests.write_coils(address, states)
        what = f"switching coils {address} to {address + len(states) - 1}"
        super().__init__(unit, WRITE_COILS, body, what=what, framing=framing)


class WriteRegisters(_Write):
    """Write several registers (10)."""

    def __init__(self, unit: int, address: int, values: Sequence[int], *, framing: Framing = "rtu") -> None:
        body = requests.write_registers(address, values)
        what = f"writing registers {address} to {address + len(values) - 1}"
        super().__init__(unit, WRITE_REGISTERS, body, what=what, framing=framing)


class ReadFile(Exchange):
    """Read parts of file records (14), in which some meters keep load profiles."""

    def __init__(self, unit: int, parts: Sequence[FilePart], *, framing: Framing = "rtu") -> None:
        what = "reading " + ", ".join(f"file {part.file} record {part.record}" for part in parts)
        super().__init__(unit, READ_FILE, requests.read_file(parts), what=what, framing=framing)
        self._parts = tuple(parts)
        self.records: tuple[bytes, ...] = ()
        """The bytes of each part, in the order asked."""

    def _answer(self, body: bytes) -> str:
        at, records = 1, []
        for part in self._parts:
            size = 2 * part.words
            if body[at : at + 2] != bytes((size + 1, requests.FILE_REFERENCE)):
                return f"a part of {size} bytes should begin with {size + 1:02X}06, not {body[at : at + 2].hex().upper()}"
            records.append(body[at + 2 : at + 2 + size])
            at += 2 + size
        if len(body) != at or body[0] != at - 1:
            return f"it carries {len(body) - 1} bytes; {at - 1} were asked for"
        self.records = tuple(records)
        self.request = None
        return ""


class IdentificationExchange(Exchange):
    """Ask a device who it is (2B/0E): maker, model, version; the basic objects, with as many frames as it takes."""

    _MOST_FRAMES = 128  # objects 00 to 7F, one a frame

    def __init__(self, unit: int, *, framing: Framing = "rtu") -> None:
        self._framing: Framing = framing
        super().__init__(
            unit, READ_IDENTIFICATION, self._question(0), what="telling who it is", framing=framing
        )
        self.objects: dict[int, str] = {}
        """What it says of itself by object: 0 maker, 1 product code, 2 revision."""
        self._frames = 0

    @staticmethod
    def _question(first: int) -> bytes:
        return bytes((MEI_IDENTIFICATION, 1, first))

    def _answer(self, body: bytes) -> str:
        if body[:2] != self._question(0)[:2] or not pdu_fits(READ_IDENTIFICATION, body, side="reply"):
            return "it is no list of objects"
        at = 6
        for _ in range(body[5]):
            number, size = body[at], body[at + 1]
            self.objects[number] = body[at + 2 : at + 2 + size].decode("latin-1").strip("\0 ")
            at += 2 + size
        self._frames += 1
        if body[3] == 0 or self._frames == self._MOST_FRAMES:
            self.request = None
        else:
            frame = Frame(self.unit, READ_IDENTIFICATION, self._question(body[4]), self._next_transaction())
            self.request = frame.encode()
        return ""

    def _next_transaction(self) -> int | None:
        if self._transaction is not None:
            self._transaction = next(_transactions) & 0xFFFF
        return self._transaction


def _encoded(unit: int, function: int, body: bytes, transaction: int | None) -> bytes:
    return (
        _known_encoded(unit, function, body)
        if transaction is None
        else Frame(unit, function, body, transaction).encode()
    )


# A collector asks the same again and again.
@lru_cache(_KNOWN_QUESTIONS)
def _known_encoded(unit: int, function: int, body: bytes) -> bytes:
    return Frame(unit, function, body).encode()


@lru_cache(_KNOWN_QUESTIONS)
def _reading(function: int, address: int, count: int) -> tuple[bytes, str]:
    """The data of a read, and what is asked."""
    body = requests.read(function, address, count)
    span = f"{address}" if count == 1 else f"{address} to {address + count - 1}"
    return body, f"{function_name(function)[0]} {span}"
