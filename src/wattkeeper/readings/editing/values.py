"""Edits as frozen values, and the columns in which what they change travels."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final

import pyarrow as pa

from wattkeeper.readings.schemas import ENERGY, INSTANT
from wattkeeper.readings.versions import INTERVALS, READINGS, VersionedTable


class EditKind(StrEnum):
    """What an edit changes."""

    READING = "reading"
    """Values of a meter's quantities at instants."""
    INTERVAL = "interval"
    """Energies of a metering point over slots of its grid."""

    @property
    def table(self) -> VersionedTable:
        """Where these are stored."""
        return READINGS if self is EditKind.READING else INTERVALS


class EditState(StrEnum):
    """How far an edit has come."""

    PROPOSED = "proposed"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    APPROVED = "approved"
    """By a second person; the store has it within seconds."""
    APPLIED = "applied"
    UNDO_PROPOSED = "undo_proposed"
    UNDO_APPROVED = "undo_approved"
    UNDONE = "undone"


WAITING: Final = (EditState.PROPOSED, EditState.UNDO_PROPOSED)
"""A second person has to look at it."""
IN_FORCE: Final = (EditState.APPLIED, EditState.UNDO_PROPOSED, EditState.UNDO_APPROVED)
"""Its values are those of the store."""
VOID: Final = (EditState.REFUSED, EditState.WITHDRAWN, EditState.UNDO_APPROVED, EditState.UNDONE)
"""It came to nothing, or is taken back."""

READING_EDIT_SCHEMA: Final = pa.schema(
    [("meter_id", pa.int64()), ("quantity", pa.string()), ("read_at", INSTANT), ("value", ENERGY)]
)
"""What somebody wants readings to be, in the quantity's unit as the meter shows it."""
INTERVAL_EDIT_SCHEMA: Final = pa.schema(
    [("point_id", pa.int64()), ("quantity", pa.string()), ("start_at", INSTANT), ("energy", ENERGY)]
)
"""What somebody wants the energies of intervals to be, ratio applied; each is one slot of its point's grid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EditView:
    """An edit, without its values."""

    id: int
    kind: EditKind
    state: EditState
    reason: str
    values: int
    """How many it changes."""
    first_at: datetime
    last_at: datetime
    """The first and last instant, or start of a slot, it changes."""
    proposed_by: str
    proposed_at: datetime
    changed_at: datetime
    """When it came to its state."""
    applied_at: datetime | None
    """The ``recorded_at`` of its values in the store."""
    undone_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EditStepView:
    """One step of an edit: who brought it to a state, when, and what they said."""

    at: datetime
    state: EditState
    by: str
    note: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueThen:
    """What a value was at some moment."""

    value: Decimal | None
    status: int
    source: str
    """The source of a reading, the method of an interval."""
    recorded_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffRow:
    """One value of an edit: what it was before, what the edit says, and what holds now; None: there was, or is, none."""

    owner_id: int
    """The meter of a reading, the metering point of an interval."""
    quantity: str
    at: datetime
    wanted: Decimal
    before: ValueThen | None
    """Just before the edit was carried out; now, while it waits."""
    now: ValueThen | None

    @property
    def change(self) -> Decimal | None:
        """By how much the edit changes it; None where there was no value."""
        before = None if self.before is None else self.before.value
        return None if before is None else self.wanted - before


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionView:
    """One version of a value: what it was, from when until when it held, and how it came."""

    value: Decimal | None
    status: int
    source: str
    exchange_id: int | None
    """The frames it came in; None for an interval, and where none were kept."""
    recorded_at: datetime
    superseded_at: datetime | None
    """None for the current one; equal to ``recorded_at`` for one that never stood."""
    edit: EditView | None
    """The edit that wrote it."""
    undone: EditView | None
    """The edit whose undoing brought it back."""
