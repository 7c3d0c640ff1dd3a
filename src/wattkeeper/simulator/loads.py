"""What customers use: mean power in every quarter hour, as a function of seed and time alone.

Nothing here remembers anything, so the energy between any two moments can be computed without
having run in between, and two runs of the same world agree to the last digit.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

SLOT = 900
"""The simulated world's grain: a quarter hour. [s]"""
SLOTS_PER_DAY = 96
_MWH_PER_KWH = 1_000_000
_FRIDAY = 4


class Load(Protocol):
    """Energy taken and given back in quarter hours counted from 1970-01-01 00:00 of the meter's wall clock."""

    def taken(self, slots: Integers) -> Integers:
        """Energy drawn from the grid in each slot, in mWh."""

    def given(self, slots: Integers) -> Integers:
        """Energy fed into the grid in each slot, in mWh."""


def noise(seed: int, index: Integers, stream: int = 0) -> Floats:
    """Even noise in 0..1 that depends on its arguments only (SplitMix64 as a hash)."""
    mixed = index.astype(np.uint64) + np.uint64((seed * 0x9E3779B1 + stream * 0x85EBCA77) & 0xFFFFFFFFFFFF)
    with np.errstate(over="ignore"):
        mixed = mixed * np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed ^= mixed >> np.uint64(31)
    return (mixed >> np.uint64(11)).astype(np.float64) / float(1 << 53)


@dataclass(frozen=True, slots=True)
class Moment:
    """The parts of time a load depends on, for many slots at once."""

    slots: Integers
    hour: Floats
    day: Integers
    weekday: Integers
    season: Floats  # -1 in mid-January, +1 in mid-July

    @classmethod
    def of(cls, slots: Integers) -> "Moment":
        """Split slots counted from a Thursday, 1970-01-01."""
        day, slot_of_day = np.divmod(slots, SLOTS_PER_DAY)
        return cls(
            slots=slots,
            hour=slot_of_day / 4.0 + 0.125,
            day=day,
            weekday=(day + 3) % 7,
            season=-np.cos(2 * np.pi * (day % 365.25 - 15) / 365.25),
        )


def _bump(hour: Floats, centre: float, width: float) -> Floats:
    away = (hour - centre + 12.0) % 24.0 - 12.0
    return np.exp(-0.5 * (away / width) ** 2)


def _open(hour: Floats, opens: float, closes: float) -> Floats:
    """1 within the hours, 0 outside, with half an hour of coming and going."""
    return np.clip((hour - opens) * 2.0, 0.0, 1.0) * np.clip((closes - hour) * 2.0, 0.0, 1.0)


def household_kw(moment: Moment, seed: int) -> Floats:
    """A flat: a fridge, mornings and evenings, cooling in summer and heating in winter, kettles, holidays."""
    hour, weekend = moment.hour, moment.weekday > _FRIDAY
    later = 1.5 * noise(seed, np.zeros(1, np.int64))[0] - 0.75  # this home's own hours
    size = 0.6 + 0.9 * noise(seed, np.ones(1, np.int64))[0]
    mood = noise(seed, moment.day, 1)
    fridge = 0.06 + 0.05 * (noise(seed, moment.slots, 2) > 0.5)  # noqa: PLR2004 -- half of the time
    habits = (
        0.35 * _bump(hour, 7.4 + later, 0.8)
        + 0.25 * _bump(hour, 12.2, 0.9) * (0.6 + 0.8 * weekend)
        + 0.75 * _bump(hour, 20.0 + later, 1.7)
        + 0.15 * weekend * _bump(hour, 15.0, 3.0)
    )
    climate = 1.1 * np.clip(moment.season, 0, 1) ** 2 * (
        _bump(hour, 22.0, 3.0) + 0.5 * _bump(hour, 14.0, 2.0)
    ) + 0.5 * np.clip(-moment.season, 0, 1) ** 2 * (_bump(hour, 20.5, 2.5) + 0.6 * _bump(hour, 7.5, 1.2))
    kettle = 1.4 * (noise(seed, moment.slots, 3) > 0.97) * (hour > 6) * (hour < 23)  # noqa: PLR2004 -- rare
    away = noise(seed, moment.day // 5, 4) < 0.03  # noqa: PLR2004 -- gone for some days
    living = (habits + climate) * (0.6 + 0.8 * mood) * (0.75 + 0.5 * noise(seed, moment.slots, 5)) + kettle
    power: Floats = size * (fridge + np.where(away, 0.0, living))
    return power


def shop_kw(moment: Moment, seed: int) -> Floats:
    """A shop: coolers day and night, light and cooling while it is open, busier at weekends."""
    size = 2.5 + 4.0 * noise(seed, np.zeros(1, np.int64))[0]
    opens = 8.0 + 2.0 * noise(seed, np.ones(1, np.int64))[0]
    trade = _open(moment.hour, opens, 21.5) * (1.0 + 0.2 * (moment.weekday > _FRIDAY))
    cooling = 0.5 * np.clip(moment.season, 0, 1) * trade
    flicker = 0.9 + 0.2 * noise(seed, moment.slots, 1)
    power: Floats = size * (0.12 + 0.7 * trade + cooling) * flicker
    return power


def office_kw(moment: Moment, seed: int) -> Floats:
    """An office: workdays, with servers at night and cooling in summer."""
    size = 8.0 + 8.0 * noise(seed, np.zeros(1, np.int64))[0]
    present = _open(moment.hour, 8.25, 18.75) * np.where(moment.weekday > _FRIDAY, 0.12, 1.0)
    lunch = 1.0 - 0.25 * _bump(moment.hour, 12.5, 0.6)
    cooling = 0.4 * np.clip(moment.season, 0, 1) * present
    power: Floats = (
        size * (0.15 + 0.8 * present * lunch + cooling) * (0.93 + 0.14 * noise(seed, moment.slots, 1))
    )
    return power


def factory_kw(moment: Moment, seed: int) -> Floats:
    """A small factory: two shifts on six days, a furnace that comes and goes, breaks."""
    size = 80.0 + 80.0 * noise(seed, np.zeros(1, np.int64))[0]
    shift = _open(moment.hour, 6.75, 22.25) * np.where(moment.weekday > _FRIDAY + 1, 0.1, 1.0)
    breaks = 1.0 - 0.35 * _bump(moment.hour, 12.0, 0.4) - 0.25 * _bump(moment.hour, 18.0, 0.3)
    furnace = 0.3 * (noise(seed, moment.slots // 3, 1) > 0.4)  # noqa: PLR2004 -- 45 minutes at a time
    power: Floats = (
        size * (0.12 + shift * breaks * (0.6 + furnace)) * (0.92 + 0.16 * noise(seed, moment.slots, 2))
    )
    return power


def street_light_kw(moment: Moment, seed: int) -> Floats:
    """Street lights: from dusk to dawn, half of them switched off after midnight."""
    size = 1.5 + 1.5 * noise(seed, np.zeros(1, np.int64))[0]
    daylight = 12.0 + 2.2 * moment.season
    burning = (moment.hour < 12.0 - daylight / 2) | (moment.hour > 12.0 + daylight / 2)
    late = (moment.hour < 12.0) & (moment.hour < 5.0)  # noqa: PLR2004 -- from midnight to five
    power: Floats = size * burning * np.where(late, 0.5, 1.0) + 0.01
    return power


SHAPES: dict[str, Callable[[Moment, int], Floats]] = {
    "household": household_kw,
    "shop": shop_kw,
    "office": office_kw,
    "factory": factory_kw,
    "street_light": street_light_kw,
}


@dataclass(frozen=True, slots=True)
class ShapedLoad:
    """A plausible customer of some kind, with a roof of solar panels where ``solar_kw`` is not 0.

    Attributes:
        kind: a key of ``SHAPES``.
        seed: two customers with the same seed and kind are the same.
        scale: how many times the usual size, after division by the meter's CT ratio.
        solar_kw: peak of the panels. [kW]

    """

    kind: str
    seed: int
    scale: float = 1.0
    solar_kw: float = 0.0

    def taken(self, slots: Integers) -> Integers:
        """Energy drawn from the grid in each slot, in mWh."""
        return _mwh(np.maximum(self._net_kw(slots), 0.0))

    def given(self, slots: Integers) -> Integers:
        """Energy fed into the grid in each slot, in mWh."""
        if self.solar_kw == 0.0:
            return np.zeros(len(slots), dtype=np.int64)
        return _mwh(np.maximum(-self._net_kw(slots), 0.0))

    def _net_kw(self, slots: Integers) -> Floats:
        moment = Moment.of(slots)
        used = SHAPES[self.kind](moment, self.seed) * self.scale
        if self.solar_kw == 0.0:
            return used
        sun = np.clip(np.cos((moment.hour - 12.0) * np.pi / (12.0 + 2.2 * moment.season)), 0.0, 1.0)
        clouds = 0.3 + 0.7 * noise(self.seed, moment.day, 90) * (
            0.8 + 0.2 * noise(self.seed, moment.slots, 91)
        )
        return used - self.solar_kw * self.scale * sun * clouds


class ColumnLoad:
    """A customer who used what somebody measured: energy per step, from a moment on; nothing before or after.

    Args:
        kwh: energy of each step. [kWh]
        first_slot: the quarter hour in which the first step begins.
        slots_per_step: 1 for a 15-minute column, 2 for 30 minutes; the end of every step is exact.

    """

    def __init__(self, kwh: npt.ArrayLike, *, first_slot: int, slots_per_step: int = 1) -> None:
        steps = np.nan_to_num(np.asarray(kwh, dtype=np.float64))
        ends = np.concatenate([[0], np.rint(np.cumsum(steps) * _MWH_PER_KWH).astype(np.int64)])
        position = np.arange(len(steps) * slots_per_step + 1)
        step, part = np.divmod(position, slots_per_step)
        following = ends[np.minimum(step + 1, len(steps))]
        cumulative = ends[step] + (following - ends[step]) * part // slots_per_step
        self._energy: Integers = np.diff(cumulative)
        self._first_slot = first_slot

    def taken(self, slots: Integers) -> Integers:
        """Energy drawn from the grid in each slot, in mWh."""
        position = slots - self._first_slot
        inside = (position >= 0) & (position < len(self._energy))
        return np.where(inside, self._energy[np.clip(position, 0, len(self._energy) - 1)], 0)

    def given(self, slots: Integers) -> Integers:
        """Nothing: the column is what was drawn, in mWh."""
        return np.zeros(len(slots), dtype=np.int64)


def _mwh(kw: Floats) -> Integers:
    return np.rint(kw * (_MWH_PER_KWH / 4)).astype(np.int64)
