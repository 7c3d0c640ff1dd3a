"""The outbox's files: records behind one another, each with its checksum; one process appends to a file, ever.

A record that was torn by a crash ends its file: whoever starts next begins a new one. So a file never changes behind
a point that somebody has read, also not in a copy of the folder that was restored.
"""

import contextlib
import os
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple, Self

SUFFIX: Final = ".segment"
RUN_BYTES: Final = 8
_MAGIC: Final = b"WKO\x01"
_HEAD: Final = struct.Struct("<4s8sQ")
"""Magic number and version, run, the feed's mark where the file begins; behind them their CRC-32."""
_RECORD: Final = struct.Struct("<QQIBI")
"""Sequence, mark of the feed, rows, kind, bytes of the payload; behind the payload the CRC-32 of all."""
_CRC: Final = struct.Struct("<I")
_HEAD_BYTES: Final = _HEAD.size + _CRC.size
LARGEST_PAYLOAD: Final = 1 << 26


class Record(NamedTuple):
    """One batch in the outbox."""

    run: bytes
    """Drawn by the process that appended it; with ``sequence`` the batch's name for ever."""
    sequence: int
    mark: int
    """How far the feed had come with it: a ``recorded_at`` of the collector's store, in microseconds."""
    rows: int
    kind: int
    payload: bytes


class Place(NamedTuple):
    """Where a record begins."""

    path: Path
    offset: int


class Entry(NamedTuple):
    """A record in a file, its payload left there."""

    head: Record
    place: Place
    size: int


@dataclass(frozen=True, slots=True)
class Scanned:
    """What a file turned out to hold."""

    entries: tuple[Entry, ...]
    mark: int | None
    """Of the feed, at the end of what is good; None where not even the head is."""
    good_bytes: int
    size: int

    @property
    def is_damaged(self) -> bool:
        """Whether something behind the last good record cannot be read."""
        return self.good_bytes < self.size

    @property
    def never_began(self) -> bool:
        """Whether the process that made the file died before it had a head."""
        return self.mark is None and self.size <= _HEAD_BYTES


class SegmentWriter:
    """A file being appended to; what `append` returned from is on the disk."""

    def __init__(self, path: Path, descriptor: int, size: int) -> None:
        self.path = path
        self.size = size
        """Bytes that are good."""
        self._descriptor = descriptor

    @classmethod
    def create(cls, path: Path, run: bytes, mark: int) -> Self:
        """Begin a file; OSError when there is no room, and then there is no file."""
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        try:
            _write(descriptor, _checked(_HEAD.pack(_MAGIC, run, mark)))
            os.fsync(descriptor)
            sync_folder(path.parent)
        except OSError:
            os.close(descriptor)
            with contextlib.suppress(OSError):
                path.unlink()
            raise
        return cls(path, descriptor, _HEAD_BYTES)

    def append(self, packed: bytes) -> None:
        """Put packed records on the disk, all or none.

        Raises:
            OSError: the disk refused; the file ends where it ended before.
            SegmentBroken: it does not even do that; nothing may be appended to it any more.

        """
        try:
            _write(self._descriptor, packed)
            os.fsync(self._descriptor)
        except OSError:
            try:
                os.ftruncate(self._descriptor, self.size)
                os.fsync(self._descriptor)
            except OSError as error:
                raise SegmentBroken(str(error)) from error
            raise
        self.size += len(packed)

    def close(self) -> None:
        """Append no more."""
        os.close(self._descriptor)


class SegmentBroken(OSError):
    """What stands at the end of a file is not known."""


def packed(record: Record) -> bytes:
    """A record as it stands in a file."""
    head = _RECORD.pack(record.sequence, record.mark, record.rows, record.kind, len(record.payload))
    return _checked(head + record.payload)


def scanned(path: Path) -> Scanned:
    """All good records of a file, payloads left out."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = _head(file)
        if head is None:
            return Scanned((), None, 0, size)
        entries, end, mark = [], _HEAD_BYTES, head.mark
        while (record := _next(file, head.run)) is not None:
            entries.append(Entry(record._replace(payload=b""), Place(path, end), bytes_of(record)))
            end, mark = end + bytes_of(record), record.mark
    return Scanned(tuple(entries), mark, end, size)


def read(place: Place) -> Record | None:
    """The record at a place; None when the disk has lost it meanwhile."""
    with place.path.open("rb") as file:
        head = _head(file)
        if head is None:
            return None
        file.seek(place.offset)
        return _next(file, head.run)


def bytes_of(record: Record) -> int:
    """What a record takes in its file."""
    return _RECORD.size + len(record.payload) + _CRC.size


def sync_folder(folder: Path) -> None:
    """Make sure that names made or removed in a folder are so on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class _Head(NamedTuple):
    run: bytes
    mark: int


def _head(file: BinaryIO) -> _Head | None:
    found = file.read(_HEAD_BYTES)
    if len(found) < _HEAD_BYTES or _checked(found[: _HEAD.size]) != found:
        return None
    magic, run, mark = _HEAD.unpack(found[: _HEAD.size])
    return _Head(run, mark) if magic == _MAGIC else None


def _next(file: BinaryIO, run: bytes) -> Record | None:
    head = file.read(_RECORD.size)
    if len(head) < _RECORD.size:
        return None
    sequence, mark, rows, kind, length = _RECORD.unpack(head)
    if length > LARGEST_PAYLOAD:
        return None
    payload, told = file.read(length), file.read(_CRC.size)
    if _checked(head + payload) != head + payload + told:
        return None
    return Record(run, sequence, mark, rows, kind, payload)


def _checked(source: bytes) -> bytes:
    """The bytes, and behind them their CRC-32."""
    return source + _CRC.pack(zlib.crc32(source))


def _write(descriptor: int, source: bytes) -> None:
    left = memoryview(source)
    while left:
        left = left[os.write(descriptor, left) :]
