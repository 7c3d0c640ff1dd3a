"""What waits on a collector's disk for the platform: appended, sent in order, dropped once acknowledged.

What `append` returned from survives the process and the machine. The outbox has a bound, and its disk may be full:
then it says so, and goes on by itself when there is room again. All of it comes from the collector's own store
(`feeding`), which keeps it in any case; so what a disk has damaged is fed again from there.
"""

import contextlib
import errno
import os
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import structlog

from wattkeeper.readings.transmission.errors import OutboxFull, OutboxUnusable
from wattkeeper.readings.transmission.kept import KeptNumber
from wattkeeper.readings.transmission.segments import (
    RUN_BYTES,
    SUFFIX,
    Entry,
    Place,
    Record,
    SegmentBroken,
    SegmentWriter,
    bytes_of,
    packed,
    read,
    scanned,
)

log = structlog.get_logger(__name__)

SEGMENT_BYTES: Final = 4 << 20
"""A file this long is appended to no more; room comes back a file at a time."""
_SMALL: Final = 256 << 10
"""A file this short is kept for what comes next, also when all in it is acknowledged."""
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Outgoing(NamedTuple):
    """A batch to append."""

    kind: int
    rows: int
    payload: bytes
    mark: int
    """How far the feed has come with it."""


class Waiting(NamedTuple):
    """What the platform has not acknowledged yet."""

    batches: int
    rows: int
    bytes: int
    oldest_mark: int | None
    """The feed's mark of the oldest batch: when its last row was recorded, in microseconds since 1970 UTC."""


class Outbox:
    """One folder of segments. Any thread may call; one process may open it at a time.

    Raises:
        OutboxUnusable: the folder cannot be read or written.

    """

    def __init__(self, folder: Path, *, most_bytes: int) -> None:
        self.folder = folder
        self.most_bytes = most_bytes
        self.run = os.urandom(RUN_BYTES)
        """Drawn at each opening: a folder restored from a copy goes on under another name than the lost one's."""
        self.damaged_from: int | None = None
        """The feed's mark where damage was found at the opening; None where there was none."""
        self._lock = threading.Lock()
        self._waiting: deque[Entry] = deque()
        self._files: dict[Path, int] = {}
        """The last sequence of each file, in order."""
        self._writer: SegmentWriter | None = None
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.id = _id_of(folder / "collector")
            """Drawn when the folder was made: the collector's name at the platform."""
            self._acknowledged = KeptNumber(folder / "acknowledged")
            self._fed = KeptNumber(folder / "fed")
            self._last = self._acknowledged.value
            for path in sorted(folder.glob(f"*{SUFFIX}")):
                self._take_stock(path)
        except OSError as error:
            raise _unusable(folder, error) from None

    @property
    def fed_to(self) -> int:
        """The feed's mark: all that was recorded up to it has been appended here."""
        return self._fed.value

    @property
    def waiting(self) -> Waiting:
        """What the platform has not acknowledged yet."""
        with self._lock:
            waiting = list(self._waiting)
        return Waiting(
            len(waiting),
            sum(entry.head.rows for entry in waiting),
            sum(entry.size for entry in waiting),
            waiting[0].head.mark if waiting else None,
        )

    def append(self, batches: Sequence[Outgoing]) -> None:
        """Put batches on the disk behind all others, all of them or none.

        Raises:
            OutboxFull: the bound is reached or the disk is full.

        """
        with self._lock, _explained(self.folder):
            records = [
                Record(self.run, self._last + place, batch.mark, batch.rows, batch.kind, batch.payload)
                for place, batch in enumerate(batches, 1)
            ]
            self._last += len(records)  # a number is never used twice, also when the disk refuses
            used, more = self._used(), sum(map(bytes_of, records))
            if used + more > self.most_bytes:
                raise OutboxFull(
                    f"The outbox {self.folder} holds {used:,} of at most {self.most_bytes:,} bytes "
                    f"and has no room for {more:,} more.",
                    hint="It empties when the platform answers; outbox_megabytes makes it larger.",
                )
            self._write(records)
            self._fed.keep(max(self._fed.value, records[-1].mark))

    def next(self, *, most_rows: int, most_bytes: int) -> list[Record]:
        """The oldest batches that can travel as one: of one run and kind, within the limits, but at least one."""
        with self._lock, _explained(self.folder):
            found = [read(entry.place) for entry in self._that_fit(most_rows, most_bytes)]
            records = [record for record in found if record is not None]
            if len(records) < len(found):
                raise OutboxUnusable(
                    f"The outbox {self.folder} has lost a batch that it had written.",
                    hint="It is opened anew, and its readings are fed again from the store.",
                )
            return records

    def acknowledge(self, sequence: int) -> None:
        """Drop the batches up to a sequence: the platform has them. Works on a full disk, too."""
        with self._lock, _explained(self.folder):
            self._acknowledged.keep(max(self._acknowledged.value, sequence))
            while self._waiting and self._waiting[0].head.sequence <= sequence:
                self._waiting.popleft()
            if self._writer is not None and not self._waiting and self._writer.size > _SMALL:
                self._seal()
            active = None if self._writer is None else self._writer.path
            for path in [path for path, last in self._files.items() if last <= sequence and path != active]:
                path.unlink(missing_ok=True)
                del self._files[path]

    def close(self) -> None:
        """Give the folder up."""
        with self._lock:
            self._seal()
            self._acknowledged.close()
            self._fed.close()

    # -- files ------------------------------------------------------------------------------------------------------

    def _take_stock(self, path: Path) -> None:
        """What a file of an earlier run holds; what a crash or the disk left behind its last good record goes."""
        found = scanned(path)
        if found.never_began:
            path.unlink()
            return
        if found.is_damaged:
            log.warning("outbox: the end of a file is cut off; its readings are fed again", file=str(path))
            mark = found.mark or 0
            self.damaged_from = mark if self.damaged_from is None else min(mark, self.damaged_from)
            self._fed.keep(min(self._fed.value, mark))
            os.truncate(path, found.good_bytes)
        for entry in found.entries:
            self._last = max(self._last, entry.head.sequence)
            if entry.head.sequence > self._acknowledged.value:
                self._waiting.append(entry)
        self._files[path] = self._last

    def _write(self, records: Sequence[Record]) -> None:
        if self._writer is not None and self._writer.size >= SEGMENT_BYTES:
            self._seal()
        try:
            writer = self._writer or self._begun(records[0].sequence)
            begins = writer.size
            writer.append(b"".join(map(packed, records)))
        except SegmentBroken:
            self._seal()
            raise
        for record in records:
            place = Place(writer.path, begins)
            self._waiting.append(Entry(record._replace(payload=b""), place, bytes_of(record)))
            begins += bytes_of(record)
        self._files[writer.path] = self._last

    def _begun(self, sequence: int) -> SegmentWriter:
        path = self.folder / f"{sequence:020d}{SUFFIX}"
        self._writer = SegmentWriter.create(path, self.run, self._fed.value)
        self._files[path] = sequence
        return self._writer

    def _seal(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _used(self) -> int:
        return sum(path.stat().st_size for path in self._files)

    def _that_fit(self, most_rows: int, most_bytes: int) -> list[Entry]:
        chosen: list[Entry] = []
        for entry in self._waiting:
            first = chosen[0].head if chosen else entry.head
            most_rows -= entry.head.rows
            most_bytes -= entry.size
            too_much = most_rows < 0 or most_bytes < 0
            if chosen and (too_much or (entry.head.run, entry.head.kind) != (first.run, first.kind)):
                break
            chosen.append(entry)
        return chosen


def _id_of(path: Path) -> str:
    """What the file says; drawn and written when there is none."""
    if not path.exists():
        beginning = path.with_suffix(".new")
        beginning.write_text(os.urandom(RUN_BYTES).hex(), encoding="ascii")
        beginning.replace(path)
    return path.read_text(encoding="ascii")


@contextlib.contextmanager
def _explained(folder: Path) -> Iterator[None]:
    """A refusal of the disk in words."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise OutboxFull(
                f"The disk of the outbox {folder} is full; what it holds is safe.",
                hint="Make room; it goes on by itself. Until then the readings wait in the collector's own store.",
            ) from None
        raise _unusable(folder, error) from None


def _unusable(folder: Path, error: OSError) -> OutboxUnusable:
    return OutboxUnusable(
        f"The outbox {folder} cannot be used: {error.strerror or error}.",
        hint="Check its disk and permissions.",
    )
