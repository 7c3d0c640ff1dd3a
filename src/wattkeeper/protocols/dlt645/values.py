"""From the data behind an identifier to values, and back."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from decimal import Decimal

from wattkeeper.protocols.dlt645.codecs import Number, Scalar
from wattkeeper.protocols.dlt645.errors import BodyError, RequestError
from wattkeeper.protocols.dlt645.freezes import decode_freeze, encode_freeze, is_whole_freeze
from wattkeeper.protocols.dlt645.layouts import Layout, Value, layout_of
from wattkeeper.protocols.dlt645.load_records import LoadRecord, decode_load_records, encode_load_record

__all__ = ["Value", "decode_body", "encode_body", "encode_value"]

_LOAD_RECORDS = "06"
_Decoder = Callable[[bytes], tuple[Value, ...]]
_DECODERS: dict[str, _Decoder] = {}
_new_tuple = tuple.__new__


def decode_body(di: str, body: bytes) -> tuple[Value, ...]:
    """The values in `body`: the data behind the identifier, without 33H, in wire order.

    A block gives each value under its own identifier; how many there are follows from the length. The values of
    load records carry the time of their record. Raises `BodyError`, and nothing else, when the data does not fit.

    >>> decode_body("00010000", bytes.fromhex("78563412"))[0].value
    Decimal('123456.78')
    >>> [(v.identifier, str(v.value)) for v in decode_body("0201FF00", bytes.fromhex("032200000000"))]
    [('02010100', '220.3'), ('02010200', '0.0'), ('02010300', '0.0')]
    """
    return (_DECODERS.get(di) or _decoder(di))(body)


def _decoder(di: str) -> _Decoder:
    """A function for this identifier, made once and kept: the table is finite."""
    name = di.upper()
    if name.startswith(_LOAD_RECORDS) and layout_of(name):
        decoder: _Decoder = lambda body: _load_values(name, body)  # noqa: E731 - as the other branches
    elif is_whole_freeze(name):
        decoder = lambda body: decode_freeze(name, body)  # noqa: E731
    else:
        layout = layout_of(name)
        if layout is None:
            raise BodyError(name, "the table has no such identifier")
        decoder = _number_decoder(layout) or layout.decode
    _DECODERS[di] = decoder
    return decoder


def _number_decoder(layout: Layout) -> _Decoder | None:
    """The shortest way for one plain number, which is what meters are asked for most (1 µs instead of 3)."""
    if len(layout.fields) != 1 or not isinstance(layout.fields[0].codec, Number):
        return None
    di = layout.identifier
    size, decimals, signed, unit = (
        getattr(layout.fields[0].codec, name) for name in ("size", "decimals", "signed", "unit")
    )
    exponent = f"E-{decimals}"

    def decode(body: bytes) -> tuple[Value, ...]:
        digits = body[::-1].hex()
        if len(body) == size and digits.isdecimal() and not (signed and digits[0] >= "8"):
            return (_new_tuple(Value, (di, Decimal(digits + exponent), unit, None, "")),)
        return layout.decode(body)

    return decode


def _load_values(di: str, body: bytes) -> tuple[Value, ...]:
    return tuple(
        value._replace(occurred_at=record.recorded_at)
        for record in decode_load_records(di, body)
        for value in record.values
    )


def encode_value(di: str, value: Scalar, *, occurred_at: datetime | None = None) -> bytes:
    """The data behind `di` for one value; `RequestError` when the identifier cannot hold it.

    >>> encode_value("00010000", Decimal("123456.78")).hex()
    '78563412'
    """
    return encode_body(di, [Value(di, value, occurred_at=occurred_at)])


def encode_body(di: str, values: Iterable[Value | Scalar]) -> bytes:
    """The inverse of `decode_body`: the data of all values, in the order of the block or record.

    Whole freezes and load records take `Value` items, sorted into their places by identifier.
    """
    name = di.upper()
    items = [item if isinstance(item, Value) else Value(name, item) for item in values]
    if name.startswith(_LOAD_RECORDS):
        return _encode_load_values(name, items)
    if is_whole_freeze(name):
        return encode_freeze(name, items)
    layout = layout_of(name)
    if layout is None:
        raise RequestError(f"The table has no identifier {name}.")
    return layout.encode([(item.value, item.occurred_at) for item in items])


def _encode_load_values(di: str, values: list[Value]) -> bytes:
    records: dict[datetime, list[Value]] = {}
    for value in values:
        if value.occurred_at is None:
            raise RequestError(f"{di}: a load record's values carry its time in `occurred_at`.")
        records.setdefault(value.occurred_at, []).append(value)
    return b"".join(encode_load_record(LoadRecord(at, tuple(items))) for at, items in records.items())
