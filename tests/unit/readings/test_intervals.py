"""Register differences become energy: what is measured, what is estimated, and what is refused."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.readings import intervals
from wattkeeper.readings.intervals import derive_intervals
from wattkeeper.readings.schemas import IntervalStatus

BERLIN = ZoneInfo("Europe/Berlin")
SHANGHAI = ZoneInfo("Asia/Shanghai")
T0 = datetime(2026, 1, 5, 6, 0, tzinfo=UTC)  # 14:00 in Shanghai
OK, ESTIMATED, EDITED = IntervalStatus.OK, IntervalStatus.ESTIMATED, IntervalStatus.EDITED


def after(minutes: float) -> datetime:
    return T0 + timedelta(minutes=minutes)


def span(minutes: float, start: float = 0) -> TimeRange:
    return TimeRange(after(start), after(minutes))


def told(table: pa.Table) -> list[tuple[float, str | None, IntervalStatus]]:
    """(minutes since T0, energy, status) of each interval."""
    return [
        (
            (row["start_at"] - T0) / timedelta(minutes=1),
            None if row["energy"] is None else str(row["energy"].normalize() + 0),
            IntervalStatus(row["status"]),
        )
        for row in table.to_pylist()
    ]


def test_stamped_registers_give_measured_intervals(installed, registers):
    derived = derive_intervals(
        registers((after(0), "100"), (after(15), "101.25"), (after(30), "101.5")), [installed()], span(30)
    )
    assert derived.to_pylist()[0] == {
        "point_id": 1,
        "quantity": "active_energy_import",
        "start_at": after(0),
        "end_at": after(15),
        "energy": Decimal("1.2500"),
        "status": 0,
        "method": "measured",
        "error": None,
    }
    assert told(derived) == [(0, "1.25", OK), (15, "0.25", OK)]


def test_a_poll_within_30_seconds_measures_and_one_later_only_estimates(installed, registers):
    polls = registers(
        (after(0.5), "100", "polled"), (after(15 - 0.4), "101", "polled"), (after(31), "102", "polled")
    )
    assert told(derive_intervals(polls, [installed()], span(30))) == [
        (0, "1", OK),
        (15, "0.939", ESTIMATED),  # 15.4 of 16.4 minutes
    ]


def test_five_missing_hours_give_neither_zeros_nor_a_lump(installed, registers):
    gap = registers((after(0), "100"), (after(15), "100.5"), (after(315), "110.5"), (after(330), "111"))
    derived = told(derive_intervals(gap, [installed()], span(330)))
    assert derived == [
        (0, "0.5", OK),
        *((15.0 * slot, "0.5", ESTIMATED) for slot in range(1, 21)),
        (315, "0.5", OK),
    ]


def test_an_open_gap_has_no_interval(installed, registers):
    assert told(
        derive_intervals(registers((after(0), "100"), (after(15), "101")), [installed()], span(600))
    ) == [(0, "1", OK)]


def test_a_gap_of_more_than_three_days_is_not_guessed_through(installed, registers):
    day = 24 * 60
    apart = registers((after(0), "100"), (after(15), "100.5"), (after(4 * day), "104.5"))
    assert told(derive_intervals(apart, [installed()], span(4 * day))) == [(0, "0.5", OK)]
    within = registers((after(0), "100"), (after(15), "100.5"), (after(3 * day), "103.5"))
    derived = told(derive_intervals(within, [installed()], span(3 * day)))
    assert len(derived) == 3 * 96
    assert sum(Decimal(energy) for _, energy, _ in derived) == Decimal("3.5")


def test_the_remainder_of_a_gap_is_spread_so_that_nothing_is_lost(installed, registers):
    derived = derive_intervals(registers((after(0), "100"), (after(45), "100.01")), [installed()], span(45))
    assert [str(row) for row in derived["energy"].to_pylist()] == ["0.0033", "0.0033", "0.0034"]


def test_the_ratio_is_applied_once(installed, registers):
    derived = derive_intervals(
        registers((after(0), "100"), (after(15), "100.01")), [installed(ratio=Decimal("80.5"))], span(15)
    )
    assert told(derived) == [(0, "0.805", OK)]


def test_the_first_hour_of_a_new_meter_counts_from_its_first_register(installed, registers):
    new = installed(period=TimeRange(after(7), None), first_register=Decimal("12345.6"))
    derived = derive_intervals(registers((after(15), "12346"), (after(30), "12346.5")), [new], span(30))
    assert told(derived) == [(0, "0.4", IntervalStatus.PARTIAL), (15, "0.5", OK)]


def test_a_forgotten_first_register_does_not_bill_the_meters_former_life(installed, registers):
    for rated in (Decimal(10), None):
        new = installed(period=TimeRange(after(0), None), first_register=Decimal(0), rated_power_kw=rated)
        derived = derive_intervals(registers((after(15), "12345"), (after(30), "12345.5")), [new], span(30))
        assert told(derived) == [(0, None, IntervalStatus.IMPLAUSIBLE), (15, "0.5", OK)]


def test_a_meter_exchanged_at_14_07_counts_each_side_with_its_own_ratio(installed, registers):
    old = installed(period=TimeRange(after(-60), after(7)), last_register=Decimal("100.5"), ratio=Decimal(2))
    new = installed(
        installation_id=2,
        meter_id=2,
        period=TimeRange(after(7), None),
        first_register=Decimal(5),
        ratio=Decimal(3),
    )
    both = pa.concat_tables(
        [
            registers((after(-15), "99"), (after(0), "100")),
            registers((after(15), "5.25"), (after(30), "6"), meter_id=2),
        ]
    )
    assert told(derive_intervals(both, [old, new], span(30, start=-15))) == [
        (-15, "2", OK),
        (0, "1.75", IntervalStatus.EXCHANGED),  # 0.5 x 2 + 0.25 x 3
        (15, "2.25", OK),
    ]


def test_an_exchange_whose_other_side_is_unknown_gives_no_interval(installed, registers):
    old = installed(period=TimeRange(after(-60), after(7)), ratio=Decimal(2))
    new = installed(
        installation_id=2, meter_id=2, period=TimeRange(after(7), None), first_register=Decimal(5)
    )
    both = pa.concat_tables([registers((after(0), "100")), registers((after(15), "5.25"), meter_id=2)])
    assert told(derive_intervals(both, [old, new], span(15))) == []


def test_a_rollover_that_digits_and_rating_confirm_counts_through(installed, registers):
    derived = derive_intervals(
        registers((after(0), "999998"), (after(15), "999999.5"), (after(30), "0.5"), (after(45), "1")),
        [installed(first_register=Decimal(999990), period=TimeRange(after(-60), None))],
        span(45),
    )
    assert told(derived) == [(0, "1.5", OK), (15, "1", IntervalStatus.ROLLOVER), (30, "0.5", OK)]


def test_a_rollover_inside_a_gap_is_spread_like_any_other_energy(installed, registers):
    derived = derive_intervals(
        registers((after(0), "999999"), (after(60), "1")),
        [installed(first_register=Decimal(999999), period=TimeRange(after(0), None))],
        span(60),
    )
    assert told(derived) == [(15.0 * slot, "0.5", ESTIMATED | IntervalStatus.ROLLOVER) for slot in range(4)]


@pytest.mark.parametrize("rated", [Decimal(10), None], ids=["beyond the rating", "no rating to confirm it"])
def test_a_backward_step_that_is_no_rollover_invents_no_energy(installed, registers, rated):
    derived = derive_intervals(
        registers((after(0), "500"), (after(15), "501"), (after(30), "20"), (after(45), "20.5")),
        [installed(first_register=Decimal(500), period=TimeRange(after(0), None), rated_power_kw=rated)],
        span(45),
    )
    assert told(derived) == [(0, "1", OK), (15, None, IntervalStatus.BACKWARDS), (30, "0.5", OK)]


@pytest.mark.parametrize("wrong", ["20", "7000"])
def test_a_single_wrong_reading_is_bridged_not_believed(installed, registers, wrong):
    derived = derive_intervals(
        registers((after(0), "500"), (after(15), wrong), (after(30), "502"), (after(45), "503")),
        [installed(first_register=Decimal(500), period=TimeRange(after(0), None))],
        span(45),
    )
    assert told(derived) == [(0, "1", ESTIMATED), (15, "1", ESTIMATED), (30, "1", OK)]


def test_a_persons_reading_is_never_doubted_and_marks_its_intervals(installed, registers):
    derived = derive_intervals(
        registers((after(0), "500"), (after(15), "500.5", "edited"), (after(30), "501")),
        [installed(first_register=Decimal(499))],
        span(30),
    )
    assert told(derived) == [(0, "0.5", EDITED), (15, "0.5", EDITED)]


def test_more_than_the_rating_allows_is_flagged_without_energy(installed, registers):
    derived = derive_intervals(
        registers((after(0), "100"), (after(15), "900"), (after(30), "901")), [installed()], span(30)
    )
    assert told(derived) == [(0, None, IntervalStatus.IMPLAUSIBLE), (15, "1", OK)]


def test_a_combined_register_may_run_down(installed, registers):
    derived = derive_intervals(
        registers((after(0), "100"), (after(15), "99.5"), quantity="active_energy"), [installed()], span(15)
    )
    assert told(derived) == [(0, "-0.5", OK)]


@pytest.mark.parametrize(
    ("day", "slots"),
    [
        pytest.param((2026, 3, 29), 92, id="clocks forward"),
        pytest.param((2026, 6, 1), 96, id="plain"),
        pytest.param((2026, 10, 25), 100, id="clocks back"),
    ],
)
def test_a_day_has_the_quarter_hours_of_its_zone(installed, registers, day, slots):
    civil = TimeRange.day(datetime(*day).date(), BERLIN)  # noqa: DTZ001  a civil date
    rows = [(civil.start + timedelta(minutes=15 * n), str(Decimal(n) / 4)) for n in range(slots + 1)]
    derived = derive_intervals(registers(*rows), [installed(zone=BERLIN, point_id=7)], civil)
    assert derived.num_rows == slots
    assert sum(derived["energy"].to_pylist()) == Decimal(slots) / 4
    assert derived["start_at"][0].as_py() == civil.start
    assert derived["end_at"][-1].as_py() == civil.end


def test_points_keep_their_own_grids(installed, registers):
    half_hourly = installed(installation_id=2, point_id=2, meter_id=2, interval_minutes=30)
    both = pa.concat_tables(
        [
            registers((after(0), "1"), (after(30), "2")),
            registers((after(0), "1"), (after(30), "2"), meter_id=2),
        ]
    )
    derived = derive_intervals(both, [installed(), half_hourly], span(30))
    assert [(row["point_id"], row["end_at"]) for row in derived.to_pylist()] == [
        (1, after(15)),
        (1, after(30)),
        (2, after(30)),
    ]


@st.composite
def register_series(draw) -> list[tuple[datetime, Decimal]]:
    """Readings at odd moments, with gaps, and a register of 0.01 kWh that only counts up."""
    moments = draw(st.lists(st.integers(0, 2 * 24 * 3600), min_size=2, max_size=40, unique=True).map(sorted))
    steps = draw(st.lists(st.integers(0, 200), min_size=len(moments), max_size=len(moments)))
    value, series = 10_000, []
    for second, step in zip(moments, steps, strict=True):
        value += step
        series.append((T0 + timedelta(seconds=second), Decimal(value) / 100))
    return series


@settings(max_examples=40, deadline=None)
@given(series=register_series(), ratio=st.sampled_from(["1", "80", "1.5", "30.3333", "2000"]))
def test_intervals_add_up_to_exactly_the_register_difference(installed, registers, series, ratio):
    """Between any two boundaries that were read, the sum is the difference, to the last digit of the store."""
    first, last = series[0], series[-1]
    meter = installed(ratio=Decimal(ratio), rated_power_kw=None)
    end = first[0] + timedelta(days=2, hours=12)
    ends = [
        (first[0].replace(minute=0, second=0) - timedelta(hours=1), first[1]),
        (end.replace(minute=0, second=0), last[1]),
    ]
    derived = derive_intervals(
        registers(*[(at, str(value)) for at, value in [ends[0], *series, ends[1]]]),
        [meter],
        TimeRange(ends[0][0], ends[1][0]),
    )
    assert None not in derived["energy"].to_pylist()
    quantum = Decimal("0.0001")
    exact = [(value * meter.ratio).quantize(quantum, "ROUND_HALF_UP") for value in (first[1], last[1])]
    assert sum(derived["energy"].to_pylist()) == exact[1] - exact[0]
    assert min(derived["energy"].to_pylist()) >= 0


@settings(max_examples=40, deadline=None)
@given(series=register_series(), cut=st.integers(1, 38))
def test_deriving_in_two_parts_gives_the_same_as_deriving_at_once(installed, registers, series, cut):
    table = registers(*[(at, str(value)) for at, value in series])
    middle = T0 + timedelta(hours=2 * cut)
    whole = TimeRange(T0, T0 + timedelta(days=4))
    at_once = derive_intervals(table, [installed(rated_power_kw=None)], whole)
    parts = [
        derive_intervals(table, [installed(rated_power_kw=None)], TimeRange(a, b))
        for a, b in ((T0, middle), (middle, whole.end))
    ]
    assert pa.concat_tables(parts).to_pylist() == at_once.to_pylist()


def test_a_register_beyond_all_sense_is_implausible_and_stops_nobody_else(installed, registers):
    """The ratios are the largest that can be entered; nothing is known of the rated power."""
    huge = Decimal("499999.9999") * Decimal("499999.9999")
    nonsense = installed(point_id=1, meter_id=1, ratio=huge, rated_power_kw=None, register_digits=12)
    sound = installed(point_id=2, meter_id=2)
    readings = pa.concat_tables(
        [
            registers((after(0), "100"), (after(15), "99999999999999"), meter_id=1),
            registers((after(0), "100"), (after(15), "101"), meter_id=2),
        ]
    )
    table = derive_intervals(readings, [nonsense, sound], span(15))
    assert [(row["point_id"], row["energy"], row["status"]) for row in table.to_pylist()] == [
        (1, None, IntervalStatus.IMPLAUSIBLE),
        (2, Decimal(1), IntervalStatus.OK),
    ]


def test_years_before_the_first_reading_are_not_gone_through_slot_by_slot(installed, registers, monkeypatch):
    looked_at = []
    real = intervals._pieces

    def counting(*arguments):
        pieces = real(*arguments)
        looked_at.append(len(pieces.group))
        return pieces

    monkeypatch.setattr(intervals, "_pieces", counting)
    old = installed(period=TimeRange(datetime(2016, 1, 1, tzinfo=UTC), None))
    derived = derive_intervals(
        registers((after(0), "100"), (after(15), "101")), [old], TimeRange(old.period.start, after(60))
    )
    assert told(derived) == [(0, "1", OK)]
    # The slot of the installation, the one before and the two at the readings, and no year between.
    assert looked_at[0] <= 5
