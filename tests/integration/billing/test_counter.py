"""Money over the counter is taken once, to the cent, in the account's currency."""

from decimal import Decimal

import pytest

from wattkeeper.billing.errors import PaymentRefused
from wattkeeper.billing.values import PaymentMethod
from wattkeeper.kernel.money import Money
from wattkeeper.readings.store import ReadingsStore
from wattkeeper.registry.errors import NotFound


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """One empty store: a counter reads no meters."""
    with ReadingsStore.open(tmp_path_factory.mktemp("counter")) as opened:
        yield opened


@pytest.fixture
def pay(village, now):
    def run(account, amount, key, *, currency="CNY", method=PaymentMethod.CASH):
        money = Money(Decimal(amount), currency)
        return village.billing.record_payment(
            account, amount=money, method=method, key=key, cashier="李", now=now
        )

    return run


def test_a_payment_said_twice_is_taken_once(village, pay):
    account = village.account("A1", hours=0)
    first, second = pay(account, "20", "key"), pay(account, "20", "key")
    assert (first.repeated, second.repeated, first.receipt) == (False, True, second.receipt)
    assert village.billing.balance(account).amount == -20


@pytest.mark.parametrize("changed", [{"amount": "21"}, {"method": PaymentMethod.CARD}])
def test_a_key_cannot_stand_for_two_payments(village, pay, changed):
    account = village.account("A1", hours=0)
    pay(account, "20", "key")
    with pytest.raises(PaymentRefused, match="another payment"):
        pay(account, **{"amount": "20", "key": "key", **changed})


@pytest.mark.parametrize(
    ("amount", "currency", "key"),
    [("0", "CNY", "k"), ("-1", "CNY", "k"), ("1.005", "CNY", "k"), ("1", "EUR", "k"), ("1", "CNY", "")],
)
def test_what_is_no_payment_is_refused(village, pay, amount, currency, key):
    account = village.account("A1", hours=0)
    with pytest.raises(PaymentRefused):
        pay(account, amount, key, currency=currency)


def test_an_unknown_account_cannot_pay(village, pay):
    with pytest.raises(NotFound):
        pay(99, "1", "k")


def test_cash_and_cards_go_to_different_places(village, pay):
    account = village.account("A1", hours=0)
    pay(account, "1", "cash")
    pay(account, "2", "card", method=PaymentMethod.CARD)
    assert [row.amount.amount for row in village.billing.statement(account)] == [-1, -2]
