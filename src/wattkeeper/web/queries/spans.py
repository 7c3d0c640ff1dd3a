"""The stretch of days a page shows: a named span that ends with a day, or any two days of an address."""

import re
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final, Literal
from zoneinfo import ZoneInfo

from wattkeeper.kernel.timerange import TimeRange, start_of_day
from wattkeeper.web.language import Language
from wattkeeper.web.queries.curves import Resolution
from wattkeeper.web.queries.states import N_

Name = Literal["day", "week", "month", "year"]
NAMES: Final[dict[Name, str]] = {
    "day": N_("1 day"),
    "week": N_("7 days"),
    "month": N_("Month"),
    "year": N_("Year"),
}
DAY: Final = timedelta(days=1)
FIRST_DAY: Final = date(2000, 1, 1)
"""No electricity of before is looked for; the calendar must go on a span before it."""
QUARTERS_UP_TO_DAYS: Final = 14
"""Longer stretches are shown day by day: a month has 2,976 quarter hours, more than a screen has columns."""
DAYS_UP_TO_DAYS: Final = 400
LONGEST_DAYS: Final = 3660


@dataclass(frozen=True, slots=True)
class Span:
    """Whole civil days from `first` to `last`, both shown; `name` is None for two chosen days."""

    first: date
    last: date
    name: Name | None = None

    @property
    def days(self) -> int:
        """How many days it has."""
        return (self.last - self.first).days + 1

    @property
    def resolution(self) -> Resolution:
        """How finely it is shown."""
        if self.days <= QUARTERS_UP_TO_DAYS:
            return Resolution.QUARTER
        return Resolution.DAY if self.days <= DAYS_UP_TO_DAYS else Resolution.MONTH

    @property
    def before(self) -> "Span":
        """The period before: the same calendar span, or as many days."""
        if self.name is not None:
            return named_span(self.name, self.first - DAY)
        return Span(self.first - self.days * DAY, self.first - DAY)

    def period(self, zone: ZoneInfo) -> TimeRange:
        """Its instants in a zone."""
        return TimeRange(start_of_day(self.first, zone), start_of_day(self.last + DAY, zone))

    def later(self, today: date) -> date | None:
        """The day whose span comes next; None when that has not begun."""
        if self.last >= today:
            return None
        if self.name in {"month", "year"}:
            return self.last + DAY
        return min(self.last + self.days * DAY, today)

    def label(self, say: Language) -> str:
        """What it is called."""
        if self.name == "year":
            return say.text("Year %(year)s", year=self.first.year)
        if self.name == "month":
            return say.month(self.first)
        if self.first == self.last:
            return say.date(self.first)
        return f"{say.date(self.first)} – {say.date(self.last)}"


def named_month(text: str) -> date | None:
    """The first day of a month as addresses name it: 2026-10."""
    found = re.fullmatch(r"(20\d\d)-(0[1-9]|1[0-2])", text)
    return date(int(found[1]), int(found[2]), 1) if found else None


def named_span(name: Name, last: date) -> Span:
    """The span of a name that holds, or ends with, a day."""
    match name:
        case "day":
            return Span(last, last, name)
        case "week":
            return Span(last - 6 * DAY, last, name)
        case "month":
            first = last.replace(day=1)
            return Span(first, (first + 31 * DAY).replace(day=1) - DAY, name)
        case "year":
            return Span(last.replace(month=1, day=1), last.replace(month=12, day=31), name)


def asked_span(name: Name, *, at: date | None, first: date | None, last: date | None, today: date) -> Span:
    """The span of an address: two days in either order, or a name and a day; kept where data can be."""
    if first is not None and last is not None:
        earlier, later = sorted((_within_calendar(first, today), _within_calendar(last, today)))
        return Span(max(earlier, later - LONGEST_DAYS * DAY), later)
    return named_span(name, _within_calendar(at or today, today))


def _within_calendar(day: date, today: date) -> date:
    return min(max(day, FIRST_DAY), today)
