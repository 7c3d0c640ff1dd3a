"""Proposing edits: the form of a reading, of a period's intervals, or of an estimate, and what comes of it."""

from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

import pyarrow as pa
from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.responses import Response

from wattkeeper.kernel.errors import WattkeeperError
from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.readings.editing.values import INTERVAL_EDIT_SCHEMA, READING_EDIT_SCHEMA, EditKind, EditView
from wattkeeper.readings.validation.errors import AlreadyDecided
from wattkeeper.security.rights import Right
from wattkeeper.web.access import needs
from wattkeeper.web.console.edits import Note
from wattkeeper.web.console.forms import Id
from wattkeeper.web.console.words import Notice
from wattkeeper.web.pages import language_of, render, services_of
from wattkeeper.web.problems import BadRequest, status_of
from wattkeeper.web.queries.curves import IMPORT
from wattkeeper.web.queries.edits import MOST_IN_FORM, EditForm, estimate_form, interval_form, reading_form
from wattkeeper.web.queries.findings import is_energy

router = APIRouter(include_in_schema=False)


@router.get("/edits/new", dependencies=[needs(Right.READINGS_EDIT)], response_class=HTMLResponse)
def edit_form(
    request: Request,
    *,
    meter: Annotated[int | None, Query(ge=1, le=2**53)] = None,
    point: Annotated[int | None, Query(ge=1, le=2**53)] = None,
    quantity: Annotated[str, Query(max_length=60)] = IMPORT,
    at: datetime | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
    finding: Annotated[int | None, Query(ge=1, le=2**53)] = None,
) -> Response:
    """The form that proposes other values: for a reading of a meter, or for a period's intervals of a point."""
    services, say = services_of(request), language_of(request)
    if meter is not None and at is not None:
        form = reading_form(services, meter, quantity, _aware(at), say)
    elif point is not None and start is not None and end is not None:
        form = interval_form(services, point, quantity, TimeRange(_aware(start), _aware(end)), say)
    else:
        return RedirectResponse("/edits", status_code=303)  # the list says where the form is opened from
    return _form(request, form, finding=finding)


@router.get(
    "/exceptions/{finding_id}/estimate",
    dependencies=[needs(Right.READINGS_EDIT)],
    response_class=HTMLResponse,
)
def estimate_page(request: Request, finding_id: Id) -> HTMLResponse:
    """The same form, filled with what would be estimated without the readings that an exception doubts."""
    services = services_of(request)
    found = services.exceptions.finding(finding_id, scope=services.scope)
    if found.point_id is None or not is_energy(found.quantity):
        raise BadRequest(
            "Only energies of a metering point are estimated.", hint="Propose another value instead."
        )
    return _form(
        request, estimate_form(services, found, language_of(request)), finding=finding_id, estimating=True
    )


def _aware(instant: datetime) -> datetime:
    if instant.tzinfo is None:
        raise BadRequest("An instant says its offset.", hint="Write it as 2026-11-22T09:00:00Z.")
    return instant


def _form(
    request: Request,
    form: EditForm,
    *,
    finding: int | None,
    estimating: bool = False,
    notice: Notice | None = None,
    status: int = 200,
    entered: dict[str, str] | None = None,
    reason: str = "",
) -> HTMLResponse:
    services = services_of(request)
    about = services.exceptions.finding(finding, scope=services.scope) if finding is not None else None
    return render(
        request,
        "edit_form.html",
        zone=form.zone.key,
        http_status=status,
        form=form,
        finding=about,
        estimating=estimating,
        notice=notice,
        entered=entered or {},
        reason=reason,
    )


@router.post("/edits", dependencies=[needs(Right.READINGS_EDIT)])
def propose(
    request: Request,
    *,
    kind: Annotated[EditKind, Form()],
    owner: Annotated[int, Form(ge=1, le=2**53)],
    quantity: Annotated[str, Form(max_length=60)],
    at: Annotated[list[datetime], Form(min_length=1, max_length=MOST_IN_FORM)],
    value: Annotated[list[str], Form(min_length=1, max_length=MOST_IN_FORM)],
    reason: Note = "",
    finding: Annotated[str, Form(pattern=r"^[0-9]{0,15}$")] = "",
    estimating: Annotated[bool, Form()] = False,
) -> Response:
    """Propose the values that were changed in the form; what was left as it is, or empty, is no part of the edit."""
    say = language_of(request)
    moments = [_aware(moment) for moment in at]
    form = _again(request, kind, owner, quantity, moments)
    about = int(finding) if finding else None
    entered = {moment.isoformat(): text for moment, text in zip(moments, value, strict=False)}
    try:
        changed = _changed(form, entered)
        edit = _proposed(request, form, changed, reason)
    except WattkeeperError as error:
        return _form(
            request, form, finding=about, estimating=estimating, notice=Notice.of(error, say), status=status_of(error),
            entered=entered, reason=reason,
        )  # fmt: skip
    if about is not None:
        _answer(request, about, edit, estimating=estimating)
    return RedirectResponse(f"/edits/{edit.id}", status_code=303)


def _again(request: Request, kind: EditKind, owner: int, quantity: str, moments: list[datetime]) -> EditForm:
    """The form as it was sent, with what holds now."""
    services, say = services_of(request), language_of(request)
    if kind is EditKind.READING:
        return reading_form(services, owner, quantity, moments[0], say)
    last = max(moments)
    return interval_form(
        services, owner, quantity, TimeRange(min(moments), last + timedelta(microseconds=1)), say
    )


def _changed(form: EditForm, entered: dict[str, str]) -> list[tuple[datetime, Decimal]]:
    """The values that say something else than what holds."""
    wanted = []
    for entry in form.entries:
        text = entered.get(entry.instant, "").strip()
        if not text:
            continue
        value = _number(text)
        if value != entry.current:
            wanted.append((entry.at, value))
    return wanted


def _number(text: str) -> Decimal:
    try:
        value = Decimal(text.replace(",", "").replace("，", ""))
        if value.is_finite() and value == round(value, 4):
            return value
    except InvalidOperation:
        pass
    raise BadRequest(f"{text!r} is not a number with at most four decimals.", hint="Write it as 0.1234.")


def _proposed(
    request: Request, form: EditForm, changed: list[tuple[datetime, Decimal]], reason: str
) -> EditView:
    services = services_of(request)
    told: dict[str, Any] = {"now": services.clock(), "scope": services.scope}
    if form.kind is EditKind.READING:
        rows = [
            {"meter_id": form.owner_id, "quantity": form.quantity, "read_at": at, "value": value}
            for at, value in changed
        ]
        table = pa.Table.from_pylist(rows, READING_EDIT_SCHEMA)
        return services.editing.propose_readings(table, reason, **told)
    rows = [
        {"point_id": form.owner_id, "quantity": form.quantity, "start_at": at, "energy": value}
        for at, value in changed
    ]
    return services.editing.propose_intervals(
        pa.Table.from_pylist(rows, INTERVAL_EDIT_SCHEMA), reason, **told
    )


def _answer(request: Request, finding: int, edit: EditView, *, estimating: bool) -> None:
    """The exception that led here is answered by this edit; one that somebody else decided meanwhile stays so."""
    services = services_of(request)
    mark = services.exceptions.mark_estimated if estimating else services.exceptions.mark_edited
    try:
        mark(finding, edit.id, edit.reason, services.clock(), scope=services.scope)
    except AlreadyDecided:
        return
