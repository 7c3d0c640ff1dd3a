"""Meters, their values, readings and exchanges."""

from datetime import datetime
from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Path, Query, Request

from wattkeeper.registry.values import MeterRow
from wattkeeper.security.rights import Right
from wattkeeper.web.access import needs, principal_of
from wattkeeper.web.api import schemas
from wattkeeper.web.api.network_schemas import EventItem
from wattkeeper.web.pages import language_of, services_of, site_zone
from wattkeeper.web.problems import BadRequest, documented
from wattkeeper.web.queries import frames, meters, values
from wattkeeper.web.queries.event_words import event_lines
from wattkeeper.web.queries.events import meter_events
from wattkeeper.web.queries.periods import asked_period
from wattkeeper.web.queries.reading import read_now as ask_meter

router = APIRouter(tags=["meters"])
Id = Annotated[int, Path(ge=1, le=2**53)]
MOST_READINGS = 10_000


@router.get(
    "/meters", dependencies=[needs(Right.METERS_VIEW)], responses=documented(400, 422), summary="List meters"
)
def list_meters(
    request: Request,
    *,
    search: Annotated[
        str, Query(max_length=100, description="Part of address, point, account or customer.")
    ] = "",
    link: Annotated[str, Query(max_length=64, description="Code of a link.")] = "",
    area: Annotated[int | None, Query(ge=1, le=2**53)] = None,
    state: Annotated[str, Query(pattern="^(answering|failing|silent|unknown|disabled|)$")] = "",
    sort: Annotated[
        str, Query(pattern="^(address|point|point_name|link|area|account|customer|model)$")
    ] = "address",
    descending: bool = False,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    after: Annotated[str | None, Query(max_length=500, description="`next` of the page before.")] = None,
) -> schemas.Page[schemas.MeterItem]:
    """A page of meters, searched, filtered and sorted by the server."""
    wanted = meters.MeterFilter(search, link, area, state, sort, descending)
    found = meters.find(services_of(request), wanted, after=after, limit=limit)
    items = [_item(row, meters.presence_of(row, found.states)) for row in found.rows]
    return schemas.Page(items=items, next=found.after, total=found.total)


def _item(row: MeterRow, state: str) -> schemas.MeterItem:
    return schemas.MeterItem(
        id=row.meter_id,
        address=row.address,
        protocol=row.protocol,
        model=row.model,
        enabled=row.enabled,
        link=row.link_code,
        point_id=row.point_id,
        point_code=row.point_code,
        point_name=row.point_name,
        area=row.area_name,
        account_code=row.account_code,
        state=state,
    )


@router.get(
    "/meters/{meter_id}",
    dependencies=[needs(Right.METERS_VIEW)],
    responses=documented(404),
    summary="One meter",
)
def get_meter(request: Request, meter_id: Id) -> schemas.MeterDetail:
    """Identity, state and installations of a meter."""
    services = services_of(request)
    found, installations = meters.identity(services, meter_id)
    state = services.collector.meter_state(meter_id) if services.collector else None
    return schemas.MeterDetail(
        **{name: getattr(found, name) for name in schemas.MeterDetail.model_fields if hasattr(found, name)},
        state=(state.presence.value if state else "unknown") if found.enabled else "disabled",
        last_answer_at=state.last_success_at if state else None,
        last_failure=state.last_failure if state else None,
        installations=[schemas.InstallationItem.model_validate(item) for item in installations],
    )


@router.get(
    "/meters/{meter_id}/values",
    dependencies=[needs(Right.METERS_VIEW)],
    responses=documented(404),
    summary="Latest values of a meter",
)
def latest_values(request: Request, meter_id: Id) -> list[schemas.ValueItem]:
    """The newest reading of every quantity, in the order of the catalogue."""
    services = services_of(request)
    meters.identity(services, meter_id)
    return [
        schemas.ValueItem(
            quantity=value.quantity,
            obis=value.obis,
            value=value.value,
            unit=value.unit,
            read_at=value.read_at,
            source=value.source,
            status=value.status,
            exchange_id=_text(value.exchange_id),
        )
        for value in values.latest_of(services.store, meter_id)
    ]


@router.get(
    "/meters/{meter_id}/readings",
    dependencies=[needs(Right.METERS_VIEW)],
    responses=documented(400, 404, 422),
    summary="Readings of a meter",
)
def readings(
    request: Request,
    meter_id: Id,
    *,
    quantity: Annotated[str, Query(max_length=80)] = "active_energy_import",
    period: Annotated[str | None, Query(max_length=20, examples=["today", "last-7-days"])] = None,
    start: datetime | None = None,
    end: datetime | None = None,
) -> list[schemas.ReadingItem]:
    """The readings of one quantity in a period, oldest first; at most 10,000."""
    services = services_of(request)
    found, _ = meters.identity(services, meter_id)
    zone = ZoneInfo(found.zone) if found.zone else site_zone(request)
    wanted = asked_period(
        period=period, start=start, end=end, zone=zone, now=services.clock(), default="today"
    )
    table = services.store.readings(meter_ids=[meter_id], quantities=[quantity], period=wanted)
    if table.num_rows > MOST_READINGS:
        raise BadRequest(
            f"That period holds {table.num_rows:,} readings, more than {MOST_READINGS:,}.", hint="Shorten it."
        )
    return [
        schemas.ReadingItem(
            quantity=value.quantity,
            read_at=value.read_at,
            value=value.value,
            status=value.status,
            source=value.source,
            exchange_id=_text(value.exchange_id),
        )
        for value in values.values_of(table)
    ]


@router.get(
    "/meters/{meter_id}/events",
    dependencies=[needs(Right.METERS_VIEW)],
    responses=documented(400, 404, 422),
    summary="What happened to a meter",
)
def events(
    request: Request,
    meter_id: Id,
    *,
    period: Annotated[str | None, Query(max_length=20, examples=["month", "last-30-days"])] = None,
    start: datetime | None = None,
    end: datetime | None = None,
) -> list[EventItem]:
    """Installations, exchanges, rollovers, alarms and commands of a meter and its point, newest first; at most 200."""
    services, principal = services_of(request), principal_of(request)
    found, _ = meters.identity(services, meter_id)
    zone = ZoneInfo(found.zone) if found.zone else site_zone(request)
    asked = any(part is not None for part in (period, start, end))
    wanted = (
        asked_period(period=period, start=start, end=end, zone=zone, now=services.clock(), default="month")
        if asked
        else None
    )
    happened = meter_events(services, meter_id, alarms=principal.may(Right.ALARMS_VIEW), period=wanted)
    lines = event_lines(happened, language_of(request, zone.key), names=principal.may(Right.METERS_READ))
    return [EventItem.model_validate(line) for line in lines]


@router.post(
    "/meters/{meter_id}/read-now",
    dependencies=[needs(Right.METERS_READ)],
    responses=documented(404, 502, 503),
    summary="Read a meter now",
)
async def read_now(
    request: Request, meter_id: Id, quantity: Annotated[list[str] | None, Query(max_length=40)] = None
) -> list[schemas.LiveItem]:
    """Ask the meter ahead of everything queued; without quantities, for what its plans read."""
    services = services_of(request)
    found = await ask_meter(services, meter_id, quantity)
    return [
        schemas.LiveItem(
            quantity=item.quantity,
            value=item.value,
            unit=item.unit,
            read_at=item.read_at,
            exchange_id=_text(item.exchange_id),
        )
        for item in found
    ]


@router.get(
    "/exchanges/{exchange_id}",
    dependencies=[needs(Right.METERS_VIEW)],
    responses=documented(404),
    summary="The frames of a value, explained",
)
def exchange(request: Request, exchange_id: Annotated[int, Path(ge=1, lt=2**63)]) -> schemas.ExchangeAnswer:
    """The request and the reply a value came in, byte by byte. Ids are strings: they do not fit a JSON number."""
    kept = frames.kept_exchange(services_of(request), exchange_id)
    say = language_of(request)
    return schemas.ExchangeAnswer(
        id=str(exchange_id),
        meter_id=kept.meter_id,
        began_at=kept.began_at,
        ended_at=kept.ended_at,
        outcome=kept.outcome,
        request=[schemas.FrameAnswer.model_validate(frame) for frame in kept.request_frames(say)],
        reply=[schemas.FrameAnswer.model_validate(frame) for frame in kept.reply_frames(say)],
    )


def _text(exchange_id: int | None) -> str | None:
    return None if exchange_id is None else str(exchange_id)
