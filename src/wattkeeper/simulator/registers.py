"""Registers that count a load: total and tariffs, at any moment, past or present."""

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from wattkeeper.simulator.loads import SLOT, SLOTS_PER_DAY, Floats, Integers
from wattkeeper.simulator.past import Past

UNIT = 10_000
"""One step of a register, 0.01 kWh. [mWh]"""
TARIFFS = 4
_MARGIN = 40 * SLOTS_PER_DAY  # slots computed ahead of what was asked
_RIPPLES = 15  # whole waves of power within a slot: one a minute
_RIPPLE = 0.2  # their height, of the mean power

# Which tariff each hour belongs to: 1 sharp 尖, 2 peak 峰, 3 flat 平, 4 valley 谷.
TARIFF_OF_HOUR = np.array(
    [4, 4, 4, 4, 4, 4, 4, 3, 2, 2, 2, 3, 3, 3, 3, 3, 3, 2, 2, 1, 1, 2, 3, 4], dtype=np.int64
)


def tariff_of(slots: Integers) -> Integers:
    """The tariff (1 to 4) in force in each slot."""
    return TARIFF_OF_HOUR[slots % SLOTS_PER_DAY // 4]


def share_of_slot(fraction: float, phase: float) -> float:
    """How much of a slot's energy has flowed after a fraction of it; power ripples, and never turns."""
    turn = 2 * math.pi * _RIPPLES
    return fraction + _RIPPLE / turn * (math.cos(phase) - math.cos(turn * fraction + phase))


def ripple(fraction: Floats, phase: float) -> Floats:
    """Power at a fraction of a slot, of the slot's mean: the slope of ``share_of_slot``."""
    return 1.0 + _RIPPLE * np.sin(2 * np.pi * _RIPPLES * fraction + phase)


class Register:
    """One counter with its tariffs, in steps of 0.01; moments are civil seconds (see ``clock``).

    A step belongs to the tariff that is in force when it is counted, so the tariffs always add up
    to the total, digit for digit.

    Args:
        energy: energy of slots. [mWh]
        first_slot: the slot in which the meter was installed.
        passed: how much of that slot had passed by then, 0 to 1.
        first: what the counter showed then, total. [0.01 kWh]
        modulus: where it turns over to 0. [0.01 kWh]
        phase: of the ripple, so that no two meters pulse together. [rad]
        past: when it did not count, and when it was cleared.

    """

    def __init__(
        self,
        energy: Callable[[Integers], Integers],
        *,
        first_slot: int,
        passed: float = 0.0,
        first: int = 0,
        modulus: int = 100_000_000,
        phase: float = 0.0,
        past: Past | None = None,
    ) -> None:
        self._energy = energy
        self._past = past or Past()
        self._first_slot = first_slot
        self._passed = passed
        # What an old meter brought along was counted somehow; an even split is as good as any.
        quarter = first // TARIFFS
        self._first = np.array([first] + [quarter] * (TARIFFS - 1) + [first - quarter * (TARIFFS - 1)])
        self._modulus = modulus
        self._phase = phase
        self._used: Integers = np.zeros(0, dtype=np.int64)
        self._flowed: Integers = np.zeros(1, dtype=np.int64)
        self._tariffs: npt.NDArray[np.int32] | None = None

    def at(self, moment: float) -> int:
        """The total, in 0.01 kWh."""
        if not self._past.is_plain:
            return int(self.at_many(np.array([moment]))[0])
        flowed = self._flowed_at(moment)
        return (int(self._first[0]) + flowed // UNIT) % self._modulus

    def rates_at(self, moment: float) -> tuple[int, ...]:
        """Total and tariffs 1 to 4, in 0.01 kWh."""
        return tuple(int(value) for value in self.rates_at_many(np.array([moment]))[0])

    def at_many(self, moments: Floats) -> Integers:
        """The total at many moments, in 0.01 kWh."""
        return self._shown(moments, self._total_steps, self._first[0])

    def rates_at_many(self, moments: Floats) -> Integers:
        """Total and tariffs at many moments, one row each, in 0.01 kWh."""
        return self._shown(moments, self._rate_steps, self._first)

    def mean_power(self, slots: Integers) -> Integers:
        """Mean power in slots, 0 before the meter was there, in 0.0001 kW."""
        index = slots - self._first_slot
        self._reach(int(index.max(initial=0)) + 1)
        known = np.where(index >= 0, self._used[np.clip(index, 0, None)], 0)
        begin, end = slots * SLOT, (slots + 1) * SLOT
        for began, ended in self._past.outages:
            known -= self._flowed_at_many(np.clip(end, began, ended))
            known += self._flowed_at_many(np.clip(begin, began, ended))
        return np.where(begin < self._past.cleared_at, 0, known * 4 // 100)

    def _shown(self, moments: Floats, steps: Callable[[Floats], Integers], first: Integers) -> Integers:
        past = self._past
        counted = self._counted(moments, steps)
        if past.cleared_at == -np.inf:
            return (counted + first) % self._modulus
        since = counted - self._counted(np.array([past.cleared_at]), steps)
        before = (moments < past.cleared_at).reshape(-1, *[1] * (counted.ndim - 1))
        return np.where(before, 0, since) % self._modulus

    def _counted(self, moments: Floats, steps: Callable[[Floats], Integers]) -> Integers:
        """Steps counted by a moment, without those that would have been while the relay was open."""
        counted = steps(moments)
        for began, ended in self._past.outages:
            counted = counted - steps(np.minimum(moments, ended)) + steps(np.minimum(moments, began))
        return counted

    def _total_steps(self, moments: Floats) -> Integers:
        return self._flowed_at_many(moments) // UNIT

    def _rate_steps(self, moments: Floats) -> Integers:
        slot = self._slot(moments)
        counted = self._flowed_at_many(moments) // UNIT
        before = np.maximum(self._flowed[slot], 0) // UNIT
        rates = np.empty((len(moments), TARIFFS + 1), dtype=np.int64)
        rates[:, 0] = counted
        rates[:, 1:] = self._by_tariff()[slot]
        rates[np.arange(len(moments)), tariff_of(slot + self._first_slot)] += counted - before
        return rates

    def _flowed_at(self, moment: float) -> int:
        position = moment / SLOT - self._first_slot
        if position <= 0:
            return 0
        slot = int(position)
        self._reach(slot + 1)
        part = share_of_slot(position - slot, self._phase)
        return max(int(self._flowed[slot]) + int(int(self._used[slot]) * part), 0)

    def _flowed_at_many(self, moments: Floats) -> Integers:
        position = np.maximum(moments / SLOT - self._first_slot, 0.0)
        slot = self._slot(moments)
        turn = 2 * np.pi * _RIPPLES
        fraction = position - slot
        part = fraction + _RIPPLE / turn * (math.cos(self._phase) - np.cos(turn * fraction + self._phase))
        flowed = self._flowed[slot] + (self._used[slot] * part).astype(np.int64)
        counted: Integers = np.maximum(flowed, 0)
        return counted

    def _slot(self, moments: Floats) -> Integers:
        slot = np.maximum(np.floor(moments / SLOT).astype(np.int64) - self._first_slot, 0)
        self._reach(int(slot.max(initial=0)) + 1)
        return slot

    def _by_tariff(self) -> npt.NDArray[np.int32]:
        """Steps counted by each tariff before each slot."""
        if self._tariffs is None or len(self._tariffs) != len(self._flowed):
            counted = np.diff(np.maximum(self._flowed, 0) // UNIT)
            tariff = tariff_of(np.arange(len(counted)) + self._first_slot)
            by_tariff = np.zeros((len(self._flowed), TARIFFS), dtype=np.int32)
            for number in range(TARIFFS):
                np.cumsum(np.where(tariff == number + 1, counted, 0), out=by_tariff[1:, number])
            self._tariffs = by_tariff
        return self._tariffs

    def _reach(self, slots: int) -> None:
        """Have at least so many slots computed."""
        if slots > len(self._used):
            known = np.arange(self._first_slot, self._first_slot + slots + _MARGIN)
            self._used = self._energy(known)
            # Negative by what flowed in the first slot before the meter was there.
            missed = int(int(self._used[0]) * share_of_slot(self._passed, self._phase))
            self._flowed = np.concatenate([[0], np.cumsum(self._used)]) - missed
