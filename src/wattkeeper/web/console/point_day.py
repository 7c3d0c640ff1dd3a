"""A metering point's day by quarter hour: what each rests on, with a link to its trace."""

from collections import Counter
from datetime import date
from decimal import Decimal
from typing import Annotated, Final
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import HTMLResponse

from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.security.rights import Right
from wattkeeper.web.access import needs
from wattkeeper.web.pages import language_of, render, services_of
from wattkeeper.web.problems import BadRequest
from wattkeeper.web.queries.curves import IMPORT
from wattkeeper.web.queries.grounds import GROUNDS, day_slots
from wattkeeper.web.queries.meters import points_with_meters
from wattkeeper.web.queries.spans import DAY, FIRST_DAY

router = APIRouter(include_in_schema=False, dependencies=[needs(Right.METERS_VIEW)])
Id = Annotated[int, Path(ge=1, le=2**53)]
Quantity = Annotated[str, Query(max_length=60)]
SHOWN_FIRST: Final = ("measured", "estimated", "edited", "untold", "missing", "ahead")


@router.get("/points/{point_id}/days/{day}", response_class=HTMLResponse)
def day_page(request: Request, point_id: Id, day: date, quantity: Quantity = IMPORT) -> HTMLResponse:
    """The intervals of a day, hour by hour."""
    services = services_of(request)
    with services.database.read() as session:
        registry = services.registry(session)
        point = registry.get_point(point_id)
        zone = ZoneInfo(registry.get_site(point.site_id).zone)
        meter = points_with_meters(registry, [point_id], services.clock()).get(point_id)
    say = language_of(request, zone.key)
    today = services.clock().astimezone(zone).date()
    if not FIRST_DAY <= day <= today:
        raise BadRequest(f"{day} is no day with data.", hint=f"Ask for a day from {FIRST_DAY} to {today}.")
    hours = day_slots(services, point_id, day, say, quantity=quantity, minutes=point.interval_minutes)
    slots = [slot for hour in hours for slot in hour]
    counts = Counter(slot.ground for slot in slots)
    known = [slot.energy for slot in slots if slot.energy is not None]
    period = TimeRange.day(day, zone)
    return render(
        request,
        "point_day.html",
        block="day",
        zone=zone.key,
        point=point,
        meter=meter,
        quantity=quantity,
        day=day,
        earlier=day - DAY,
        later=day + DAY if day < today else None,
        hours=hours,
        columns=max(len(hour) for hour in hours),
        grounds=[(ground, say.text(GROUNDS[ground]), counts[ground]) for ground in SHOWN_FIRST],
        energy=sum(known, Decimal(0)) if known else None,
        file=f"/points/{point_id}/load-curve?start={period.start:%Y-%m-%dT%H:%M:%SZ}&end={period.end:%Y-%m-%dT%H:%M:%SZ}",
    )
