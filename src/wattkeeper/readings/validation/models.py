"""The tables of validation: what was found, and the dated parameters that the rules are run with."""

import enum
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from wattkeeper.kernel.columns import Json, ScaledDecimal
from wattkeeper.kernel.database import Base
from wattkeeper.kernel.severity import Severity

ANY_KIND = "*"
"""A parameter for every class of metering point that has none of its own."""


class FindingState(enum.StrEnum):
    """What became of a finding."""

    OPEN = "open"
    ACCEPTED = "accepted"
    """A person says that the readings are right."""
    ESTIMATED = "estimated"
    """A person had what was in doubt replaced by an estimate."""
    EDITED = "edited"
    """A person entered what is right."""
    CLEARED = "cleared"
    """The readings no longer give cause for it, as when late data repaired a gap."""


class ValidationFinding(Base):
    """Something about readings that a person should look at (发现): the exception queue is made of these."""

    __tablename__ = "validation_finding"
    __table_args__ = (
        UniqueConstraint("code", "meter_id", "quantity", "start_at"),
        Index(None, "state", "start_at", "id"),
        Index(None, "meter_id", "start_at"),
        Index(None, "start_at", "id"),
        CheckConstraint("end_at > start_at", name="ends_after_start"),
        CheckConstraint(
            "(state IN ('accepted', 'estimated', 'edited')) = (decided_at IS NOT NULL)", name="decided"
        ),
        CheckConstraint("(decided_at IS NULL) = (decided_by IS NULL)", name="decided_by_somebody"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str]
    severity: Mapped[Severity]
    meter_id: Mapped[int] = mapped_column(ForeignKey("meter.id"))
    point_id: Mapped[int | None] = mapped_column(ForeignKey("metering_point.id"))
    quantity: Mapped[str]
    start_at: Mapped[datetime]
    end_at: Mapped[datetime]
    evidence: Mapped[Any] = mapped_column(Json)
    ground: Mapped[str]
    """A digest of what it rests on: what was decided about one ground holds until there is another."""
    state: Mapped[FindingState]
    raised_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    decided_at: Mapped[datetime | None]
    decided_by: Mapped[str | None]
    note: Mapped[str | None]
    edit_id: Mapped[int | None]
    """The edit or estimation that answered it."""


class ValidationParameter(Base):
    """One parameter of a rule for a class of metering point (or ANY_KIND), from an instant on.

    A row is never changed: what held at any instant can be told for ever.
    """

    __tablename__ = "validation_parameter"
    __table_args__ = (UniqueConstraint("rule", "point_kind", "parameter", "valid_from"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    rule: Mapped[str]
    point_kind: Mapped[str]
    parameter: Mapped[str]
    value: Mapped[Decimal] = mapped_column(ScaledDecimal(4))
    valid_from: Mapped[datetime]
    set_at: Mapped[datetime]
    set_by: Mapped[str]
