"""The list of meters, and a meter's page."""

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, RedirectResponse, StreamingResponse
from starlette.responses import Response

from wattkeeper.collection.values import MeterState
from wattkeeper.kernel.errors import WattkeeperError
from wattkeeper.kernel.timerange import TimeRange, start_of_day
from wattkeeper.registry.values import AreaNode
from wattkeeper.security.rights import Right
from wattkeeper.web.access import needs
from wattkeeper.web.console.words import Notice, chart_words, pager
from wattkeeper.web.language import Language
from wattkeeper.web.pages import language_of, render, services_of, site_zone, wants_fragment, with_query
from wattkeeper.web.queries import meters, values
from wattkeeper.web.queries.curves import Resolution, load_curve
from wattkeeper.web.queries.links import health_today
from wattkeeper.web.queries.meters import MeterFilter, MeterIdentity
from wattkeeper.web.queries.reading import read_now
from wattkeeper.web.queries.states import N_, meter_shown
from wattkeeper.web.sayings import failure_said
from wattkeeper.web.services import Services

router = APIRouter(include_in_schema=False)
Id = Annotated[int, Path(ge=1, le=2**53)]
DAY: Final = timedelta(days=1)
SPANS: Final = {"day": N_("1 day"), "week": N_("7 days"), "month": N_("Month")}
STATES: Final = {
    "answering": N_("answering"),
    "failing": N_("failing"),
    "silent": N_("silent"),
    "unknown": N_("not asked yet"),
    "disabled": N_("disabled"),
}
EXCHANGES_SHOWN: Final = 8
EXPORT_PAGE: Final = 500
EXPORT_HEAD: Final = (
    N_("Address"),
    N_("Metering point"),
    N_("Area"),
    N_("Link"),
    N_("State"),
    N_("Import register (kWh)"),
    N_("Power (kW)"),
    N_("Last reading"),
)
FORMULA_STARTS: Final = frozenset("=+-@\t\r")


def asked_filter(
    *,
    search: Annotated[str, Query(max_length=100)] = "",
    link: Annotated[str, Query(max_length=64)] = "",
    area: Annotated[str, Query(pattern=r"^[0-9]{0,15}$")] = "",
    state: Annotated[str, Query(max_length=20)] = "",
    sort: Annotated[str, Query(pattern="^(address|point_name|link)$")] = "address",
    descending: Annotated[bool, Query()] = False,
) -> MeterFilter:
    """The filter an address carries; the form's empty choices arrive as empty texts."""
    return MeterFilter(
        search, link, int(area) if area else None, state if state in STATES else "", sort, descending
    )


Asked = Annotated[MeterFilter, Depends(asked_filter)]


@dataclass(frozen=True, slots=True)
class AreaChoice:
    """An area in a list of choices, set in by its depth."""

    id: int
    name: str


def area_choices(nodes: tuple[AreaNode, ...], depth: int = 0) -> Iterator[AreaChoice]:
    """The tree as a list."""
    for node in nodes:
        yield AreaChoice(node.area_id, "\u2003" * depth + node.name)
        yield from area_choices(node.children, depth + 1)


@router.get("/meters", dependencies=[needs(Right.METERS_VIEW)], response_class=HTMLResponse)
def meters_page(
    request: Request, wanted: Asked, after: Annotated[str | None, Query(max_length=500)] = None
) -> HTMLResponse:
    """The list of meters, filtered by its address."""
    services, say = services_of(request), language_of(request)
    found = meters.find(services, wanted, after=after)
    rows = meters.lines(services, found, say)
    with services.database.read() as session:
        registry = services.registry(session)
        links = registry.links()
        areas = [area for site in registry.sites() for area in area_choices(registry.area_tree(site.id))]
    return render(
        request,
        "meters.html",
        block="results",
        page=pager(say, rows, after=found.after, asked=after, total=found.total),
        filters=wanted,
        filtered=wanted.narrowed,
        links=links,
        areas=areas,
        states=[(code, say.text(text)) for code, text in STATES.items()],
        export=with_query(request, after=None).replace("/meters", "/meters.csv", 1),
    )


@router.get("/meters.csv", dependencies=[needs(Right.METERS_VIEW)])
def meters_export(request: Request, wanted: Asked) -> Response:
    """Every meter of the filter as CSV, written a page at a time."""
    services, say = services_of(request), language_of(request)

    def rows() -> Iterator[str]:
        yield "\ufeff" + csv_line(
            say.text(name) for name in EXPORT_HEAD
        )  # Excel takes UTF-8 only with this mark
        after = None
        while True:
            found = meters.find(services, wanted, after=after, limit=EXPORT_PAGE)
            for line in meters.lines(services, found, say):
                read_at = say.moment(line.read_at, seconds=True) if line.read_at else ""
                yield csv_line(
                    (
                        line.address,
                        line.point,
                        line.area,
                        line.link,
                        line.state,
                        line.energy_kwh,
                        line.power_kw,
                        read_at,
                    )
                )
            after = found.after
            if after is None:
                return

    headers = {"content-disposition": 'attachment; filename="meters.csv"'}
    return StreamingResponse(rows(), media_type="text/csv; charset=utf-8", headers=headers)


def csv_line(cells: Iterable[object]) -> str:
    """A line of CSV; a text that a spreadsheet would take for a formula is kept one."""
    safe = [f"'{cell}" if isinstance(cell, str) and cell[:1] in FORMULA_STARTS else cell for cell in cells]
    line = io.StringIO()
    csv.writer(line).writerow("" if cell is None else cell for cell in safe)
    return line.getvalue()


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
    assert period.end is not None
    return f"/api/v1/points/{point_id}/load-curve?start={period.start:%Y-%m-%dT%H:%M:%SZ}&end={period.end:%Y-%m-%dT%H:%M:%SZ}&resolution={resolution}"
