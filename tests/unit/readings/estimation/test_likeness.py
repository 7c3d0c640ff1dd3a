"""Which days are alike: the calendar of the country a zone lies in, clock changes, and what a day counts."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from wattkeeper.kernel.timerange import TimeRange, slot_starts
from wattkeeper.readings.estimation.likeness import kinds_of, weights
from wattkeeper.readings.estimation.windows import Clock

WORKDAY, SATURDAY, FREE = 0, 1, 2
QUARTER_US = 900_000_000


def kinds(first: date, days: int, zone: str) -> list[int]:
    return kinds_of((first - date(1970, 1, 1)).days, days, ZoneInfo(zone)).tolist()


def test_chinese_days_off_are_like_sundays_and_days_worked_instead_are_workdays():
    # The Dragon Boat Festival of 2025: Saturday 31 May to Monday 2 June off. Labour Day: Sunday 27 April worked.
    assert kinds(date(2025, 4, 26), 3, "Asia/Shanghai") == [SATURDAY, WORKDAY, WORKDAY]
    assert kinds(date(2025, 5, 30), 5, "Asia/Shanghai") == [WORKDAY, FREE, FREE, FREE, WORKDAY]


def test_each_zone_has_the_holidays_of_its_country():
    assert kinds(date(2026, 4, 27), 1, "Europe/Amsterdam") == [FREE]  # the King's Day, a Monday
    assert kinds(date(2026, 4, 27), 1, "Europe/Berlin") == [WORKDAY]
    assert kinds(date(2026, 1, 1), 4, "UTC") == [WORKDAY, WORKDAY, SATURDAY, FREE]


def test_a_year_whose_holidays_are_unknown_goes_by_its_weekdays():
    assert kinds(date(2090, 1, 2), 7, "Asia/Shanghai") == [0, 0, 0, 0, 0, 1, 2]


def test_a_day_counts_less_the_farther_it_lies_and_the_less_it_is_alike():
    own, others = np.array([[WORKDAY]]), np.array([[[WORKDAY], [FREE], [WORKDAY]]])
    found = weights(own, others, np.array([1, 2, 7]))[0, :, 0]
    expected = [np.exp(-1 / 30), 0.3 * np.exp(-2 / 30), 1.3 * np.exp(-7 / 30)]
    assert np.allclose(found, expected)


def clock_of(day: date, zone: str) -> list[tuple[int, int]]:
    start = datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)).astimezone(UTC)
    after = (start + timedelta(hours=26)).astimezone(UTC)
    starts = slot_starts(TimeRange(start, after), timedelta(minutes=15), ZoneInfo(zone)).astype(np.int64)
    clock = Clock.of(starts, QUARTER_US, ZoneInfo(zone))
    first = int(clock.day[0])
    return [(int(d) - first, int(p)) for d, p in zip(clock.day, clock.place, strict=True)]


def test_slots_have_the_place_a_wall_clock_shows_also_when_it_changes():
    plain = clock_of(date(2026, 3, 28), "Europe/Berlin")
    assert plain[:97] == [*((0, place) for place in range(96)), (1, 0)]
    spring = clock_of(date(2026, 3, 29), "Europe/Berlin")
    assert spring[7:9] == [(0, 7), (0, 12)]  # 01:45, then 03:00
    assert spring[92] == (1, 0)
    autumn = clock_of(date(2026, 10, 25), "Europe/Berlin")
    assert autumn[11:14] == [(0, 11), (0, 8), (0, 9)]  # 02:45, then 02:00 again
    assert autumn[100] == (1, 0)
