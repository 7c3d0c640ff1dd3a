"""Links: health and frames as they pass."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final

from fastapi import APIRouter, Path, Request
from fastapi.responses import HTMLResponse

from wattkeeper.registry.errors import NotFound
from wattkeeper.security.rights import Right
from wattkeeper.web.access import needs, principal_of
from wattkeeper.web.console.collection import drawn
from wattkeeper.web.console.monitor import monitor
from wattkeeper.web.exports import PAGE, Column, Export, Table, exported, paged
from wattkeeper.web.language import Language
from wattkeeper.web.pages import language_of, render, services_of
from wattkeeper.web.queries import meters
from wattkeeper.web.queries.links import Health, LinkLine, health_today, link_lines
from wattkeeper.web.queries.meters import FoundMeters, MeterFilter
from wattkeeper.web.queries.periods import named_period
from wattkeeper.web.queries.remote import NOTHING_REMOTE, remote
from wattkeeper.web.queries.states import N_
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


LINKS: Final[Table[LinkLine]] = Table(
    "links",
    N_("Links"),
    (
        Column(N_("Link"), lambda line: line.name),
        Column(N_("Code"), lambda line: line.code),
        Column(N_("Link address"), lambda line: line.url),
        Column(N_("State"), lambda line: line.text),
        Column(N_("Meters"), lambda line: line.meters, "number"),
        Column(N_("Waiting"), lambda line: line.waiting, "number"),
        Column(N_("Back-filling"), lambda line: line.backfilling, "number"),
        Column(N_("Reads today"), lambda line: line.reads, "number"),
        Column(N_("Success today"), lambda line: line.success, "percent"),
        Column(N_("At the first attempt"), lambda line: line.first_time, "percent"),
        Column(N_("No reply"), lambda line: line.no_reply, "number"),
        Column(N_("Garbled"), lambda line: line.garbled, "number"),
        Column(N_("Refused"), lambda line: line.refused, "number"),
        Column(N_("Strays heard"), lambda line: line.strays, "number"),
    ),
)
METERS: Final[Table[MeterHealth]] = Table(
    "link-meters",
    N_("Meters by success today"),
    (
        Column(N_("Address"), lambda line: line.address),
        Column(N_("Metering point"), lambda line: line.point),
        Column(N_("State"), lambda line: line.state),
        Column(N_("Reads"), lambda line: line.reads, "number"),
        Column(N_("Success"), lambda line: line.success, "percent"),
        Column(N_("Last answer"), lambda line: line.read_at, "moment"),
    ),
)


@router.get("/links", response_class=HTMLResponse)
def links_page(request: Request) -> HTMLResponse:
    """Every link with its health, and the frames of all."""
    services, say = services_of(request), language_of(request)
    links = link_lines(services, say, request.app.state.figures(services).health)
    between = (
        remote(services, request.app.state.batches, say)
        if principal_of(request).may(Right.REGISTRY_EDIT)
        else NOTHING_REMOTE
    )
    return render(request, "links.html", links=links, **between, **monitor(services, say))


@exported(router, "/links")
def links_export(request: Request) -> Export[LinkLine]:
    """Every link with its health."""
    services, say = services_of(request), language_of(request)
    return Export(LINKS, link_lines(services, say, request.app.state.figures(services).health), say)


@exported(router, "/links/{code}/meters")
def link_meters_export(request: Request, code: Annotated[str, Path(max_length=64)]) -> Export[MeterHealth]:
    """Every meter of a link, by address."""
    services, say = services_of(request), language_of(request)
    with services.database.read() as session:
        link = services.registry(session).link_by_code(code)
    if link is None:
        raise NotFound("link", code)
    health = health_today(services, say.zone, link_id=link.id)

    def page(after: str | None) -> tuple[list[MeterHealth], str | None]:
        found = meters.find(services, MeterFilter(link=code), after=after, limit=PAGE)
        return _health_lines(services, say, found, health), found.after

    return Export(METERS, paged(page), say)


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
        hours=drawn(services, say, named_period("today", zone=say.zone, now=services.clock()), found),
        meters=_meters(services, say, code, health),
        **monitor(services, say, link=code),
    )


def _meters(services: Services, say: Language, code: str, health: Health) -> list[MeterHealth]:
    """The link's meters, those that fail most first."""
    found = meters.find(services, MeterFilter(link=code), limit=METERS_SHOWN)
    lines = _health_lines(services, say, found, health)
    return sorted(lines, key=lambda line: (1.0 if line.success is None else line.success, line.address))


def _health_lines(services: Services, say: Language, found: FoundMeters, health: Health) -> list[MeterHealth]:
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
    return lines
