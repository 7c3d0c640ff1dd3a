"""The audit: who did what to what, appended in the transaction of doing it, and chained by hashes.

A link of the chain is SHA-256(hash of the link before, newline, the event as canonical JSON). Whoever changes, removes
or inserts an event afterwards, past the database's own triggers, breaks every later link. Cutting off the newest links
together with their events leaves a shorter whole chain: that shows against a head noted elsewhere (`verify(expected=)`).
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, func, insert, select, text
from sqlalchemy.orm import Session

from wattkeeper.security.acting import Actor, current_actor
from wattkeeper.security.models import AuditEvent, AuditSeal
from wattkeeper.security.values import AuditReport

BATCH: Final = 1000
LATE: Final = 10_000
"""Numbers that may be given between an event's own and its commit, on PostgreSQL; a thorough search finds any."""
GENESIS: Final = "0" * 64
PROBLEMS_SHOWN: Final = 20
_FIELDS: Final = (
    "id", "actor_kind", "actor_name", "actor_user_id", "address", "action", "subject_kind", "subject_id",
    "subject_name", "before", "after",
)  # fmt: skip
_SEALER_LOCK: Final = 0x77617474_7365616C  # "wattseal": one sealer at a time on PostgreSQL


def record(
    session: Session,
    action: str,
    *,
    now: datetime,
    subject: tuple[str, object] | None = None,
    name: str | None = None,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    actor: Actor | None = None,
) -> None:
    """Write down an act in the caller's transaction.

    `action` is a stable dotted name such as `user.create`; `subject` is what it was done to, as ("user", 12), and
    `name` how people call that; `before` and `after` hold what changed. Never put a secret into either.
    """
    who = current_actor() if actor is None else actor
    kind, key = subject if subject is not None else (None, None)
    session.execute(
        insert(AuditEvent).values(
            at=now,
            actor_kind=who.kind,
            actor_name=who.name,
            actor_user_id=who.user_id,
            address=who.address,
            action=action,
            subject_kind=kind,
            subject_id=None if key is None else str(key),
            subject_name=name,
            before=before,
            after=after,
        )
    )


def seal(session: Session, *, now: datetime, thorough: bool = True) -> int:
    """Chain the events that are not chained yet, at most a batch; returns how many.

    Without `thorough`, only events near the newest link are looked at, so that it costs the same at any length.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _SEALER_LOCK})
    position, previous = _head(session)
    waiting = session.scalars(
        select(AuditEvent)
        .outerjoin(AuditSeal, AuditSeal.event_id == AuditEvent.id)
        .where(AuditSeal.position.is_(None), *_near_the_end(thorough))
        .order_by(AuditEvent.id)
        .limit(BATCH)
    ).all()
    links = []
    for event in waiting:
        position, previous = position + 1, linked(previous, event)
        links.append({"position": position, "event_id": event.id, "hash": previous, "sealed_at": now})
    if links:
        session.execute(insert(AuditSeal), links)
    return len(links)


def verify(session: Session, *, expected: str | None = None) -> AuditReport:
    """Compute the whole chain again and compare; `expected` is a head (`position:hash`) noted earlier."""
    problems: list[str] = []
    known, position, previous = expected in {None, f"0:{GENESIS}"}, 0, GENESIS
    for seal_row, event in _links(session):
        if seal_row.position != position + 1:
            problems.append(f"Links {position + 1} to {seal_row.position - 1} of the chain are missing.")
        position = seal_row.position
        if event is None:
            problems.append(f"Link {position}: event {seal_row.event_id} was removed.")
        elif linked(previous, event) != seal_row.hash:
            problems.append(
                f"Link {position}: event {event.id} ({event.action}, {event.at.isoformat()}) was changed, or the link was."
            )
        previous = seal_row.hash
        known = known or expected == f"{position}:{previous}"
        if len(problems) >= PROBLEMS_SHOWN:
            break
    if not known and len(problems) < PROBLEMS_SHOWN:
        problems.append(
            f"The chain does not contain the head {expected}: its end was cut off, or it was rewritten."
        )
    return AuditReport(position, _unsealed(session), f"{position}:{previous}", tuple(problems))


def linked(previous: str, event: AuditEvent) -> str:
    """The hash of the link that follows `previous` and holds `event`."""
    content = {field: getattr(event, field) for field in _FIELDS} | {"at": event.at.isoformat()}
    canonical = json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(f"{previous}\n{canonical}".encode()).hexdigest()


def any_unsealed(session: Session, *, thorough: bool = True) -> bool:
    """Whether an event waits for its seal."""
    waiting = (
        select(AuditEvent.id)
        .outerjoin(AuditSeal, AuditSeal.event_id == AuditEvent.id)
        .where(AuditSeal.position.is_(None), *_near_the_end(thorough))
        .limit(1)
    )
    return session.scalar(waiting) is not None


def _near_the_end(thorough: bool) -> list[ColumnElement[bool]]:  # noqa: FBT001 (its one question)
    newest = select(func.coalesce(func.max(AuditSeal.event_id), 0)).scalar_subquery()
    return [] if thorough else [AuditEvent.id > newest - LATE]


def oldest_unsealed_age(session: Session, *, now: datetime) -> timedelta:
    """How long the oldest event has waited for its seal; zero when none waits."""
    oldest = session.scalar(
        select(func.min(AuditEvent.at))
        .outerjoin(AuditSeal, AuditSeal.event_id == AuditEvent.id)
        .where(AuditSeal.position.is_(None))
    )
    return timedelta(0) if oldest is None else now - oldest


def _head(session: Session) -> tuple[int, str]:
    newest = session.execute(
        select(AuditSeal.position, AuditSeal.hash).order_by(AuditSeal.position.desc()).limit(1)
    ).one_or_none()
    return (0, GENESIS) if newest is None else (newest[0], newest[1])


def _links(session: Session) -> Iterator[tuple[AuditSeal, AuditEvent | None]]:
    """The chain from its beginning, a batch at a time."""
    position = 0
    while True:
        rows = session.execute(
            select(AuditSeal, AuditEvent)
            .outerjoin(AuditEvent, AuditEvent.id == AuditSeal.event_id)
            .where(AuditSeal.position > position)
            .order_by(AuditSeal.position)
            .limit(BATCH)
        ).all()
        if not rows:
            return
        yield from ((row[0], row[1]) for row in rows)
        position = rows[-1][0].position
        session.expunge_all()  # a long chain is not kept in memory


def _unsealed(session: Session) -> int:
    waiting = (
        select(func.count())
        .select_from(AuditEvent)
        .outerjoin(AuditSeal, AuditSeal.event_id == AuditEvent.id)
        .where(AuditSeal.position.is_(None))
    )
    return session.scalar(waiting) or 0
