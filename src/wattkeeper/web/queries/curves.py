"""Load curves: intervals laid on an even grid, with what is missing left open."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from wattkeeper.kernel.timerange import TimeRange, start_of_day
from wattkeeper.readings.grids import Grid, Instants, Resolution
from wattkeeper.readings.series import Member, only_shared
from wattkeeper.web.problems import BadRequest

if TYPE_CHECKING:
    from wattkeeper.readings.store import ReadingsStore

__all__ = ["IMPORT", "POINTS_MAX", "Curve", "Resolution", "load_curve"]

POINTS_MAX: Final = 10_000
HOUR_US: Final = 3_600_000_000
IMPORT: Final = "active_energy_import"

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
    """The energy of some points together (None: of all), binned; more bins than allowed are refused before reading.

    Points that all measure by the hour have hours, not four quarters of which nothing is known by itself.
    """
    grid = Grid(period, resolution, zone)
    _refuse_too_many(grid.edges)
    if resolution.step is None:
        return bin_days(store.energy_of_days(point_ids, quantity, period, zone), grid.edges, zone)
    if point_ids is None:
        raise BadRequest(
            "The load of all points together is kept by the day.", hint="Use resolution=day or month."
        )
    members = [Member(0, point) for point in point_ids]
    while only_shared(table := store.energy_series(members, quantity, grid)):
        grid = Grid(period, grid.resolution.coarser[0], zone)
    return bin_series(table, grid.edges)


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


def bin_series(table: pa.Table, edges: Instants) -> Curve:
    """The slots of one series as a curve; what is missing of some points is `partial`, nothing is made up for it."""
    widths = np.diff(edges)
    if not table.num_rows:
        nothing = np.zeros(len(widths), np.int64)
        return Curve(edges, nothing, nothing, np.full(len(widths), _MISSING, dtype=np.int8))
    energy, _ = as_energies(table["energy"])
    known, estimated, edited = (
        np.asarray(table[name].to_numpy(), np.int64) for name in ("known_us", "estimated", "edited")
    )
    points = max(1, int((known / widths).max(initial=1).round()))
    covered = known // points
    state = np.full(len(widths), _MISSING, dtype=np.int8)
    state[covered > 0] = _MEASURED
    state[(covered > 0) & (covered < widths)] = _PARTIAL
    state[edited > 0] = _EDITED
    state[estimated > 0] = _ESTIMATED
    return Curve(edges, energy, np.minimum(known, widths), state)


def _refuse_too_many(edges: Instants) -> None:
    if len(edges) - 1 > POINTS_MAX:
        raise BadRequest(
            f"That would be {len(edges) - 1:,} values, and an answer carries at most {POINTS_MAX:,}.",
            hint="Ask for a shorter period or a coarser resolution.",
        )


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
