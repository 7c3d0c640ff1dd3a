"""Voltages, currents and powers that agree with the load a meter counts."""

from dataclasses import dataclass

import numpy as np

from wattkeeper.simulator.loads import SLOT, Floats, Integers, Load, noise
from wattkeeper.simulator.past import Past
from wattkeeper.simulator.registers import ripple

NOMINAL_V = 220.0
_SHARES = {1: (1.0, 0.0, 0.0), 3: (0.36, 0.33, 0.31)}  # of the load on each phase
_DROP_V_PER_A = 0.06  # along the service line
_BUCKET = 5  # voltage and frequency wander in steps of so many seconds [s]
_POWER_FACTOR = {"household": 0.96, "shop": 0.93, "office": 0.92, "factory": 0.88, "street_light": 0.9}


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a meter measures at some moments: one row each, in the digits of the wire.

    Attributes:
        voltage: phases 1 to 3. [0.1 V]
        current: phases 1 to 3. [0.001 A]
        active: total and phases, negative when given back. [0.0001 kW]
        reactive: total and phases. [0.0001 kvar]
        apparent: total and phases. [0.0001 kVA]
        factor: total and phases. [0.001]
        frequency: [0.01 Hz]

    """

    voltage: Integers
    current: Integers
    active: Integers
    reactive: Integers
    apparent: Integers
    factor: Integers
    frequency: Integers


class Electrics:
    """The electric side of one meter.

    Args:
        load: what is counted.
        kind: the customer's kind, which sets the usual power factor.
        seed: makes meters differ.
        phases: 1 or 3.
        phase: of the power's ripple within a quarter hour, the same as the registers'. [rad]
        supply: the voltage around which the supply wanders. [V]
        past: when its relay was open, and nothing flowed.

    """

    def __init__(
        self,
        load: Load,
        *,
        kind: str,
        seed: int,
        phases: int,
        phase: float,
        supply: float = NOMINAL_V,
        past: Past | None = None,
    ) -> None:
        self._past = past or Past()
        self._load = load
        self._usual_factor = _POWER_FACTOR.get(kind, 0.95)
        self._seed = seed
        self._phases = phases
        self._ripple_phase = phase
        self._supply = supply

    def reactive_energy(self, slots: Integers) -> Integers:
        """Inductive reactive energy taken in each slot, quadrant I, in mvarh."""
        return np.rint(self._load.taken(slots) * self._tangent(slots)).astype(np.int64)

    def measure(self, moments: Floats) -> Snapshot:
        """Everything at some moments (civil seconds)."""
        slots = np.floor(moments / SLOT).astype(np.int64)
        swing = ripple(moments / SLOT - slots, self._ripple_phase)
        total_kw = (self._load.taken(slots) - self._load.given(slots)) * swing * 4e-6
        if self._past.outages:
            total_kw = np.where(self._past.without_power(moments), 0.0, total_kw)
        active = np.outer(total_kw, np.array(_SHARES[self._phases]))
        reactive = np.abs(active) * self._tangent(slots)[:, None]
        apparent = np.hypot(active, reactive)
        voltage = self._voltage(moments, apparent)
        current = apparent * 1000.0 / voltage
        return Snapshot(
            voltage=_digits(voltage, 10),
            current=_digits(current, 1000),
            active=_digits(_with_total(active), 10_000),
            reactive=_digits(_with_total(reactive), 10_000),
            apparent=_digits(_with_total(apparent), 10_000),
            factor=_digits(_factor(_with_total(active), _with_total(apparent)), 1000),
            frequency=_digits(self._frequency(moments), 100),
        )

    def _tangent(self, slots: Integers) -> Floats:
        factor = self._usual_factor + 0.06 * (noise(self._seed, slots, 20) - 0.5)
        return np.tan(np.arccos(np.clip(factor, 0.5, 1.0)))

    def _voltage(self, moments: Floats, apparent: Floats) -> Floats:
        bucket = np.floor(moments / _BUCKET).astype(np.int64)
        wander = np.stack([noise(self._seed, bucket, 30 + phase) for phase in range(3)], axis=1) - 0.5
        district = noise(7, bucket // 60, 40)[:, None] - 0.5  # the whole neighbourhood shares this part
        drop = _DROP_V_PER_A * apparent * 1000.0 / NOMINAL_V
        return self._supply + 8.0 * district + 2.0 * wander - np.minimum(drop, 12.0)

    @staticmethod
    def _frequency(moments: Floats) -> Floats:
        bucket = np.floor(moments / _BUCKET).astype(np.int64)
        return 50.0 + 0.06 * (noise(11, bucket, 50) - 0.5)


def _with_total(phases: Floats) -> Floats:
    return np.concatenate([phases.sum(axis=1, keepdims=True), phases], axis=1)


def _factor(active: Floats, apparent: Floats) -> Floats:
    """1.000 where nothing flows, as meters show it."""
    idle = apparent < 5e-5  # noqa: PLR2004 -- below the last digit
    return np.where(idle, 1.0, active / np.where(idle, 1.0, apparent))


def _digits(values: Floats, scale: int) -> Integers:
    return np.rint(values * scale).astype(np.int64)
