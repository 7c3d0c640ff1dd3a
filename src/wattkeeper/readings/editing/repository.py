"""All SQL of edits in the ledger database, in the caller's transaction and within a scope."""

from collections.abc import Collection, Iterable
from datetime import datetime

import pyarrow as pa
from sqlalchemy import ColumnElement, exists, func, insert, select, true, update
from sqlalchemy.orm import Session

from wattkeeper.kernel.database import in_parts
from wattkeeper.readings.editing.errors import UnknownEdit
from wattkeeper.readings.editing.models import ReadingEdit, ReadingEditStep, ReadingEditValue
from wattkeeper.readings.editing.values import EditKind, EditState, EditStepView, EditView
from wattkeeper.readings.schemas import ENERGY, INSTANT
from wattkeeper.registry.models import Meter, MeteringPoint, Site
from wattkeeper.registry.scope import EVERYTHING, Scope
from wattkeeper.security.acting import Person

_INSERTED_AT_ONCE = 5_000


class EditRepository:
    """Edits, their values and their steps. An edit is within a scope when all that it changes is."""

    def __init__(self, session: Session, scope: Scope = EVERYTHING) -> None:
        self._session = session
        self._scope = scope

    # -- writing ----------------------------------------------------------------------------------------------------

    def add(self, edit: ReadingEdit, wanted: pa.Table) -> None:
        """Write down an edit and its values: columns owner_id, quantity, at, end_at and value."""
        self._session.add(edit)
        self._session.flush()
        owner = "meter_id" if edit.kind is EditKind.READING else "point_id"
        for first in range(0, wanted.num_rows, _INSERTED_AT_ONCE):
            part = wanted.slice(first, _INSERTED_AT_ONCE).rename_columns(
                [owner, "quantity", "at", "end_at", "value"]
            )
            rows = [row | {"edit_id": edit.id} for row in part.to_pylist()]
            self._session.connection().execute(insert(ReadingEditValue), rows)

    def move(
        self, edit_id: int, *, of: Collection[EditState], to: EditState, at: datetime, **moments: datetime
    ) -> bool:
        """Bring an edit from one of these states to another; False when it was in none of them (any more)."""
        changed = (
            update(ReadingEdit)
            .where(ReadingEdit.id == edit_id, ReadingEdit.state.in_(of))
            .values(state=to, changed_at=at, **moments)
            .returning(ReadingEdit.id)
        )
        return self._session.scalar(changed) is not None

    def note(self, edit_id: int, state: EditState, person: Person, *, at: datetime, note: str = "") -> None:
        """Write down a step."""
        self._session.add(
            ReadingEditStep(
                edit_id=edit_id,
                at=at,
                state=state,
                by=person.name,
                by_user_id=person.user_id,
                note=note.strip() or None,
            )
        )
        self._session.flush()

    # -- looking ----------------------------------------------------------------------------------------------------

    def view(self, edit_id: int) -> EditView:
        """One edit; raises UnknownEdit."""
        found = self._session.scalar(select(ReadingEdit).where(ReadingEdit.id == edit_id, self._within()))
        if found is None:
            raise UnknownEdit(f"There is no edit {edit_id}.", hint="Look at the list of edits.")
        return _view(found)

    def views(
        self,
        *,
        states: Collection[EditState] = (),
        meter_id: int | None = None,
        point_id: int | None = None,
        after: int | None = None,
        limit: int = 50,
    ) -> list[EditView]:
        """Edits, newest first, of a meter or a point where one is given; one more than ``limit`` where there are more."""
        wanted = select(ReadingEdit).where(self._within())
        if states:
            wanted = wanted.where(ReadingEdit.state.in_(states))
        for column, owner in ((ReadingEditValue.meter_id, meter_id), (ReadingEditValue.point_id, point_id)):
            if owner is not None:
                wanted = wanted.where(
                    ReadingEdit.id.in_(select(ReadingEditValue.edit_id).where(column == owner))
                )
        if after is not None:
            wanted = wanted.where(ReadingEdit.id < after)
        rows = self._session.scalars(wanted.order_by(ReadingEdit.id.desc()).limit(limit + 1))
        return [_view(row) for row in rows]

    def count(self, states: Collection[EditState], *, most: int) -> int:
        """How many edits are in these states, counted no further than ``most``."""
        some = select(ReadingEdit.id).where(self._within(), ReadingEdit.state.in_(states)).limit(most)
        return self._session.scalar(select(func.count()).select_from(some.subquery())) or 0

    def by_id(self, edit_ids: Collection[int]) -> dict[int, EditView]:
        """The edits of these ids, whatever else they change: who may see a value may see how it came."""
        found = self._session.scalars(select(ReadingEdit).where(ReadingEdit.id.in_(edit_ids)))
        return {row.id: _view(row) for row in found}

    def waiting_for_the_store(self) -> list[EditView]:
        """What was approved and is not known to be in the store yet, in the order it was decided."""
        due = select(ReadingEdit).where(ReadingEdit.state.in_((EditState.APPROVED, EditState.UNDO_APPROVED)))
        return [
            _view(row) for row in self._session.scalars(due.order_by(ReadingEdit.changed_at, ReadingEdit.id))
        ]

    def steps(self, edit_id: int) -> list[EditStepView]:
        """The steps of an edit, in order."""
        rows = self._session.scalars(
            select(ReadingEditStep).where(ReadingEditStep.edit_id == edit_id).order_by(ReadingEditStep.id)
        )
        return [EditStepView(at=row.at, state=row.state, by=row.by, note=row.note) for row in rows]

    def asked_by(self, edit_id: int, state: EditState) -> ReadingEditStep:
        """The step that last brought an edit to a state."""
        step = select(ReadingEditStep).where(
            ReadingEditStep.edit_id == edit_id, ReadingEditStep.state == state
        )
        return self._session.scalars(step.order_by(ReadingEditStep.id.desc()).limit(1)).one()

    def wanted(self, edit: EditView, *, after: int = 0, limit: int | None = None) -> pa.Table:
        """The values of an edit in their order: id, owner_id, quantity, at, end_at (null for readings) and value."""
        owner = ReadingEditValue.meter_id if edit.kind is EditKind.READING else ReadingEditValue.point_id
        chosen = (
            select(
                ReadingEditValue.id,
                owner,
                ReadingEditValue.quantity,
                ReadingEditValue.at,
                ReadingEditValue.end_at,
                ReadingEditValue.value,
            )
            .where(ReadingEditValue.edit_id == edit.id, ReadingEditValue.id > after)
            .order_by(ReadingEditValue.id)
            .limit(limit)
        )
        rows = self._session.execute(chosen).all()
        columns = zip(*rows, strict=True) if rows else ((),) * len(_WANTED)
        return pa.table(
            [pa.array(values, field.type) for values, field in zip(columns, _WANTED, strict=True)],
            schema=_WANTED,
        )

    def meters(self, meter_ids: Iterable[int]) -> set[int]:
        """Those of the meters that are there and within."""
        found: set[int] = set()
        for part in in_parts(sorted(set(meter_ids))):
            found |= set(
                self._session.scalars(select(Meter.id).where(Meter.id.in_(part), self._scope.has_meter()))
            )
        return found

    def grids(self, point_ids: Iterable[int]) -> dict[int, tuple[int, str]]:
        """The minutes of a slot and the zone of each of the points that are there and within."""
        found: dict[int, tuple[int, str]] = {}
        for part in in_parts(sorted(set(point_ids))):
            rows = self._session.execute(
                select(MeteringPoint.id, MeteringPoint.interval_minutes, Site.zone)
                .join(Site, Site.id == MeteringPoint.site_id)
                .where(MeteringPoint.id.in_(part), self._scope.has_point())
            )
            found |= {point_id: (minutes, zone) for point_id, minutes, zone in rows}
        return found

    def _within(self) -> ColumnElement[bool]:
        if self._scope.everything:
            return true()
        beyond = select(ReadingEditValue.id).where(ReadingEditValue.edit_id == ReadingEdit.id)
        meters = select(Meter.id).where(self._scope.has_meter())
        return ~exists(
            beyond.where(
                ReadingEditValue.meter_id.not_in(meters)
                | ReadingEditValue.point_id.not_in(self._scope.points())
            )
        )


_WANTED = pa.schema(
    [
        ("id", pa.int64()),
        ("owner_id", pa.int64()),
        ("quantity", pa.string()),
        ("at", INSTANT),
        ("end_at", INSTANT),
        ("value", ENERGY),
    ]
)


def _view(row: ReadingEdit) -> EditView:
    return EditView(
        id=row.id,
        kind=row.kind,
        state=row.state,
        reason=row.reason,
        values=row.number,
        first_at=row.first_at,
        last_at=row.last_at,
        proposed_by=row.proposed_by,
        proposed_at=row.proposed_at,
        changed_at=row.changed_at,
        applied_at=row.applied_at,
        undone_at=row.undone_at,
    )
