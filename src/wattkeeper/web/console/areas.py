"""The tree of areas, and the page of one: what hangs there, what it used, and where it belongs."""

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Form, Path, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.responses import Response

from wattkeeper.kernel.errors import WattkeeperError
from wattkeeper.registry.editing import change_area, create_area, move_points
from wattkeeper.registry.models import AreaKind
from wattkeeper.registry.scope import Scope
from wattkeeper.security.rights import Right
from wattkeeper.web.access import needs, principal_of
from wattkeeper.web.console.area_words import KINDS, choices
from wattkeeper.web.console.curve_card import Asked, Source, asked, curve_view, curve_words
from wattkeeper.web.console.meter_files import CURVE, Bin, bins
from wattkeeper.web.console.words import Notice, pager
from wattkeeper.web.exports import Column, Export, Table, exported, paged
from wattkeeper.web.pages import language_of, render, services_of, wants_fragment
from wattkeeper.web.problems import status_of
from wattkeeper.web.queries import areas, meters
from wattkeeper.web.queries.alarms import AlarmLine, alarm_line
from wattkeeper.web.queries.areas import AreaLine, PointLine
from wattkeeper.web.queries.curves import Curve, Resolution, load_curve
from wattkeeper.web.queries.meters import MeterFilter
from wattkeeper.web.queries.periods import asked_period
from wattkeeper.web.queries.quality import quality_of_yesterday
from wattkeeper.web.queries.spans import Span
from wattkeeper.web.queries.states import N_

router = APIRouter(include_in_schema=False)
Id = Annotated[int, Path(ge=1, le=2**53)]
Search = Annotated[str, Query(max_length=100)]
After = Annotated[str | None, Query(max_length=100)]
METERS_SHOWN: Final = 10
ALARMS_SHOWN: Final = 8
POINTS_AT_ONCE: Final = 1000

TREE: Final[Table[AreaLine]] = Table(
    "areas",
    N_("Areas"),
    (
        Column(N_("Code"), lambda line: line.code),
        Column(N_("Name"), lambda line: "\u3000" * line.depth + line.name),
        Column(N_("Points"), lambda line: line.sums.points, "number"),
        Column(N_("Meters"), lambda line: line.sums.meters, "number"),
        Column(N_("Silent"), lambda line: line.sums.silent, "number"),
        Column(N_("Yesterday"), lambda line: line.sums.yesterday_kwh, "number", unit="kWh", decimals=2),
        Column(N_("This month"), lambda line: line.sums.month_kwh, "number", unit="kWh", decimals=2),
    ),
)
POINTS: Final[Table[PointLine]] = Table(
    "points",
    N_("Metering points"),
    (
        Column(N_("Code"), lambda line: line.code),
        Column(N_("Name"), lambda line: line.name),
        Column(N_("Area"), lambda line: line.area),
        Column(N_("Meter"), lambda line: line.address),
    ),
)


def tree_of(request: Request) -> list[AreaLine]:
    """The tree of what whoever asks may see, with its sums."""
    services = services_of(request)
    return areas.tree(services, request.app.state.area_energies(services, None))


@router.get("/areas", dependencies=[needs(Right.METERS_VIEW)], response_class=HTMLResponse)
def areas_page(request: Request) -> HTMLResponse:
    """Every site with its areas."""
    return _areas_page(request)


def _areas_page(
    request: Request, *, notice: Notice | None = None, status: int = 200, **entered: Any
) -> HTMLResponse:
    say, lines = language_of(request), tree_of(request)
    return render(
        request, "areas.html", http_status=status, sites=lines, notice=notice, entered=entered,
        choices=choices(lines), kinds=[(kind.value, say.text(KINDS[kind.value])) for kind in AreaKind],
        any_area=any(line.children for line in lines),
    )  # fmt: skip


@exported(router, "/areas", needs(Right.METERS_VIEW))
def areas_export(request: Request) -> Export[AreaLine]:
    """The tree as a table."""
    say = language_of(request)
    rows: Iterator[AreaLine] = (line for root in tree_of(request) for line in root.listed)
    return Export(TREE, rows, say)


@router.post("/areas", dependencies=[needs(Right.REGISTRY_EDIT)])
def add_area(
    request: Request,
    *,
    place: Annotated[str, Form(pattern=r"^(site|area)-[0-9]{1,15}$")],
    code: Annotated[str, Form(max_length=64)],
    name: Annotated[str, Form(max_length=200)],
    kind: Annotated[AreaKind, Form()] = AreaKind.AREA,
) -> Response:
    """Add an area below a site or another area."""
    services = services_of(request)
    sort, _, key = place.partition("-")
    try:
        with services.database.write() as session:
            registry = services.registry(session)
            parent = registry.get_area(int(key)) if sort == "area" else None
            site_id = parent.site_id if parent else int(key)
            area = create_area(
                registry, site_id=site_id, code=code, name=name, kind=kind,
                parent_id=parent.id if parent else None, now=services.clock(),
            )  # fmt: skip
            area_id = area.id
    except WattkeeperError as error:
        notice = Notice.of(error, language_of(request))
        return _areas_page(request, notice=notice, status=status_of(error), place=place, code=code, name=name, kind=kind.value)  # fmt: skip
    return RedirectResponse(f"/areas/{area_id}", status_code=303)


@router.get("/areas/unassigned", dependencies=[needs(Right.METERS_VIEW)], response_class=HTMLResponse)
def unassigned_page(request: Request, search: Search = "", after: After = None) -> HTMLResponse:
    """The metering points that belong to no area."""
    services, say = services_of(request), language_of(request)
    found = areas.find_points(services, area_id=None, search=search, after=after)
    return render(
        request, "area_points.html", block="results", area=None, search=search, choices=choices(tree_of(request)),
        page=pager(say, found.rows, after=found.after, asked=after),
    )  # fmt: skip


@exported(router, "/areas/unassigned", needs(Right.METERS_VIEW))
def unassigned_export(request: Request, search: Search = "") -> Export[PointLine]:
    """The same as a file."""
    return _points_export(request, None, search)


def _points_export(request: Request, area_id: int | None, search: str) -> Export[PointLine]:
    services = services_of(request)

    def fetch(after: str | None) -> tuple[tuple[PointLine, ...], str | None]:
        found = areas.find_points(services, area_id=area_id, search=search, after=after, limit=500)
        return found.rows, found.after

    return Export(POINTS, paged(fetch), language_of(request))


@router.post("/areas/points", dependencies=[needs(Right.REGISTRY_EDIT)])
def assign_points(
    request: Request,
    *,
    point: Annotated[list[int], Form(min_length=1, max_length=POINTS_AT_ONCE)],
    target: Annotated[str, Form(pattern=r"^([0-9]{1,15}|none)$")],
) -> Response:
    """Let points belong to an area from now on, or to none."""
    services = services_of(request)
    area_id = None if target == areas.NOWHERE else int(target)
    with services.database.write() as session:
        move_points(services.registry(session), point, area_id=area_id, now=services.clock())
    where = "unassigned" if area_id is None else f"{area_id}/points"
    return RedirectResponse(f"/areas/{where}", status_code=303)


@router.get("/areas/{area_id}", dependencies=[needs(Right.METERS_VIEW)], response_class=HTMLResponse)
def area_page(request: Request, area_id: Id, wanted: Annotated[Asked, Depends(asked)]) -> HTMLResponse:
    """An area: its children, its load, its meters."""
    return _area_page(request, area_id, wanted)


def _area_page(
    request: Request, area_id: int, wanted: Asked, *, notice: Notice | None = None, status: int = 200
) -> HTMLResponse:
    services = services_of(request)
    area = areas.identity(services, area_id)
    say = language_of(request, area.zone.key)
    words = {**curve_words(say), "zone": area.zone.key, "area": area, "curve": None}
    if wants_fragment(
        request, "curve"
    ):  # adding up a few thousand points takes longer than all the rest of the page
        words["curve"] = curve_view(_source(request, area), wanted, say, now=services.clock())
        return render(request, "area.html", block="curve", **words)
    lines = tree_of(request)
    found = meters.find(services, MeterFilter(area=area_id), limit=METERS_SHOWN)
    return render(
        request, "area.html", http_status=status, notice=notice, line=areas.line_of(lines, area_id),
        kind=say.text(KINDS[area.kind]), kinds=[(kind.value, say.text(KINDS[kind.value])) for kind in AreaKind],
        choices=[choice for choice in choices(lines) if choice.site_id == area.site_id],
        meters=meters.lines(services, found, say), more_meters=(found.total or 0) > METERS_SHOWN,
        complete=quality_of_yesterday(services, area), alarms=_alarms(request, area_id), **words,
    )  # fmt: skip


def _source(request: Request, area: areas.AreaIdentity) -> Source:
    services = services_of(request)

    def load(span: Span) -> Curve:
        return load_curve(
            services.store, point_ids=area.point_ids, period=span.period(area.zone), resolution=span.resolution,
            zone=area.zone,
        )  # fmt: skip

    path = f"/areas/{area.id}/load-curve"
    return Source(load, api=f"/api/v1{path}", file=path)


@exported(router, "/areas/{area_id}/load-curve", needs(Right.METERS_VIEW))
def area_curve_export(
    request: Request,
    area_id: Id,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    resolution: Resolution = Resolution.QUARTER,
) -> Export[Bin]:
    """The load of an area in a period, today's by default; at most 10,000 rows."""
    services = services_of(request)
    area = areas.identity(services, area_id)
    now, zone = services.clock(), area.zone
    period = asked_period(period=None, start=start, end=end, zone=zone, now=now, default="today")
    curve = load_curve(
        services.store, point_ids=area.point_ids, period=period, resolution=resolution, zone=zone
    )
    say = language_of(request, zone.key)
    return Export(CURVE, bins(curve, say), say)


def _alarms(request: Request, area_id: int) -> list[AlarmLine]:
    """What is wrong in the area, the newest first; all below an area that is in sight is in sight."""
    principal = principal_of(request)
    if not principal.may(Right.ALARMS_VIEW):
        return []
    services, say = services_of(request), language_of(request)
    found = services.monitoring.findings(scope=Scope(areas=frozenset({area_id})), limit=ALARMS_SHOWN)
    return [alarm_line(finding, say, principal.may) for finding in found.rows]


@router.post("/areas/{area_id}", dependencies=[needs(Right.REGISTRY_EDIT)])
def edit_area(
    request: Request,
    area_id: Id,
    *,
    code: Annotated[str, Form(max_length=64)],
    name: Annotated[str, Form(max_length=200)],
    kind: Annotated[AreaKind, Form()],
    parent: Annotated[str, Form(pattern=r"^[0-9]{0,15}$")] = "",
) -> Response:
    """Rename or move an area."""
    services = services_of(request)
    try:
        with services.database.write() as session:
            change_area(
                services.registry(session), area_id, code=code, name=name, kind=kind,
                parent_id=int(parent) if parent else None, now=services.clock(),
            )  # fmt: skip
    except WattkeeperError as error:
        notice = Notice.of(error, language_of(request))
        return _area_page(request, area_id, Asked(), notice=notice, status=status_of(error))
    return RedirectResponse(f"/areas/{area_id}", status_code=303)


@router.get("/areas/{area_id}/points", dependencies=[needs(Right.METERS_VIEW)], response_class=HTMLResponse)
def area_points(request: Request, area_id: Id, search: Search = "", after: After = None) -> HTMLResponse:
    """The metering points at and below an area, to be moved elsewhere."""
    services, say = services_of(request), language_of(request)
    area = areas.identity(services, area_id)
    found = areas.find_points(services, area_id=area_id, search=search, after=after)
    return render(
        request, "area_points.html", block="results", area=area, search=search,
        choices=[choice for choice in choices(tree_of(request)) if choice.site_id == area.site_id],
        page=pager(say, found.rows, after=found.after, asked=after, total=None if search else len(area.point_ids)),
    )  # fmt: skip


@exported(router, "/areas/{area_id}/points", needs(Right.METERS_VIEW))
def area_points_export(request: Request, area_id: Id, search: Search = "") -> Export[PointLine]:
    """The same as a file."""
    areas.identity(services_of(request), area_id)
    return _points_export(request, area_id, search)
