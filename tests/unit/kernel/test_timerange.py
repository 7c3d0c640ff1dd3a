"""Periods are half-open, their algebra is sound, and civil days are what the zone says."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattkeeper.kernel.timerange import BadTimeRange, TimeRange, slot_starts, start_of_day

BERLIN, SHANGHAI, APIA = ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Shanghai"), ZoneInfo("Pacific/Apia")
ZONES = st.sampled_from(
    [BERLIN, SHANGHAI, ZoneInfo("UTC"), ZoneInfo("Australia/Lord_Howe"), ZoneInfo("America/Havana")]
)
QUARTER = timedelta(minutes=15)
START = datetime(2024, 1, 1, tzinfo=UTC)


def at(hour: int) -> datetime:
    return START + timedelta(hours=hour)


@st.composite
def ranges(draw) -> TimeRange:
    first, length = draw(st.integers(0, 40)), draw(st.one_of(st.none(), st.integers(1, 40)))
    return TimeRange(at(first), None if length is None else at(first + length))


@st.composite
def seasons(draw) -> TimeRange:
    """A closed period of up to two months, somewhere in more than a year."""
    first = draw(st.integers(0, 24 * 400))
    return TimeRange(at(first), at(first + draw(st.integers(1, 24 * 60))))


def hours(*parts: TimeRange) -> set[int]:
    """The hours of a window beyond every generated end that the parts contain: a range as a plain set."""
    return {hour for hour in range(100) if any(part.contains(at(hour)) for part in parts)}


@given(ranges(), ranges())
def test_intersection_and_difference_partition_a_range(one, other):
    shared = one.intersection(other)
    parts = [*one.minus(other), *([shared] if shared else [])]
    assert hours(*parts) == hours(one)
    assert sum(len(hours(part)) for part in parts) == len(hours(one))
    assert (shared is not None) == one.overlaps(other) == other.overlaps(one)


@given(ranges(), st.lists(ranges(), max_size=4))
def test_taking_several_away_is_taking_each_away(one, others):
    assert hours(*one.minus(*others)) == hours(one) - hours(*others)


@given(seasons(), ZONES, st.sampled_from([QUARTER, timedelta(minutes=5), timedelta(hours=1)]))
def test_days_months_and_slots_partition_a_range(period, zone, step):
    for parts in (period.days(zone), period.months(zone), period.slots(step, zone)):
        assert (parts[0].start, parts[-1].end) == (period.start, period.end)
        assert all(before.end == after.start for before, after in pairwise(parts))


@given(st.dates(date(2000, 1, 1), date(2037, 12, 31)), ZONES)
def test_the_days_partition_the_month_across_clock_changes(day, zone):
    month = TimeRange.month(day.year, day.month, zone)
    days = month.days(zone)
    assert days == [
        TimeRange.day(date(day.year, day.month, number), zone) for number in range(1, len(days) + 1)
    ]
    assert sum((part.duration for part in days), timedelta()) == month.duration


@given(seasons(), ZONES)
def test_slot_starts_are_the_slots_begun_inside(period, zone):
    grid = slot_starts(period, QUARTER, zone)
    assert grid.dtype == np.dtype("datetime64[us]")
    slots = [slot.start for slot in period.slots(QUARTER, zone)]
    inside = [moment.replace(tzinfo=UTC) for moment in grid.tolist()]
    assert inside in (slots, slots[1:])  # the first slot may have been cut by the start of the period


@pytest.mark.parametrize(
    ("day", "zone", "slots", "first", "last"),
    [
        pytest.param(date(2024, 3, 31), BERLIN, 92, "2024-03-30T23:00", "2024-03-31T21:45", id="spring"),
        pytest.param(date(2024, 10, 27), BERLIN, 100, "2024-10-26T22:00", "2024-10-27T22:45", id="autumn"),
        pytest.param(date(2024, 6, 1), BERLIN, 96, "2024-05-31T22:00", "2024-06-01T21:45", id="summer"),
        pytest.param(date(2024, 2, 29), SHANGHAI, 96, "2024-02-28T16:00", "2024-02-29T15:45", id="leap_day"),
        pytest.param(date(2024, 12, 31), SHANGHAI, 96, "2024-12-30T16:00", "2024-12-31T15:45", id="year_end"),
    ],
)
def test_a_day_has_92_96_or_100_quarter_hours(day, zone, slots, first, last):
    grid = slot_starts(TimeRange.day(day, zone), QUARTER, zone)
    assert (len(grid), grid[0], grid[-1]) == (slots, np.datetime64(first), np.datetime64(last))


def test_a_leap_february_has_29_days():
    assert [len(TimeRange.month(year, 2, SHANGHAI).days(SHANGHAI)) for year in (2023, 2024, 2100)] == [
        28,
        29,
        28,
    ]


def test_slots_begin_again_at_midnight_even_where_the_clock_moves_half_an_hour():
    lord_howe = ZoneInfo("Australia/Lord_Howe")
    day = TimeRange.day(date(2024, 4, 7), lord_howe)  # 24.5 hours
    assert [slot.duration for slot in day.slots(timedelta(hours=1), lord_howe)] == [
        timedelta(hours=1)
    ] * 24 + [timedelta(minutes=30)]


def test_a_day_begins_after_the_gap_where_the_clocks_skip_midnight():
    havana = ZoneInfo("America/Havana")
    assert start_of_day(date(2024, 3, 10), havana) == datetime(2024, 3, 10, 5, tzinfo=UTC)
    assert TimeRange.day(date(2024, 3, 10), havana).duration == timedelta(hours=23)
    assert TimeRange.day(date(2024, 11, 3), havana).duration == timedelta(hours=25)


def test_a_day_that_a_country_skipped_is_in_no_month():
    december = TimeRange.month(2011, 12, APIA)
    assert len(december.days(APIA)) == 30
    with pytest.raises(BadTimeRange):
        TimeRange.day(date(2011, 12, 30), APIA)


def test_midnight_belongs_to_the_day_it_begins():
    day = TimeRange.day(date(2024, 5, 1), SHANGHAI)
    assert day.contains(datetime(2024, 4, 30, 16, tzinfo=UTC))
    assert not day.contains(datetime(2024, 5, 1, 16, tzinfo=UTC))


def test_ranges_that_touch_do_not_overlap():
    assert not TimeRange(at(0), at(1)).overlaps(TimeRange(at(1), None))


def test_ranges_are_equal_whatever_zone_they_were_written_in():
    assert TimeRange(datetime(2024, 1, 1, 8, tzinfo=SHANGHAI), None) == TimeRange(START, None)
    assert str(TimeRange(START, at(1))) == "2024-01-01T00:00:00Z/2024-01-01T01:00:00Z"


def test_a_period_beginning_inside_a_slot_starts_at_the_next_instant_of_the_grid():
    period = TimeRange(START + timedelta(minutes=1), START + timedelta(minutes=30))
    assert slot_starts(period, QUARTER, SHANGHAI).tolist() == [datetime(2024, 1, 1, 0, 15)]  # noqa: DTZ001 - numpy's


def test_a_period_within_one_slot_has_no_grid_instant_and_one_slot():
    period = TimeRange(START + timedelta(minutes=1), START + timedelta(minutes=2))
    assert slot_starts(period, QUARTER, SHANGHAI).tolist() == []
    assert period.slots(QUARTER, SHANGHAI) == [period]


@pytest.mark.parametrize(
    ("start", "end"),
    [
        pytest.param(at(1), at(1), id="empty"),
        pytest.param(at(2), at(1), id="backwards"),
        pytest.param(datetime(2024, 1, 1), None, id="naive_start"),  # noqa: DTZ001 - what is refused
        pytest.param(START, datetime(2024, 1, 2), id="naive_end"),  # noqa: DTZ001 - what is refused
    ],
)
def test_what_is_no_period_is_refused(start, end):
    with pytest.raises(BadTimeRange):
        TimeRange(start, end)


def test_an_open_period_has_no_length_and_no_parts():
    for ask in (lambda p: p.duration, lambda p: p.days(BERLIN), lambda p: slot_starts(p, QUARTER, BERLIN)):
        with pytest.raises(BadTimeRange, match="no end yet"):
            ask(TimeRange(START, None))


@pytest.mark.parametrize("step", [timedelta(0), timedelta(minutes=7), timedelta(days=1), -QUARTER])
def test_a_grid_that_does_not_divide_the_day_is_refused(step):
    with pytest.raises(BadTimeRange, match="divide a day"):
        slot_starts(TimeRange.day(date(2024, 1, 1), BERLIN), step, BERLIN)
