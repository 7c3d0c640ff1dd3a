"""The kinds of data fields and their two directions: wire bytes to a value, a value to wire bytes.

Wire bytes are here without the 33H and in wire order: the lowest byte comes first, for numbers, times, texts and
bit words alike (§6.1). A codec raises `ValueError` for bytes that are none of its kind, and `RequestError` for
values it cannot write. All bytes FF means "no value" wherever FF cannot be data.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from wattkeeper.protocols.dlt645.errors import RequestError

__all__ = ["Bits", "Codec", "Demand", "Digits", "Hex", "Moment", "Number", "Raw", "Scalar", "Stamp", "Text"]

Scalar = Decimal | datetime | int | str | None
"""What one field can say: a number, a time, a bit word, digits or text, or nothing."""
Decoded = tuple[Scalar, datetime | None]
"""A value and, for maximum demands, when it occurred."""

_SIGN = 8  # bit 7 of the highest byte, seen on its first hexadecimal digit


@dataclass(frozen=True, slots=True)
class Number:
    """A BCD number; exact, with the decimals of its picture."""

    size: int
    decimals: int
    signed: bool = False
    unit: str = ""

    def decode(self, wire: bytes) -> Decoded:
        """`78 56 34 12` with 2 decimals is 123456.78."""
        digits = wire[::-1].hex()
        negative = False
        if not digits.isdecimal() or (self.signed and digits[0] >= "8"):
            if digits == "f" * len(digits):
                return None, None
            if self.signed and int(digits[0], 16) >= _SIGN:
                negative = True
                digits = f"{int(digits[0], 16) - _SIGN}{digits[1:]}"
            if not digits.isdecimal():
                raise ValueError(f"{wire[::-1].hex().upper()} is not BCD")
        value = Decimal(f"{digits}E-{self.decimals}")
        return (-value if negative and value else value), None

    def encode(self, value: Scalar, _occurred_at: datetime | None = None) -> bytes:
        """123456.78 with 2 decimals is `78 56 34 12`."""
        if value is None:
            return b"\xff" * self.size
        number = _number(value)
        scaled = number.scaleb(self.decimals)
        if scaled != scaled.to_integral_value():
            raise RequestError(f"{number} has more than {self.decimals} decimals.")
        digits = f"{abs(int(scaled)):0{2 * self.size}d}"
        if len(digits) > 2 * self.size or (self.signed and digits[0] >= "8"):
            raise RequestError(f"{number} does not fit into {self.size} bytes with {self.decimals} decimals.")
        if number < 0:
            if not self.signed:
                raise RequestError(f"{number} is negative, and this value has no sign.")
            digits = f"{int(digits[0]) + _SIGN:x}{digits[1:]}"
        return bytes.fromhex(digits)[::-1]


def _number(value: Scalar) -> Decimal:
    if not isinstance(value, Decimal | int) or not Decimal(value).is_finite():
        raise RequestError(f"{value!r} is not a number.")
    return Decimal(value)


@dataclass(frozen=True, slots=True)
class Moment:
    """A full date and time; naive, because a meter's clock knows no zone."""

    order: str  # YYMMDDhhmm, YYMMDDhhmmss or YYMMDDWWhhmmss
    unit: str = ""

    @property
    def size(self) -> int:
        """Bytes on the wire."""
        return len(self.order) // 2

    @property
    def _weekday(self) -> bool:
        return "WW" in self.order

    def decode(self, wire: bytes) -> Decoded:
        """Digits that are BCD and no date (99 in a rule, a day 00) are given as they stand; all zero is None."""
        digits = wire[::-1].hex()
        if not digits.isdecimal():
            if digits == "f" * len(digits):
                return None, None
            raise ValueError(f"{digits.upper()} is not BCD")
        clock = digits[:6] + digits[8:] if self._weekday else digits
        try:
            return datetime.strptime(clock, "%y%m%d%H%M%S"[: len(clock)]), None  # noqa: DTZ007
        except ValueError:
            return (digits if digits.strip("0") else None), None

    def encode(self, value: Scalar, _occurred_at: datetime | None = None) -> bytes:
        """The weekday (00 = Sunday) is computed."""
        if value is None:
            return b"\xff" * self.size
        if isinstance(value, datetime):
            digits = value.strftime("%y%m%d%H%M%S")
            if self._weekday:
                digits = f"{digits[:6]}{value.isoweekday() % 7:02d}{digits[6:]}"
            return bytes.fromhex(digits[: len(self.order)])[::-1]
        return _written(value, self.size, self.order)


@dataclass(frozen=True, slots=True)
class Stamp:
    """Digits of a time that is no full date (`hhmmss`, `MMDDhhmm`, `YYMMDDWW`, `hhmmNN`), in the order written."""

    order: str
    unit: str = ""

    @property
    def size(self) -> int:
        """Bytes on the wire."""
        return len(self.order) // 2

    def decode(self, wire: bytes) -> Decoded:
        """`58 59 23` is "235958"."""
        return _digits(wire), None

    def encode(self, value: Scalar, _occurred_at: datetime | None = None) -> bytes:
        """`value`: the digits."""
        return b"\xff" * self.size if value is None else _written(value, self.size, self.order)


@dataclass(frozen=True, slots=True)
class Digits:
    """An address or number that is a name and not a quantity: its zeros count."""

    size: int
    unit: str = ""

    def decode(self, wire: bytes) -> Decoded:
        """`61 01 00 00 00 00` is "000000000161"."""
        return _digits(wire), None

    def encode(self, value: Scalar, _occurred_at: datetime | None = None) -> bytes:
        """`value`: all its digits."""
        return b"\xff" * self.size if value is None else _written(value, self.size, "N" * 2 * self.size)


@dataclass(frozen=True, slots=True)
class Hex:
    """An identifier, password or operator code; any byte is legal in it, FF as well."""

    size: int
    unit: str = ""

    def decode(self, wire: bytes) -> Decoded:
        """`00 FF 01 00` is "0001FF00"."""
        return wire[::-1].hex().upper(), None

    def encode(self, value: Scalar, _occurred_at: datetime | None = None) -> bytes:
        """`value`: two hexadecimal digits per byte."""
        try:
            wire = bytes.fromhex(value)[::-1] if isinstance(value, str) else b""
        except ValueError:
            wire = b""
        if len(wire) != self.size:
            raise RequestError(f"{value!r} is not {2 * self.size} hexadecimal digits.")
        return wire


@dataclass(frozen=True, slots=True)
class Demand:
    """A maximum demand and the time at which it occurred."""

    number: Number

    @property
    def size(self) -> int:
        """Bytes on the wire: the value, then mm hh DD MM YY."""
        return self.number.size + 5

    @property
    def unit(self) -> str:
        """Unit of the demand."""
        return self.number.unit

    def decode(self, wire: bytes) -> Decoded:
        """No time (all zero, or FF) means that no maximum has occurred yet."""
        value, _ = self.number.decode(wire[: self.number.size])
        occurred_at, _ = _OCCURRENCE.decode(wire[self.number.size :])
        return value, occurred_at if isinstance(occurred_at, datetime) else None

    def encode(self, value: Scalar, occurred_at: datetime | None = None) -> bytes:
        """A demand without a time is sent with zeros for it."""
        clock = bytes(5) if occurred_at is None else _OCCURRENCE.encode(occurred_at)
        return self.number.encode(value) + clock


_OCCURRENCE = Moment("YYMMDDhhmm")


@dataclass(frozen=True, slots=True)
class Text:
    """ASCII, sent last character first; shorter texts are filled with NUL behind them."""

    size: int
    unit: str = ""

    def decode(self, wire: bytes) -> Decoded:
        """Bytes that are not ASCII are shown as escapes."""
        if wire == b"\xff" * len(wire):
            return None, None
        return wire[::-1].decode("ascii", "backslashreplace").strip("\0 "), None

    def encode(self, value: Scalar, _occurred_at: datetime | None = None) -> bytes:
        """`value`: a text of at most `size` ASCII characters."""
        if value is None:
            return b"\xff" * self.size
        if not isinstance(value, str) or not value.isascii() or len(value) > self.size:
            raise RequestError(f"{value!r} is not a text of at most {self.size} ASCII characters.")
        return value.encode("ascii").ljust(self.size, b"\0")[::-1]


@dataclass(frozen=True, slots=True)
class Bits:
    """A status or mode word; `wattkeeper.protocols.dlt645.status` names its bits."""

    size: int
    unit: str = ""

    def decode(self, wire: bytes) -> Decoded:
        """An integer, bit 0 of the first byte lowest."""
        return int.from_bytes(wire, "little"), None

    def encode(self, value: Scalar, _occurred_at: datetime | None = None) -> bytes:
        """`value`: an integer of `size` bytes."""
        if not isinstance(value, int) or not 0 <= value < 1 << 8 * self.size:
            raise RequestError(f"{value!r} is not a word of {8 * self.size} bits.")
        return value.to_bytes(self.size, "little")


@dataclass(frozen=True, slots=True)
class Raw:
    """Bytes without a published meaning, as hexadecimal digits in wire order; `size` 0 means any."""

    size: int = 0
    unit: str = ""

    def decode(self, wire: bytes) -> Decoded:
        """`12 AB` is "12AB"."""
        return wire.hex().upper(), None

    def encode(self, value: Scalar, _occurred_at: datetime | None = None) -> bytes:
        """`value`: hexadecimal digits in wire order."""
        try:
            wire = bytes.fromhex(value) if isinstance(value, str) else None
        except ValueError:
            wire = None
        if wire is None or (self.size and len(wire) != self.size):
            raise RequestError(f"{value!r} is not {self.size or 'any number of'} bytes in hexadecimal.")
        return wire


Codec = Number | Moment | Stamp | Digits | Hex | Demand | Text | Bits | Raw


def _digits(wire: bytes) -> str | None:
    digits = wire[::-1].hex()
    if digits.isdecimal():
        return digits
    if digits == "f" * len(digits):
        return None
    raise ValueError(f"{digits.upper()} is not BCD")


def _written(value: Scalar, size: int, order: str) -> bytes:
    if not isinstance(value, str) or len(value) != 2 * size or not (value.isascii() and value.isdecimal()):
        raise RequestError(f"{value!r} is not {order}: {2 * size} digits.")
    return bytes.fromhex(value)[::-1]
