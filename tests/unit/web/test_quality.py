"""What should be known of a day, and how its share is told, worked out by hand."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from wattkeeper.readings import schemas
from wattkeeper.registry.values import MeasuredSpan
from wattkeeper.web.queries.grounds import METHODS, SOURCES
from wattkeeper.web.queries.quality import Cell, days_between, expected_slots, month_of

BERLIN, SHANGHAI = ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Shanghai")
LONG_AGO, LATER = datetime(2020, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)


def span(start=LONG_AGO, end=None, minutes=15, point=1):
    return MeasuredSpan(point, 1, None, minutes, start, end)


def slots(*spans, days, zone=SHANGHAI, now=LATER):
    return expected_slots(spans, days, zone, now).tolist()


def test_a_day_has_its_92_96_or_100_quarter_hours_and_an_hourly_point_its_hours():
    spring, autumn, plain = date(2026, 3, 29), date(2026, 10, 25), date(2026, 11, 1)
    for day, quarters in ((spring, 92), (autumn, 100), (plain, 96)):
        assert slots(span(), span(minutes=60), days=[day], zone=BERLIN) == [[quarters], [quarters / 4]]


def test_today_expects_what_is_over_and_tomorrow_nothing():
    now = datetime(2026, 11, 22, 17, 37, 5, tzinfo=SHANGHAI)
    days = [date(2026, 11, 21), date(2026, 11, 22), date(2026, 11, 23)]
    assert slots(span(), days=days, now=now) == [[96, 70, 0]]


def test_a_meter_that_was_put_up_or_taken_down_counts_for_its_part_and_an_exchange_for_one_slot():
    at = datetime(2026, 11, 2, 14, 7, tzinfo=SHANGHAI)
    days = [date(2026, 11, 1), date(2026, 11, 2), date(2026, 11, 3)]
    before, after = slots(span(end=at), span(start=at), days=days)
    assert before[1] == pytest.approx(56 + 7 / 15)
    assert [one + other for one, other in zip(before, after, strict=True)] == [96, 96, 96]
    assert (before[2], after[0]) == (0, 0)


@pytest.mark.parametrize(
    ("cell", "known", "level", "missing"),
    [
        (Cell(96, 96, 0, 0), "100", "whole", "0"),
        (Cell(96, 90, 4, 2), "100", "whole", "0"),
        (Cell(2880, 2879, 0, 0), "99", "most", "1"),
        (Cell(96, 95, 0, 0), "98", "some", "2"),
        (Cell(96, 80, 0, 0), "83", "poor", "17"),
        (Cell(96, 1, 0, 0), "1", "bad", "99"),
        (Cell(960, 1, 0, 0), "0", "bad", "100"),
        (Cell(96, 0, 0, 0), "0", "bad", "100"),
        (Cell(0, 0, 0, 0), "", "", ""),
    ],
)
def test_only_what_is_whole_says_100_and_the_level_goes_with_the_share(cell, known, level, missing):
    assert (cell.percent("known"), cell.level("known"), cell.percent("missing")) == (known, level, missing)


def test_estimates_are_known_and_are_not_measured():
    cell = Cell(expected=96, measured=72, estimated=12, edited=4)
    assert (cell.known, cell.missing) == (88, 8)
    assert [cell.percent(kind) for kind in ("known", "measured", "estimated", "missing")] == [
        "91",
        "75",
        "13",
        "9",
    ]
    assert [cell.level(kind) for kind in ("known", "measured", "estimated", "missing")] == [
        "poor",
        "bad",
        "poor",
        "poor",
    ]


def test_every_source_and_method_of_the_store_has_words():
    assert set(SOURCES) == set(schemas.SOURCES)
    assert set(METHODS) == set(schemas.METHODS)


def test_a_month_has_all_its_days():
    assert month_of(date(2028, 2, 14)) == (date(2028, 2, 1), date(2028, 2, 29))
    december = days_between(month_of(date(2026, 12, 31)))
    assert (december[0], december[-1], len(december)) == (date(2026, 12, 1), date(2026, 12, 31), 31)
    assert all(after - before == timedelta(days=1) for before, after in pairwise(december))
