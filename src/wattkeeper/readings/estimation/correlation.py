"""How deviations from the profile hang together in time: a fast and a slow exponential, fitted to the days."""

from dataclasses import dataclass

import numpy as np

from wattkeeper.readings.estimation.values import Floats, Integers

_FAST_HOURS = (0.25, 0.5, 1.0, 2.0)
_SLOW_HOURS = (4.0, 10.0, 24.0, 72.0)
_LONGEST_HOURS = 24.0
_MOST = 0.995
"""No two slots hang together wholly: a nugget keeps the equations solvable."""


@dataclass(frozen=True, slots=True)
class Correlation:
    """For each gap, ``fast`` exp(-lag / ``fast_slots``) + ``slow`` exp(-lag / ``slow_slots``), and the rest is its own."""

    fast: Floats
    slow: Floats
    fast_slots: Floats
    slow_slots: Floats

    @property
    def own(self) -> Floats:
        """The part of the variance of a slot that no neighbour shares."""
        return 1 - self.fast - self.slow

    def at(self, lag: Integers) -> Floats:
        """The correlation of each gap at some lags [slots]."""
        shape = (-1,) + (1,) * lag.ndim
        return self.fast.reshape(shape) * np.exp(-lag / self.fast_slots.reshape(shape)) + self.slow.reshape(
            shape
        ) * np.exp(-lag / self.slow_slots.reshape(shape))

    def convolved(self, amounts: Floats) -> Floats:
        """For each slot the sum of all amounts, each times its correlation with the slot."""
        slots = amounts.shape[1]
        size = 1 << int(np.ceil(np.log2(max(2 * slots, 2))))
        lags = np.minimum(np.arange(size), size - np.arange(size))
        spectrum = np.fft.rfft(self.at(lags), axis=1) * np.fft.rfft(amounts, size, axis=1)
        return np.fft.irfft(spectrum, size, axis=1)[:, :slots]


def fitted(deviations: Floats, weight: Floats, slots_per_hour: float) -> Correlation:
    """The mixture nearest to the correlation that the days of each gap show, among a grid of ranges."""
    seen, trust = _shown(deviations, weight, int(_LONGEST_HOURS * slots_per_hour))
    lag = np.arange(1, seen.shape[1])
    ranges = np.array([(f, s) for f in _FAST_HOURS for s in _SLOW_HOURS]) * slots_per_hour
    curves = np.exp(-lag[None, :, None] / ranges[:, None, :])  # [range, lag, part]
    parts = _least_squares(curves, seen[:, 1:], trust[:, 1:])
    missed = np.einsum("grp,rlp->grl", parts, curves) - seen[:, None, 1:]
    best = (trust[:, None, 1:] * missed**2).sum(axis=2).argmin(axis=1)
    gap = np.arange(len(best))
    fast, slow = parts[gap, best].T
    return Correlation(fast, slow, ranges[best, 0], ranges[best, 1])


def _shown(deviations: Floats, weight: Floats, longest: int) -> tuple[Floats, Floats]:
    """The correlation at each lag [gap, lag], and how far it can be trusted."""
    slots = deviations.shape[2]
    size = 1 << int(np.ceil(np.log2(2 * slots)))
    root = np.sqrt(weight)
    values = np.where(weight > 0, deviations, 0) * root
    count = min(slots, longest + 1)

    def at_lags(of: Floats) -> Floats:
        spectrum = np.abs(np.fft.rfft(of, size, axis=2)) ** 2
        return np.fft.irfft(spectrum.sum(axis=1), size, axis=1)[:, :count]

    products, pairs = at_lags(values), np.maximum(at_lags(root), 1e-300)
    mean = products / pairs
    # Days that are all alike leave only rounding to divide by rounding: nothing that may overflow when squared.
    seen = np.clip(mean / np.maximum(mean[:, :1], 1e-300), -1e3, 1e3)
    return seen, pairs / pairs[:, :1] / (1 + 0.1 * np.arange(count))


def _least_squares(curves: Floats, seen: Floats, trust: Floats) -> Floats:
    """Two shares for each gap and range [gap, range, part], none below 0 and together below 1."""
    a11 = np.einsum("gl,rl,rl->gr", trust, curves[:, :, 0], curves[:, :, 0])
    a12 = np.einsum("gl,rl,rl->gr", trust, curves[:, :, 0], curves[:, :, 1])
    a22 = np.einsum("gl,rl,rl->gr", trust, curves[:, :, 1], curves[:, :, 1])
    b1 = np.einsum("gl,rl->gr", trust * seen, curves[:, :, 0])
    b2 = np.einsum("gl,rl->gr", trust * seen, curves[:, :, 1])
    determinant = np.maximum(a11 * a22 - a12**2, 1e-12 * a11 * a22 + 1e-300)
    fast = np.clip((b1 * a22 - b2 * a12) / determinant, 0, 1)
    slow = np.clip((b2 - a12 * fast) / np.maximum(a22, 1e-300), 0, 1)
    whole = np.maximum(fast + slow, _MOST) / _MOST
    return np.stack([fast / whole, slow / whole], axis=2)
