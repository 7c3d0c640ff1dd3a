"""Times in the description of a world: fixed ones, and ones that count from today, so that a world never grows old."""

from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from typing import Any

_MIDNIGHT = time(0, 0)
_MONTHS = 12


class DateError(ValueError):
    """A time that is none; the sentence says what one looks like."""


def moment(described: Any, today: date | None) -> datetime:
    """A civil time: ``2026-06-01T10:00:00``, or ``{ days_ago = 20, time = 14:07:00 }`` (at midnight without a time).

    >>> moment({"days_ago": 20, "time": time(14, 7)}, date(2026, 3, 4))
    datetime.datetime(2026, 2, 12, 14, 7)
    """
    if isinstance(described, datetime) and described.tzinfo is None:
        return described
    if not isinstance(described, Mapping) or described.keys() - {"days_ago", "time"}:
        raise DateError("needs a local time, like 2026-06-01T10:00:00 or { days_ago = 20, time = 14:07:00 }")
    days, of_day = described.get("days_ago"), described.get("time", _MIDNIGHT)
    if not isinstance(days, int) or not isinstance(of_day, time):
        raise DateError("needs a whole number of days_ago, and a time like 14:07:00")
    return datetime.combine(_known(today) - timedelta(days=days), of_day)


def day(described: Any, today: date | None) -> date:
    """A day: ``2026-01-01``, or ``{ months_ago = 12 }``, the first of the month so many before this one.

    >>> day({"months_ago": 12}, date(2026, 3, 4))
    datetime.date(2025, 3, 1)
    """
    if isinstance(described, date) and not isinstance(described, datetime):
        return described
    months = described.get("months_ago") if isinstance(described, Mapping) and len(described) == 1 else None
    if not isinstance(months, int):
        raise DateError("needs a day, like 2026-01-01 or { months_ago = 12 }")
    then = _known(today).year * _MONTHS + _known(today).month - 1 - months
    return date(then // _MONTHS, then % _MONTHS + 1, 1)


def _known(today: date | None) -> date:
    if today is None:
        raise DateError("counts from today, and nobody said which day that is")
    return today
