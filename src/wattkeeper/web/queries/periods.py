"""Periods as addresses name them: `today`, `last-30-days`, or two instants."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from wattkeeper.kernel.timerange import TimeRange, start_of_day
from wattkeeper.web.problems import BadRequest

_FIRST_DAY: Final = date(1970, 1, 1)
"""Where a period that has no first day begins: nothing was recorded before."""
LONGEST: Final = timedelta(days=3670)
_LAST_DAYS: Final = re.compile(r"last-([1-9]\d{0,2})-days")
_DAY: Final = timedelta(days=1)


def _month_of(day: date, zone: ZoneInfo) -> TimeRange:
    return TimeRange.month(day.year, day.month, zone)


def _month_before(day: date, zone: ZoneInfo) -> TimeRange:
    return _month_of(day.replace(day=1) - _DAY, zone)


_NAMED: Final[Mapping[str, Callable[[date, ZoneInfo], TimeRange]]] = {
    "today": TimeRange.day,
    "yesterday": lambda day, zone: TimeRange.day(day - _DAY, zone),
    "month": _month_of,
    "last-month": _month_before,
    "year": lambda day, zone: TimeRange(
        start_of_day(date(day.year, 1, 1), zone), start_of_day(date(day.year + 1, 1, 1), zone)
    ),
}


def named_period(name: str, *, zone: ZoneInfo, now: datetime) -> TimeRange:
    """The period of a name, seen from the civil day of `now`; `last-7-days` ends with today."""
    today = now.astimezone(zone).date()
    if name in _NAMED:
        return _NAMED[name](today, zone)
    if found := _LAST_DAYS.fullmatch(name):
        first = today - _DAY * (int(found[1]) - 1)
        return TimeRange(start_of_day(first, zone), start_of_day(today + _DAY, zone))
    raise BadRequest(
        f"There is no period called {name!r}.",
        hint=f"Use {', '.join(_NAMED)}, last-N-days, or start and end.",
    )


def asked_period(
    *,
    period: str | None,
    start: datetime | None,
    end: datetime | None,
    zone: ZoneInfo,
    now: datetime,
    default: str,
) -> TimeRange:
    """The period an address asks for: a name, or start and end."""
    if start is None and end is None:
        return named_period(period or default, zone=zone, now=now)
    if period is not None:
        raise BadRequest("A period is either a name or start and end, not both.")
    if start is None or end is None:
        raise BadRequest("A period has both start and end.")
    try:
        asked = TimeRange(_aware(start, zone), _aware(end, zone))
    except OverflowError:
        raise BadRequest("That period lies outside of the calendar.") from None
    if asked.duration > LONGEST:
        raise BadRequest("A period of more than ten years cannot be asked for at once.")
    return asked


def days_between(since: date | None, until: date | None, zone: ZoneInfo) -> TimeRange | None:
    """The civil days from `since` to `until`, both within; None where neither is given."""
    if since is None and until is None:
        return None
    try:
        end = start_of_day(until + _DAY, zone) if until else None
        return TimeRange(start_of_day(since or _FIRST_DAY, zone), end)
    except OverflowError:
        raise BadRequest("These days lie outside of the calendar.") from None


def _aware(instant: datetime, zone: ZoneInfo) -> datetime:
    """An instant without offset is civil time of the site."""
    return (instant if instant.tzinfo else instant.replace(tzinfo=zone)).astimezone(UTC)
