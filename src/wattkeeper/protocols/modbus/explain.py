"""Any frame explained byte by byte, RTU or TCP, right or broken, in English and Chinese."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple

from wattkeeper.protocols.modbus.crc import crc16
from wattkeeper.protocols.modbus.errors import FrameError, exception_reason
from wattkeeper.protocols.modbus.frames import Frame
from wattkeeper.protocols.modbus.lengths import Side, pdu_fits, rtu_length
from wattkeeper.protocols.modbus.requests import (
    READ_COILS,
    READ_DISCRETE,
    READ_HOLDING,
    READ_IDENTIFICATION,
    READ_INPUT,
    WRITE_COIL,
    WRITE_COILS,
    WRITE_REGISTER,
    WRITE_REGISTERS,
    function_name,
    unpack_bits,
)
from wattkeeper.protocols.modbus.values import decode_float32

__all__ = ["Explanation", "Part", "explain", "looks_like_modbus"]

_MBAP = 7
_READS = (READ_COILS, READ_DISCRETE, READ_HOLDING, READ_INPUT)


class Part(NamedTuple):
    """Some bytes of the line and what they are."""

    offset: int
    octets: bytes
    label_en: str
    label_zh: str
    value: str = ""


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a sequence of bytes is."""

    raw: bytes
    parts: tuple[Part, ...]
    """Every byte of `raw`, in order."""
    frame: Frame | None = None
    """The frame; None when there is none."""
    side: str = ""
    """`request`, `response`, or `request or response` where the bytes are the same for both."""
    error: str = ""
    """Why it is no frame; empty for a sound one."""

    @property
    def valid(self) -> bool:
        """Whether the bytes are one sound frame."""
        return self.frame is not None

    @property
    def protocol(self) -> str | None:
        """`modbus-rtu` or `modbus-tcp`; None when broken."""
        return None if self.frame is None else f"modbus-{'rtu' if self.frame.transaction is None else 'tcp'}"

    def as_json(self) -> dict[str, Any]:
        """One object per frame."""
        frame = self.frame
        if frame is None:
            return {"valid": False, "error": self.error}
        found: dict[str, Any] = {
            "valid": True,
            "protocol": self.protocol,
            "direction": self.side,
            "unit": frame.unit,
            "function": frame.function & 0x7F,
            "function_name": function_name(frame.function)[0],
        }
        if frame.transaction is not None:
            found["transaction"] = frame.transaction
        if frame.is_exception and frame.body:
            reason = exception_reason(frame.body[0])
            return found | {
                "exception": {"code": frame.body[0], "message": reason.en, "message_zh": reason.zh}
            }
        return found | _fields(frame, self.side)

    @property
    def summary(self) -> str:
        """The frame in one line."""
        frame = self.frame
        if frame is None:
            return f"broken: {self.error}"
        told = ", ".join(f"{part.label_en} {part.value}" for part in self.parts if part.label_en in _SAID)
        who = "is asked" if self.side.startswith("request") else "answers"
        return f"unit {frame.unit} {who} {frame.function:02X} {function_name(frame.function)[0]}: {told}"


_SAID = ("address", "count", "value", "registers", "exception", "bits", "objects")


def explain(raw: bytes) -> Explanation:
    """What `raw` is: one frame, or why it is none. Never raises.

    >>> found = explain(bytes.fromhex("010404436633341B38"))
    >>> [(part.octets.hex(), part.label_en, part.value) for part in found.parts[2:4]]
    [('04', 'byte count', '4'), ('43663334', 'registers', '17254 13108; as float32 230.20001')]
    >>> explain(bytes.fromhex("010300610001C5D5")).error
    'CRC C5D5, D5D4 expected'
    """
    tcp = _looks_like_tcp(raw)
    try:
        frame = Frame.decode_tcp(raw) if tcp else Frame.decode_rtu(raw)
    except FrameError as error:
        broken = _broken_tcp(raw) if tcp else _broken_rtu(raw)
        return Explanation(raw, tuple(broken), error=error.reason)
    side = _side_of(frame)
    if tcp:
        parts = [*_mbap(raw), *_pdu(frame, side, at=_MBAP)]
    else:
        crc = Part(len(raw) - 2, raw[-2:], "CRC", "CRC校验", "correct")
        parts = [Part(0, raw[:1], "unit", "从站地址", str(raw[0])), *_pdu(frame, side, at=1), crc]
    return Explanation(raw, tuple(parts), frame, side)


def looks_like_modbus(raw: bytes) -> bool:
    """Whether bytes that are no sound frame of any protocol were most likely meant to be Modbus."""
    return _looks_like_tcp(raw) or len(raw) in rtu_length(raw, 0, "both")


def _looks_like_tcp(raw: bytes) -> bool:
    """An MBAP header whose length is that of the bytes; an RTU frame that looks so has a wrong CRC."""
    fits = len(raw) > _MBAP and raw[2:4] == b"\0\0" and int.from_bytes(raw[4:6]) == len(raw) - 6
    return fits and crc16(raw) != 0


def _side_of(frame: Frame) -> str:
    if frame.is_exception:
        return "response"
    sides: tuple[Side, ...] = ("request", "reply")
    fits = [side for side in sides if pdu_fits(frame.function, frame.body, side=side)]
    if frame.function in _READS and len(fits) == len(sides):
        return "request"  # a reply of 3 bytes of bits has the same length; requests have a possible count
    return (
        "request or response" if len(fits) == len(sides) else "request" if fits == ["request"] else "response"
    )


def _mbap(raw: bytes) -> Iterator[Part]:
    yield Part(0, raw[:2], "transaction", "事务标识", str(int.from_bytes(raw[:2])))
    yield Part(2, raw[2:4], "protocol", "协议标识", "Modbus")
    yield Part(4, raw[4:6], "length", "长度", str(int.from_bytes(raw[4:6])))
    yield Part(6, raw[6:7], "unit", "单元标识", str(raw[6]))


def _pdu(frame: Frame, side: str, *, at: int) -> Iterator[Part]:
    function, body = frame.function, frame.body
    name, zh = function_name(function)
    if frame.is_exception:
        yield Part(
            at, bytes((function,)), "function, refused", "异常功能码", f"{function & 0x7F:02X} {name} {zh}"
        )
        if body:
            reason = exception_reason(body[0])
            yield Part(at + 1, body[:1], "exception", "异常码", f"{body[0]:02X} {reason.en} {reason.zh}")
            yield from _rest(body, 1, at + 1)
        return
    yield Part(at, bytes((function,)), "function", "功能码", f"{function:02X} {name} {zh}")
    yield from _body(function, body, side, at + 1)


def _body(function: int, body: bytes, side: str, at: int) -> Iterator[Part]:
    asked = side != "response"
    if function in _READS and not asked and body:
        yield Part(at, body[:1], "byte count", "字节数", str(body[0]))
        yield _data(function, body[1:], at + 1)
    elif function in (*_READS, WRITE_COIL, WRITE_REGISTER, WRITE_COILS, WRITE_REGISTERS) and len(body) > 3:  # noqa: PLR2004
        address, number = int.from_bytes(body[:2]), int.from_bytes(body[2:4])
        yield Part(at, body[:2], "address", "地址", f"{address} ({address:04X}H)")
        if function in (WRITE_COIL, WRITE_REGISTER):
            said = {0xFF00: "on", 0: "off"}.get(number, "neither on nor off")
            yield Part(at + 2, body[2:4], "value", "值", said if function == WRITE_COIL else str(number))
            yield from _rest(body, 4, at)
            return
        yield Part(at + 2, body[2:4], "count", "数量", str(number))
        if len(body) > 4:  # noqa: PLR2004 - a write of several
            yield Part(at + 4, body[4:5], "byte count", "字节数", str(body[4]))
            yield _data(function, body[5:], at + 5)
    elif function == READ_IDENTIFICATION and not asked and pdu_fits(function, body, side="reply"):
        yield Part(at, body[:6], "identification", "设备标识", f"{body[5]} objects")
        yield Part(at + 6, body[6:], "objects", "对象", _objects(body))
    else:
        yield from _rest(body, 0, at)


def _data(function: int, octets: bytes, at: int) -> Part:
    if function in (READ_COILS, READ_DISCRETE, WRITE_COILS):
        bits = unpack_bits(octets, 8 * len(octets))
        return Part(at, octets, "bits", "位", "".join("1" if bit else "0" for bit in bits))
    words = [int.from_bytes(octets[place : place + 2]) for place in range(0, len(octets), 2)]
    said = " ".join(map(str, words))
    if len(octets) == 4 and (number := decode_float32(octets)) is not None and _is_sensible(number):  # noqa: PLR2004
        said += f"; as float32 {number}"
    return Part(at, octets, "registers", "寄存器", said)


def _is_sensible(number: Decimal) -> bool:
    """Whether a float is one that a meter would tell, not two integers read as one."""
    return number == 0 or 1e-4 <= abs(number) < 1e9  # noqa: PLR2004


def _objects(body: bytes) -> str:
    at, told = 6, []
    for _ in range(body[5]):
        number, size = body[at], body[at + 1]
        told.append(f"{number}: {body[at + 2 : at + 2 + size].decode('latin-1')!r}")
        at += 2 + size
    return ", ".join(told)


def _fields(frame: Frame, side: str) -> dict[str, Any]:
    function, body = frame.function, frame.body
    if side == "response" and function in _READS:
        if function in (READ_COILS, READ_DISCRETE):
            return {"bits": list(unpack_bits(body[1:], 8 * (len(body) - 1)))}
        return {"registers": [int.from_bytes(body[at : at + 2]) for at in range(1, len(body), 2)]}
    if function in (*_READS, WRITE_COILS, WRITE_REGISTERS) and len(body) > 3:  # noqa: PLR2004
        return {"address": int.from_bytes(body[:2]), "count": int.from_bytes(body[2:4])}
    if function in (WRITE_COIL, WRITE_REGISTER):
        return {"address": int.from_bytes(body[:2]), "value": int.from_bytes(body[2:4])}
    return {"data": body.hex()}


def _rest(body: bytes, done: int, at: int) -> Iterator[Part]:
    if body[done:]:
        yield Part(at + done, body[done:], "data", "数据", body[done:].hex(" ").upper())


def _broken_rtu(raw: bytes) -> Iterator[Part]:
    """What can be told of bytes that are no RTU frame."""
    if len(raw) not in rtu_length(raw, 0, "both"):
        if raw:
            yield Part(0, raw, "no frame", "不是帧")
        return
    frame = Frame(raw[0], raw[1], raw[2:-2])
    yield Part(0, raw[:1], "unit", "从站地址", str(raw[0]))
    yield from _pdu(frame, _side_of(frame), at=1)
    expected = crc16(raw[:-2]).to_bytes(2, "little").hex().upper()
    yield Part(len(raw) - 2, raw[-2:], "CRC", "CRC校验", f"wrong, {expected} expected")


def _broken_tcp(raw: bytes) -> Iterator[Part]:
    yield from _mbap(raw)
    yield from _rest(raw, _MBAP, 0)
