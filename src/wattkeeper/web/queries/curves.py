"""Load curves: intervals laid on an even grid, with what is missing left open."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from wattkeeper.kernel.timerange import TimeRange, slot_starts, start_of_day
from wattkeeper.readings.schemas import IntervalStatus
from wattkeeper.web.problems import BadRequest

if TYPE_CHECKING:
    from wattkeeper.readings.store import ReadingsStore

POINTS_MAX: Final = 10_000
SCALE: Final = 10_000
"""Energies are kept with four decimals [kWh]."""
HOUR_US: Final = 3_600_000_000
IMPORT: Final = "active_energy_import"

Instants = npt.NDArray[np.int64]
"""Microseconds since 1970 UTC."""


class Resolution(StrEnum):
    """How wide a bin of a curve is."""

    QUARTER = "15min"
    HOUR = "hour"
    DAY = "day"
    MONTH = "month"


_STEPS: Final = {Resolution.QUARTER: timedelta(minutes=15), Resolution.HOUR: timedelta(hours=1)}
_NAMES: Final = ("missing", "measured", "estimated", "edited", "partial")
_MISSING, _MEASURED, _ESTIMATED, _EDITED, _PARTIAL = range(5)


@dataclass(frozen=True, slots=True)
class Curve:
    """Energy per bin of a grid; every array has one entry per bin, `edges` one more."""

    edges: Instants
    energy: Instants
    """In 1/10,000 kWh; meaningless where `known` is False."""
    covered_us: Instants
    """How much of the bin has a known energy, per point."""
    state: npt.NDArray[np.int8]

    @property
    def known(self) -> npt.NDArray[np.bool_]:
        """Where there is an energy."""
        return np.not_equal(self.state, _MISSING)

    @property
    def total_kwh(self) -> Decimal | None:
        """The sum of all that is known [kWh]."""
        return _decimal(int(self.energy[self.known].sum())) if self.known.any() else None

    @property
    def estimated(self) -> int:
        """Bins that rest on an estimate."""
        return int((self.state == _ESTIMATED).sum())

    @property
    def starts(self) -> list[str]:
        """The bins' first instants, ISO 8601 in UTC."""
        return [
            f"{text}Z" for text in np.datetime_as_string(self.edges[:-1].view("datetime64[us]"), unit="s")
        ]

    @property
    def energy_kwh(self) -> list[str | None]:
        """Energy per bin [kWh], as exact decimals."""
        return [
            _text(value) if there else None
            for value, there in zip(self.energy.tolist(), self.known, strict=True)
        ]

    @property
    def power_kw(self) -> list[str | None]:
        """Mean power over the known part of each bin [kW]."""
        return [None if value is None else _text(value) for value in self._power()]

    @property
    def status(self) -> list[str]:
        """What each bin rests on: measured, estimated, edited, partial or missing."""
        return [_NAMES[state] for state in self.state.tolist()]

    @property
    def peak(self) -> tuple[Decimal, datetime] | None:
        """The highest mean power [kW] and when its bin began."""
        powers = self._power()
        known = [(power, at) for at, power in enumerate(powers) if power is not None]
        if not known:
            return None
        power, at = max(known, key=lambda pair: (pair[0], -pair[1]))
        return _decimal(power), datetime.fromtimestamp(int(self.edges[at]) / 1e6, UTC)

    def _power(self) -> list[int | None]:
        hours = np.maximum(self.covered_us, 1) / HOUR_US
        power = np.rint(self.energy / hours).astype(np.int64).tolist()
        return [value if there else None for value, there in zip(power, self.known, strict=True)]


def load_curve(
    store: "ReadingsStore",
    *,
    point_ids: Sequence[int] | None,
    period: TimeRange,
    resolution: Resolution,
    zone: ZoneInfo,
    quantity: str = IMPORT,
) -> Curve:
    """The energy of some points together (None: of all), binned; more bins than allowed are refused before reading."""
    edges = _edges(period, resolution, zone)
    _refuse_too_many(edges)
    if resolution in _STEPS:
        if point_ids is None:
            raise BadRequest(
                "The load of all points together is kept by the day.", hint="Use resolution=day or month."
            )
        return bin_intervals(store.intervals(point_ids=point_ids, quantity=quantity, period=period), edges)
    days = store.energy_of_days(point_ids, quantity, period, zone)
    return bin_days(days, edges, zone)


def bin_days(days: pa.Table, edges: Instants, zone: ZoneInfo) -> Curve:
    """Add up the store's daily sums per day or month."""
    midnights = np.array(
        [_microseconds(start_of_day(day, zone)) for day in days["day"].to_pylist()], dtype=np.int64
    )
    # A curve may begin within a day: what that day gave counts in the first bin.
    bins = np.searchsorted(edges, np.maximum(midnights, edges[0]), side="right") - 1
    energy, _ = as_energies(days["energy"])
    count = len(edges) - 1
    estimated = _summed(bins, np.asarray(days["estimated"].to_numpy()), count)
    unknown = _summed(bins, np.asarray(days["without_energy"].to_numpy()), count)
    there = _summed(bins, np.asarray(days["intervals"].to_numpy()), count) - unknown
    state = np.full(count, _MISSING, dtype=np.int8)
    state[there > 0] = _MEASURED
    state[(there > 0) & (unknown > 0)] = _PARTIAL
    state[estimated > 0] = _ESTIMATED
    return Curve(edges=edges, energy=_summed(bins, energy, count), covered_us=np.diff(edges), state=state)


def bin_intervals(table: pa.Table, edges: Instants) -> Curve:
    """Add up intervals per bin; an interval counts in the bin it starts in."""
    starts = as_instants(table["start_at"])
    lengths = as_instants(table["end_at"]) - starts
    energy, there = as_energies(table["energy"])
    status = np.asarray(table["status"].to_numpy())
    edges = _widened(edges, lengths)
    bins = np.searchsorted(edges, starts, side="right") - 1
    inside = (bins >= 0) & (bins < len(edges) - 1) & there
    bins, energy, lengths, status = bins[inside], energy[inside], lengths[inside], status[inside]
    count = len(edges) - 1
    points = max(1, len(np.unique(table["point_id"].to_numpy()))) if table.num_rows else 1
    covered = _summed(bins, lengths, count) // points
    return Curve(
        edges=edges,
        energy=_summed(bins, energy, count),
        covered_us=covered,
        state=_states(bins, status, covered, np.diff(edges)),
    )


def area_curve(
    store: "ReadingsStore",
    *,
    point_ids: Sequence[int],
    period: TimeRange,
    resolution: Resolution,
    zone: ZoneInfo,
    quantity: str = IMPORT,
) -> Curve:
    """The energy of many points together, added up in the store."""
    edges = _edges(period, resolution, zone)
    _refuse_too_many(edges)
    if resolution in _STEPS:
        return bin_slots(store.energy_by_slot(point_ids, quantity, period), edges)
    return bin_days(store.energy_of_days(point_ids, quantity, period, zone), edges, zone)


def bin_slots(table: pa.Table, edges: Instants) -> Curve:
    """Lay sums of many points on bins; what is missing of some is `partial`, and nothing is made up for it.

    Where some points measure by the hour and most by the quarter, an hour's energy counts in its quarters alike.
    """
    starts = as_instants(table["start_at"])
    lengths = as_instants(table["end_at"]) - starts
    energy, there = as_energies(table["energy"])
    edges = _widened(edges, lengths)
    step = int(edges[1] - edges[0])
    starts, energy, index = split_evenly(
        starts[there], energy[there], np.maximum(1, lengths[there] // step), step
    )
    points, estimated, edited = (
        np.asarray(table[name].to_numpy(), np.int64)[there][index]
        for name in ("points", "estimated", "edited")
    )
    bins = np.searchsorted(edges, starts, side="right") - 1
    inside = (bins >= 0) & (bins < len(edges) - 1)
    bins, energy, points = bins[inside], energy[inside], points[inside]
    status = (estimated[inside] > 0) * int(IntervalStatus.ESTIMATED) + (edited[inside] > 0) * int(
        IntervalStatus.EDITED
    )
    count, widths = len(edges) - 1, np.diff(edges)
    known = _summed(bins, points * np.minimum(lengths[there][index][inside], step), count)
    covered = known // max(1, int((known / widths).max(initial=1).round()))
    state = _states(bins, status, covered, widths)
    return Curve(
        edges=edges,
        energy=_summed(bins, energy, count),
        covered_us=np.where(covered > 0, widths, 0),
        state=state,
    )


def split_evenly(
    starts: Instants, energy: Instants, parts: Instants, step: int
) -> tuple[Instants, Instants, Instants]:
    """Intervals cut into so many parts of a step: their starts, their energies (exact), and which one each is of."""
    index = np.repeat(np.arange(len(parts)), parts)
    number = np.arange(parts.sum()) - np.repeat(np.cumsum(parts) - parts, parts)
    whole, of = energy[index], parts[index]
    return starts[index] + number * step, whole * (number + 1) // of - whole * number // of, index


def _refuse_too_many(edges: Instants) -> None:
    if len(edges) - 1 > POINTS_MAX:
        raise BadRequest(
            f"That would be {len(edges) - 1:,} values, and an answer carries at most {POINTS_MAX:,}.",
            hint="Ask for a shorter period or a coarser resolution.",
        )


def _edges(period: TimeRange, resolution: Resolution, zone: ZoneInfo) -> Instants:
    if resolution in _STEPS:
        starts = slot_starts(period, _STEPS[resolution], zone).view(np.int64)
    else:
        parts = period.days(zone) if resolution is Resolution.DAY else period.months(zone)
        starts = np.array([_microseconds(part.start) for part in parts], dtype=np.int64)
    assert period.end is not None
    return np.append(starts, _microseconds(period.end))


def _widened(edges: Instants, lengths: Instants) -> Instants:
    """The grid of a point that measures by the hour has hours, not four quarters of which three are empty."""
    if not len(lengths) or len(edges) < 3:  # noqa: PLR2004 (one bin cannot be widened)
        return edges
    step = int(edges[1] - edges[0])
    factor = int(np.median(lengths)) // step
    if factor <= 1:
        return edges
    return np.append(edges[:-1][::factor], edges[-1])


def _states(bins: Instants, status: Instants, covered: Instants, widths: Instants) -> npt.NDArray[np.int8]:
    """The weakest ground a bin stands on."""
    state = np.full(len(widths), _MISSING, dtype=np.int8)
    state[covered > 0] = _MEASURED
    state[(covered > 0) & (covered < widths)] = _PARTIAL
    state[bins[status & int(IntervalStatus.EDITED) != 0]] = _EDITED
    state[bins[status & int(IntervalStatus.ESTIMATED) != 0]] = _ESTIMATED
    return state


def _summed(bins: Instants, values: Instants, count: int) -> Instants:
    """Exact sums per bin: `bincount` with weights would go through floats."""
    sums = np.zeros(count, dtype=np.int64)
    np.add.at(sums, bins, values)
    return sums


def as_instants(column: pa.ChunkedArray) -> Instants:
    """A column of instants in microseconds since 1970 UTC."""
    return np.asarray(column.cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()).to_numpy(), dtype=np.int64)


def as_energies(column: pa.ChunkedArray) -> tuple[Instants, npt.NDArray[np.bool_]]:
    """The energies in 1/10,000 kWh, and where there is one. A decimal128(18, 4) fits its low 64 bits."""
    there = np.asarray(column.is_valid().to_numpy())
    chunks = [
        np.frombuffer(chunk.buffers()[1], dtype=np.int64)[2 * chunk.offset :][: 2 * len(chunk) : 2]
        for chunk in column.chunks
        if len(chunk)
    ]
    return (np.concatenate(chunks) if chunks else np.zeros(0, dtype=np.int64)), there


def _microseconds(instant: datetime) -> int:
    return (instant - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def _decimal(units: int) -> Decimal:
    return Decimal(units).scaleb(-4)


def _text(units: int) -> str:
    return f"{_decimal(units):f}"
