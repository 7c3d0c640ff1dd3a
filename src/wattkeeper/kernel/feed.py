"""The change feed: how a lower room tells higher ones what changed without calling them.

An event is appended in the transaction of the change itself. Each consumer reads on from its own cursor and
advances it in the transaction of its own work, so it gets every event at least once and in order.

**Order of commits.** A database sequence is drawn before the commit, so on PostgreSQL event 6 can become
visible while event 5 still waits; a reader that moved past 6 would never see 5. Appending therefore takes one
transaction-level advisory lock before the sequence is drawn and holds it to the commit: sequence order *is* commit
order, and whatever a reader sees is a prefix without holes to come. (Numbers lost to a rollback are no holes.)
Append at the end of a transaction, so that writers wait for each other briefly. On SQLite writers take turns anyway.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import CheckConstraint, Index, delete, func, insert, select, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from wattkeeper.kernel.columns import Json
from wattkeeper.kernel.database import Base

_ADVISORY_LOCK = 0x77617474_66656564  # "wattfeed", one lock for all appenders


class FeedEvent(Base):
    """One appended event."""

    __tablename__ = "feed_event"
    __table_args__ = (Index(None, "topic", "sequence"), {"sqlite_autoincrement": True})

    sequence: Mapped[int] = mapped_column(primary_key=True)
    topic: Mapped[str]
    payload: Mapped[Any] = mapped_column(Json)


class FeedCursor(Base):
    """How far one consumer has come."""

    __tablename__ = "feed_cursor"
    __table_args__ = (CheckConstraint("sequence >= 0", name="not_negative"),)

    consumer: Mapped[str] = mapped_column(primary_key=True)
    sequence: Mapped[int]


@dataclass(frozen=True, slots=True)
class Event:
    """An event as a consumer sees it; ``payload`` is JSON (decimals and instants as strings)."""

    sequence: int
    topic: str
    payload: Any


class ChangeFeed:
    """The ordered list of what changed."""

    def append(self, session: Session, topic: str, payload: Any) -> int:
        """Append an event in the caller's transaction and return its sequence number."""
        _take_turns(session)
        added = insert(FeedEvent).values(topic=topic, payload=payload).returning(FeedEvent.sequence)
        return session.execute(added).scalar_one()

    def extend(self, session: Session, topic: str, payloads: Iterable[Any]) -> None:
        """Append many events of one topic, in their order."""
        rows = [{"topic": topic, "payload": payload} for payload in payloads]
        if rows:
            _take_turns(session)
            session.connection().execute(
                insert(FeedEvent), rows
            )  # no objects are made of ten thousand events

    def read(self, session: Session, consumer: str, topics: Sequence[str], limit: int) -> list[Event]:
        """The next events on these topics behind the consumer's cursor, in order, at most ``limit``."""
        wanted = (
            select(FeedEvent.sequence, FeedEvent.topic, FeedEvent.payload)
            .where(FeedEvent.sequence > self.cursor(session, consumer), FeedEvent.topic.in_(topics))
            .order_by(FeedEvent.sequence)
            .limit(limit)
        )
        return [Event(*row) for row in session.execute(wanted)]

    def advance(self, session: Session, consumer: str, sequence: int) -> None:
        """Move the consumer's cursor up to ``sequence``, in the transaction of its work; it never moves back."""
        cursor = session.get(FeedCursor, consumer, with_for_update=True)
        if cursor is None:
            session.add(FeedCursor(consumer=consumer, sequence=sequence))
        else:
            cursor.sequence = max(cursor.sequence, sequence)
        session.flush()

    def cursor(self, session: Session, consumer: str) -> int:
        """The last sequence number the consumer has dealt with; 0 for a new one."""
        return session.scalar(select(FeedCursor.sequence).where(FeedCursor.consumer == consumer)) or 0

    def head(self, session: Session) -> int:
        """The last sequence number there is.

        A consumer whose ``read`` came back empty may advance to the head taken in the same session, so
        that a quiet topic does not hold back ``prune``.
        """
        return session.scalar(select(func.max(FeedEvent.sequence))) or 0

    def prune(self, session: Session) -> int:
        """Drop the events that every known consumer has dealt with, and all where there is none; the number dropped.

        A new consumer makes itself known by advancing to ``head`` before its first look at what is there: from then
        on every event waits for it.
        """
        slowest = session.scalar(select(func.min(FeedCursor.sequence)))
        passed = FeedEvent.sequence <= (self.head(session) if slowest is None else slowest)
        count: int = session.execute(select(func.count()).select_from(FeedEvent).where(passed)).scalar_one()
        session.execute(delete(FeedEvent).where(passed).execution_options(synchronize_session=False))
        return count


def _take_turns(session: Session) -> None:
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
