"""Clock supervision: whose clock is off, by how much, and the way to set it."""

from typing import Annotated, Final

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from wattkeeper.security.rights import Right
from wattkeeper.web.access import needs
from wattkeeper.web.columns import Column
from wattkeeper.web.console.words import pager
from wattkeeper.web.exports import PAGE, Export, Table, exported, paged
from wattkeeper.web.pages import language_of, render, services_of
from wattkeeper.web.queries.clocks import Band, ClockLine, bands, clock_lines, limit_of, span
from wattkeeper.web.queries.states import N_

router = APIRouter(include_in_schema=False, dependencies=[needs(Right.METERS_VIEW)])
MEASURED: Final = ("good", "small", "large", "beyond")
Asked = Annotated[Band | None, Query()]
CLOCKS: Final[Table[ClockLine]] = Table(
    "clocks",
    N_("Clocks"),
    (
        Column(N_("Address"), lambda line: line.address),
        Column(N_("Metering point"), lambda line: line.point),
        Column(N_("Link"), lambda line: line.link),
        Column(N_("Deviation"), lambda line: line.deviation_s, "number", unit="s", decimals=1),
        Column(N_("Measured"), lambda line: line.read_at, "moment"),
    ),
)


@router.get("/clocks", response_class=HTMLResponse)
def clocks_page(
    request: Request, *, band: Asked = None, after: Annotated[str | None, Query(max_length=500)] = None
) -> HTMLResponse:
    """Every clock that was measured, the worst first, and how many are off by how much."""
    services, say = services_of(request), language_of(request)
    counts = bands(services, say)
    found = clock_lines(services, say, band=band, after=after)
    total = sum(
        count.meters for count in counts if count.code == band or (band is None and count.code in MEASURED)
    )
    return render(
        request,
        "clocks.html",
        block="results",
        page=pager(say, found.lines, after=found.after, asked=after, total=total),
        bands=counts,
        band=band,
        known=sum(count.meters for count in counts),
        limit=span(limit_of(services), say),
    )


@exported(router, "/clocks")
def clocks_export(request: Request, *, band: Asked = None) -> Export[ClockLine]:
    """Every clock that was measured, the worst first."""
    services, say = services_of(request), language_of(request)

    def page(after: str | None) -> tuple[tuple[ClockLine, ...], str | None]:
        found = clock_lines(services, say, band=band, after=after, limit=PAGE)
        return found.lines, found.after

    return Export(CLOCKS, paged(page), say)
