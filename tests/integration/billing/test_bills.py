"""From registers in the store to bills in the ledger: issued once, kept whole, reversed and never edited."""

from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from wattkeeper.billing.errors import BillingRefused, BillNotCancellable, UnbalancedTransaction, UnknownBill
from wattkeeper.billing.ledger import Ledger
from wattkeeper.billing.values import Basis, BillState, PaymentMethod
from wattkeeper.kernel.money import Money
from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.registry.repository import Registry


def yuan(amount):
    return Money(Decimal(amount), "CNY")


def pay(village, account, amount, key, now):
    return village.billing.record_payment(
        account, amount=yuan(amount), method=PaymentMethod.CASH, key=key, cashier="李", now=now
    )


def test_a_bill_explains_itself(village, months, now):
    account = village.account("A1", kwh_per_hour="0.5", ratio=2)
    bill = village.billing.issue_bill(account, period=months[0], now=now)
    assert bill.number == "A1-20261001-1"
    assert (bill.energy_kwh, bill.total, bill.state) == (744, yuan("465.74"), BillState.ISSUED)
    (row,) = bill.readings
    assert (row.start, row.end, row.ratio, row.energy_kwh) == (100, 472, 2, 744)
    assert (row.start_exchange_id, row.end_exchange_id) == (1, 745)
    (line,) = bill.lines
    assert (line.quantity, line.price, line.amount) == (744, Decimal("0.626"), Decimal("465.74"))
    assert line.references[0].startswith("intervals P-A1 2026-09-30T16:00:00Z/2026-10-31T16:00:00Z sha256 ")
    assert (bill.party.account_name, bill.party.customer_name, bill.party.site_name) == (
        "户A1",
        "王小明",
        "翠苑小区",
    )
    assert village.billing.bill_by_number("A1-20261001-1") == bill
    assert village.billing.balance(account) == yuan("465.74")


def test_yearly_tiers_go_on_from_bill_to_bill(village, months, now):
    account = village.account("A1", kwh_per_hour="1", tariff="cn-beijing-residential")
    october = village.billing.issue_bill(account, period=months[0], now=now)
    november = village.billing.issue_bill(account, period=months[1], now=now)
    # In force for three months: the first limit is 2880 x 3 / 12 = 720 kWh. October is 744 kWh, November 720.
    assert [(line.tier, line.quantity, line.amount) for line in october.lines] == [
        (1, 720, Decimal("351.58")),
        (2, 24, Decimal("12.92")),
    ]
    assert [(line.tier, line.quantity) for line in november.lines] == [(2, 456), (3, 264)]
    assert november.previous_balance == october.total


def test_tiers_never_skip_an_unbilled_month(village, months, now):
    account = village.account("A1", tariff="cn-beijing-residential")
    with pytest.raises(BillingRefused) as caught:
        village.billing.issue_bill(account, period=months[1], now=now)
    assert caught.value.reason == "earlier_unbilled"


@pytest.mark.parametrize("basis", list(Basis))
def test_registers_and_intervals_bill_the_same_hours(village, months, now, basis):
    account = village.account("A1", kwh_per_hour="1", tariff="cn-jiangsu-residential-tou", basis=basis)
    bill = village.billing.issue_bill(account, period=months[0], now=now)
    by_tou = {line.tou: line.quantity for line in bill.lines if line.component == "energy"}
    assert by_tou == {"peak": 13 * 31, "valley": 11 * 31}
    assert bill.inputs["parts"][0]["uses"][0]["basis"] == basis.value


def test_a_tariff_change_in_mid_month_splits_the_bill_at_that_instant(village, months, now):
    account = village.account("A1", kwh_per_hour="1")
    half = months[0].start + timedelta(days=10)
    village.billing.assign_tariff(
        account, tariff_code="cn-shanghai-residential-tou", valid_from=half, now=now
    )
    bill = village.billing.issue_bill(account, period=months[0], now=now)
    assert [(line.period.start, line.tou, line.quantity) for line in bill.lines] == [
        (months[0].start, None, 240),
        (half, "peak", 16 * 21),
        (half, "valley", 8 * 21),
    ]
    assert village.billing.recompute(bill.id).matches


def test_an_account_with_a_tariff_since_mid_month_is_billed_from_then_on(village, months, now):
    account = village.account("A1", kwh_per_hour="1", tariff=None)
    since = months[0].start + timedelta(days=30)
    village.billing.assign_tariff(account, tariff_code="cn-single-price", valid_from=since, now=now)
    bill = village.billing.issue_bill(account, period=months[0], now=now)
    assert (bill.period, bill.energy_kwh) == (TimeRange(since, months[0].end), 24)
    assert bill.number == "A1-20261031-1"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"tariff": None}, "no_tariff"),
        ({"hours": 700}, "missing_intervals"),
        ({"skip": range(50, 400)}, "missing_intervals"),  # two days are too few to estimate two weeks from
        ({"skip": range(100, 500)}, "estimated_intervals"),
        ({"skip": [hour for hour in range(100, 700) if hour % 60]}, "estimated_intervals"),
        ({"kwh_per_hour": "-0.1", "first": "900"}, "flagged_intervals"),
    ],
)
def test_what_cannot_be_billed_is_refused_with_its_reason(village, months, now, options, reason):
    account = village.account("A1", **options)
    with pytest.raises(BillingRefused) as caught:
        village.billing.prepare_bill(account, period=months[0], now=now)
    assert caught.value.reason == reason
    assert caught.value.hint


def test_a_few_lost_readings_mark_the_bill_as_estimated(village, months, now):
    account = village.account("A1", skip=range(100, 105))
    bill = village.billing.issue_bill(account, period=months[0], now=now)
    assert (bill.estimated, bill.energy_kwh) == (True, 372)


def test_a_period_that_is_not_over_is_refused(village, months):
    account = village.account("A1")
    with pytest.raises(BillingRefused, match="not over"):
        village.billing.prepare_bill(account, period=months[0], now=months[0].end - timedelta(seconds=1))


def test_no_instant_is_billed_twice(village, months, now):
    account = village.account("A1")
    village.billing.issue_bill(account, period=months[0], now=now)
    overlapping = TimeRange(months[0].start + timedelta(days=5), months[1].end)
    for period in (months[0], overlapping):
        with pytest.raises(BillingRefused) as caught:
            village.billing.issue_bill(account, period=period, now=now)
        assert caught.value.reason == "already_billed"


def test_a_cancelled_bill_is_reversed_and_made_anew(village, months, now):
    account = village.account("A1")
    first = village.billing.issue_bill(account, period=months[0], now=now)
    reversal = village.billing.cancel_bill(first.id, reason="错抄", now=now)
    assert (reversal.number, reversal.total, reversal.state) == (
        "A1-20261001-1-C",
        -first.total,
        BillState.CANCELLATION,
    )
    assert [line.amount for line in reversal.lines] == [-line.amount for line in first.lines]
    assert village.billing.balance(account) == yuan("0.00")
    assert village.billing.bill(first.id).state is BillState.CANCELLED
    second = village.billing.issue_bill(account, period=months[0], now=now)
    assert (second.number, second.replaces_id) == ("A1-20261001-2", first.id)
    assert [row.kind for row in village.billing.statement(account)] == ["bill", "cancellation", "bill"]
    for bill in (first, reversal, second):
        assert village.billing.recompute(bill.id).matches
    for bill in (first, reversal):
        with pytest.raises(BillNotCancellable):
            village.billing.cancel_bill(bill.id, reason="again", now=now)


def test_a_bill_recomputes_from_what_it_kept_whatever_was_corrected_since(village, months, now):
    account = village.account("A1", kwh_per_hour="1", tariff="cn-shanghai-residential-tou")
    bill = village.billing.issue_bill(account, period=months[0], now=now)
    with village.database.read() as session:
        (meter,) = Registry(session).meters_by_address(bill.readings[0].meter_address)
    village.read(meter.id, Decimal(5000), Decimal(3), range(1465, 1500))
    again = village.billing.recompute(bill.id)
    assert (again.matches, again.total, again.lines) == (True, bill.total, bill.lines)


def test_a_month_without_energy_is_billed_and_posts_nothing(village, months, now):
    account = village.account("A1", kwh_per_hour="0")
    bill = village.billing.issue_bill(account, period=months[0], now=now)
    assert (bill.total, bill.state, village.billing.statement(account)) == (
        yuan("0.0000"),
        BillState.PAID,
        [],
    )


def test_payments_settle_the_oldest_bill_first_in_any_order(village, months, now):
    accounts = [village.account(code) for code in ("A1", "A2")]
    bills = [[village.billing.issue_bill(a, period=month, now=now) for month in months] for a in accounts]
    for account, amounts in zip(
        accounts, [("100", "132.87", "50.01"), ("50.01", "132.87", "100")], strict=True
    ):
        for number, amount in enumerate(amounts):
            pay(village, account, amount, f"{account}-{number}", now)
    assert [village.billing.balance(account) for account in accounts] == [yuan("175.35")] * 2
    for pair in bills:
        assert [village.billing.bill(bill.id).state for bill in pair] == [BillState.PAID, BillState.ISSUED]
    assert [len(village.billing.payments(account)) for account in accounts] == [3, 3]
    assert len(village.billing.bills(state=BillState.PAID).items) == 2


def test_the_balance_is_the_replay_of_the_postings(village, months, now):
    account = village.account("A1")
    bill = village.billing.issue_bill(account, period=months[0], now=now)
    pay(village, account, "300", "k1", now)
    village.billing.cancel_bill(bill.id, reason="test", now=now)
    rows = village.billing.statement(account)
    assert [row.balance for row in rows] == [yuan("232.87"), yuan("-67.13"), yuan("-300")]
    assert rows[-1].balance == village.billing.balance(account)
    with village.database.read() as session:
        assert session.execute(text("SELECT sum(amount) FROM posting")).scalar() == 0


def test_pages_of_bills_are_whole(village, months, now):
    for code in ("A1", "A2", "A3"):
        village.billing.issue_bill(village.account(code), period=months[0], now=now)
    first = village.billing.bills(limit=2)
    second = village.billing.bills(limit=2, after=first.next_after)
    assert [item.account_code for item in (*first.items, *second.items)] == ["A3", "A2", "A1"]
    assert second.next_after is None


def test_an_unknown_bill_is_said_to_be_unknown(village):
    with pytest.raises(UnknownBill, match="no bill 7"):
        village.billing.bill(7)


def test_the_database_refuses_to_change_or_remove_what_was_posted(village, months, now):
    account = village.account("A1")
    village.billing.issue_bill(account, period=months[0], now=now)
    pay(village, account, "1", "k1", now)
    for table in ("bill", "bill_line", "posting", "ledger_transaction", "payment", "ledger_account"):
        column = "position" if table == "bill_line" else "id"
        for statement in (f"UPDATE {table} SET {column} = {column}", f"DELETE FROM {table}"):
            with pytest.raises(DBAPIError, match="append-only"), village.database.write() as session:
                session.execute(text(statement))


@pytest.mark.parametrize("amounts", [(5,), (5, -4), (5, 5)])
def test_the_database_refuses_postings_that_do_not_balance(village, amounts, now):
    account = village.account("A1", hours=1)
    with village.database.write() as session:
        ledger = Ledger(session)
        places = [ledger.receivable(account, "CNY"), ledger.own("revenue", "CNY")]
    posting = text(
        "INSERT INTO posting (transaction_id, ledger_account_id, amount) VALUES ('t', :place, :amount)"
    )
    rows = [{"place": place, "amount": amount} for place, amount in zip(places, amounts, strict=False)]
    with pytest.raises(DBAPIError, match="add up to zero"), village.database.write() as session:  # noqa: PT012
        session.execute(posting, rows)
        session.execute(text("INSERT INTO ledger_transaction VALUES ('t', 'payment', 'x', 0)"))  # the seal
    with pytest.raises(UnbalancedTransaction), village.database.write() as session:
        Ledger(session).post(
            dict(zip(places, map(Decimal, amounts), strict=False)), kind="payment", reference="x", at=now
        )


def test_the_database_refuses_postings_without_a_transaction_and_late_ones(village, months, now):
    account = village.account("A1")
    village.billing.issue_bill(account, period=months[0], now=now)
    insert = "INSERT INTO posting (transaction_id, ledger_account_id, amount) SELECT {}, ledger_account_id, 1 FROM posting LIMIT 1"
    with pytest.raises(DBAPIError), village.database.write() as session:
        session.execute(text(insert.format("'nowhere'")))
    with pytest.raises(DBAPIError, match="sealed"), village.database.write() as session:
        session.execute(text(insert.format("transaction_id")))


def test_the_database_refuses_a_second_live_bill(village, months, now):
    account = village.account("A1")
    bill = village.billing.issue_bill(account, period=months[0], now=now)
    columns = "account_id, period_start, period_end, revision, tariff_code, currency, energy_kwh, total, previous_balance, estimated, issued_at, verification, line_count, inputs"
    copied = columns.replace("revision", "revision + 1").replace(" total,", " 0,")
    with pytest.raises(DBAPIError, match="live bill"), village.database.write() as session:
        session.execute(
            text(f"INSERT INTO bill (number, {columns}) SELECT 'X', {copied} FROM bill WHERE id = :id"),
            {"id": bill.id},
        )
