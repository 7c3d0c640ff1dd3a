"""A bill is never changed by late or corrected readings, and nobody has to find out by chance that its ground was."""

from datetime import timedelta
from decimal import Decimal

import pyarrow as pa
import pytest

from wattkeeper.billing.values import BillFilter
from wattkeeper.readings.editing.service import ReadingEditing
from wattkeeper.readings.editing.values import READING_EDIT_SCHEMA
from wattkeeper.readings.schemas import READING_SCHEMA
from wattkeeper.readings.service import IntervalService
from wattkeeper.registry.repository import Registry
from wattkeeper.security.acting import Actor, ActorKind, acting

KEY = "active_energy_import"
HOUR = timedelta(hours=1)


class Billed:
    """Two accounts with October and November billed, an hour after the last reading came in."""

    def __init__(self, village, months, now):
        self.village, self.now = village, now + HOUR
        self.start = months[0].start
        accounts = [village.account(code) for code in ("A1", "B2")]
        self.bills = {
            (account, month): village.billing.issue_bill(
                accounts[account], period=months[month], now=self.now
            ).number
            for account in (0, 1)
            for month in (0, 1)
        }
        with village.database.read() as session:
            hangs = {found.point_id: found.meter_id for found in Registry(session).installations()}
        self.meter = [meter for _, meter in sorted(hangs.items())]

    def read(self, account, hour, value):
        row = {"meter_id": self.meter[account], "quantity": KEY, "read_at": self.start + hour * HOUR,
               "value": Decimal(value), "status": 0, "source": "meter", "exchange_id": None}  # fmt: skip
        self.now += HOUR
        self.village.store.append_readings(pa.Table.from_pylist([row], schema=READING_SCHEMA), self.now)

    def hear(self):
        self.now += HOUR
        IntervalService(self.village.database, self.village.store).derive_pending(self.now)
        return self.village.billing.late.hear(self.now)

    def touched(self):
        page = self.village.billing.books.bills(BillFilter(touched=True))
        return sorted(bill.number for bill in page.items)


@pytest.fixture
def billed(village, months, now):
    return Billed(village, months, now)


def test_what_was_known_when_a_bill_was_made_is_no_news(billed):
    assert billed.hear() == 0
    assert billed.touched() == []


def test_a_corrected_reading_touches_the_bill_of_its_month_and_no_other(billed):
    billed.hear()
    billed.read(0, 400, "300.2")  # 17 October
    assert billed.hear() == 1
    assert billed.touched() == [billed.bills[0, 0]]
    assert billed.hear() == 0
    billed.read(0, 401, "300.7")
    billed.hear()
    assert billed.touched() == [billed.bills[0, 0]]


def test_the_reading_between_two_months_touches_both_bills(billed):
    billed.read(1, 744, "471.9")  # midnight of 1 November
    assert billed.hear() == 2
    assert billed.touched() == [billed.bills[1, 0], billed.bills[1, 1]]


def test_what_comes_after_the_last_bill_touches_none(billed):
    billed.read(0, 1465, "832.6")
    assert billed.hear() == 0


def test_an_edit_is_heard_and_the_bill_is_listed_until_it_is_cancelled(billed):
    village = billed.village
    editing = ReadingEditing(village.database, village.store)
    wanted = pa.table(
        [[billed.meter[0]], [KEY], [billed.start + 10 * HOUR], [Decimal("105.2")]], schema=READING_EDIT_SCHEMA
    )
    with acting(Actor(ActorKind.USER, "anna", 1)):
        edit = editing.propose_readings(wanted, "display photographed", now=billed.now)
    with acting(Actor(ActorKind.USER, "ben", 2)):
        editing.approve(edit.id, now=billed.now + HOUR)
    billed.now += HOUR
    assert billed.hear() == 1
    bill = village.billing.bill_by_number(billed.bills[0, 0])
    assert village.billing.recompute(bill.id).matches
    later = village.billing.bill_by_number(billed.bills[0, 1])
    for number in (later, bill):
        village.billing.cancel_bill(number.id, reason="edited since", now=billed.now)
    assert billed.touched() == []


def test_a_crash_before_the_cursor_moves_only_hears_it_again(billed, monkeypatch):
    billed.hear()
    billed.read(0, 400, "300.2")
    IntervalService(billed.village.database, billed.village.store).derive_pending(billed.now)
    late = billed.village.billing.late

    def killed(*_arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(late._feed, "advance", killed)
        with pytest.raises(KeyboardInterrupt):
            late.hear(billed.now)
    assert billed.touched() == []
    assert late.hear(billed.now) == 1
    assert billed.touched() == [billed.bills[0, 0]]
