"""Standing orders: leave that two people gave beforehand."""

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Path, Request

from wattkeeper.collection.commands.values import StandingOrderView
from wattkeeper.security.rights import Right
from wattkeeper.web.access import in_person, needs
from wattkeeper.web.api import command_schemas as shapes
from wattkeeper.web.pages import services_of
from wattkeeper.web.problems import documented

router = APIRouter(tags=["commands"], dependencies=[needs(Right.COMMANDS_STANDING)])
Id = Annotated[int, Path(ge=1, le=2**53)]


@router.get("/standing-orders", summary="List standing orders")
def list_orders(request: Request) -> list[shapes.StandingOrderItem]:
    """Every standing order, newest first, with what was used of it today."""
    services = services_of(request)
    return [_item(request, order) for order in services.commands.standing.all(now=services.clock())]


@router.post(
    "/standing-orders",
    status_code=201,
    responses=documented(404, 409, 422),
    summary="Ask for a standing order",
)
def ask_order(request: Request, wanted: shapes.StandingOrderWanted) -> shapes.StandingOrderItem:
    """Ask for leave to trip, or to give leave to close, within limits; it holds once a second person agrees."""
    services = services_of(request)
    return _item(request, services.commands.standing.ask(**wanted.model_dump(), now=services.clock()))


@router.post(
    "/standing-orders/{order_id}/approve",
    responses=documented(404, 409, 422),
    summary="Agree to a standing order as the second person",
)
def approve_order(request: Request, order_id: Id) -> shapes.StandingOrderItem:
    """Agree to what another person asked; only who signed in with a password can, a token cannot."""
    in_person(request)
    services = services_of(request)
    return _item(request, services.commands.standing.approve(order_id, now=services.clock()))


@router.post(
    "/standing-orders/{order_id}/end",
    responses=documented(404, 409, 422),
    summary="End a standing order",
)
def end_order(request: Request, order_id: Id) -> shapes.StandingOrderItem:
    """Refuse it or take it back: from now on nothing more is asked under it."""
    services = services_of(request)
    return _item(request, services.commands.standing.end(order_id, now=services.clock()))


def _item(request: Request, order: StandingOrderView) -> shapes.StandingOrderItem:
    return shapes.StandingOrderItem(**asdict(order), state=order.state(services_of(request).clock()))
