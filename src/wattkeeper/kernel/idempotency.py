"""Writes that a program may repeat without doing them twice: what was answered under a key is kept and given again.

A key is claimed before the work begins. When the process dies in between, the claim stays open and a repeat is told that
the outcome is unknown: guessing "not done" could pay a bill twice, guessing "done" could lose it.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Index, UniqueConstraint, delete, select, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Mapped, Session, mapped_column

from wattkeeper.kernel.database import Base, Database, violates_uniqueness

KEPT = timedelta(days=7)
"""How long an answer is kept; a repeat comes within minutes."""


class IdempotentRequest(Base):
    """A write under a key of whoever sent it; `status` is null until it has been answered."""

    __tablename__ = "idempotent_request"
    __table_args__ = (UniqueConstraint("sender", "key"), Index(None, "began_at"))

    id: Mapped[int] = mapped_column(primary_key=True)
    sender: Mapped[str]
    key: Mapped[str]
    fingerprint: Mapped[str]
    began_at: Mapped[datetime]
    status: Mapped[int | None]
    media_type: Mapped[str | None]
    body: Mapped[str | None]


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """What is known of a key: the request's fingerprint, and its answer, None while it is not known."""

    fingerprint: str
    status: int | None
    media_type: str | None
    body: str | None


class IdempotentRequests:
    """The kept answers of one ledger database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def claim(self, *, sender: str, key: str, fingerprint: str, now: datetime) -> KeptAnswer | None:
        """Take a key for a request; None when it was free, else what is known of the one that has it."""
        try:
            with self._database.write() as session:
                if (known := _find(session, sender, key)) is not None:
                    return known
                session.execute(delete(IdempotentRequest).where(IdempotentRequest.began_at < now - KEPT))
                row = IdempotentRequest(sender=sender, key=key, fingerprint=fingerprint, began_at=now)
                session.add(row)
        except DBAPIError as error:
            if not violates_uniqueness(error):
                raise
            with self._database.read() as session:  # another one claimed it at the same moment
                return _find(session, sender, key)
        return None

    def answered(self, *, sender: str, key: str, status: int, media_type: str, body: str) -> None:
        """Keep the answer to a claimed request."""
        with self._database.write() as session:
            session.execute(
                update(IdempotentRequest)
                .where(IdempotentRequest.sender == sender, IdempotentRequest.key == key)
                .values(status=status, media_type=media_type, body=body)
            )

    def release(self, *, sender: str, key: str) -> None:
        """Give a claimed key back: the request changed nothing, so it may be sent again."""
        with self._database.write() as session:
            session.execute(
                delete(IdempotentRequest).where(
                    IdempotentRequest.sender == sender, IdempotentRequest.key == key
                )
            )


def _find(session: Session, sender: str, key: str) -> KeptAnswer | None:
    row = session.scalar(
        select(IdempotentRequest).where(IdempotentRequest.sender == sender, IdempotentRequest.key == key)
    )
    return None if row is None else KeptAnswer(row.fingerprint, row.status, row.media_type, row.body)
