"""Civil days as SQL are those of the time zone database."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import duckdb
import pytest

from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.readings.civil import civil_day, utc_offsets

YEAR = TimeRange(datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    "zone",
    ["Asia/Shanghai", "Europe/Berlin", "Australia/Lord_Howe", "America/St_Johns", "Asia/Kathmandu", "UTC"],
)
def test_every_quarter_hour_of_a_year_falls_on_its_civil_day(zone):
    day = civil_day("moment", YEAR, ZoneInfo(zone))
    wrong = duckdb.sql(f"""
        SELECT moment FROM (SELECT unnest(range(TIMESTAMPTZ '2026-01-01 00:00:00+00', TIMESTAMPTZ '2027-01-01 00:00:00+00',
                                            INTERVAL 15 MINUTES)) AS moment)
        WHERE {day} <> (moment AT TIME ZONE '{zone}')::DATE
    """).fetchall()
    assert wrong == []


def test_a_clock_change_is_found_to_the_second():
    hour = timedelta(hours=1) // timedelta(microseconds=1)
    assert utc_offsets(YEAR, ZoneInfo("Europe/Berlin")) == [
        (int(datetime(2026, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000, hour),
        (int(datetime(2026, 3, 29, 1, tzinfo=UTC).timestamp()) * 1_000_000, 2 * hour),
        (int(datetime(2026, 10, 25, 1, tzinfo=UTC).timestamp()) * 1_000_000, hour),
    ]
