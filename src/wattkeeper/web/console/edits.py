"""Edits of readings and intervals: the lists, before and after, and what a second person decides."""

from typing import Annotated, Final

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.responses import Response

from wattkeeper.kernel.errors import WattkeeperError
from wattkeeper.readings.editing.values import (
    IN_FORCE,
    WAITING,
    EditState,
)
from wattkeeper.security.rights import Right
from wattkeeper.web.access import in_person, needs, principal_of
from wattkeeper.web.console.forms import Id
from wattkeeper.web.console.words import Notice, pager
from wattkeeper.web.exports import PAGE, Column, Export, Table, exported, paged
from wattkeeper.web.pages import language_of, render, services_of
from wattkeeper.web.problems import status_of
from wattkeeper.web.queries.edits import (
    STATES,
    DiffLine,
    EditLine,
    diff_lines,
    edit_lines,
)
from wattkeeper.web.queries.states import N_

router = APIRouter(include_in_schema=False)
SHOWN: Final = 50
DIFF_SHOWN: Final = 200
REASON: Final = 500
LISTS: Final[dict[str, tuple[str, tuple[EditState, ...]]]] = {
    "waiting": (N_("wait for a second person"), WAITING),
    "force": (N_("counts now"), IN_FORCE),
    "all": (N_("all"), ()),
}
EDITS: Final[Table[EditLine]] = Table(
    "edits",
    N_("Edits"),
    (
        Column(N_("Edit number"), lambda line: line.id, "number"),
        Column(N_("Meter or metering point"), lambda line: line.subject),
        Column(N_("Kind of values"), lambda line: line.kind),
        Column(N_("Values"), lambda line: line.values, "number"),
        Column(N_("From"), lambda line: line.first_at, "moment"),
        Column(N_("To"), lambda line: line.last_at, "moment"),
        Column(N_("Reason"), lambda line: line.reason),
        Column(N_("State"), lambda line: line.state),
        Column(N_("Proposed by"), lambda line: line.proposed_by),
        Column(N_("Proposed at"), lambda line: line.proposed_at, "moment"),
    ),
)
VALUES: Final[Table[DiffLine]] = Table(
    "edit-values",
    N_("Values of an edit"),
    (
        Column(N_("Meter or metering point"), lambda line: line.owner),
        Column(N_("Quantity"), lambda line: line.quantity),
        Column(N_("Unit"), lambda line: line.unit),
        Column(N_("At"), lambda line: line.at, "moment"),
        Column(N_("Before the edit"), lambda line: line.before, "number", decimals=4),
        Column(N_("It came by"), lambda line: line.before_ground),
        Column(N_("Proposed"), lambda line: line.wanted, "number", decimals=4),
        Column(N_("Value now"), lambda line: line.now, "number", decimals=4),
    ),
)
Which = Annotated[str, Query(alias="list", pattern="^(waiting|force|all|)$")]
After = Annotated[str | None, Query(pattern=r"^[0-9]{1,15}$")]
Note = Annotated[str, Form(max_length=REASON)]


@router.get("/edits", dependencies=[needs(Right.METERS_VIEW)], response_class=HTMLResponse)
def edits_page(request: Request, which: Which = "waiting", after: After = None) -> HTMLResponse:
    """Edits, newest first: those that wait for a second person, unless the address asks for others."""
    services, say = services_of(request), language_of(request)
    chosen = which or "waiting"
    found = services.editing.edits(
        scope=services.scope, states=LISTS[chosen][1], after=int(after) if after else None, limit=SHOWN
    )
    more = str(found[SHOWN - 1].id) if len(found) > SHOWN else None
    return render(
        request,
        "edits.html",
        block="results",
        page=pager(say, edit_lines(services, found[:SHOWN], say), after=more, asked=after),
        chosen=chosen,
        lists=[(code, say.text(text)) for code, (text, _) in LISTS.items()],
    )


@exported(router, "/edits", needs(Right.METERS_VIEW))
def edits_export(request: Request, which: Which = "waiting") -> Export[EditLine]:
    """Every edit of the list."""
    services, say = services_of(request), language_of(request)
    states = LISTS[which or "waiting"][1]

    def fetch(after: str | None) -> tuple[list[EditLine], str | None]:
        found = services.editing.edits(
            scope=services.scope, states=states, after=int(after) if after else None, limit=PAGE
        )
        more = str(found[PAGE - 1].id) if len(found) > PAGE else None
        return edit_lines(services, found[:PAGE], say), more

    return Export(EDITS, paged(fetch), say)


@router.get("/edits/{edit_id}", dependencies=[needs(Right.METERS_VIEW)], response_class=HTMLResponse)
def edit_page(request: Request, edit_id: Id, after: After = None) -> HTMLResponse:
    """One edit: before and after, value by value; who did what to it, when and why."""
    return _page(request, edit_id, after=after)


def _page(
    request: Request,
    edit_id: int,
    *,
    after: str | None = None,
    notice: Notice | None = None,
    status: int = 200,
) -> HTMLResponse:
    services, principal = services_of(request), principal_of(request)
    edit = services.editing.edit(edit_id, scope=services.scope)
    say = language_of(request)
    rows, more = services.trail.diff(
        edit_id, scope=services.scope, after=int(after) if after else 0, limit=DIFF_SHOWN
    )
    steps = services.editing.steps(edit_id, scope=services.scope)
    waits = edit.state in WAITING
    asked_by = next(step.by for step in reversed(steps) if step.state is edit.state) if waits else ""
    own = asked_by == principal.login
    return render(
        request,
        "edit.html",
        http_status=status,
        notice=notice,
        edit=edit,
        line=edit_lines(services, [edit], say)[0],
        steps=[(STATES[step.state][0], say.text(STATES[step.state][1]), step) for step in steps],
        page=pager(
            say,
            diff_lines(services, edit, rows, say),
            after=None if more is None else str(more),
            asked=after,
            total=edit.values,
        ),
        waits=waits,
        undoing=edit.state is EditState.UNDO_PROPOSED,
        asked_by=asked_by,
        may_decide=waits and not own and principal.may(Right.READINGS_APPROVE),
        may_withdraw=waits and own,
        own=own,
        may_undo=edit.state is EditState.APPLIED and principal.may(Right.READINGS_EDIT),
    )


@exported(router, "/edits/{edit_id}/values", needs(Right.METERS_VIEW))
def values_export(request: Request, edit_id: Id) -> Export[DiffLine]:
    """Every value of an edit."""
    services, say = services_of(request), language_of(request)
    edit = services.editing.edit(edit_id, scope=services.scope)

    def fetch(after: str | None) -> tuple[list[DiffLine], str | None]:
        rows, more = services.trail.diff(
            edit_id, scope=services.scope, after=int(after) if after else 0, limit=PAGE
        )
        return diff_lines(services, edit, rows, say), None if more is None else str(more)

    return Export(VALUES, paged(fetch), say)


@router.post("/edits/{edit_id}/approve", dependencies=[needs(Right.READINGS_APPROVE)])
def approve(request: Request, edit_id: Id, note: Note = "") -> Response:
    """Agree, as the second person."""
    in_person(request)
    services = services_of(request)
    try:
        services.editing.approve(edit_id, now=services.clock(), note=note, scope=services.scope)
    except WattkeeperError as error:
        return _refused(request, edit_id, error)
    return RedirectResponse(f"/edits/{edit_id}", status_code=303)


@router.post("/edits/{edit_id}/refuse", dependencies=[needs(Right.READINGS_APPROVE)])
def refuse(request: Request, edit_id: Id, note: Note = "") -> Response:
    """Refuse, as the second person, with a reason."""
    in_person(request)
    services = services_of(request)
    try:
        services.editing.refuse(edit_id, now=services.clock(), note=note, scope=services.scope)
    except WattkeeperError as error:
        return _refused(request, edit_id, error)
    return RedirectResponse(f"/edits/{edit_id}", status_code=303)


@router.post("/edits/{edit_id}/withdraw", dependencies=[needs(Right.READINGS_EDIT)])
def withdraw(request: Request, edit_id: Id, note: Note = "") -> Response:
    """Take back what one has proposed oneself and nobody has decided."""
    services = services_of(request)
    try:
        services.editing.withdraw(edit_id, now=services.clock(), note=note, scope=services.scope)
    except WattkeeperError as error:
        return _refused(request, edit_id, error)
    return RedirectResponse(f"/edits/{edit_id}", status_code=303)


@router.post("/edits/{edit_id}/undo", dependencies=[needs(Right.READINGS_EDIT)])
def propose_undo(request: Request, edit_id: Id, note: Note = "") -> Response:
    """Propose that what stood before stands again; that takes a second person too."""
    services = services_of(request)
    try:
        services.editing.propose_undo(edit_id, note, now=services.clock(), scope=services.scope)
    except WattkeeperError as error:
        return _refused(request, edit_id, error)
    return RedirectResponse(f"/edits/{edit_id}", status_code=303)


def _refused(request: Request, edit_id: int, error: WattkeeperError) -> Response:
    return _page(request, edit_id, notice=Notice.of(error, language_of(request)), status=status_of(error))
