"""Long work that survives a crash: claimed by one worker at a time, resumed from its last committed step.

A job is claimed by one conditional update with a lease. Each step does its work, moves the cursor and renews the
lease in one transaction, so after a crash the next worker goes on from the last step that was committed. The
``attempt`` number fences off a worker that was thought dead: its next step is refused, and rolled back.
"""

import enum
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import CheckConstraint, Index, Update, and_, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapped, Session, mapped_column

from wattkeeper.kernel.columns import Json
from wattkeeper.kernel.database import Base
from wattkeeper.kernel.errors import WattkeeperError

_INSERT: dict[str, Callable[[type["Job"]], sqlite.Insert | postgresql.Insert]] = {
    "sqlite": sqlite.insert,
    "postgresql": postgresql.insert,
}
"""Both databases can leave a row as it is when its key is there, and say so in the same words."""


class JobState(enum.StrEnum):
    """Where a job is; a running one whose lease is over can be claimed again."""

    QUEUED = "queued"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"


class JobLost(WattkeeperError):
    """A worker's lease ran out and another worker has the job; nothing of this step is kept."""


class JobNotFailed(WattkeeperError):
    """Only a failed job can be put back in the queue."""


class Job(Base):
    """One piece of long work."""

    __tablename__ = "job"
    __table_args__ = (
        CheckConstraint("progress >= 0", name="progress_not_negative"),
        CheckConstraint("(state = 'running') = (owner IS NOT NULL)", name="owned_while_running"),
        CheckConstraint("(state = 'running') = (lease_until IS NOT NULL)", name="leased_while_running"),
        CheckConstraint("(state = 'failed') = (error IS NOT NULL)", name="error_when_failed"),
        Index(None, "state", "kind", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    key: Mapped[str] = mapped_column(unique=True)
    args: Mapped[Any] = mapped_column(Json)
    cursor: Mapped[Any] = mapped_column(Json, nullable=True)
    progress: Mapped[int] = mapped_column(default=0)
    total: Mapped[int | None]
    owner: Mapped[str | None]
    lease_until: Mapped[datetime | None]
    attempt: Mapped[int] = mapped_column(default=0)
    state: Mapped[JobState] = mapped_column(default=JobState.QUEUED)
    error: Mapped[str | None]
    enqueued_at: Mapped[datetime]


@dataclass(frozen=True, slots=True)
class ClaimedJob:
    """A job in the hands of the worker ``owner``; ``cursor`` is where its last committed step ended."""

    id: int
    kind: str
    key: str
    args: Any
    cursor: Any
    progress: int
    total: int | None
    owner: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Step:
    """What one step achieved: where to go on, how far the job is, and whether that was all."""

    cursor: Any
    progress: int
    total: int | None = None
    done: bool = False


class JobQueue:
    """The jobs of one database; every method works in the caller's transaction."""

    def enqueue(self, session: Session, kind: str, *, key: str, args: Any, now: datetime) -> int:
        """Add a job and return its id; a ``key`` that is already there is the same job, and is not added twice."""
        added = _INSERT[session.get_bind().dialect.name](Job).values(
            kind=kind, key=key, args=args, enqueued_at=now
        )
        session.execute(added.on_conflict_do_nothing(index_elements=[Job.key]))
        return session.scalars(select(Job.id).where(Job.key == key)).one()

    def claim(
        self, session: Session, kinds: Collection[str], *, owner: str, now: datetime, lease: timedelta
    ) -> ClaimedJob | None:
        """Take the oldest job of these kinds that is queued, or whose worker's lease is over; None if there is none."""
        free = or_(Job.state == JobState.QUEUED, and_(Job.state == JobState.RUNNING, Job.lease_until <= now))
        oldest = (
            select(Job.id)
            .where(Job.kind.in_(kinds), free)
            .order_by(Job.id)
            .limit(1)
            .with_for_update(skip_locked=True)  # PostgreSQL: two workers take two jobs, neither waits
        )
        taken = (
            update(Job)
            .where(Job.id == oldest.scalar_subquery(), free)
            .values(state=JobState.RUNNING, owner=owner, lease_until=now + lease, attempt=Job.attempt + 1)
            .returning(
                Job.id,
                Job.kind,
                Job.key,
                Job.args,
                Job.cursor,
                Job.progress,
                Job.total,
                Job.owner,
                Job.attempt,
            )
            .execution_options(synchronize_session=False)
        )
        row = session.execute(taken).one_or_none()
        return None if row is None else ClaimedJob(*row)

    def step(
        self, session: Session, job: ClaimedJob, step: Step, *, now: datetime, lease: timedelta
    ) -> ClaimedJob:
        """Record a step in the transaction of its work and renew the lease; JobLost when it is another worker's now."""
        values = {
            "cursor": step.cursor,
            "progress": step.progress,
            "total": step.total,
            "lease_until": now + lease,
        }
        self._update(session, job, values)
        return replace(job, cursor=step.cursor, progress=step.progress, total=step.total)

    def finish(self, session: Session, job: ClaimedJob) -> None:
        """Mark the job as done."""
        self._update(session, job, {"state": JobState.FINISHED, "owner": None, "lease_until": None})

    def fail(self, session: Session, job: ClaimedJob, error: str) -> None:
        """Mark the job as failed with a sentence for the operator; its cursor stays where the last step left it."""
        self._update(
            session, job, {"state": JobState.FAILED, "owner": None, "lease_until": None, "error": error}
        )

    def release(self, session: Session, job: ClaimedJob) -> None:
        """Put the job back in the queue, to go on from its cursor: its worker is told to stop."""
        self._update(session, job, {"state": JobState.QUEUED, "owner": None, "lease_until": None})

    def retry(self, session: Session, job_id: int) -> None:
        """Put a failed job back in the queue, to go on from its cursor."""
        again = (
            update(Job)
            .where(Job.id == job_id, Job.state == JobState.FAILED)
            .values(state=JobState.QUEUED, error=None)
        )
        if not _changed_one(session, again):
            raise JobNotFailed(f"Job {job_id} has not failed, so it cannot be tried again.")

    def _update(self, session: Session, job: ClaimedJob, values: dict[str, Any]) -> None:
        mine = and_(Job.id == job.id, Job.owner == job.owner, Job.attempt == job.attempt)
        if not _changed_one(session, update(Job).where(mine, Job.state == JobState.RUNNING).values(values)):
            raise JobLost(
                f"The job {job.key} was taken over from {job.owner} because its lease ran out.",
                hint="Nothing is lost: the other worker goes on from the last step that was kept.",
            )


def _changed_one(session: Session, statement: Update) -> bool:
    changed = statement.returning(Job.id).execution_options(synchronize_session=False)
    return session.execute(changed).one_or_none() is not None
