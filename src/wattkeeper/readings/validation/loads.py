"""Rules about the load that readings tell: spikes, dips, what stands still, and what should not be used at all."""

import functools
from collections.abc import Iterator
from typing import Final

import numpy as np

from wattkeeper.readings.registers import UNIT, Flags, Integers
from wattkeeper.readings.validation.facts import Floats
from wattkeeper.readings.validation.found import Found, Hits, enough, in_a_row
from wattkeeper.readings.validation.stamps import EXPORT, HISTORY_US, IMPORT
from wattkeeper.readings.validation.steps import Steps
from wattkeeper.readings.validation.table import HOUR_US, NONE, Readings

_POWER: Final = "active_power"
_CURRENTS: Final = ("current_l1", "current_l2", "current_l3")
_STEADY: Final = ("voltage_l1", "voltage_l2", "voltage_l3", "frequency")
_DAY_US: Final = 24 * HOUR_US
_ENOUGH_OF_A_DAY: Final = 12
"""Loads of a day before its shape is judged."""
_LONGEST_H: Final = 1.0
"""A mean over a longer step says nothing about peaks."""
_RESOLVED: Final = 20
"""Last digits that a step would have at the day's median load, before one of nearly none means anything."""


class Loads:
    """The load [kW, primary] at each reading of active power, and over each step of the import register."""

    def __init__(self, steps: Steps) -> None:
        readings = steps.readings
        self.readings = readings
        power = readings.rows_of(_POWER)
        mine = _of_key(steps, IMPORT) & steps.trusted & (steps.before != NONE) & (steps.step >= 0)
        mine &= steps.hours <= _LONGEST_H
        register = steps.rows[mine]
        rows = np.concatenate([power, register])
        load = np.concatenate([np.abs(readings.primary[power]), steps.used[mine] / UNIT / steps.hours[mine]])
        digits = np.concatenate(
            [np.full(len(power), np.inf), steps.step[mine] / readings.facts.digit[readings.fact[register]]]
        )
        hours = np.concatenate([np.ones(len(power)), steps.hours[mine]])
        before = np.concatenate([np.full(len(power), NONE), steps.before[mine]])
        order = np.argsort(rows, kind="stable")
        self.rows, self.load, self.before = rows[order], load[order], before[order]
        self.digits, self.hours = digits[order], hours[order]

    @functools.cached_property
    def cells(self) -> Integers:
        """The cell of each load, numbered from 0 on without gaps."""
        return np.cumsum(np.diff(self.readings.cell[self.rows], prepend=-1) != 0) - 1

    @functools.cached_property
    def count(self) -> Integers:
        """How many loads each cell has."""
        return np.bincount(self.cells)

    @functools.cached_property
    def ranked(self) -> Integers:
        """Places of the loads, cell after cell, the smallest load of each first."""
        return np.lexsort((self.load, self.cells))

    @functools.cached_property
    def ends(self) -> Integers:
        """Behind the last place of each cell in ``ranked``."""
        return np.cumsum(self.count)

    @functools.cached_property
    def medians(self) -> Integers:
        """The place of the lower median of each cell."""
        middle: Integers = self.ranked[self.ends - self.count + (self.count - 1) // 2]
        return middle

    def hits(self, places: Integers, figures: dict[str, Floats], limit: str) -> Hits:
        """The readings of some loads."""
        own = {"load_kw": self.load[places]}
        return Hits(self.rows[places], (self.before[places],), own | figures, limit, worst=self.load[places])


def spike_day(loads: Loads) -> Iterator[Found]:
    """The day's highest load beside its third highest."""
    full = np.flatnonzero(loads.count >= _ENOUGH_OF_A_DAY)
    top, third = loads.ranked[loads.ends[full] - 1], loads.ranked[loads.ends[full] - 3]
    rows, p1, p3 = loads.rows[top], loads.load[top], loads.load[third]
    allowed = loads.readings.number("spike_day", "ratio", rows)
    hit = (p1 - p3 > allowed * p3) & (p1 >= loads.readings.number("spike_day", "least_kw", rows))
    yield loads.hits(top[hit], {"third_kw": p3[hit]}, "ratio")


def spike_history(loads: Loads) -> Iterator[Found]:
    """The day's highest load beside the highest of each of the seven days before."""
    if not len(loads.rows):
        return
    top = loads.ranked[loads.ends - 1]
    rows, peak = loads.rows[top], loads.load[top]
    before = _week_before(loads, peak)
    number = functools.partial(loads.readings.number, "spike_history", rows=rows)
    days, highest = np.isfinite(before).sum(axis=0), np.nan_to_num(before).max(axis=0)
    hit = (days >= number("days")) & (peak >= number("least_kw")) & (peak > number("factor") * highest)
    yield loads.hits(top[hit], {"highest_before_kw": highest[hit], "days_before": days[hit]}, "factor")


def low_history(loads: Loads) -> Iterator[Found]:
    """A whole day's median load beside the lowest of the seven days before, a day of its own weekday among them."""
    if not len(loads.rows):
        return
    middle = loads.medians
    rows, median = loads.rows[middle], loads.load[middle]
    before = _week_before(loads, median)
    number = functools.partial(loads.readings.number, "low_history", rows=rows)
    days, lowest = np.isfinite(before).sum(axis=0), np.nan_to_num(before, nan=np.inf).min(axis=0)
    whole = loads.readings.at[loads.rows[loads.ends - 1]] >= loads.readings.day_end[rows] - HOUR_US
    hit = (
        whole & (loads.count >= _ENOUGH_OF_A_DAY) & (days >= number("days")) & (lowest >= number("least_kw"))
    )
    hit &= median < number("share") * lowest
    yield loads.hits(middle[hit], {"lowest_before_kw": lowest[hit], "days_before": days[hit]}, "share")


def _week_before(loads: Loads, of: Floats) -> Floats:
    """A number of each day, on each of the days before within a week: a row per day back, nan where there is none."""
    rows = loads.rows[loads.ends - 1]
    run, day = loads.readings.run[rows], loads.readings.day_start[rows]
    before = np.full((8, len(rows)), np.nan)
    for back in range(1, 9):  # cells are days: eight back reach over seven days whatever the clocks do
        earlier = np.maximum(np.arange(len(rows)) - back, 0)
        inside = (np.arange(len(rows)) >= back) & (run[earlier] == run)
        inside &= day - day[earlier] <= HISTORY_US
        before[back - 1, inside] = of[earlier[inside]]
    return before


def dip(loads: Loads) -> Iterator[Found]:
    """A few loads far below the day's median, where the register resolves that."""
    if not len(loads.rows):
        return
    rows = loads.rows
    number = functools.partial(loads.readings.number, "dip", rows=rows)
    median = loads.load[loads.medians][loads.cells]
    judged = (loads.count[loads.cells] >= _ENOUGH_OF_A_DAY) & (median >= number("least_kw"))
    # A poll two minutes after a midnight's freeze may well find the last digit where it was.
    usual = loads.digits[loads.medians] / loads.hours[loads.medians]
    judged &= usual[loads.cells] * loads.hours >= _RESOLVED
    low = judged & (loads.load < number("share") * median)
    few = np.bincount(loads.cells, weights=low)[loads.cells] <= number("readings")
    places = np.flatnonzero(low & few)
    hits = loads.hits(places, {"median_kw": median[places]}, "share")
    yield Hits(hits.rows, hits.beside, hits.figures, hits.limit, worst=-loads.load[places])


def stuck(steps: Steps) -> Iterator[Found]:
    """A register that stands still after it was counting; a voltage or frequency that repeats to the digit."""
    readings = steps.readings
    mine = _of_key(steps, IMPORT)
    rows, before = steps.rows[mine], steps.before[mine]
    since = _still_since(readings, rows, (steps.step[mine] != 0) & (before != NONE))
    known = since >= readings.day_start[rows] - HISTORY_US
    hours = (readings.at[rows] - since) / HOUR_US
    hit = known & (hours >= readings.number("stuck", "hours", rows))
    hit &= ~readings.facts.vacant(readings.fact[rows], readings.at[rows])
    yield Hits(
        rows[hit],
        figures={"still_since_at": since[hit], "hours": hours[hit]},
        limit="hours",
        worst=hours[hit],
    )
    yield from _repeated(readings)


def _still_since(readings: Readings, rows: Integers, moved: Flags) -> Integers:
    """When the register of each row last moved; long before 1970 where that is not known."""
    moves = np.maximum.accumulate(np.where(moved, np.arange(len(rows)), NONE)) if len(rows) else rows
    same = (moves != NONE) & (readings.run[rows[moves]] == readings.run[rows]) if len(rows) else moved
    return np.where(same, readings.at[rows[moves]] if len(rows) else rows, -(2**62))


def _repeated(readings: Readings) -> Iterator[Found]:
    rows = readings.rows_of(*_STEADY)
    if not len(rows):
        return
    value, cell, at = readings.value[rows], readings.cell[rows], readings.at[rows]
    begins = (np.diff(cell, prepend=-1) != 0) | (np.diff(value, prepend=value[:1] - 1) != 0)
    number = np.cumsum(begins) - 1
    heads = np.flatnonzero(begins)
    length = np.bincount(number)[number]
    minutes = (at - at[heads][number]) / 60_000_000
    hit = (value != 0) & (length >= readings.number("stuck", "readings", rows))
    hit &= minutes >= readings.number("stuck", "minutes", rows)
    yield Hits(
        rows[hit],
        figures={"still_since_at": at[heads][number][hit], "equal_readings": length[hit]},
        limit="readings",
        worst=minutes[hit],
    )


def zero_with_current(steps: Steps) -> Iterator[Found]:
    """Readings of current during a stretch in which the import register stands still."""
    readings = steps.readings
    currents = readings.rows_of(*_CURRENTS)
    size = np.abs(readings.value[currents]) / UNIT
    currents = currents[size >= readings.number("zero_with_current", "current_a", currents)]
    ending = readings.at_or_after(currents, IMPORT)
    currents, ending = currents[ending != NONE], ending[ending != NONE]
    if not len(currents):
        return
    still = np.full(len(readings), np.nan)
    mine = _of_key(steps, IMPORT)
    rows = steps.rows[mine]
    since = _still_since(readings, rows, (steps.step[mine] != 0) | (steps.before[mine] == NONE))
    still[rows] = np.where(steps.step[mine] == 0, since, np.nan)
    order = np.argsort(ending, kind="stable")
    currents, ending = currents[order], ending[order]
    hours = (readings.at[ending] - still[ending]) / HOUR_US
    number = functools.partial(readings.number, "zero_with_current", rows=ending)
    hit = (readings.at[currents] > still[ending]) & ~_exports(readings, steps, currents)
    hit = enough(ending, hit & (hours >= number("hours")), readings.cell[ending], number("readings"))
    current_a = np.abs(readings.value[currents[hit]]) / UNIT
    yield Hits(
        ending[hit],
        (currents[hit],),
        {"current_a": current_a, "hours": hours[hit]},
        "current_a",
        worst=current_a,
        also=readings.value[currents[hit]],
    )


def _exports(readings: Readings, steps: Steps, rows: Integers) -> Flags:
    """Whether a meter exported on the day of a row: its current is then nothing that the import register counts."""
    exported = _of_key(steps, EXPORT) & (steps.step > 0)
    power = readings.rows_of(_POWER)
    away = np.concatenate([steps.rows[exported], power[readings.value[power] < 0]])
    days = {*zip(readings.meter[away].tolist(), readings.day_start[away].tolist(), strict=True)}
    if not days:
        return np.zeros(len(rows), np.bool_)
    own = zip(readings.meter[rows].tolist(), readings.day_start[rows].tolist(), strict=True)
    return np.array([day in days for day in own], np.bool_)


def vacant_use(steps: Steps) -> Iterator[Found]:
    """Energy of a day between readings that both lie in a time nobody paid for."""
    readings = steps.readings
    mine = np.flatnonzero(_of_key(steps, IMPORT) & steps.trusted & (steps.step > 0))
    rows, before = steps.rows[mine], steps.before[mine]
    fact = readings.fact[rows]
    vacant = readings.facts.vacant(fact, readings.at[rows]) & readings.facts.vacant(fact, readings.at[before])
    yield from _days_above(
        "vacant_use", readings, rows[vacant], before[vacant], steps.used[mine][vacant] / UNIT
    )


def negative_import_only(steps: Steps) -> Iterator[Found]:
    """Power out of a point, or a growing export register, where the register says that it never exported before."""
    readings = steps.readings
    power = readings.rows_of(_POWER)
    known = readings.number("negative_import_only", "known_kwh", power) * UNIT
    export = readings.at_or_before(power, EXPORT)
    two_way = (export != NONE) & (readings.value[export] >= known)
    negative = (readings.value[power] < 0) & ~two_way
    needed = readings.number("negative_import_only", "readings", power)
    hit = in_a_row(power, negative, readings.cell[power], needed)
    size = -readings.primary[power[hit]]
    yield Hits(power[hit], (export[hit],), {"power_kw": -size}, "readings", worst=size)

    mine = np.flatnonzero(_of_key(steps, EXPORT) & steps.trusted & (steps.step > 0))
    rows, before = steps.rows[mine], steps.before[mine]
    new = readings.value[before] < readings.number("negative_import_only", "known_kwh", rows) * UNIT
    yield from _days_above(
        "negative_import_only", readings, rows[new], before[new], steps.used[mine][new] / UNIT
    )


def _days_above(
    rule: str, readings: Readings, rows: Integers, before: Integers, energy: Floats
) -> Iterator[Hits]:
    """The days whose steps add up to more than the rule's ``kwh``."""
    if not len(rows):
        return
    number = np.cumsum(np.diff(readings.cell[rows], prepend=-1) != 0) - 1
    total = np.bincount(number, weights=energy)[number]
    hit = total > readings.number(rule, "kwh", rows)
    yield Hits(rows[hit], (before[hit],), {"day_kwh": total[hit]}, "kwh", worst=energy[hit])


def _of_key(steps: Steps, key: str) -> Flags:
    readings = steps.readings
    own: Flags = readings.code[steps.rows] == (readings.keys.index(key) if key in readings.keys else NONE)
    return own
