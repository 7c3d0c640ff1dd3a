"""Money is exact, of one currency, and rounded only when asked."""

from decimal import ROUND_DOWN, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattkeeper.kernel.money import CurrencyMismatch, Money

AMOUNTS = st.decimals(min_value=-(10**9), max_value=10**9, places=6).map(lambda amount: Money(amount, "CNY"))


def cny(amount: str) -> Money:
    return Money(Decimal(amount), "CNY")


@given(st.lists(AMOUNTS), AMOUNTS, AMOUNTS)
def test_sums_do_not_depend_on_the_order_and_what_is_added_can_be_taken_away(amounts, a, b):
    assert sum(amounts, Money.zero("CNY")) == sum(reversed(amounts), Money.zero("CNY"))
    assert (a + b) - b == a
    assert a + -a == Money.zero("CNY")
    assert (a < b) == (b > a) == (not a >= b)
    assert (a <= b) == (b >= a)


@given(AMOUNTS, st.integers(-1000, 1000), st.integers(-1000, 1000))
def test_multiplying_distributes_exactly(money, m, n):
    assert money * m + money * n == money * (m + n) == (m + n) * money


@given(AMOUNTS)
def test_rounding_moves_an_amount_by_half_a_fen_at_most_and_only_once(money):
    rounded = money.rounded()
    assert abs((rounded - money).amount) <= Decimal("0.005")
    assert rounded.rounded() == rounded


@pytest.mark.parametrize(
    ("amount", "rounded"),
    [("0.005", "0.01"), ("-0.005", "-0.01"), ("0.0049999", "0.00"), ("2.675", "2.68"), ("1", "1.00")],
)
def test_half_a_fen_goes_away_from_zero(amount, rounded):
    assert str(cny(amount).rounded().amount) == rounded


def test_another_rounding_can_be_asked_for():
    assert cny("1.239").rounded(1, ROUND_DOWN) == cny("1.2")


def test_energy_times_price_is_exact():
    assert cny("0.4883") * Decimal("240.53") == cny("117.450799")


@pytest.mark.parametrize(
    "combine", [lambda a, b: a + b, lambda a, b: a - b, lambda a, b: a < b, lambda a, b: a >= b]
)
def test_two_currencies_are_never_mixed(combine):
    with pytest.raises(CurrencyMismatch, match="1 CNY and 1 EUR"):
        combine(cny("1"), Money(Decimal(1), "EUR"))


def test_money_goes_with_money_only():
    with pytest.raises(TypeError):
        cny("1") + 1
    with pytest.raises(TypeError):
        cny("1") * 0.5


@pytest.mark.parametrize("amount", [0.1, 1, Decimal("NaN"), Decimal("Infinity")])
def test_an_amount_is_a_finite_decimal(amount):
    with pytest.raises(TypeError):
        Money(amount, "CNY")


@pytest.mark.parametrize("currency", ["", "cny", "CNYX", "人民币"])
def test_a_currency_is_a_code(currency):
    with pytest.raises(ValueError, match="ISO 4217"):
        Money(Decimal(1), currency)


def test_no_money_is_false_and_any_money_prints_plainly():
    assert not Money.zero("CNY")
    assert str(cny("1E+3")) == "1000 CNY"
