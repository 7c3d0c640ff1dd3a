"""Areas: the tree, one of them with its load, and changing it."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request

from wattkeeper.registry.editing import change_area, create_area, move_points
from wattkeeper.security.rights import Right
from wattkeeper.web.access import needs
from wattkeeper.web.api import network_schemas as shapes
from wattkeeper.web.api import schemas
from wattkeeper.web.pages import services_of
from wattkeeper.web.problems import documented
from wattkeeper.web.queries import areas
from wattkeeper.web.queries.areas import AreaLine
from wattkeeper.web.queries.curves import IMPORT, Resolution, load_curve
from wattkeeper.web.queries.periods import asked_period
from wattkeeper.web.queries.quality import quality_of_yesterday

router = APIRouter(tags=["areas"])
Id = Annotated[int, Path(ge=1, le=2**53)]


@router.get("/areas", dependencies=[needs(Right.METERS_VIEW)], summary="The tree of areas")
def area_tree(request: Request) -> list[shapes.AreaItem]:
    """Every site with its areas, what hangs in each, and the energy of yesterday and of this month (kept a minute)."""
    return [_item(line) for line in _tree(request)]


def _tree(request: Request) -> list[AreaLine]:
    services = services_of(request)
    return areas.tree(services, request.app.state.area_energies(services, None))


def _item(line: AreaLine) -> shapes.AreaItem:
    return shapes.AreaItem(
        id=line.id,
        code=line.code,
        name=line.name,
        kind=line.kind,
        children=[_item(child) for child in line.children],
        **_figures(line),
    )


def _figures(line: AreaLine) -> dict[str, Any]:
    names = shapes.AreaFigures.model_fields
    return {name: getattr(line.sums, name) for name in names}


@router.get(
    "/areas/{area_id}",
    dependencies=[needs(Right.METERS_VIEW)],
    responses=documented(404, 422),
    summary="One area",
)
def get_area(request: Request, area_id: Id) -> shapes.AreaDetail:
    """An area, what hangs at and below it, and how much of yesterday is known."""
    return _detail(request, area_id)


def _detail(request: Request, area_id: int) -> shapes.AreaDetail:
    services = services_of(request)
    found = areas.identity(services, area_id)
    complete = quality_of_yesterday(services, found)
    return shapes.AreaDetail(
        id=found.id,
        site_id=found.site_id,
        parent_id=found.parent_id,
        code=found.code,
        name=found.name,
        kind=found.kind,
        path=[found.site_name, *(name for _, name in found.path), found.name],
        zone=found.zone.key,
        expected_yesterday=complete.expected,
        known_yesterday=complete.known,
        **_figures(areas.line_of(_tree(request), area_id)),
    )


@router.get(
    "/areas/{area_id}/load-curve",
    dependencies=[needs(Right.METERS_VIEW)],
    responses=documented(400, 404, 422),
    summary="Load curve of an area",
)
def get_area_curve(
    request: Request,
    *,
    area_id: Id,
    period: Annotated[str | None, Query(max_length=20, examples=["today", "last-7-days"])] = None,
    start: datetime | None = None,
    end: datetime | None = None,
    resolution: Resolution = Resolution.QUARTER,
) -> schemas.CurveAnswer:
    """The sum of the points at and below an area; `partial` where some are not known: nothing is made up for them."""
    services = services_of(request)
    found = areas.identity(services, area_id)
    wanted = asked_period(
        period=period, start=start, end=end, zone=found.zone, now=services.clock(), default="today"
    )
    curve = load_curve(
        services.store,
        point_ids=found.point_ids,
        period=wanted,
        resolution=resolution,
        zone=found.zone,
        quantity=IMPORT,
    )
    return schemas.CurveAnswer(
        resolution=resolution,
        zone=found.zone.key,
        start=wanted.start,
        end=wanted.closed_end,
        starts=curve.starts,
        energy_kwh=curve.energy_kwh,
        power_kw=curve.power_kw,
        status=curve.status,
        total_kwh=curve.total_kwh,
    )


@router.post(
    "/areas",
    dependencies=[needs(Right.REGISTRY_EDIT)],
    status_code=201,
    responses=documented(400, 404, 409, 422),
    summary="Add an area",
)
def post_area(request: Request, wanted: shapes.AreaWanted) -> shapes.AreaDetail:
    """Add an area under its parent, or under the site itself."""
    services = services_of(request)
    with services.database.write() as session:
        area = create_area(services.registry(session), **wanted.model_dump(), now=services.clock())
        area_id = area.id
    return _detail(request, area_id)


@router.patch(
    "/areas/{area_id}",
    dependencies=[needs(Right.REGISTRY_EDIT)],
    responses=documented(400, 404, 409, 422),
    summary="Rename or move an area",
)
def patch_area(request: Request, area_id: Id, wanted: shapes.AreaChange) -> shapes.AreaDetail:
    """Change what is given; the rest stays."""
    services = services_of(request)
    with services.database.write() as session:
        change_area(
            services.registry(session),
            area_id,
            now=services.clock(),
            **wanted.model_dump(exclude_unset=True),
        )
    return _detail(request, area_id)


@router.post(
    "/areas/{area_id}/points",
    dependencies=[needs(Right.REGISTRY_EDIT)],
    responses=documented(400, 404, 422),
    summary="Move metering points to an area",
)
def post_points(request: Request, area_id: Id, wanted: shapes.PointsMoved) -> shapes.MovedAnswer:
    """Let points belong to this area from now on."""
    services = services_of(request)
    with services.database.write() as session:
        moved = move_points(
            services.registry(session), wanted.point_ids, area_id=area_id, now=services.clock()
        )
        return shapes.MovedAnswer(moved=len(moved))
