"""Series at any resolution: each slot is the sum of finer ones, and what a plain loop finds."""

from bisect import bisect_left
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.readings.grids import (
    Grid,
    Resolution,
    covered_until,
    same_period_before,
    same_period_last_year,
)
from wattkeeper.readings.schemas import INTERVAL_SCHEMA, READING_SCHEMA, IntervalStatus
from wattkeeper.readings.series import Member
from wattkeeper.readings.store import ReadingsStore

ENERGY = "active_energy_import"
BERLIN, SHANGHAI = ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Shanghai")
LORD_HOWE, CALCUTTA = ZoneInfo("Australia/Lord_Howe"), ZoneInfo("Asia/Kolkata")
ZONES = (BERLIN, SHANGHAI, LORD_HOWE, CALCUTTA)
NOW = datetime(2026, 12, 1, tzinfo=UTC)
QUARTER = timedelta(minutes=15)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def interval(point, start, energy, *, minutes=15, status=0):
    return {
        "point_id": point, "quantity": ENERGY, "start_at": start, "end_at": start + timedelta(minutes=minutes),
        "energy": None if energy is None else Decimal(energy), "status": int(status), "method": "measured",
    }  # fmt: skip


def stored(store, *rows):
    names = INTERVAL_SCHEMA.names
    whole = [dict.fromkeys(names) | row for row in rows]
    store.append_intervals(pa.Table.from_pylist(whole, INTERVAL_SCHEMA), NOW)


def energies(table):
    return [None if value is None else str(value) for value in table["energy"].to_pylist()]


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """Two points over the two clock changes of Berlin, with gaps, whose values nobody arranged."""
    chance = np.random.default_rng(20261127)
    store = ReadingsStore.open(tmp_path_factory.mktemp("series") / "readings")
    rows = []
    for first in (datetime(2026, 3, 27, tzinfo=UTC), datetime(2026, 10, 23, tzinfo=UTC)):
        for n in range(5 * 96):
            rows += [
                interval(
                    point,
                    first + n * QUARTER,
                    Decimal(int(chance.integers(0, 50_000))).scaleb(-4),
                    status=int(chance.choice([0, 0, 0, IntervalStatus.ESTIMATED, IntervalStatus.EDITED])),
                )
                for point in (1, 2)
                if chance.random() > 0.05
            ]
    stored(store, *rows)
    yield store, rows
    store.close()


def test_a_day_of_a_clock_change_has_92_or_100_quarters_and_the_sum_is_whole(kept):
    store, rows = kept
    for day, quarters in ((date(2026, 3, 29), 92), (date(2026, 10, 25), 100)):
        period = TimeRange.day(day, BERLIN)
        found = store.energy_series([Member(0, 1)], ENERGY, Grid(period, Resolution.QUARTER, BERLIN))
        mine = [row["energy"] for row in rows if row["point_id"] == 1 and period.contains(row["start_at"])]
        assert found.num_rows == quarters
        assert sum(value for value in found["energy"].to_pylist() if value is not None) == sum(mine)
        assert int(sum(found["intervals"].to_pylist())) == len(mine)


RANGES = st.tuples(st.integers(0, 10 * 96 - 1), st.integers(1, 6 * 96), st.integers(0, 14)).map(
    lambda drawn: TimeRange(
        datetime(2026, 3, 26, tzinfo=UTC) + drawn[0] % 480 * QUARTER + (timedelta(days=210) if drawn[0] > 480 else timedelta()),
        datetime(2026, 3, 26, tzinfo=UTC)
        + (drawn[0] % 480 + drawn[1]) * QUARTER
        + (timedelta(days=210) if drawn[0] > 480 else timedelta())
        + timedelta(minutes=drawn[2]),
    )
)  # fmt: skip


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(period=RANGES, zone=st.sampled_from(ZONES), resolution=st.sampled_from(list(Resolution)))
def test_every_slot_is_what_a_plain_loop_finds(kept, period, zone, resolution):
    store, rows = kept
    grid = Grid(period, resolution, zone)
    found = store.energy_series([Member(0, 1), Member(0, 2), Member(5, 2)], ENERGY, grid)
    for series, points in ((0, {1, 2}), (5, {2})):
        mine = [
            row
            for row in rows
            if row["point_id"] in points and period.start <= row["start_at"] and row["end_at"] <= period.end
        ]
        expected = [_by_hand(mine, start, end) for start, end in _slots_by_hand(period, resolution, zone)]
        seen = [
            (row["start_at"], row["end_at"], row["energy"], row["highest"], row["lowest"],
             row["intervals"], row["estimated"], row["edited"])
            for row in found.to_pylist() if row["series"] == series
        ]  # fmt: skip
        assert seen == expected


def _by_hand(rows, start, end):
    inside = [row for row in rows if start <= row["start_at"] < end]
    slots = defaultdict(list)
    for row in inside:
        slots[row["start_at"]].append(row["energy"])
    most = max(map(len, slots.values()), default=0)
    powers = {at: (sum(values) * 4, len(values)) for at, values in slots.items()}
    return (
        start, end, sum(row["energy"] for row in inside) if inside else None,
        max((power for power, _ in powers.values()), default=None),
        min((power for power, points in powers.values() if points == most), default=None),
        len(inside),
        sum(bool(row["status"] & IntervalStatus.ESTIMATED) for row in inside),
        sum(bool(row["status"] & IntervalStatus.EDITED) for row in inside),
    )  # fmt: skip


def _slots_by_hand(period, resolution, zone):
    """Walk through the period by the quarter hour and ask the calendar what each belongs to."""
    marks = {period.start}
    step = timedelta(minutes=1)
    at = period.start.replace(second=0, microsecond=0)
    last = None
    midnight = None
    while at < period.end:
        civil = at.astimezone(zone)
        day = civil.date()
        if midnight is None or midnight.astimezone(zone).date() != day:
            midnight = datetime.combine(day, datetime.min.time(), zone).astimezone(UTC)
        width = {Resolution.QUARTER: 15, Resolution.HALF_HOUR: 30, Resolution.HOUR: 60}.get(resolution)
        key = {
            Resolution.DAY: day, Resolution.WEEK: day.isocalendar()[:2], Resolution.MONTH: (day.year, day.month),
            Resolution.YEAR: day.year,
        }.get(resolution) or (day, (at - midnight) // timedelta(minutes=width))  # fmt: skip
        if key != last:
            marks.add(at)
            last = key
        at += step if at.minute % 15 or at == period.start else QUARTER
    return list(pairwise([*sorted(marks), period.end]))


@settings(max_examples=30, deadline=None)
@given(
    first=st.dates(date(2026, 1, 1), date(2026, 12, 31)),
    days=st.integers(1, 60),
    zone=st.sampled_from(ZONES),
)
def test_every_coarser_grid_is_made_of_whole_finer_slots(first, days, zone):
    period = TimeRange(
        TimeRange.day(first, zone).start, TimeRange.day(first + timedelta(days=days), zone).start
    )
    edges = {resolution: set(Grid(period, resolution, zone).edges.tolist()) for resolution in Resolution}
    for fine in Resolution:
        for coarse in fine.coarser:
            if fine is not Resolution.WEEK:
                assert edges[coarse] <= edges[fine]


@pytest.mark.parametrize("coarse", list(Resolution)[1:])
def test_a_coarser_resolution_is_the_sum_of_the_finer(kept, coarse):
    store, _ = kept
    period = TimeRange(TimeRange.month(2026, 3, BERLIN).start, TimeRange.month(2026, 10, BERLIN).end)

    def found(resolution):
        return store.energy_series(
            [Member(0, 1), Member(0, 2)], ENERGY, Grid(period, resolution, BERLIN)
        ).to_pylist()

    fine = [row for row in found(Resolution.QUARTER) if row["intervals"]]
    starts = [row["start_at"] for row in fine]
    for slot in found(coarse):
        inside = fine[bisect_left(starts, slot["start_at"]) : bisect_left(starts, slot["end_at"])]
        assert slot["energy"] == (sum(row["energy"] for row in inside) if inside else None)
        assert slot["highest"] == max((row["highest"] for row in inside), default=None)
        assert slot["known_us"] == sum(row["known_us"] for row in inside)


def test_an_hour_is_shared_out_over_its_quarters_to_the_last_digit_and_says_so(store):
    start = datetime(2026, 11, 1, tzinfo=UTC)
    stored(store, interval(1, start, "1.0003", minutes=60), interval(2, start, "0.2500"))
    grid = Grid(TimeRange(start, start + timedelta(hours=1)), Resolution.QUARTER, SHANGHAI)
    found = store.energy_series([Member(0, 1), Member(0, 2)], ENERGY, grid)
    assert energies(found) == ["0.5000", "0.2501", "0.2501", "0.2501"]
    assert found["shared"].to_pylist() == [1, 1, 1, 1]
    assert found["intervals"].to_pylist() == [2, 1, 1, 1]


def test_a_slot_without_a_known_energy_is_empty_not_zero(store):
    start = datetime(2026, 11, 1, tzinfo=UTC)
    stored(
        store, interval(1, start, None, status=IntervalStatus.BACKWARDS), interval(1, start + QUARTER, "0")
    )
    grid = Grid(TimeRange(start, start + 3 * QUARTER), Resolution.QUARTER, SHANGHAI)
    found = store.energy_series([Member(0, 1)], ENERGY, grid)
    assert energies(found) == [None, "0.0000", None]
    assert found["known_us"].to_pylist() == [0, 900_000_000, 0]


def test_a_series_is_told_as_it_was_known_then(store):
    start = datetime(2026, 11, 1, tzinfo=UTC)
    grid = Grid(TimeRange(start, start + QUARTER), Resolution.QUARTER, SHANGHAI)
    stored(store, interval(1, start, "1"))
    before = NOW + timedelta(hours=1)
    changed = pa.Table.from_pylist(
        [dict.fromkeys(INTERVAL_SCHEMA.names) | interval(1, start, "2")], INTERVAL_SCHEMA
    )
    store.append_intervals(changed, NOW + timedelta(hours=2))
    assert energies(store.energy_series([Member(0, 1)], ENERGY, grid)) == ["2.0000"]
    assert energies(store.energy_series([Member(0, 1)], ENERGY, grid, as_known_at=before)) == ["1.0000"]
    assert energies(
        store.energy_series([Member(0, 1)], ENERGY, grid, as_known_at=NOW - timedelta(hours=1))
    ) == [None]


def test_intervals_of_a_meter_are_those_its_installation_touches(store):
    start = datetime(2026, 11, 1, 14, 0, tzinfo=UTC)
    exchanged = datetime(2026, 11, 1, 14, 7, tzinfo=UTC)
    stored(store, *(interval(1, start + n * QUARTER, n + 1) for n in range(-2, 3)))
    grid = Grid(TimeRange(start - 2 * QUARTER, start + 3 * QUARTER), Resolution.QUARTER, SHANGHAI)
    old = store.energy_series([Member(0, 1, TimeRange(EPOCH, exchanged))], ENERGY, grid)
    new = store.energy_series([Member(0, 1, TimeRange(exchanged, None))], ENERGY, grid)
    assert energies(old) == ["-1.0000", "0.0000", "1.0000", None, None]
    assert energies(new) == [None, None, "1.0000", "2.0000", "3.0000"]


def test_samples_keep_their_lowest_and_highest_however_coarse(store):
    start = datetime(2026, 11, 1, tzinfo=UTC)
    volts = ["230.1", "229.9", "198.4", "251.3", "230.0"]
    rows = [
        {"meter_id": 7, "quantity": "voltage_l1", "read_at": start + n * timedelta(minutes=5), "value": Decimal(value),
         "status": 4 if n == 3 else 0, "source": "polled", "exchange_id": None}
        for n, value in enumerate(volts)
    ]  # fmt: skip
    store.append_readings(pa.Table.from_pylist(rows, READING_SCHEMA), NOW)
    grid = Grid(TimeRange(start, start + timedelta(minutes=30)), Resolution.QUARTER, SHANGHAI)
    first, second = store.sample_series([Member(0, 7)], "voltage_l1", grid).to_pylist()
    assert (first["mean"], first["lowest"], first["highest"]) == tuple(
        map(Decimal, ("219.4667", "198.4", "230.1"))
    )
    assert (first["first"], first["last"], first["readings"], first["doubtful"]) == (
        Decimal("230.1"), Decimal("198.4"), 3, 0,
    )  # fmt: skip
    assert (second["lowest"], second["highest"], second["doubtful"]) == (
        Decimal("230.0"),
        Decimal("251.3"),
        1,
    )
    coarse = Grid(grid.period, Resolution.DAY, SHANGHAI)
    [whole] = store.sample_series([Member(0, 7)], "voltage_l1", coarse).to_pylist()
    assert (whole["lowest"], whole["highest"], whole["readings"]) == (Decimal("198.4"), Decimal("251.3"), 5)


@pytest.mark.parametrize(
    ("period", "zone", "before"),
    [
        (TimeRange.month(2026, 3, BERLIN), BERLIN, TimeRange.month(2026, 2, BERLIN)),
        (TimeRange.day(date(2026, 3, 30), BERLIN), BERLIN, TimeRange.day(date(2026, 3, 29), BERLIN)),
        (
            TimeRange(datetime(2026, 5, 1, 6, tzinfo=UTC), datetime(2026, 5, 1, 8, tzinfo=UTC)),
            BERLIN,
            TimeRange(datetime(2026, 5, 1, 4, tzinfo=UTC), datetime(2026, 5, 1, 6, tzinfo=UTC)),
        ),
    ],
)
def test_the_period_before_is_as_long_by_the_calendar(period, zone, before):
    assert same_period_before(period, zone) == before


def test_a_leap_month_is_compared_with_the_same_month_of_the_year_before():
    assert same_period_last_year(TimeRange.month(2028, 2, SHANGHAI), SHANGHAI) == TimeRange.month(
        2027, 2, SHANGHAI
    )
    assert same_period_last_year(TimeRange.day(date(2028, 2, 28), SHANGHAI), SHANGHAI).duration == timedelta(
        days=1
    )


@settings(max_examples=100)
@given(
    spans=st.lists(st.tuples(st.integers(0, 100), st.integers(1, 50)), max_size=6),
    at=st.lists(st.integers(0, 200), min_size=1),
)
def test_covered_time_is_that_of_every_span_by_itself(spans, at):
    whole = [(start, start + length) for start, length in spans]
    expected = [sum(max(0, min(instant, end) - start) for start, end in whole) for instant in at]
    assert covered_until(np.asarray(at, dtype=np.int64), whole).tolist() == expected
