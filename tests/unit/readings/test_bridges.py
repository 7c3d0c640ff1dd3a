"""Long gaps between two registers follow the point's own days, add up exactly, and rest on nothing that comes later."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.readings.intervals import derive_intervals

SHANGHAI = ZoneInfo("Asia/Shanghai")
MIDNIGHT = datetime(2026, 5, 31, 16, tzinfo=UTC)  # Monday 1 June 2026, 00:00 in Shanghai
QUARTER = timedelta(minutes=15)
DAY = timedelta(days=1)


def home(start: datetime, slots: int) -> list[int]:
    """Units of 0.0001 kWh: 0.1 kWh a quarter hour, 0.5 from 18:00 to 22:00, alike every day."""
    local = [(start + n * QUARTER).astimezone(SHANGHAI).hour for n in range(slots)]
    return [5000 if 18 <= hour < 22 else 1000 for hour in local]


def history_of(start: datetime, energies: list[int]):
    """A history that knows these quarter hours and nothing else."""
    origin = int(start.timestamp()) * 1_000_000

    def fetch(asked: pa.Table) -> pa.Table:
        rows = [
            (row["number"], origin + n * 900_000_000, float(energy))
            for row in asked.to_pylist()
            for n, energy in enumerate(energies)
            if origin + n * 900_000_000 >= row["start_at"] and origin + (n + 1) * 900_000_000 <= row["end_at"]
        ]
        numbers, starts, energy = zip(*rows, strict=True) if rows else ((), (), ())
        return pa.table(
            {
                "number": pa.array(numbers, pa.int64()),
                "start_at": pa.array(starts, pa.int64()),
                "energy": pa.array(energy, pa.float64()),
            }
        )

    return fetch


HISTORY = history_of(MIDNIGHT - 28 * DAY, home(MIDNIGHT - 28 * DAY, 28 * 96))


def around(registers, gap: timedelta, counted: str):
    """A register each quarter hour up to noon of 1 June, then none until the gap ends."""
    noon = MIDNIGHT + timedelta(hours=12)
    end = noon + gap
    return registers(
        (noon - 2 * QUARTER, "99.8"),
        (noon - QUARTER, "99.9"),
        (noon, "100"),
        (end, str(100 + Decimal(counted))),
        (end + QUARTER, str(100 + Decimal(counted) + Decimal("0.1"))),
    ), TimeRange(noon - 2 * QUARTER, end + QUARTER)


def test_a_gap_is_laid_out_as_the_point_used_to_use(installed, registers):
    # 24 hours at 0.1 and 16 quarter hours of them at 0.5: 80 x 0.1 + 16 x 0.5 = 16 kWh.
    readings, period = around(registers, DAY, "16")
    derived = derive_intervals(readings, [installed()], period, history=HISTORY).to_pylist()
    gap = derived[2:-1]
    assert [row["method"] for row in derived] == ["measured"] * 2 + ["profile"] * 96 + ["measured"]
    assert sum(row["energy"] for row in gap) == Decimal(16)
    expected = [Decimal(e) / 10_000 for e in home(gap[0]["start_at"], 96)]
    assert max(abs(row["energy"] - e) for row, e in zip(gap, expected, strict=True)) < Decimal("0.01")
    assert all(row["error"] is not None and row["error"] < Decimal("0.05") for row in gap)
    assert [row["error"] for row in derived[:2]] == [None, None]


def test_twice_the_usual_energy_keeps_the_shape(installed, registers):
    readings, period = around(registers, DAY, "32")
    derived = derive_intervals(readings, [installed()], period, history=HISTORY).to_pylist()[2:-1]
    evening = [row["energy"] for row in derived if row["start_at"].astimezone(SHANGHAI).hour == 20]
    night = [row["energy"] for row in derived if row["start_at"].astimezone(SHANGHAI).hour == 3]
    assert sum(row["energy"] for row in derived) == Decimal(32)
    assert min(evening) > 3 * max(night) > 0


def test_a_gap_of_ten_days_is_estimated_and_one_of_forty_is_not(installed, registers):
    readings, period = around(registers, 10 * DAY, "160")
    ten = derive_intervals(readings, [installed()], period, history=HISTORY)
    assert ten["method"].to_pylist().count("profile") == 960
    assert sum(ten["energy"].to_pylist()) == Decimal("160.3")
    readings, period = around(registers, 40 * DAY, "640")
    assert derive_intervals(readings, [installed()], period, history=HISTORY).num_rows == 3


def test_a_new_meter_without_days_to_go_by_gets_a_straight_line(installed, registers):
    readings, period = around(registers, timedelta(hours=5), "2")
    young = history_of(MIDNIGHT - 3 * DAY, home(MIDNIGHT - 3 * DAY, 3 * 96))
    derived = derive_intervals(readings, [installed()], period, history=young).to_pylist()[2:-1]
    assert {(row["method"], row["energy"]) for row in derived} == {("linear", Decimal("0.1"))}
    # 0.5 * 2 kWh * sqrt(1/20 * 19/20)
    assert {row["error"] for row in derived} == {Decimal("0.2180")}


def test_a_meter_that_is_read_once_a_day_has_no_gaps(installed, registers):
    def never(asked):
        raise AssertionError(asked)

    readings = registers(*((MIDNIGHT + n * DAY, str(100 + 16 * n)) for n in range(5)))
    derived = derive_intervals(
        readings, [installed()], TimeRange(MIDNIGHT, MIDNIGHT + 4 * DAY), history=never
    )
    assert set(derived["method"].to_pylist()) == {"linear"}


def test_a_register_that_did_not_move_gives_a_gap_of_zeros(installed, registers):
    readings, period = around(registers, timedelta(hours=5), "0")
    derived = derive_intervals(readings, [installed()], period, history=HISTORY).to_pylist()[2:-1]
    assert {(row["method"], row["energy"]) for row in derived} == {("profile", Decimal(0))}


def test_what_was_used_after_the_gap_changes_nothing(installed, registers):
    readings, period = around(registers, DAY, "16")
    before = home(MIDNIGHT - 28 * DAY, 28 * 96 + 48)
    known = derive_intervals(readings, [installed()], period, history=history_of(MIDNIGHT - 28 * DAY, before))
    grown = history_of(MIDNIGHT - 28 * DAY, before + [9999] * (30 * 96))

    def with_later_days(asked: pa.Table) -> pa.Table:
        return grown(asked.set_column(4, "end_at", pa.array([10**17] * asked.num_rows)))

    assert derive_intervals(readings, [installed()], period, history=with_later_days).equals(known)


@pytest.mark.parametrize("minutes", [45, 67, 180, 1000, 5000])
def test_deriving_in_parts_gives_the_same_as_deriving_at_once(installed, registers, minutes):
    readings, period = around(registers, timedelta(minutes=minutes), str(minutes / 100))
    at_once = derive_intervals(readings, [installed()], period, history=HISTORY)
    middle = period.start + timedelta(minutes=minutes // 2)
    parts = [
        derive_intervals(readings, [installed()], TimeRange(a, b), history=HISTORY)
        for a, b in ((period.start, middle), (middle, period.closed_end))
    ]
    both = {row["start_at"]: row for part in parts for row in part.to_pylist()}
    assert list(both.values()) == at_once.to_pylist()


@settings(max_examples=60, deadline=None)
@given(
    minutes=st.integers(31, 8 * 24 * 60),
    begin=st.integers(0, 2000),
    counted=st.integers(0, 5_000_000),
    ratio=st.sampled_from(["1", "40", "0.3333", "12000"]),
    noise=st.integers(0, 2**32 - 1),
)
def test_the_intervals_of_a_gap_add_up_to_the_register_difference(
    installed, registers, *, minutes, begin, counted, ratio, noise
):
    """Whatever the ends, the history and the energy: exactly, and none below zero."""
    random = np.random.default_rng(noise)
    history = history_of(MIDNIGHT - 30 * DAY, random.integers(0, 20_000, 33 * 96).tolist())
    left = MIDNIGHT + timedelta(minutes=begin)
    right = left + timedelta(minutes=minutes)
    start, end = left - DAY, right + DAY
    kwh = Decimal(counted) / 10_000
    readings = registers(
        (start.replace(minute=0), "0"), (left - timedelta(minutes=1), "10"), (left, "10"),
        (right, str(10 + kwh)), (right + timedelta(minutes=1), str(10 + kwh)), (end.replace(minute=0), str(10 + kwh)),
    )  # fmt: skip
    meter = installed(ratio=Decimal(ratio), rated_power_kw=None, period=TimeRange(start - 9 * DAY, None))
    period = TimeRange(start.replace(minute=0), end.replace(minute=0))
    derived = derive_intervals(readings, [meter], period, history=history)
    energies = derived["energy"].to_pylist()
    exact = ((10 + kwh) * meter.ratio).quantize(Decimal("0.0001"), "ROUND_HALF_UP")
    assert sum(energies) == exact
    assert min(energies) >= 0
    assert derived.num_rows == (period.duration // QUARTER)
    assert derived["method"].to_pylist().count("profile") > 0
    assert all((row["error"] is None) == (row["method"] == "measured") for row in derived.to_pylist())
