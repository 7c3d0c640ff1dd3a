"""Even grids of civil time over a period: what a series is laid on.

Slots of a quarter, half or whole hour restart at each civil midnight (a day of a clock change has 92 or 100 quarters);
days, weeks (from Monday), months and years are civil ones. The first and the last slot are cut to the period, so that
the slots partition it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from wattkeeper.kernel.timerange import TimeRange, slot_starts, start_of_day
from wattkeeper.readings.batches import microseconds
from wattkeeper.readings.civil import civil_day
from wattkeeper.readings.schemas import INSTANT

Instants = npt.NDArray[np.int64]
"""Microseconds since 1970 UTC."""

BINS_SCHEMA: Final = pa.schema([("bin", pa.int64()), ("start_at", INSTANT), ("end_at", INSTANT)])

_DAY: Final = timedelta(days=1)
_EPOCH_DAY: Final = date(1970, 1, 1)
_MICROSECOND: Final = timedelta(microseconds=1)


class Resolution(StrEnum):
    """How wide a slot is, from fine to coarse; each but the week divides all that follow."""

    QUARTER = "15min"
    HALF_HOUR = "30min"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"

    @property
    def step(self) -> timedelta | None:
        """The length of a slot; None where the calendar says it."""
        return _STEPS.get(self)

    @property
    def coarser(self) -> "tuple[Resolution, ...]":
        """Those that come after it, finest first."""
        every = tuple(Resolution)
        return every[every.index(self) + 1 :]


_STEPS: Final = {
    Resolution.QUARTER: timedelta(minutes=15),
    Resolution.HALF_HOUR: timedelta(minutes=30),
    Resolution.HOUR: timedelta(hours=1),
}


@dataclass(frozen=True)
class Grid:
    """The slots of a closed period."""

    period: TimeRange
    resolution: Resolution
    zone: ZoneInfo

    @property
    def step_us(self) -> int | None:
        """The length of a slot [µs]; None where the calendar says it."""
        step = self.resolution.step
        return None if step is None else step // _MICROSECOND

    @property
    def edges(self) -> Instants:
        """The beginnings of the slots, and the end of the last one."""
        start, end = microseconds(self.period.start), microseconds(self.period.closed_end)
        inner = self._cuts()
        return np.concatenate(([start], inner[(inner > start) & (inner < end)], [end]))

    def bins(self) -> pa.Table:
        """The slots (BINS_SCHEMA), each with the number that `bin_of` gives instants within it."""
        edges = self.edges
        if self.step_us is None:
            days = [datetime.fromtimestamp(us / 1e6, UTC).astimezone(self.zone).date() for us in edges[:-1]]
            numbers = [(_first_day(day, self.resolution) - _EPOCH_DAY).days for day in days]
            bins = np.asarray(numbers, dtype=np.int64)
        else:
            phase = self._phases()[0][1]
            first = (int(edges[0]) - phase) // self.step_us * self.step_us + phase
            bins = np.concatenate(([first], edges[1:-1]))
        columns = [
            pa.array(bins),
            *(pa.array(part, pa.int64()).cast(INSTANT) for part in (edges[:-1], edges[1:])),
        ]
        return pa.table(columns, schema=BINS_SCHEMA)

    def bin_of(self, column: str) -> str:
        """The number of the slot that an instant of the period lies in, as SQL."""
        if self.step_us is None:
            day = civil_day(column, self.period, self.zone)
            first = (
                day if self.resolution is Resolution.DAY else f"date_trunc('{self.resolution}', {day})::DATE"
            )
            return f"({first} - DATE '1970-01-01')::BIGINT"
        (_, phase), *changes = self._phases()
        chosen = str(phase)
        for since, then in changes:
            chosen = f"CASE WHEN epoch_us({column}) < {since} THEN {chosen} ELSE {then} END"
        return f"((epoch_us({column}) - {chosen}) // {self.step_us} * {self.step_us} + {chosen})"

    def _cuts(self) -> Instants:
        """All beginnings of slots in the period, and perhaps some around it."""
        step = self.resolution.step
        if step is not None:
            return slot_starts(self.period, step, self.zone).view(np.int64)
        first = self.period.start.astimezone(self.zone).date()
        return np.asarray(
            [
                microseconds(cut)
                for cut in _calendar_cuts(first, self.period.closed_end, self.resolution, self.zone)
            ],
            dtype=np.int64,
        )

    def _phases(self) -> list[tuple[int, int]]:
        """From which midnight on slots begin how far from a multiple of the step [µs]; the first holds before it too."""
        assert self.step_us is not None
        first = self.period.start.astimezone(self.zone).date()
        found: list[tuple[int, int]] = []
        for midnight in _calendar_cuts(first, self.period.closed_end, Resolution.DAY, self.zone):
            phase = microseconds(midnight) % self.step_us
            if not found or found[-1][1] != phase:
                found.append((microseconds(midnight), phase))
        return found


def same_period_before(period: TimeRange, zone: ZoneInfo) -> TimeRange:
    """The period just before one, as long by the calendar: as many months, days, or else as much time."""
    first, last = (instant.astimezone(zone) for instant in (period.start, period.closed_end))
    whole_days = all(start_of_day(civil.date(), zone) == civil.astimezone(UTC) for civil in (first, last))
    if whole_days and first.day == last.day == 1:
        months = (last.year - first.year) * 12 + last.month - first.month
        return TimeRange(start_of_day(_months_later(first.date(), -months), zone), period.start)
    if whole_days:
        return TimeRange(start_of_day(first.date() - (last.date() - first.date()), zone), period.start)
    return TimeRange(period.start - period.duration, period.start)


def same_period_last_year(period: TimeRange, zone: ZoneInfo) -> TimeRange:
    """The same civil dates and times a year earlier; the 29th of February becomes the 1st of March."""
    start, end = (
        _year_before(instant.astimezone(zone), zone) for instant in (period.start, period.closed_end)
    )
    return TimeRange(start, end)


def _year_before(civil: datetime, zone: ZoneInfo) -> datetime:
    naive = civil.replace(tzinfo=None)
    try:
        earlier = naive.replace(year=naive.year - 1)
    except ValueError:
        earlier = naive.replace(year=naive.year - 1, month=3, day=1)
    return earlier.replace(tzinfo=zone, fold=civil.fold).astimezone(UTC)


def _calendar_cuts(first: date, end: datetime, resolution: Resolution, zone: ZoneInfo) -> Iterator[datetime]:
    """The beginnings of civil days, weeks, months or years, from that which holds a day up to an instant."""
    day = _first_day(first, resolution)
    while (cut := start_of_day(day, zone)) < end:
        yield cut
        day = _next(day, resolution)


def _first_day(day: date, resolution: Resolution) -> date:
    match resolution:
        case Resolution.WEEK:
            return day - _DAY * day.weekday()
        case Resolution.MONTH:
            return day.replace(day=1)
        case Resolution.YEAR:
            return day.replace(month=1, day=1)
        case _:
            return day


def _next(day: date, resolution: Resolution) -> date:
    match resolution:
        case Resolution.WEEK:
            return day + 7 * _DAY
        case Resolution.MONTH:
            return _months_later(day, 1)
        case Resolution.YEAR:
            return day.replace(year=day.year + 1)
        case _:
            return day + _DAY


def _months_later(first: date, months: int) -> date:
    number = first.year * 12 + first.month - 1 + months
    return date(number // 12, number % 12 + 1, 1)


def covered_until(instants: Instants, spans: list[tuple[int, int]]) -> Instants:
    """How much of some spans of time, added up, lies before each instant [µs]; spans may overlap and count each."""
    starts, ends = (
        np.sort(np.asarray(part, dtype=np.int64))
        for part in (zip(*spans, strict=True) if spans else ((), ()))
    )
    return _passed(instants, starts) - _passed(instants, ends)


def _passed(instants: Instants, marks: Instants) -> Instants:
    """The sum of what has passed since each mark, marks ahead counting nothing."""
    sums = np.concatenate(([0], np.cumsum(marks)))
    count = np.searchsorted(marks, instants, side="right")
    passed: Instants = count * instants - sums[count]
    return passed
