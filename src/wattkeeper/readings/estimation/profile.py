"""The likely course of a gap: like days, bent to the hours around it and to the energy between its registers.

Each like day deviates from their common profile, and deviations hang together in time: half an hour after a high one
the next is likely high, a day later hardly. We take the deviations, in units of their spread at that time of day, as a
stationary Gaussian process whose correlation is a mixture of a fast and a slow exponential, fitted to the point's own
days. What is known of the gap, the hours before and after it and its total, then gives its likely course in closed form
(kriging). At an hour it is close to an interpolation along the shape of the day, at three days to like days scaled to
the total; nothing switches between the two.

Loads that never turn negative are taken as logarithms, so that deviations are shares rather than amounts: a home's peaks
scale, its stand-by does not.
"""

import numpy as np

from wattkeeper.readings.estimation.correlation import Correlation, fitted
from wattkeeper.readings.estimation.values import Estimates, Flags, Floats, Gaps

_FEWEST_DAYS = 4
"""Fewer like days tell no profile from chance."""
_FLOOR = 0.2
"""Part of the mean load that is added before the logarithm is taken: below it a load is as good as none."""
_LIKENESS = 0.5
"""How fast a day loses weight as its surroundings differ from the gap's, in median distances."""
_POOLED = 0.5
"""How far the spread at one time of day is drawn towards the spread over all."""
_BAND = 1.645
_WIDENED = 1.15
"""Past days took part in the profile they are tested against, so their errors are a little too small."""
_FEWEST_TESTS = 5


def estimate(gaps: Gaps) -> Estimates:
    """The likely course of each gap, all at once; see the module's text."""
    scale = _Scale.of(gaps)
    rows, around = scale.there(gaps.history), scale.there(gaps.surroundings)
    weight = _by_likeness(gaps, rows, around)
    profile, spread = _profile(rows, weight)
    deviations = (rows - profile[:, None]) / spread[:, None]
    link = fitted(deviations, weight, gaps.slots_per_hour)
    course = _Course(gaps, scale, link, profile=profile, spread=spread, around=(around - profile) / spread)
    return Estimates(known=_enough(gaps), energy=course.energy(), error=course.error(deviations, gaps.weight))


def _enough(gaps: Gaps) -> Flags:
    """Whether each slot of a gap has days to go by."""
    days = (np.isfinite(gaps.history) & (gaps.weight > 0)).sum(axis=1)[:, gaps.inside]
    enough: Flags = days.min(axis=1) >= _FEWEST_DAYS
    return enough


class _Scale:
    """The scale on which deviations are alike at all times: logarithms, or plain energy where it has a sign."""

    def __init__(self, logarithmic: Flags, floor: Floats) -> None:
        self._logarithmic = logarithmic
        self._floor = floor

    @classmethod
    def of(cls, gaps: Gaps) -> "_Scale":
        known = np.isfinite(gaps.history)
        mean = np.where(known, gaps.history, 0).sum(axis=(1, 2)) / np.maximum(known.sum(axis=(1, 2)), 1)
        lowest = np.minimum(
            np.where(known, gaps.history, 0).min(axis=(1, 2)),
            np.where(np.isfinite(gaps.surroundings), gaps.surroundings, 0).min(axis=1),
        )
        unsigned = (lowest >= 0) & ~(gaps.total < 0) & (mean > 0)
        return cls(unsigned, np.where(mean > 0, _FLOOR * mean, 1.0))

    def there(self, energy: Floats) -> Floats:
        """From energy to the scale."""
        logarithmic, floor = self._shaped(energy.ndim)
        return np.where(logarithmic, np.log(np.maximum(energy, 0) + floor), energy)

    def back(self, value: Floats) -> Floats:
        """From the scale to energy; never below zero for a load without a sign."""
        logarithmic, floor = self._shaped(value.ndim)
        # A share of e^30 is no load; the bound only keeps the search for a total from overflowing.
        unsigned = np.maximum(np.exp(np.minimum(value, np.log(floor) + 30)) - floor, 0)
        return np.where(logarithmic, unsigned, value)

    def slope(self, value: Floats) -> Floats:
        """Energy per unit of the scale."""
        logarithmic, floor = self._shaped(value.ndim)
        return np.where(logarithmic, np.exp(np.minimum(value, np.log(floor) + 30)), 1.0)

    def _shaped(self, axes: int) -> tuple[Flags, Floats]:
        shape = (-1,) + (1,) * (axes - 1)
        return self._logarithmic.reshape(shape), self._floor.reshape(shape)


def _by_likeness(gaps: Gaps, rows: Floats, around: Floats) -> Floats:
    """The weights of the days, less for those whose hours around the gap, or whose total, were unlike."""
    outside = np.ones(rows.shape[2], dtype=bool)
    outside[gaps.inside] = False
    distance = _mean((rows[:, :, outside] - around[:, None, outside]) ** 2, axis=2)
    weight = gaps.weight * _lessened(distance)[:, :, None]
    if gaps.slots > 2:  # noqa: PLR2004  the total of two slots says nothing of their course
        own = (gaps.history[:, :, gaps.inside] * gaps.covered[:, None]).sum(axis=2)
        weight = weight * _lessened((own - gaps.total[:, None]) ** 2)[:, :, None]
    return np.where(np.isfinite(rows), weight, 0)


def _lessened(distance: Floats) -> Floats:
    """A factor up to 1 for each day; a day of unknown distance counts as the median one."""
    known = np.isfinite(distance)
    median = _median(distance, known)
    filled = np.where(known, distance, median[:, None])
    return np.exp(-_LIKENESS * filled / np.where(median > 0, median, 1)[:, None])


def _median(values: Floats, known: Flags) -> Floats:
    """The median of the known values of each row; 0 where none is."""
    ordered = np.sort(np.where(known, values, np.inf), axis=1)
    middle = np.maximum(known.sum(axis=1) - 1, 0) // 2
    found = np.take_along_axis(ordered, middle[:, None], axis=1)[:, 0]
    return np.where(np.isfinite(found), found, 0.0)


def _mean(values: Floats, axis: int) -> Floats:
    known = np.isfinite(values)
    count = known.sum(axis=axis)
    total = np.where(known, values, 0).sum(axis=axis)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _profile(rows: Floats, weight: Floats) -> tuple[Floats, Floats]:
    """The weighted mean of the days at each slot, and their spread around it, smoothed over neighbouring slots."""
    values = np.where(weight > 0, rows, 0)
    whole = np.maximum(weight.sum(axis=1), 1e-300)
    profile = (weight * values).sum(axis=1) / whole
    variance = (weight * (values - profile[:, None]) ** 2).sum(axis=1) / whole
    padded = np.pad(variance, ((0, 0), (2, 2)), mode="edge")
    smooth = np.lib.stride_tricks.sliding_window_view(padded, 5, axis=1).mean(axis=2)
    overall = variance.mean(axis=1, keepdims=True)
    pooled = (1 - _POOLED) * smooth + _POOLED * overall
    least = 1e-6 * np.maximum((profile**2).mean(axis=1, keepdims=True), 1e-12)
    return profile, np.sqrt(np.maximum(pooled, least))


class _Course:
    """The conditional course of each gap: its mean and covariance given the hours around, then given the total."""

    def __init__(
        self,
        gaps: Gaps,
        scale: _Scale,
        link: Correlation,
        *,
        profile: Floats,
        spread: Floats,
        around: Floats,
    ) -> None:
        self._gaps, self._scale, self._link = gaps, scale, link
        place = np.arange(profile.shape[1])
        self._inside = place[gaps.inside]
        self._outside = np.delete(place, gaps.inside)
        self._spread = spread[:, gaps.inside]
        self._gain = self._weights(around[:, self._outside])
        pull = np.einsum("gio,go->gi", self._gain, np.nan_to_num(around[:, self._outside]))
        self._mean = profile[:, gaps.inside] + self._spread * pull
        self._value_per_step = gaps.covered * np.maximum(scale.slope(self._mean), 1e-300)
        self._drift = np.maximum(self._covariance_with(self._value_per_step), 0)
        self._stiffness = np.maximum((self._value_per_step * self._drift).sum(axis=1), 1e-300)

    def _weights(self, around: Floats) -> Floats:
        """[gap, slot, neighbour] how far each known neighbour's deviation carries to each slot."""
        apart = np.abs(self._outside[:, None] - self._outside[None])
        among = self._link.at(apart) + np.eye(len(self._outside)) * self._link.own[:, None, None]
        # A neighbour that is not known is one measured with endless error.
        among += np.where(np.isfinite(around), 0, 1e9)[:, :, None] * np.eye(len(self._outside))
        self._across = self._link.at(np.abs(self._inside[:, None] - self._outside[None]))
        gain = np.linalg.solve(among, self._across.transpose(0, 2, 1)).transpose(0, 2, 1)
        return np.asarray(gain, np.float64)

    def _covariance_with(self, amounts: Floats) -> Floats:
        """The conditional covariance of each slot with a weighted sum of all."""
        scaled = self._spread * amounts
        joint = self._link.convolved(scaled) + self._link.own[:, None] * scaled
        seen = np.einsum("gio,gi->go", self._across, scaled)
        covariance: Floats = self._spread * (joint - np.einsum("gio,go->gi", self._gain, seen))
        return covariance

    def energy(self) -> Floats:
        """The likely energy of each slot, moved along its uncertainty until all add up to the total."""
        gaps = self._gaps
        closed = np.isfinite(gaps.total)
        self._value = self._mean + np.where(closed, self._shift(), 0)[:, None] * self._drift
        energy = gaps.covered * self._scale.back(self._value)
        found = energy.sum(axis=1)
        # What the search left over is spread by energy; a total of nothing is nothing everywhere.
        even = gaps.covered / gaps.covered.sum(axis=1, keepdims=True) * np.nan_to_num(gaps.total)[:, None]
        proportional = energy * np.where(found != 0, gaps.total / np.where(found != 0, found, 1), 1)[:, None]
        close = np.abs(found - gaps.total) <= 0.5 * np.abs(gaps.total)
        return np.where(closed[:, None], np.where(close[:, None], proportional, even), energy)

    def _shift(self) -> Floats:
        """How far along the drift the energies add up to the total, by bisection; exact for a straight scale."""
        gaps = self._gaps
        total = np.nan_to_num(gaps.total)

        def missing(step: Floats) -> Floats:
            value = self._mean + step[:, None] * self._drift
            short: Floats = (gaps.covered * self._scale.back(value)).sum(axis=1) - total
            return short

        straight = -missing(np.zeros(len(total))) / self._stiffness
        reach = np.maximum(np.abs(straight), 1e-12)
        low, high = -reach, reach
        for _ in range(60):
            low = np.where(missing(low) > 0, 2 * low, low)
            high = np.where(missing(high) < 0, 2 * high, high)
        for _ in range(60):
            middle = (low + high) / 2
            over = missing(middle) > 0
            low, high = np.where(over, low, middle), np.where(over, middle, high)
        return np.asarray((low + high) / 2, np.float64)

    def error(self, deviations: Floats, weight: Floats) -> Floats:
        """Half the 90 % band of each slot: the spread that is left, widened to hold the point's own past errors."""
        gaps = self._gaps
        closed = np.isfinite(gaps.total)
        left = self._spread**2 * (1 - (self._gain * self._across).sum(axis=2))
        bound = np.where(closed[:, None], self._drift**2 / self._stiffness[:, None], 0)
        spread = np.sqrt(np.maximum(left - bound, 1e-6 * left))
        band = self._quantile(deviations, weight, spread)[:, None] * spread
        upper, lower = self._scale.back(self._value + band), self._scale.back(self._value - band)
        return gaps.covered * (upper - lower) / 2

    def _quantile(self, deviations: Floats, weight: Floats, spread: Floats) -> Floats:
        """What 90 % of the errors keep to, in spreads, had each like day had this gap."""
        gaps = self._gaps
        inside, outside = deviations[:, :, gaps.inside], np.nan_to_num(deviations[:, :, self._outside])
        whole: Flags = np.asarray(np.isfinite(inside).all(axis=2))
        missed = np.nan_to_num(inside) - np.einsum("gio,gdo->gdi", self._gain, outside)
        missed *= self._spread[:, None]
        closed = np.isfinite(gaps.total)[:, None]
        pulled = np.einsum("gdi,gi->gd", missed, self._value_per_step) / self._stiffness[:, None]
        missed -= np.where(closed, pulled, 0)[:, :, None] * self._drift[:, None]
        ratio = np.where(whole[:, :, None], np.abs(missed) / spread[:, None], np.nan)
        counted = np.where(whole, weight[:, :, gaps.inside].mean(axis=2), 0)
        tested = _weighted_quantile(ratio, counted, 0.9)
        return _WIDENED * np.where(whole.sum(axis=1) >= _FEWEST_TESTS, tested, _BAND)


def _weighted_quantile(values: Floats, weight: Floats, level: float) -> Floats:
    """The quantile over days and slots of each gap, each day with its weight."""
    gaps = len(values)
    flat = values.reshape(gaps, -1)
    weights = np.repeat(weight, values.shape[2], axis=1)
    order = np.argsort(np.where(np.isfinite(flat), flat, np.inf), axis=1)
    running = np.cumsum(np.take_along_axis(weights, order, axis=1), axis=1)
    place = (running < level * running[:, -1:]).sum(axis=1)
    place = np.minimum(place, flat.shape[1] - 1)
    found = np.take_along_axis(np.take_along_axis(flat, order, axis=1), place[:, None], axis=1)[:, 0]
    return np.where(np.isfinite(found), found, _BAND)
