"""Series of any meters, points and areas at any resolution: an answer of at most 10,000 values, or a file of all."""

from datetime import datetime
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import StreamingResponse

from wattkeeper.readings.files.tables import MEDIA_TYPES, TableFormat, written
from wattkeeper.readings.grids import Resolution
from wattkeeper.registry.chosen import MOST_NAMED, Wanted
from wattkeeper.security.audit import record
from wattkeeper.security.rights import Right
from wattkeeper.web.access import needs
from wattkeeper.web.api import series_schemas as shapes
from wattkeeper.web.pages import services_of, site_zone
from wattkeeper.web.problems import BadRequest, documented
from wattkeeper.web.queries.curves import IMPORT
from wattkeeper.web.queries.periods import asked_period
from wattkeeper.web.queries.series import Compare, Laid, SeriesAsked, series, series_file, zone_for

router = APIRouter(prefix="/series", tags=["series"], dependencies=[needs(Right.METERS_VIEW)])
Ids = Annotated[list[Annotated[int, Query(ge=1, le=2**53)]], Query(max_length=MOST_NAMED)]
Names = Annotated[list[Annotated[str, Query(max_length=80)]], Query(max_length=MOST_NAMED)]


def wanted_of(  # noqa: PLR0917 (FastAPI names them)
    meter_id: Ids = [],  # noqa: B006 (FastAPI copies it)
    meter: Names = [],  # noqa: B006
    point_id: Ids = [],  # noqa: B006
    point: Names = [],  # noqa: B006
    area_id: Ids = [],  # noqa: B006
    area: Names = [],  # noqa: B006
    site: Names = [],  # noqa: B006
) -> Wanted:
    """What an address names: meters by id or address, points and areas by id or code, sites by code; all may be repeated."""
    return Wanted(
        meter_ids=tuple(meter_id),
        meters=tuple(meter),
        point_ids=tuple(point_id),
        points=tuple(point),
        area_ids=tuple(area_id),
        areas=tuple(area),
        sites=tuple(site),
    )


def asked_of(
    request: Request,
    *,
    wanted: Annotated[Wanted, Depends(wanted_of)],
    quantity: Annotated[str, Query(max_length=80)] = IMPORT,
    period: Annotated[str | None, Query(max_length=20, examples=["last-7-days"])] = None,
    start: datetime | None = None,
    end: datetime | None = None,
    resolution: Annotated[
        Resolution | None, Query(description="Left out: the finest that fits into the answer.")
    ] = None,
    zone: Annotated[
        str | None, Query(max_length=64, description="In which zone days are counted; else the site's.")
    ] = None,
    together: Annotated[bool, Query(description="All that is named as one series.")] = False,
    compare: Annotated[
        Compare | None, Query(description="The same for the period before, or for a year earlier.")
    ] = None,
    as_known_at: Annotated[
        datetime | None, Query(description="What was known then, whatever was corrected since.")
    ] = None,
) -> SeriesAsked:
    """What an address asks for."""
    services = services_of(request)
    counted_in = zone_for(services, wanted, _zone(zone), site_zone(request))
    span = asked_period(
        period=period, start=start, end=end, zone=counted_in, now=services.clock(), default="today"
    )
    if as_known_at is not None and as_known_at.tzinfo is None:
        as_known_at = as_known_at.replace(tzinfo=counted_in)
    return SeriesAsked(wanted, quantity, span, counted_in, resolution, together, compare, as_known_at)


Asked = Annotated[SeriesAsked, Depends(asked_of)]


@router.get("", responses=documented(400, 404, 422), summary="Series over time")
def get_series(request: Request, asked: Asked) -> shapes.SeriesAnswer:
    """Energy of registers, or samples of everything else, per slot of a calendar-aware grid; at most 10,000 values.

    What does not fit is shown coarser: energies are added; of powers and of samples the lowest and the highest are
    kept. `reduced` says so. Energies are those of the points; samples are as the meters show them.
    """
    found = series(services_of(request), asked)
    return shapes.SeriesAnswer(
        quantity=found.quantity.key,
        unit=found.quantity.unit,
        kind=found.quantity.kind,
        zone=found.zone.key,
        resolution=found.resolution,
        reduced=None
        if found.why is None
        else shapes.Reduced(
            asked=found.asked or Resolution.QUARTER,
            why=found.why,
            how="sum" if found.quantity.is_energy else "mean",
            kept=["lowest", "highest"],
        ),
        as_known_at=asked.as_known_at,
        shown=_laid(found.shown),
        before=None if found.before is None else _laid(found.before),
    )


@router.get(
    "/file",
    response_class=StreamingResponse,
    responses=documented(400, 404, 422)
    | {200: {"content": {kind: {} for kind in MEDIA_TYPES.values()}, "description": "The file."}},
    summary="Series over time, as a file",
)
def get_series_file(
    request: Request,
    asked: Asked,
    *,
    format: TableFormat = TableFormat.CSV,  # noqa: A002 (its name in the address)
) -> StreamingResponse:
    """The same as CSV, Parquet or Arrow, streamed: every slot at the resolution asked for (a quarter hour when left out)."""
    services = services_of(request)
    schema, batches = series_file(services, asked)
    with services.database.write() as session:
        record(
            session,
            "export",
            now=services.clock(),
            subject=("table", "series"),
            name=request.url.path,
            after={"format": format.value, "filter": request.url.query},
        )
    headers = {"content-disposition": f'attachment; filename="series.{format.value}"'}
    body = written(batches, schema, format, asked.zone)
    return StreamingResponse(body, media_type=MEDIA_TYPES[format], headers=headers)


def _laid(laid: Laid) -> shapes.SeriesPeriod:
    return shapes.SeriesPeriod(
        start=laid.period.start,
        end=laid.period.closed_end,
        starts=laid.starts,
        series=[
            shapes.OneSeries.model_validate(
                {"kind": one.kind, "id": one.id, "code": one.code, "name": one.name, "total": one.total}
                | one.columns
            )
            for one in laid.series
        ],
    )


def _zone(name: str | None) -> ZoneInfo | None:
    if name is None:
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise BadRequest(
            f"There is no time zone {name!r}.", hint="Use an IANA name, such as Asia/Shanghai."
        ) from None
