"""Intervals on a grid: sums by hand, gaps left open."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest

from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.readings.schemas import INTERVAL_SCHEMA, IntervalStatus
from wattkeeper.web.problems import BadRequest
from wattkeeper.web.queries.curves import Resolution, load_curve
from wattkeeper.web.queries.periods import asked_period, named_period

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 3, 29, 10, 0, tzinfo=UTC)


class Kept:
    """A store that holds these intervals."""

    def __init__(self, *intervals):
        rows = [
            {"point_id": point, "quantity": "active_energy_import", "start_at": start, "end_at": start + length,
             "energy": energy if energy is None else Decimal(energy), "status": int(status), "method": "measured"}
            for point, start, length, energy, status in intervals
        ]  # fmt: skip
        self.table = pa.Table.from_pylist(rows, INTERVAL_SCHEMA)

    def intervals(self, **_):
        return self.table


def curve(store, resolution=Resolution.HOUR, day=date(2026, 3, 28)):
    return load_curve(
        store, point_ids=[1], period=TimeRange.day(day, BERLIN), resolution=resolution, zone=BERLIN
    )


QUARTER = timedelta(minutes=15)
MIDNIGHT = datetime(2026, 3, 27, 23, 0, tzinfo=UTC)  # of the 28th in Berlin


def test_energy_adds_up_and_power_is_the_mean_of_what_is_known():
    found = curve(
        Kept(
            (1, MIDNIGHT, QUARTER, "0.2500", 0),
            (1, MIDNIGHT + QUARTER, QUARTER, "0.7500", 0),
            (1, MIDNIGHT + 4 * QUARTER, QUARTER, None, IntervalStatus.BACKWARDS),
            (1, MIDNIGHT + 8 * QUARTER, 4 * QUARTER, "3.0000", IntervalStatus.ESTIMATED),
        )
    )
    assert found.energy_kwh[:4] == ["1.0000", None, "3.0000", None]
    assert found.power_kw[:4] == ["2.0000", None, "3.0000", None]
    assert found.status[:4] == ["partial", "missing", "estimated", "missing"]
    assert found.starts[0] == "2026-03-27T23:00:00Z"
    assert found.total_kwh == Decimal("4.0000")
    assert found.peak == (Decimal("3.0000"), MIDNIGHT + timedelta(hours=2))
    assert found.estimated == 1


def test_an_unknown_energy_is_not_zero():
    found = curve(Kept())
    assert found.total_kwh is None
    assert found.peak is None
    assert set(found.energy_kwh) == {None}


@pytest.mark.parametrize(
    ("day", "bins"), [(date(2026, 3, 28), 96), (date(2026, 3, 29), 92), (date(2026, 10, 25), 100)]
)
def test_a_day_has_as_many_quarters_as_the_clock_gives_it(day, bins):
    assert len(curve(Kept(), Resolution.QUARTER, day).starts) == bins


def test_a_point_that_measures_by_the_hour_has_hours():
    hours = [(1, MIDNIGHT + timedelta(hours=n), timedelta(hours=1), "2.0000", 0) for n in range(24)]
    found = curve(Kept(*hours), Resolution.QUARTER)
    assert found.power_kw == ["2.0000"] * 24
    assert set(found.status) == {"measured"}


def test_points_together_are_added():
    found = curve(
        Kept((1, MIDNIGHT, QUARTER, "0.5000", 0), (2, MIDNIGHT, QUARTER, "0.2500", 0)), Resolution.QUARTER
    )
    assert (found.energy_kwh[0], found.power_kw[0]) == ("0.7500", "3.0000")


def test_more_than_ten_thousand_values_are_refused_before_reading():
    period = TimeRange(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC))
    with pytest.raises(BadRequest, match="at most 10,000"):
        load_curve(None, point_ids=[1], period=period, resolution=Resolution.QUARTER, zone=BERLIN)


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
