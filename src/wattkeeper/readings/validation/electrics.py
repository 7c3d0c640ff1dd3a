"""Rules about voltage, current, power factor, frequency, demand and balance: one reading at a time against its limit."""

from collections.abc import Iterator
from typing import Final

import numpy as np

from wattkeeper.readings.quantities import QUANTITIES
from wattkeeper.readings.registers import UNIT, Flags, Integers
from wattkeeper.readings.validation.facts import Floats
from wattkeeper.readings.validation.found import Found, Hits, in_a_row
from wattkeeper.readings.validation.table import NONE, Readings

PHASES: Final = ("l1", "l2", "l3")
_VOLTAGES: Final = tuple(f"voltage_{phase}" for phase in PHASES)
_CURRENTS: Final = tuple(f"current_{phase}" for phase in PHASES)
_FACTORS: Final = ("power_factor", *(f"power_factor_{phase}" for phase in PHASES))
_POWERS: Final = (
    "active_power",
    *(key for key, entry in QUANTITIES.items() if entry.kind == "demand" and entry.unit == "kW"),
)
_MOMENT_US: Final = 60_000_000
"""Readings of one round of a meter come within a minute of each other."""
_IMPOSSIBLE: Final = 1.0005
"""A power factor of 1 with the last digit of its three decimals rounded up."""


def voltage_high(readings: Readings) -> Iterator[Found]:
    """Above the limit of supply."""
    rows, volts = _direct_voltages(readings)
    over = volts > readings.number("voltage_high", "limit_v", rows)
    yield _lasting("voltage_high", readings, rows, over, "limit_v", worst=volts)


def voltage_low(readings: Readings) -> Iterator[Found]:
    """Below the limit of supply, on a phase that is connected."""
    rows, volts = _direct_voltages(readings)
    under = volts < readings.number("voltage_low", "limit_v", rows)
    under &= volts >= readings.number("voltage_low", "connected_v", rows)
    yield _lasting("voltage_low", readings, rows, under, "limit_v", worst=-volts)


def voltage_lost(readings: Readings) -> Iterator[Found]:
    """No voltage on a phase that had it that day, or that carries current while another phase has voltage."""
    rows = readings.rows_of(*_VOLTAGES)
    if not len(rows):
        return
    volts = readings.value[rows] / UNIT
    there = volts >= readings.number("voltage_lost", "connected_v", rows)
    cells = readings.cell[rows]
    number = np.cumsum(np.diff(cells, prepend=-1) != 0) - 1
    had_it = np.bincount(number, weights=there)[number] > 0
    carries = np.zeros(len(rows), np.bool_)
    least_a = readings.number("voltage_lost", "current_a", rows)
    for voltage, current in zip(_VOLTAGES, _CURRENTS, strict=True):
        own = _is(readings, rows, voltage)
        beside = readings.near(rows[own], current, _MOMENT_US)
        flows = (beside != NONE) & (np.abs(readings.value[beside]) / UNIT >= least_a[own])
        carries[own] = flows & _others_have(readings, rows[own], voltage)
    hit = ~there & (had_it | carries)
    yield Hits(rows[hit], limit="connected_v", worst=-volts[hit])


def _others_have(readings: Readings, rows: Integers, voltage: str) -> Flags:
    """Whether another phase has voltage at the same instant."""
    have = np.zeros(len(rows), np.bool_)
    least = readings.number("voltage_lost", "connected_v", rows)
    for other in _VOLTAGES:
        if other != voltage:
            beside = readings.same_instant(rows, other)
            have |= (beside != NONE) & (readings.value[beside] / UNIT >= least)
    return have


def current_high(readings: Readings) -> Iterator[Found]:
    """Above the maximum current of the meter."""
    rows = readings.rows_of(*_CURRENTS)
    amperes = np.abs(readings.value[rows]) / UNIT
    most = readings.facts.max_current[readings.fact[rows]] * readings.number("current_high", "factor", rows)
    hits = _lasting("current_high", readings, rows, amperes > most, "factor", worst=amperes)
    most_a = readings.facts.max_current[readings.fact[hits.rows]]
    yield Hits(hits.rows, figures={"max_current_a": most_a}, limit="factor", worst=hits.worst)


def power_factor(readings: Readings) -> Iterator[Found]:
    """Above 1; or below the standard of its class while the point draws power."""
    rows = readings.rows_of(*_FACTORS)
    size = np.abs(readings.value[rows]) / UNIT
    impossible = size > _IMPOSSIBLE
    yield Hits(rows[impossible], worst=size[impossible])
    total = _is(readings, rows, _FACTORS[0])
    rows, size = rows[total], size[total]
    power = readings.near(rows, "active_power", _MOMENT_US)
    load = np.where(power == NONE, 0, np.abs(readings.primary[power] if len(readings) else 0))
    low = (load >= readings.number("power_factor", "least_kw", rows)) & (
        size < readings.number("power_factor", "limit", rows)
    )
    needed = readings.number("power_factor", "readings", rows)
    hit = in_a_row(rows, low, readings.cell[rows], needed)
    yield Hits(rows[hit], (power[hit],), {"load_kw": load[hit]}, "limit", worst=-size[hit])


def frequency(readings: Readings) -> Iterator[Found]:
    """Too far from the nominal; a meter without voltage measures none and says 0."""
    rows = readings.rows_of("frequency")
    hertz = readings.value[rows] / UNIT
    off = np.abs(hertz - readings.number("frequency", "nominal_hz", rows))
    hit = (hertz >= 1) & (off > readings.number("frequency", "band_hz", rows) + 1e-9)
    yield _lasting("frequency", readings, rows, hit, "band_hz", worst=off)


def demand_rating(readings: Readings) -> Iterator[Found]:
    """A demand, or active power, above the rated power of the point."""
    rows = readings.rows_of(*_POWERS)
    load = np.abs(readings.primary[rows])
    rated = readings.facts.rated[readings.fact[rows]]
    hit = load > rated * readings.number("demand_rating", "factor", rows)
    figures = {
        "load_kw": load[hit],
        "rated_kw": rated[hit],
        "ratio": readings.facts.ratio[readings.fact[rows[hit]]],
    }
    yield Hits(rows[hit], figures=figures, limit="factor", worst=load[hit])


def voltage_unbalance(readings: Readings) -> Iterator[Found]:
    """The largest deviation of a phase from the mean of the three, as a share of it."""
    rows, beside, volts = _three(readings, _VOLTAGES)
    mean = volts.mean(axis=0)
    share = np.divide(np.abs(volts - mean).max(axis=0), mean, out=np.zeros_like(mean), where=mean > 0)
    connected = volts.min(axis=0) >= readings.number("voltage_unbalance", "connected_v", rows)
    yield _unbalanced("voltage_unbalance", readings, (rows, beside), share, connected)


def current_unbalance(readings: Readings) -> Iterator[Found]:
    """The largest phase current less the smallest, as a share of the largest."""
    rows, beside, amperes = _three(readings, _CURRENTS)
    most = amperes.max(axis=0, initial=0)
    share = np.divide(
        most - amperes.min(axis=0, initial=np.inf), most, out=np.zeros_like(most), where=most > 0
    )
    loaded = amperes.mean(axis=0) >= readings.number("current_unbalance", "least_a", rows)
    yield _unbalanced("current_unbalance", readings, (rows, beside), share, loaded)


def _three(readings: Readings, keys: tuple[str, ...]) -> tuple[Integers, tuple[Integers, Integers], Floats]:
    """The rows of L1 that have both other phases stamped with them, these, and the three sizes."""
    rows = readings.rows_of(keys[0])
    second, third = (readings.same_instant(rows, key) for key in keys[1:])
    whole = (second != NONE) & (third != NONE)
    rows, second, third = rows[whole], second[whole], third[whole]
    return rows, (second, third), np.abs(readings.value[np.stack([rows, second, third])]) / UNIT


def _unbalanced(
    rule: str,
    readings: Readings,
    three: tuple[Integers, tuple[Integers, Integers]],
    share: Floats,
    judged: Flags,
) -> Hits:
    rows, beside = three
    over = judged & (share > readings.number(rule, "share", rows))
    hit = in_a_row(rows, over, readings.cell[rows], readings.number(rule, "readings", rows))
    others = tuple(other[hit] for other in beside)
    return Hits(rows[hit], others, {"unbalance": share[hit]}, "share", worst=share[hit])


def _lasting(rule: str, readings: Readings, rows: Integers, hit: Flags, limit: str, *, worst: Floats) -> Hits:
    """What is beyond a limit in as many readings in a row as the rule asks for."""
    lasting = in_a_row(rows, hit, readings.cell[rows], readings.number(rule, "readings", rows))
    return Hits(rows[lasting], limit=limit, worst=worst[lasting])


def _direct_voltages(readings: Readings) -> tuple[Integers, Floats]:
    rows = readings.rows_of(*_VOLTAGES)
    rows = rows[readings.facts.direct_voltage[readings.fact[rows]]]
    return rows, readings.value[rows] / UNIT


def _is(readings: Readings, rows: Integers, key: str) -> Flags:
    own: Flags = readings.code[rows] == (readings.keys.index(key) if key in readings.keys else NONE)
    return own
