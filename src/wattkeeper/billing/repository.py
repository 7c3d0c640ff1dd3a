"""All SQL of billing, in the caller's transaction."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal

from sqlalchemy import Select, func, insert, literal, select
from sqlalchemy.orm import Session

from wattkeeper.billing.lists import standing_bill
from wattkeeper.billing.models import AccountTariff, Bill, BillLine, BillRunException, Payment
from wattkeeper.billing.values import AssignedTariff, Basis, Line, RunException
from wattkeeper.kernel.jobs import Job, JobState
from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.registry.models import Account


class BillingRepository:
    """Tariff assignments, bills, payments and the exceptions of runs."""

    def __init__(self, session: Session) -> None:
        self._session = session

    # tariffs of accounts
    def assignments(self, account_id: int, period: TimeRange | None = None) -> list[AssignedTariff]:
        """An account's tariffs in order of time, those that touch `period`; their periods are whole."""
        rows = self._session.scalars(
            select(AccountTariff)
            .where(AccountTariff.account_id == account_id)
            .order_by(AccountTariff.valid_from)
        )
        found = [
            AssignedTariff(
                row.id,
                row.account_id,
                row.tariff_code,
                TimeRange(row.valid_from, row.valid_to),
                Basis(row.basis),
            )
            for row in rows
        ]
        return [item for item in found if period is None or item.period.overlaps(period)]

    def add_assignment(self, row: AccountTariff) -> AccountTariff:
        """Keep a new assignment."""
        self._session.add(row)
        self._session.flush()
        return row

    def assign_where_none(self, tariff_code: str, *, valid_from: datetime, now: datetime) -> int:
        """Give a tariff to every account that never had one, in one statement; returns to how many."""
        without = select(
            Account.id, *(literal(value, column.type) for column, value in (
                (AccountTariff.tariff_code, tariff_code), (AccountTariff.basis, Basis.INTERVALS.value),
                (AccountTariff.valid_from, valid_from), (AccountTariff.recorded_at, now),
            ))
        ).where(~select(AccountTariff.id).where(AccountTariff.account_id == Account.id).exists())  # fmt: skip
        columns = ["account_id", "tariff_code", "basis", "valid_from", "recorded_at"]
        given = insert(AccountTariff).from_select(columns, without.order_by(Account.id))
        return len(self._session.scalars(given.returning(AccountTariff.id)).all())

    def end_assignment(self, assignment_id: int, at: datetime) -> None:
        """Give an open assignment its end."""
        row = self._session.get_one(AccountTariff, assignment_id)
        row.valid_to = at
        self._session.flush()

    # bills
    def lock(self, account_id: int) -> None:
        """Make other writers of this account's bills and payments wait; SQLite has one writer anyway."""
        self._session.execute(select(Account.id).where(Account.id == account_id).with_for_update())

    def live_bills(self, account_id: int, period: TimeRange | None = None) -> list[Bill]:
        """Bills that are neither cancelled nor cancellations, oldest period first."""
        wanted = _live().where(Bill.account_id == account_id).order_by(Bill.period_start)
        if period is not None:
            wanted = wanted.where(Bill.period_end > period.start)
            wanted = wanted if period.end is None else wanted.where(Bill.period_start < period.end)
        return list(self._session.scalars(wanted))

    def live_in_order(self, account_id: int) -> list[tuple[Decimal, datetime]]:
        """An account's live bills in the order payments settle them: what each comes to, and since when it is due.

        A bill without a day to pay by is due from the moment it is issued.
        """
        due = func.coalesce(Bill.due_at, Bill.issued_at)
        wanted = _live().with_only_columns(Bill.total, due).where(Bill.account_id == account_id)
        return [(row[0], row[1]) for row in self._session.execute(wanted.order_by(Bill.issued_at, Bill.id))]

    def newest_bill_id(self, account_id: int) -> int:
        """The id of the last bill or cancellation of an account, 0 when there is none."""
        return self._session.scalar(select(func.max(Bill.id)).where(Bill.account_id == account_id)) or 0

    def previous_revisions(self, account_id: int, start: datetime) -> list[Bill]:
        """Bills ever made for a period that starts here, cancellations left out, newest revision first."""
        wanted = select(Bill).where(
            Bill.account_id == account_id, Bill.period_start == start, Bill.cancels_id.is_(None)
        )
        return list(self._session.scalars(wanted.order_by(Bill.revision.desc())))

    def add_bill(self, bill: Bill, lines: Sequence[Line]) -> Bill:
        """Keep a bill and its lines."""
        self._session.add(bill)
        self._session.flush()
        if lines:
            self._session.execute(insert(BillLine), [_line_row(bill.id, line) for line in lines])
        return bill

    def bill(self, bill_id: int) -> Bill | None:
        """A bill by its id."""
        return self._session.get(Bill, bill_id)

    def bill_by_number(self, number: str) -> Bill | None:
        """A bill by its number."""
        return self._session.scalar(select(Bill).where(Bill.number == number))

    def cancellation_of(self, bill_id: int) -> int | None:
        """The id of the cancellation of a bill."""
        return self._session.scalar(select(Bill.id).where(Bill.cancels_id == bill_id))

    def cancellations(self, bill_ids: Sequence[int]) -> set[int]:
        """Those of these bills that are cancelled."""
        wanted = select(Bill.cancels_id).where(Bill.cancels_id.in_(bill_ids))
        return {found for found in self._session.scalars(wanted) if found is not None}

    def lines(self, bill_id: int) -> list[Line]:
        """The lines of a bill in order."""
        rows = self._session.scalars(
            select(BillLine).where(BillLine.bill_id == bill_id).order_by(BillLine.position)
        )
        return [_line(row) for row in rows]

    # payments
    def payment_by_key(self, key: str) -> Payment | None:
        """The payment recorded under an idempotency key."""
        return self._session.scalar(select(Payment).where(Payment.idempotency_key == key))

    def add_payment(self, payment: Payment) -> Payment:
        """Keep a payment."""
        self._session.add(payment)
        self._session.flush()
        return payment

    def payment(self, payment_id: int) -> Payment | None:
        """A payment by its id."""
        return self._session.get(Payment, payment_id)

    def payments(self, account_id: int) -> list[Payment]:
        """An account's payments, oldest first."""
        wanted = select(Payment).where(Payment.account_id == account_id)
        return list(self._session.scalars(wanted.order_by(Payment.received_at, Payment.id)))

    def paid(self, account_id: int) -> Decimal:
        """All an account has paid."""
        wanted = select(func.sum(Payment.amount)).where(Payment.account_id == account_id)
        return self._session.scalar(wanted) or Decimal(0)

    # runs
    def next_account(self, after: int) -> int | None:
        """The first account id beyond `after`."""
        return self._session.scalar(select(func.min(Account.id)).where(Account.id > after))

    def count_accounts(self) -> int:
        """How many accounts there are."""
        return self._session.scalar(select(func.count()).select_from(Account)) or 0

    def add_exception(self, job_id: int, account_id: int, reason: str, message: str) -> None:
        """List an account that a run did not bill."""
        self._session.add(
            BillRunException(job_id=job_id, account_id=account_id, reason=reason, message=message)
        )
        self._session.flush()

    def exceptions(self, job_id: int) -> tuple[RunException, ...]:
        """The accounts a run did not bill."""
        wanted = (
            select(BillRunException, Account.code)
            .join(Account, Account.id == BillRunException.account_id)
            .where(BillRunException.job_id == job_id)
            .order_by(Account.code)
        )
        return tuple(
            RunException(row.account_id, code, row.reason, row.message)
            for row, code in self._session.execute(wanted)
        )

    def excepted(self, job_ids: Sequence[int]) -> dict[int, int]:
        """How many accounts each of these runs did not bill; a run without any is left out."""
        wanted = (
            select(BillRunException.job_id, func.count().label("accounts"))
            .where(BillRunException.job_id.in_(job_ids))
            .group_by(BillRunException.job_id)
        )
        return {row.job_id: row.accounts for row in self._session.execute(wanted)}

    def jobs(self, kind: str, *, after: int | None, limit: int) -> Sequence[Job]:
        """Jobs of a kind, newest first, below the id `after`."""
        wanted = select(Job).where(Job.kind == kind).order_by(Job.id.desc()).limit(limit)
        return self._session.scalars(wanted if after is None else wanted.where(Job.id < after)).all()

    def job(self, job_id: int) -> Job | None:
        """A job by its id."""
        return self._session.get(Job, job_id)

    def runs_of(self, key_prefix: str) -> tuple[int, bool]:
        """How many jobs have a key of this beginning, and whether one of them is not at its end."""
        states = self._session.scalars(
            select(Job.state).where(Job.key.startswith(key_prefix, autoescape=True))
        ).all()
        return len(states), any(state in {JobState.QUEUED, JobState.RUNNING} for state in states)


def _live() -> Select[Bill]:
    return select(Bill).where(*standing_bill())


def _line_row(bill_id: int, line: Line) -> dict[str, object]:
    row = asdict(line)
    period = line.period
    del row["period"]
    return {
        **row, "bill_id": bill_id, "period_start": period.start, "period_end": period.end,
        "references": list(line.references),
    }  # fmt: skip


def _line(row: BillLine) -> Line:
    return Line(
        position=row.position, component=row.component, kind=row.kind, label_zh=row.label_zh,
        label_en=row.label_en, period=TimeRange(row.period_start, row.period_end), tier=row.tier, tou=row.tou,
        tou_zh=row.tou_zh, tou_en=row.tou_en, quantity=row.quantity, unit=row.unit, price=row.price,
        amount=row.amount, rule_zh=row.rule_zh, rule_en=row.rule_en, references=tuple(row.references),
    )  # fmt: skip
