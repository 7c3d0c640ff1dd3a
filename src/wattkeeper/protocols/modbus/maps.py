"""A meter as data: which registers it has and what they mean. Maps are read by `mapfiles`, from TOML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from wattkeeper.protocols.modbus.coalescing import Limits, Span
from wattkeeper.protocols.modbus.values import Order, Type, decode, encode, reorder

__all__ = ["Addressing", "Detection", "Register", "RegisterMap", "wire_address"]

Addressing = Literal["wire", "number", "modicon"]
"""How a maker counts registers: from 0 as on the wire, from 1, or 40001 for the first holding register."""
_INPUT, _HOLDING = 4, 3
_MODICON = (
    (30001, 39999, _INPUT),
    (40001, 49999, _HOLDING),
    (300001, 365536, _INPUT),
    (400001, 465536, _HOLDING),
)


def wire_address(addressing: Addressing, address: int) -> tuple[int, int | None]:
    """The address on the wire and, where the notation tells it, the function; `ValueError` says what is wrong.

    >>> wire_address("wire", 0), wire_address("number", 1), wire_address("modicon", 40001)
    ((0, None), (0, None), (0, 3))
    """
    if addressing == "modicon":
        for first, last, function in _MODICON:
            if first <= address <= last:
                return address - first, function
        raise ValueError(
            'with addressing = "modicon" an address is 40001 to 49999, 30001 to 39999, or has six digits'
        )
    first = 0 if addressing == "wire" else 1
    if not first <= address < 0x10000 + first:
        counted = "on the wire begin at 0" if first == 0 else 'begin at 1 with addressing = "number"'
        raise ValueError(f"addresses {counted} and have 16 bits")
    return address - first, None


@dataclass(frozen=True, slots=True)
class Register:
    """One value of a meter.

    Attributes:
        key: the quantity's key, or any name for a detail.
        span: where it is.
        kind: how it is written.
        order: of words and bytes.
        scale: what the number in the register is multiplied with to be in `unit`.
        unit: of the scaled value.
        not_available: the register's bytes, in the standard's order, that mean "no value".
        four_quadrants: a power factor folded into -2 to 2 by quadrant, as Schneider writes it.

    """

    key: str
    span: Span
    kind: Type
    order: Order = "ABCD"
    scale: Decimal = Decimal(1)
    unit: str = ""
    not_available: frozenset[bytes] = frozenset()
    four_quadrants: bool = False

    @property
    def words(self) -> int:
        """How many registers it takes."""
        return self.span.end - self.span.start

    def decode(self, octets: bytes) -> Decimal | int | str | None:
        """What its registers, as on the wire, say in `unit`; None for "no value"."""
        plain = octets if self.order == "ABCD" else reorder(octets, self.order)
        if plain in self.not_available:
            return None
        value = decode(self.kind, plain)
        if isinstance(value, Decimal):
            value *= self.scale
            return _unfolded(value) if self.four_quadrants else value
        return value

    def encode(self, value: Decimal | str) -> bytes:
        """The registers, as on the wire, that say `value` in `unit`; for meters."""
        raw = value / self.scale if isinstance(value, Decimal) else value
        return reorder(encode(self.kind, raw, words=self.words), self.order)


@dataclass(frozen=True, slots=True)
class Detection:
    """A register that only this meter has so: one of some values, or a number within bounds."""

    register: Register
    equals: tuple[Decimal | str, ...] = ()
    least: Decimal | None = None
    most: Decimal | None = None

    def fits(self, value: Decimal | int | str | None) -> bool:
        """Whether what was read is as it should be."""
        if value is None:
            return False
        if self.equals:
            return value in self.equals
        return not isinstance(value, str) and (self.least or value) <= value <= (self.most or value)

    @property
    def expected(self) -> str:
        """What should be read, for people."""
        if self.equals:
            return " or ".join(map(str, self.equals))
        return f"{self.least} to {self.most}"


@dataclass(frozen=True, slots=True)
class RegisterMap:
    """A kind of meter.

    Attributes:
        name: short, for the registry and the command line.
        maker, models: whose and which meters.
        source: where the registers were taken from.
        shows: whether its values are of the primary or the secondary side of transformers.
        addressing: how the maker counts registers.
        registers: what is collected, by quantity.
        details: what else it tells, never collected.
        detection: how to know it.
        limits: what one request may be.
        unverified: what of this nobody has seen on a meter yet.
        file: where it was read from.
        lines: the line of each key in it.

    """

    name: str
    maker: str
    models: tuple[str, ...]
    source: str
    shows: Literal["primary", "secondary"]
    addressing: Addressing
    registers: tuple[Register, ...]
    details: tuple[Register, ...] = ()
    detection: tuple[Detection, ...] = ()
    limits: Limits = field(default_factory=Limits)
    unverified: tuple[str, ...] = ()
    file: str = ""
    lines: Mapping[str, int] = field(default_factory=dict)

    def printed_address(self, register: Register) -> str:
        """A register's address as the maker prints it."""
        span = register.span
        if self.addressing == "modicon":
            return str(span.start + (40001 if span.function == _HOLDING else 30001))
        return str(span.start + (self.addressing == "number"))


def _unfolded(value: Decimal) -> Decimal:
    """A four-quadrant power factor as a plain one: beyond 1 and -1 it runs back to 0 (Schneider DOCA0005EN)."""
    if abs(value) <= 1:
        return value
    return (2 if value > 0 else -2) - value
