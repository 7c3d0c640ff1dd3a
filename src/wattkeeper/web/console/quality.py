"""Data quality: how much of each day is known, by area and by point, as a heat map that leads down to the quarter hour."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse

from wattkeeper.registry.errors import NotFound
from wattkeeper.security.rights import Right
from wattkeeper.web.access import needs
from wattkeeper.web.console.area_words import KINDS
from wattkeeper.web.console.words import pager
from wattkeeper.web.exports import PAGE, Column, Export, Table, exported, paged
from wattkeeper.web.language import Language
from wattkeeper.web.pages import language_of, render, services_of, with_query
from wattkeeper.web.queries import quality
from wattkeeper.web.queries.quality import Cell, PointLine, Quality, QualityLine, Share
from wattkeeper.web.queries.spans import DAY, FIRST_DAY, named_month
from wattkeeper.web.queries.states import N_

router = APIRouter(include_in_schema=False, dependencies=[needs(Right.METERS_VIEW)])
ALL_OPEN_UP_TO: Final = 40
"""So many lines of the tree are all shown at first; of a larger one, the sites and what is directly below them."""
LEAST_SHOWN: Final = 10
POINTS_SHOWN: Final = 50
SIX_PLACES: Final = Decimal("0.000001")
SHARES: Final[dict[Share, str]] = {
    "known": N_("Complete"),
    "measured": N_("As measured"),
    "estimated": N_("By estimate"),
    "missing": N_("Incomplete"),
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What an address says: the month, and which share its cells show."""

    month: str = ""
    show: Share = "known"

    def days(self, today: date) -> quality.Days:
        """The month's days, seen from today; none that has not begun, none before there was any electricity."""
        return quality.month_of(min(max(named_month(self.month) or today, FIRST_DAY), today))


def asked(
    *, month: Annotated[str, Query(pattern=r"^(20\d\d-(0[1-9]|1[0-2]))?$")] = "", show: Share = "known"
) -> Asked:
    """The parameters of an address."""
    return Asked(month, show)


Wanted = Annotated[Asked, Depends(asked)]


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the tree as the page shows it; `toggle` opens or closes it, None where nothing lies below."""

    line: QualityLine
    query: str
    """What its points are narrowed to."""
    open: bool
    toggle: str | None


@dataclass(frozen=True, slots=True)
class DayRow:
    """A day of a line, as a file has it."""

    line: QualityLine
    day: date
    cell: Cell


COUNTS: Final = (
    Column[Any](N_("Expected intervals"), lambda row: row.cell.expected, "number"),
    Column[Any](N_("Measured intervals"), lambda row: row.cell.measured, "number"),
    Column[Any](N_("Estimated intervals"), lambda row: row.cell.estimated, "number"),
    Column[Any](N_("Intervals entered by a person"), lambda row: row.cell.edited, "number"),
    Column[Any](N_("Missing intervals"), lambda row: row.cell.missing, "number"),
    Column[Any](N_("Complete"), lambda row: _share(row.cell), "percent"),
)
DAYS: Final[Table[DayRow]] = Table(
    "data-quality",
    N_("Data quality"),
    (
        Column(N_("Code"), lambda row: row.line.code),
        Column(N_("Area"), lambda row: "\u3000" * row.line.depth + row.line.name),
        Column(N_("Day"), lambda row: row.day, "date"),
        *COUNTS,
    ),
)


@dataclass(frozen=True, slots=True)
class PointRow:
    """A point and a period, as a file has it."""

    line: PointLine
    cell: Cell


POINTS: Final[Table[PointRow]] = Table(
    "data-quality-points",
    N_("Data quality of metering points"),
    (
        Column(N_("Code"), lambda row: row.line.code),
        Column(N_("Metering point"), lambda row: row.line.name),
        Column(N_("Area"), lambda row: row.line.area),
        *COUNTS,
    ),
)


def _share(cell: Cell) -> Decimal | None:
    return (Decimal(cell.known) / cell.expected).quantize(SIX_PLACES) if cell.expected else None


@router.get("/quality", response_class=HTMLResponse)
def quality_page(
    request: Request,
    wanted: Wanted,
    opened: Annotated[str | None, Query(alias="open", max_length=4000)] = None,
) -> HTMLResponse:
    """The heat map of a month: areas down, days across; then the points of which least is known."""
    services, say = services_of(request), language_of(request)
    days = wanted.days(_today(request, say))
    known: Quality = request.app.state.quality(services, days)
    roots = quality.tree(services, known)
    least = quality.least_complete(known, None)
    return render(
        request,
        "quality.html",
        block="map",
        rows=list(_rows(request, roots, opened)),
        total=quality.total(sum((root.counts for root in roots), start=quality.nothing(known))),
        least=quality.point_lines(services, least[:LEAST_SHOWN], days),
        more=max(0, len(least) - LEAST_SHOWN),
        kinds={kind: say.text(text) for kind, text in KINDS.items()},
        **_common(request, wanted, days, say),
    )


def _common(request: Request, wanted: Asked, days: quality.Days, say: Language) -> dict[str, Any]:
    """What both pages say of their month."""
    today = _today(request, say)
    following = days[1] + DAY
    return {
        "show": wanted.show,
        "shares": [(code, say.text(text)) for code, text in SHARES.items()],
        "days": quality.days_between(days),
        "month": f"{days[0]:%Y-%m}",
        "label": say.month(days[0]),
        "today": today,
        "earlier": f"{days[0] - DAY:%Y-%m}",
        "later": f"{following:%Y-%m}" if following <= today else None,
        "in_words": lambda cell: quality.in_words(cell, say),
        "address_of": _address_of,
        "point_address": lambda point: lambda day: f"/points/{point}/days/{day}",
    }


def _address_of(query: str, month: str) -> Callable[[date], str]:
    """Where the cells of a line lead: to its points, those least known of that day first."""
    return lambda day: f"/quality/points?month={month}&day={day}&{query}"


def _today(request: Request, say: Language) -> date:
    return services_of(request).clock().astimezone(say.zone).date()


def _rows(request: Request, roots: Sequence[QualityLine], opened: str | None) -> Iterator[Row]:
    """The lines of the tree whose parents are all open."""
    lines = [line for root in roots for line in root.listed]
    if opened is None:
        deep = 99 if len(lines) <= ALL_OPEN_UP_TO else 0
        shown = {line.key for line in lines if line.depth <= deep and line.children}
    else:
        shown = set(opened.split(","))
    return _below(request, roots, shown)


def _below(request: Request, lines: Sequence[QualityLine], shown: set[str]) -> Iterator[Row]:
    for line in lines:
        there = line.key in shown
        toggle = with_query(request, open=",".join(sorted(shown ^ {line.key})) or "none")
        yield Row(line, _narrowed(line), there, toggle if line.children else None)
        if there:
            yield from _below(request, line.children, shown)


def _narrowed(line: QualityLine) -> str:
    """The parameters that ask for the points of a line."""
    if line.kind == "site":
        return f"site={line.site_id}"
    return f"area={line.id}" if line.id is not None else f"site={line.site_id}&area=none"


@exported(router, "/quality")
def quality_export(request: Request, wanted: Wanted) -> Export[DayRow]:
    """Every line of the tree and every day of the month that has anything to know."""
    services, say = services_of(request), language_of(request)
    days = wanted.days(_today(request, say))
    known: Quality = request.app.state.quality(services, days)
    lines = (line for root in quality.tree(services, known) for line in root.listed)
    rows = (
        DayRow(line, day, cell)
        for line in lines
        for day, cell in zip(known.days, line.cells, strict=True)
        if cell.expected
    )
    return Export(DAYS, rows, say)


@dataclass(frozen=True, slots=True)
class Within:
    """Which points an address asks for, and the day it is about; None for all days of the month."""

    site: int | None = None
    area: str = ""
    day: date | None = None


def within(
    *,
    site: Annotated[int | None, Query(ge=1, le=2**53)] = None,
    area: Annotated[str, Query(pattern=r"^([0-9]{1,15}|none|)$")] = "",
    day: date | None = None,
) -> Within:
    """The parameters of an address."""
    return Within(site, area, day)


Narrowed = Annotated[Within, Depends(within)]


@router.get("/quality/points", response_class=HTMLResponse)
def points_page(
    request: Request,
    wanted: Wanted,
    narrowed: Narrowed,
    after: Annotated[str | None, Query(pattern=r"^[0-9]{1,9}$")] = None,
) -> HTMLResponse:
    """Metering points with their days, those of which least is known first; of one day, if the address names it."""
    services, say = services_of(request), language_of(request)
    days = wanted.days(_today(request, say) if narrowed.day is None else narrowed.day)
    ordered, place = _ordered(request, narrowed, days)
    start = int(after or 0)
    lines = quality.point_lines(services, ordered[start : start + POINTS_SHOWN], days)
    end = start + POINTS_SHOWN
    return render(
        request,
        "quality_points.html",
        block="map",
        place=place,
        narrowed=narrowed,
        page=pager(
            say, lines, after=str(end) if end < len(ordered) else None, asked=after, total=len(ordered)
        ),
        **_common(request, wanted, days, say),
    )


def _ordered(request: Request, narrowed: Within, days: quality.Days) -> tuple[list[int], QualityLine | None]:
    """The points asked for, the least complete first, and the line of the tree they belong to."""
    services = services_of(request)
    known: Quality = request.app.state.quality(
        services, days if narrowed.day is None else (narrowed.day, narrowed.day)
    )
    roots = quality.tree(services, known)
    if narrowed.site is None and not narrowed.area:
        return quality.least_complete(known, None), None
    line = next((line for root in roots for line in root.listed if _is_asked(line, narrowed)), None)
    if line is None:
        raise NotFound("area", narrowed.area or str(narrowed.site))
    return quality.least_complete(known, quality.points_of(known, line)), line


def _is_asked(line: QualityLine, narrowed: Within) -> bool:
    if narrowed.area and narrowed.area != "none":
        return line.key == f"area-{narrowed.area}"
    return line.key == f"{'none' if narrowed.area else 'site'}-{narrowed.site}"


@exported(router, "/quality/points")
def points_export(request: Request, wanted: Wanted, narrowed: Narrowed) -> Export[PointRow]:
    """Every one of these points, with its month or its day."""
    services, say = services_of(request), language_of(request)
    days = wanted.days(_today(request, say) if narrowed.day is None else narrowed.day)
    ordered, _ = _ordered(request, narrowed, days)
    asked_days = days if narrowed.day is None else (narrowed.day, narrowed.day)

    def fetch(after: str | None) -> tuple[list[PointRow], str | None]:
        start = int(after or 0)
        lines = quality.point_lines(services, ordered[start : start + PAGE], asked_days)
        end = start + PAGE
        return [PointRow(line, line.total) for line in lines], str(end) if end < len(ordered) else None

    return Export(POINTS, paged(fetch), say)
