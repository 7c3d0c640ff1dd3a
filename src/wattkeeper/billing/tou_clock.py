"""Splits interval energy by a tariff's civil hours, vectorised and without losing a unit.

Energy is counted in units of 0.0001 kWh, as in the readings store; instants are microseconds since 1970 UTC.
"""

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from wattkeeper.billing.tariff import Tou
from wattkeeper.kernel.calendars import Calendar, DayKind
from wattkeeper.kernel.timerange import TimeRange

Integers = npt.NDArray[np.int64]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_MINUTE = 60_000_000
_DAY_MINUTES = 1440


@lru_cache(maxsize=512)
def tou_pieces(tou: Tou, period: TimeRange, zone: ZoneInfo, calendar: Calendar) -> tuple[Integers, Integers]:
    """The period cut where the wall clock changes the time-of-use period: piece starts, and index into `tou.periods`.

    On a day of 23 or 25 hours the wall clock decides: an hour that comes twice is billed twice by the same rule.
    """
    assert period.end is not None
    starts: list[int] = []
    codes: list[int] = []
    index = {entry.code: number for number, entry in enumerate(tou.periods)}
    for day in period.days(zone):
        assert day.end is not None
        for start, code in _day_pieces(tou, day, zone, calendar):
            if not codes or codes[-1] != index[code]:
                starts.append(start)
                codes.append(index[code])
    return np.array(starts, dtype=np.int64), np.array(codes, dtype=np.int64)


def _day_pieces(tou: Tou, day: TimeRange, zone: ZoneInfo, calendar: Calendar) -> list[tuple[int, str]]:
    assert day.end is not None
    civil = day.start.astimezone(zone).date()
    rule = tou.rule(civil.month, _kind(tou, civil, calendar))
    whole = TimeRange.day(civil, zone)
    assert whole.end is not None
    first, last = _microseconds(day.start), _microseconds(day.end)
    if whole.duration == timedelta(days=1) and _has_one_offset(whole, zone):
        midnight = _microseconds(whole.start)
        pieces = [
            (midnight + start * _MINUTE, midnight + end * _MINUTE, code) for start, end, code in rule.spans
        ]
    else:
        pieces = _by_the_minute(whole, rule.spans, zone)
    return [(max(start, first), code) for start, end, code in pieces if end > first and start < last]


def _by_the_minute(
    day: TimeRange, spans: tuple[tuple[int, int, str], ...], zone: ZoneInfo
) -> list[tuple[int, int, str]]:
    """A day of a clock change, minute for minute of elapsed time, by what the wall clock shows."""
    at = [code for start, end, code in spans for _ in range(start, end)]
    pieces: list[tuple[int, int, str]] = []
    for elapsed in range(day.duration // timedelta(minutes=1)):
        wall = (day.start + timedelta(minutes=elapsed)).astimezone(zone)
        code = at[wall.hour * 60 + wall.minute]
        start = _microseconds(day.start) + elapsed * _MINUTE
        if pieces and pieces[-1][2] == code:
            pieces[-1] = (pieces[-1][0], start + _MINUTE, code)
        else:
            pieces.append((start, start + _MINUTE, code))
    return pieces


def _has_one_offset(day: TimeRange, zone: ZoneInfo) -> bool:
    assert day.end is not None
    return day.start.astimezone(zone).utcoffset() == day.end.astimezone(zone).utcoffset()


def _kind(tou: Tou, day: date, calendar: Calendar) -> DayKind:
    """The calendar is asked only where it matters: most clocks run without knowing next year's holidays."""
    return calendar.kind_of(day) if tou.needs_kinds(day.month) else DayKind.WORKDAY


def energy_by_tou(
    starts: Integers, ends: Integers, energy: Integers, pieces: tuple[Integers, Integers], periods: int
) -> Integers:
    """The energy of each time-of-use period; intervals lie within the pieces and energies are whole units.

    An interval over a boundary is divided by time; its parts add up to it exactly.
    """
    boundaries, codes = pieces
    first = np.searchsorted(boundaries, starts, "right") - 1
    last = np.searchsorted(boundaries, ends - 1, "right") - 1
    whole = first == last
    totals = np.zeros(periods, dtype=np.int64)
    np.add.at(totals, codes[first[whole]], energy[whole])
    for row in np.flatnonzero(~whole):
        start, end, units = int(starts[row]), int(ends[row]), int(energy[row])
        counted = 0
        for piece in range(int(first[row]), int(last[row]) + 1):
            until = end if piece == last[row] else int(boundaries[piece + 1])
            upto = units * (until - start) // (end - start)
            totals[codes[piece]] += upto - counted
            counted = upto
    return totals


def _microseconds(instant: datetime) -> int:
    return (instant - _EPOCH) // _MICROSECOND
