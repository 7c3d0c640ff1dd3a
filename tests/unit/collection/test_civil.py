"""A meter's civil stamps become instants, through the hours that come twice or never."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattkeeper.collection.civil import candidates, resolve, resolve_sequence, stamp_to_ask

BERLIN, SHANGHAI = ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Shanghai")
QUARTER = timedelta(minutes=15)


def stamp(text):
    return datetime.fromisoformat(text)


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "local", "instants"),
    [
        pytest.param(SHANGHAI, "2026-03-10T12:00", ["2026-03-10T04:00"], id="plain"),
        pytest.param(BERLIN, "2026-10-25T02:30", ["2026-10-25T00:30", "2026-10-25T01:30"], id="comes twice"),
        pytest.param(BERLIN, "2026-03-29T02:30", [], id="never comes"),
    ],
)
def test_what_a_stamp_can_mean(zone, local, instants):
    assert list(candidates(stamp(local), zone)) == [at(text) for text in instants]


def test_a_stamp_that_comes_twice_is_the_one_close_by():
    twice = stamp("2026-10-25T02:30")
    assert resolve(twice, BERLIN, near=at("2026-10-25T01:29")) == at("2026-10-25T01:30")
    assert resolve(stamp("2026-03-29T02:30"), BERLIN, near=at("2026-03-29T01:30")) is None


def test_a_load_record_goes_through_the_hour_that_comes_twice():
    instants = [at("2026-10-24T23:45") + number * QUARTER for number in range(10)]
    stamps = [instant.astimezone(BERLIN).replace(tzinfo=None) for instant in instants]
    assert [f"{local:%H:%M}" for local in stamps][:7] == [
        "01:45",
        "02:00",
        "02:15",
        "02:30",
        "02:45",
        "02:00",
        "02:15",
    ]
    assert resolve_sequence(stamps, BERLIN) == instants


def test_a_stamp_the_clock_jumped_over_has_no_instant():
    stamps = [stamp("2026-03-29T01:45"), stamp("2026-03-29T02:00"), stamp("2026-03-29T03:00")]
    assert resolve_sequence(stamps, BERLIN) == [at("2026-03-29T00:45"), None, at("2026-03-29T01:00")]


@pytest.mark.parametrize(
    ("start", "asked"),
    [
        pytest.param("2026-03-10T11:00", "2026-03-10T12:00", id="plain"),
        pytest.param("2026-10-25T01:30", "2026-10-25T01:45", id="second time round: begin before the hour"),
        pytest.param("2026-10-25T00:30", "2026-10-25T01:45", id="first time round"),
    ],
)
def test_the_question_begins_where_the_answer_is_plain(start, asked):
    assert stamp_to_ask(at(start), BERLIN) == stamp(asked)


@given(st.integers(0, 4 * 24 * 365), st.integers(2, 200))
def test_any_stretch_of_the_year_survives_the_meters_clock(first, count):
    start = at("2026-01-01T00:00") + first * QUARTER
    instants = [start + number * QUARTER for number in range(count)]
    asked = stamp_to_ask(start, BERLIN)
    begin = candidates(asked, BERLIN)[0]
    recorded = [begin + number * QUARTER for number in range((start - begin) // QUARTER)] + instants
    stamps = [instant.astimezone(BERLIN).replace(tzinfo=None) for instant in recorded]
    assert resolve_sequence(stamps, BERLIN)[-count:] == instants
