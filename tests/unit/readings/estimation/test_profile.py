"""Estimation by itself: exact sums, bounds that hold, loads that run both ways, and gaps without a second register."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wattkeeper.readings.estimation.profile import estimate
from wattkeeper.readings.estimation.values import Gaps

BEFORE = 8


def gaps_of(days: np.ndarray, own: np.ndarray, *, total: float | None, slots: int) -> Gaps:
    """One gap of ``slots`` slots with 8 before and 1 after; ``own`` is the truth around and in it."""
    around = own.astype(float).copy()
    around[BEFORE : BEFORE + slots] = np.nan
    return Gaps(
        surroundings=around[None],
        history=days[None].astype(float),
        weight=np.ones((1, *days.shape)),
        covered=np.ones((1, slots)),
        total=np.array([np.nan if total is None else total]),
        before=BEFORE,
        slots_per_hour=4,
    )


def days_around(shape: np.ndarray, random: np.random.Generator, count: int = 40) -> np.ndarray:
    """Days of one shape with noise that goes on for hours and may be up to some tenth of it."""
    steps = random.normal(0, 0.05, (count, len(shape)))
    return shape * np.exp(np.cumsum(steps, axis=1) - steps.mean())


SHAPE = 1000 + 800 * np.sin(np.linspace(0, 3, BEFORE + 24 + 1))


def test_the_true_course_lies_in_the_bound_nine_times_out_of_ten():
    random = np.random.default_rng(5)
    inside = []
    for _ in range(60):
        days = days_around(SHAPE, random, 41)
        truth = days[0][BEFORE : BEFORE + 24]
        found = estimate(gaps_of(days[1:], days[0], total=truth.sum(), slots=24))
        inside.append(np.abs(found.energy[0] - truth) <= found.error[0])
    assert 0.85 < np.mean(inside) < 0.97


def test_an_open_gap_follows_its_own_days_and_the_hour_before_it():
    random = np.random.default_rng(5)
    days = days_around(SHAPE, random)
    own = 1.3 * SHAPE
    own[BEFORE + 24 :] = np.nan
    found = estimate(gaps_of(days, own, total=None, slots=24)).energy[0]
    # A load that was 30 % above its usual goes on so at first.
    assert found[0] / SHAPE[BEFORE] == pytest.approx(1.3, abs=0.08)
    assert (found / SHAPE[BEFORE : BEFORE + 24]).mean() > 1.05


def test_energy_that_runs_both_ways_keeps_its_sign_and_its_sum():
    solar = np.where(np.arange(BEFORE + 24 + 1) % 12 < 6, -500.0, 700.0)
    days = solar + np.random.default_rng(1).normal(0, 20, (30, len(solar)))
    found = estimate(gaps_of(days, solar, total=-300.0, slots=24)).energy[0]
    assert found.sum() == pytest.approx(-300.0)
    assert (np.sign(found) == np.sign(solar[BEFORE : BEFORE + 24])).all()


def test_three_days_are_too_few():
    days = days_around(SHAPE, np.random.default_rng(2), 3)
    assert not estimate(gaps_of(days, SHAPE, total=1000, slots=24)).known[0]


@settings(max_examples=60, deadline=None)
@given(
    slots=st.integers(1, 60),
    total=st.one_of(st.just(0.0), st.floats(1, 1e12)),
    days=st.integers(4, 20),
    zeros=st.floats(0, 1),
    seed=st.integers(0, 2**32 - 1),
)
def test_energies_add_up_to_the_total_whatever_the_days_were(slots, total, days, zeros, seed):
    random = np.random.default_rng(seed)
    length = BEFORE + slots + 1
    history = random.exponential(1e4, (days, length)) * (random.random((days, length)) > zeros)
    history[random.random((days, length)) < 0.1] = np.nan
    own = random.exponential(1e4, length) * (random.random(length) > zeros)
    found = estimate(gaps_of(history, own, total=total, slots=slots))
    assert found.energy.sum() == pytest.approx(total)
    assert found.energy.min() >= 0
    assert np.isfinite(found.error).all()
    assert found.error.min() >= 0


def test_a_batch_gives_each_gap_what_it_gets_alone():
    random = np.random.default_rng(3)
    alone = [
        gaps_of(days_around(SHAPE, random), SHAPE * scale, total=1e4 * scale, slots=24) for scale in (1, 2, 3)
    ]
    together = Gaps(
        *(np.concatenate([getattr(gap, name) for gap in alone])
          for name in ("surroundings", "history", "weight", "covered", "total")),
        before=BEFORE, slots_per_hour=4,
    )  # fmt: skip
    found = estimate(together)
    for number, gap in enumerate(alone):
        assert (found.energy[number] == estimate(gap).energy[0]).all()
        assert (found.error[number] == estimate(gap).error[0]).all()
