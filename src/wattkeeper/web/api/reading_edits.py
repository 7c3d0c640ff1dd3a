"""Editing readings and intervals: one person asks, another agrees; what each value was before stays to be seen."""

from datetime import datetime
from typing import Annotated, Any

import pyarrow as pa
from fastapi import APIRouter, Path, Query, Request
from pydantic import AwareDatetime

from wattkeeper.readings.editing.errors import BadEdit
from wattkeeper.readings.editing.values import (
    INTERVAL_EDIT_SCHEMA,
    READING_EDIT_SCHEMA,
    EditKind,
    EditState,
    EditView,
    VersionView,
)
from wattkeeper.readings.quantities import quantity as catalogue_entry
from wattkeeper.security.rights import Right
from wattkeeper.web.access import in_person, needs
from wattkeeper.web.api import command_schemas
from wattkeeper.web.api import edit_schemas as shapes
from wattkeeper.web.api.schemas import Page
from wattkeeper.web.pages import services_of
from wattkeeper.web.problems import documented
from wattkeeper.web.services import Services

router = APIRouter(tags=["edits"])
Id = Annotated[int, Path(ge=1, le=2**53)]
After = Annotated[int | None, Query(ge=1, le=2**53, description="`next` of the page before.")]
Limit = Annotated[int, Query(ge=1, le=1000)]
Key = Annotated[str, Query(max_length=64, examples=["active_energy_import"])]


@router.post(
    "/edits",
    dependencies=[needs(Right.READINGS_EDIT)],
    status_code=201,
    responses=documented(404, 409, 422),
    summary="Ask for readings or intervals to be changed",
)
def propose_edit(request: Request, wanted: shapes.EditWanted) -> shapes.EditItem:
    """Say what values are to be, and why. Nothing changes until a second person agrees."""
    services = services_of(request)
    if bool(wanted.readings) == bool(wanted.intervals):
        raise BadEdit("An edit changes readings or intervals.", hint="Give one of the two.")
    told: dict[str, Any] = {"now": services.clock(), "scope": services.scope}
    if wanted.readings:
        rows = pa.Table.from_pylist([row.model_dump() for row in wanted.readings], schema=READING_EDIT_SCHEMA)
        return _item(services.editing.propose_readings(rows, wanted.reason, **told))
    rows = pa.Table.from_pylist([row.model_dump() for row in wanted.intervals], schema=INTERVAL_EDIT_SCHEMA)
    return _item(services.editing.propose_intervals(rows, wanted.reason, **told))


@router.get(
    "/edits",
    dependencies=[needs(Right.METERS_VIEW)],
    responses=documented(422),
    summary="List edits",
)
def list_edits(
    request: Request,
    *,
    state: Annotated[list[EditState], Query(max_length=20)] = [],  # noqa: B006 (FastAPI copies it)
    meter_id: Annotated[int | None, Query(ge=1, le=2**53)] = None,
    point_id: Annotated[int | None, Query(ge=1, le=2**53)] = None,
    limit: Limit = 50,
    after: After = None,
) -> Page[shapes.EditItem]:
    """Edits of what you may see, newest first; of a meter's readings or a point's intervals where one is given."""
    services = services_of(request)
    found = services.editing.edits(
        scope=services.scope, states=state, meter_id=meter_id, point_id=point_id, after=after, limit=limit
    )
    return Page(
        items=[_item(row) for row in found[:limit]],
        next=str(found[limit - 1].id) if len(found) > limit else None,
    )


@router.get(
    "/edits/{edit_id}",
    dependencies=[needs(Right.METERS_VIEW)],
    responses=documented(404, 422),
    summary="One edit and its steps",
)
def get_edit(request: Request, edit_id: Id) -> shapes.EditDetail:
    """An edit with who brought it to each of its states, when, and what they said."""
    services = services_of(request)
    found = services.editing.edit(edit_id, scope=services.scope)
    steps = services.editing.steps(edit_id, scope=services.scope)
    return shapes.EditDetail(
        **_item(found).model_dump(), steps=[shapes.EditStep.model_validate(step) for step in steps]
    )


@router.get(
    "/edits/{edit_id}/diff",
    dependencies=[needs(Right.METERS_VIEW)],
    responses=documented(404, 422),
    summary="What an edit changes, value by value",
)
def get_diff(
    request: Request, edit_id: Id, *, limit: Limit = 500, after: After = None
) -> Page[shapes.DiffItem]:
    """Each value before the edit, as the edit wants it, and now, with where it came from."""
    services = services_of(request)
    rows, more = services.trail.diff(edit_id, scope=services.scope, after=after or 0, limit=limit)
    return Page(
        items=[shapes.DiffItem.model_validate(row) for row in rows], next=None if more is None else str(more)
    )


@router.post(
    "/edits/{edit_id}/approve",
    dependencies=[needs(Right.READINGS_APPROVE)],
    responses=documented(404, 409, 422),
    summary="Agree to an edit, or to its undoing, as the second person",
)
def approve_edit(request: Request, edit_id: Id, said: command_schemas.DecisionWanted) -> shapes.EditItem:
    """Agree to what another person asked; only who signed in with a password can, a token cannot."""
    in_person(request)
    services = services_of(request)
    now = services.clock()
    return _item(services.editing.approve(edit_id, now=now, note=said.note, scope=services.scope))


@router.post(
    "/edits/{edit_id}/refuse",
    dependencies=[needs(Right.READINGS_APPROVE)],
    responses=documented(404, 409, 422),
    summary="Refuse an edit, or its undoing, as the second person",
)
def refuse_edit(request: Request, edit_id: Id, said: shapes.RefusalWanted) -> shapes.EditItem:
    """Refuse what another person asked, with a reason; only who signed in with a password can, a token cannot."""
    in_person(request)
    services = services_of(request)
    now = services.clock()
    return _item(services.editing.refuse(edit_id, now=now, note=said.reason, scope=services.scope))


@router.post(
    "/edits/{edit_id}/withdraw",
    dependencies=[needs(Right.READINGS_EDIT)],
    responses=documented(404, 409, 422),
    summary="Take back what waits for a second person",
)
def withdraw_edit(request: Request, edit_id: Id, said: command_schemas.DecisionWanted) -> shapes.EditItem:
    """Take back an edit, or the wish to undo one, that nobody has decided yet."""
    services = services_of(request)
    now = services.clock()
    return _item(services.editing.withdraw(edit_id, now=now, note=said.note, scope=services.scope))


@router.post(
    "/edits/{edit_id}/undo",
    dependencies=[needs(Right.READINGS_EDIT)],
    responses=documented(404, 409, 422),
    summary="Ask for an edit to be undone",
)
def undo_edit(request: Request, edit_id: Id, wanted: shapes.UndoWanted) -> shapes.EditItem:
    """Ask for what stood before to stand again; that, too, takes a second person."""
    services = services_of(request)
    now = services.clock()
    return _item(services.editing.propose_undo(edit_id, wanted.reason, now=now, scope=services.scope))


@router.get(
    "/meters/{meter_id}/reading-versions",
    dependencies=[needs(Right.METERS_VIEW)],
    responses=documented(404, 422),
    summary="Every version of one reading",
)
def list_reading_versions(
    request: Request, meter_id: Id, *, quantity: Key, at: AwareDatetime
) -> list[shapes.VersionItem]:
    """Every value a reading ever had, the current one first, with who edited it and why."""
    services = services_of(request)
    with services.database.read() as session:
        services.registry(session).get_meter(meter_id)
    return _versions(services, EditKind.READING, meter_id, quantity, at)


@router.get(
    "/points/{point_id}/interval-versions",
    dependencies=[needs(Right.METERS_VIEW)],
    responses=documented(404, 422),
    summary="Every version of one interval",
)
def list_interval_versions(
    request: Request, point_id: Id, *, quantity: Key, at: AwareDatetime
) -> list[shapes.VersionItem]:
    """Every energy an interval that starts at `at` ever had, the current one first."""
    services = services_of(request)
    with services.database.read() as session:
        services.registry(session).get_point(point_id)
    return _versions(services, EditKind.INTERVAL, point_id, quantity, at)


def _versions(
    services: Services, kind: EditKind, owner_id: int, quantity: str, at: datetime
) -> list[shapes.VersionItem]:
    key = catalogue_entry(quantity).key
    return [_version(row) for row in services.trail.history(kind, owner_id, key, at)]


def _version(row: VersionView) -> shapes.VersionItem:
    return shapes.VersionItem(
        value=row.value,
        status=row.status,
        source=row.source,
        exchange_id=None if row.exchange_id is None else str(row.exchange_id),
        recorded_at=row.recorded_at,
        superseded_at=row.superseded_at,
        edit=None if row.edit is None else _item(row.edit),
        undone=None if row.undone is None else _item(row.undone),
    )


def _item(edit: EditView) -> shapes.EditItem:
    return shapes.EditItem.model_validate(edit)
