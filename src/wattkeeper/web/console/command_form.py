"""Asking for commands: what, for which meters, why and how long it may wait; looked at before it is asked."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Form, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.responses import Response

from wattkeeper.collection.commands.errors import BadCommand
from wattkeeper.collection.commands.kinds import BY_TWO, NEVER_IN_A_BATCH, STANDING, CommandKind
from wattkeeper.collection.commands.service import Wanted
from wattkeeper.kernel.errors import WattkeeperError
from wattkeeper.security.rights import Right
from wattkeeper.web.access import needs, principal_of
from wattkeeper.web.console.meters import STATES as METER_STATES
from wattkeeper.web.console.meters import area_choices
from wattkeeper.web.console.standing_orders import place_names
from wattkeeper.web.console.words import Notice
from wattkeeper.web.language import Language
from wattkeeper.web.pages import language_of, render, services_of
from wattkeeper.web.problems import status_of
from wattkeeper.web.queries import command_words as words
from wattkeeper.web.queries.command_targets import (
    Chosen,
    Targets,
    Why,
    by_addresses,
    by_area,
    by_filter,
    counted,
    sorted_out,
)
from wattkeeper.web.queries.meters import MeterFilter
from wattkeeper.web.queries.states import N_
from wattkeeper.web.services import Services

router = APIRouter(include_in_schema=False, dependencies=[needs(Right.COMMANDS_ASK)])
WAITS: Final = (
    (15, N_("15 minutes")),
    (60, N_("1 hour")),
    (240, N_("4 hours")),
    (720, N_("12 hours")),
    (1440, N_("24 hours")),
)
"""How long a command may wait to be sent [min]."""
REFUSED_SHOWN: Final = 20
WHY: Final[dict[Why, str]] = {
    "no_such_meter": N_("There is no such meter"),
    "several_meters": N_("Several meters have this address: ask on the page of the one that is meant"),
    "disabled": N_("The meter is disabled"),
    "no_commands": N_("Meters of this protocol take no such command"),
    "keeps_power": N_("It keeps power: end that first, if a trip is meant"),
}
Text = Annotated[str, Form(max_length=500)]


@dataclass(frozen=True, slots=True)
class Entered:
    """What stands in the form."""

    kind: CommandKind = CommandKind.TRIP
    which: str = "addresses"
    """addresses, area or list."""
    addresses: str = ""
    area: int | None = None
    listed: MeterFilter = field(default_factory=MeterFilter)
    reason: str = ""
    waits: int = 60
    identifier: str = ""
    value: str = ""
    order: int | None = None


def entered(
    *,
    kind: Annotated[CommandKind, Form()],
    which: Annotated[str, Form(pattern="^(addresses|area|list)$")] = "addresses",
    addresses: Annotated[str, Form(max_length=500_000)] = "",
    area: Annotated[str, Form(pattern=r"^[0-9]{0,15}$")] = "",
    search: Annotated[str, Form(max_length=100)] = "",
    link: Annotated[str, Form(max_length=64)] = "",
    list_area: Annotated[str, Form(pattern=r"^[0-9]{0,15}$")] = "",
    state: Annotated[str, Form(max_length=20)] = "",
    reason: Text = "",
    waits: Annotated[int, Form(ge=1, le=1440)] = 60,
    identifier: Text = "",
    value: Text = "",
    order: Annotated[str, Form(pattern=r"^[0-9]{0,15}$")] = "",
) -> Entered:
    """The form as it was sent."""
    listed = MeterFilter(search, link, _number(list_area), state if state in METER_STATES else "")
    return Entered(
        kind, which, addresses, _number(area), listed, reason, waits, identifier.strip(), value.strip(), _number(order)
    )  # fmt: skip


Form_ = Annotated[Entered, Depends(entered)]


def _number(text: str) -> int | None:
    return int(text) if text else None


@router.get("/commands/new", response_class=HTMLResponse)
def command_form(
    request: Request,
    *,
    kind: Annotated[str, Query(max_length=40)] = "",
    meter: Annotated[int | None, Query(ge=1, le=2**53)] = None,
    search: Annotated[str, Query(max_length=100)] = "",
    link: Annotated[str, Query(max_length=64)] = "",
    area: Annotated[str, Query(pattern=r"^[0-9]{0,15}$")] = "",
    state: Annotated[str, Query(max_length=20)] = "",
) -> HTMLResponse:
    """The form; an address that leads to it may say the kind, and a meter or the filter of a list of meters."""
    services = services_of(request)
    address = ""
    if meter is not None:
        with services.database.read() as session:
            address = services.registry(session).get_meter(meter).address
    listed = MeterFilter(search, link, _number(area), state if state in METER_STATES else "")
    which = "list" if meter is None and listed.narrowed else "addresses"
    chosen = CommandKind(kind) if kind in set(CommandKind) else CommandKind.TRIP
    return _page(request, Entered(kind=chosen, which=which, addresses=address, listed=listed))


@router.post("/commands/new/preview", response_class=HTMLResponse)
def preview(request: Request, form: Form_) -> HTMLResponse:
    """Which meters it would be, and which not and why; nothing is asked."""
    if form.which == "addresses" and not form.addresses.strip():  # the kind was chosen first
        return _page(request, form)
    try:
        targets = _targets(services_of(request), form)
    except WattkeeperError as error:
        return _page(request, form, error=error)
    return _page(request, form, targets=targets)


@router.post("/commands/new")
def ask(request: Request, form: Form_, mark: Annotated[str, Form(max_length=16)] = "") -> Response:
    """Ask, for just the meters that were shown; where these have changed since, they are shown again."""
    services = services_of(request)
    targets: Targets | None = None
    try:
        targets = _targets(services, form)
        if mark != targets.mark or not targets.meter_ids:
            return _page(request, form, targets=targets, changed=bool(mark) and mark != targets.mark)
        now = services.clock()
        batch = services.commands.ask(
            Wanted(
                kind=form.kind,
                meter_ids=targets.meter_ids,
                reason=form.reason,
                argument=_argument(form),
                expires_at=now + timedelta(minutes=form.waits),
                standing_order_id=form.order,
            ),
            now=now,
            scope=services.scope,
        )
    except WattkeeperError as error:
        return _page(request, form, targets=targets, error=error)
    return RedirectResponse(f"/commands/{batch.id}", status_code=303)


def _argument(form: Entered) -> dict[str, str] | None:
    if form.kind is not CommandKind.SET_PARAMETER:
        return None
    return {"identifier": form.identifier, "value": form.value}


def _targets(services: Services, form: Entered) -> Targets:
    """The meters that the form names, sorted into those that can take the command and those that cannot."""
    return sorted_out(services, form.kind, _chosen(services, form))


def _chosen(services: Services, form: Entered) -> Chosen:
    if form.which == "list":
        return by_filter(services, form.listed)
    if form.which == "area":
        if form.area is None:
            raise BadCommand("No area was chosen.", hint="Choose one, or write addresses.")
        return by_area(services, form.area)
    return by_addresses(services, form.addresses)


def _page(
    request: Request,
    form: Entered,
    *,
    targets: Targets | None = None,
    error: WattkeeperError | None = None,
    changed: bool = False,
) -> HTMLResponse:
    services, say = services_of(request), language_of(request)
    options = services.commands.options
    kinds = [kind for kind in CommandKind if kind is not CommandKind.CLOSE or options.direct_close]
    with services.database.read() as session:
        registry = services.registry(session)
        areas = [area for site in registry.sites() for area in area_choices(registry.area_tree(site.id))]
    most = options.longest_wait.total_seconds() / 60
    return render(
        request,
        "command_new.html",
        block="ask",
        http_status=status_of(error) if error else 200,
        notice=Notice.of(error, say) if error else None,
        form=form,
        kinds=[(kind.value, say.text(words.KINDS[kind])) for kind in kinds],
        kind_text=say.text(words.KINDS[form.kind]),
        meaning=say.text(words.MEANINGS[form.kind]),
        by_two=form.kind in BY_TWO and form.order is None,
        dangerous=form.kind in BY_TWO,
        one_only=form.kind in NEVER_IN_A_BATCH,
        parameter=form.kind is CommandKind.SET_PARAMETER,
        areas=areas,
        waits=[(minutes, say.text(text)) for minutes, text in WAITS if minutes <= most],
        orders=_orders(request, form, say),
        targets=targets,
        changed=changed,
        **_left_out(targets, say),
    )


def _left_out(targets: Targets | None, say: Language) -> dict[str, Any]:
    refused = () if targets is None else targets.refused
    return {
        "reasons": [(say.text(WHY[why]), count) for why, count in counted(refused).items()],
        "refused": [(item.address, item.meter_id, say.text(WHY[item.why])) for item in refused[:REFUSED_SHOWN]],
        "more_refused": max(0, len(refused) - REFUSED_SHOWN),
    }  # fmt: skip


def _orders(request: Request, form: Entered, say: Language) -> list[tuple[int, str]]:
    """The standing orders that could be used, for who may see them."""
    services = services_of(request)
    if form.kind not in STANDING or not principal_of(request).may(Right.COMMANDS_STANDING):
        return []
    now = services.clock()
    orders = [
        order
        for order in services.commands.standing.all(now=now)
        if order.kind is form.kind and order.state(now) == "active"
    ]
    names = place_names(services, orders, say)
    return [(order.id, f"{order.id} · {names[order.id]} · {order.reason}") for order in orders]
