"""Intervals fall into a tariff's civil hours, on every day of the year and to the last unit."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wattkeeper.billing.tou_clock import energy_by_tou, tou_pieces
from wattkeeper.kernel.calendars import Calendar, DayKind
from wattkeeper.kernel.timerange import TimeRange, slot_starts

HALF_PAST_EIGHT = """
    tou:
      periods:
        - {code: peak, names: {zh: 峰, en: Peak}}
        - {code: valley, names: {zh: 谷, en: Valley}}
      days:
        - {months: 1-12, times: {peak: ["08:30-21:00"]}, rest: valley}
"""
WORKDAYS = """
    tou:
      periods:
        - {code: peak, names: {zh: 峰, en: Peak}}
        - {code: valley, names: {zh: 谷, en: Valley}}
      days:
        - {months: 1-12, kinds: [workday], times: {peak: ["08:00-20:00"]}, rest: valley}
        - {months: 1-12, kinds: [weekend, holiday], times: {valley: ["00:00-24:00"]}}
"""
MINUTE = 60_000_000


@pytest.fixture
def split(make_tariff, energy):
    """Energy by period of a day with `units` in every slot."""

    def run(clock, day, *, minutes, zone="Asia/Shanghai", units=1000, calendar=None):
        tou = make_tariff([energy("{peak: 1, valley: 0.5}")], tou=clock).versions[0].tou
        period = TimeRange.day(day, ZoneInfo(zone))
        starts = slot_starts(period, timedelta(minutes=minutes), ZoneInfo(zone)).astype(np.int64)
        ends = np.append(starts[1:], int(period.end.timestamp()) * 1_000_000)
        pieces = tou_pieces(tou, period, ZoneInfo(zone), calendar or Calendar.plain())
        return energy_by_tou(starts, ends, np.full(len(starts), units), pieces, 2).tolist()

    return run


@pytest.mark.parametrize("minutes", [15, 30])
def test_a_period_from_half_past_eight_on_quarter_and_half_hours(split, minutes):
    slots = 60 // minutes
    assert split(HALF_PAST_EIGHT, date(2024, 5, 6), minutes=minutes) == [12500 * slots, 11500 * slots]


def test_an_hour_over_half_past_eight_is_divided_by_time(split):
    assert split(HALF_PAST_EIGHT, date(2024, 5, 6), minutes=60, units=7) == [12 * 7 + 4, 11 * 7 + 3]


@pytest.mark.parametrize(
    ("day", "peak", "valley"),
    [
        (date(2024, 3, 30), 12500, 11500),
        (date(2024, 3, 31), 12500, 10500),
        (date(2024, 10, 27), 12500, 12500),
    ],
)
def test_days_of_23_and_25_hours_follow_the_wall_clock(split, day, peak, valley):
    assert split(HALF_PAST_EIGHT, day, minutes=15, zone="Europe/Berlin", units=250) == [peak, valley]


def test_weekends_and_holidays_have_their_own_hours(split):
    calendar = Calendar.plain(overrides={date(2024, 5, 1): DayKind.HOLIDAY})
    assert split(WORKDAYS, date(2024, 5, 2), minutes=15, calendar=calendar) == [48_000, 48_000]
    assert split(WORKDAYS, date(2024, 5, 1), minutes=15, calendar=calendar) == [0, 96_000]
    assert split(WORKDAYS, date(2024, 5, 4), minutes=15, calendar=calendar) == [0, 96_000]


def test_a_clock_without_day_kinds_never_asks_for_a_calendar_year(split):
    assert split(HALF_PAST_EIGHT, date(2099, 5, 6), minutes=60, calendar=Calendar.china()) == [12_500, 11_500]


@settings(deadline=None)
@given(
    units=st.lists(st.integers(0, 10**9), min_size=1, max_size=30),
    minutes=st.sampled_from([5, 10, 15, 30, 60]),
)
def test_no_unit_is_lost_or_added(units, minutes, make_tariff, energy):
    tou = (
        make_tariff([energy("{peak: 1, valley: 0.5}")], tou=HALF_PAST_EIGHT.replace("08:30", "08:07"))
        .versions[0]
        .tou
    )
    zone = ZoneInfo("Asia/Shanghai")
    first = datetime(2024, 5, 5, 16, tzinfo=UTC)
    period = TimeRange(first, first + timedelta(days=2))
    starts = int(first.timestamp()) * 1_000_000 + np.arange(len(units)) * minutes * MINUTE
    energies = np.array(units, dtype=np.int64)
    totals = energy_by_tou(
        starts, starts + minutes * MINUTE, energies, tou_pieces(tou, period, zone, Calendar.plain()), 2
    )
    assert totals.sum() == energies.sum()
