"""What meters were told: the history, one batch with the result of each meter, one command with its steps."""

from collections.abc import Callable
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Form, Path, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.responses import Response

from wattkeeper.collection.commands.errors import UnknownCommand
from wattkeeper.collection.commands.kinds import CommandKind, CommandState
from wattkeeper.collection.commands.values import CommandView, StepView
from wattkeeper.kernel.errors import WattkeeperError
from wattkeeper.security.rights import Right
from wattkeeper.web.access import in_person, needs, principal_of
from wattkeeper.web.console.words import Notice, pager
from wattkeeper.web.exports import PAGE, Column, Export, Table, exported, paged
from wattkeeper.web.language import Language
from wattkeeper.web.pages import language_of, render, services_of, wants_fragment
from wattkeeper.web.problems import status_of
from wattkeeper.web.queries import command_words as words
from wattkeeper.web.queries.command_targets import DIGITS
from wattkeeper.web.queries.command_words import (
    BatchLine,
    CommandLine,
    StepLine,
    batch_line,
    command_line,
)
from wattkeeper.web.queries.states import N_
from wattkeeper.web.services import Services

router = APIRouter(include_in_schema=False)
Id = Annotated[int, Path(ge=1, le=2**53)]
After = Annotated[int | None, Query(ge=1, le=2**53)]
Note = Annotated[str, Form(max_length=2000)]
SHOWN: Final = 50
WAITING_SHOWN: Final = 20
BATCHES: Final[Table[BatchLine]] = Table(
    "commands",
    N_("Commands"),
    (
        Column(N_("Number"), lambda line: line.id, "number"),
        Column(N_("Command"), lambda line: line.kind_text),
        Column(N_("Parameter"), lambda line: line.argument),
        Column(N_("Meters"), lambda line: line.total, "number"),
        Column(N_("Settled"), lambda line: line.ended, "number"),
        Column(N_("State"), lambda line: line.state),
        Column(N_("Reason"), lambda line: line.reason),
        Column(N_("Asked by"), lambda line: line.asked_by),
        Column(N_("Asked at"), lambda line: line.asked_at, "moment"),
        Column(N_("Standing order"), lambda line: line.standing_order_id, "number"),
        Column(N_("Decision"), lambda line: line.decision),
        Column(N_("Decided by"), lambda line: line.decided_by),
        Column(N_("Decided at"), lambda line: line.decided_at, "moment"),
        Column(N_("Note"), lambda line: line.note),
    ),
)
RESULTS: Final[Table[CommandLine]] = Table(
    "command-results",
    N_("Result of each meter"),
    (
        Column(N_("Meter"), lambda line: line.address),
        Column(N_("Link"), lambda line: line.link),
        Column(N_("Command"), lambda line: line.kind_text),
        Column(N_("State"), lambda line: line.state),
        Column(N_("Outcome"), lambda line: line.outcome),
        Column(N_("In detail"), lambda line: line.detail),
        Column(N_("Sent at"), lambda line: line.sent_at, "moment"),
        Column(N_("State since"), lambda line: line.changed_at, "moment"),
    ),
)

STEPS: Final[Table[StepLine]] = Table(
    "command-steps",
    N_("Steps"),
    (
        Column(N_("Time"), lambda line: line.at, "moment"),
        Column(N_("State"), lambda line: line.state),
        Column(N_("Outcome"), lambda line: line.outcome),
        Column(N_("In detail"), lambda line: line.detail),
        Column(N_("Exchange"), lambda line: None if line.exchange_id is None else str(line.exchange_id)),
    ),
)


class HistoryFilter:
    """What the history is narrowed to."""

    def __init__(
        self,
        *,
        kind: Annotated[str, Query(max_length=40)] = "",
        waiting: Annotated[str, Query(pattern="^1?$")] = "",
        meter: Annotated[str, Query(max_length=64)] = "",
    ) -> None:
        self.kind = CommandKind(kind) if kind in set(CommandKind) else None
        self.waiting = bool(waiting)
        self.meter = meter.strip()

    @property
    def address(self) -> str | None:
        """The address of the meter, with the zeros that people leave out."""
        return self.meter.zfill(DIGITS) if self.meter else None

    @property
    def narrowed(self) -> bool:
        """Whether anything is left out."""
        return bool(self.kind or self.waiting or self.meter)


Asked = Annotated[HistoryFilter, Depends()]
Settled = Annotated[str, Query(max_length=20)]


@router.get("/commands", dependencies=[needs(Right.COMMANDS_VIEW)], response_class=HTMLResponse)
def commands_page(request: Request, wanted: Asked, after: After = None) -> HTMLResponse:
    """The history, newest first; what waits for a second person stands above it."""
    services, say = services_of(request), language_of(request)
    rows, following = _batches(services, say, wanted, after=after, limit=SHOWN)
    waiting = services.commands.batches(scope=services.scope, waiting=True, limit=WAITING_SHOWN)
    return render(
        request,
        "commands.html",
        block="results",
        page=pager(say, rows, after=following, asked=str(after) if after else None),
        waiting=[batch_line(batch, say) for batch in waiting[:WAITING_SHOWN]],
        more_waiting=len(waiting) > WAITING_SHOWN,
        filters=wanted,
        kinds=[(kind.value, say.text(text)) for kind, text in words.KINDS.items()],
    )


@exported(router, "/commands", needs(Right.COMMANDS_VIEW))
def commands_export(request: Request, wanted: Asked) -> Export[BatchLine]:
    """Every batch of the filter."""
    services, say = services_of(request), language_of(request)

    def page(after: str | None) -> tuple[list[BatchLine], str | None]:
        return _batches(services, say, wanted, after=int(after) if after else None, limit=PAGE)

    return Export(BATCHES, paged(page), say)


def _batches(
    services: Services, say: Language, wanted: HistoryFilter, *, after: int | None, limit: int
) -> tuple[list[BatchLine], str | None]:
    found = services.commands.batches(
        scope=services.scope,
        waiting=wanted.waiting,
        kind=wanted.kind,
        address=wanted.address,
        after=after,
        limit=limit,
    )
    lines = [batch_line(batch, say) for batch in found[:limit]]
    return lines, str(lines[-1].id) if len(found) > limit else None


@router.get("/commands/{batch_id}", dependencies=[needs(Right.COMMANDS_VIEW)], response_class=HTMLResponse)
def batch_page(request: Request, batch_id: Id, state: Settled = "", after: After = None) -> HTMLResponse:
    """One batch: how far it is, and the result of each meter."""
    return _page(request, batch_id, state=state, after=after)


@exported(router, "/commands/{batch_id}/meters", needs(Right.COMMANDS_VIEW))
def results_export(request: Request, batch_id: Id, state: Settled = "") -> Export[CommandLine]:
    """The result of each meter."""
    services, say = services_of(request), language_of(request)
    services.commands.batch(batch_id, scope=services.scope)

    def page(after: str | None) -> tuple[list[CommandLine], str | None]:
        return _results(services, say, batch_id, state=state, after=int(after) if after else None, limit=PAGE)

    return Export(RESULTS, paged(page), say)


@router.post("/commands/{batch_id}/approve", dependencies=[needs(Right.COMMANDS_APPROVE)])
def approve(request: Request, batch_id: Id, note: Note = "") -> Response:
    """Agree, as the second person."""
    in_person(request)
    return _done(request, batch_id, services_of(request).commands.approve, note)


@router.post("/commands/{batch_id}/reject", dependencies=[needs(Right.COMMANDS_APPROVE)])
def reject(request: Request, batch_id: Id, note: Note = "") -> Response:
    """Refuse, as the second person."""
    in_person(request)
    return _done(request, batch_id, services_of(request).commands.reject, note)


@router.post("/commands/{batch_id}/withdraw", dependencies=[needs(Right.COMMANDS_ASK)])
def withdraw(request: Request, batch_id: Id, note: Note = "") -> Response:
    """Take back what has not been sent yet."""
    return _done(request, batch_id, services_of(request).commands.withdraw, note)


@router.get(
    "/commands/{batch_id}/{command_id}",
    dependencies=[needs(Right.COMMANDS_VIEW)],
    response_class=HTMLResponse,
)
def command_page(request: Request, batch_id: Id, command_id: Id) -> HTMLResponse:
    """One meter's command: each step, and the frames it rests on."""
    say = language_of(request)
    found, steps = _command(request, batch_id, command_id)
    return render(
        request,
        "command.html",
        block="command",
        command=command_line(found, say),
        steps=words.step_lines(steps, say),
    )


@exported(router, "/commands/{batch_id}/{command_id}/steps", needs(Right.COMMANDS_VIEW))
def steps_export(request: Request, batch_id: Id, command_id: Id) -> Export[StepLine]:
    """Each step of one meter's command."""
    say = language_of(request)
    _, steps = _command(request, batch_id, command_id)
    return Export(STEPS, words.step_lines(steps, say), say)


@exported(router, "/meters/{meter_id}/commands", needs(Right.COMMANDS_VIEW))
def meter_export(request: Request, meter_id: Id) -> Export[CommandLine]:
    """Every command to one meter."""
    services, say = services_of(request), language_of(request)
    with services.database.read() as session:
        services.registry(session).get_meter(meter_id)

    def page(after: str | None) -> tuple[list[CommandLine], str | None]:
        found = services.commands.commands(
            scope=services.scope, meter_id=meter_id, after=int(after) if after else None, limit=PAGE
        )
        return _lines(found, say, PAGE)

    return Export(RESULTS, paged(page), say)


def _command(request: Request, batch_id: int, command_id: int) -> tuple[CommandView, list[StepView]]:
    """A command of just this batch."""
    services = services_of(request)
    found, steps = services.commands.command(command_id, scope=services.scope)
    if found.batch_id != batch_id:
        raise UnknownCommand(
            f"Command batch {batch_id} has no command {command_id}.", hint="Look at the list of commands."
        )
    return found, steps


def _done(request: Request, batch_id: int, act: Callable[..., object], note: str) -> Response:
    """Decide, and go back to the batch; or say on its page why that was refused."""
    services = services_of(request)
    try:
        act(batch_id, now=services.clock(), note=note, scope=services.scope)
    except UnknownCommand:
        raise
    except WattkeeperError as error:
        return _page(request, batch_id, error=error)
    return RedirectResponse(f"/commands/{batch_id}", status_code=303)


def _page(
    request: Request,
    batch_id: int,
    *,
    state: str = "",
    after: int | None = None,
    error: WattkeeperError | None = None,
) -> HTMLResponse:
    services, say = services_of(request), language_of(request)
    batch = batch_line(services.commands.batch(batch_id, scope=services.scope), say)
    rows, following = _results(services, say, batch_id, state=state, after=after, limit=SHOWN)
    return render(
        request,
        "command_batch.html",
        block="decision" if wants_fragment(request, "decision") else "batch",
        http_status=status_of(error) if error else 200,
        notice=Notice.of(error, say) if error else None,
        batch=batch,
        meaning=say.text(words.MEANINGS[batch.kind]),
        page=pager(
            say, rows, after=following, asked=str(after) if after else None, total=None if state else batch.total
        ),
        chosen=state,
        states=[(code.value, say.text(text)) for code, (_, text) in words.STATES.items()],
        **_choices(request, batch),
    )  # fmt: skip


def _choices(request: Request, batch: BatchLine) -> dict[str, Any]:
    """What whoever looks may do with a batch: the one who asked cannot also agree."""
    principal = principal_of(request)
    due = batch.waits and batch.expires_at > services_of(request).clock()
    own = batch.asked_by_login(principal.login)
    decides = principal.may(Right.COMMANDS_APPROVE) and principal.session_id is not None
    return {
        "own": own,
        "may_decide": due and decides and not own,
        "may_withdraw": batch.unsent and principal.may(Right.COMMANDS_ASK),
    }


def _results(
    services: Services, say: Language, batch_id: int, *, state: str, after: int | None, limit: int
) -> tuple[list[CommandLine], str | None]:
    states = (CommandState(state),) if state in set(CommandState) else ()
    found = services.commands.commands(
        scope=services.scope, batch_id=batch_id, states=states, after=after, limit=limit
    )
    return _lines(found, say, limit)


def _lines(found: list[CommandView], say: Language, limit: int) -> tuple[list[CommandLine], str | None]:
    """A page of commands in words, and where it goes on."""
    lines = [command_line(row, say) for row in found[:limit]]
    return lines, str(lines[-1].id) if len(found) > limit else None
