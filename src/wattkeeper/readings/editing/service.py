"""Editing: asking for a change, agreeing to it as the second person, carrying it out, and taking it back.

The ledger says what shall be, the store what is. An approval is committed in the ledger first; then the values and a
mark that says so are written to the store in one transaction; then the ledger notes it. Whatever stops the server in
between, the next `settle` goes on, and nothing is done twice.
"""

import contextlib
import threading
from collections.abc import Collection
from datetime import datetime
from typing import Final

import pyarrow as pa

from wattkeeper.kernel.database import Database
from wattkeeper.readings.editing.checks import checked_reason, checked_values, with_ends
from wattkeeper.readings.editing.errors import BadEdit, EditDecided, SecondReaderNeeded
from wattkeeper.readings.editing.models import ReadingEdit
from wattkeeper.readings.editing.repository import EditRepository
from wattkeeper.readings.editing.values import (
    INTERVAL_EDIT_SCHEMA,
    READING_EDIT_SCHEMA,
    VOID,
    WAITING,
    EditKind,
    EditState,
    EditStepView,
    EditView,
)
from wattkeeper.readings.errors import ReadingsError
from wattkeeper.readings.schemas import (
    INSTANT,
    INTERVAL_SCHEMA,
    READING_SCHEMA,
    IntervalStatus,
    ReadingStatus,
)
from wattkeeper.readings.store import ReadingsStore
from wattkeeper.readings.validation.exceptions import reopen
from wattkeeper.registry.scope import EVERYTHING, Scope
from wattkeeper.security.acting import SYSTEM, Person, current_person
from wattkeeper.security.audit import record

_APPROVED: Final = {
    EditState.PROPOSED: EditState.APPROVED,
    EditState.UNDO_PROPOSED: EditState.UNDO_APPROVED,
}
_REFUSED: Final = {EditState.PROPOSED: EditState.REFUSED, EditState.UNDO_PROPOSED: EditState.APPLIED}
_WITHDRAWN: Final = {EditState.PROPOSED: EditState.WITHDRAWN, EditState.UNDO_PROPOSED: EditState.APPLIED}
_CARRIED_OUT: Final = Person(name=SYSTEM.name, user_id=None)


class ReadingEditing:
    """Edits over the two stores. Whoever acts is the current actor; it takes two who are signed in."""

    def __init__(self, database: Database, store: ReadingsStore) -> None:
        self._database = database
        self._store = store
        self._settling = threading.Lock()

    # -- asking -----------------------------------------------------------------------------------------------------

    def propose_readings(
        self, wanted: pa.Table, reason: str, *, now: datetime, scope: Scope = EVERYTHING
    ) -> EditView:
        """Ask for readings to be what ``wanted`` (READING_EDIT_SCHEMA) says; a second person decides.

        Raises:
            BadEdit: no values or no reason, an unknown meter, a value that cannot be, the future.
            SecondReaderNeeded: nobody is signed in to be told apart from the second.

        """
        values = checked_values(wanted, READING_EDIT_SCHEMA, now)
        values = values.add_column(3, "end_at", pa.nulls(values.num_rows, INSTANT))
        return self._propose(EditKind.READING, values, reason, now=now, scope=scope)

    def propose_intervals(
        self, wanted: pa.Table, reason: str, *, now: datetime, scope: Scope = EVERYTHING
    ) -> EditView:
        """The same for energies of intervals (INTERVAL_EDIT_SCHEMA), each one slot of its point's grid."""
        values = checked_values(wanted, INTERVAL_EDIT_SCHEMA, now)
        return self._propose(EditKind.INTERVAL, values, reason, now=now, scope=scope)

    def propose_undo(
        self, edit_id: int, reason: str, *, now: datetime, scope: Scope = EVERYTHING
    ) -> EditView:
        """Ask for an edit to be taken back; a second person, who may be whoever asked for the edit, decides."""
        note, person = checked_reason(reason), _somebody()
        with self._database.write() as session:
            edits = EditRepository(session, scope)
            edit = edits.view(edit_id)
            self._move(edits, edit, EditState.APPLIED, EditState.UNDO_PROPOSED, person, now=now, note=note)
            record(
                session,
                "edit.undo_propose",
                now=now,
                subject=("reading_edit", edit_id),
                after={"reason": note},
            )
            return edits.view(edit_id)

    # -- deciding ---------------------------------------------------------------------------------------------------

    def approve(self, edit_id: int, *, now: datetime, note: str = "", scope: Scope = EVERYTHING) -> EditView:
        """Agree, as the second person, to an edit or to its undoing; it is carried out at once where that is possible.

        Raises:
            SecondReaderNeeded: whoever asked cannot agree as well.
            EditDecided: nothing waits to be decided.
            UnknownEdit: no such edit, or it reaches beyond what this person may see.

        """
        self._decide(edit_id, _APPROVED, "approve", now=now, note=note, scope=scope)
        with contextlib.suppress(
            ReadingsError
        ):  # stays approved, and is tried again until it is in the store
            self.settle(now)
        return self.edit(edit_id, scope=scope)

    def refuse(self, edit_id: int, *, now: datetime, note: str, scope: Scope = EVERYTHING) -> EditView:
        """Refuse, as the second person and with a reason, an edit or its undoing."""
        said = checked_reason(note)
        self._decide(edit_id, _REFUSED, "refuse", now=now, note=said, scope=scope)
        return self.edit(edit_id, scope=scope)

    def withdraw(self, edit_id: int, *, now: datetime, note: str = "", scope: Scope = EVERYTHING) -> EditView:
        """Take back what waits for a second person, whoever asked it."""
        self._decide(edit_id, _WITHDRAWN, "withdraw", now=now, note=note, scope=scope)
        return self.edit(edit_id, scope=scope)

    # -- carrying out -----------------------------------------------------------------------------------------------

    def settle(self, now: datetime) -> int:
        """Bring to the store what was approved and is not there; returns how many edits that were.

        Derivation, sums and bills then follow by themselves: the store tells what changed.
        """
        with self._settling:
            with self._database.read() as session:
                due = EditRepository(session).waiting_for_the_store()
            for edit in due:
                self._carry_out(edit, now)
            return len(due)

    def _carry_out(self, edit: EditView, now: datetime) -> None:
        with self._database.read() as session:
            wanted = EditRepository(session).wanted(edit)
        table, corrections = edit.kind.table, self._store.corrections
        if edit.state is EditState.APPROVED:
            done = corrections.apply(edit.id, table, _batch(edit.kind, wanted), now)
            to, moments = EditState.APPLIED, {"applied_at": done}
        else:
            done = corrections.take_back(edit.id, table, _batch(edit.kind, wanted), now)
            to, moments = EditState.UNDONE, {"undone_at": done}
        with self._database.write() as session:
            edits = EditRepository(session)
            if edits.move(edit.id, of=(edit.state,), to=to, at=now, **moments):
                edits.note(edit.id, to, _CARRIED_OUT, at=now)

    # -- looking ----------------------------------------------------------------------------------------------------

    def edit(self, edit_id: int, *, scope: Scope = EVERYTHING) -> EditView:
        """One edit; raises UnknownEdit."""
        with self._database.read() as session:
            return EditRepository(session, scope).view(edit_id)

    def steps(self, edit_id: int, *, scope: Scope = EVERYTHING) -> list[EditStepView]:
        """Who brought an edit to each of its states, when, and what they said; raises UnknownEdit."""
        with self._database.read() as session:
            edits = EditRepository(session, scope)
            edits.view(edit_id)
            return edits.steps(edit_id)

    def edits(
        self,
        *,
        scope: Scope = EVERYTHING,
        states: Collection[EditState] = (),
        meter_id: int | None = None,
        point_id: int | None = None,
        after: int | None = None,
        limit: int = 50,
    ) -> list[EditView]:
        """Edits, newest first; one more than ``limit`` where there are more."""
        with self._database.read() as session:
            return EditRepository(session, scope).views(
                states=states, meter_id=meter_id, point_id=point_id, after=after, limit=limit
            )

    def waiting(self, *, most: int, scope: Scope = EVERYTHING) -> int:
        """How many edits wait for a second person, counted no further than ``most``."""
        with self._database.read() as session:
            return EditRepository(session, scope).count(WAITING, most=most)

    # -- inside -----------------------------------------------------------------------------------------------------

    def _propose(
        self, kind: EditKind, values: pa.Table, reason: str, *, now: datetime, scope: Scope
    ) -> EditView:
        said, person = checked_reason(reason), _somebody()
        with self._database.write() as session:
            edits = EditRepository(session, scope)
            owners = values["owner_id"].unique().to_pylist()
            if kind is EditKind.READING:
                _check_known("meter", owners, edits.meters(owners))
            else:
                grids = edits.grids(owners)
                _check_known("metering point", owners, grids)
                values = with_ends(values, grids, now)
            at = values["at"].to_pylist()
            edit = ReadingEdit(
                kind=kind,
                state=EditState.PROPOSED,
                reason=said,
                number=values.num_rows,
                first_at=min(at),
                last_at=max(at),
                proposed_by=person.name,
                proposed_by_user_id=person.user_id,
                proposed_at=now,
                changed_at=now,
            )
            edits.add(edit, values)
            edits.note(edit.id, EditState.PROPOSED, person, at=now, note=said)
            after = {"kind": kind.value, "values": values.num_rows, "reason": said}
            after |= {"first_at": min(at).isoformat(), "last_at": max(at).isoformat()}
            record(session, "edit.propose", now=now, subject=("reading_edit", edit.id), after=after)
            return edits.view(edit.id)

    def _decide(
        self,
        edit_id: int,
        outcomes: dict[EditState, EditState],
        act: str,
        *,
        now: datetime,
        note: str,
        scope: Scope,
    ) -> None:
        person = _somebody()
        with self._database.write() as session:
            edits = EditRepository(session, scope)
            edit = edits.view(edit_id)
            if edit.state not in WAITING:
                raise _decided(edit)
            asked = edits.asked_by(edit_id, edit.state)
            if act != "withdraw" and person.is_same_as(asked.by, asked.by_user_id):
                raise SecondReaderNeeded(
                    f"{person.name} asked for this, and another person has to decide.",
                    hint="Take it back instead, or have a colleague look at it.",
                )
            self._move(edits, edit, edit.state, outcomes[edit.state], person, now=now, note=note)
            if outcomes[edit.state] in VOID:
                reopen(session, edit_id, now)
            action = f"edit.{act}" if edit.state is EditState.PROPOSED else f"edit.undo_{act}"
            said = {"note": note.strip()} if note.strip() else None
            record(session, action, now=now, subject=("reading_edit", edit_id), after=said)

    @staticmethod
    def _move(
        edits: EditRepository,
        edit: EditView,
        of: EditState,
        to: EditState,
        person: Person,
        *,
        now: datetime,
        note: str,
    ) -> None:
        if not edits.move(edit.id, of=(of,), to=to, at=now):
            raise _decided(edit)
        edits.note(edit.id, to, person, at=now, note=note)


def _somebody() -> Person:
    person = current_person()
    if person.user_id is None:
        raise SecondReaderNeeded(
            "This takes two persons, and nobody is signed in here to be told apart from the second.",
            hint="Do it on the console, or with the token of a user.",
        )
    return person


def _decided(edit: EditView) -> EditDecided:
    return EditDecided(
        f"Edit {edit.id} is {edit.state.value.replace('_', ' ')}, so this cannot be done with it (any more).",
        hint="Its page says what became of it.",
    )


def _check_known(what: str, owners: Collection[int], found: Collection[int]) -> None:
    if missing := sorted(set(owners) - set(found)):
        named = ", ".join(map(str, missing[:5]))
        raise BadEdit(f"There is no {what} {named}{' …' if len(missing) > 5 else ''}.")  # noqa: PLR2004


def _batch(kind: EditKind, wanted: pa.Table) -> pa.Table:
    """The values of an edit as the store takes them."""
    number = wanted.num_rows
    if kind is EditKind.READING:
        columns = {
            "meter_id": wanted["owner_id"],
            "quantity": wanted["quantity"],
            "read_at": wanted["at"],
            "value": wanted["value"],
            "status": _repeated(ReadingStatus.OK.value, number),
            "source": pa.repeat("edited", number),
            "exchange_id": pa.nulls(number, pa.int64()),
        }
        return pa.table([columns[name] for name in READING_SCHEMA.names], schema=READING_SCHEMA)
    columns = {
        "point_id": wanted["owner_id"],
        "quantity": wanted["quantity"],
        "start_at": wanted["at"],
        "end_at": wanted["end_at"],
        "energy": wanted["value"],
        "status": _repeated(IntervalStatus.EDITED.value, number),
        "method": pa.repeat("edited", number),
    }
    fields = [
        columns[field.name] if field.name in columns else pa.nulls(number, field.type)
        for field in INTERVAL_SCHEMA
    ]
    return pa.table(fields, schema=INTERVAL_SCHEMA)


def _repeated(status: int, number: int) -> pa.Array:
    return pa.repeat(pa.scalar(status, pa.int32()), number)
