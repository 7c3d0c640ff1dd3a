"""The tables of monitoring.

A finding is raised once, updated, cleared and acknowledged; what it says is made from its code and its evidence when it
is shown, in the language of whoever looks. The database itself allows one open finding per code and subject.
"""

import enum
from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from wattkeeper.kernel.columns import Json
from wattkeeper.kernel.database import Base
from wattkeeper.kernel.severity import Severity


class SubjectKind(enum.StrEnum):
    """What a finding is about."""

    METER = "meter"
    LINK = "link"


class NoticeKind(enum.StrEnum):
    """What a notice tells."""

    RAISED = "raised"
    CLEARED = "cleared"
    TEST = "test"


class NoticeState(enum.StrEnum):
    """What became of a notice."""

    QUEUED = "queued"
    SENT = "sent"
    FAILED = "failed"
    """Refused for good by the mail server."""
    GIVEN_UP = "given_up"
    """Tried until there was no more sense in it."""


class NoticeLanguage(enum.StrEnum):
    """The languages that notices are written in."""

    ZH = "zh"
    EN = "en"


class Finding(Base):
    """Something about one meter or link that a person should know (发现)."""

    __tablename__ = "finding"
    __table_args__ = (
        Index(
            "uq_finding_open",
            "code",
            "subject_kind",
            "subject_id",
            unique=True,
            sqlite_where=text("cleared_at IS NULL"),
            postgresql_where=text("cleared_at IS NULL"),
        ),
        Index(None, "subject_kind", "subject_id"),
        Index(None, "cleared_at"),
        CheckConstraint("occurrences >= 1", name="occurred"),
        CheckConstraint("cleared_at >= raised_at", name="cleared_later"),
        CheckConstraint("(cleared_at IS NULL) = (clear_reason IS NULL)", name="cleared_for_a_reason"),
        CheckConstraint(
            "(acknowledged_at IS NULL) = (acknowledged_by IS NULL)", name="acknowledged_by_somebody"
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str]
    severity: Mapped[Severity]
    subject_kind: Mapped[SubjectKind]
    subject_id: Mapped[int]
    raised_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    cleared_at: Mapped[datetime | None]
    clear_reason: Mapped[str | None]
    occurrences: Mapped[int] = mapped_column(default=1)
    """Readings that were out of range, as far as written down; 1 for what is a state."""
    evidence: Mapped[Any] = mapped_column(Json)
    acknowledged_at: Mapped[datetime | None]
    acknowledged_by: Mapped[str | None]
    acknowledged_note: Mapped[str | None]


class NoticeRecipient(Base):
    """Who is told, of what part of the network (all of it without a site or an area), and from which severity on."""

    __tablename__ = "notice_recipient"
    __table_args__ = (
        CheckConstraint("site_id IS NULL OR area_id IS NULL", name="a_site_or_an_area"),
        CheckConstraint("length(email) BETWEEN 3 AND 254", name="email_length"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str]
    language: Mapped[NoticeLanguage]
    minimum_severity: Mapped[Severity]
    site_id: Mapped[int | None] = mapped_column(ForeignKey("site.id"))
    area_id: Mapped[int | None] = mapped_column(ForeignKey("area.id"))
    enabled: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[datetime]


class Notice(Base):
    """One message to one recipient, with what the mail server said when it took it."""

    __tablename__ = "notice"
    __table_args__ = (
        UniqueConstraint("finding_id", "kind", "channel", "recipient"),
        Index(None, "state", "next_attempt_at"),
        CheckConstraint("(kind = 'test') = (finding_id IS NULL)", name="about_a_finding"),
        CheckConstraint(
            "(state = 'queued') = (next_attempt_at IS NOT NULL)", name="queued_has_a_next_attempt"
        ),
        CheckConstraint("(state = 'sent') = (proof IS NOT NULL)", name="sent_has_proof"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    finding_id: Mapped[int | None] = mapped_column(ForeignKey("finding.id"))
    kind: Mapped[NoticeKind]
    channel: Mapped[str]
    recipient: Mapped[str]
    language: Mapped[NoticeLanguage]
    subject: Mapped[str]
    text: Mapped[str]
    message_id: Mapped[str] = mapped_column(unique=True)
    """The Message-ID header: the same at every attempt, so that a repeat can be told from a second message."""
    state: Mapped[NoticeState]
    attempts: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime]
    next_attempt_at: Mapped[datetime | None]
    sent_at: Mapped[datetime | None]
    proof: Mapped[str | None]
    """The mail server's own words when it took the message over."""
    error: Mapped[str | None]
