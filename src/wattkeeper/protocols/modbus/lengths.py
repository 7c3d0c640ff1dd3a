"""How long an RTU frame is, told from its first bytes: Modbus RTU has no length field, only functions that have one.

Each function's layout is in MODBUS Application Protocol V1.1b3, section 6.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

__all__ = ["SHORTEST", "Side", "pdu_fits", "rtu_length"]

Side = Literal["reply", "request", "both"]
SHORTEST = 4
"""Unit, function and CRC [bytes]."""
_EXCEPTION = 5
_LONGEST = 256

# The whole frame's length by what stands at an offset from its beginning; None: not to be told yet.
_Length = Callable[[bytes, int], int | None]


def _fixed(length: int) -> _Length:
    return lambda _buffer, _start: length


def _counted(offset: int, rest: int) -> _Length:
    """The byte at `offset` counts data bytes, and `rest` bytes besides make the frame."""

    def length(buffer: bytes, start: int) -> int | None:
        return buffer[start + offset] + rest if len(buffer) > start + offset else None

    return length


def _identification(buffer: bytes, start: int) -> int | None:
    """Reply to 2B/0E: a list of objects, each with its length (section 6.21)."""
    if len(buffer) < start + 8:
        return None
    if buffer[start + 2] != 0x0E:  # noqa: PLR2004 - MEI type: other encapsulated transports have no length
        return 0
    at = start + 8
    for _ in range(buffer[start + 7]):
        if at - start > _LONGEST:
            return 0
        if len(buffer) < at + 2:
            return None
        at += 2 + buffer[at + 1]
    return at + 2 - start


def _fifo(buffer: bytes, start: int) -> int | None:
    if len(buffer) < start + 4:
        return None
    return int.from_bytes(buffer[start + 2 : start + 4]) + 6


_EIGHT, _COUNT_AT_2, _COUNT_AT_6 = _fixed(8), _counted(2, 5), _counted(6, 9)
_REPLIES: dict[int, _Length] = {
    **dict.fromkeys((0x01, 0x02, 0x03, 0x04, 0x0C, 0x11, 0x14, 0x15, 0x17), _COUNT_AT_2),
    **dict.fromkeys((0x05, 0x06, 0x08, 0x0B, 0x0F, 0x10), _EIGHT),
    0x07: _fixed(5),
    0x16: _fixed(10),
    0x18: _fifo,
    0x2B: _identification,
}
_REQUESTS: dict[int, _Length] = {
    **dict.fromkeys((0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x08), _EIGHT),
    **dict.fromkeys((0x07, 0x0B, 0x0C, 0x11), _fixed(4)),
    **dict.fromkeys((0x0F, 0x10), _COUNT_AT_6),
    **dict.fromkeys((0x14, 0x15), _COUNT_AT_2),
    0x16: _fixed(10),
    0x17: _counted(10, 13),
    0x18: _fixed(6),
    0x2B: _fixed(7),
}


def rtu_length(buffer: bytes, start: int, side: Side) -> tuple[int, ...]:
    """The lengths that a frame beginning at `start` may have; none when none begins there, or none can be told yet.

    >>> rtu_length(bytes.fromhex("010404436633341B38"), 0, "reply")
    (9,)
    """
    if len(buffer) < start + 2:
        return ()
    function = buffer[start + 1]
    if function & 0x80:
        return (_EXCEPTION,) if side != "request" and function & 0x7F in _REPLIES else ()
    if side == "reply":
        return _known(_REPLIES.get(function), buffer, start)
    if side == "request":
        return _known(_REQUESTS.get(function), buffer, start)
    lengths = _known(_REQUESTS.get(function), buffer, start) + _known(_REPLIES.get(function), buffer, start)
    return tuple(dict.fromkeys(lengths))


def pdu_fits(function: int, body: bytes, *, side: Side) -> bool:
    """Whether a function's data has the length that its layout says."""
    return len(body) + 4 in rtu_length(b"\0%c%b" % (function, body), 0, side)


def _known(length_of: _Length | None, buffer: bytes, start: int) -> tuple[int, ...]:
    length = None if length_of is None else length_of(buffer, start)
    return (length,) if length and SHORTEST <= length <= _LONGEST else ()
