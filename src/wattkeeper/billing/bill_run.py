"""A bill run as a job: one account a step, its bill and the run's cursor in one transaction.

After a crash the next worker goes on behind the last committed step, so no account is billed twice or skipped.
"""

import hashlib
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy.orm import Session

from wattkeeper.billing.errors import BillingError, BillingRefused, UnknownBillRun
from wattkeeper.billing.repository import BillingRepository
from wattkeeper.billing.values import BillRunLine, BillRunPage, BillRunView
from wattkeeper.kernel.calendars import CalendarYearUnknown
from wattkeeper.kernel.database import DatabaseError
from wattkeeper.kernel.jobs import ClaimedJob, Job, JobLost, JobQueue, Step
from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.readings.service import IntervalService
from wattkeeper.security.acting import Actor, ActorKind, current_actor
from wattkeeper.security.audit import record

if TYPE_CHECKING:
    from wattkeeper.billing.service import BillingService

KIND = "bill_run"
_LEASE = timedelta(minutes=1)
"""A step takes part of a second; after this long a run whose worker was killed goes on elsewhere."""


class BillRuns:
    """Starts, works and shows bill runs."""

    def __init__(self, billing: "BillingService", intervals: IntervalService) -> None:
        self._billing = billing
        self._intervals = intervals
        self._database = billing.database
        self._jobs = JobQueue()

    def start(self, period: TimeRange, *, now: datetime, account_ids: Sequence[int] | None) -> int:
        """Put a run in the queue; while one of the same period and accounts is not at its end, it is that one."""
        assert period.end is not None
        among = None if account_ids is None else sorted(set(account_ids))
        digest = hashlib.sha256(repr(among).encode()).hexdigest()[:12]
        prefix = f"{KIND}/{period}/{digest}/"
        args = {"start": period.start, "end": period.end, "account_ids": among}
        by = current_actor()
        with self._database.write() as session:
            known, unfinished = BillingRepository(session).runs_of(prefix)
            number = known if unfinished else known + 1
            job_id = self._jobs.enqueue(
                session, KIND, key=f"{prefix}{number}", args={**args, "by": asdict(by)}, now=now
            )
            if not unfinished:
                record(session, "bill_run.start", now=now, subject=("job", job_id), after=args)
            return job_id

    def work(
        self, *, owner: str, clock: Callable[[], datetime], stopping: Callable[[], bool]
    ) -> BillRunView | None:
        """Claim the oldest run that waits or was orphaned and bill its accounts to the end; None if there is none.

        It bills what is known when it begins: intervals of the readings that are in by then are derived first.
        Once ``stopping`` says so, the run is put back after the account at hand, for the next worker.
        """
        with self._database.write() as session:
            job = self._jobs.claim(session, [KIND], owner=owner, now=clock(), lease=_LEASE)
        if job is None:
            return None
        try:
            self._intervals.derive_pending(clock())
            while (stepped := self._step(job, clock())) is not None:
                job = stepped
                if stopping():
                    with self._database.write() as session:
                        self._jobs.release(session, job)
                    break
        except (JobLost, DatabaseError):
            raise  # the lease runs out, and the run goes on from its cursor
        except Exception as error:
            with self._database.write() as session:
                self._jobs.fail(session, job, str(error))
            raise
        return self.view(job.id)

    def view(self, job_id: int) -> BillRunView:
        """How far a run is."""
        with self._database.read() as session:
            bills = BillingRepository(session)
            job = bills.job(job_id)
            if job is None or job.kind != KIND:
                raise UnknownBillRun(
                    f"There is no bill run {job_id}.", hint="Look it up in the list of bill runs."
                )
            cursor = _cursor(job.cursor)
            return BillRunView(
                job_id=job.id, period=_period(job.args), state=job.state.value, progress=job.progress,
                total=job.total or 0, billed=cursor["billed"], estimated=cursor["estimated"],
                exceptions=bills.exceptions(job.id), error=job.error,
            )  # fmt: skip

    def page(self, *, after: int | None, limit: int) -> BillRunPage:
        """Runs, newest first, and the cursor of the next page."""
        with self._database.read() as session:
            bills = BillingRepository(session)
            jobs = bills.jobs(KIND, after=after, limit=limit + 1)
            shown = jobs[:limit]
            excepted = bills.excepted([job.id for job in shown])
            rows = tuple(_line(job, excepted.get(job.id, 0)) for job in shown)
        return BillRunPage(rows, rows[-1].job_id if len(jobs) > limit else None)

    def _step(self, job: ClaimedJob, now: datetime) -> ClaimedJob | None:
        """Bill the next account; None when there is none left and the job is finished."""
        cursor = _cursor(job.cursor)
        among: list[int] | None = job.args["account_ids"]
        with self._database.read() as session:
            bills = BillingRepository(session)
            account_id = (
                bills.next_account(cursor["after"]) if among is None else _next(among, cursor["after"])
            )
            # Counted once: counting all accounts at each of them would be quadratic work.
            total = job.total or (bills.count_accounts() if among is None else len(among))
        if account_id is None:
            with self._database.write() as session:
                self._jobs.finish(session, job)
            return None
        period = _period(job.args)
        try:
            prepared = self._billing.prepare(account_id, period=period, now=now)
            with self._database.write() as session:
                view = self._billing.issue_prepared(
                    session, prepared, now=now, due_at=None, actor=_starter(job.args)
                )
                done = {
                    **cursor,
                    "billed": cursor["billed"] + 1,
                    "estimated": cursor["estimated"] + view.estimated,
                }
                return self._record(session, job, {**done, "after": account_id}, total, now)
        except (BillingError, CalendarYearUnknown) as error:
            if isinstance(error, BillingRefused) and error.reason == "stale":
                return job
            with self._database.write() as session:
                self._list(session, job.id, account_id, error)
                return self._record(session, job, {**cursor, "after": account_id}, total, now)

    def _record(
        self, session: Session, job: ClaimedJob, cursor: dict[str, int], total: int, now: datetime
    ) -> ClaimedJob:
        step = Step(cursor=cursor, progress=job.progress + 1, total=total)
        return self._jobs.step(session, job, step, now=now, lease=_LEASE)

    def _list(
        self, session: Session, job_id: int, account_id: int, error: BillingError | CalendarYearUnknown
    ) -> None:
        """An account that is billed already is as it should be; every other reason goes on the list."""
        reason = error.reason if isinstance(error, BillingRefused) else "error"
        if reason != "already_billed":
            BillingRepository(session).add_exception(job_id, account_id, reason, str(error))


def _line(job: Job, excepted: int) -> BillRunLine:
    cursor = _cursor(job.cursor)
    return BillRunLine(
        job_id=job.id, period=_period(job.args), state=job.state.value, progress=job.progress,
        total=job.total or 0, billed=cursor["billed"], estimated=cursor["estimated"], excepted=excepted,
        error=job.error,
    )  # fmt: skip


def _cursor(kept: Any) -> dict[str, int]:
    return {"after": 0, "billed": 0, "estimated": 0} if kept is None else dict(kept)


def _next(among: Sequence[int], after: int) -> int | None:
    """The first of the sorted account ids beyond ``after``."""
    position = bisect_right(among, after)
    return among[position] if position < len(among) else None


def _starter(args: Any) -> Actor | None:
    """Who started a run, for whom its worker issues the bills; None of runs queued before that was kept."""
    by = args.get("by")
    return None if by is None else Actor(**{**by, "kind": ActorKind(by["kind"])})


def _period(args: Any) -> TimeRange:
    return TimeRange(datetime.fromisoformat(args["start"]), datetime.fromisoformat(args["end"]))
