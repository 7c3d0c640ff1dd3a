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

router = APIRouter(include_in_schema=False)
SHOWN: Final = 5


@router.get(
    "/meters/{meter_id}/control", dependencies=[needs(Right.COMMANDS_VIEW)], response_class=HTMLResponse
)
def control_card(request: Request, meter_id: Annotated[int, Path(ge=1, le=2**53)]) -> HTMLResponse:
    """Relay, standing instructions and the last commands of a meter."""
    services = services_of(request)
    found, _ = meters.identity(services, meter_id)
    zone = meter_zone(request, found)
    say = language_of(request, zone.key)
    with services.database.read() as session:
        protocol = services.registry(session).get_meter(meter_id).protocol
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
        takes=takes_commands(protocol),
        facts=control_facts(control, say) if control else [],
        read_at=control.read_at if control else None,
        exchange=control.exchange_id if control else None,
        commands=[command_line(row, say) for row in last[:SHOWN]],
        more=len(last) > SHOWN,
        offered=[(kind.value, say.text(KINDS[kind])) for kind in offered],
    )
