"""Heat maps on days of 92, 96 and 100 quarter hours, in numbers to be checked by hand."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest

from wattkeeper.kernel.timerange import TimeRange, start_of_day
from wattkeeper.readings.schemas import INTERVAL_SCHEMA, IntervalStatus
from wattkeeper.web.problems import BadRequest
from wattkeeper.web.queries.heat import heat_map, laid_out, slots

BERLIN = ZoneInfo("Europe/Berlin")
LATER = datetime(2030, 1, 1, tzinfo=UTC)
QUARTER = timedelta(minutes=15)


def intervals(*rows):
    return pa.Table.from_pylist(
        [
            {"point_id": 1, "quantity": "active_energy_import", "start_at": start, "end_at": start + length,
             "energy": energy if energy is None else Decimal(energy), "status": int(status), "method": "measured"}
            for start, length, energy, status in rows
        ],
        INTERVAL_SCHEMA,
    )  # fmt: skip


def every_quarter(day):
    """0.0001 kWh in the first quarter of the day, 0.0002 in the second, and so on."""
    period = TimeRange.day(day, BERLIN)
    count = period.duration // QUARTER
    return intervals(
        *((period.start + n * QUARTER, QUARTER, Decimal(n + 1).scaleb(-4), 0) for n in range(count))
    )


@pytest.mark.parametrize(
    ("day", "quarters", "skipped"),
    [(date(2026, 3, 29), 92, 4), (date(2026, 3, 30), 96, 0), (date(2026, 10, 25), 100, 0)],
    ids=["clocks forward", "plain", "clocks back"],
)
def test_each_quarter_of_a_day_lands_in_its_row(day, quarters, skipped):
    found = laid_out(every_quarter(day), (day,), BERLIN, now=LATER)
    assert int(found.energy.sum()) == quarters * (quarters + 1) // 2
    assert found.status()[0].count("skipped") == skipped
    assert found.expected == 96 - skipped
    assert int(found.covered_us.sum()) == quarters * 900_000_000


def test_clocks_that_go_forward_leave_four_cells_that_never_were():
    day = date(2026, 3, 29)
    found = laid_out(every_quarter(day), (day,), BERLIN, now=LATER)
    at = slots().index("02:00")
    assert found.status()[0][at - 1 : at + 5] == ["measured", *["skipped"] * 4, "measured"]
    # 01:45 is the 8th quarter of the day, 03:00 the 9th.
    assert found.energy_kwh()[0][at - 1 : at + 5] == [Decimal("0.0008"), None, None, None, None, Decimal("0.0009")]  # fmt: skip


def test_clocks_that_go_back_put_two_quarters_in_a_cell():
    day = date(2026, 10, 25)
    found = laid_out(every_quarter(day), (day,), BERLIN, now=LATER)
    at = slots().index("02:15")
    # 02:15 comes as the 10th quarter and again as the 14th: energy 10 + 14, power their mean of 12 in a quarter hour.
    assert found.energy_kwh()[0][at] == Decimal("0.0024")
    assert found.power_kw()[0][at] == Decimal("0.0048")


def test_what_is_not_known_stays_open_and_what_is_not_over_is_not_missed():
    day = date(2026, 3, 30)
    midnight = start_of_day(day, BERLIN)
    table = intervals(
        (midnight, QUARTER, "0.2500", 0),
        (midnight + QUARTER, QUARTER, None, IntervalStatus.BACKWARDS),
        (midnight + 2 * QUARTER, QUARTER, "0.5000", IntervalStatus.ESTIMATED),
        (midnight + 3 * QUARTER, QUARTER, "0.7500", IntervalStatus.EDITED),
    )
    found = laid_out(table, (day,), BERLIN, now=midnight + timedelta(hours=1, minutes=16))
    assert found.status()[0][:7] == [
        "measured",
        "missing",
        "estimated",
        "edited",
        "missing",
        "ahead",
        "ahead",
    ]
    assert found.power_kw()[0][:4] == [Decimal("1.0000"), None, Decimal("2.0000"), Decimal("3.0000")]
    assert (found.expected, int(found.known.sum()), found.most_kw) == (5, 3, Decimal("3.0000"))


def test_an_hourly_point_fills_four_cells_whose_energies_add_up_to_its_own():
    day = date(2026, 3, 30)
    table = intervals((start_of_day(day, BERLIN), timedelta(hours=1), "1.0001", 0))
    found = laid_out(table, (day,), BERLIN, now=LATER)
    assert found.energy_kwh()[0][:5] == [*map(Decimal, ("0.2500", "0.2500", "0.2500", "0.2501")), None]


def test_a_heat_map_of_too_many_days_is_refused_before_anything_is_read():
    period = TimeRange(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC))
    with pytest.raises(BadRequest, match="at most 100"):
        heat_map(None, point_id=1, period=period, zone=BERLIN, now=LATER)
