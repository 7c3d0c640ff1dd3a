"""A bill run bills every account once, whatever becomes of the process that works it."""

import random
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

from wattkeeper.billing.errors import BillingError
from wattkeeper.billing.models import AccountTariff
from wattkeeper.billing.repository import BillingRepository
from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.readings.store import ReadingsStore
from wattkeeper.security.acting import Actor, ActorKind, acting
from wattkeeper.security.models import AuditEvent

RUNNER = Path(__file__).with_name("run_process.py")


class Killed(BaseException):
    """The process is gone: nothing catches this."""


@pytest.fixture
def dying_clock(now):
    """A clock whose process dies when it is asked the n-th time."""

    def make(calls, hours=0):
        left = iter(range(calls))

        def clock():
            if next(left, None) is None:
                raise Killed
            return now + timedelta(hours=hours)

        return clock

    return make


def billed(village, period):
    return sorted(item.account_code for item in village.billing.bills(period=period, limit=500).items)


def test_a_run_bills_every_account_and_lists_those_it_cannot(village, months, now):
    for code in ("A1", "A2"):
        village.account(code)
    village.account("A3", tariff=None)
    village.account("A4", skip=range(100, 105))
    village.account("A5", hours=10)
    run = village.billing.start_bill_run(months[0], now=now)
    assert village.billing.start_bill_run(months[0], now=now) == run
    view = village.billing.work_bill_run(owner="w", clock=lambda: now)
    assert (view.job_id, view.state, view.progress, view.total) == (run, "finished", 5, 5)
    assert (view.billed, view.estimated) == (3, 1)
    assert [(item.account_code, item.reason) for item in view.exceptions] == [
        ("A3", "no_tariff"),
        ("A5", "missing_intervals"),
    ]
    assert billed(village, months[0]) == ["A1", "A2", "A4"]
    assert village.billing.work_bill_run(owner="w", clock=lambda: now) is None


def test_each_bill_of_a_run_is_on_record_as_issued_by_who_started_the_run(village, months, now):
    village.account("A1")
    with acting(Actor(ActorKind.USER, "clerk", None, "192.0.2.7")):
        village.billing.start_bill_run(months[0], now=now)
    village.billing.work_bill_run(owner="w", clock=lambda: now)
    bill = village.billing.bills(period=months[0], limit=500).items[0]
    with village.billing.database.read() as session:
        kept = session.scalars(select(AuditEvent).where(AuditEvent.action == "bill.issue")).all()
        said = [(event.actor_kind, event.actor_name, event.address, event.subject_id) for event in kept]
    assert said == [("user", "clerk", "192.0.2.7", str(bill.id))]


def test_a_second_run_bills_what_the_first_could_not(village, months, now):
    village.account("A1")
    missing = village.account("A2", tariff=None)
    village.billing.start_bill_run(months[0], now=now)
    village.billing.work_bill_run(owner="w", clock=lambda: now)
    village.billing.assign_tariff(missing, tariff_code="cn-single-price", valid_from=months[0].start, now=now)
    village.billing.start_bill_run(months[0], now=now)
    view = village.billing.work_bill_run(owner="w", clock=lambda: now)
    assert (view.billed, view.exceptions) == (1, ())
    assert billed(village, months[0]) == ["A1", "A2"]


def test_a_run_of_some_accounts_leaves_the_others(village, months, now):
    wanted = village.account("A1")
    village.account("A2")
    village.billing.start_bill_run(months[0], now=now, account_ids=[wanted])
    assert village.billing.work_bill_run(owner="w", clock=lambda: now).total == 1
    assert billed(village, months[0]) == ["A1"]


def test_a_run_that_dies_goes_on_where_it_was(village, months, now, dying_clock):
    for number in range(4):
        village.account(f"A{number}")
    run = village.billing.start_bill_run(months[0], now=now)
    for attempt, calls in enumerate((3, 4)):
        with pytest.raises(Killed):
            village.billing.work_bill_run(owner="w", clock=dying_clock(calls, hours=attempt))
    assert village.billing.bill_run(run).state == "running"
    later = now + timedelta(hours=2)
    view = village.billing.work_bill_run(owner="w", clock=lambda: later)
    assert (view.state, view.progress, view.billed) == ("finished", 4, 4)
    assert billed(village, months[0]) == ["A0", "A1", "A2", "A3"]


def test_a_run_that_is_told_to_stop_is_taken_up_again_at_once(village, months, now):
    for number in range(3):
        village.account(f"A{number}")
    run = village.billing.start_bill_run(months[0], now=now)
    stopped = village.billing.work_bill_run(owner="a", clock=lambda: now, stopping=lambda: True)
    assert (stopped.job_id, stopped.state, stopped.billed) == (run, "queued", 1)
    view = village.billing.work_bill_run(owner="b", clock=lambda: now)
    assert (view.job_id, view.state, view.progress, view.total) == (run, "finished", 3, 3)
    assert billed(village, months[0]) == ["A0", "A1", "A2"]


def test_a_run_of_no_accounts_bills_nobody(village, months, now):
    village.account("A1")
    village.billing.start_bill_run(months[0], now=now, account_ids=[])
    assert village.billing.work_bill_run(owner="w", clock=lambda: now).state == "finished"
    assert billed(village, months[0]) == []


def test_a_tariff_is_given_only_to_accounts_that_never_had_one(village, months, now):
    had = village.account("A1", hours=0)
    without = village.account("A2", hours=0, tariff=None)
    start = months[1].start
    assert village.billing.assign_where_none("cn-beijing-residential", valid_from=start, now=now) == 1
    assert village.billing.assign_where_none("cn-beijing-residential", valid_from=start, now=now) == 0
    assert [each.tariff_code for each in village.billing.assigned_tariffs(had)] == ["cn-single-price"]
    (given,) = village.billing.assigned_tariffs(without)
    assert (given.tariff_code, given.period) == ("cn-beijing-residential", TimeRange(start, None))


def test_the_database_refuses_a_second_open_tariff(village, now):
    account = village.account("A1", hours=0)
    with pytest.raises(DBAPIError), village.database.write() as session:
        BillingRepository(session).add_assignment(
            AccountTariff(account_id=account, tariff_code="cn-single-price", valid_from=now, recorded_at=now)
        )


def test_an_unknown_run_is_said_to_be_unknown(village):
    with pytest.raises(BillingError, match="no bill run 5"):
        village.billing.bill_run(5)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_killing_the_worker_at_any_moment_bills_no_account_twice_and_skips_none(
    village, months, now, ledger_url, tmp_path
):
    codes = [f"A{number:02d}" for number in range(8)]
    for code in codes:
        village.account(code, hours=745)
    run = village.billing.start_bill_run(months[0], now=now)
    village.store.close()
    chance = random.Random(1)
    for attempt in range(6):
        command = [sys.executable, str(RUNNER), ledger_url, str(tmp_path / "readings"), str(attempt)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as worker:
            assert worker.stdout.readline() == b"working\n"
            if attempt < 5:
                time.sleep(chance.uniform(0.1, 1))
                worker.kill()
    assert village.billing.bill_run(run).state == "finished"
    assert billed(village, months[0]) == codes
    assert village.billing.bill_run(run).billed == len(codes)
    with ReadingsStore.open(tmp_path / "readings"):
        assert all(village.billing.balance(account).amount > 0 for account in range(1, len(codes) + 1))
