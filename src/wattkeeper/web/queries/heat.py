"""Heat maps: a point's load as days by quarter hours of the civil day.

A day has 96 rows. Where the clocks go forward, four of them never were (`skipped`); where they go back, four happened
twice: their energy is that of both, their power the mean. What is not over yet is `ahead`, what is not known `missing`.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from wattkeeper.kernel.timerange import TimeRange, slot_starts
from wattkeeper.readings.schemas import IntervalStatus
from wattkeeper.web.problems import BadRequest
from wattkeeper.web.queries.curves import HOUR_US, IMPORT, as_energies, as_instants

if TYPE_CHECKING:
    from wattkeeper.readings.store import ReadingsStore

ROWS: Final = 96
QUARTER: Final = timedelta(minutes=15)
QUARTER_US: Final = 900_000_000
DAYS_MAX: Final = 100
STATUSES: Final = ("skipped", "ahead", "missing", "measured", "estimated", "edited")
_SKIPPED, _AHEAD, _MISSING, _MEASURED, _ESTIMATED, _EDITED = range(6)

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class HeatMap:
    """One row per day of 96 cells; energy in 1/10,000 kWh, covered time in µs, both 0 where nothing is known."""

    days: tuple[date, ...]
    energy: Integers
    covered_us: Integers
    state: npt.NDArray[np.int8]

    @property
    def known(self) -> npt.NDArray[np.bool_]:
        """Where there is an energy."""
        return np.greater_equal(self.state, _MEASURED)

    @property
    def expected(self) -> int:
        """The cells that are over and were on the clock."""
        return int(np.greater_equal(self.state, _MISSING).sum())

    @property
    def power(self) -> Integers:
        """Mean power over the known time of each cell [1/10,000 kW]."""
        hours = np.maximum(self.covered_us, 1) / HOUR_US
        return np.rint(self.energy / hours).astype(np.int64)

    def energy_kwh(self) -> list[list[Decimal | None]]:
        """Energy per cell [kWh]."""
        return _decimals(self.energy, self.known)

    def power_kw(self) -> list[list[Decimal | None]]:
        """Mean power per cell [kW]."""
        return _decimals(self.power, self.known)

    def status(self) -> list[list[str]]:
        """What each cell rests on."""
        return [[STATUSES[state] for state in row] for row in self.state.tolist()]

    @property
    def most_kw(self) -> Decimal | None:
        """The highest mean power [kW]."""
        return Decimal(int(self.power[self.known].max())).scaleb(-4) if self.known.any() else None


def slots() -> list[str]:
    """The beginnings of the 96 rows."""
    return [f"{row // 4:02d}:{row % 4 * 15:02d}" for row in range(ROWS)]


def heat_map(
    store: "ReadingsStore",
    *,
    point_id: int,
    period: TimeRange,
    zone: ZoneInfo,
    now: datetime,
    quantity: str = IMPORT,
) -> HeatMap:
    """The heat map of the civil days that a period touches."""
    first = period.start.astimezone(zone).date()
    last = (period.closed_end - timedelta(microseconds=1)).astimezone(zone).date()
    days = tuple(first + timedelta(days=number) for number in range((last - first).days + 1))
    if len(days) > DAYS_MAX:
        raise BadRequest(
            f"That would be {len(days):,} days, and a heat map carries at most {DAYS_MAX}.",
            hint="Ask for a shorter period.",
        )
    whole = TimeRange(TimeRange.day(first, zone).start, TimeRange.day(last, zone).end)
    table = store.intervals(point_ids=[point_id], quantity=quantity, period=whole)
    return laid_out(table, days, zone, now=now)


def laid_out(table: pa.Table, days: tuple[date, ...], zone: ZoneInfo, *, now: datetime) -> HeatMap:
    """Intervals of one point laid on days by quarter hours; those of hours count in four cells alike."""
    shape = (len(days), ROWS)
    energy, covered = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    state = np.full(shape, _SKIPPED, np.int8)
    whole = TimeRange(TimeRange.day(days[0], zone).start, TimeRange.day(days[-1], zone).end)
    starts = slot_starts(whole, QUARTER, zone).view(np.int64)
    day, row = _places(starts, days[0], zone)
    over = starts + QUARTER_US <= (now - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    state[day[~over], row[~over]] = _AHEAD
    state[day[over], row[over]] = _MISSING
    at, amount, length, status = _quarters(table)
    day, row = _places(at, days[0], zone)
    inside = (day >= 0) & (day < len(days))
    day, row, amount, length, status = (part[inside] for part in (day, row, amount, length, status))
    np.add.at(energy, (day, row), amount)
    np.add.at(covered, (day, row), length)
    ground = np.full(len(status), _MEASURED, np.int8)
    ground[status & int(IntervalStatus.EDITED) != 0] = _EDITED
    ground[status & int(IntervalStatus.ESTIMATED) != 0] = _ESTIMATED
    for kind in (_MEASURED, _EDITED, _ESTIMATED):  # of two quarters in one cell, the weaker ground tells
        state[day[ground == kind], row[ground == kind]] = kind
    return HeatMap(days, energy, covered, state)


def _quarters(table: pa.Table) -> tuple[Integers, Integers, Integers, Integers]:
    """Intervals with an energy as quarter hours: start, energy, length, status; finer ones stay as they are."""
    starts, ends = as_instants(table["start_at"]), as_instants(table["end_at"])
    energy, there = as_energies(table["energy"])
    status = np.asarray(table["status"].to_numpy(), np.int64)
    starts, lengths, energy, status = starts[there], (ends - starts)[there], energy[there], status[there]
    starts, energy, index = split_evenly(starts, energy, np.maximum(1, lengths // QUARTER_US), QUARTER_US)
    return starts, energy, np.minimum(lengths, QUARTER_US)[index], status[index]


def split_evenly(
    starts: Integers, energy: Integers, parts: Integers, step: int
) -> tuple[Integers, Integers, Integers]:
    """Intervals cut into so many parts of a step: their starts, their energies (exact), and which one each is of."""
    index = np.repeat(np.arange(len(parts)), parts)
    number = np.arange(parts.sum()) - np.repeat(np.cumsum(parts) - parts, parts)
    whole, of = energy[index], parts[index]
    return starts[index] + number * step, whole * (number + 1) // of - whole * number // of, index


def _places(starts: Integers, first: date, zone: ZoneInfo) -> tuple[Integers, Integers]:
    """Day (counted from the first) and row of each instant, by the zone's civil time."""
    origin = (first - date(1970, 1, 1)).days
    local = starts + _offsets(starts, zone)
    quarters = local // QUARTER_US
    return quarters // ROWS - origin, quarters % ROWS


def _offsets(starts: Integers, zone: ZoneInfo) -> Integers:
    """The zone's offset at each instant [µs]; looked up once per half hour: clocks change on these."""
    halves, index = np.unique(starts // (2 * QUARTER_US), return_inverse=True)
    found = [
        (datetime.fromtimestamp(half * 1800, UTC).astimezone(zone).utcoffset() or timedelta())
        // timedelta(microseconds=1)
        for half in halves.tolist()
    ]
    return np.asarray(found, np.int64)[index] if found else np.zeros(0, np.int64)


def _decimals(units: Integers, known: npt.NDArray[np.bool_]) -> list[list[Decimal | None]]:
    return [
        [Decimal(value).scaleb(-4) if there else None for value, there in zip(*row, strict=True)]
        for row in zip(units.tolist(), known.tolist(), strict=True)
    ]
