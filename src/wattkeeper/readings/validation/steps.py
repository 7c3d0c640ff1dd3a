"""Rules about registers: what the step from one reading to the next says."""

import functools
from collections.abc import Iterator
from typing import Final

import numpy as np

from wattkeeper.readings.registers import UNIT, Flags, Integers, trusted
from wattkeeper.readings.schemas import SOURCES
from wattkeeper.readings.validation.facts import Floats
from wattkeeper.readings.validation.found import Found, Hits
from wattkeeper.readings.validation.stamps import IMPORT
from wattkeeper.readings.validation.table import COUNTS_BOTH_WAYS, ENERGY_KEYS, HOUR_US, NONE, Readings

_SINGLE_WAY: Final = tuple(sorted(ENERGY_KEYS - COUNTS_BOTH_WAYS))
_EDITED = SOURCES.index("edited")
_NEAR_END_US: Final = 48 * HOUR_US
"""A meter is read within so long before it is taken down, or nobody can tell whether its last register fits."""


class Steps:
    """The readings of registers that count one way, each with the trusted one before it in its run."""

    def __init__(self, readings: Readings) -> None:
        self.readings = readings
        self.rows = readings.rows_of(*_SINGLE_WAY)
        run, value = readings.run[self.rows], readings.value[self.rows]
        edited = readings.source[self.rows] == _EDITED
        rolled = self._rollover(_previous(run, np.ones(len(run), np.bool_)))
        self.trusted = trusted(run, value, rolled, edited)
        before = _previous(run, self.trusted)
        self.rolled = self._rollover(before) & self.trusted
        self.before = np.where(before == NONE, NONE, self.rows[before])
        """The position among all readings of the one before, or NONE."""
        capacity = np.where(self.rolled, self.of(readings.facts.capacity), 0).astype(np.int64)
        self.step = np.where(before == NONE, 0, value - value[before] + capacity)
        self.hours = np.where(before == NONE, 0, self._since(before)) / HOUR_US

    def _since(self, before: Integers) -> Integers:
        at = self.readings.at[self.rows]
        return at - at[before]

    def _rollover(self, before: Integers) -> Flags:
        """Whether the step down to a reading is a rollover that the rated power confirms."""
        value = self.readings.value[self.rows]
        capacity = self.of(self.readings.facts.capacity)
        over = value - value[before] + capacity
        most = self.allowed("register_rollover", self._since(before) / HOUR_US)
        # What is not known is nan, compares false, and leaves the step unexplained.
        known = (before != NONE) & (value < value[before])
        rolled: Flags = (
            known & (value[before] < capacity) & (over * self.of(self.readings.facts.ratio) <= most)
        )
        return rolled

    def of(self, facts: Floats) -> Floats:
        """A number of each reading's installation."""
        return facts[self.readings.fact[self.rows]]

    def allowed(self, rule: str, hours: Floats) -> Floats:
        """The most the point can use in so many hours [store units, primary]."""
        return allowed(self.readings, rule, self.rows, hours)

    @functools.cached_property
    def used(self) -> Floats:
        """The energy of each step [store units, primary]."""
        return self.step * self.of(self.readings.facts.ratio)

    @functools.cached_property
    def down(self) -> Flags:
        """Whether a trusted reading is less than the trusted one before it, without a rollover."""
        return self.trusted & (self.step < 0)

    @functools.cached_property
    def reset(self) -> Flags:
        """Whether a step down left so little on the register that it began again from zero."""
        readings = self.readings
        value = readings.value[self.rows]
        share = readings.number("register_reset", "share", self.rows)
        most = self.allowed("register_rollover", self.hours)
        believable = np.isnan(most) | (value * self.of(readings.facts.ratio) <= most)
        return self.down & (value <= share * (value - self.step)) & believable

    def hits(self, hit: Flags, limit: str | None = None) -> Hits:
        """One finding for each of these readings, beside the one before it."""
        hours, used = self.hours[hit], self.used[hit] / UNIT
        figures = {
            "step_kwh": self.step[hit] / UNIT,
            "hours": hours,
            "ratio": self.of(self.readings.facts.ratio)[hit],
            "load_kw": np.divide(used, hours, out=np.zeros_like(used), where=hours > 0),
        }
        return Hits(self.rows[hit], (self.before[hit],), figures, limit, daily=False)


def allowed(readings: Readings, rule: str, rows: Integers, hours: Floats) -> Floats:
    """The most that the points of some rows can use in so many hours [store units, primary].

    Two steps of the register's last digit are what rounding alone may show.
    """
    facts, fact = readings.facts, readings.fact[rows]
    rounding = 2 * facts.digit * facts.ratio
    return facts.rated[fact] * UNIT * hours * readings.number(rule, "factor", rows) + rounding[fact]


def _previous(run: Integers, of: Flags) -> Integers:
    """For each row the one before it in its run that is ``of`` the wanted ones, or NONE."""
    numbers = np.arange(len(run))
    latest = np.maximum.accumulate(np.where(of, numbers, NONE)) if len(run) else numbers
    before = np.concatenate([[NONE], latest[:-1]]) if len(run) else numbers
    return np.where((before != NONE) & (run[before] == run), before, NONE)


def register_outlier(steps: Steps) -> Iterator[Found]:
    """A single reading that contradicts both its neighbours."""
    odd = np.flatnonzero(~steps.trusted)
    rows = steps.rows[odd]
    yield Hits(rows, (rows - 1, rows + 1), daily=False)


def register_backwards(steps: Steps) -> Iterator[Found]:
    """A step down that neither a rollover nor a reset explains."""
    yield steps.hits(steps.down & ~steps.reset)


def register_rollover(steps: Steps) -> Iterator[Found]:
    """A step down that is a step up through the last digit."""
    yield steps.hits(steps.rolled, "factor")


def register_reset(steps: Steps) -> Iterator[Found]:
    """A step down to nearly nothing."""
    yield steps.hits(steps.reset, "share")


def register_capacity(steps: Steps) -> Iterator[Found]:
    """Negative, or with more digits than the meter has."""
    value = steps.readings.value[steps.rows]
    hit = (value < 0) | (value >= steps.of(steps.readings.facts.capacity))
    yield Hits(steps.rows[hit], worst=np.abs(value[hit]))


def spike_rating(steps: Steps) -> Iterator[Found]:
    """More energy between two readings than the rated power can draw in that time."""
    over = steps.trusted & (steps.before != NONE) & (steps.used > steps.allowed("spike_rating", steps.hours))
    yield steps.hits(over, "factor")


def exchange_mismatch(steps: Steps) -> Iterator[Found]:
    """The registers noted at both ends of an installation beside the readings next to them."""
    readings, facts = steps.readings, steps.readings.facts
    rows = readings.rows_of(IMPORT)
    run, at = readings.run[rows], readings.at[rows]
    begins = np.diff(run, prepend=-1) != 0
    ends = (np.diff(run, append=-1) != 0) & (facts.end[readings.fact[rows]] - at <= _NEAR_END_US)
    for edge, noted, moment, sign in (
        (rows[begins], facts.noted_first, facts.start, 1),
        (rows[ends], facts.noted_last, facts.end, -1),
    ):
        fact = readings.fact[edge]
        counted = (readings.value[edge] - noted[fact]) * sign
        most = allowed(
            readings, "exchange_mismatch", edge, np.abs(readings.at[edge] - moment[fact]) / HOUR_US
        )
        noted_to = readings.number("exchange_mismatch", "kwh", edge) * UNIT
        hit = (counted < -noted_to) | ((counted - noted_to) * facts.ratio[fact] > most)
        fact = fact[hit]
        yield Hits(
            edge[hit],
            figures={
                "noted_kwh": noted[fact] / UNIT,
                "noted_at": moment[fact],
                "counted_kwh": counted[hit] / UNIT,
            },
            limit="factor",
            daily=False,
            also=noted[fact].astype(np.int64),
        )
