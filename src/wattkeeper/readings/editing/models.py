"""Tables of edits in the ledger database: what was asked, value by value, and every step."""

from datetime import datetime
from decimal import Decimal

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from wattkeeper.kernel.columns import ScaledDecimal
from wattkeeper.kernel.database import Base
from wattkeeper.readings.editing import schema  # noqa: F401 - its triggers are created with these tables
from wattkeeper.readings.editing.values import EditKind, EditState


class ReadingEdit(Base):
    """What somebody wants to be changed at once, with the reason, and how far it has come."""

    __tablename__ = "reading_edit"
    __table_args__ = (
        CheckConstraint("number >= 1", name="changes_something"),
        CheckConstraint("first_at <= last_at", name="first_before_last"),
        CheckConstraint("undone_at IS NULL OR applied_at IS NOT NULL", name="applied_before_undone"),
        Index(None, "state", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[EditKind]
    state: Mapped[EditState]
    reason: Mapped[str]
    number: Mapped[int]
    """Of its values."""
    first_at: Mapped[datetime]
    last_at: Mapped[datetime]
    proposed_by: Mapped[str]
    proposed_by_user_id: Mapped[int | None]
    proposed_at: Mapped[datetime]
    changed_at: Mapped[datetime]
    applied_at: Mapped[datetime | None]
    undone_at: Mapped[datetime | None]


class ReadingEditValue(Base):
    """One value that an edit changes; the database refuses to change or remove any."""

    __tablename__ = "reading_edit_value"
    __table_args__ = (
        CheckConstraint("(meter_id IS NULL) <> (point_id IS NULL)", name="of_a_meter_or_a_point"),
        CheckConstraint("(point_id IS NULL) = (end_at IS NULL)", name="an_interval_ends"),
        UniqueConstraint("edit_id", "meter_id", "quantity", "at"),
        UniqueConstraint("edit_id", "point_id", "quantity", "at"),
        Index(None, "meter_id", "edit_id"),
        Index(None, "point_id", "edit_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    edit_id: Mapped[int] = mapped_column(ForeignKey("reading_edit.id"))
    meter_id: Mapped[int | None] = mapped_column(ForeignKey("meter.id"))
    point_id: Mapped[int | None] = mapped_column(ForeignKey("metering_point.id"))
    quantity: Mapped[str]
    at: Mapped[datetime]
    """When the reading was taken, or the interval starts."""
    end_at: Mapped[datetime | None]
    value: Mapped[Decimal] = mapped_column(ScaledDecimal(4))


class ReadingEditStep(Base):
    """What happened to an edit, one row a step; the database refuses to change or remove any."""

    __tablename__ = "reading_edit_step"
    __table_args__ = (Index(None, "edit_id", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    edit_id: Mapped[int] = mapped_column(ForeignKey("reading_edit.id"))
    at: Mapped[datetime]
    state: Mapped[EditState]
    by: Mapped[str]
    by_user_id: Mapped[int | None]
    note: Mapped[str | None]
