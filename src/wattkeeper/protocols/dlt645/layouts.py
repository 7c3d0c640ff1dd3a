"""What the data of an identifier consists of: its fields in wire order, for single values, blocks and records."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from wattkeeper.protocols.dlt645.codecs import (
    Bits,
    Codec,
    Demand,
    Digits,
    Hex,
    Moment,
    Number,
    Raw,
    Scalar,
    Stamp,
    Text,
)
from wattkeeper.protocols.dlt645.errors import BodyError, RequestError
from wattkeeper.protocols.dlt645.identifiers import Identifier, lookup

__all__ = ["Field", "Layout", "Value", "layout_of", "picture_codec"]

MAX_TARIFFS = 64  # total and tariffs 1..63
SETTLEMENTS = 13  # the current period and the last 12
_MOMENTS = ("YYMMDDhhmm", "YYMMDDhhmmss", "YYMMDDWWhhmmss")
_STAMP = re.compile(r"(YY|MM|DD|WW|hh|mm|ss|NN)+")
_NUMBER = re.compile(r"[XN]+(\.[XN]+)?")
_NAMES = 12  # digits of addresses and meter numbers: names, not quantities
_CODES = 8  # digits of passwords, and of identifiers on display lists


class Value(NamedTuple):
    """One decoded value. A named tuple for the same reason as `Frame`: speed."""

    identifier: str
    """The identifier of this value itself, also when it came in a block."""
    value: Scalar
    """Exact Decimal, naive datetime (the meter's clock), digits, text or bit word; None is "no value" (FF)."""
    unit: str = ""
    occurred_at: datetime | None = None
    """When a maximum demand occurred, or a load record was stored; the meter's clock."""
    part: str = ""
    """Which of several values under one identifier: `t1` of a freeze, `start` of an event."""


class Field(NamedTuple):
    """One field of the data."""

    identifier: str
    codec: Codec
    part: str = ""
    name_zh: str = ""


class Layout(NamedTuple):
    """Fields in wire order, and the lengths at which a meter may stop."""

    identifier: str
    fields: tuple[Field, ...]
    counts: dict[int, int]
    """Body length [byte]: number of fields in it. Empty for one field of any length."""

    def decode(self, body: bytes) -> tuple[Value, ...]:
        """The values in `body`; `BodyError` when it does not fit."""
        if self.counts and len(body) not in self.counts:
            raise BodyError(self.identifier, f"{len(body)} bytes, not {self._lengths}", body=body)
        values = []
        at = 0
        for field in self.fields[: self.counts.get(len(body), 1)]:
            end = at + field.codec.size if self.counts else len(body)
            values.append(decode_field(field, body[at:end]))
            at = end
        return tuple(values)

    def encode(self, values: Sequence[tuple[Scalar, datetime | None]]) -> bytes:
        """The inverse of `decode`, from (value, occurred_at) of each field."""
        if self.counts and len(values) not in self.counts.values():
            raise RequestError(f"{self.identifier} has {self._numbers} values, not {len(values)}.")
        pairs = zip(self.fields, values, strict=False)
        return b"".join(field.codec.encode(value, at) for field, (value, at) in pairs)

    @property
    def _lengths(self) -> str:
        return _some(list(self.counts))

    @property
    def _numbers(self) -> str:
        return _some(list(self.counts.values()))


def decode_field(field: Field, wire: bytes) -> Value:
    """One value; `BodyError` names the identifier."""
    try:
        value, occurred_at = field.codec.decode(wire)
    except ValueError as error:
        where = f"{field.part}: " if field.part else ""
        raise BodyError(field.identifier, f"{where}{error}", body=wire) from error
    return Value(field.identifier, value, field.codec.unit, occurred_at, field.part)


def _some(numbers: list[int]) -> str:
    if len(numbers) > 2:  # noqa: PLR2004 - name the ends of a long list only
        return f"{numbers[0]}, {numbers[1]} ... {numbers[-1]}"
    return " or ".join(map(str, numbers))


def layout(identifier: str, fields: Iterable[Field], *, step: int = 0) -> Layout:
    """A layout that may stop after every `step` fields; 0: only at its end."""
    fields = tuple(fields)
    counts = {}
    size = 0
    for number, field in enumerate(fields, 1):
        size += field.codec.size
        if number == len(fields) or (step and number % step == 0):
            counts[size] = number
    return Layout(identifier, fields, counts)


def picture_codec(picture: str, *, size: int, unit: str, signed: bool, is_number: bool = True) -> Codec:
    """The codec for one of the standard's pictures (`XXXXXX.XX`, `YYMMDDhhmm`, `ASCII`)."""
    codec: Codec
    if _NUMBER.fullmatch(picture):
        decimals = len(picture.partition(".")[2])
        # 12 digits are an address; 8 without a scale an identifier or a password; the others count something.
        if len(picture) == _NAMES:
            codec = Digits(size)
        else:
            codec = Number(size, decimals, signed, unit) if is_number or len(picture) < _CODES else Hex(size)
    elif picture == "XX.XXXX YYMMDDhhmm":
        codec = Demand(Number(size - 5, 4, signed, unit))
    elif picture in _MOMENTS:
        codec = Moment(picture)
    elif picture.startswith("bits"):
        codec = Bits(size)
    elif picture == "ASCII":
        codec = Text(size)
    else:
        codec = Stamp(picture) if _STAMP.fullmatch(picture) else Raw(size)
    return codec


def layout_of(di: str) -> Layout | None:
    """The layout of an identifier of the 2007 edition; None when the table has no such identifier.

    Load records (06) and whole freezes (05xxFFnn) have no fixed fields and are read by their own modules.
    """
    # Only what the table has is kept: there are 4 billion identifiers that a meter could name.
    found = lookup(di)
    return None if found is None else _layout(found)


@cache
def _layout(found: Identifier) -> Layout:
    di = found.di
    if found.format == "record (see layouts)":
        return layout(di, _record_fields(di))
    if di in _RELAY_RECORDS:
        return layout(di, _relay_record(di), step=1)
    picture, _, repeat = found.format.partition(" x")
    if not repeat:
        codec = _codec(found, picture, found.size)
        fields = (Field(di, codec),)
        return layout(di, fields) if codec.size else Layout(di, fields, {})
    return _repeated(found, picture, repeat)


def _codec(found: Identifier, picture: str, size: str) -> Codec:
    return picture_codec(
        picture,
        size=int(size) if size.isdecimal() else 0,
        unit=found.unit,
        signed=found.signed,
        is_number=found.scale is not None,
    )


_PHASES = ("a", "b", "c")
_VARIABLES = tuple(f"{kind}_{phase}" for kind in ("active", "reactive") for phase in ("total", *_PHASES))
_LIMITS = ("forward_active", "reverse_active", "q1_reactive", "q2_reactive", "q3_reactive", "q4_reactive")


def _repeated(found: Identifier, picture: str, repeat: str) -> Layout:
    di = found.di
    if picture == "XXXXXX,XXXXXX":
        return layout(di, _counts_and_durations(di, _PHASES), step=2)
    total = {"n": MAX_TARIFFS, "(1+tariffs)": MAX_TARIFFS}.get(repeat) or int(repeat)
    each = found.size.partition("*")[0] if "*" in found.size else str(int(found.size) // total)
    codec = _codec(found, picture, each)
    members = _members(di, total)
    if members:
        return layout(di, (Field(member, codec) for member in members), step=1)
    if repeat == "8":  # the variables of a freeze: kW for the first four, kvar for the rest
        units = ("kW",) * 4 + ("kvar",) * 4
        fields = [
            Field(di, Number(3, 4, signed=True, unit=unit), part)
            for part, unit in zip(_VARIABLES, units, strict=True)
        ]
        return layout(di, fields)
    if di == "03120000":
        return layout(di, (Field(di, codec, part) for part in _LIMITS))
    return layout(di, (Field(di, codec, part) for part in _parts(di, total)), step=1)


def _parts(di: str, total: int) -> list[str]:
    if di.startswith("05"):
        return ["total", *(f"t{tariff}" for tariff in range(1, total))]
    return [str(entry) for entry in range(1, total + 1)]


def _members(di: str, total: int) -> list[str]:
    """The identifiers of the single values in a block: FF stands for each value of its byte (§6.2)."""
    if di[:2] in ("00", "01") and di[4:6] == "FF":
        return [f"{di[:4]}{tariff:02X}{di[6:]}" for tariff in range(total)]
    if di[:2] in ("00", "01") and di[6:] == "FF":
        return [f"{di[:6]}{settlement:02X}" for settlement in range(SETTLEMENTS)]
    if di[:2] == "02" and di[4:6] == "FF":  # A, B, C, or total, A, B, C
        return [f"{di[:4]}{phase:02X}{di[6:]}" for phase in range(4 - total, 4)]
    if di[6:] == "FF":  # harmonics, status words
        return [f"{di[:6]}{number:02X}" for number in range(1, total + 1)]
    return []


def _counts_and_durations(di: str, phases: Iterable[str]) -> Iterable[Field]:
    for phase in phases:
        yield Field(di, Number(3, 0, unit="times"), f"count_{phase}")
        yield Field(di, Number(3, 0, unit="min"), f"duration_{phase}")


@cache
def _event_records() -> dict[str, tuple[tuple[str, ...], ...]]:
    """Fields by pattern (`030101NN`), from `event_records.tsv`."""
    records: dict[str, tuple[tuple[str, ...], ...]] = {}
    patterns: list[str] = []
    for line in (files(__package__) / "event_records.tsv").read_text("utf-8").splitlines()[1:]:
        columns = tuple(line.split("\t"))
        if columns[0] == "@":
            patterns = columns[1].split(" ")
        else:
            for pattern in patterns:
                records[pattern] = (*records.get(pattern, ()), columns)
    return records


def _record_fields(di: str) -> Iterable[Field]:
    for name, name_zh, form, size, unit, signed in _event_records()[di[:6] + "NN"]:
        picture, *repeats = form.split(" x")
        total = 1
        for repeat in repeats:
            total *= int(repeat)
        codec = _record_codec(picture, int(size) // total, unit, signed=signed == "yes")
        for number in range(1, total + 1):
            yield Field(di, codec, f"{name}_{number}" if repeats else name, name_zh)


# State Grid supplement: the last trip and the last closing, with the registers at that moment. Meters stop early.
_RELAY_RECORDS = ("1D000101", "1E000101")
_RELAY_REGISTERS = (
    ("fwd_active_total", "正向有功总电能", "kWh"),
    ("rev_active_total", "反向有功总电能", "kWh"),
    *(
        (f"q{number}_reactive_total", f"第{zh}象限无功总电能", "kvarh")
        for number, zh in enumerate("一二三四", 1)
    ),
)


def _relay_record(di: str) -> Iterable[Field]:
    yield Field(di, Moment("YYMMDDhhmmss"), "time", "发生时刻")
    yield Field(di, Hex(4), "operator", "操作者代码")
    for name, name_zh, unit in _RELAY_REGISTERS:
        yield Field(di, Number(4, 2, unit=unit), name, name_zh)


def _record_codec(picture: str, size: int, unit: str, *, signed: bool) -> Codec:
    if picture in ("C0C1C2C3", "4 bytes", "XXXXXXXX"):
        return Hex(size)
    if picture == "XX":  # a mode word
        return Bits(size)
    return picture_codec(picture, size=size, unit=unit, signed=signed)
