import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattkeeper.simulator.loads import SHAPES, SLOTS_PER_DAY, ColumnLoad, ShapedLoad

MONDAY = 20_458 * SLOTS_PER_DAY  # 2026-01-05 00:00
YEAR = np.arange(MONDAY, MONDAY + 365 * SLOTS_PER_DAY)


@pytest.mark.parametrize("kind", SHAPES)
def test_the_same_seed_is_the_same_customer_whenever_one_looks(kind):
    load = ShapedLoad(kind, seed=5)
    whole = load.taken(YEAR)
    assert np.array_equal(load.taken(YEAR[1000:1100]), whole[1000:1100])
    assert np.array_equal(ShapedLoad(kind, seed=5).taken(YEAR), whole)
    assert not np.array_equal(ShapedLoad(kind, seed=6).taken(YEAR), whole)


@pytest.mark.parametrize(
    ("kind", "least", "most"),
    [
        pytest.param("household", 1_000, 9_000, id="household"),
        pytest.param("shop", 8_000, 50_000, id="shop"),
        pytest.param("office", 20_000, 80_000, id="office"),
        pytest.param("factory", 200_000, 1_000_000, id="factory"),
        pytest.param("street_light", 3_000, 15_000, id="street_light"),
    ],
)
def test_a_year_of_each_kind_is_plausible(kind, least, most):
    for seed in range(20):
        energy = ShapedLoad(kind, seed=seed).taken(YEAR)
        assert (energy >= 0).all()
        assert least < energy.sum() / 1e6 < most, seed


def test_offices_rest_at_weekends_and_street_lights_by_day():
    office = ShapedLoad("office", seed=1).taken(YEAR[: 7 * SLOTS_PER_DAY]).reshape(7, SLOTS_PER_DAY)
    assert office[:5, 40].min() > 3 * office[5:, 40].max()  # Monday to Friday at ten
    lights = ShapedLoad("street_light", seed=1).taken(YEAR).reshape(-1, SLOTS_PER_DAY)
    assert lights[:, 48].max() < lights[:, 80].min() / 50  # noon and 20:00


def test_solar_panels_give_back_by_day_and_never_while_taking():
    home = ShapedLoad("household", seed=3, solar_kw=5.0)
    taken, given_back = home.taken(YEAR), home.given(YEAR)
    assert not ((taken > 0) & (given_back > 0)).any()
    by_hour = given_back.reshape(-1, SLOTS_PER_DAY).sum(axis=0)
    assert by_hour[48] > 0
    assert by_hour[0] == by_hour[92] == 0


def test_a_column_is_followed_to_the_milliwatt_hour_at_the_end_of_every_step():
    load = ColumnLoad([0.125, 0.3, 0.0], first_slot=100, slots_per_step=2)
    assert load.taken(np.arange(99, 108)).tolist() == [0, 62500, 62500, 150000, 150000, 0, 0, 0, 0]
    assert load.given(np.arange(3)).tolist() == [0, 0, 0]


@given(
    st.lists(st.floats(0, 50, allow_nan=False), min_size=1, max_size=50),
    st.integers(1, 4),
)
def test_no_energy_of_a_column_is_lost(kwh, slots_per_step):
    load = ColumnLoad(kwh, first_slot=0, slots_per_step=slots_per_step)
    slots = load.taken(np.arange(len(kwh) * slots_per_step))
    assert (slots >= 0).all()
    ends = np.cumsum(slots)[slots_per_step - 1 :: slots_per_step]
    assert ends.tolist() == pytest.approx([total * 1e6 for total in np.cumsum(kwh)], abs=0.6)


def test_a_gap_in_a_column_counts_nothing():
    assert ColumnLoad([1.0, float("nan"), 2.0], first_slot=0).taken(np.arange(3)).tolist() == [
        1000000,
        0,
        2000000,
    ]
