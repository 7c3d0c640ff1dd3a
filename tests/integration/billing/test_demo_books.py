"""The demo's year of bills, on the real ledger: in order of time, by each customer's habit, and once."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from wattkeeper.billing.service import BillingService
from wattkeeper.billing.values import PaymentMethod
from wattkeeper.demo.books import Books, Habit, MonthAtOnce
from wattkeeper.kernel.timerange import TimeRange

SHANGHAI = ZoneInfo("Asia/Shanghai")
MONTHS = [TimeRange.month(2026, 10, SHANGHAI), TimeRange.month(2026, 11, SHANGHAI)]
NOW = datetime(2026, 12, 1, 8, tzinfo=UTC)
CHRISTMAS = datetime(2026, 12, 25, tzinfo=UTC)
# Half a kWh an hour at 0.626: 744 and 720 hours.
OCTOBER, NOVEMBER = Decimal("232.87"), Decimal("225.36")


@pytest.fixture
def books(village):
    def build(**habits):
        closed = BillingService(village.database, MonthAtOnce(village.store))
        by_account = {int(name[1:]): habit for name, habit in habits.items()}
        return Books(village.billing, closed, by_account, MONTHS, SHANGHAI)

    return build


def movements(village, account):
    """What happened to an account: kind, civil day, and the balance after it."""
    return [
        (row.kind, f"{row.at.astimezone(SHANGHAI):%m-%d}", row.balance.amount)
        for row in village.billing.statement(account)
    ]


def test_a_bill_is_issued_on_the_first_and_paid_within_days(village, books):
    account = village.account("A1")
    assert books(**{f"a{account}": Habit()}).advance(NOW) is False
    [october, payment, november] = movements(village, account)
    assert october == ("bill", "11-01", OCTOBER)
    assert (payment[0], payment[2]) == ("payment", 0)
    assert "11-02" <= payment[1] <= "11-10"
    assert november == ("bill", "12-01", NOVEMBER)
    newest = village.billing.bills(account_id=account).items[0]
    assert village.billing.bill(newest.id).due_at == datetime(2026, 12, 20, 16, tzinfo=UTC)


@pytest.mark.parametrize(
    ("habit", "balance"),
    [
        pytest.param(Habit(), Decimal(0), id="pays"),
        pytest.param(Habit(months_late=1), NOVEMBER, id="a month late"),
        pytest.param(Habit(months_late=2), OCTOBER + NOVEMBER, id="two months late"),
        pytest.param(Habit(ahead=Decimal(300)), Decimal(-300), id="ahead"),
    ],
)
def test_each_pays_by_habit(village, books, habit, balance):
    account = village.account("A1")
    books(**{f"a{account}": habit}).advance(CHRISTMAS)
    assert village.billing.balance(account).amount == balance


def test_a_second_run_finds_what_the_first_one_did(village, books):
    one, two = village.account("A1"), village.account("A2")
    habits = {f"a{one}": Habit(), f"a{two}": Habit(months_late=1)}
    books(**habits).advance(MONTHS[0].closed_end + timedelta(days=3))
    books(**habits).advance(CHRISTMAS)
    done = [movements(village, account) for account in (one, two)]
    books(**habits).advance(CHRISTMAS)
    assert [movements(village, account) for account in (one, two)] == done
    assert [len(each) for each in done] == [4, 3]


def test_a_month_with_missing_readings_waits_and_holds_up_nobody_else(village, books):
    gap = range(800, 900)
    waiting, other = village.account("A1", skip=gap), village.account("A2")
    both = books(**{f"a{waiting}": Habit(), f"a{other}": Habit()})
    assert both.advance(CHRISTMAS) is True
    assert [kind for kind, _, _ in movements(village, waiting)] == ["bill", "payment"]
    assert len(movements(village, other)) == 4
    village.read(1, Decimal(100), Decimal("0.5"), gap)
    assert both.advance(CHRISTMAS) is False
    assert village.billing.balance(waiting).amount == 0


def test_who_paid_already_is_not_made_to_pay_again(village, books):
    account = village.account("A1")
    one = books(**{f"a{account}": Habit(months_late=1)})
    one.advance(NOW)
    owed = village.billing.balance(account)
    village.billing.record_payment(
        account, amount=owed, method=PaymentMethod.CASH, key="k", cashier="Mei", now=NOW
    )
    one.advance(CHRISTMAS)
    assert village.billing.balance(account).amount == 0


def test_asked_once_for_all_the_store_answers_each_the_same(village):
    village.account("A1")
    village.account("A2", kwh_per_hour="0.7")
    at_once = MonthAtOnce(village.store)
    for month in MONTHS:
        for number in (1, 2):
            wanted = {"point_ids": [number], "quantity": "active_energy_import", "period": month}
            assert at_once.intervals(**wanted) == village.store.intervals(**wanted)
            wanted = {"meter_ids": [number], "quantities": ["active_energy_import"], "period": month}
            assert at_once.readings(**wanted) == village.store.readings(**wanted)
