"""The tables of security.

What a browser or a program holds is a random secret; the tables hold its SHA-256 only. Audit rows and seals are never
changed or removed (`schema` has the triggers).
"""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from wattkeeper.kernel.columns import Json
from wattkeeper.kernel.database import Base
from wattkeeper.security import schema  # noqa: F401 - its triggers are created with these tables
from wattkeeper.security.acting import ActorKind
from wattkeeper.security.rights import Role


class User(Base):
    """Who may sign in. `login` is kept in lower case; a customer's user belongs to a customer."""

    __tablename__ = "app_user"
    __table_args__ = (
        CheckConstraint("(role = 'customer') = (customer_id IS NOT NULL)", name="customer_of_a_customer"),
        CheckConstraint("length(login) BETWEEN 2 AND 64", name="login_length"),
        Index(None, "customer_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    login: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    email: Mapped[str | None]
    role: Mapped[Role]
    customer_id: Mapped[int | None] = mapped_column(ForeignKey("customer.id"))
    password_hash: Mapped[str]
    must_change_password: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[datetime]
    password_changed_at: Mapped[datetime]
    last_sign_in_at: Mapped[datetime | None]
    disabled_at: Mapped[datetime | None]


class UserScope(Base):
    """A site or an area that a user is limited to; a user without any row sees the whole installation."""

    __tablename__ = "user_scope"
    __table_args__ = (
        UniqueConstraint("user_id", "site_id", "area_id"),
        CheckConstraint("(site_id IS NULL) <> (area_id IS NULL)", name="a_site_or_an_area"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("app_user.id"))
    site_id: Mapped[int | None] = mapped_column(ForeignKey("site.id"))
    area_id: Mapped[int | None] = mapped_column(ForeignKey("area.id"))


class UserSession(Base):
    """A browser that is signed in."""

    __tablename__ = "user_session"
    __table_args__ = (Index(None, "user_id"), Index(None, "expires_at"))

    id: Mapped[int] = mapped_column(primary_key=True)
    secret_hash: Mapped[str] = mapped_column(unique=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("app_user.id"))
    created_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    """The end that no use puts off; leaving it idle ends a session sooner."""
    address: Mapped[str]
    agent: Mapped[str]


class ApiToken(Base):
    """A program that acts for a user, with some of the user's rights, until a date."""

    __tablename__ = "api_token"
    __table_args__ = (
        Index(None, "user_id"),
        CheckConstraint("expires_at > created_at", name="expires_later"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    secret_hash: Mapped[str] = mapped_column(unique=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("app_user.id"))
    name: Mapped[str]
    rights: Mapped[Any] = mapped_column(Json)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class AuditEvent(Base):
    """One thing that somebody did, written in the transaction of doing it."""

    __tablename__ = "audit_event"
    __table_args__ = (
        Index(None, "subject_kind", "subject_id"),
        Index(None, "action"),
        Index(None, "actor_user_id"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    actor_kind: Mapped[ActorKind]
    actor_name: Mapped[str]
    actor_user_id: Mapped[int | None]
    address: Mapped[str | None]
    action: Mapped[str]
    subject_kind: Mapped[str | None]
    subject_id: Mapped[str | None]
    subject_name: Mapped[str | None]
    before: Mapped[Any] = mapped_column(Json, nullable=True)
    after: Mapped[Any] = mapped_column(Json, nullable=True)


class AuditSeal(Base):
    """A link of the hash chain over the audit: SHA-256 of the link before and of one event.

    Positions have no holes. An event is sealed once it is visible, so that on PostgreSQL one that was numbered early
    and committed late is sealed late, and none is left out.
    """

    __tablename__ = "audit_seal"

    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    event_id: Mapped[int] = mapped_column(ForeignKey("audit_event.id"), unique=True)
    hash: Mapped[str]
    sealed_at: Mapped[datetime]
