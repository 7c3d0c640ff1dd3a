"""Jobs as pages show them: how far each is, who asked for it, and what became of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import func, select

from wattkeeper.billing.bill_run import KIND as BILL_RUN
from wattkeeper.kernel.errors import WattkeeperError
from wattkeeper.kernel.jobs import Job, JobQueue, JobState
from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.security.audit import record
from wattkeeper.security.models import AuditEvent
from wattkeeper.web.language import Language
from wattkeeper.web.queries.money import period_text
from wattkeeper.web.queries.states import N_, Level
from wattkeeper.web.services import Services

PAGE: Final = 50
KINDS: Final[Mapping[str, str]] = {BILL_RUN: N_("Bill run")}
STATES: Final[Mapping[JobState, tuple[Level, str]]] = {
    JobState.QUEUED: ("idle", N_("waiting")),
    JobState.RUNNING: ("warn", N_("running")),
    JobState.FINISHED: ("ok", N_("finished")),
    JobState.FAILED: ("bad", N_("failed")),
}


class UnknownJob(WattkeeperError):
    """There is no such job."""


@dataclass(frozen=True, slots=True)
class JobRow:
    """A job as it stands."""

    id: int
    kind: str
    args: Any
    cursor: Any
    state: JobState
    progress: int
    total: int | None
    attempt: int
    error: str | None
    enqueued_at: datetime
    started_by: str | None
    """Who asked for it, as the audit has it."""


@dataclass(frozen=True, slots=True)
class JobPage:
    """A page of jobs, newest first."""

    jobs: tuple[JobRow, ...]
    total: int
    after: int | None


@dataclass(frozen=True, slots=True)
class JobLine:
    """A job in words."""

    id: int
    title: str
    level: Level
    state_text: str
    state: str
    progress: int
    total: int | None
    started_by: str | None
    enqueued_at: datetime
    error: str | None
    failed: bool
    open: bool


def find_jobs(
    services: Services, *, state: JobState | None = None, after: int | None = None, limit: int = PAGE
) -> JobPage:
    """A page of jobs, newest first."""
    wanted = select(Job)
    if state is not None:
        wanted = wanted.where(Job.state == state)
    with services.database.read() as session:
        total = session.scalar(wanted.with_only_columns(func.count(), maintain_column_froms=True)) or 0
        if after is not None:
            wanted = wanted.where(Job.id < after)
        found = session.scalars(wanted.order_by(Job.id.desc()).limit(limit + 1)).all()
    page = found[:limit]
    starters = _starters(services, [job.id for job in page])
    rows = tuple(_row(job, starters) for job in page)
    return JobPage(rows, total, page[-1].id if len(found) > limit else None)


def get_job(services: Services, job_id: int) -> JobRow:
    """One job, or UnknownJob."""
    with services.database.read() as session:
        job = session.get(Job, job_id)
    if job is None:
        raise UnknownJob(f"There is no job {job_id}.", hint="Look it up in the list of jobs.")
    return _row(job, _starters(services, [job_id]))


def retry_job(services: Services, job_id: int) -> None:
    """Put a failed job back in the queue, to go on where it was; JobNotFailed for any other."""
    failed = get_job(services, job_id)
    with services.database.write() as session:
        JobQueue().retry(session, job_id)
        record(
            session, "job.retry", now=services.clock(), subject=("job", job_id), name=failed.kind,
            before={"error": failed.error},
        )  # fmt: skip


def job_line(job: JobRow, say: Language) -> JobLine:
    """A job in words."""
    level, text = STATES[job.state]
    return JobLine(
        id=job.id, title=job_title(job, say), level=level, state_text=say.text(text), state=job.state.value,
        progress=job.progress, total=job.total, started_by=job.started_by, enqueued_at=job.enqueued_at,
        error=job.error, failed=job.state is JobState.FAILED,
        open=job.state in {JobState.QUEUED, JobState.RUNNING},
    )  # fmt: skip


def job_title(job: JobRow, say: Language) -> str:
    """What a job is for."""
    if job.kind == BILL_RUN:
        return say.text("Bills of %(month)s", month=period_text(_period(job.args), say))
    return say.text(KINDS[job.kind]) if job.kind in KINDS else job.kind


def _period(args: Any) -> TimeRange:
    return TimeRange(datetime.fromisoformat(args["start"]), datetime.fromisoformat(args["end"]))


def _row(job: Job, starters: Mapping[int, str]) -> JobRow:
    return JobRow(
        id=job.id, kind=job.kind, args=job.args, cursor=job.cursor, state=job.state, progress=job.progress,
        total=job.total, attempt=job.attempt, error=job.error, enqueued_at=job.enqueued_at,
        started_by=starters.get(job.id),
    )  # fmt: skip


def _starters(services: Services, job_ids: Sequence[int]) -> dict[int, str]:
    """Who asked for these jobs: whoever did the first thing that is on record about each."""
    about = (AuditEvent.subject_kind == "job", AuditEvent.subject_id.in_([str(job_id) for job_id in job_ids]))
    wanted = select(AuditEvent.subject_id, AuditEvent.actor_name).where(*about).order_by(AuditEvent.id.desc())
    with services.database.read() as session:
        return {int(row[0] or 0): row[1] for row in session.execute(wanted)}  # the first one is written last
