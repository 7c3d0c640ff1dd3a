"""Many replies to the same question at once: a column of frames to a column of numbers, in numpy.

For archives of raw frames and for head-ends that poll a million meters. Every check of the single decoder is made
here too; a row that fails one is marked, and `decode_body` says what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt

from wattkeeper.protocols.dlt645.codecs import Number
from wattkeeper.protocols.dlt645.errors import RequestError
from wattkeeper.protocols.dlt645.layouts import Field, Layout, layout_of
from wattkeeper.protocols.dlt645.requests import identifier_bytes

__all__ = ["Column", "decode_column", "decode_columns"]

_Bytes = npt.NDArray[np.uint8]
_READ_REPLY = 0x91
_DATA = 14  # 68 A*6 68 C L DI*4
_OVERHEAD = 16  # the same and CS 16
_SIGN_FLAG = 0x80
_NOT_BCD = 255

_bcd = np.full(256, _NOT_BCD, np.uint8)
for _high in range(10):
    for _low in range(10):
        _bcd[_high * 16 + _low] = _high * 10 + _low
_BCD: _Bytes = _bcd
"""0..99 by BCD byte, 255 for a byte that is none."""
_WIRE_BCD: _Bytes = np.roll(_bcd, 0x33)
"""The same by wire byte, which carries 33H."""


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """The numbers of one identifier, one row per reply."""

    identifier: str
    unit: str
    scale: Decimal
    """What 1 in `values` is worth [unit]."""
    values: npt.NDArray[np.int64]
    """Scaled integers; 0 where not valid."""
    addresses: npt.NDArray[np.int64]
    """The answering meter's 12 digits as a number; -1 where the frame is not sound."""
    valid: npt.NDArray[np.bool_]
    """Whether the row is a sound reply to this identifier and holds a number (FF is none)."""
    part: str = ""
    """Which number of a block: `total`, `t1` of a freeze."""

    def decimal(self, row: int) -> Decimal | None:
        """The exact value of one row [unit]; None where there is none."""
        return int(self.values[row]) * self.scale if self.valid[row] else None


def decode_column(di: str, replies: Sequence[bytes] | npt.NDArray[np.uint8]) -> Column:
    """Decode replies to a read (11H) of one plain number, each row one frame with any preamble.

    `replies`: frames as bytes, or a matrix with one frame per row, all of one length.

    >>> column = decode_column("00010000", [bytes.fromhex("6861010000000068910833333433593333338A16")] * 2)
    >>> column.values.tolist(), column.scale, column.addresses.tolist()
    ([26, 26], Decimal('0.01'), [161, 161])
    """
    fields = _number_fields(di)
    if len(fields) != 1:
        raise RequestError(f"{di} is a block of numbers; decode_columns gives a column for each.")
    return decode_columns(di, replies)[0]


def decode_columns(di: str, replies: Sequence[bytes] | npt.NDArray[np.uint8]) -> tuple[Column, ...]:
    """The same for a block of numbers (a daily freeze `05060101`, the tariffs `0001FF00`): a column for each.

    As many columns as the longest reply has numbers; a row with fewer is not valid in the others.
    """
    fields = _number_fields(di)
    counts = _layout(di).counts
    buffer, lengths = _joined(replies)
    addresses = np.full(len(lengths), -1, np.int64)
    # Rows are replies, columns are kept apart: each is filled by itself.
    values = [np.zeros(0, np.int64) for _ in fields]
    valid = [np.zeros(0, np.bool_) for _ in fields]
    results = (addresses, values, valid)
    used = 1
    starts = np.cumsum(lengths) - lengths
    sizes = np.unique(lengths)
    for size in sizes:
        if len(sizes) == 1:
            rows: Any = np.arange(len(lengths))
            by_byte = np.ascontiguousarray(buffer.reshape(len(lengths), int(size)).T)
        else:
            rows = np.flatnonzero(lengths == size)
            by_byte = buffer[starts[rows] + np.arange(size)[:, None]]
        for body, count in counts.items():
            chosen = _rows_of(by_byte, body)
            if chosen is None:
                continue
            used = max(used, count)
            for number in range(count):
                if not len(values[number]):
                    values[number] = np.zeros(len(lengths), np.int64)
                    valid[number] = np.zeros(len(lengths), np.bool_)
            part = by_byte if chosen.all() else by_byte[:, chosen]
            _decode(di, fields[:count], part[int(size) - _OVERHEAD - body :], results, rows[chosen])
    return tuple(
        _column(field, addresses, values[number], valid[number]) for number, field in enumerate(fields[:used])
    )


def _column(
    field: Field,
    addresses: npt.NDArray[np.int64],
    values: npt.NDArray[np.int64],
    valid: npt.NDArray[np.bool_],
) -> Column:
    if not len(values):  # no reply was one to this question
        values, valid = np.zeros(len(addresses), np.int64), np.zeros(len(addresses), np.bool_)
    number = field.codec
    assert isinstance(number, Number)
    scale = Decimal(1).scaleb(-number.decimals)
    return Column(field.identifier, number.unit, scale, values, addresses, valid, field.part)


def _layout(di: str) -> Layout:
    found = layout_of(di.upper())
    if found is None or not all(isinstance(field.codec, Number) for field in found.fields):
        raise RequestError(
            f"{di} is not an identifier of one plain number or a block of them; decode its replies one at a time."
        )
    return found


def _number_fields(di: str) -> tuple[Field, ...]:
    return _layout(di).fields


def _rows_of(by_byte: _Bytes, body: int) -> npt.NDArray[np.bool_] | None:
    """Which frames carry so many bytes behind their identifier, with as much preamble as is left; None for none."""
    preamble = len(by_byte) - _OVERHEAD - body
    if preamble < 0:
        return None
    found: npt.NDArray[np.bool_] = (by_byte[preamble] == 0x68) & (by_byte[preamble + 9] == 4 + body)  # noqa: PLR2004
    if preamble:
        found &= (by_byte[:preamble] == 0xFE).all(axis=0)  # noqa: PLR2004 - wake-up byte
    return found if found.any() else None


def _joined(replies: Sequence[bytes] | npt.NDArray[np.uint8]) -> tuple[_Bytes, npt.NDArray[np.int64]]:
    if isinstance(replies, np.ndarray):
        rows, size = replies.shape
        return np.ascontiguousarray(replies, np.uint8).ravel(), np.full(rows, size, np.int64)
    lengths = np.fromiter(map(len, replies), np.int64, len(replies))
    return np.frombuffer(b"".join(replies), np.uint8), lengths


def _decode(
    di: str,
    fields: Sequence[Field],
    frame: _Bytes,
    results: tuple[npt.NDArray[np.int64], list[npt.NDArray[np.int64]], list[npt.NDArray[np.bool_]]],
    rows: npt.NDArray[np.int64],
) -> None:
    """Fill addresses, values and validity for frames of one length; `frame` has one row per byte."""
    addresses, values, valid = results
    sound = _sound(frame)
    address, address_is_bcd = _digits(frame[1:7], _BCD)
    addresses[rows] = np.where(sound & address_is_bcd, address, -1)
    sound &= frame[8] == _READ_REPLY
    for wire, byte in zip(identifier_bytes(di), frame[10:_DATA], strict=True):
        sound &= byte == (wire + 0x33) & 0xFF
    at = _DATA
    for number, field in enumerate(fields):
        codec = field.codec
        assert isinstance(codec, Number)
        value, is_bcd = _signed(frame[at : at + codec.size], codec)
        is_bcd &= sound
        values[number][rows] = np.where(is_bcd, value, 0)
        valid[number][rows] = is_bcd
        at += codec.size


def _sound(frame: _Bytes) -> npt.NDArray[np.bool_]:
    checksum = frame[0].copy()
    for byte in frame[1:-2]:
        checksum += byte  # modulo 256, as uint8 adds
    found: npt.NDArray[np.bool_] = (
        (frame[0] == 0x68) & (frame[7] == 0x68) & (frame[-1] == 0x16) & (frame[-2] == checksum)  # noqa: PLR2004
    )
    return found


def _digits(by_byte: _Bytes, table: _Bytes) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """BCD bytes, lowest first, to numbers."""
    total = np.zeros(by_byte.shape[1], np.int64)
    is_bcd = np.ones(by_byte.shape[1], np.bool_)
    for byte in by_byte[::-1]:
        pair = table[byte]
        is_bcd &= pair != _NOT_BCD
        total *= 100
        total += pair
    return total, is_bcd


def _signed(data: _Bytes, number: Number) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    if not number.signed:
        return _digits(data, _WIRE_BCD)
    top = data[-1] - np.uint8(0x33)
    negative = top >= _SIGN_FLAG
    magnitudes = data.copy()
    magnitudes[-1] = (top & ~np.uint8(_SIGN_FLAG)) + np.uint8(0x33)
    value, is_bcd = _digits(magnitudes, _WIRE_BCD)
    return np.where(negative, -value, value), is_bcd
