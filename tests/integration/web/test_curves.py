"""Intervals on a grid: sums by hand, gaps left open."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest

from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.readings.schemas import INTERVAL_SCHEMA, IntervalStatus
from wattkeeper.readings.store import ReadingsStore
from wattkeeper.web.problems import BadRequest
from wattkeeper.web.queries.curves import Resolution, load_curve

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 3, 29, 10, 0, tzinfo=UTC)


@pytest.fixture
def kept(tmp_path):
    """A store that holds the intervals it is given."""
    with ReadingsStore.open(tmp_path / "readings") as store:

        def keep(*intervals):
            rows = [
                dict.fromkeys(INTERVAL_SCHEMA.names)
                | {"point_id": point, "quantity": "active_energy_import", "start_at": start, "end_at": start + length,
                   "energy": energy if energy is None else Decimal(energy), "status": int(status), "method": "measured"}
                for point, start, length, energy, status in intervals
            ]  # fmt: skip
            store.append_intervals(pa.Table.from_pylist(rows, INTERVAL_SCHEMA), NOW)
            return store

        yield keep


def curve(store, resolution=Resolution.HOUR, day=date(2026, 3, 28), points=(1,)):
    return load_curve(
        store, point_ids=points, period=TimeRange.day(day, BERLIN), resolution=resolution, zone=BERLIN
    )


QUARTER = timedelta(minutes=15)
MIDNIGHT = datetime(2026, 3, 27, 23, 0, tzinfo=UTC)  # of the 28th in Berlin


def test_energy_adds_up_and_power_is_the_mean_of_what_is_known(kept):
    found = curve(
        kept(
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


def test_an_unknown_energy_is_not_zero(kept):
    found = curve(kept())
    assert found.total_kwh is None
    assert found.peak is None
    assert set(found.energy_kwh) == {None}


@pytest.mark.parametrize(
    ("day", "bins"), [(date(2026, 3, 28), 96), (date(2026, 3, 29), 92), (date(2026, 10, 25), 100)]
)
def test_a_day_has_as_many_quarters_as_the_clock_gives_it(day, bins, kept):
    assert len(curve(kept(), Resolution.QUARTER, day).starts) == bins


def test_a_point_that_measures_by_the_hour_has_hours(kept):
    hours = [(1, MIDNIGHT + timedelta(hours=n), timedelta(hours=1), "2.0000", 0) for n in range(24)]
    found = curve(kept(*hours), Resolution.QUARTER)
    assert found.power_kw == ["2.0000"] * 24
    assert set(found.status) == {"measured"}


def test_points_together_are_added(kept):
    found = curve(
        kept((1, MIDNIGHT, QUARTER, "0.5000", 0), (2, MIDNIGHT, QUARTER, "0.2500", 0)),
        Resolution.QUARTER,
        points=(1, 2),
    )
    assert (found.energy_kwh[0], found.power_kw[0]) == ("0.7500", "3.0000")


def test_more_than_ten_thousand_values_are_refused_before_reading():
    period = TimeRange(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC))
    with pytest.raises(BadRequest, match="at most 10,000"):
        load_curve(None, point_ids=[1], period=period, resolution=Resolution.QUARTER, zone=BERLIN)


def test_points_together_are_the_sum_of_each_and_nothing_is_made_up_for_one_that_is_missing(kept):
    quarters = [MIDNIGHT + n * QUARTER for n in range(3)]
    found = curve(
        kept(
            *(
                (point, at, QUARTER, "1.0000", 0)
                for point in (1, 2, 3)
                for at in quarters
                if (point, at) != (3, quarters[1])
            )
        ),
        Resolution.QUARTER,
        points=(1, 2, 3),
    )
    assert found.energy_kwh[:4] == ["3.0000", "2.0000", "3.0000", None]
    assert found.power_kw[:4] == ["12.0000", "8.0000", "12.0000", None]
    assert found.status[:4] == ["measured", "partial", "measured", "missing"]


def test_a_point_of_hours_among_points_of_quarters_counts_in_its_quarters(kept):
    found = curve(
        kept(
            *((point, MIDNIGHT + n * QUARTER, QUARTER, "1.0000", 0) for point in (1, 2) for n in range(4)),
            (3, MIDNIGHT, 4 * QUARTER, "4.0000", 0),
        ),
        Resolution.QUARTER,
        points=(1, 2, 3),
    )
    assert found.energy_kwh[:4] == ["3.0000"] * 4
    assert found.status[:4] == ["measured"] * 4
