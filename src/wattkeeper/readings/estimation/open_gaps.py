"""Gaps without a second register: estimated from the series' own like days, else from what others did at the time.

Nothing says what such a gap adds up to, so its estimates are what is likely, each with its bound.
"""

from dataclasses import dataclass
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from wattkeeper.readings.estimation.profile import estimate
from wattkeeper.readings.estimation.values import Flags, Floats, Integers
from wattkeeper.readings.estimation.windows import Clock, Series, Wanted, batches

LONGEST_DAYS: Final = 35
"""A gap of more than five weeks stays one: like days are too far away."""
_BAND: Final = 1.645
_FEWEST_PEERS: Final = 3


@dataclass(frozen=True, slots=True)
class Filled:
    """A grid of values [series, slot], nan where nothing is known, and how each came about."""

    value: Floats
    error: Floats
    """Half the 90 % band of an estimate; nan where nothing was estimated."""
    method: Integers
    """The place in METHODS."""


METHODS: Final = ("none", "measured", "history", "peers")
_NONE, _MEASURED, _HISTORY, _PEERS = range(4)


def fill(value: Floats, gaps: Integers, clock: Clock, zone: ZoneInfo, *, only_before: bool) -> Filled:
    """Estimate gaps (series, first slot, end slot) in values [series, slot] that lie on the grid of the clock.

    ``only_before`` takes like days from before each gap only, so that later days change nothing.
    """
    known = np.isfinite(value)
    found = Filled(value.copy(), np.full(value.shape, np.nan), np.where(known, _MEASURED, _NONE))
    gaps = gaps[gaps[:, 2] - gaps[:, 1] <= LONGEST_DAYS * clock.per_day]
    if len(gaps):
        _from_history(found, gaps, clock, zone, only_before=only_before)
        _from_peers(found, gaps, known)
    return found


def gaps_of(known: Flags) -> Integers:
    """(series, first slot, end slot) of each run of unknown values between two known ones."""
    first = np.where(known.any(axis=1), known.argmax(axis=1), known.shape[1])
    last = known.shape[1] - np.where(known.any(axis=1), known[:, ::-1].argmax(axis=1), known.shape[1])
    place = np.arange(known.shape[1])
    unknown = ~known & (place >= first[:, None]) & (place < last[:, None])
    edges = np.diff(np.pad(unknown.astype(np.int8), ((0, 0), (1, 1))), axis=1)
    series, begin = np.nonzero(edges == 1)
    _, end = np.nonzero(edges == -1)
    return np.stack([series, begin, end], axis=1).astype(np.int64)


def _from_history(found: Filled, gaps: Integers, clock: Clock, zone: ZoneInfo, *, only_before: bool) -> None:
    for number in np.unique(gaps[:, 0]):
        own = gaps[gaps[:, 0] == number]
        row = found.value[number]
        known = np.flatnonzero(np.isfinite(row))
        none = np.zeros(len(known), dtype=np.int64)
        series = Series.of(clock, 1, none, clock.starts[known], row[known])
        wanted = Wanted(
            number=np.zeros(len(own), dtype=np.int64),
            begin=clock.starts[own[:, 1]],
            end=clock.starts[own[:, 2]],
            total=np.full(len(own), np.nan),
        )
        for _, slots, batch in batches(wanted, series, clock, zone, only_before=only_before):
            likely = estimate(batch)
            places = slots[likely.known]
            row[places] = likely.energy[likely.known]
            found.error[number, places] = likely.error[likely.known]
            found.method[number, places] = _HISTORY


def _from_peers(found: Filled, gaps: Integers, known: Flags) -> None:
    """What others did at the time, in units of their mean, times the mean of the series."""
    mean = np.array(
        [row[there].mean() if there.any() else np.nan for row, there in zip(found.value, known, strict=True)]
    )
    useful = np.isfinite(mean) & (mean > 0)
    for number, begin, end in gaps.tolist():
        if found.method[number, begin] != _NONE or not useful[number]:
            continue
        others = useful & (np.arange(len(mean)) != number)
        at_the_time = (
            np.where(known[others, begin:end], found.value[others, begin:end], np.nan) / mean[others, None]
        )
        count = np.isfinite(at_the_time).sum(axis=0)
        if not len(count) or count.min() < _FEWEST_PEERS:
            continue
        found.value[number, begin:end] = mean[number] * np.nanmean(at_the_time, axis=0)
        found.error[number, begin:end] = mean[number] * _BAND * np.nanstd(at_the_time, axis=0)
        found.method[number, begin:end] = _PEERS
