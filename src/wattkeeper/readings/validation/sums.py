"""Rules about sums: tariffs and phases against the total, intervals against the registers."""

from collections.abc import Iterator
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from wattkeeper.readings.quantities import QUANTITIES
from wattkeeper.readings.registers import UNIT, Integers
from wattkeeper.readings.validation.electrics import PHASES
from wattkeeper.readings.validation.found import DayFinding, Found, Hits, in_a_row
from wattkeeper.readings.validation.table import NONE, Readings, units

_WITH_TARIFFS: Final = tuple(
    key for key in QUANTITIES if f"{key}_t4" in QUANTITIES and QUANTITIES[key].is_energy
)
_TARIFFS: Final = ("t1", "t2", "t3", "t4")
_AT_BOUNDARY_US: Final = 30_000_000
"""A reading within 30 s of a boundary is the register at the boundary, as for derivation."""


def tariff_sum(readings: Readings) -> Iterator[Found]:
    """A total register beside its four tariffs, all stamped at one instant."""
    for key in _WITH_TARIFFS:
        rows = readings.rows_of(key)
        if not len(rows):
            continue
        parts = [readings.same_instant(rows, f"{key}_{tariff}") for tariff in _TARIFFS]
        whole = np.all(np.stack(parts) != NONE, axis=0)
        rows, parts = rows[whole], [part[whole] for part in parts]
        apart = readings.value[rows] - np.sum(readings.value[np.stack(parts)], axis=0)
        # Each register rolls over on its own: what differs by whole registers is the same.
        capacity = readings.facts.capacity[readings.fact[rows]]
        turns = np.nan_to_num(np.round(apart / capacity))
        apart = apart - (turns * np.nan_to_num(capacity)).astype(np.int64)
        digits = readings.number("tariff_sum", "digits", rows)
        hit = np.abs(apart) > digits * readings.facts.digit[readings.fact[rows]]
        yield Hits(
            rows[hit],
            tuple(part[hit] for part in parts),
            {"difference": apart[hit] / UNIT},
            "digits",
            worst=np.abs(apart[hit]),
            also=apart[hit],
        )


def phase_sum(readings: Readings) -> Iterator[Found]:
    """Total active power beside its three phases, all from one reply."""
    rows = readings.rows_of("active_power")
    parts = [readings.same_instant(rows, f"active_power_{phase}") for phase in PHASES]
    whole = np.all(np.stack(parts) != NONE, axis=0)
    rows, parts = rows[whole], [part[whole] for part in parts]
    total = readings.value[rows] / UNIT
    apart = total - np.sum(readings.value[np.stack(parts)], axis=0) / UNIT
    allowed = readings.number("phase_sum", "kw", rows) + readings.number("phase_sum", "share", rows) * np.abs(
        total
    )
    needed = readings.number("phase_sum", "readings", rows)
    hit = in_a_row(rows, np.abs(apart) > allowed, readings.cell[rows], needed)
    yield Hits(
        rows[hit],
        tuple(part[hit] for part in parts),
        {"difference_kw": apart[hit]},
        "share",
        worst=np.abs(apart[hit]),
    )


def interval_sum(readings: Readings, intervals: pa.Table) -> Iterator[Found]:
    """The intervals of a whole day beside the registers at its two ends, all of one installation.

    ``intervals`` are those of INTERVAL_SCHEMA; a day one of whose intervals is not known is not judged.
    """
    keys = [key for key in intervals["quantity"].unique().to_pylist() if key in readings.keys]
    for key in sorted(keys):
        rows = readings.rows_of(key)
        heads = rows[np.diff(readings.cell[rows], prepend=-1) != 0]
        heads = heads[readings.judged[heads]]
        begins = _at(readings, rows, heads, readings.day_start[heads])
        ends = _at(readings, rows, heads, readings.day_end[heads])
        both = (begins != NONE) & (ends != NONE)
        heads, begins, ends = heads[both], begins[both], ends[both]
        yield from _compared(readings, key, (heads, begins, ends), _sums(readings, key, heads, intervals))


def _at(readings: Readings, rows: Integers, heads: Integers, moment: Integers) -> Integers:
    """The row of the same run that stands for an instant, or NONE."""
    run, at = readings.run[rows], readings.at[rows]
    origin = int(min(at.min(), moment.min(initial=at.min())))
    width = int(max(at.max(), moment.max(initial=at.max()))) // 1000 - origin // 1000 + 120_000
    key = run * width + (at - origin) // 1000
    wanted = readings.run[heads] * width + (moment - origin - _AT_BOUNDARY_US) // 1000
    place = np.minimum(np.searchsorted(key, wanted, "left"), len(rows) - 1)
    fits = (run[place] == readings.run[heads]) & (np.abs(at[place] - moment) <= _AT_BOUNDARY_US)
    return np.where(fits, rows[place], NONE)


def _sums(readings: Readings, key: str, heads: Integers, intervals: pa.Table) -> tuple[Integers, Integers]:
    """The energy [store units] of the intervals of each head's point and day, and how much of it they cover [µs]."""
    mine = pc.and_(pc.equal(intervals["quantity"], key), pc.is_valid(intervals["energy"]))
    own = intervals.filter(mine)
    point = own["point_id"].to_numpy()
    start, end = (own[name].cast(pa.int64()).to_numpy() for name in ("start_at", "end_at"))
    energy = units(own["energy"])
    order = np.lexsort((start, point))
    point, start, end, energy = point[order], start[order], end[order], energy[order]
    total = np.concatenate([[0], np.cumsum(energy)])
    length = np.concatenate([[0], np.cumsum(end - start)])
    points = np.array([fact.point_id or 0 for fact in readings.facts.rows], np.int64)[readings.fact[heads]]
    bounds = []
    for moment in (readings.day_start[heads], readings.day_end[heads]):
        low, high = np.searchsorted(point, points, "left"), np.searchsorted(point, points, "right")
        bounds.append(_searched(start, moment, low, high))
    return total[bounds[1]] - total[bounds[0]], length[bounds[1]] - length[bounds[0]]


def _searched(values: Integers, wanted: Integers, low: Integers, high: Integers) -> Integers:
    """The first place in its own part of ``values``, which is in order there, that is not below what is wanted."""
    low, high = low.copy(), high.copy()
    while (low < high).any():
        middle = (low + high) // 2
        below = (low < high) & (values[np.minimum(middle, len(values) - 1)] < wanted)
        high = np.where((low < high) & ~below, middle, high)
        low = np.where(below, middle + 1, low)
    return low


def _compared(
    readings: Readings, key: str, rows: tuple[Integers, Integers, Integers], sums: tuple[Integers, Integers]
) -> Iterator[Found]:
    heads, begins, ends = rows
    facts, fact = readings.facts, readings.fact[heads]
    counted = (readings.value[ends] - readings.value[begins]) * facts.ratio[fact]
    energy, covered = sums
    whole = covered == readings.day_end[heads] - readings.day_start[heads]
    share, digits = (readings.number("interval_sum", name, heads) for name in ("share", "digits"))
    allowed = np.abs(counted) * share + digits * facts.digit[fact] * facts.ratio[fact]
    hit = whole & (counted >= 0) & (np.abs(energy - counted) > allowed)
    hit &= readings.number("interval_sum", "enabled", heads) > 0
    for place in np.flatnonzero(hit).tolist():
        row = int(heads[place])
        ends_of_day = [
            {"read_at": int(readings.at[r]), "value": readings.value[r] / UNIT}
            for r in (begins[place], ends[place])
        ]
        figures = {
            "registers": ends_of_day,
            "counted_kwh": counted[place] / UNIT,
            "intervals_kwh": energy[place] / UNIT,
            "difference_kwh": (energy[place] - counted[place]) / UNIT,
        }
        day = int(readings.day_start[row]), int(readings.day_end[row])
        yield DayFinding(readings.fact_of(row), key, *day, figures, figures, "share")
