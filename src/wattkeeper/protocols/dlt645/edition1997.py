"""DL/T 645-1997: what its identifiers mean, and their data; the conversation is in `master_1997` and `meter_1997`.

The envelope is that of 2007. An identifier has 2 bytes, a whole group ends with F and its data with one AA.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache

from wattkeeper.protocols.dlt645.codecs import Codec, Scalar
from wattkeeper.protocols.dlt645.errors import BodyError, RequestError
from wattkeeper.protocols.dlt645.identifiers import TABLE_1997, Identifier
from wattkeeper.protocols.dlt645.layouts import Field, Layout, Value, layout, picture_codec

__all__ = ["decode_body", "encode_body", "identifier_bytes", "layout_of", "lookup"]

_MAX_TARIFFS = 15  # total and tariffs 1 to E
_BLOCK = "F"
_IDENTIFIER = re.compile(r"[0-9A-Fa-f]{4}")


def lookup(di: str) -> Identifier | None:
    """What an identifier of the 1997 edition means.

    >>> lookup("9010").name_en
    'present forward active energy total'
    """
    return TABLE_1997.lookup(di)


def decode_body(di: str, body: bytes) -> tuple[Value, ...]:
    """The values in the data behind the identifier; `BodyError` when it does not fit.

    >>> [str(value.value) for value in decode_body("901F", bytes.fromhex("0000010000250000AA"))]
    ['100.00', '25.00']
    """
    found = layout_of(di.upper())
    if found is None:
        raise BodyError(di, "the table of 1997 has no such identifier")
    if di.upper().endswith(_BLOCK) and len(body) not in found.counts and body[-1:] == b"\xaa":
        body = body[:-1]  # the end mark of a block is not data
    return found.decode(body)


def encode_body(di: str, values: Iterable[Scalar]) -> bytes:
    """The inverse of `decode_body`: the data of one value, or of a block with its closing AA.

    >>> from decimal import Decimal
    >>> encode_body("901F", [Decimal("100.00"), Decimal("25.00")]).hex()
    '0000010000250000aa'
    """
    found = layout_of(di.upper())
    if found is None:
        raise RequestError(f"The table of 1997 has no identifier {di}.")
    body = found.encode([(value, None) for value in values])
    return body + b"\xaa" if di.upper().endswith(_BLOCK) else body


def identifier_bytes(di: str) -> bytes:
    """DI0 DI1 of an identifier written DI1 DI0.

    >>> identifier_bytes("9010").hex()
    '1090'
    """
    if not _IDENTIFIER.fullmatch(di):
        raise RequestError(f"{di!r} is not an identifier of 1997: it has 4 hexadecimal digits, as 9010.")
    return bytes.fromhex(di)[::-1]


def layout_of(di: str) -> Layout | None:
    """The fields of an identifier; None when the table has no such identifier."""
    found = lookup(di)
    return None if found is None else _layout(found)


@cache
def _layout(found: Identifier) -> Layout:
    di = found.di
    picture, _, repeat = found.format.partition(" x")
    codec = _codec(found, picture)
    if not repeat:
        return layout(di, [Field(di, codec)])
    if repeat.startswith("("):
        members = [f"{di[:3]}{tariff:X}" for tariff in range(_MAX_TARIFFS)]
    else:
        members = [f"{di[:3]}{phase}" for phase in range(1, int(repeat.partition(" ")[0]) + 1)]
    return layout(di, (Field(member, codec) for member in members), step=1)


def _codec(found: Identifier, picture: str) -> Codec:
    digits = sum(letter.isalnum() for letter in picture)
    size = int(found.size) if found.size.isdecimal() else 0
    if not size:  # a block names its members' picture only; a voltage XXX takes 2 bytes
        size = (digits + 1) // 2
    # The list gives every row a scale; only a picture of 8 digits (a password) is no number.
    is_number = picture != "NNNNNNNN"
    return picture_codec(picture, size=size, unit=found.unit, signed=False, is_number=is_number)
