"""Columns of whole numbers in few bytes: an origin and a step taken out, then bits or byte planes.

Each function works on whole columns (numpy); nothing here knows what the numbers mean.
"""

from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from wattkeeper.readings.transmission.errors import BadBatch, BatchTooLarge

Integers = npt.NDArray[np.int64]
_Words = npt.NDArray[np.uint64]

CONSTANT, BITS, PLANES, BYTES = range(4)
"""How a column is packed; docs/reference/batch-format.md describes each."""
RAW, SAME, ZSTD = range(3)
"""How a run of bytes is kept: as it is, as one byte that repeats, or compressed."""

_WORD: Final = 64
_MOST_BITS: Final = 56
_AT_ONCE: Final = 1 << 16
"""Numbers turned into single bits in one go; a multiple of 8, so that each part ends with a whole byte."""
_LONGEST_VARINT: Final = 10
_WORTH_COMPRESSING: Final = 16
_ZSTD: Final = pa.Codec("zstd", compression_level=9)
"""Above level 9 the sizes of our columns change by less than a hundredth."""


class Reader:
    """Takes the bytes of a batch apart and says when there are too few."""

    def __init__(self, source: bytes | memoryview) -> None:
        self._source = memoryview(source)
        self._at = 0

    @property
    def left(self) -> int:
        """Bytes not taken yet."""
        return len(self._source) - self._at

    def take(self, count: int) -> memoryview:
        """The next bytes."""
        if count > self.left:
            raise BadBatch("A batch ends too early: it was cut off, or its lengths are wrong.")
        self._at += count
        return self._source[self._at - count : self._at]

    def byte(self) -> int:
        """The next byte."""
        return self.take(1)[0]

    def varint(self) -> int:
        """An unsigned number, seven bits a byte, the lowest first."""
        value = 0
        for place in range(_LONGEST_VARINT):
            byte = self.byte()
            value |= (byte & 0x7F) << 7 * place
            if byte < 0x80:  # noqa: PLR2004  the highest bit says that more bytes follow
                if value >> _WORD:
                    break
                return value
        raise BadBatch("A number in a batch has more than 64 bits.")

    def signed(self) -> int:
        """A signed number: 0, -1, 1, -2 ... are written as 0, 1, 2, 3."""
        value = self.varint()
        return value >> 1 if value % 2 == 0 else -(value >> 1) - 1


def varint(value: int) -> bytes:
    """An unsigned number of up to 64 bits, seven bits a byte, the lowest first."""
    parts = bytearray()
    while value >= 0x80:  # noqa: PLR2004  the highest bit says that more bytes follow
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)


def signed(value: int) -> bytes:
    """A signed 64-bit number as `Reader.signed` reads it."""
    return varint(value << 1 if value >= 0 else (-value << 1) - 1)


def pack_numbers(values: Integers) -> tuple[int, bytes]:
    """The packing that is smallest, and the packed bytes; there must be a number."""
    if (values == values[0]).all():
        return CONSTANT, signed(int(values[0]))
    origin = int(values.min())
    rest: _Words = values.view(np.uint64) - np.int64(origin).view(np.uint64)
    step = int(np.gcd.reduce(rest))
    if step > 1:
        rest //= np.uint64(step)
    head = signed(origin) + varint(step)
    width = int(rest.max()).bit_length()
    planes = _pack_planes(rest, (width + 7) // 8)
    if width <= _MOST_BITS and (len(values) * width + 7) // 8 < len(planes):
        return BITS, head + bytes([width]) + _pack_bits(rest, width)
    return PLANES, head + planes


def unpack_numbers(packing: int, packed: Reader, count: int) -> Integers:
    """The numbers of a column; BadBatch when the bytes cannot be that many."""
    if packing == CONSTANT:
        return np.full(count, packed.signed() if count else 0, np.int64)
    origin, step = packed.signed(), packed.varint()
    if packing == BITS:
        rest = _unpack_bits(packed, count)
    elif packing == PLANES:
        rest = _unpack_planes(packed, count)
    else:
        raise BadBatch(f"A column of numbers in a batch is packed in a way ({packing}) that is unknown.")
    rest *= np.uint64(step)
    rest += np.int64(origin).view(np.uint64)
    return rest.view(np.int64)


def pack_bytes(source: bytes) -> bytes:
    """Bytes, compressed where that makes them fewer; `unpack_bytes` needs to be told how many they were."""
    if len(source) > 1 and source.count(source[0]) == len(source):
        return bytes([SAME, source[0]])
    if len(source) >= _WORTH_COMPRESSING:
        compressed: bytes = _ZSTD.compress(source, asbytes=True)
        size = varint(len(compressed))
        if len(size) + len(compressed) < len(source):
            return bytes([ZSTD]) + size + compressed
    return bytes([RAW]) + source


def unpack_bytes(packed: Reader, count: int) -> bytes:
    """The bytes that `pack_bytes` packed: exactly ``count``, so nothing larger is ever made of a few."""
    kind = packed.byte()
    if kind == RAW:
        return bytes(packed.take(count))
    if kind == SAME:
        return bytes(packed.take(1)) * count
    if kind != ZSTD:
        raise BadBatch(f"Bytes in a batch are kept in a way ({kind}) that is unknown.")
    compressed = packed.take(packed.varint())
    try:
        found: bytes = _ZSTD.decompress(pa.py_buffer(compressed), decompressed_size=count, asbytes=True)
    except (OSError, pa.ArrowInvalid) as error:
        raise BadBatch(f"A compressed column of a batch is damaged: {error}.") from None
    if len(found) != count:
        raise BadBatch("A compressed column of a batch holds another number of bytes than it says.")
    return found


def bounded(count: int, most: int, what: str) -> int:
    """The count, or BatchTooLarge."""
    if count > most:
        raise BatchTooLarge(f"A batch says that it has {count:,} {what}; {most:,} is the most.")
    return count


def _pack_bits(rest: _Words, width: int) -> bytes:
    """Each number in ``width`` bits, the lowest bit first."""
    parts = []
    for first in range(0, len(rest), _AT_ONCE):
        octets = rest[first : first + _AT_ONCE].astype("<u8").view(np.uint8).reshape(-1, 8)
        bits = np.unpackbits(octets, axis=1, bitorder="little")[:, :width]
        parts.append(np.packbits(bits.ravel(), bitorder="little").tobytes())
    return b"".join(parts)


def _unpack_bits(packed: Reader, count: int) -> _Words:
    width = packed.byte()
    if not 1 <= width <= _MOST_BITS:
        raise BadBatch(f"A column of a batch has numbers of {width} bits; 1 to {_MOST_BITS} are possible.")
    octets = np.frombuffer(packed.take((count * width + 7) // 8), np.uint8)
    found = np.empty(count, np.uint64)
    for first in range(0, count, _AT_ONCE):
        rows = min(_AT_ONCE, count - first)
        some = octets[first * width // 8 : ((first + rows) * width + 7) // 8]
        bits = np.zeros((rows, _WORD), np.uint8)
        bits[:, :width] = np.unpackbits(some, count=rows * width, bitorder="little").reshape(rows, width)
        found[first : first + rows] = np.packbits(bits, axis=1, bitorder="little").view("<u8").ravel()
    return found


def _pack_planes(rest: _Words, planes: int) -> bytes:
    """The numbers' lowest bytes, then their next: each plane is compressed by itself, most high ones to nothing."""
    octets = rest.astype("<u8").view(np.uint8).reshape(-1, 8)
    packed = (pack_bytes(octets[:, plane].tobytes()) for plane in range(planes))
    return bytes([planes]) + b"".join(packed)


def _unpack_planes(packed: Reader, count: int) -> _Words:
    planes = packed.byte()
    if not 1 <= planes <= 8:  # noqa: PLR2004  the bytes of a 64-bit number
        raise BadBatch(f"A column of a batch has numbers of {planes} bytes; 1 to 8 are possible.")
    octets = np.zeros((count, 8), np.uint8)
    for plane in range(planes):
        octets[:, plane] = np.frombuffer(unpack_bytes(packed, count), np.uint8)
    return octets.view("<u8").astype(np.uint64).ravel()
