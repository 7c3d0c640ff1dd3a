"""The list of meters; `meter` has the page of one."""

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse, StreamingResponse
from starlette.responses import Response

from wattkeeper.registry.values import AreaNode
from wattkeeper.security.rights import Right
from wattkeeper.web.access import needs
from wattkeeper.web.console.words import pager
from wattkeeper.web.pages import language_of, render, services_of, with_query
from wattkeeper.web.queries import meters
from wattkeeper.web.queries.meters import MeterFilter
from wattkeeper.web.queries.states import N_

router = APIRouter(include_in_schema=False)
STATES: Final = {
    "answering": N_("answering"),
    "failing": N_("failing"),
    "silent": N_("silent"),
    "unknown": N_("not asked yet"),
    "disabled": N_("disabled"),
}
EXPORT_PAGE: Final = 500
EXPORT_HEAD: Final = (
    N_("Address"),
    N_("Metering point"),
    N_("Area"),
    N_("Link"),
    N_("State"),
    N_("Import register (kWh)"),
    N_("Power (kW)"),
    N_("Last reading"),
)
FORMULA_STARTS: Final = frozenset("=+-@\t\r")


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
        export=with_query(request, after=None).replace("/meters", "/meters.csv", 1),
    )


@router.get("/meters.csv", dependencies=[needs(Right.METERS_VIEW)])
def meters_export(request: Request, wanted: Asked) -> Response:
    """Every meter of the filter as CSV, written a page at a time."""
    services, say = services_of(request), language_of(request)

    def rows() -> Iterator[str]:
        yield "\ufeff" + csv_line(
            say.text(name) for name in EXPORT_HEAD
        )  # Excel takes UTF-8 only with this mark
        after = None
        while True:
            found = meters.find(services, wanted, after=after, limit=EXPORT_PAGE)
            for line in meters.lines(services, found, say):
                read_at = say.moment(line.read_at, seconds=True) if line.read_at else ""
                yield csv_line(
                    (
                        line.address,
                        line.point,
                        line.area,
                        line.link,
                        line.state,
                        line.energy_kwh,
                        line.power_kw,
                        read_at,
                    )
                )
            after = found.after
            if after is None:
                return

    headers = {"content-disposition": 'attachment; filename="meters.csv"'}
    return StreamingResponse(rows(), media_type="text/csv; charset=utf-8", headers=headers)


def csv_line(cells: Iterable[object]) -> str:
    """A line of CSV; a text that a spreadsheet would take for a formula is kept one."""
    safe = [f"'{cell}" if isinstance(cell, str) and cell[:1] in FORMULA_STARTS else cell for cell in cells]
    line = io.StringIO()
    csv.writer(line).writerow("" if cell is None else cell for cell in safe)
    return line.getvalue()
