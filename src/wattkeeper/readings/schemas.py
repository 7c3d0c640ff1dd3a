"""The columns that travel between the readings store and everyone else, as Arrow schemas."""

import enum
import os
import threading
import time
from dataclasses import dataclass

import pyarrow as pa

INSTANT = pa.timestamp("us", tz="UTC")
ENERGY = pa.decimal128(18, 4)

READING_SCHEMA = pa.schema(
    [
        ("meter_id", pa.int64()),
        ("quantity", pa.string()),
        ("read_at", INSTANT),
        ("value", ENERGY),
        ("status", pa.int32()),
        ("source", pa.string()),
        ("exchange_id", pa.int64()),
    ]
)
"""What is appended: one value of one quantity of one meter at one instant."""

STORED_READING_SCHEMA = READING_SCHEMA.append(pa.field("recorded_at", INSTANT))
"""What is read back: ``recorded_at`` is set by the committing writer and strictly increases with each commit."""

EXCHANGE_SCHEMA = pa.schema(
    [
        ("exchange_id", pa.int64()),
        ("link_id", pa.int64()),
        ("meter_id", pa.int64()),
        ("began_at", INSTANT),
        ("ended_at", INSTANT),
        ("request", pa.binary()),
        ("reply", pa.binary()),
        ("outcome", pa.string()),
    ]
)
"""One request and its reply as they were on the wire: the trace of a value ends here."""

INTERVAL_SCHEMA = pa.schema(
    [
        ("point_id", pa.int64()),
        ("quantity", pa.string()),
        ("start_at", INSTANT),
        ("end_at", INSTANT),
        ("energy", ENERGY),
        ("status", pa.int32()),
        ("method", pa.string()),
        ("error", ENERGY),
    ]
)
"""Energy of a metering point over a half-open period, ratio applied. Null energy: known to be unknown (see status).

``error`` is half the width of the band in which the true energy of an estimated interval lies nine times out of ten;
null where nothing was estimated, and where a store of format 1 had an estimate.
"""

STORED_INTERVAL_SCHEMA = INTERVAL_SCHEMA.append(pa.field("recorded_at", INSTANT))

CHANGE_SCHEMA = pa.schema(
    [("meter_id", pa.int64()), ("quantity", pa.string()), ("start_at", INSTANT), ("end_at", INSTANT)]
)
"""What was appended since a cursor: ``start_at`` and ``end_at`` are the first and last ``read_at``, both included."""

POINT_CHANGE_SCHEMA = pa.schema(
    [("point_id", pa.int64()), ("quantity", pa.string()), ("start_at", INSTANT), ("end_at", INSTANT)]
)
"""The same for intervals of metering points."""

KNOWN_AT_SCHEMA = pa.schema(
    [
        ("id", pa.int64()),
        ("point_id", pa.int64()),
        ("start_at", INSTANT),
        ("end_at", INSTANT),
        ("known_at", INSTANT),
    ]
)
"""What somebody relied on: the intervals of a point that start in a half-open period, as known at a moment."""

SOURCES = ("imported", "polled", "meter", "edited")
"""Where a reading came from, in rising rank.

A person's edit, made with a reason, stands above all; then what the meter stamped itself; then what we polled
and stamped. A file comes last: nothing imported replaces what was read from the meter and can be traced to a
frame. Who wants a file's value to win edits the reading.
"""

METHODS = ("imported", "none", "linear", "profile", "history", "peers", "measured", "edited")
"""How an interval came about: ``none`` says why there is no energy in its status.

``imported`` comes from a file and gives way to whatever is derived from the meter's own readings.
Estimated between two trusted registers, and adding up to their difference: ``linear``, the straight line, and
``profile``, the point's own like days scaled to the difference. Estimated without a register to add up to:
``history``, the point's own like days, and ``peers``, points like it. ``measured`` and ``edited`` say what they are.
"""

ESTIMATES = ("linear", "profile", "history", "peers")
"""The methods whose energy is an estimate."""


class ReadingStatus(enum.IntFlag):
    """What is known against a reading. Flags never delete it."""

    OK = 0
    CLOCK_UNSURE = 1
    """The meter's clock was off by more than its interval allows when this was stamped."""
    METER_FLAGGED = 2
    """The meter itself marked the value (its status word, or an incomplete freeze)."""
    SUSPECT = 4
    """A validation rule doubts the value."""


class IntervalStatus(enum.IntFlag):
    """What is known about an interval. Nothing that is ESTIMATED is ever shown as measured."""

    OK = 0
    ESTIMATED = 1
    """At least one end is interpolated between two trusted registers."""
    EDITED = 2
    """An end, or the energy itself, was entered by a person."""
    ROLLOVER = 4
    """The register rolled over inside; confirmed by its digits and the rated power."""
    EXCHANGED = 8
    """The meter was exchanged inside; each side counts with its own ratio."""
    PARTIAL = 16
    """A meter was installed for only part of the interval; the energy is of that part."""
    BACKWARDS = 32
    """The register ran backwards and no rollover explains it: no energy."""
    IMPLAUSIBLE = 64
    """More energy than the point's rated power allows: no energy."""
    WITHDRAWN = 128
    """An earlier derivation gave an interval that the readings no longer support: no energy."""


@dataclass(frozen=True, slots=True)
class Appended:
    """What became of a batch; ``accepted + repeated + outranked`` is its number of rows."""

    accepted: int
    """Rows that are now the current value of their key."""
    repeated: int
    """Rows that said again what was known, and were dropped."""
    superseding: int
    """Accepted rows that replaced an earlier value; the earlier one is kept."""
    outranked: int = 0
    """Rows kept as a lesser version beside a value of higher rank."""

    def __add__(self, other: "Appended") -> "Appended":
        return Appended(
            self.accepted + other.accepted,
            self.repeated + other.repeated,
            self.superseding + other.superseding,
            self.outranked + other.outranked,
        )


class _ExchangeIds:
    """Milliseconds, then 8 bits of this process and 4 that count: sorted by time, unique among a few writers.

    Few low bits, because they are what such an id costs on disk beside each reading, and because the whole
    then stays below 2**53 until 2039: a browser keeps it exactly.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process_bits = int.from_bytes(os.urandom(2), "big") % 256 << 4
        self._millisecond = 0
        self._count = 0

    def __call__(self) -> int:
        with self._lock:
            now = time.time_ns() // 1_000_000
            if now > self._millisecond:
                self._millisecond, self._count = now, 0
            elif self._count == 15:  # noqa: PLR2004  four bits are used up: borrow from the next millisecond
                self._millisecond, self._count = self._millisecond + 1, 0
            else:
                self._count += 1
            return self._millisecond << 12 | self._process_bits | self._count


new_exchange_id = _ExchangeIds()
"""A new exchange id: grows with time, so that an exchange is found without an index."""
os.register_at_fork(after_in_child=new_exchange_id.__init__)  # type: ignore[misc]
