"""What the API says and takes of edits of readings and intervals."""

from decimal import Decimal
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, Field

from wattkeeper.readings.editing.checks import MOST_REASON, MOST_VALUES
from wattkeeper.readings.editing.values import EditKind, EditState
from wattkeeper.web.api.schemas import DecimalText, InstantText, Shape

Id = Annotated[int, Field(ge=1, le=2**53)]
Amount = Annotated[Decimal, Field(max_digits=18, decimal_places=4, examples=["1234.5600"])]
Key = Annotated[str, Field(max_length=64, examples=["active_energy_import"])]
Reason = Annotated[str, Field(max_length=MOST_REASON, description="Why; it is kept with every value.")]


class ReadingWanted(BaseModel):
    """What one reading is to be."""

    meter_id: Id
    quantity: Key
    read_at: AwareDatetime
    value: Amount = Field(description="In the quantity's unit, as the meter shows it, without any ratio.")


class IntervalWanted(BaseModel):
    """What the energy of one interval is to be."""

    point_id: Id
    quantity: Key
    start_at: AwareDatetime = Field(description="The start of a slot of the point's grid.")
    energy: Amount = Field(description="In the quantity's unit, ratio applied.")


class EditWanted(BaseModel):
    """Readings, or intervals, that are to be changed at once."""

    reason: Reason
    readings: list[ReadingWanted] = Field(default=[], max_length=MOST_VALUES)
    intervals: list[IntervalWanted] = Field(default=[], max_length=MOST_VALUES)


class UndoWanted(BaseModel):
    """Why an edit is to be taken back."""

    reason: Reason


class RefusalWanted(BaseModel):
    """Why an edit, or its undoing, is refused."""

    reason: Reason


class EditItem(Shape):
    """An edit and how far it has come."""

    id: int
    kind: EditKind
    state: EditState = Field(
        description="proposed, then refused, withdrawn or approved; applied once the store has it; undo_proposed and "
        "undo_approved while it is taken back, undone after."
    )
    reason: str
    values: int = Field(description="How many values it changes.")
    first_at: InstantText
    last_at: InstantText
    proposed_by: str
    proposed_at: InstantText
    changed_at: InstantText = Field(description="When it came to its state.")
    applied_at: InstantText | None = Field(description="The `recorded_at` of its values.")
    undone_at: InstantText | None


class EditStep(Shape):
    """Who brought an edit to a state, when, and what they said."""

    at: InstantText
    state: EditState
    by: str
    note: str | None


class EditDetail(EditItem):
    """An edit with its steps."""

    steps: list[EditStep]


class ValueThenItem(Shape):
    """What a value was at some moment."""

    value: DecimalText | None
    status: int
    source: str = Field(description="The source of a reading, the method of an interval.")
    recorded_at: InstantText


class DiffItem(Shape):
    """One value of an edit: before, as wanted, and now."""

    owner_id: int = Field(description="The meter of a reading, the metering point of an interval.")
    quantity: str
    at: InstantText
    before: ValueThenItem | None = Field(description="Just before it was carried out; null: there was none.")
    wanted: DecimalText
    change: DecimalText | None
    now: ValueThenItem | None


class VersionItem(Shape):
    """One version of a value, from when until when it held, and how it came."""

    value: DecimalText | None
    status: int
    source: str
    exchange_id: str | None = Field(description="The frames it came in.")
    recorded_at: InstantText
    superseded_at: InstantText | None = Field(
        description="Null for the current one; equal to `recorded_at` for one that never stood."
    )
    edit: EditItem | None = Field(description="The edit that wrote it.")
    undone: EditItem | None = Field(description="The edit whose undoing brought it back.")
