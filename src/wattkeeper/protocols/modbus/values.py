"""Values in registers: integers, floats, BCD and text, in every order of words and bytes that makers have thought of.

Orders are written as the trade does, by where the bytes of a 32-bit value go: ABCD is the standard's (high word
first), CDAB has the low word first, BADC the bytes of each word swapped, DCBA both. Longer values follow the same two
rules. Numbers are exact `Decimal`; a float is the shortest decimal that means the same bits.
"""

from __future__ import annotations

import math
from decimal import Decimal
from struct import pack, unpack
from typing import Literal

from wattkeeper.protocols.modbus.errors import RequestError

__all__ = ["ORDERS", "TYPES", "Order", "Type", "decode", "decode_float32", "encode", "reorder"]

Order = Literal["ABCD", "CDAB", "BADC", "DCBA"]
Type = Literal[
    "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32", "float64", "bcd", "string", "bits"
]
ORDERS: tuple[Order, ...] = ("ABCD", "CDAB", "BADC", "DCBA")
TYPES: dict[str, int | None] = {
    "uint16": 1,
    "int16": 1,
    "uint32": 2,
    "int32": 2,
    "uint64": 4,
    "int64": 4,
    "float32": 2,
    "float64": 4,
    "bcd": None,
    "string": None,
    "bits": 1,
}
"""The types a register can have, with the registers that each takes; None where the map says."""


def reorder(octets: bytes, order: Order) -> bytes:
    """Bytes as on the wire brought into the standard's order, or back: it is its own inverse.

    >>> reorder(bytes.fromhex("33344366"), "CDAB").hex()
    '43663334'
    """
    if order == "ABCD":
        return octets
    words = [octets[at : at + 2] for at in range(0, len(octets), 2)]
    if order in ("CDAB", "DCBA"):
        words.reverse()
    if order in ("BADC", "DCBA"):
        words = [word[::-1] for word in words]
    return b"".join(words)


def decode(kind: Type, octets: bytes) -> Decimal | int | str | None:
    r"""What registers (in the standard's order) say; None where they say nothing: no number, no digits.

    >>> decode("int16", b"\xff\xfe"), decode("bcd", b"\x12\x34"), decode("float32", bytes.fromhex("43663333"))
    (Decimal('-2'), Decimal('1234'), Decimal('230.2'))
    """
    if kind == "float32":
        return decode_float32(octets)
    if kind == "float64":
        (number,) = unpack(">d", octets)
        return Decimal(repr(number)) if math.isfinite(number) else None
    if kind == "string":
        return octets.decode("latin-1").strip("\0 ") or None
    if kind == "bits":
        return int.from_bytes(octets)
    if kind == "bcd":
        digits = octets.hex()
        return Decimal(digits) if digits.isdecimal() else None
    return Decimal(int.from_bytes(octets, signed=not kind.startswith("u")))


def decode_float32(octets: bytes) -> Decimal | None:
    """An IEEE 754 single as the shortest decimal that means the same bits; None for what is no number.

    >>> str(decode_float32(bytes.fromhex("3DCCCCCD")))
    '0.1'
    """
    (number,) = unpack(">f", octets)
    if not math.isfinite(number):
        return None
    for digits in (6, 7, 8):
        text = f"{number:.{digits}g}"
        try:
            if pack(">f", float(text)) == octets:
                return Decimal(text)
        except OverflowError:  # rounded up beyond the largest single
            continue
    return Decimal(f"{number:.9g}")


def encode(kind: Type, value: Decimal | str, *, words: int) -> bytes:
    """The registers (in the standard's order) that say a value; the inverse of `decode`, for meters."""
    try:
        if kind in ("float32", "float64"):
            return pack(">f" if kind == "float32" else ">d", float(value))
        if kind == "string":
            return str(value).encode("latin-1").ljust(2 * words, b"\0")[: 2 * words]
        number = int(Decimal(value).to_integral_value())
        if kind == "bcd":
            return bytes.fromhex(f"{number:0{4 * words}d}")
        return number.to_bytes(2 * words, signed=kind.startswith("int"))
    except (OverflowError, ValueError) as error:
        raise RequestError(f"{value} does not fit into {words} registers of the type {kind}.") from error
