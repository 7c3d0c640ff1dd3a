"""Register differences become energy on the metering point's own grid.

The register at each boundary of the grid is the reading within 30 s of it, else it is interpolated between the two
trusted readings around it. Energy is the difference between two boundaries, so whatever is interpolated, the
intervals between two readings always add up to exactly what the register counted: rounding never accumulates,
because it happens to the boundaries and not to the differences. Where a boundary has a reading on one side only,
or the readings around it are further apart than a straight line may bridge, there is no interval.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import groupby

import numpy as np
import pyarrow as pa

from wattkeeper.kernel.timerange import TimeRange, slot_starts
from wattkeeper.readings.batches import microseconds
from wattkeeper.readings.registers import UNIT, Flags, Group, Integers, Registers, collect
from wattkeeper.readings.schemas import ENERGY, INSTANT, INTERVAL_SCHEMA, IntervalStatus
from wattkeeper.registry.values import InstalledMeter

_AT_BOUNDARY = 30_000_000
"""A reading within 30 s of a boundary is the register at the boundary."""
_LONGEST_BRIDGED = 3 * 86_400_000_000
"""Three days, a weekend's outage: a line through more would only pretend to know when energy was used, and would be
drawn again and again while the meter's load record is still being fetched. Bills over longer gaps rest on registers."""
_MILLISECOND = 1_000
_EXACT_MILLISECONDS = 2_000_000_000
"""Up to this length of gap (23 days) the weights of an interpolation fit 64 bits in milliseconds, else in seconds."""
_NO_ENERGY = IntervalStatus.BACKWARDS | IntervalStatus.IMPLAUSIBLE


@dataclass(frozen=True, slots=True)
class Window:
    """What is to be derived: one register of one metering point over a period."""

    point_id: int
    quantity: str
    period: TimeRange


def derive_intervals(
    readings: pa.Table,
    installed: Sequence[InstalledMeter],
    period: TimeRange | None = None,
    *,
    windows: Iterable[Window] = (),
) -> pa.Table:
    """The intervals (INTERVAL_SCHEMA) that overlap the period, or the windows, in order of point, quantity and time.

    ``readings`` has at least meter_id, quantity, read_at, value and source; it should reach one trusted reading
    beyond both ends of what is wanted. Every quantity in it that is a register is derived.
    """
    asked = list(windows)
    if period is not None:
        quantities = set(readings["quantity"].unique().to_pylist())
        asked += [Window(m.point_id, q, period) for m in installed for q in sorted(quantities)]
    tables = []
    for (minutes, _), meters in groupby(sorted(installed, key=_grid), key=_grid):
        members = list(meters)
        groups, spans = _grouped(members, asked)
        if groups:
            registers = collect(readings, groups)
            pieces = _pieces(groups, spans, registers, timedelta(minutes=minutes))
            tables.append(_table(groups, pieces, _measured(pieces, registers)))
    if not tables:
        return INTERVAL_SCHEMA.empty_table()
    return pa.concat_tables(tables).sort_by(
        [("point_id", "ascending"), ("quantity", "ascending"), ("start_at", "ascending")]
    )


def _grid(meter: InstalledMeter) -> tuple[int, str]:
    return meter.interval_minutes, meter.zone.key


def _grouped(
    meters: Sequence[InstalledMeter], windows: Sequence[Window]
) -> tuple[list[Group], list[list[TimeRange]]]:
    """One group for each installation and quantity, with the periods wanted of it."""
    of_point: dict[int, dict[str, list[TimeRange]]] = {}
    for window in windows:
        of_point.setdefault(window.point_id, {}).setdefault(window.quantity, []).append(window.period)
    groups, spans = [], []
    for meter in meters:
        for quantity, wanted in of_point.get(meter.point_id, {}).items():
            groups.append(Group(meter, quantity))
            spans.append(wanted)
    return groups, spans


@dataclass(frozen=True, slots=True)
class _Pieces:
    """The part of each slot that lies within each installation, as columns."""

    group: Integers
    slot_start: Integers
    slot_end: Integers
    start: Integers
    end: Integers


def _pieces(
    groups: Sequence[Group], spans: Sequence[Sequence[TimeRange]], registers: Registers, step: timedelta
) -> _Pieces:
    """Cut the grid of the groups' common zone to what is wanted of each group and may be known of it."""
    wanted = [
        (number, microseconds(span.start), microseconds(span.closed_end))
        for number, of in enumerate(spans)
        for span in of
    ]
    number, first, last = np.array(wanted, dtype=np.int64).reshape(-1, 3).T
    begun = np.array([g.start for g in groups], dtype=np.int64)
    ended = np.array([g.end for g in groups], dtype=np.int64)
    grid = _boundaries(int(first.min()), int(max(last.max(), first.min() + 1)), step, groups[0].meter)
    # A window that ends where a meter was taken down asks for the slot, in which the next one counted too.
    first, last = grid[np.searchsorted(grid, first, "right") - 1], grid[np.searchsorted(grid, last, "left")]
    first, last = np.maximum(first, begun[number]), np.minimum(last, ended[number])
    number, first, last = _near_readings(number, first, last, registers, (begun, ended))
    low = np.searchsorted(grid, first, "right") - 1
    high = np.where(last > first, np.searchsorted(grid, last, "left"), low)
    slot, picked = _flattened(low, high)
    pairs = np.unique(number[picked] * len(grid) + slot)  # windows of one group may overlap
    group, slot = np.divmod(pairs, len(grid))
    start, end = grid[slot], grid[slot + 1]
    return _Pieces(group, start, end, np.maximum(start, begun[group]), np.minimum(end, ended[group]))


def _near_readings(
    number: Integers,
    first: Integers,
    last: Integers,
    registers: Registers,
    installed: tuple[Integers, Integers],
) -> tuple[Integers, Integers, Integers]:
    """What is wanted of each group, without what lies too far from its readings for any register to be known.

    A meter that hung for a year before it was read would cost a year of empty slots for each of its registers. The two
    ends of an installation stay: what is not known there leaves the slot untold in which another meter took over.
    """
    begun, ended = installed
    numbers = np.arange(len(begun))
    group = np.concatenate([registers.group, numbers, numbers])
    at = np.concatenate([registers.at, begun, ended])
    order = np.lexsort((at, group))
    group, at = group[order], at[order]
    apart = (np.diff(group, prepend=-1) != 0) | (np.diff(at, prepend=at[:1]) > _LONGEST_BRIDGED)
    heads = np.flatnonzero(apart)
    tails = np.append(heads[1:], len(at)) - 1
    low, high = at[heads] - _AT_BOUNDARY, at[tails] + _AT_BOUNDARY
    origin, top = int(low.min()) // _MILLISECOND, int(high.max()) // _MILLISECOND
    span = top - origin + 2

    def key(of: Integers, moment: Integers) -> Integers:
        place: Integers = of * span + np.clip(moment // _MILLISECOND, origin, top) - origin
        return place

    reached = np.searchsorted(key(group[heads], high), key(number, first), "left")
    beyond = np.searchsorted(key(group[heads], low), key(number, last), "right")
    near, wanted = _flattened(reached, np.maximum(beyond, reached))
    return number[wanted], np.maximum(first[wanted], low[near]), np.minimum(last[wanted], high[near])


def _boundaries(first: int, last: int, step: timedelta, meter: InstalledMeter) -> Integers:
    """The grid from the boundary at or before ``first`` to the one at or after ``last``."""
    day = timedelta(days=2)
    wide = TimeRange(_instant(first) - day, _instant(last) + day)
    return slot_starts(wide, step, meter.zone).astype(np.int64)


def _instant(microseconds_utc: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds_utc)


def _flattened(low: Integers, high: Integers) -> tuple[Integers, Integers]:
    """Every number from each ``low`` up to its ``high``, and which pair it is from."""
    count = high - low
    picked = np.repeat(np.arange(len(low)), count)
    offset = np.arange(int(count.sum())) - np.repeat(np.cumsum(count) - count, count)
    return low[picked] + offset, picked


@dataclass(frozen=True, slots=True)
class _Ends:
    """The register at some boundaries."""

    known: Flags
    read: Flags
    """A reading stands for the boundary; otherwise it is interpolated."""
    energy: Integers
    before: Integers
    """The last reading that counts at or before the boundary."""
    after: Integers
    """The first at or after it; equal to ``before`` where one is read."""


def _ends(registers: Registers, group: Integers, boundary: Integers) -> _Ends:
    """The register at the boundaries: read, interpolated or unknown."""
    if not len(registers.at):
        nothing = np.zeros(len(group), dtype=np.int64)
        return _Ends(nothing.astype(bool), nothing.astype(bool), nothing, nothing, nothing)
    origin = min(int(registers.at.min()), int(boundary.min(initial=registers.at.min()))) // _MILLISECOND
    top = max(int(registers.at.max()), int(boundary.max(initial=registers.at.max()))) // _MILLISECOND
    span = top - origin + 2
    right = np.searchsorted(
        registers.group * span + registers.at // _MILLISECOND - origin,
        group * span + boundary // _MILLISECOND - origin,
        "right",
    )
    last = len(registers.at) - 1
    left, right = np.maximum(right - 1, 0), np.minimum(right, last)
    has_left = (registers.group[left] == group) & (
        registers.at[left] // _MILLISECOND <= boundary // _MILLISECOND
    )
    has_right = (registers.group[right] == group) & (
        registers.at[right] // _MILLISECOND > boundary // _MILLISECOND
    )
    since = np.where(has_left, boundary - registers.at[left], _AT_BOUNDARY + 1)
    until = np.where(has_right, registers.at[right] - boundary, _AT_BOUNDARY + 1)
    read = np.minimum(since, until) <= _AT_BOUNDARY
    nearest = np.where(since <= until, left, right)
    bridged = registers.at[right] - registers.at[left] <= _LONGEST_BRIDGED
    between = has_left & has_right & ~read & bridged
    return _Ends(
        known=read | between,
        read=read,
        energy=np.where(
            read, registers.energy[nearest], _interpolated(registers, left, right, boundary, between)
        ),
        before=np.where(read, nearest, left),
        after=np.where(read, nearest, right),
    )


def _interpolated(
    registers: Registers, left: Integers, right: Integers, boundary: Integers, between: Flags
) -> Integers:
    """The straight line between two readings, in whole units, with integers only."""
    part = np.where(between, boundary - registers.at[left], 0) // _MILLISECOND
    whole = np.where(between, registers.at[right] - registers.at[left], _MILLISECOND) // _MILLISECOND
    scale = np.where(whole > _EXACT_MILLISECONDS, 1_000, 1)
    part, whole = part // scale, whole // scale
    # a * part / whole without the product of two large numbers
    quotient, remainder = np.divmod(registers.energy[right] - registers.energy[left], whole)
    line: Integers = registers.energy[left] + quotient * part + remainder * part // whole
    return line


@dataclass(frozen=True, slots=True)
class _Energies:
    """The energy of each piece, where it is known at all, and what is to be said about it."""

    known: Flags
    energy: Integers
    status: Integers


def _measured(pieces: _Pieces, registers: Registers) -> _Energies:
    """The energy between the two ends of each piece."""
    begin = _ends(registers, pieces.group, pieces.start)
    end = _ends(registers, pieces.group, pieces.end)
    status = np.zeros(len(pieces.group), dtype=np.int64)
    known = begin.known & end.known
    if len(registers.at):
        low, high = begin.before, end.after
        marks = (
            (IntervalStatus.ESTIMATED, ~(begin.read & end.read)),
            (
                IntervalStatus.EDITED,
                registers.edited[[begin.before, begin.after, end.before, end.after]].any(axis=0),
            ),
            (IntervalStatus.ROLLOVER, registers.rolled[high] > registers.rolled[low]),
            (IntervalStatus.BACKWARDS, registers.backwards[high] > registers.backwards[low]),
            (IntervalStatus.IMPLAUSIBLE, registers.implausible[high] > registers.implausible[low]),
        )
        for flag, where in marks:
            status |= np.where(where & known, flag.value, 0)
    return _Energies(known=known, energy=end.energy - begin.energy, status=status)


def _table(groups: Sequence[Group], pieces: _Pieces, energies: _Energies) -> pa.Table:
    """Add up the pieces of each slot: one, or two where the meter was exchanged. All must be known."""
    points = np.array([g.meter.point_id for g in groups], dtype=np.int64)[pieces.group]
    names, codes = np.unique(np.array([g.quantity for g in groups], dtype=object), return_inverse=True)
    code = codes[pieces.group]
    order = np.lexsort((pieces.start, pieces.slot_start, code, points))
    keys = np.stack([points, code, pieces.slot_start])[:, order]
    heads = np.flatnonzero(np.any(np.diff(keys, axis=1, prepend=keys[:, :1] - 1) != 0, axis=0))
    if not len(heads):
        return INTERVAL_SCHEMA.empty_table()
    count = np.diff(heads, append=len(order))
    energy = np.add.reduceat(energies.energy[order], heads)
    status = np.bitwise_or.reduceat(energies.status[order], heads)
    covered = np.add.reduceat((pieces.end - pieces.start)[order], heads)
    start, end = pieces.slot_start[order][heads], pieces.slot_end[order][heads]
    status |= np.where(count > 1, IntervalStatus.EXCHANGED.value, 0)
    status |= np.where(covered < end - start, IntervalStatus.PARTIAL.value, 0)
    told = np.logical_and.reduceat(energies.known[order], heads)
    lost = status & _NO_ENERGY.value != 0
    method = np.where(lost, "none", np.where(status & IntervalStatus.ESTIMATED.value, "linear", "measured"))
    instants = [pa.array(column).cast(INSTANT) for column in (start, end)]
    columns = [
        pa.array(keys[0][heads]),
        pa.array(names[keys[1][heads]], pa.string()),
        *instants,
        decimals(energy, lost),
        pa.array(status.astype(np.int32)),
        pa.array(method, pa.string()),
        pa.nulls(len(heads), ENERGY),
    ]
    return pa.table(columns, schema=INTERVAL_SCHEMA).filter(pa.array(told))


def decimals(units: Integers, null: Flags | None = None) -> pa.Array:
    """Whole units of 0.0001 as DECIMAL(18,4), without a Python object for each."""
    words = np.stack([units, units >> 63], axis=1).astype("<i8")
    validity = None if null is None else pa.py_buffer(np.packbits(~null, bitorder="little").tobytes())
    return pa.Array.from_buffers(ENERGY, len(units), [validity, pa.py_buffer(words.tobytes())])


def register_energy(first: Decimal, last: Decimal, meter: InstalledMeter) -> Decimal:
    """The energy between two registers of one installation, as derivation counts it; for checking sums by hand."""
    ratio = meter.ratio
    return Decimal(round(last * ratio * UNIT) - round(first * ratio * UNIT)) / UNIT
