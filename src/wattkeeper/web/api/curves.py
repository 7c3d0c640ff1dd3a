"""Load curves of metering points."""

from datetime import datetime
from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Path, Query, Request

from wattkeeper.readings.quantities import quantity as catalogue_entry
from wattkeeper.security.rights import Right
from wattkeeper.web.access import needs
from wattkeeper.web.api import schemas
from wattkeeper.web.api.network_schemas import HeatMapAnswer
from wattkeeper.web.pages import services_of, site_zone
from wattkeeper.web.problems import documented
from wattkeeper.web.queries import within
from wattkeeper.web.queries.curves import IMPORT, Resolution, load_curve
from wattkeeper.web.queries.heat import heat_map, slots
from wattkeeper.web.queries.periods import asked_period

router = APIRouter(tags=["load curves"], dependencies=[needs(Right.METERS_VIEW)])
Period = Annotated[
    str | None,
    Query(
        max_length=20,
        description="today, yesterday, month, last-month, year or last-N-days; or give start and end.",
    ),
]


@router.get(
    "/points/{point_id}/load-curve",
    responses=documented(400, 404, 422),
    summary="Load curve of a metering point",
)
def point_curve(
    request: Request,
    *,
    point_id: Annotated[int, Path(ge=1, le=2**53)],
    period: Period = None,
    start: datetime | None = None,
    end: datetime | None = None,
    resolution: Resolution = Resolution.QUARTER,
    quantity: Annotated[str, Query(max_length=80)] = IMPORT,
) -> schemas.CurveAnswer:
    """Energy and mean power per quarter hour, hour, day or month; at most 10,000 bins."""
    services = services_of(request)
    with services.database.read() as session:
        registry = services.registry(session)
        zone = ZoneInfo(registry.get_site(registry.get_point(point_id).site_id).zone)
    return _answer(request, [point_id], zone, period, start, end, resolution, quantity)


@router.get(
    "/points/{point_id}/heat-map",
    responses=documented(400, 404, 422),
    summary="Heat map of a metering point",
)
def point_heat_map(
    request: Request,
    *,
    point_id: Annotated[int, Path(ge=1, le=2**53)],
    period: Period = None,
    start: datetime | None = None,
    end: datetime | None = None,
    quantity: Annotated[str, Query(max_length=80)] = IMPORT,
) -> HeatMapAnswer:
    """Civil days by quarter hours, 96 to a day; at most 100 days. Without a period, this month's."""
    services = services_of(request)
    catalogue_entry(quantity)
    with services.database.read() as session:
        registry = services.registry(session)
        zone = ZoneInfo(registry.get_site(registry.get_point(point_id).site_id).zone)
    now = services.clock()
    wanted = asked_period(period=period, start=start, end=end, zone=zone, now=now, default="month")
    found = heat_map(services.store, point_id=point_id, period=wanted, zone=zone, now=now, quantity=quantity)
    return HeatMapAnswer(
        zone=zone.key,
        days=list(found.days),
        slots=slots(),
        power_kw=found.power_kw(),
        energy_kwh=found.energy_kwh(),
        status=found.status(),
        most_kw=found.most_kw,
    )


@router.get("/load-curve", responses=documented(400, 404, 422), summary="Energy of all points together")
def total_curve(
    request: Request,
    *,
    period: Period = None,
    start: datetime | None = None,
    end: datetime | None = None,
    resolution: Resolution = Resolution.DAY,
    quantity: Annotated[str, Query(max_length=80)] = IMPORT,
) -> schemas.CurveAnswer:
    """Energy of all metering points per day or month."""
    point_ids = within.point_ids(services_of(request))
    return _answer(request, point_ids, site_zone(request), period, start, end, resolution, quantity)


def _answer(  # noqa: PLR0917 (called twice, beside its definition)
    request: Request,
    point_ids: list[int] | None,
    zone: ZoneInfo,
    name: str | None,
    start: datetime | None,
    end: datetime | None,
    resolution: Resolution,
    quantity: str,
) -> schemas.CurveAnswer:
    services = services_of(request)
    catalogue_entry(quantity)
    default = "today" if resolution is Resolution.QUARTER else "month"
    period = asked_period(period=name, start=start, end=end, zone=zone, now=services.clock(), default=default)
    curve = load_curve(
        services.store,
        point_ids=point_ids,
        period=period,
        resolution=resolution,
        zone=zone,
        quantity=quantity,
    )
    assert period.end is not None
    return schemas.CurveAnswer(
        resolution=resolution,
        zone=zone.key,
        start=period.start,
        end=period.end,
        starts=curve.starts,
        energy_kwh=curve.energy_kwh,
        power_kw=curve.power_kw,
        status=curve.status,
        total_kwh=curve.total_kwh,
    )
