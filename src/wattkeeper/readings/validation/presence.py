"""The rule about what is not there."""

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, Final

import numpy as np

from wattkeeper.readings.batches import microseconds
from wattkeeper.readings.registers import FOREVER, Integers
from wattkeeper.readings.validation.facts import civil_midnights
from wattkeeper.readings.validation.found import DayFinding, Found
from wattkeeper.readings.validation.stamps import GRID_QUANTITIES, HISTORY_US
from wattkeeper.readings.validation.table import HOUR_US, Readings

_AT_BOUNDARY_US: Final = 30_000_000
_GAPS_SHOWN: Final = 10
Day = tuple[int, int, int, int]
"""The row of a meter's facts, the midnight its grid begins at, and the civil day cut to the installation [µs UTC]."""


def missing(
    readings: Readings, days: Sequence[tuple[int, int, int]] | None, now: int | None
) -> Iterator[Found]:
    """The instants of a point's grid, on days that are over for long enough, at which no reading stands.

    A meter that was not heard for a week is not missed day by day any more: monitoring says that it is silent.
    Without ``days`` (meter, first instant, end) every day from a meter's first reading to its last is looked at.
    """
    chosen = _days(readings, days)
    if not chosen:
        return
    fact, midnight, start, end = np.array(chosen, np.int64).T
    number = partial(readings.parameters.on_days, "missing", kinds=readings.facts.kind)
    grace = number("grace_hours", row=fact, days=start) * HOUR_US
    wanted = number("enabled", row=fact, days=start) > 0
    wanted &= (end + grace <= now) if now is not None else True
    wanted &= _first_from(readings, readings.facts.meter[fact], start - HISTORY_US) < end
    fact, midnight, start, end = fact[wanted], midnight[wanted], start[wanted], end[wanted]
    step = readings.facts.step[fact]
    first, last = -(-(start - midnight) // step), -(-(end - midnight) // step)
    count = last - first
    day = np.repeat(np.arange(len(fact)), count)
    place = np.arange(len(day)) - np.repeat(np.cumsum(count) - count, count)
    slot = midnight[day] + (first[day] + place) * step[day]
    meter = readings.facts.meter
    absent = _first_from(readings, meter[fact[day]], slot - _AT_BOUNDARY_US) > slot + _AT_BOUNDARY_US
    absent_count = np.bincount(day, weights=absent, minlength=len(fact))
    share = number("share", row=fact, days=start)
    for one in np.flatnonzero((absent_count > 0) & (absent_count > share * count)).tolist():
        gaps = _gaps(slot[_part(day, one)][absent[_part(day, one)]], int(step[one]))
        figures = {
            "expected": int(count[one]),
            "missing": int(absent_count[one]),
            "gaps": [{"from_at": first, "to_at": last} for first, last in gaps[:_GAPS_SHOWN]],
            "gap_count": len(gaps),
        }
        ground: dict[str, Any] = {"gaps": [list(gap) for gap in gaps]}
        known = readings.facts.rows[int(fact[one])]
        quantity = _quantity(readings)
        yield DayFinding(known, quantity, int(start[one]), int(end[one]), figures, ground, "share")


def _part(day: Integers, number: int) -> slice:
    """Where the slots of one day stand."""
    return slice(*np.searchsorted(day, [number, number + 1]))


def _quantity(readings: Readings) -> str:
    return next((key for key in GRID_QUANTITIES if key in readings.keys), GRID_QUANTITIES[0])


def _days(readings: Readings, days: Sequence[tuple[int, int, int]] | None) -> list[Day]:
    """The civil days of each installation that has a grid."""
    found: list[Day] = []
    rows = readings.rows_of(_quantity(readings))
    wanted: dict[int, list[tuple[int, int]]] = {}
    if days is None:
        meters, first, count = np.unique(readings.meter[rows], return_index=True, return_counts=True)
        begins, ends = readings.at[rows[first]].tolist(), readings.at[rows[first + count - 1]].tolist()
        wanted = {
            meter: [(begin, end)] for meter, begin, end in zip(meters.tolist(), begins, ends, strict=True)
        }
    else:
        for meter, begin, end in days:
            wanted.setdefault(meter, []).append((begin, end))
    for number, fact in enumerate(readings.facts.rows):
        if fact.interval_minutes:
            begun, ended = microseconds(fact.period.start), _end(fact.period.end)
            for begin, end in wanted.get(fact.meter_id, ()):
                low, high = max(begin, begun), min(end, ended)
                if low < high:
                    midnights = civil_midnights(low, high - 1, fact.zone).tolist()
                    edges = [low, *(edge for edge in midnights[1:] if edge < high), high]
                    found += [
                        (number, midnight, *part)
                        for midnight, part in zip(midnights, pairwise(edges), strict=False)
                    ]
    return found


def _end(end: Any) -> int:
    return FOREVER if end is None else microseconds(end)


def _first_from(readings: Readings, meter: Integers, moment: Integers) -> Integers:
    """The stamp of the first reading of each meter at an instant or later; the end of time where there is none."""
    rows = readings.rows_of(_quantity(readings))
    if not len(rows) or not len(moment):
        return np.full(len(moment), FOREVER, np.int64)
    meters, number = np.unique(readings.meter[rows], return_inverse=True)
    own = np.minimum(np.searchsorted(meters, meter), len(meters) - 1)
    at = readings.at[rows]
    origin, last = min(int(at.min()), int(moment.min())), max(int(at.max()), int(moment.max()))
    width = (last - origin) // 1000 + 2  # milliseconds: microseconds times meters would be too large a number
    place = np.searchsorted(
        number * width + (at - origin) // 1000, own * width + (moment - origin) // 1000, "left"
    )
    place = np.minimum(place, len(rows) - 1)
    fits = (readings.meter[rows[place]] == meter) & (at[place] >= moment)
    return np.where(fits, at[place], FOREVER)


def _gaps(slots: Integers, step: int) -> list[tuple[int, int]]:
    """Neighbouring slots as one half-open gap each."""
    breaks = np.flatnonzero(np.diff(slots) != step)
    firsts, lasts = slots[np.append(0, breaks + 1)], slots[np.append(breaks, len(slots) - 1)] + step
    return list(zip(firsts.tolist(), lasts.tolist(), strict=True))
