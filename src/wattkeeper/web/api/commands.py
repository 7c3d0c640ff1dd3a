"""Commands to meters: asking, deciding, and what became of each."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request

from wattkeeper.collection.commands.errors import BadCommand
from wattkeeper.collection.commands.kinds import CommandKind, CommandState
from wattkeeper.collection.commands.service import Wanted
from wattkeeper.collection.commands.values import BatchView, CommandView, ControlState
from wattkeeper.security.rights import Right
from wattkeeper.web.access import in_person, needs
from wattkeeper.web.api import command_schemas as shapes
from wattkeeper.web.api.schemas import Page
from wattkeeper.web.pages import services_of
from wattkeeper.web.problems import documented
from wattkeeper.web.queries.command_targets import by_addresses
from wattkeeper.web.services import Services

router = APIRouter(tags=["commands"])
Id = Annotated[int, Path(ge=1, le=2**53)]
After = Annotated[int | None, Query(ge=1, le=2**53, description="`next` of the page before.")]
Limit = Annotated[int, Query(ge=1, le=500)]
NAMED = 5
"""Addresses that a refusal names."""


@router.get(
    "/command-batches",
    dependencies=[needs(Right.COMMANDS_VIEW)],
    responses=documented(422),
    summary="List what meters were told",
)
def list_batches(
    request: Request,
    *,
    waiting: Annotated[bool, Query(description="Only those that wait for a second person.")] = False,
    kind: CommandKind | None = None,
    limit: Limit = 50,
    after: After = None,
) -> Page[shapes.BatchItem]:
    """Batches, newest first, counted within what you may see."""
    services = services_of(request)
    found = services.commands.batches(
        scope=services.scope, waiting=waiting, kind=kind, after=after, limit=limit
    )
    return Page(
        items=[_batch(row) for row in found[:limit]],
        next=str(found[limit - 1].id) if len(found) > limit else None,
    )


@router.post(
    "/command-batches",
    dependencies=[needs(Right.COMMANDS_ASK)],
    status_code=201,
    responses=documented(404, 409, 422),
    summary="Tell meters something",
)
def ask_commands(request: Request, wanted: shapes.BatchWanted) -> shapes.BatchItem:
    """Ask for one command to each of some meters. A trip or a direct close then waits for a second person."""
    services = services_of(request)
    asked = Wanted(
        kind=wanted.kind,
        meter_ids=[*wanted.meter_ids, *_named(services, wanted.addresses)],
        reason=wanted.reason,
        argument=None if wanted.argument is None else wanted.argument.model_dump(),
        expires_at=wanted.expires_at,
        standing_order_id=wanted.standing_order_id,
    )
    return _batch(services.commands.ask(asked, now=services.clock(), scope=services.scope))


def _named(services: Services, addresses: list[str]) -> tuple[int, ...]:
    """The meters of these addresses; an address that is none, or of several meters, refuses them all."""
    found = by_addresses(services, " ".join(addresses))
    if found.refused:
        names = ", ".join(item.address for item in found.refused[:NAMED])
        more = " …" if len(found.refused) > NAMED else ""
        raise BadCommand(
            f"These addresses do not name one meter each: {names}{more}.",
            hint="Look them up in the list of meters.",
        )
    return found.meter_ids


@router.get(
    "/command-batches/{batch_id}",
    dependencies=[needs(Right.COMMANDS_VIEW)],
    responses=documented(404, 422),
    summary="What meters were told at once",
)
def get_batch(request: Request, batch_id: Id) -> shapes.BatchItem:
    """A batch and how far its commands have come."""
    services = services_of(request)
    return _batch(services.commands.batch(batch_id, scope=services.scope))


@router.get(
    "/command-batches/{batch_id}/commands",
    dependencies=[needs(Right.COMMANDS_VIEW)],
    responses=documented(404, 422),
    summary="What became of each meter of a batch",
)
def list_batch_commands(
    request: Request,
    batch_id: Id,
    *,
    state: Annotated[list[CommandState], Query(max_length=20)] = [],  # noqa: B006 (FastAPI copies it)
    limit: Limit = 50,
    after: After = None,
) -> Page[shapes.CommandItem]:
    """The commands of a batch, newest first."""
    services = services_of(request)
    services.commands.batch(batch_id, scope=services.scope)
    found = services.commands.commands(
        scope=services.scope, batch_id=batch_id, states=state, after=after, limit=limit
    )
    return _page(found, limit)


@router.post(
    "/command-batches/{batch_id}/approve",
    dependencies=[needs(Right.COMMANDS_APPROVE)],
    responses=documented(404, 409, 422),
    summary="Agree to a command as the second person",
)
def approve_batch(request: Request, batch_id: Id, said: shapes.DecisionWanted) -> shapes.BatchItem:
    """Agree to what another person asked; only who signed in with a password can, a token cannot."""
    in_person(request)
    services = services_of(request)
    return _batch(
        services.commands.approve(batch_id, now=services.clock(), note=said.note, scope=services.scope)
    )


@router.post(
    "/command-batches/{batch_id}/reject",
    dependencies=[needs(Right.COMMANDS_APPROVE)],
    responses=documented(404, 409, 422),
    summary="Refuse a command as the second person",
)
def reject_batch(request: Request, batch_id: Id, said: shapes.DecisionWanted) -> shapes.BatchItem:
    """Refuse what another person asked; only who signed in with a password can, a token cannot."""
    in_person(request)
    services = services_of(request)
    return _batch(
        services.commands.reject(batch_id, now=services.clock(), note=said.note, scope=services.scope)
    )


@router.post(
    "/command-batches/{batch_id}/withdraw",
    dependencies=[needs(Right.COMMANDS_ASK)],
    responses=documented(404, 409, 422),
    summary="Take a command back",
)
def withdraw_batch(request: Request, batch_id: Id, said: shapes.DecisionWanted) -> shapes.BatchItem:
    """Take back what has not been sent yet; what has left stays on record as it is."""
    services = services_of(request)
    return _batch(
        services.commands.withdraw(batch_id, now=services.clock(), note=said.note, scope=services.scope)
    )


@router.get(
    "/commands",
    dependencies=[needs(Right.COMMANDS_VIEW)],
    responses=documented(422),
    summary="List commands",
)
def list_commands(
    request: Request,
    *,
    meter_id: Annotated[int | None, Query(ge=1, le=2**53)] = None,
    state: Annotated[list[CommandState], Query(max_length=20)] = [],  # noqa: B006 (FastAPI copies it)
    limit: Limit = 50,
    after: After = None,
) -> Page[shapes.CommandItem]:
    """Commands to single meters, newest first."""
    services = services_of(request)
    found = services.commands.commands(
        scope=services.scope, meter_id=meter_id, states=state, after=after, limit=limit
    )
    return _page(found, limit)


@router.get(
    "/commands/{command_id}",
    dependencies=[needs(Right.COMMANDS_VIEW)],
    responses=documented(404, 422),
    summary="One command and its steps",
)
def get_command(request: Request, command_id: Id) -> shapes.CommandDetail:
    """A command with each step it took, when, and the frames it rests on."""
    services = services_of(request)
    found, steps = services.commands.command(command_id, scope=services.scope)
    return shapes.CommandDetail(
        **shapes.CommandItem.model_validate(found).model_dump(),
        steps=[
            shapes.StepItem(
                at=step.at,
                state=step.state,
                outcome=step.outcome,
                detail=step.detail,
                exchange_id=_text(step.exchange_id),
            )
            for step in steps
        ],
    )


@router.get(
    "/meters/{meter_id}/control",
    dependencies=[needs(Right.COMMANDS_VIEW)],
    responses=documented(404, 422),
    summary="What a meter says of its relay",
)
def get_control(request: Request, meter_id: Id) -> shapes.ControlItem:
    """Relay, leave to close, keep power and alarm, as the meter said last."""
    services = services_of(request)
    with services.database.read() as session:
        services.registry(session).get_meter(meter_id)
    view = services.commands.control(meter_id)
    state = ControlState() if view is None else view.state
    return shapes.ControlItem(
        meter_id=meter_id,
        relay_open=state.relay_open,
        close_allowed=state.close_allowed,
        keep_power=state.keep_power,
        alarm=state.alarm,
        read_at=None if view is None else view.read_at,
        exchange_id=None if view is None else _text(view.exchange_id),
    )


def _batch(batch: BatchView) -> shapes.BatchItem:
    return shapes.BatchItem.model_validate(batch)


def _page(found: list[CommandView], limit: int) -> Page[shapes.CommandItem]:
    return Page(
        items=[shapes.CommandItem.model_validate(row) for row in found[:limit]],
        next=str(found[limit - 1].id) if len(found) > limit else None,
    )


def _text(exchange_id: int | None) -> str | None:
    return None if exchange_id is None else str(exchange_id)
