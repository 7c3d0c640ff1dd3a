"""Register differences become energy on the metering point's own grid.

The register at each boundary of the grid is the reading within 30 s of it, else it is estimated between the two
trusted readings around it: on a straight line, or, where they are far apart and the point has a history, along the
course of its own like days (see `bridges`). Energy is the difference between two boundaries, so whatever is estimated,
the intervals between two readings always add up to exactly what the register counted: rounding never accumulates,
because it happens to the boundaries and not to the differences. Where a boundary has a reading on one side only,
or the readings around it are further apart than can be bridged, there is no interval.
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
from wattkeeper.readings.boundaries import AT_BOUNDARY, LONGEST_LINE, ends, squared_errors
from wattkeeper.readings.bridges import Bridges, History, bridge, no_bridges
from wattkeeper.readings.estimation.values import Floats
from wattkeeper.readings.registers import UNIT, Flags, Group, Integers, Registers, collect
from wattkeeper.readings.schemas import ENERGY, INSTANT, INTERVAL_SCHEMA, IntervalStatus
from wattkeeper.registry.values import InstalledMeter

_MILLISECOND = 1_000
_MOST = 10**18 - 1
"""What the store's columns hold."""
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
    history: History | None = None,
) -> pa.Table:
    """The intervals (INTERVAL_SCHEMA) that overlap the period, or the windows, in order of point, quantity and time.

    ``readings`` has at least meter_id, quantity, read_at, value and source; it should reach one trusted reading
    beyond both ends of what is wanted. Every quantity in it that is a register is derived. ``history`` fetches what was
    measured before a gap; without it, gaps are bridged by straight lines of up to three days.
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
            tables.append(_derived(readings, groups, spans, timedelta(minutes=minutes), history))
    if not tables:
        return INTERVAL_SCHEMA.empty_table()
    return pa.concat_tables(tables).sort_by(
        [("point_id", "ascending"), ("quantity", "ascending"), ("start_at", "ascending")]
    )


def _derived(
    readings: pa.Table,
    groups: Sequence[Group],
    spans: Sequence[Sequence[TimeRange]],
    step: timedelta,
    history: History | None,
) -> pa.Table:
    """The intervals of the groups of one grid and zone."""
    registers = collect(readings, groups)
    wanted = _wanted(spans)
    bridges = no_bridges(registers) if history is None else bridge(registers, groups, wanted, step, history)
    pieces = _pieces(groups, wanted, registers, bridges, step)
    return _table(groups, pieces, _measured(pieces, registers, bridges))


def _wanted(spans: Sequence[Sequence[TimeRange]]) -> tuple[Integers, Integers, Integers]:
    """The group, first and last moment of each period that is wanted."""
    wanted = [
        (number, microseconds(span.start), microseconds(span.closed_end))
        for number, of in enumerate(spans)
        for span in of
    ]
    number, first, last = np.array(wanted, dtype=np.int64).reshape(-1, 3).T
    return number, first, last


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
    groups: Sequence[Group],
    wanted: tuple[Integers, Integers, Integers],
    registers: Registers,
    bridges: Bridges,
    step: timedelta,
) -> _Pieces:
    """Cut the grid of the groups' common zone to what is wanted of each group and may be known of it."""
    number, first, last = wanted
    begun = np.array([g.start for g in groups], dtype=np.int64)
    ended = np.array([g.end for g in groups], dtype=np.int64)
    grid = _boundaries(int(first.min()), int(max(last.max(), first.min() + 1)), step, groups[0].meter)
    # A window that ends where a meter was taken down asks for the slot, in which the next one counted too.
    first, last = grid[np.searchsorted(grid, first, "right") - 1], grid[np.searchsorted(grid, last, "left")]
    first, last = np.maximum(first, begun[number]), np.minimum(last, ended[number])
    number, first, last = _near_readings((number, first, last), registers, bridges, (begun, ended))
    low = np.searchsorted(grid, first, "right") - 1
    high = np.where(last > first, np.searchsorted(grid, last, "left"), low)
    slot, picked = _flattened(low, high)
    pairs = np.unique(number[picked] * len(grid) + slot)  # windows of one group may overlap
    group, slot = np.divmod(pairs, len(grid))
    start, end = grid[slot], grid[slot + 1]
    return _Pieces(group, start, end, np.maximum(start, begun[group]), np.minimum(end, ended[group]))


def _near_readings(
    wanted: tuple[Integers, Integers, Integers],
    registers: Registers,
    bridges: Bridges,
    installed: tuple[Integers, Integers],
) -> tuple[Integers, Integers, Integers]:
    """What is wanted of each group, without what lies too far from its readings for any register to be known.

    A meter that hung for a year before it was read would cost a year of empty slots for each of its registers. The two
    ends of an installation stay: what is not known there leaves the slot untold in which another meter took over.
    """
    number, first, last = wanted
    begun, ended = installed
    numbers = np.arange(len(begun))
    # The two ends come before a reading of the same instant, so that a gap behind it follows it.
    group = np.concatenate([numbers, numbers, registers.group])
    at = np.concatenate([begun, ended, registers.at])
    bridged = np.concatenate([np.zeros(2 * len(begun), dtype=bool), bridges.bridged])
    order = np.lexsort((at, group))
    group, at, bridged = group[order], at[order], bridged[order]
    far = (np.diff(at, prepend=at[:1]) > LONGEST_LINE) & ~np.roll(bridged, 1)
    apart = (np.diff(group, prepend=-1) != 0) | far
    heads = np.flatnonzero(apart)
    tails = np.append(heads[1:], len(at)) - 1
    low, high = at[heads] - AT_BOUNDARY, at[tails] + AT_BOUNDARY
    origin, top = int(low.min()) // _MILLISECOND, int(high.max()) // _MILLISECOND
    span = top - origin + 2

    def key(of: Integers, moment: Integers) -> Integers:
        place: Integers = of * span + np.clip(moment // _MILLISECOND, origin, top) - origin
        return place

    reached = np.searchsorted(key(group[heads], high), key(number, first), "left")
    beyond = np.searchsorted(key(group[heads], low), key(number, last), "right")
    near, of = _flattened(reached, np.maximum(beyond, reached))
    return number[of], np.maximum(first[of], low[near]), np.minimum(last[of], high[near])


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
class _Energies:
    """The energy of each piece, where it is known at all, and what is to be said about it."""

    known: Flags
    energy: Integers
    status: Integers
    bridged: Flags
    """An end is estimated from like days."""
    squared_error: Floats


def _measured(pieces: _Pieces, registers: Registers, bridges: Bridges) -> _Energies:
    """The energy between the two ends of each piece."""
    begin = ends(registers, bridges, pieces.group, pieces.start)
    end = ends(registers, bridges, pieces.group, pieces.end)
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
    return _Energies(
        known=known,
        energy=end.energy - begin.energy,
        status=status,
        bridged=begin.bridged | end.bridged,
        squared_error=squared_errors(registers, bridges, begin, end, (pieces.start, pieces.end)),
    )


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
    estimated = (status & IntervalStatus.ESTIMATED.value != 0) & ~lost
    bridged = np.logical_or.reduceat(energies.bridged[order], heads)
    method = np.where(estimated, np.where(bridged, "profile", "linear"), np.where(lost, "none", "measured"))
    error = np.ceil(np.sqrt(np.add.reduceat(energies.squared_error[order], heads)))
    bounded = np.minimum(error, _MOST).astype(np.int64)
    instants = [pa.array(column).cast(INSTANT) for column in (start, end)]
    columns = [
        pa.array(keys[0][heads]),
        pa.array(names[keys[1][heads]], pa.string()),
        *instants,
        decimals(energy, lost),
        pa.array(status.astype(np.int32)),
        pa.array(method, pa.string()),
        decimals(bounded, ~estimated),
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
