"""Periods as addresses name them."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from wattkeeper.web.problems import BadRequest
from wattkeeper.web.queries.periods import asked_period, named_period

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 3, 29, 10, 0, tzinfo=UTC)
QUARTER = timedelta(minutes=15)


def test_periods_by_name_are_civil_and_half_open():
    def named(name):
        return str(named_period(name, zone=BERLIN, now=NOW))

    assert named("today") == "2026-03-28T23:00:00Z/2026-03-29T22:00:00Z"  # 23 hours
    assert named("yesterday") == "2026-03-27T23:00:00Z/2026-03-28T23:00:00Z"
    assert named("last-month") == "2026-01-31T23:00:00Z/2026-02-28T23:00:00Z"
    assert named("last-2-days") == "2026-03-27T23:00:00Z/2026-03-29T22:00:00Z"


@pytest.mark.parametrize(
    "asked",
    [
        {"period": "whenever"},
        {"period": "today", "start": NOW, "end": NOW + QUARTER},
        {"start": NOW},
        {"start": datetime(1000, 1, 1, tzinfo=UTC), "end": NOW},
    ],
)
def test_a_period_that_cannot_be_meant_is_refused(asked):
    with pytest.raises(BadRequest):
        asked_period(
            **({"period": None, "start": None, "end": None} | asked), zone=BERLIN, now=NOW, default="today"
        )
