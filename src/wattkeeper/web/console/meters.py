"""The list of meters; `meter` has the page of one."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse

from wattkeeper.registry.values import AreaNode
from wattkeeper.security.rights import Right
from wattkeeper.web.access import needs
from wattkeeper.web.console.words import pager
from wattkeeper.web.exports import PAGE, Column, Export, Table, exported, paged
from wattkeeper.web.pages import language_of, render, services_of
from wattkeeper.web.queries import meters
from wattkeeper.web.queries.meters import MeterFilter, MeterLine
from wattkeeper.web.queries.states import N_

router = APIRouter(include_in_schema=False)
STATES: Final = {
    "answering": N_("answering"),
    "failing": N_("failing"),
    "silent": N_("silent"),
    "unknown": N_("not asked yet"),
    "disabled": N_("disabled"),
}
EXPORT: Final[Table[MeterLine]] = Table(
    "meters",
    N_("Meters"),
    (
        Column(N_("Address"), lambda line: line.address),
        Column(N_("Metering point"), lambda line: line.point),
        Column(N_("Area"), lambda line: line.area),
        Column(N_("Link"), lambda line: line.link),
        Column(N_("State"), lambda line: line.state),
        Column(N_("Import register"), lambda line: line.energy_kwh, "number", unit="kWh", decimals=2),
        Column(N_("Power"), lambda line: line.power_kw, "number", unit="kW", decimals=3),
        Column(N_("Last reading"), lambda line: line.read_at, "moment"),
    ),
)


def asked_filter(
    *,
    search: Annotated[str, Query(max_length=100)] = "",
    link: Annotated[str, Query(max_length=64)] = "",
    area: Annotated[str, Query(pattern=r"^[0-9]{0,15}$")] = "",
    state: Annotated[str, Query(max_length=20)] = "",
    sort: Annotated[str, Query(pattern="^(address|point_name|link)$")] = "address",
    descending: Annotated[bool, Query()] = False,
) -> MeterFilter:
    """The filter an address carries; the form's empty choices arrive as empty texts."""
    return MeterFilter(
        search, link, int(area) if area else None, state if state in STATES else "", sort, descending
    )


Asked = Annotated[MeterFilter, Depends(asked_filter)]


@dataclass(frozen=True, slots=True)
class AreaChoice:
    """An area in a list of choices, set in by its depth."""

    id: int
    name: str


def area_choices(nodes: tuple[AreaNode, ...], depth: int = 0) -> Iterator[AreaChoice]:
    """The tree as a list."""
    for node in nodes:
        yield AreaChoice(node.area_id, "\u2003" * depth + node.name)
        yield from area_choices(node.children, depth + 1)


@router.get("/meters", dependencies=[needs(Right.METERS_VIEW)], response_class=HTMLResponse)
def meters_page(
    request: Request, wanted: Asked, after: Annotated[str | None, Query(max_length=500)] = None
) -> HTMLResponse:
    """The list of meters, filtered by its address."""
    services, say = services_of(request), language_of(request)
    found = meters.find(services, wanted, after=after)
    rows = meters.lines(services, found, say)
    with services.database.read() as session:
        registry = services.registry(session)
        links = registry.links()
        areas = [area for site in registry.sites() for area in area_choices(registry.area_tree(site.id))]
    return render(
        request,
        "meters.html",
        block="results",
        page=pager(say, rows, after=found.after, asked=after, total=found.total),
        filters=wanted,
        filtered=wanted.narrowed,
        links=links,
        areas=areas,
        states=[(code, say.text(text)) for code, text in STATES.items()],
    )


@exported(router, "/meters", needs(Right.METERS_VIEW))
def meters_export(request: Request, wanted: Asked) -> Export[MeterLine]:
    """Every meter of the filter."""
    services, say = services_of(request), language_of(request)

    def page(after: str | None) -> tuple[list[MeterLine], str | None]:
        found = meters.find(services, wanted, after=after, limit=PAGE)
        return meters.lines(services, found, say), found.after

    return Export(EXPORT, paged(page), say)
