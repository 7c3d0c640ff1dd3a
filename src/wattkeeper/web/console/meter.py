"""A meter's page: who it is, what it says now, what it measured; its heavier cards are in `meter_cards`."""

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.responses import Response

from wattkeeper.collection.values import MeterState
from wattkeeper.kernel.errors import WattkeeperError
from wattkeeper.security.rights import Right
from wattkeeper.web.access import needs
from wattkeeper.web.console.curve_card import Asked, asked, curve_words, meter_curve
from wattkeeper.web.console.meter_cards import Id, heat_card, meter_zone
from wattkeeper.web.console.words import Notice, carpet_words
from wattkeeper.web.language import Language
from wattkeeper.web.pages import language_of, render, services_of, wants_fragment
from wattkeeper.web.queries import meters, values
from wattkeeper.web.queries.links import health_today
from wattkeeper.web.queries.meters import MeterIdentity
from wattkeeper.web.queries.plans import plans_of_meter
from wattkeeper.web.queries.reading import read_now
from wattkeeper.web.queries.states import meter_shown
from wattkeeper.web.sayings import failure_said
from wattkeeper.web.services import Services

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, slots=True)
class StatusView:
    """How a meter fares, in words."""

    level: str
    text: str
    why: str | None
    raw: str | None
    last_success_at: datetime | None
    clock_deviation: Decimal | None
    success: float | None


@router.get("/meters/{meter_id}", dependencies=[needs(Right.METERS_VIEW)], response_class=HTMLResponse)
def meter_page(
    request: Request, meter_id: Id, wanted: Annotated[Asked, Depends(asked)], heat: str = ""
) -> HTMLResponse:
    """A meter; each of its cards can be asked for alone."""
    services = services_of(request)
    found, installations = meters.identity(services, meter_id)
    zone = meter_zone(request, found)
    say = language_of(request, zone.key)
    open_days = wanted.span in {"month", "year"} or (wanted.first is not None and wanted.last is not None)
    context: dict[str, Any] = {
        "zone": zone.key, "meter": found, "carpet_words": carpet_words(say), "open_days": open_days,
    }  # fmt: skip
    if wants_fragment(request, "facts"):
        return render(request, "meter.html", block="facts", **context, **_now(services, found, zone, say))
    if found.point_id is not None and wants_fragment(request, "heat"):
        return render(
            request, "meter.html", block="heat", **context, heat=heat_card(services, zone, say, heat)
        )
    latest = values.latest_of(services.store, meter_id)
    if wants_fragment(request, "curve"):  # its intervals take longer to read than all the rest of the page
        curve = meter_curve(services, found, say, wanted, last_known=_last_reading(latest))
        return render(request, "meter.html", block="curve", **context, curve=curve, **curve_words(say))
    return render(
        request,
        "meter.html",
        **context,
        curve=None,
        heat=heat_card(services, zone, say, heat),
        installations=installations,
        **_now(services, found, zone, say, latest=latest),
        **curve_words(say),
    )


def _last_reading(latest: list[values.Value]) -> datetime | None:
    energies = (value.read_at for value in latest if value.quantity == values.ENERGY)
    return max(energies, default=None)


@router.post(
    "/meters/{meter_id}/read-now", dependencies=[needs(Right.METERS_READ)], response_class=HTMLResponse
)
async def read_meter(request: Request, meter_id: Id) -> Response:
    """Ask the meter, and show what it said or why it said nothing."""
    services = services_of(request)
    say = await run_in_threadpool(language_of, request)
    try:
        read = await read_now(services, meter_id)
        notice = Notice("good", say.text("The meter answered with %(n)s values.", n=say.number(len(read))))
    except WattkeeperError as error:
        notice = Notice.of(error, say)
    return await run_in_threadpool(_after_reading, request, meter_id, notice)


def _after_reading(request: Request, meter_id: int, notice: Notice) -> Response:
    if not wants_fragment(request, "live"):
        return RedirectResponse(f"/meters/{meter_id}", status_code=303)
    services = services_of(request)
    found, _ = meters.identity(services, meter_id)
    zone = meter_zone(request, found)
    now = _now(services, found, zone, language_of(request, zone.key), notice=notice)
    return render(request, "meter.html", block="live", zone=zone.key, meter=found, **now)


def _now(
    services: Services,
    found: MeterIdentity,
    zone: ZoneInfo,
    say: Language,
    *,
    notice: Notice | None = None,
    latest: list[values.Value] | None = None,
) -> dict[str, Any]:
    if latest is None:
        latest = values.latest_of(services.store, found.id)
    state = services.collector.meter_state(found.id) if services.collector else None
    status = _status(services, found, state, zone, say)
    if notice is not None and notice.raw and not notice.hint:
        # why reads of it fail, where the error itself has no hint
        notice = replace(notice, hint=status.why or None)
    phases = values.phase_rows(latest)
    of_phases = {value.quantity for row in phases for value in (*row.values, row.total) if value}
    return {
        "collecting": services.collector is not None,
        "notice": notice,
        "live": [value for value in values.live_values(latest) if value.quantity not in of_phases],
        "phases": phases,
        "plans": plans_of_meter(services, found.id, say),
        "registers": values.register_values(latest),
        "status": status,
    }


def _status(
    services: Services, found: MeterIdentity, state: MeterState | None, zone: ZoneInfo, say: Language
) -> StatusView:
    shown = meter_shown(state, enabled=found.enabled, say=say)
    rate = health_today(services, zone, meter_id=found.id).of_meter(found.id)
    deviation = state.clock_deviation if state else None
    return StatusView(
        level=shown.level,
        text=shown.text,
        why=failure_said(rate.failures, say) if rate and shown.level in {"warn", "bad"} else None,
        raw=state.last_failure if state and shown.level in {"warn", "bad"} else None,
        last_success_at=state.last_success_at if state else None,
        clock_deviation=None if deviation is None else Decimal(str(round(deviation.total_seconds(), 1))),
        success=rate.rate if rate else None,
    )
