"""What lies between two registers that are far apart: the register at each boundary of the grid, likely rather than known.

A straight line would say that a home used as much at four in the morning as at seven in the evening. Where the point has
a history, the energy between the two registers is laid out as its own like days were (see `estimation`); the register at
the last boundary plus the rest is still exactly the second register, because boundaries are rounded and not intervals.

An estimate rests on nothing but the two registers, the readings next to them, and what the point's intervals were
before: whatever arrives later changes it only where it touches the registers themselves.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa

from wattkeeper.kernel.timerange import TimeRange, slot_starts
from wattkeeper.readings.estimation.profile import estimate
from wattkeeper.readings.estimation.values import Floats
from wattkeeper.readings.estimation.windows import HISTORY_DAYS, Clock, Series, Wanted, batches
from wattkeeper.readings.quantities import quantity as catalogue_entry
from wattkeeper.readings.registers import FOREVER, Flags, Group, Integers, Registers

History = Callable[[pa.Table], pa.Table]
"""Fetches the measured energies of some series.

It is given (number, point_id, quantity, start_at, end_at, step), the instants in microseconds since 1970 UTC, and
answers with (number, start_at, energy) of intervals that last a step, the energy in units of 0.0001 kWh.
"""

SHORT = 30 * 60_000_000
"""Up to half an hour a straight line is as good as anything: one missing register of a quarter-hourly meter."""
LONGEST = 35 * 86_400_000_000
"""A month's outage and a little more. Beyond, like days are too far away; bills rest on registers."""
_AT_BOUNDARY = 30_000_000
_MILLISECOND = 1_000
_DAY_US = 86_400_000_000
_RHYTHM = 2
"""A gap is longer than twice the step beside it; a meter that is read once a day has no gaps of a day."""
_SERIES_AT_ONCE = 200
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Bridges:
    """The estimated registers, as columns in order of the reading they follow and time."""

    bridged: Flags
    """[reading] whether the way from each reading to the next of its group is estimated here."""
    left: Integers
    """The reading before each boundary."""
    boundary: Integers
    """The boundary [µs since 1970 UTC]: of all slots that a gap touches, the end."""
    energy: Integers
    """The register there; at the last one, which lies at or behind the gap's end, the second register itself."""
    error: Floats
    """Half the 90 % band of the energy in the slot that ends there."""

    def register_at(self, left: Integers, boundary: Integers) -> Integers:
        """The estimated register at boundaries behind some readings; meaningless where the reading is not bridged."""
        place, _ = self._find(left, boundary)
        return self.energy[place] if len(self.energy) else np.zeros(len(left), dtype=np.int64)

    def error_of(self, left: Integers, end: Integers) -> Floats:
        """Half the 90 % band of what a gap behind some readings adds to the slots that end there; 0 where there is none."""
        place, there = self._find(left, end)
        return np.where(there, self.error[place], 0.0) if len(self.error) else np.zeros(len(left))

    def _find(self, left: Integers, boundary: Integers) -> tuple[Integers, Flags]:
        """The place of each (reading, boundary), and whether it is there."""
        if not len(self.left):
            return np.zeros(len(left), dtype=np.int64), np.zeros(len(left), dtype=bool)
        origin = int(self.boundary.min()) // _MILLISECOND
        span = int(self.boundary.max()) // _MILLISECOND - origin + 2
        keys = self.left * span + self.boundary // _MILLISECOND - origin + 1
        wanted = left * span + np.clip(boundary // _MILLISECOND - origin + 1, 0, span - 1)
        place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        return place, keys[place] == wanted


def no_bridges(registers: Registers) -> Bridges:
    """Nothing is estimated but by straight lines."""
    none = np.zeros(0, dtype=np.int64)
    return Bridges(np.zeros(len(registers.at), dtype=bool), none, none, none, none.astype(float))


def bridge(
    registers: Registers,
    groups: Sequence[Group],
    wanted: tuple[Integers, Integers, Integers],
    step: timedelta,
    history: History,
) -> Bridges:
    """Estimate what is wanted (group, first and last moment) of the gaps among the registers of one grid and zone."""
    found = no_bridges(registers)
    gaps = _gaps(registers, groups, wanted, step // timedelta(microseconds=1))
    if not len(gaps):
        return found
    parts = [
        _bridged(registers, groups, gaps[part : part + _SERIES_AT_ONCE], step, history)
        for part in range(0, len(gaps), _SERIES_AT_ONCE)
    ]
    left, boundary, energy, error = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    order = np.lexsort((boundary, left))
    bridged = found.bridged.copy()
    bridged[left] = True
    return Bridges(bridged, left[order], boundary[order], energy[order], error[order])


def _gaps(
    registers: Registers, groups: Sequence[Group], wanted: tuple[Integers, Integers, Integers], step_us: int
) -> Integers:
    """The readings after which a gap begins that is to be estimated."""
    group, at = registers.group, registers.at
    if len(at) < 2:  # noqa: PLR2004  a gap has two ends
        return np.zeros(0, dtype=np.int64)
    same = group[1:] == group[:-1]
    length = np.where(same, at[1:] - at[:-1], 0)
    beside = np.full(len(length), LONGEST)
    beside[1:] = np.where(same[:-1] & same[1:], length[:-1], LONGEST)
    beside[:-1] = np.minimum(beside[:-1], np.where(same[1:] & same[:-1], length[1:], LONGEST))
    sound = (np.diff(registers.backwards) == 0) & (np.diff(registers.implausible) == 0)
    signed = np.array([catalogue_entry(g.quantity).counts_both_ways for g in groups], dtype=bool)[group[:-1]]
    sound &= signed | (np.diff(registers.energy) >= 0)
    number, first, last = wanted
    earliest, latest = np.full(len(groups), FOREVER), np.full(len(groups), -FOREVER)
    np.minimum.at(earliest, number, first)
    np.maximum.at(latest, number, last)
    # What is wanted is widened to whole slots.
    asked = (at[1:] > earliest[group[:-1]] - step_us) & (at[:-1] < latest[group[:-1]] + step_us)
    return np.flatnonzero(
        same & sound & asked & (length > SHORT) & (length <= LONGEST) & (length > _RHYTHM * beside)
    )


def _bridged(
    registers: Registers, groups: Sequence[Group], left: Integers, step: timedelta, history: History
) -> tuple[Integers, Integers, Integers, Floats]:
    """Reading, boundary, register and error of every slot of the gaps that follow some readings."""
    begin, end = registers.at[left], registers.at[left + 1]
    back = (HISTORY_DAYS + 2) * _DAY_US + int((end - begin).max())
    clock = _clock(int(begin.min()) - back, int(end.max()) + 2 * _DAY_US, step, groups[0])
    series, number = _series(groups, registers.group[left], (begin - back, begin), clock, history)
    total = (registers.energy[left + 1] - registers.energy[left]).astype(float)
    wanted = Wanted(number, begin, end, total)
    after = _after(registers, left, clock, step)
    found = []
    for chosen, slots, gaps in batches(
        wanted, series, clock, groups[0].meter.zone, only_before=True, after=after
    ):
        likely = estimate(gaps)
        known = likely.known
        reading = np.repeat(left[chosen[known]], gaps.slots)
        boundary = clock.starts[slots[known] + 1].ravel()
        counted = np.rint(np.cumsum(likely.energy[known], axis=1)).astype(np.int64).ravel()
        found.append((reading, boundary, registers.energy[reading] + counted, likely.error[known].ravel()))
    return tuple(np.concatenate(columns) for columns in zip(*found, strict=True))  # type: ignore[return-value]


def _clock(first: int, last: int, step: timedelta, group: Group) -> Clock:
    zone = group.meter.zone
    period = TimeRange(_EPOCH + timedelta(microseconds=first), _EPOCH + timedelta(microseconds=last))
    return Clock.of(slot_starts(period, step, zone).astype(np.int64), step // timedelta(microseconds=1), zone)


def _series(
    groups: Sequence[Group], group: Integers, reach: tuple[Integers, Integers], clock: Clock, history: History
) -> tuple[Series, Integers]:
    """What is known of the points and quantities of some groups before their gaps, and the series of each gap."""
    keys = [(groups[g].meter.point_id, groups[g].quantity) for g in group.tolist()]
    distinct = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    number = np.array([distinct[key] for key in keys], dtype=np.int64)
    first, last = np.full(len(distinct), FOREVER), np.zeros(len(distinct), dtype=np.int64)
    np.minimum.at(first, number, np.maximum(reach[0], clock.starts[0]))
    np.maximum.at(last, number, reach[1])
    asked = pa.table(
        {
            "number": pa.array(range(len(distinct)), pa.int64()),
            "point_id": pa.array([point for point, _ in distinct], pa.int64()),
            "quantity": pa.array([quantity for _, quantity in distinct], pa.string()),
            "start_at": pa.array(first),
            "end_at": pa.array(last),
            "step": pa.array(np.full(len(distinct), _DAY_US // clock.per_day)),
        }
    )
    known = history(asked)
    columns = (known[name].to_numpy() for name in ("number", "start_at", "energy"))
    return Series.of(clock, len(distinct), *columns), number


def _after(registers: Registers, left: Integers, clock: Clock, step: timedelta) -> Floats:
    """The energy of the slot behind each gap, where the gap ends at a boundary and the next reading is at the next."""
    ended = left + 1
    following = np.minimum(ended + 1, len(registers.at) - 1)
    at, behind = registers.at[ended], registers.at[following]
    nearest = clock.starts[
        np.minimum(np.searchsorted(clock.starts, at - _AT_BOUNDARY), len(clock.starts) - 1)
    ]
    whole = (np.abs(at - nearest) <= _AT_BOUNDARY) & (following > ended)
    whole &= np.abs(behind - nearest - step // timedelta(microseconds=1)) <= _AT_BOUNDARY
    whole &= registers.group[following] == registers.group[ended]
    energy = (registers.energy[following] - registers.energy[ended]).astype(float)
    return np.where(whole & (energy >= 0), energy, np.nan)
