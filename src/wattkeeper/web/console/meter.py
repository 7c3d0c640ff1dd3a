"""A meter's page: who it is, what it says now, what it measured."""

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Path, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.responses import Response

from wattkeeper.collection.values import MeterState
from wattkeeper.kernel.errors import WattkeeperError
from wattkeeper.kernel.timerange import TimeRange, start_of_day
from wattkeeper.security.rights import Right
from wattkeeper.web.access import needs
from wattkeeper.web.console.words import Notice, chart_words
from wattkeeper.web.language import Language
from wattkeeper.web.pages import language_of, render, services_of, site_zone, wants_fragment
from wattkeeper.web.queries import meters, values
from wattkeeper.web.queries.curves import Resolution, load_curve
from wattkeeper.web.queries.links import health_today
from wattkeeper.web.queries.meters import MeterIdentity
from wattkeeper.web.queries.reading import read_now
from wattkeeper.web.queries.states import N_, meter_shown
from wattkeeper.web.sayings import failure_said
from wattkeeper.web.services import Services

router = APIRouter(include_in_schema=False)
Id = Annotated[int, Path(ge=1, le=2**53)]
DAY: Final = timedelta(days=1)
SPANS: Final = {"day": N_("1 day"), "week": N_("7 days"), "month": N_("Month")}
EXCHANGES_SHOWN: Final = 8


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


@dataclass(frozen=True, slots=True)
class ExchangeLine:
    """An exchange whose values are among the latest."""

    id: int
    at: datetime
    what: str


@dataclass(frozen=True, slots=True)
class CurveView:
    """What the card of the load curve shows."""

    span: str
    compare: bool
    label: str
    earlier: str
    later: str | None
    url: str
    before_url: str
    file: str
    """Where the curve is fetched as a file, by quarter hours whatever is drawn."""
    energy_kwh: Decimal | None
    before_kwh: Decimal | None
    peak_kw: Decimal | None
    peak_at: datetime | None
    estimated: int
    any: bool


@router.get("/meters/{meter_id}", dependencies=[needs(Right.METERS_VIEW)], response_class=HTMLResponse)
def meter_page(
    request: Request,
    meter_id: Id,
    *,
    span: Annotated[str, Query(pattern="^(day|week|month)$")] = "day",
    at: date | None = None,
    compare: bool = False,
) -> HTMLResponse:
    """A meter: who it is, what it says now, what it measured."""
    services = services_of(request)
    found, installations = meters.identity(services, meter_id)
    zone = ZoneInfo(found.zone) if found.zone else site_zone(request)
    say = language_of(request, zone.key)
    if wants_fragment(request, "facts"):
        now = _now(services, found, zone, say)
        return render(request, "meter.html", block="facts", zone=zone.key, meter=found, **now)
    curve = (
        _curve(services, found.point_id, zone, say, span=span, at=at, compare=compare)
        if found.point_id
        else None
    )
    if curve is not None and wants_fragment(request, "curve"):
        return render(
            request, "meter.html", block="curve", zone=zone.key, meter=found, curve=curve, **_curve_words(say)
        )
    return render(
        request,
        "meter.html",
        zone=zone.key,
        meter=found,
        curve=curve,
        installations=installations,
        **_now(services, found, zone, say),
        **_curve_words(say),
    )


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
    zone = ZoneInfo(found.zone) if found.zone else site_zone(request)
    say = language_of(request, zone.key)
    return render(
        request,
        "meter.html",
        block="live",
        zone=zone.key,
        meter=found,
        **_now(services, found, zone, say, notice),
    )


def _now(
    services: Services, found: MeterIdentity, zone: ZoneInfo, say: Language, notice: Notice | None = None
) -> dict[str, Any]:
    latest = values.latest_of(services.store, found.id)
    state = services.collector.meter_state(found.id) if services.collector else None
    status = _status(services, found, state, zone, say)
    if notice is not None and notice.raw and not notice.hint:
        notice = replace(
            notice, hint=status.why or None
        )  # why reads of it fail, where the error itself has no hint
    return {
        "collecting": services.collector is not None,
        "notice": notice,
        "live": values.live_values(latest),
        "registers": values.register_values(latest),
        "exchanges": _exchanges(latest, say),
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


def _exchanges(latest: list[values.Value], say: Language) -> list[ExchangeLine]:
    """The exchanges that the latest values came in, newest first."""
    by_exchange: dict[int, list[values.Value]] = {}
    for value in latest:
        if value.exchange_id is not None:
            by_exchange.setdefault(value.exchange_id, []).append(value)
    newest = sorted(by_exchange.items(), key=lambda item: item[1][0].read_at, reverse=True)[:EXCHANGES_SHOWN]

    def what(read: list[values.Value]) -> str:
        first = say.quantity(read[0].quantity)
        return (
            first
            if len(read) == 1
            else say.text("%(first)s and %(n)s more", first=first, n=say.number(len(read) - 1))
        )

    return [ExchangeLine(exchange_id, read[0].read_at, what(read)) for exchange_id, read in newest]


def _curve_words(say: Language) -> dict[str, Any]:
    return {"words": chart_words(say), "spans": [(code, say.text(text)) for code, text in SPANS.items()]}


def _curve(
    services: Services,
    point_id: int,
    zone: ZoneInfo,
    say: Language,
    *,
    span: str,
    at: date | None,
    compare: bool,
) -> CurveView:
    today = services.clock().astimezone(zone).date()
    first, last = _days(span, _within_calendar(at or today, today))
    before_first, before_last = _days(span, first - DAY)
    resolution = Resolution.DAY if span == "month" else Resolution.QUARTER
    period, before = _period(first, last, zone), _period(before_first, before_last, zone)
    now = load_curve(services.store, point_ids=[point_id], period=period, resolution=resolution, zone=zone)
    then = (
        load_curve(services.store, point_ids=[point_id], period=before, resolution=resolution, zone=zone)
        if compare
        else None
    )
    peak = now.peak if resolution is Resolution.QUARTER else None
    return CurveView(
        span=span,
        compare=compare,
        label=say.month(first)
        if span == "month"
        else say.date(first)
        if span == "day"
        else f"{say.date(first)} – {say.date(last)}",
        earlier=str(before_last),
        later=str(last + DAY) if last < today else None,
        url=_curve_url(point_id, period, resolution),
        before_url=_curve_url(point_id, before, resolution),
        file=f"/points/{point_id}/load-curve?{_period_query(period)}",
        energy_kwh=now.total_kwh,
        before_kwh=then.total_kwh if then else None,
        peak_kw=peak[0] if peak else None,
        peak_at=peak[1] if peak else None,
        estimated=now.estimated,
        any=bool(now.known.any()) or bool(then is not None and then.known.any()),
    )


def _within_calendar(day: date, today: date) -> date:
    """A day of an address, kept where a month before and after it still exist."""
    return min(max(day, date(2000, 1, 1)), today)


def _days(span: str, last: date) -> tuple[date, date]:
    """First and last day of the span that holds or ends with a day."""
    if span == "day":
        return last, last
    if span == "week":
        return last - 6 * DAY, last
    first = last.replace(day=1)
    return first, (first + 31 * DAY).replace(day=1) - DAY


def _period(first: date, last: date, zone: ZoneInfo) -> TimeRange:
    return TimeRange(start_of_day(first, zone), start_of_day(last + DAY, zone))


def _curve_url(point_id: int, period: TimeRange, resolution: Resolution) -> str:
    return f"/api/v1/points/{point_id}/load-curve?{_period_query(period)}&resolution={resolution}"


def _period_query(period: TimeRange) -> str:
    assert period.end is not None
    return f"start={period.start:%Y-%m-%dT%H:%M:%SZ}&end={period.end:%Y-%m-%dT%H:%M:%SZ}"
