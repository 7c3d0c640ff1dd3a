import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattkeeper.simulator.loads import ShapedLoad
from wattkeeper.simulator.registers import Register

DAY = 86_400.0
START = 20_454 * 96  # 2026-01-01 00:00
MIDNIGHT = START * 900.0


@pytest.fixture
def household():
    return Register(ShapedLoad("household", seed=9).taken, first_slot=START, first=12_345, phase=1.0)


def test_a_constant_load_counts_one_kwh_each_quarter_hour(constant_load):
    register = Register(constant_load(4.0).taken, first_slot=START, first=1000)
    assert register.at(MIDNIGHT) == 1000
    assert register.at(MIDNIGHT + 900) == 1100
    assert register.at(MIDNIGHT + DAY) == 1000 + 9600


def test_nothing_was_counted_before_the_meter_was_there(constant_load):
    register = Register(constant_load().taken, first_slot=START, first=77)
    assert register.at(MIDNIGHT - 5 * DAY) == 77
    assert register.mean_power(np.array([START - 1, START])).tolist() == [0, 40_000]


def test_each_hour_counts_in_its_tariff(constant_load):
    register = Register(constant_load(4.0).taken, first_slot=START)
    # A day of 4 kW: 2 h sharp, 6 h peak, 8 h flat, 8 h valley.
    assert register.rates_at(MIDNIGHT + DAY) == (9600, 800, 2400, 3200, 3200)


def test_a_register_turns_over_at_its_modulus(constant_load):
    register = Register(constant_load(4.0).taken, first_slot=START, first=99_950, modulus=100_000)
    assert [register.at(MIDNIGHT + after) for after in (0, 900)] == [99_950, 50]


@given(st.lists(st.floats(0, 100 * DAY), min_size=2, max_size=20))
def test_a_register_never_runs_backwards_and_its_tariffs_add_up(offsets):
    register = Register(ShapedLoad("household", seed=9).taken, first_slot=START, first=12_345, phase=1.0)
    moments = np.sort(np.array(offsets)) + MIDNIGHT
    rates = register.rates_at_many(moments)
    assert (np.diff(rates, axis=0) >= 0).all()
    assert (rates[:, 1:].sum(axis=1) == rates[:, 0]).all()
    assert rates[:, 0].tolist() == [register.at(moment) for moment in moments]
    assert register.at_many(moments).tolist() == rates[:, 0].tolist()


def test_what_a_register_shows_does_not_depend_on_what_was_asked_before(household):
    far = household.at(MIDNIGHT + 300 * DAY)
    near = household.at(MIDNIGHT + 3 * DAY)
    fresh = Register(ShapedLoad("household", seed=9).taken, first_slot=START, first=12_345, phase=1.0)
    assert (fresh.at(MIDNIGHT + 3 * DAY), fresh.at(MIDNIGHT + 300 * DAY)) == (near, far)


def test_power_ripples_within_a_quarter_hour_and_the_register_with_it(constant_load):
    register = Register(constant_load(400.0).taken, first_slot=START)
    at = np.array([register.at(MIDNIGHT + second) for second in range(0, 901, 15)])
    steps = np.diff(at)
    assert steps.min() > 0
    assert steps.max() > 1.1 * steps.min()
    assert at[-1] == 10_000
