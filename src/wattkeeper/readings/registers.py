"""Registers of installed meters as one sorted set of columns: what counts, what rolled over, what cannot be trusted.

All values are integers: instants in microseconds since 1970 UTC, registers and energy in units of 0.0001 kWh.
Nothing here loops over readings.
"""

import contextlib
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from wattkeeper.readings.batches import microseconds
from wattkeeper.readings.quantities import quantity as catalogue_entry
from wattkeeper.registry.values import InstalledMeter

Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

UNIT = 10_000
"""Units of the store in one kWh: DECIMAL(18,4)."""

FOREVER = microseconds(datetime(2100, 1, 1, tzinfo=UTC))

_HOUR = 3_600_000_000
# The registers an installation notes at its ends are those of imported active energy, as the meter shows it.
_NOTED_QUANTITY = "active_energy_import"
# A rollover is believed up to this much above the rated power. A step forward is doubted only far beyond it:
# a breaker carries a multiple of its rating for seconds, never for a reading period.
_ROLLOVER_MARGIN = 1.2
_DOUBT_FACTOR = 4.0
# Without a rated power only the register noted at the start is doubted, because a forgotten one is zero and would
# bill the meter's whole former life: no meter counts more than 100 A at three times 230 V, and some, before the ratio.
_DIRECT_METER_KW = 100.0
# No step counts more energy than the store's columns hold, whatever is known of the point: a nonsense register of one
# meter must not stop the derivation of all.
_FULL = 10**18 - 1


@dataclass(frozen=True)
class Group:
    """One register of one installation."""

    meter: InstalledMeter
    quantity: str

    @functools.cached_property
    def start(self) -> int:
        """The first instant of the installation."""
        return microseconds(self.meter.period.start)

    @functools.cached_property
    def end(self) -> int:
        """The end of the installation, or FOREVER."""
        return FOREVER if self.meter.period.end is None else microseconds(self.meter.period.end)

    @functools.cached_property
    def noted(self) -> list[tuple[int, int]]:
        """The registers noted when the meter was put up and taken down: (instant, value)."""
        if self.quantity != _NOTED_QUANTITY:
            return []
        noted = [(self.start, _units(self.meter.first_register))]
        if self.meter.period.end is not None and self.meter.last_register is not None:
            noted.append((self.end, _units(self.meter.last_register)))
        return noted


@dataclass(frozen=True, slots=True)
class Registers:
    """The trusted readings of all groups, in order of group and time, as columns."""

    group: Integers
    at: Integers
    energy: Integers
    """What the register stands for, rollovers unrolled and the ratio applied: differences of it are energy."""
    edited: Flags
    rolled: Integers
    """How many confirmed rollovers lie before each reading of its group."""
    backwards: Integers
    """How many unexplained backward steps lie before it."""
    implausible: Integers
    """How many steps beyond all rating lie before it."""


def collect(readings: pa.Table, groups: Sequence[Group]) -> Registers:
    """Gather the readings of each group with the registers noted at its ends, and judge every step between two."""
    group, at, value, edited = _gathered(readings, groups)
    both_ways = _of_groups(groups, lambda g: int(catalogue_entry(g.quantity).counts_both_ways)).astype(bool)
    rolled, _, _ = _judged(groups, group, at, value, both_ways)
    keep = trusted(group, value, rolled, edited | both_ways[group])
    group, at, value, edited = group[keep], at[keep], value[keep], edited[keep]
    rolled, backwards, implausible = _judged(groups, group, at, value, both_ways)
    rollovers = _counted(rolled, group)
    return Registers(
        group=group,
        at=at,
        energy=_with_ratio(value + rollovers * _of_groups(groups, _capacity)[group], group, groups),
        edited=edited,
        rolled=rollovers,
        backwards=_counted(backwards, group),
        implausible=_counted(implausible, group),
    )


def _gathered(readings: pa.Table, groups: Sequence[Group]) -> tuple[Integers, Integers, Integers, Flags]:
    """Group, instant, value and whether a person entered it, in order of group and time.

    A reading at either end of an installation belongs to it: the register is the same just before and just after.
    Where a register was noted for that instant, the note stands in the reading's place.
    """
    wanted = pa.table(
        {
            "number": pa.array(range(len(groups)), pa.int64()),
            "meter_id": pa.array([g.meter.meter_id for g in groups], pa.int64()),
            "quantity": pa.array([g.quantity for g in groups], pa.string()),
            "start_at": pa.array([g.start for g in groups], pa.int64()),
            "end_at": pa.array([g.end for g in groups], pa.int64()),
        }
    )
    notes = [(number, *note) for number, g in enumerate(groups) for note in g.noted]
    noted = pa.table(
        [pa.array([note[column] for note in notes], pa.int64()) for column in range(3)],
        names=["number", "moment", "value"],
    )
    with contextlib.closing(_engine().cursor()) as session:
        for name, table in (("readings", readings), ("wanted", wanted), ("noted", noted)):
            session.register(name, table)
        rows = session.execute(f"""
            SELECT number, moment, value, edited FROM (
                SELECT number, moment, value, false AS edited, 0 AS place FROM noted
                UNION ALL
                SELECT number, epoch_us(read_at), (value::DECIMAL(38,4) * {UNIT})::BIGINT, source = 'edited', 1
                FROM readings JOIN wanted USING (meter_id, quantity)
                WHERE epoch_us(read_at) BETWEEN start_at AND end_at
            )
            QUALIFY row_number() OVER (PARTITION BY number, moment ORDER BY place) = 1
            ORDER BY number, moment
        """).fetchnumpy()  # noqa: S608  a constant of this module
    return (
        np.asarray(rows["number"], np.int64),
        np.asarray(rows["moment"], np.int64),
        np.asarray(rows["value"], np.int64),
        np.asarray(rows["edited"], np.bool_),
    )


@functools.cache
def _engine() -> duckdb.DuckDBPyConnection:
    """A DuckDB in memory for joins; starting one costs more than most derivations."""
    return duckdb.connect()


def trusted(group: Integers, value: Integers, rolled: Flags, exempt: Flags) -> Flags:
    """All but single readings that contradict both their neighbours.

    A register that drops and is back above where it was had one bad reading; so had one that jumps up and is then
    lower than the jump but not below where it was, unless it rolled over. A person's entry is never doubted.
    """
    trusted = np.ones(len(value), dtype=bool)
    if len(value) < 3:  # noqa: PLR2004  a contradiction needs two neighbours
        return trusted
    before, here, after = value[:-2], value[1:-1], value[2:]
    inner = (group[:-2] == group[1:-1]) & (group[1:-1] == group[2:]) & (after >= before) & ~exempt[1:-1]
    drop = inner & (here < before)
    jump = inner & (here > before) & (after < here) & ~rolled[2:]
    jump[:-1] &= ~drop[1:]
    trusted[1:-1] = ~(drop | jump)
    return trusted


def _judged(
    groups: Sequence[Group], group: Integers, at: Integers, value: Integers, both_ways: Flags
) -> tuple[Flags, Flags, Flags]:
    """For each reading, whether the step that led to it was a confirmed rollover, backwards, or implausible."""
    step = np.diff(value, prepend=value[:1])
    hours = np.diff(at, prepend=at[:1]) / _HOUR
    first = np.diff(group, prepend=-1) != 0
    rated = np.array([_rated(g) for g in groups], dtype=np.float64)[group] * hours
    slack = np.array([_slack(g) for g in groups], dtype=np.float64)[group]
    ratio = np.array([float(g.meter.ratio) for g in groups], dtype=np.float64)[group]
    signed = both_ways[group]
    down = (step < 0) & ~first & ~signed
    over = (step + _of_groups(groups, _capacity)[group]) * ratio
    fits = np.roll(value, 1) < _of_groups(groups, _capacity)[group]
    # No rated power, no plausibility: nan compares false, and the step stays unexplained.
    rolled = down & fits & (over <= rated * _ROLLOVER_MARGIN + slack)
    unrated_start = np.isnan(rated) & _after_noted_start(groups, group, at)
    limit = np.where(unrated_start, _DIRECT_METER_KW * UNIT * ratio * hours, rated * _DOUBT_FACTOR) + slack
    size = np.abs(step) * ratio
    implausible = ~first & ~down & ((size > limit) | (size > _FULL / 4))
    return rolled, down & ~rolled, implausible


def _after_noted_start(groups: Sequence[Group], group: Integers, at: Integers) -> Flags:
    """Whether the step to a reading begins at the register noted when the meter was put up."""
    noted = np.array([bool(g.noted) for g in groups], dtype=bool)[group]
    starts = noted & (at == _of_groups(groups, lambda g: g.start)[group])
    after: Flags = np.roll(starts, 1) & ~starts
    return after


def _with_ratio(value: Integers, group: Integers, groups: Sequence[Group]) -> Integers:
    """The one place where CT and PT ratio turn what a meter shows into energy; rounded half up to 0.0001."""
    fractions = [g.meter.ratio.as_integer_ratio() for g in groups]
    top, bottom = max((t for t, _ in fractions), default=1), max((b for _, b in fractions), default=1)
    largest = int(np.abs(value).max(initial=0))
    # Ratios of many digits on large registers: slower, and exact.
    kind = np.int64 if 2 * largest * top + bottom < 2**63 else object
    numerator = np.array([t for t, _ in fractions], dtype=kind)[group]
    denominator = np.array([b for _, b in fractions], dtype=kind)[group]
    energy = (2 * value.astype(kind) * numerator + denominator) // (2 * denominator)
    return np.asarray(energy if kind is np.int64 else np.clip(energy, -_FULL, _FULL), np.int64)


def _counted(steps: Flags, group: Integers) -> Integers:
    """How many of the steps lie at or before each reading of its group."""
    total = np.cumsum(steps)
    first = np.searchsorted(group, group, "left")
    counted: Integers = total - total[first]
    return counted


def _of_groups(groups: Sequence[Group], number: Callable[[Group], int]) -> Integers:
    return np.array([number(g) for g in groups], dtype=np.int64)


def _capacity(group: Group) -> int:
    """What the register counts before it starts again from zero."""
    return int(10**group.meter.register_digits) * UNIT


def _rated(group: Group) -> float:
    """Rated power in store units per hour; nan where none is known."""
    rated_kw = group.meter.rated_power_kw
    return float("nan") if rated_kw is None else float(rated_kw) * UNIT


def _slack(group: Group) -> float:
    """Two steps of the register's last digit: what rounding alone may show between two readings close in time."""
    return 2 * UNIT * float(group.meter.ratio) / float(10**group.meter.register_decimals)


def _units(register: Decimal) -> int:
    return int(register * UNIT)
