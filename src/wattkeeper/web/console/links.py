"""Links: health and frames as they pass."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from fastapi.responses import HTMLResponse

from wattkeeper.registry.errors import NotFound
from wattkeeper.security.rights import Right
from wattkeeper.web.access import needs
from wattkeeper.web.console.words import monitor_words
from wattkeeper.web.language import Language
from wattkeeper.web.pages import language_of, render, services_of
from wattkeeper.web.queries import meters
from wattkeeper.web.queries.links import Health, health_today, link_lines
from wattkeeper.web.queries.meters import MeterFilter
from wattkeeper.web.sayings import LINK_DOWN
from wattkeeper.web.services import Services

router = APIRouter(include_in_schema=False, dependencies=[needs(Right.LINKS_VIEW)])
METERS_SHOWN = 500


@dataclass(frozen=True, slots=True)
class MeterHealth:
    """A meter of a link, with its success today."""

    id: int
    address: str
    point: str | None
    level: str
    state: str
    reads: int
    success: float | None
    read_at: datetime | None


def _monitor(services: Services, say: Language, *, link: str = "") -> dict[str, Any]:
    return {
        "monitored": link,
        "monitor_words": monitor_words(say),
        "collecting": services.collector is not None,
    }


@router.get("/links", response_class=HTMLResponse)
def links_page(request: Request) -> HTMLResponse:
    """Every link with its health, and the frames of all."""
    services, say = services_of(request), language_of(request)
    links = link_lines(services, say, request.app.state.figures(services).health)
    return render(request, "links.html", links=links, **_monitor(services, say))


@router.get("/links/{code}", response_class=HTMLResponse)
def link_page(request: Request, code: Annotated[str, Path(max_length=64)]) -> HTMLResponse:
    """One link, its frames and its meters."""
    services, say = services_of(request), language_of(request)
    with services.database.read() as session:
        found = services.registry(session).link_by_code(code)
    if found is None:
        raise NotFound("link", code)
    health = health_today(services, say.zone, link_id=found.id)
    link = next(line for line in link_lines(services, say, health) if line.code == code)
    return render(
        request,
        "link.html",
        link=link,
        link_down=say.text(LINK_DOWN),
        meters=_meters(services, say, code, health),
        **_monitor(services, say, link=code),
    )


def _meters(services: Services, say: Language, code: str, health: Health) -> list[MeterHealth]:
    """The link's meters, those that fail most first."""
    found = meters.find(services, MeterFilter(link=code), limit=METERS_SHOWN)
    rates = {rate.meter_id: rate for rate in health.rates if rate.meter_id is not None}
    lines = []
    for line in meters.lines(services, found, say):
        rate, state = rates.get(line.id), found.states.get(line.id)
        lines.append(
            MeterHealth(
                id=line.id,
                address=line.address,
                point=line.point,
                level=line.level,
                state=line.state,
                reads=rate.reads if rate else 0,
                success=rate.rate if rate else None,
                read_at=state.last_success_at if state else line.read_at,
            )
        )
    return sorted(lines, key=lambda line: (1.0 if line.success is None else line.success, line.address))
