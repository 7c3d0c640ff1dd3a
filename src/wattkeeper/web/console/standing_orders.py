"""Standing orders: who gave leave for what, where, until when, and how much of it was used today."""

from collections.abc import Callable, Iterable
from typing import Annotated, Any, Final

from fastapi import APIRouter, Form, Path, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.responses import Response

from wattkeeper.collection.commands.kinds import STANDING, CommandKind
from wattkeeper.collection.commands.values import StandingOrderView
from wattkeeper.kernel.errors import WattkeeperError
from wattkeeper.security.rights import Right
from wattkeeper.web.access import in_person, needs, principal_of
from wattkeeper.web.console.area_words import place_choices
from wattkeeper.web.console.forms import Moment, moment_of
from wattkeeper.web.console.words import Notice
from wattkeeper.web.exports import Column, Export, Table, exported
from wattkeeper.web.language import Language
from wattkeeper.web.pages import language_of, render, services_of
from wattkeeper.web.problems import status_of
from wattkeeper.web.queries.command_words import KINDS, OrderLine, order_line
from wattkeeper.web.queries.states import N_
from wattkeeper.web.services import Services

router = APIRouter(include_in_schema=False, dependencies=[needs(Right.COMMANDS_STANDING)])
Id = Annotated[int, Path(ge=1, le=2**53)]
ADDRESS: Final = "/commands/standing"
EXPORT: Final[Table[OrderLine]] = Table(
    "standing-orders",
    N_("Standing orders"),
    (
        Column(N_("Number"), lambda line: line.id, "number"),
        Column(N_("Command"), lambda line: line.kind_text),
        Column(N_("Where"), lambda line: line.place),
        Column(N_("A day at most"), lambda line: line.daily_cap, "number"),
        Column(N_("Used today"), lambda line: line.used_today, "number"),
        Column(N_("State"), lambda line: line.state),
        Column(N_("Valid until"), lambda line: line.expires_at, "moment"),
        Column(N_("Reason"), lambda line: line.reason),
        Column(N_("Asked by"), lambda line: line.asked_by),
        Column(N_("Asked at"), lambda line: line.asked_at, "moment"),
        Column(N_("Approved by"), lambda line: line.approved_by),
        Column(N_("Ended by"), lambda line: line.ended_by),
    ),
)


@router.get(ADDRESS, response_class=HTMLResponse)
def orders_page(request: Request) -> HTMLResponse:
    """Every standing order, and the form of a new one."""
    return _page(request)


@exported(router, ADDRESS)
def orders_export(request: Request) -> Export[OrderLine]:
    """Every standing order."""
    say = language_of(request)
    return Export(EXPORT, _lines(services_of(request), say), say)


@router.post(ADDRESS)
def ask_order(
    request: Request,
    *,
    kind: Annotated[CommandKind, Form()],
    daily_cap: Annotated[int, Form(ge=1, le=1_000_000)],
    until: Moment,
    reason: Annotated[str, Form(max_length=500)],
    part: Annotated[str, Form(pattern=r"^((site|area):[0-9]{1,15})?$")] = "",
) -> Response:
    """Ask for one; `part` is `site:3`, `area:7`, or empty for everywhere."""
    services, say = services_of(request), language_of(request)
    where, _, number = part.partition(":")
    filled = {"kind": kind, "daily_cap": daily_cap, "until": until, "reason": reason, "part": part}

    def act() -> None:
        services.commands.standing.ask(
            kind=kind,
            site_id=int(number) if where == "site" else None,
            area_id=int(number) if where == "area" else None,
            daily_cap=daily_cap,
            expires_at=moment_of(until, say.zone),
            reason=reason,
            now=services.clock(),
        )

    return _done(request, act, filled)


@router.post("/commands/standing/{order_id}/approve")
def approve_order(request: Request, order_id: Id) -> Response:
    """Agree, as the second person."""
    in_person(request)
    services = services_of(request)
    return _done(request, lambda: services.commands.standing.approve(order_id, now=services.clock()))


@router.post("/commands/standing/{order_id}/end")
def end_order(request: Request, order_id: Id) -> Response:
    """Refuse it or take it back."""
    services = services_of(request)
    return _done(request, lambda: services.commands.standing.end(order_id, now=services.clock()))


def place_names(services: Services, orders: Iterable[StandingOrderView], say: Language) -> dict[int, str]:
    """Where each order holds."""
    names = dict(place_choices(services, say, plain=True))
    return {order.id: names.get(_part_of(order), say.text("everywhere")) for order in orders}


def _part_of(order: StandingOrderView) -> str:
    if order.area_id is not None:
        return f"area:{order.area_id}"
    return "" if order.site_id is None else f"site:{order.site_id}"


def _done(request: Request, act: Callable[[], object], filled: dict[str, Any] | None = None) -> Response:
    try:
        act()
    except WattkeeperError as error:
        return _page(request, error=error, filled=filled)
    return RedirectResponse(ADDRESS, status_code=303)


def _page(
    request: Request, *, error: WattkeeperError | None = None, filled: dict[str, Any] | None = None
) -> HTMLResponse:
    services, say = services_of(request), language_of(request)
    principal = principal_of(request)
    return render(
        request,
        "standing_orders.html",
        http_status=status_of(error) if error else 200,
        notice=Notice.of(error, say) if error else None,
        orders=_lines(services, say),
        own=lambda order: order.asked_by.partition(" (")[0] == principal.login,
        in_person=principal.session_id is not None,
        kinds=[(kind.value, say.text(KINDS[kind])) for kind in CommandKind if kind in STANDING],
        parts=place_choices(services, say),
        form=filled or {"kind": "", "daily_cap": 50, "until": "", "reason": "", "part": ""},
    )


def _lines(services: Services, say: Language) -> list[OrderLine]:
    now = services.clock()
    orders = services.commands.standing.all(now=now)
    names = place_names(services, orders, say)
    return [order_line(order, names[order.id], say, now) for order in orders]
