"""Which days are workdays, weekends and holidays.

China moves weekends: a notice of the State Council each November names the holidays of the next year and the weekend
days that are worked instead (调休). The package ``holidays`` carries these notices. For a year whose notice it does
not have it would guess from the fixed dates; we do not let a guess become a tariff period, so such a year raises
CalendarYearUnknown until the package is updated or the year's exceptions are entered as overrides.

A Saturday or Sunday within a row of days off is a weekend, not a holiday, unless the law itself names it: 17 February
2024 is a weekend, 10 February (the first day of the lunar year, a Saturday) a holiday.
"""

import enum
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from types import MappingProxyType

import holidays

from wattkeeper.kernel.errors import WattkeeperError

_SATURDAY = 5


class DayKind(enum.StrEnum):
    """What kind of day a tariff, a load profile or a forecast sees."""

    WORKDAY = "workday"
    WEEKEND = "weekend"
    HOLIDAY = "holiday"


class CalendarYearUnknown(WattkeeperError):
    """The official holidays of a year are not known yet."""


class CalendarUnknown(WattkeeperError):
    """There is no holiday calendar for a country."""


class Calendar:
    """The days of one country, with the installation's own exceptions.

    ``overrides`` decides a day against everything else. In a year of ``complete_years`` the overrides are all the
    exceptions there are, so a year the package does not know yet can be used before the package is updated.
    """

    def __init__(
        self,
        country: str | None,
        *,
        overrides: Mapping[date, DayKind] = MappingProxyType({}),
        complete_years: Collection[int] = (),
    ) -> None:
        if country is not None and country not in holidays.list_supported_countries(include_aliases=False):
            raise CalendarUnknown(
                f"There is no holiday calendar for the country {country!r}.",
                hint="Use a code of two capital letters (ISO 3166), such as CN.",
            )
        self.country = country
        self.overrides = MappingProxyType(dict(overrides))
        self.complete_years = frozenset(complete_years)

    @classmethod
    def china(
        cls, *, overrides: Mapping[date, DayKind] = MappingProxyType({}), complete_years: Collection[int] = ()
    ) -> "Calendar":
        """The People's Republic: public holidays, and weekend days that are worked to make up for them."""
        return cls("CN", overrides=overrides, complete_years=complete_years)

    @classmethod
    def plain(cls, *, overrides: Mapping[date, DayKind] = MappingProxyType({})) -> "Calendar":
        """Saturdays and Sundays and nothing else, but for the overrides."""
        return cls(None, overrides=overrides)

    def kind_of(self, day: date) -> DayKind:
        """The kind of a civil day; raises CalendarYearUnknown where it would be a guess."""
        if (kind := self.overrides.get(day)) is not None:
            return kind
        if self.country is None or day.year in self.complete_years:
            return _kind_by_weekday(day)
        if not self.covers(day.year):
            raise CalendarYearUnknown(
                f"The official holidays of {day.year} in {self.country} are not known to this version.",
                hint=f"Update Wattkeeper, or enter the holidays and make-up workdays of {day.year} in the calendar.",
            )
        return _official_year(self.country, day.year).kind_of(day)

    def covers(self, year: int) -> bool:
        """Whether every day of the year can be told.

        The notice for a year can still change its predecessor's last days: 30 December 2006 was worked by that of 2007.
        """
        if self.country is None or year in self.complete_years:
            return True
        official = _official_year(self.country, year)
        return official.supported and (self.country not in _BY_NOTICE or bool(official.made_up))


_BY_NOTICE = frozenset({"CN"})
"""Countries whose government moves weekends every year: a year without such a day has no notice in the package."""


@dataclass(frozen=True, slots=True)
class _OfficialYear:
    """One year of one country, copied out of the package, whose own objects fill themselves in when asked."""

    supported: bool
    free: frozenset[date]
    made_up: frozenset[date]

    def kind_of(self, day: date) -> DayKind:
        if day in self.made_up:
            return DayKind.WORKDAY
        return DayKind.HOLIDAY if day in self.free else _kind_by_weekday(day)


@lru_cache(maxsize=256)
def _official_year(country: str, year: int) -> _OfficialYear:
    # The notice for a year can free or fill the last days of the year before.
    package = holidays.country_holidays(country, years=(year, year + 1))
    return _OfficialYear(
        supported=package.start_year <= year <= package.end_year,
        free=frozenset(day for day in package if day.year == year),
        made_up=frozenset(day for day in package.weekend_workdays if day.year == year),
    )


def _kind_by_weekday(day: date) -> DayKind:
    return DayKind.WEEKEND if day.weekday() >= _SATURDAY else DayKind.WORKDAY
