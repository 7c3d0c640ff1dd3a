"""From series and gaps to batches: the hours around each gap and the same hours of other days, as arrays."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from wattkeeper.readings.estimation.likeness import kinds_of, weights
from wattkeeper.readings.estimation.values import Floats, Gaps, Integers

HISTORY_DAYS = 56
"""How far like days are looked for: eight weeks."""
HOURS_AROUND = 6
"""How many hours beside a gap tell its level."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_US = 86_400_000_000
_NUMBERS_AT_ONCE = 8_000_000
"""Numbers in the history of one batch, 64 MB: what bounds the memory of an outage of a whole fleet."""


@dataclass(frozen=True, slots=True)
class Clock:
    """The grid of one zone as civil time tells it: the day [since 1970] and the place in the day of each slot."""

    starts: Integers
    """The slots' starts [µs since 1970 UTC], and one more: the end of the last."""
    day: Integers
    place: Integers
    per_day: int

    @classmethod
    def of(cls, starts: Integers, step_us: int, zone: ZoneInfo) -> "Clock":
        """What a wall clock in the zone shows at the start of each slot; the last start only ends the grid."""
        day, within = np.divmod(starts[:-1] + _offsets(starts[:-1], zone), _DAY_US)
        return cls(starts, day, within // step_us, _DAY_US // step_us)

    def slot_of(self, moment: Integers) -> Integers:
        """The slot in which each moment lies."""
        return np.searchsorted(self.starts, moment, "right") - 1


@dataclass(frozen=True, slots=True)
class Series:
    """The known energies of some series by civil day and place: [series, day - first_day, place], nan where unknown."""

    energy: Floats
    first_day: int

    @classmethod
    def of(cls, clock: Clock, count: int, number: Integers, start: Integers, energy: Floats) -> "Series":
        """Lay out rows of (series, start, energy) whose starts are on the grid."""
        slot = np.clip(clock.slot_of(start), 0, len(clock.day) - 1)
        first = int(clock.day.min())
        laid = np.full((count, int(clock.day.max()) - first + 1, clock.per_day), np.nan)
        laid[number, clock.day[slot] - first, clock.place[slot]] = energy
        return cls(laid, first)

    def at(self, number: Integers, day: Integers, place: Integers) -> Floats:
        """The energies at some days and places; nan outside of what was laid out."""
        row = day - self.first_day
        inside = (row >= 0) & (row < self.energy.shape[1])
        found = self.energy[number, np.where(inside, row, 0), place]
        return np.where(inside, found, np.nan)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Gaps to be estimated, as columns."""

    number: Integers
    """The series of each."""
    begin: Integers
    """Where each begins [µs since 1970 UTC]."""
    end: Integers
    total: Floats
    """The energy between the registers at its ends; nan where there is none."""


def batches(
    wanted: Wanted,
    series: Series,
    clock: Clock,
    zone: ZoneInfo,
    *,
    only_before: bool,
    after: Floats | None = None,
) -> Iterator[tuple[Integers, Integers, Gaps]]:
    """The gaps by length: which ones they are, the slots of each [gap, slot], and what estimation needs to know.

    With ``only_before`` nothing is taken from days after a gap's start, so that what arrives later changes nothing, and
    the one slot behind a gap is the one given as ``after``.
    """
    first = clock.slot_of(wanted.begin)
    last = clock.slot_of(wanted.end - 1)
    kinds_from = int(clock.day.min()) - HISTORY_DAYS - 40
    kinds = kinds_of(kinds_from, int(clock.day.max()) + HISTORY_DAYS + 41 - kinds_from, zone)
    around = max(1, HOURS_AROUND * clock.per_day // 24)
    for length in np.unique(last - first + 1):
        alike = np.flatnonzero(last - first + 1 == length)
        shifts = _shifts(int(length), clock.per_day, only_before=only_before)
        slots = int(length) + around + (1 if only_before else around)
        at_once = max(1, _NUMBERS_AT_ONCE // (slots * len(shifts)))
        for part in range(0, len(alike), at_once):
            chosen = alike[part : part + at_once]
            gaps = _gathered(
                _Batch(wanted, chosen, first[chosen], int(length), around), series, clock, shifts,
                kinds=(kinds, kinds_from), after=after, only_before=only_before,
            )  # fmt: skip
            yield chosen, first[chosen][:, None] + np.arange(length)[None], gaps


def _shifts(length: int, per_day: int, *, only_before: bool) -> Integers:
    """How many days back the like days lie; a gap of several days has its own days between."""
    own = -(-length // per_day) - 1
    back = np.arange(1, HISTORY_DAYS + own + 1)
    return back if only_before else np.concatenate([back, -back])


@dataclass(frozen=True, slots=True)
class _Batch:
    """Gaps of one length."""

    wanted: Wanted
    chosen: Integers
    first: Integers
    length: int
    around: int


def _gathered(
    batch: _Batch,
    series: Series,
    clock: Clock,
    shifts: Integers,
    *,
    kinds: tuple[Integers, int],
    after: Floats | None,
    only_before: bool,
) -> Gaps:
    length, around = batch.length, batch.around
    behind = 1 if only_before else around
    relative = np.arange(-around, length + behind)
    day, place = _civil(clock, batch.first[:, None] + relative[None])
    number = batch.wanted.number[batch.chosen]
    inside = (relative >= 0) & (relative < length)
    surroundings = np.where(inside, np.nan, series.at(number[:, None], day, place))
    if only_before:
        surroundings[:, -1] = np.nan if after is None else after[batch.chosen]
    other_day = day[:, None] - shifts[None, :, None]
    history = series.at(number[:, None, None], other_day, np.broadcast_to(place[:, None], other_day.shape))
    if only_before:
        begin_day, begin_place = _civil(clock, batch.first)
        earlier = (other_day - begin_day[:, None, None]) * clock.per_day + place[:, None] < begin_place[
            :, None, None
        ]
        history = np.where(earlier, history, np.nan)
    of_day, from_day = kinds
    return Gaps(
        surroundings=surroundings,
        history=history,
        weight=weights(of_day[day - from_day], of_day[other_day - from_day], shifts),
        covered=_covered(batch, clock),
        total=batch.wanted.total[batch.chosen],
        before=around,
        slots_per_hour=clock.per_day / 24,
    )


def _civil(clock: Clock, slot: Integers) -> tuple[Integers, Integers]:
    """Day and place of slots, counted on beyond the ends of the grid."""
    inside = np.clip(slot, 0, len(clock.day) - 1)
    beyond = slot - inside
    day, place = np.divmod(clock.day[inside] * clock.per_day + clock.place[inside] + beyond, clock.per_day)
    return day, place


def _covered(batch: _Batch, clock: Clock) -> Floats:
    """The part of each slot of a gap that lies between its ends."""
    slot = batch.first[:, None] + np.arange(batch.length)[None]
    start, end = clock.starts[slot], clock.starts[slot + 1]
    begin = np.maximum(start, batch.wanted.begin[batch.chosen][:, None])
    until = np.minimum(end, batch.wanted.end[batch.chosen][:, None])
    covered: Floats = (until - begin) / (end - start)
    return covered


def _offsets(starts: Integers, zone: ZoneInfo) -> Integers:
    """What civil time is ahead of UTC by at each instant [µs]; asked once a day, and by slot where the clocks change."""
    days, of = np.unique(starts // _DAY_US, return_inverse=True)
    begin = np.array([_offset(day * _DAY_US, zone) for day in days.tolist()], dtype=np.int64)
    end = np.array([_offset((day + 1) * _DAY_US, zone) for day in days.tolist()], dtype=np.int64)
    offsets = begin[of]
    changing = np.flatnonzero((begin != end)[of])
    offsets[changing] = [_offset(moment, zone) for moment in starts[changing].tolist()]
    return offsets


def _offset(moment: int, zone: ZoneInfo) -> int:
    ahead = (_EPOCH + timedelta(microseconds=moment)).astimezone(zone).utcoffset()
    assert ahead is not None
    return ahead // timedelta(microseconds=1)
