"""Tables of commands in the ledger database: what was asked, each meter's part of it, every step, standing orders."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from wattkeeper.collection.commands import schema  # noqa: F401 - its triggers are created with these tables
from wattkeeper.collection.commands.kinds import CommandKind, CommandState, Outcome
from wattkeeper.kernel.columns import Json
from wattkeeper.kernel.database import Base


class StandingOrder(Base):
    """Two people's leave to give one kind of command within limits, without asking a second person each time."""

    __tablename__ = "standing_order"
    __table_args__ = (
        CheckConstraint("daily_cap >= 1", name="cap_positive"),
        CheckConstraint("expires_at > asked_at", name="expires_later"),
        CheckConstraint("(approved_at IS NULL) = (approved_by IS NULL)", name="approved_by_somebody"),
        CheckConstraint("(ended_at IS NULL) = (ended_by IS NULL)", name="ended_by_somebody"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[CommandKind]
    site_id: Mapped[int | None] = mapped_column(ForeignKey("site.id"))
    area_id: Mapped[int | None] = mapped_column(ForeignKey("area.id"))
    """Where it holds; both null: everywhere."""
    daily_cap: Mapped[int]
    """Commands under it in one day of the first site's zone."""
    reason: Mapped[str]
    asked_by: Mapped[str]
    asked_by_user_id: Mapped[int | None]
    asked_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    approved_by: Mapped[str | None]
    approved_by_user_id: Mapped[int | None]
    approved_at: Mapped[datetime | None]
    ended_by: Mapped[str | None]
    ended_at: Mapped[datetime | None]
    """Somebody refused it, or took it back."""


class CommandBatch(Base):
    """What somebody asked at once: one kind of command for one meter or many."""

    __tablename__ = "command_batch"
    __table_args__ = (
        CheckConstraint("expires_at > asked_at", name="expires_later"),
        CheckConstraint("(decided_at IS NULL) = (decision IS NULL)", name="decided_once"),
        Index(None, "asked_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[CommandKind]
    argument: Mapped[dict[str, Any] | None] = mapped_column(Json)
    reason: Mapped[str]
    asked_by: Mapped[str]
    asked_by_user_id: Mapped[int | None]
    asked_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    """What has not been sent by then never will be."""
    standing_order_id: Mapped[int | None] = mapped_column(ForeignKey("standing_order.id"), index=True)
    decision: Mapped[CommandState | None]
    """approved, rejected or withdrawn; null while a second person is waited for, or where none was needed."""
    decided_by: Mapped[str | None]
    decided_by_user_id: Mapped[int | None]
    decided_at: Mapped[datetime | None]
    decision_note: Mapped[str | None]


class Command(Base):
    """One meter's part of a batch, and the state it is in."""

    __tablename__ = "command"
    __table_args__ = (
        UniqueConstraint("batch_id", "meter_id"),
        CheckConstraint(
            "state NOT IN ('sending', 'unknown') OR sent_at IS NOT NULL",
            name="sent_before_it_may_have_worked",
        ),
        CheckConstraint("state <> 'expired' OR sent_at IS NULL", name="expired_unsent"),
        Index(None, "state"),
        Index(None, "meter_id", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    batch_id: Mapped[int] = mapped_column(ForeignKey("command_batch.id"))
    meter_id: Mapped[int] = mapped_column(ForeignKey("meter.id"))
    state: Mapped[CommandState]
    outcome: Mapped[Outcome | None]
    detail: Mapped[str | None]
    """In the meter's or the link's own words."""
    changed_at: Mapped[datetime]
    sent_at: Mapped[datetime | None]
    meter_expires_at: Mapped[datetime | None]
    """By our clock: the meter itself drops the command from then on."""


class CommandStep(Base):
    """What happened to a command, one row a step; the database refuses to change or remove any."""

    __tablename__ = "command_step"
    __table_args__ = (Index(None, "command_id", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    command_id: Mapped[int] = mapped_column(ForeignKey("command.id"))
    at: Mapped[datetime]
    state: Mapped[CommandState]
    outcome: Mapped[Outcome | None]
    detail: Mapped[str | None]
    exchange_id: Mapped[int | None]
    """The frames it rests on, in the readings store."""


class MeterControl(Base):
    """What a meter said of its relay and its standing instructions when it was last asked; null: it does not say."""

    __tablename__ = "meter_control"

    meter_id: Mapped[int] = mapped_column(ForeignKey("meter.id", ondelete="CASCADE"), primary_key=True)
    relay_open: Mapped[bool | None]
    close_allowed: Mapped[bool | None]
    """Open, and the customer may close it by the meter's key."""
    keep_power: Mapped[bool | None]
    alarm: Mapped[bool | None]
    read_at: Mapped[datetime]
    exchange_id: Mapped[int | None]
