"""Any frame explained byte by byte, right or broken, in English and Chinese."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from wattkeeper.protocols.dlt645.anatomy import Anatomy, dissect, function_name, name_of, plain
from wattkeeper.protocols.dlt645.errors import FrameError, error_reasons
from wattkeeper.protocols.dlt645.frames import Frame, FrameReader
from wattkeeper.protocols.dlt645.layouts import Value
from wattkeeper.protocols.dlt645.status import describe_bits

__all__ = ["Explanation", "Part", "explain"]

_HEADER = 10
_SAID_ELSEWHERE = ("di", "err", "separator", "mark", "record_length", "recorded_at", "closing")


class Part(NamedTuple):
    """Some bytes of the line and what they are."""

    offset: int
    octets: bytes
    """As on the wire; data bytes carry 33H."""
    label_en: str
    label_zh: str
    value: str = ""
    """What they say (data bytes without the 33H); empty where the label says all."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a sequence of bytes is."""

    raw: bytes
    parts: tuple[Part, ...]
    """Every byte of `raw`, in order."""
    frame: Frame | None = None
    """The frame; None when there is none."""
    error: str = ""
    """Why it is no frame; empty for a sound one."""
    anatomy: Anatomy = field(default_factory=lambda: Anatomy(()))

    @property
    def valid(self) -> bool:
        """Whether there is one sound frame in the bytes."""
        return self.frame is not None

    @property
    def protocol(self) -> str | None:
        """`dlt645-2007` or `dlt645-1997`, told by the control code; None when broken."""
        return f"dlt645-{self.frame.edition}" if self.frame else None

    @property
    def function(self) -> str | None:
        """What is asked or answered: `read`, `write`, `freeze`; None when broken."""
        return function_name(self.frame)[0] if self.frame else None

    @property
    def values(self) -> tuple[Value, ...]:
        """The values it carries."""
        return self.anatomy.values

    def as_json(self, *, quantity_of: Callable[[str], str | None] | None = None) -> dict[str, Any]:
        """One object per frame; numbers as exact decimal strings.

        `quantity_of` names the quantity of an identifier; where it knows none, the table's own key is used.
        """
        frame = self.frame
        if frame is None:
            return {"valid": False, "error": self.error}
        found: dict[str, Any] = {
            "valid": True,
            "protocol": self.protocol,
            "direction": "response" if frame.from_meter else "request",
            "address": frame.address,
            "control": f"{frame.control:02X}",
        }
        if self.anatomy.identifier:
            found["identifier"] = self.anatomy.identifier
        if frame.has_more:
            found["more_follows"] = True
        if frame.is_error:
            found["meter_error"] = _meter_error(frame)
        elif self.values:
            found["values"] = [self._value_json(value, quantity_of) for value in self.values]
        if self.anatomy.problem:
            found["value_error"] = self.anatomy.problem
        fields = {
            key: value
            for key, value in self.anatomy.fields.items()
            if key not in _SAID_ELSEWHERE and not key.startswith("value_")
        }
        return found | ({"fields": fields} if fields else {})

    def _value_json(self, value: Value, quantity_of: Callable[[str], str | None] | None) -> dict[str, Any]:
        named = name_of(value.identifier)
        quantity = quantity_of(value.identifier) if quantity_of else None
        found: dict[str, Any] = {
            "quantity": quantity or (named.key if named else None),
            "value": plain(value),
            "unit": value.unit,
        }
        if value.identifier != self.anatomy.identifier:  # a value out of a block
            found["identifier"] = value.identifier
        if value.part:
            found["part"] = value.part
        if value.occurred_at:
            found["occurred_at"] = value.occurred_at.isoformat(sep=" ")
        if isinstance(value.value, int):
            found["bits"] = [item.key for item in describe_bits(value.identifier, value.value) if item.value]
        return found


def explain(raw: bytes) -> Explanation:
    """What `raw` is: a frame with whatever surrounds it, or why it is none. Never raises.

    >>> found = explain(bytes.fromhex("6861010000000068910833333433593333338A16"))
    >>> for part in found.parts[3:6]:
    ...     print(part.offset, part.octets.hex(" "), part.label_en, part.value)
    8 91 control reply: read
    9 08 length 8
    10 33 33 34 33 identifier 00010000 current forward active energy total (当前)正向有功总电能
    >>> found.as_json()["values"]
    [{'quantity': 'current_forward_active_energy_total', 'value': '0.26', 'unit': 'kWh'}]
    """
    try:
        frame = Frame.decode(raw)
        start = len(raw) - len(raw.lstrip(b"\xfe"))
    except FrameError as error:
        found = next((event for event in FrameReader().feed(raw) if isinstance(event, Frame)), None)
        if found is None:
            return Explanation(raw, tuple(_broken_parts(raw)), error=error.reason)
        frame, start = found, raw.index(found.encode(0))
    anatomy = dissect(frame)
    return Explanation(raw, tuple(_parts(raw, start, anatomy)), frame, anatomy=anatomy)


def _parts(raw: bytes, start: int, anatomy: Anatomy) -> Iterator[Part]:
    yield from _leading(raw[:start])
    yield from _header(raw, start)
    at = start + _HEADER
    for piece in anatomy.pieces:
        yield Part(at, raw[at : at + piece.size], piece.en, piece.zh, _named(piece.key, piece.value))
        at += piece.size
    yield Part(at, raw[at : at + 1], "checksum", "校验码", "correct")
    yield Part(at + 1, raw[at + 1 : at + 2], "end", "结束符")
    if raw[at + 2 :]:
        yield Part(at + 2, raw[at + 2 :], "not part of the frame", "帧外字节")


def _named(key: str, value: str) -> str:
    named = name_of(value) if key == "di" else None
    return f"{value} {named.name_en} {named.name_zh}" if named else value


def _leading(noise: bytes) -> Iterator[Part]:
    preamble = len(noise) - len(noise.rstrip(b"\xfe"))
    rest = len(noise) - preamble
    if rest:
        yield Part(0, noise[:rest], "not part of the frame", "帧外字节")
    if preamble:
        yield Part(rest, noise[rest:], "wake-up bytes", "前导字节", str(preamble))


def _header(raw: bytes, start: int) -> Iterator[Part]:
    """The parts up to the length byte, as far as there are bytes."""
    control = raw[start + 8] if len(raw) > start + 8 else 0
    length = raw[start + 9] if len(raw) > start + 9 else 0
    key, zh = function_name(Frame("", control, raw[start + _HEADER : start + _HEADER + length]))
    direction = ("reply", "应答") if control & 0x80 else ("request", "请求")
    if control & 0xC0 == 0xC0:  # noqa: PLR2004 - D7 and D6
        direction = ("error reply", "异常应答")
    more = ", more follows" if control & 0xA0 == 0xA0 else ""  # noqa: PLR2004 - D7 and D5
    described = (
        (0, 1, "start", "起始符", ""),
        (1, 6, "address", "地址域", raw[start + 1 : start + 7][::-1].hex().upper()),
        (7, 1, "start", "起始符", ""),
        (8, 1, "control", f"控制码 {direction[1]} {zh}", f"{direction[0]}: {key}{more}"),
        (9, 1, "length", "数据域长度", str(length)),
    )
    for offset, size, en, label_zh, value in described:
        octets = raw[start + offset : start + offset + size]
        if octets:
            yield Part(start + offset, octets, en, label_zh, value)


def _broken_parts(raw: bytes) -> Iterator[Part]:
    """What can be told of bytes that are no frame."""
    start = len(raw) - len(raw.lstrip(b"\xfe"))
    if raw[start : start + 1] != b"\x68":
        found = raw.find(b"\x68", start)
        start = found if found >= 0 else len(raw)
    yield from _leading(raw[:start])
    body = raw[start:]
    if len(body) < _HEADER or body[7] != 0x68:  # noqa: PLR2004 - the second start byte
        if body:
            yield Part(start, body, "no frame header", "不是帧头")
        return
    yield from _header(raw, start)
    at, length = start + _HEADER, body[9]
    end = at + length
    if raw[at:end]:
        plain_octets = bytes((octet - 0x33) & 0xFF for octet in raw[at:end])
        yield Part(at, raw[at:end], "data", "数据域", plain_octets.hex(" ").upper())
    yield from _broken_tail(raw, start, end)


def _broken_tail(raw: bytes, start: int, end: int) -> Iterator[Part]:
    checksum = raw[end : end + 1]
    if checksum:
        expected = sum(raw[start:end]) & 0xFF
        said = "correct" if checksum[0] == expected else f"wrong, {expected:02X} expected"
        yield Part(end, checksum, "checksum", "校验码", said)
    last = raw[end + 1 : end + 2]
    if last:
        yield Part(end + 1, last, "end", "结束符", "" if last == b"\x16" else "wrong, 16 expected")
    if raw[end + 2 :]:
        yield Part(end + 2, raw[end + 2 :], "not part of the frame", "帧外字节")


def _meter_error(frame: Frame) -> dict[str, Any]:
    bits = frame.body[0] if len(frame.body) == 1 else 0
    reasons = error_reasons(bits, edition=frame.edition)
    return {
        "err": frame.body[::-1].hex().upper(),
        "err_bits": [reason.key for reason in reasons],
        "message": "; ".join(reason.en for reason in reasons),
        "message_zh": "；".join(reason.zh for reason in reasons),
    }
