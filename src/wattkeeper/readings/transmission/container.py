"""What every batch is around its columns: a mark, a version, a directory of named columns, a checksum at the end.

docs/reference/batch-format.md is the specification; a file of version 1 under tests/data/transmission holds us to it.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple, Self

import numpy as np

from wattkeeper.readings.transmission.errors import BadBatch, UnknownBatchVersion
from wattkeeper.readings.transmission.numbers import (
    BYTES,
    CONSTANT,
    Integers,
    Reader,
    bounded,
    pack_bytes,
    pack_numbers,
    unpack_bytes,
    unpack_numbers,
    varint,
)

MARK: Final = b"WKB"
VERSION: Final = 1
CHECKSUM_BYTES: Final = 8
NO_BASE: Final = bytes(CHECKSUM_BYTES)
MOST_ROWS: Final = 1_000_000
MOST_BYTES: Final = 64 << 20
"""Of one column of text or frames, unpacked."""
_MOST_COLUMNS: Final = 64
_HEAD_BYTES: Final = len(MARK) + 2
_LEFT_OUT: Final = (CONSTANT, 0, memoryview(b""))


class Head(NamedTuple):
    """What a batch says of itself."""

    kind: int
    rows: int
    base: bytes
    """The checksum of the batch it rests on; `NO_BASE` where it is self-contained."""


class Columns:
    """The named columns of a batch; one without entries is left out."""

    def __init__(self) -> None:
        self._parts: dict[str, tuple[int, int, bytes]] = {}

    def numbers(self, name: str, values: Integers) -> Self:
        """Add a column of whole numbers."""
        if len(values):
            packing, packed = pack_numbers(values)
            self._parts[name] = (packing, len(values), packed)
        return self

    def text(self, name: str, source: bytes) -> Self:
        """Add a column of bytes."""
        if source:
            self._parts[name] = (BYTES, len(source), pack_bytes(source))
        return self

    def words(self, name: str, words: Iterable[str]) -> Self:
        """Add a column of short texts, each with a zero byte behind it."""
        return self.text(name, "".join(f"{word}\0" for word in words).encode())

    @property
    def size(self) -> int:
        """Bytes of all columns, the directory left out."""
        return sum(len(packed) for _, _, packed in self._parts.values())

    def __or__(self, other: "Columns") -> "Columns":
        """The columns of both."""
        both = Columns()
        both._parts = self._parts | other._parts
        return both

    def sealed(self, head: Head) -> bytes:
        """The batch, its checksum at the end."""
        directory = bytearray([len(self._parts)])
        for name, (packing, count, packed) in self._parts.items():
            directory += bytes([len(name)]) + name.encode() + bytes([packing])
            directory += varint(count) + varint(len(packed))
        body = b"".join(packed for _, _, packed in self._parts.values())
        whole = MARK + bytes([VERSION, head.kind]) + varint(head.rows) + head.base + bytes(directory) + body
        return whole + checksum(whole)


class Opened:
    """A batch that was opened: its head, and its columns as they are asked for."""

    def __init__(
        self, head: Head, columns: Mapping[str, tuple[int, int, memoryview]], checked: bytes
    ) -> None:
        self.head = head
        self.checksum = checked
        self._columns = columns

    def __contains__(self, name: str) -> bool:
        return name in self._columns

    def numbers(self, name: str, count: int) -> Integers:
        """A column that must have ``count`` numbers."""
        packing, found, packed = self._columns.get(name, _LEFT_OUT)
        if found != count:
            raise BadBatch(f"The column {name} of a batch has {found:,} numbers; {count:,} are expected.")
        return unpack_numbers(packing, Reader(packed), count)

    def count(self, name: str) -> int:
        """How many numbers or bytes a column says that it has."""
        return self._columns.get(name, _LEFT_OUT)[1]

    def any_numbers(self, name: str) -> Integers:
        """A column of as many numbers as it says."""
        return self.numbers(name, bounded(self.count(name), MOST_ROWS, f"numbers in the column {name}"))

    def text(self, name: str) -> bytes:
        """A column of bytes."""
        if name not in self._columns:
            return b""
        packing, count, packed = self._columns[name]
        if packing != BYTES:
            raise BadBatch(f"The column {name} of a batch has numbers where bytes are expected.")
        return unpack_bytes(Reader(packed), bounded(count, MOST_BYTES, f"bytes in the column {name}"))

    def words(self, name: str) -> list[str]:
        """A column of short texts."""
        source = self.text(name)
        try:
            return source.decode().split("\0")[:-1]
        except UnicodeDecodeError:
            raise BadBatch(f"The column {name} of a batch is no text.") from None

    def below(self, name: str, count: int, limit: int) -> Integers:
        """A column of places in a list that has ``limit`` entries."""
        return placed(self.numbers(name, count), limit, name)


def placed(places: Integers, limit: int, name: str) -> Integers:
    """The places, or BadBatch when one is outside its list."""
    if len(places) and not (int(places.min()) >= 0 and int(places.max()) < limit):
        raise BadBatch(f"The column {name} of a batch points outside its list of {limit:,}.")
    return places


def checksum(source: bytes | memoryview) -> bytes:
    """BLAKE2b of 8 bytes: against damage on the way, not against forgery; that is what TLS and the token are for."""
    return hashlib.blake2b(source, digest_size=CHECKSUM_BYTES).digest()


def kind_of(source: bytes) -> int:
    """What a batch holds, without looking any further than its head."""
    return _begun(source)


def opened(source: bytes, kind: int) -> Opened:
    """A batch of a kind, its checksum and directory found right.

    Raises:
        BadBatch: it is none, is damaged, cut off, or of another kind.
        UnknownBatchVersion: it is of another version.
        BatchTooLarge: it says that it has more rows than a batch may have.

    """
    if _begun(source) != kind:
        raise BadBatch("A batch is of another kind than expected.")
    whole, told = memoryview(source)[:-CHECKSUM_BYTES], source[-CHECKSUM_BYTES:]
    if checksum(whole) != told:
        raise BadBatch(
            "A batch does not agree with its checksum: it was damaged or cut off on the way.",
            hint="Send it again.",
        )
    reader = Reader(whole)
    reader.take(_HEAD_BYTES)
    rows = bounded(reader.varint(), MOST_ROWS, "rows")
    head = Head(kind, rows, bytes(reader.take(CHECKSUM_BYTES)))
    return Opened(head, _directory(reader), told)


def _begun(source: bytes) -> int:
    if source[: len(MARK)] != MARK:
        raise BadBatch("These bytes are no batch of readings: they do not begin with WKB.")
    if len(source) < _HEAD_BYTES + CHECKSUM_BYTES:
        raise BadBatch("A batch ends too early: it was cut off.")
    version = source[len(MARK)]
    if version != VERSION:
        raise UnknownBatchVersion(
            f"A batch has version {version} of the format; this program knows version {VERSION}.",
            hint="Update the older of the two ends.",
        )
    return source[len(MARK) + 1]


def _directory(reader: Reader) -> dict[str, tuple[int, int, memoryview]]:
    entries = []
    for _ in range(bounded(reader.byte(), _MOST_COLUMNS, "columns")):
        name = bytes(reader.take(reader.byte())).decode("ascii", "replace")
        entries.append((name, reader.byte(), reader.varint(), reader.varint()))
    found = {name: (packing, count, reader.take(size)) for name, packing, count, size in entries}
    if reader.left or len(found) != len(entries):
        raise BadBatch("The directory of a batch does not fit its columns.")
    return found


def steps(values: Integers) -> Integers:
    """Each number less the one before; the first stays as it is."""
    found: Integers = np.diff(values, prepend=np.int64(0))
    return found


def unstepped(differences: Integers) -> Integers:
    """What `steps` was made of."""
    found: Integers = np.cumsum(differences, dtype=np.int64)
    return found
