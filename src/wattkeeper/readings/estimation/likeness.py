"""Which days are alike: by their kind in the calendar of the country, and by how near they lie."""

import importlib.resources
from collections.abc import Sequence
from datetime import date, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np

from wattkeeper.kernel.calendars import Calendar, CalendarUnknown, CalendarYearUnknown, DayKind
from wattkeeper.readings.estimation.values import Floats, Integers

_EPOCH = date(1970, 1, 1)
_SUNDAY = 6
_WORKDAY, _SATURDAY, _FREE = range(3)

_MEMORY_DAYS = 30
"""After so many days a day counts 1/e of one today: seasons move, homes change."""
_OTHER_KIND = 0.3
"""What a day of another kind counts; where there are only such days, their level still comes from the total."""
_SAME_WEEKDAY = 1.3


def kinds_of(first: int, days: int, zone: ZoneInfo) -> Integers:
    """The kind of each of some civil days, from a day given in days since 1970: workday, Saturday, or free like a Sunday.

    Holidays and make-up workdays are those of the country the zone lies in. A year whose holidays are not known goes
    by its weekdays: here a guess only makes an estimate worse.
    """
    calendar = _calendar(zone.key)
    return np.array(
        [_kind(calendar, _EPOCH + timedelta(days=first + n)) for n in range(days)], dtype=np.int64
    )


def weights(kinds: Integers, others: Integers, shifts: Integers) -> Floats:
    """[gap, day, slot] what a day so many days away counts, before its hours are looked at.

    ``kinds`` [gap, slot] and ``others`` [gap, day, slot] are the kinds of the slots' days.
    """
    by_distance = np.exp(-np.abs(shifts) / _MEMORY_DAYS) * np.where(shifts % 7 == 0, _SAME_WEEKDAY, 1.0)
    by_kind = np.where(others == kinds[:, None], 1.0, _OTHER_KIND)
    weighted: Floats = by_kind * by_distance[None, :, None]
    return weighted


def _kind(calendar: Calendar, day: date) -> int:
    try:
        kind = calendar.kind_of(day)
    except CalendarYearUnknown:
        kind = Calendar.plain().kind_of(day)
    if kind is DayKind.WORKDAY:
        return _WORKDAY
    return _SATURDAY if kind is DayKind.WEEKEND and day.weekday() != _SUNDAY else _FREE


@lru_cache(maxsize=64)
def _calendar(zone_key: str) -> Calendar:
    country = _countries().get(zone_key)
    try:
        return Calendar(country)
    except CalendarUnknown:
        return Calendar.plain()


@lru_cache(maxsize=1)
def _countries() -> dict[str, str]:
    """The country of each time zone, as the time zone database lists them."""
    lines: Sequence[str] = (
        importlib.resources.files("tzdata").joinpath("zoneinfo", "zone.tab").read_text("utf-8").splitlines()
    )
    rows = (line.split("\t") for line in lines if line and not line.startswith("#"))
    return {zone: country for country, _, zone, *_ in rows}
