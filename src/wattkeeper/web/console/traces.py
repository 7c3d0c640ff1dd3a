"""The pages that trace a value: an interval to its registers, a reading to the octets it came in."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.responses import Response

from wattkeeper.security.rights import Right
from wattkeeper.web.access import needs
from wattkeeper.web.console.exchanges import load_record_stamp
from wattkeeper.web.pages import language_of, render, services_of
from wattkeeper.web.problems import BadRequest
from wattkeeper.web.queries.curves import IMPORT
from wattkeeper.web.queries.traces import interval_trace, latest_instant, nearest_instant, trace_reading

router = APIRouter(include_in_schema=False, dependencies=[needs(Right.METERS_VIEW)])
Id = Annotated[int, Path(ge=1, le=2**53)]
Key = Annotated[str, Path(max_length=60)]


@router.get("/readings/{meter_id}/{quantity}/latest")
def latest_reading(request: Request, meter_id: Id, quantity: Key) -> RedirectResponse:
    """Lead to the newest reading of a quantity."""
    services = services_of(request)
    return RedirectResponse(_address(meter_id, quantity, latest_instant(services, meter_id, quantity)), 303)


@router.get("/readings/{meter_id}/{quantity}/{instant}", response_class=HTMLResponse)
def reading_page(request: Request, meter_id: Id, quantity: Key, instant: datetime) -> Response:
    """One reading: what it stands for, its versions, and the frames it came in.

    An instant up to 30 s beside a reading, as a boundary that it stands for, leads to that reading.
    """
    services, asked = services_of(request), _aware(instant)
    at = nearest_instant(services, meter_id, quantity, asked)
    if at != asked:
        return RedirectResponse(_address(meter_id, quantity, at), 303)
    found = trace_reading(services, meter_id, quantity, at, language_of(request))
    say = language_of(request, found.zone.key)
    exchange = found.exchange
    stamp = load_record_stamp(found.read_at, say)
    return render(
        request,
        "reading.html",
        zone=found.zone.key,
        reading=found,
        request_frames=exchange.request_frames(say) if exchange else [],
        reply_frames=exchange.reply_frames(say, recorded_at=stamp) if exchange else [],
    )


@router.get("/points/{point_id}/intervals/{instant}", response_class=HTMLResponse)
def interval_page(
    request: Request,
    point_id: Id,
    instant: datetime,
    quantity: Annotated[str, Query(max_length=60)] = IMPORT,
) -> HTMLResponse:
    """One interval: the registers at its two ends, or the estimate and what that rests on."""
    services = services_of(request)
    found = interval_trace(services, point_id, quantity, _aware(instant), language_of(request))
    return render(
        request,
        "interval.html",
        zone=found.zone.key,
        interval=found,
        query="" if quantity == IMPORT else f"?quantity={quantity}",
    )


def _address(meter_id: int, quantity: str, at: datetime) -> str:
    return f"/readings/{meter_id}/{quantity}/{at.isoformat().replace('+00:00', 'Z')}"


def _aware(instant: datetime) -> datetime:
    if instant.tzinfo is None:
        raise BadRequest("An instant says its offset.", hint="Write it as 2026-11-22T09:00:00Z.")
    return instant.astimezone(UTC)
