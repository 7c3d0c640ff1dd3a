"""Load records: the blocks a meter's memory gives for identifiers of family 06 (appendix B)."""

from __future__ import annotations

from datetime import datetime
from functools import cache, lru_cache
from typing import NamedTuple, cast

from wattkeeper.protocols.dlt645.codecs import Codec
from wattkeeper.protocols.dlt645.errors import BodyError, RequestError
from wattkeeper.protocols.dlt645.layouts import Layout, Value, layout_of

__all__ = [
    "LOAD_CLASSES",
    "LoadRecord",
    "decode_load_records",
    "encode_load_record",
    "read_blocks",
    "split_load_records",
]

# Class: the identifiers of what it records, in their order; each has the size and sign of its identifier.
LOAD_CLASSES: dict[int, tuple[str, ...]] = {
    1: ("02010100", "02010200", "02010300", "02020100", "02020200", "02020300", "02800002"),
    2: tuple(f"02{kind}0{phase}00" for kind in ("03", "04") for phase in range(4)),
    3: tuple(f"02060{phase}00" for phase in range(4)),
    4: ("00010000", "00020000", "00030000", "00040000"),
    5: ("00050000", "00060000", "00070000", "00080000"),
    6: ("02800004", "02800005"),
}
_FIRST_CLASS = 8  # A0 A0 LEN and 5 bytes of time
_MARKS = {b"\xa0\xa0": False, b"\xe0\xe0": True}
_KNOWN_TIMES = 8192  # more than the quarter hours of 80 days, which all meters share

_new_tuple = tuple.__new__


class LoadRecord(NamedTuple):
    """What a meter recorded at one instant of its own clock."""

    recorded_at: datetime
    """The meter's civil time (naive: a meter knows no zone)."""
    values: tuple[Value, ...]
    """Under the identifiers of the present values (`02010100`, `00010000`)."""
    marked_wrong: bool = False
    """The meter itself calls the block wrong (E0 E0)."""
    faults: tuple[str, ...] = ()
    """What does not fit in a block that can still be read: `checksum`, `length`."""


@cache
def _layouts(number: int) -> tuple[Layout, ...]:
    found = tuple(layout_of(di) for di in LOAD_CLASSES[number])
    assert None not in found  # members of the table
    return cast("tuple[Layout, ...]", found)


@cache
def _members(number: int) -> tuple[tuple[Layout, Codec], ...]:
    return tuple((layout, layout.fields[0].codec) for layout in _layouts(number))


@cache
def _class_size(number: int) -> int:
    return sum(codec.size for _, codec in _members(number))


def decode_load_records(di: str, body: bytes) -> tuple[LoadRecord, ...]:
    """The records in the data of all frames of a reply; no data is no record, not an error."""
    return tuple(record for record, _ in read_blocks(di, body))


def read_blocks(di: str, body: bytes) -> list[tuple[LoadRecord, bytes]]:
    """Each record with its block; where a block ends is told by its classes, its LEN may be wrong."""
    found = []
    at = 0
    while at < len(body):
        record, end = _record(di, body, at)
        found.append((record, body[at:end]))
        at = end
    return found


def split_load_records(body: bytes) -> list[bytes]:
    """The blocks of a reply, by the length each one tells (LEN + 5 bytes); the last may be cut."""
    blocks = []
    at = 0
    while at < len(body):
        size = body[at + 2] + 5 if at + 2 < len(body) else len(body)
        blocks.append(body[at : at + size])
        at += size
    return blocks


def _record(di: str, body: bytes, at: int) -> tuple[LoadRecord, int]:
    mark = body[at : at + 2]
    if mark not in _MARKS:
        raise BodyError(di, f"a load record begins with A0 A0, not {mark.hex(' ').upper()}", body=body)
    if len(body) < at + _FIRST_CLASS:
        raise BodyError(di, f"a load record ends after {len(body) - at} bytes", body=body)
    recorded_at = _time(di, body[at + 3 : at + _FIRST_CLASS])
    values, end = _classes(di, body, at + _FIRST_CLASS)
    tail = body[end : end + 2]
    if len(tail) != 2 or tail[1] != 0xE5:  # noqa: PLR2004 - CS and the closing E5
        raise BodyError(
            di, f"a load record ends with E5, not {tail[1:].hex().upper() or 'nothing'}", body=body
        )
    faults = []
    if body[at + 2] != end - at - 3:
        faults.append("length")
    if sum(body[at:end]) & 0xFF != tail[0]:  # some meters compute it differently: keep, but say so
        faults.append("checksum")
    return LoadRecord(recorded_at, values, _MARKS[mark], tuple(faults)), end + 2


def _time(di: str, field: bytes) -> datetime:
    try:
        return _moment(field)
    except ValueError as error:
        raise BodyError(di, f"its time is {field[::-1].hex().upper()}", body=field) from error


@lru_cache(_KNOWN_TIMES)  # strptime costs as much as the rest of a record
def _moment(field: bytes) -> datetime:
    return datetime.strptime(field[::-1].hex(), "%y%m%d%H%M")  # noqa: DTZ007 - a meter's clock has no zone


def _classes(di: str, body: bytes, at: int) -> tuple[tuple[Value, ...], int]:
    """The values of all classes, and the offset behind the last separator.

    By the fixed size of each class and never by searching AA: a value may be all FF or a vendor's bytes.
    """
    values: list[Value] = []
    first = _asked_class(di)
    if first > 1 and body[at : at + 1] != b"\xaa" and _fits(body, at, first):
        numbers = range(first, 7)  # some meters leave out the separators of the classes before the asked one
    else:
        numbers = range(1, 7)
    for number in numbers:
        if body[at : at + 1] == b"\xaa":
            at += 1
        elif _fits(body, at, number):
            for layout, codec in _members(number):
                values.append(_value(layout, codec, body[at : at + codec.size]))
                at += codec.size
            at += 1
        elif number == numbers[0]:
            raise BodyError(
                di, f"class {number} of a load record is not {_class_size(number)} bytes and AA", body=body
            )
        else:
            break
    return tuple(values), at


def _value(layout: Layout, codec: Codec, wire: bytes) -> Value:
    """The one value of a layout, without the detour over its fields: a reply has hundreds (1 µs instead of 3)."""
    try:
        value, _ = codec.decode(wire)
    except ValueError:
        return layout.decode(wire)[0]  # which says what is wrong, and of what
    return _new_tuple(Value, (layout.identifier, value, codec.unit, None, ""))


def _asked_class(di: str) -> int:
    return int(di[2:4]) if di[2:4].isdecimal() and 1 <= int(di[2:4]) <= max(LOAD_CLASSES) else 0


def _fits(body: bytes, at: int, number: int) -> bool:
    end = at + _class_size(number)
    return body[end : end + 1] == b"\xaa"


def encode_load_record(record: LoadRecord) -> bytes:
    """The block of one record, as a meter sends it (with the marks and separators of the standard)."""
    by_identifier = {value.identifier: value for value in record.values}
    content = bytes.fromhex(record.recorded_at.strftime("%y%m%d%H%M"))[::-1]
    for number, members in LOAD_CLASSES.items():
        present = [di for di in members if di in by_identifier]
        if present and len(present) != len(members):
            missing = ", ".join(di for di in members if di not in by_identifier)
            raise RequestError(f"A load record class is recorded whole or not at all; {missing} is missing.")
        if present:
            pairs = zip(_layouts(number), present, strict=True)
            content += b"".join(layout.encode([(by_identifier[di].value, None)]) for layout, di in pairs)
        content += b"\xaa"
    block = (b"\xe0\xe0" if record.marked_wrong else b"\xa0\xa0") + bytes([len(content)]) + content
    return block + bytes([sum(block) & 0xFF, 0xE5])
