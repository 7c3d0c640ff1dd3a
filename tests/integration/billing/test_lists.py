"""What became of a bill is told by SQL for many at once: the same as paying bill after bill by hand, oldest first."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, text

from wattkeeper.billing.books import Books, aged
from wattkeeper.billing.models import Bill, Payment
from wattkeeper.billing.values import BillFilter, BillState
from wattkeeper.kernel.database import Database
from wattkeeper.registry.models import AccountKind
from wattkeeper.registry.repository import Registry

START = datetime(2026, 1, 1, tzinfo=UTC)
ACCOUNTS = 3
BILLS = st.lists(
    st.tuples(st.integers(1, ACCOUNTS), st.integers(-40, 90), st.booleans()), min_size=1, max_size=14
)
PAYMENTS = st.lists(st.tuples(st.integers(1, ACCOUNTS), st.integers(1, 150)), max_size=6)


@pytest.fixture(scope="module")
def ledger(tmp_path_factory):
    """A ledger whose bills are set by the test: what guards them is tested elsewhere, and stands aside here."""
    database = Database(f"sqlite:///{tmp_path_factory.mktemp('lists') / 'ledger.sqlite'}")
    database.create_schema()
    with database.write() as session:
        for (name,) in session.execute(text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).all():
            session.execute(text(f"DROP TRIGGER {name}"))
        registry = Registry(session)
        customer = registry.add_customer(code="C", name="C").id
        for number in range(1, ACCOUNTS + 1):
            registry.add_account(
                customer_id=customer, code=f"A{number}", name="x", opened_at=START, kind=AccountKind.RESIDENTIAL
            )  # fmt: skip
    yield database
    database.dispose()


def _set(database, bills, payments):
    """Put these bills and payments in the place of all others; returns the id of each bill."""
    ids = []
    with database.write() as session:
        session.execute(text("PRAGMA defer_foreign_keys = ON"))
        for table in ("payment", "bill", "posting", "ledger_transaction"):
            session.execute(text(f"DELETE FROM {table}"))
        for number, (account, total, cancelled) in enumerate(bills, 1):
            ids.append(_bill(session, number, account, total))
            if cancelled:
                _bill(session, 100 + number, account, -total, cancels_id=ids[-1])
        for number, (account, amount) in enumerate(payments):
            session.execute(
                insert(Payment).values(
                    receipt=f"R{number}", idempotency_key=f"key-{number}", account_id=account, amount=Decimal(amount), currency="CNY",
                    method="cash", cashier="x", received_at=START, transaction_id=_transaction(session, f"p{number}"),
                )
            )  # fmt: skip
    return ids


def _transaction(session, key):
    session.execute(text("INSERT INTO ledger_transaction VALUES (:id, 'payment', 'x', 0)"), {"id": key})
    return key


def _bill(session, number, account, total, **more):
    start = START + timedelta(days=number % 100)
    posted = _transaction(session, f"b{number}") if total else None
    added = session.execute(
        insert(Bill)
        .values(
            number=str(number), account_id=account, period_start=start, period_end=start + timedelta(days=1),
            revision=number, tariff_code="t", currency="CNY", energy_kwh=Decimal(0), total=Decimal(total),
            previous_balance=Decimal(0), estimated=False, issued_at=start, transaction_id=posted, verification="v",
            line_count=1, inputs={"party": {"account_code": "A", "account_name": "x"}}, **more,
        )
        .returning(Bill.id)
    )  # fmt: skip
    return added.scalar_one()


def _by_hand(bills, payments, ids):
    """Pay bill after bill from all that an account paid, and stop at the first that it does not reach."""
    left = {
        number: sum(amount for account, amount in payments if account == number)
        for number in range(1, ACCOUNTS + 1)
    }
    found = {BillState.PAID: set(), BillState.ISSUED: set(), BillState.CANCELLED: set()}
    for (account, total, cancelled), bill_id in zip(bills, ids, strict=True):
        if cancelled:
            found[BillState.CANCELLED].add(bill_id)
            continue
        left[account] = left[account] - total if left[account] >= 0 else left[account]
        found[BillState.PAID if left[account] >= 0 else BillState.ISSUED].add(bill_id)
    return found


@settings(max_examples=60, deadline=None)
@given(bills=BILLS, payments=PAYMENTS)
def test_bills_are_paid_from_the_oldest_on(ledger, bills, payments):
    ids = _set(ledger, bills, payments)
    lists = Books(ledger)
    by_hand = _by_hand(bills, payments, ids)
    for state, expected in by_hand.items():
        page = lists.bills(BillFilter(state=state), limit=100)
        assert {item.id for item in page.items} == expected
        assert {item.state for item in page.items} <= {state}
    told = {item.id: item.state for item in lists.bills(BillFilter(), limit=100).items if item.id in ids}
    assert told == {bill_id: state for state, found in by_hand.items() for bill_id in found}


def test_pages_of_a_state_go_on_without_repeat_or_hole(ledger):
    ids = _set(ledger, [(1, 10, False)] * 9, [(1, 35)])
    found, after = [], None
    while True:
        page = Books(ledger).bills(BillFilter(state=BillState.ISSUED), limit=2, after=after)
        found += [item.id for item in page.items]
        if (after := page.next_after) is None:
            break
    assert found == sorted(ids[3:], reverse=True)


@pytest.mark.parametrize(
    ("late", "part"), [(-1, "not_due"), (0, "not_due"), (1, "days_30"), (30, "days_30"), (31, "days_60"), (60, "days_60"), (61, "older")]
)  # fmt: skip
def test_what_is_owed_ages_by_the_day_it_was_due(late, part):
    ageing = aged([(Decimal(10), START)], Decimal(4), currency="CNY", now=START + timedelta(days=late))
    parts = {key: getattr(ageing, key).amount for key in ("not_due", "days_30", "days_60", "older")}
    assert parts == {key: Decimal(6) if key == part else Decimal(0) for key in parts}
    assert ageing.credit.amount == 0


def test_what_is_paid_beyond_all_bills_is_a_credit():
    ageing = aged([(Decimal(10), START), (Decimal(-3), START)], Decimal(12), currency="CNY", now=START)
    assert ageing.credit.amount == 5
    assert ageing.not_due.amount == 0
