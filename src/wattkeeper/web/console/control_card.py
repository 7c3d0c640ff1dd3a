"""The card "Control" of a meter's page: what it said of its relay, what it was told, and what it can be told."""

from typing import Annotated, Final

from fastapi import APIRouter, Path, Request
from fastapi.responses import HTMLResponse

from wattkeeper.collection.commands.kinds import CommandKind
from wattkeeper.security.rights import Right
from wattkeeper.web.access import needs
from wattkeeper.web.console.meter_cards import meter_zone
from wattkeeper.web.pages import language_of, render, services_of
from wattkeeper.web.queries import meters
from wattkeeper.web.queries.command_targets import takes_commands
from wattkeeper.web.queries.command_words import KINDS, command_line, control_facts
from wattkeeper.web.queries.states import N_

router = APIRouter(include_in_schema=False)
SHOWN: Final = 5
NO_COMMANDS: Final = N_("Meters of this protocol take no commands from here.")
_NO_RELAY: Final = N_("A register map has no relay, so that a Modbus meter takes no commands from here.")
WHY_NOT: Final = {
    "dlt645-1997": N_("It speaks DL/T 645-1997, and that edition has no commands to a relay."),
    "modbus-rtu": _NO_RELAY,
    "modbus-tcp": _NO_RELAY,
}
"""Why no command is offered, by what the meter speaks."""


@router.get(
    "/meters/{meter_id}/control", dependencies=[needs(Right.COMMANDS_VIEW)], response_class=HTMLResponse
)
def control_card(request: Request, meter_id: Annotated[int, Path(ge=1, le=2**53)]) -> HTMLResponse:
    """Relay, standing instructions and the last commands of a meter."""
    services = services_of(request)
    found, _ = meters.identity(services, meter_id)
    zone = meter_zone(request, found)
    say = language_of(request, zone.key)
    control = services.commands.control(meter_id)
    last = services.commands.commands(scope=services.scope, meter_id=meter_id, limit=SHOWN)
    offered = [
        kind for kind in CommandKind if kind is not CommandKind.CLOSE or services.commands.options.direct_close
    ]  # fmt: skip
    return render(
        request,
        "meter_control.html",
        block="control",
        zone=zone.key,
        meter=found,
        takes=takes_commands(found.spoken),
        why_not=say.text(WHY_NOT.get(found.spoken, NO_COMMANDS)),
        facts=control_facts(control, say) if control else [],
        read_at=control.read_at if control else None,
        exchange=control.exchange_id if control else None,
        commands=[command_line(row, say) for row in last[:SHOWN]],
        more=len(last) > SHOWN,
        offered=[(kind.value, say.text(KINDS[kind])) for kind in offered],
    )
