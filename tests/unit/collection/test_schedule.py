"""Plans keep to the civil clock, also on the days when it changes."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from wattkeeper.collection.schedule import Rhythm, Window
from wattkeeper.kernel.timerange import TimeRange

SHANGHAI, BERLIN, KATHMANDU = ZoneInfo("Asia/Shanghai"), ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Kathmandu")


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("rhythm", "zone", "after", "due"),
    [
        pytest.param({"minutes": 15}, SHANGHAI, "2026-03-10T04:07", "2026-03-10T04:15", id="next quarter"),
        pytest.param({"minutes": 15}, SHANGHAI, "2026-03-10T04:15", "2026-03-10T04:30", id="later, not now"),
        pytest.param({"days": 1}, SHANGHAI, "2026-03-10T04:00", "2026-03-10T16:00", id="civil midnight"),
        pytest.param(
            {"hours": 1}, KATHMANDU, "2026-03-10T04:00", "2026-03-10T04:15", id="the zone's full hour"
        ),
        pytest.param({"days": 1}, BERLIN, "2026-03-28T23:30", "2026-03-29T22:00", id="a day of 23 hours"),
    ],
)
def test_the_next_due_instant(rhythm, zone, after, due):
    assert Rhythm(every=timedelta(**rhythm)).next_due(at(after), zone=zone) == at(due)


def test_an_offset_moves_the_whole_grid():
    rhythm = Rhythm(every=timedelta(hours=1), offset=timedelta(minutes=5))
    assert rhythm.next_due(at("2026-03-10T04:06"), zone=SHANGHAI) == at("2026-03-10T05:05")
    assert rhythm.next_due(at("2026-03-10T04:04"), zone=SHANGHAI) == at("2026-03-10T04:05")


@pytest.mark.parametrize(
    ("day", "quarters"), [((2026, 3, 29), 92), ((2026, 6, 1), 96), ((2026, 10, 25), 100)]
)
def test_a_day_has_as_many_quarter_hours_as_the_clock_gives_it(day, quarters):
    period = TimeRange.day(datetime(*day).date(), BERLIN)  # noqa: DTZ001 - only its date
    rhythm, due, count = Rhythm(every=timedelta(minutes=15)), period.start, 1
    while (due := rhythm.next_due(due, zone=BERLIN)) < period.end:
        count += 1
    assert (count, due) == (quarters, period.end)


def test_links_are_spread_and_each_keeps_its_place():
    rhythm = Rhythm(every=timedelta(minutes=15), jitter=timedelta(seconds=60))
    shifts = {key: rhythm.shift(key) for key in map(str, range(200))}
    assert (
        min(shifts.values())
        < timedelta(seconds=5)
        < timedelta(seconds=55)
        < max(shifts.values())
        < rhythm.jitter
    )
    assert rhythm.shift("7") == shifts["7"]


@given(
    st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)),  # noqa: DTZ001 - hypothesis wants naive bounds
    st.sampled_from([60, 300, 900, 3600, 86_400]),
    st.integers(0, 600),
    st.sampled_from([SHANGHAI, BERLIN, KATHMANDU]),
)
def test_due_instants_move_forward_by_at_most_one_period(now, every, offset, zone):
    now = now.replace(tzinfo=UTC)
    rhythm = Rhythm(every=timedelta(seconds=every), offset=timedelta(seconds=offset))
    due = rhythm.next_due(now, zone=zone)
    longest = rhythm.every + timedelta(hours=1 if every == 86_400 else 0)  # a civil day may have 25 hours
    assert now < due <= now + longest
    assert rhythm.next_due(due, zone=zone) > due


NIGHT = Window(22 * 60, 6 * 60)


def shanghai(day, hour, minute=0):
    return datetime(2026, 3, day, hour, minute, tzinfo=SHANGHAI)


@pytest.mark.parametrize(
    ("hour", "minute", "within"),
    [(21, 59, False), (22, 0, True), (0, 0, True), (5, 59, True), (6, 0, False), (12, 0, False)],
)
def test_a_window_may_pass_midnight_and_is_half_open(hour, minute, within):
    assert NIGHT.holds(shanghai(10, hour, minute), SHANGHAI) is within


def test_reads_of_a_plan_with_a_window_are_due_on_the_grid_within_it():
    rhythm = Rhythm(every=timedelta(hours=1), offset=timedelta(minutes=30), window=NIGHT)
    due, at = [], shanghai(10, 3, 45).astimezone(UTC)
    for _ in range(4):
        at = rhythm.next_due(at, zone=SHANGHAI)
        due.append(at.astimezone(SHANGHAI))
    assert due == [shanghai(10, 4, 30), shanghai(10, 5, 30), shanghai(10, 22, 30), shanghai(10, 23, 30)]


def test_a_read_that_is_never_due_within_its_window_is_due_when_the_window_opens():
    rhythm = Rhythm(every=timedelta(days=1), offset=timedelta(hours=12), window=NIGHT)
    assert rhythm.next_due(shanghai(10, 9), zone=SHANGHAI) == shanghai(10, 22)
    assert rhythm.next_due(shanghai(10, 23), zone=SHANGHAI) == shanghai(11, 22)


@given(
    begins=st.integers(0, 1439),
    ends=st.integers(0, 1439),
    every=st.sampled_from([60, 900, 3600, 21600, 86400]),
    at=st.datetimes(datetime(2026, 3, 1), datetime(2026, 11, 30), timezones=st.just(UTC)),  # noqa: DTZ001
    zone=st.sampled_from([SHANGHAI, ZoneInfo("Europe/Berlin")]),
)
def test_whatever_the_window_the_next_read_is_later_and_within_it(begins, ends, every, at, zone):
    assume(begins != ends)
    window = Window(begins, ends)
    due = Rhythm(every=timedelta(seconds=every), window=window).next_due(at, zone=zone)
    assert at < due <= at + timedelta(days=3)
    assert window.holds(due, zone) or due == window.opens(at, zone)
