"""The heavier cards of a meter's page, each with an address of its own: heat map, days, frames, events."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Final
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Path, Request
from fastapi.responses import HTMLResponse

from wattkeeper.kernel.timerange import TimeRange, start_of_day
from wattkeeper.security.rights import Right
from wattkeeper.web.access import needs, principal_of
from wattkeeper.web.console.curve_card import Asked, asked
from wattkeeper.web.exports import Column, Export, Table, exported
from wattkeeper.web.language import Language
from wattkeeper.web.pages import language_of, render, services_of, site_zone
from wattkeeper.web.queries import meters
from wattkeeper.web.queries.curves import IMPORT
from wattkeeper.web.queries.event_words import event_lines
from wattkeeper.web.queries.events import meter_events
from wattkeeper.web.queries.frames import KeptExchange, kept_exchanges
from wattkeeper.web.queries.meters import MeterIdentity
from wattkeeper.web.queries.spans import DAY, Span, named_month
from wattkeeper.web.queries.states import N_, Level
from wattkeeper.web.sayings import FAILURES
from wattkeeper.web.services import Services

router = APIRouter(include_in_schema=False)
Id = Annotated[int, Path(ge=1, le=2**53)]
HEAT_DAYS: Final = 56
"""Eight weeks: the rhythm of the week shows, and a column stays wide enough to be met on a phone."""
EXCHANGES_SHOWN: Final = 8
EXCHANGES_FROM: Final = timedelta(days=2)
DAYS_LONGEST: Final = 400


def meter_zone(request: Request, found: MeterIdentity) -> ZoneInfo:
    """The zone of the meter's site; of the first site, while it hangs nowhere."""
    return ZoneInfo(found.zone) if found.zone else site_zone(request)


@dataclass(frozen=True, slots=True)
class HeatView:
    """Which days the heat map shows; `month` is empty for the last eight weeks."""

    month: str
    label: str
    start: str
    end: str
    earlier: str
    later: str | None


def heat_card(services: Services, zone: ZoneInfo, say: Language, asked_month: str) -> HeatView:
    """The days of a month of an address (2026-10), else of the last eight weeks."""
    today = services.clock().astimezone(zone).date()
    this_month = today.replace(day=1)
    month = named_month(asked_month)
    if month is None or month > this_month:
        first, last = today - (HEAT_DAYS - 1) * DAY, today
        earlier, label = this_month, say.text("the last 8 weeks")
    else:
        first, last = month, (month + 31 * DAY).replace(day=1) - DAY
        earlier, label = (month - DAY).replace(day=1), say.month(month)
    period = TimeRange(start_of_day(first, zone), start_of_day(last + DAY, zone))
    following = (last + DAY).replace(day=1)
    return HeatView(
        month=f"{month:%Y-%m}" if month and month <= this_month else "",
        label=label,
        start=f"{period.start:%Y-%m-%dT%H:%M:%SZ}",
        end=f"{period.closed_end:%Y-%m-%dT%H:%M:%SZ}",
        earlier=f"{earlier:%Y-%m}",
        later=None if month is None else f"{following:%Y-%m}" if following <= this_month else "",
    )


@dataclass(frozen=True, slots=True)
class DayLine:
    """A day of the table that says what the chart shows."""

    day: date
    energy_kwh: Decimal | None
    mean_kw: Decimal | None
    level: Level
    ground: str


DAYS: Final[Table[DayLine]] = Table(
    "days",
    N_("Energy by day"),
    (
        Column(N_("Day"), lambda line: line.day, "date"),
        Column(N_("Energy"), lambda line: line.energy_kwh, "number", unit="kWh", decimals=2),
        Column(N_("Mean power"), lambda line: line.mean_kw, "number", unit="kW", decimals=3),
        Column(N_("Rests on"), lambda line: line.ground),
    ),
)


@router.get("/meters/{meter_id}/days", dependencies=[needs(Right.METERS_VIEW)], response_class=HTMLResponse)
def meter_days(request: Request, meter_id: Id, wanted: Annotated[Asked, Depends(asked)]) -> HTMLResponse:
    """The days of the curve's span as a table."""
    services = services_of(request)
    found, _ = meters.identity(services, meter_id)
    zone = meter_zone(request, found)
    say = language_of(request, zone.key)
    span = _days_shown(wanted, services, zone)
    lines = list(day_lines(services, found, zone, say, span))
    return render(
        request, "meter_days.html", block="days", zone=zone.key, meter=found, label=span.label(say), days=lines,
    )  # fmt: skip


@exported(router, "/meters/{meter_id}/days", needs(Right.METERS_VIEW))
def meter_days_export(
    request: Request, meter_id: Id, wanted: Annotated[Asked, Depends(asked)]
) -> Export[DayLine]:
    """The same days as a file."""
    services = services_of(request)
    found, _ = meters.identity(services, meter_id)
    zone = meter_zone(request, found)
    say = language_of(request, zone.key)
    return Export(DAYS, day_lines(services, found, zone, say, _days_shown(wanted, services, zone)), say)


def _days_shown(wanted: Asked, services: Services, zone: ZoneInfo) -> Span:
    """The span up to today: a table does not list the days to come."""
    today = services.clock().astimezone(zone).date()
    span = wanted.on(today)
    last = min(span.last, today)
    return Span(max(span.first, last - DAYS_LONGEST * DAY), last, span.name)


def day_lines(
    services: Services, found: MeterIdentity, zone: ZoneInfo, say: Language, span: Span
) -> Iterator[DayLine]:
    """Each day of a span, also those of which nothing is known; the newest first."""
    if found.point_id is None:
        return
    table = services.store.energy_by_day([found.point_id], IMPORT, span.period(zone), zone)
    known = {row["day"]: row for row in table.to_pylist()}
    day = span.last
    while day >= span.first:
        row = known.get(day)
        there = 0 if row is None else row["intervals"] - row["without_energy"]
        if row is None or there == 0:
            yield DayLine(day, None, None, "idle", say.text("not known"))
        else:
            hours = Decimal(there * (found.interval_minutes or 15)) / 60
            yield DayLine(
                day, row["energy"], row["energy"] / hours, *_ground(row, found, zone, say, services.clock())
            )
        day -= DAY


def _ground(
    row: dict[str, int], found: MeterIdentity, zone: ZoneInfo, say: Language, now: datetime
) -> tuple[Level, str]:
    """What a day's energy rests on: how many of its intervals are known, and how many of these are estimates."""
    day = TimeRange.day(row["day"], zone)  # type: ignore[arg-type]
    until = min(now, day.closed_end)
    expected = (until - day.start) // timedelta(minutes=found.interval_minutes or 15)
    there = row["intervals"] - row["without_energy"]
    parts = []
    if row["estimated"]:
        parts.append(say.text("%(n)s intervals estimated", n=say.number(row["estimated"])))
    if there < expected:
        parts.append(say.text("%(n)s intervals missing", n=say.number(expected - there)))
    return ("warn", say.listed(parts)) if parts else ("ok", say.text("measured"))


@router.get("/meters/{meter_id}/frames", dependencies=[needs(Right.METERS_VIEW)], response_class=HTMLResponse)
def meter_frames(request: Request, meter_id: Id) -> HTMLResponse:
    """The last exchanges with a meter, the newest octet by octet."""
    services = services_of(request)
    found, _ = meters.identity(services, meter_id)
    zone = meter_zone(request, found)
    say = language_of(request, zone.key)
    kept = kept_exchanges(services, meter_id, since=services.clock() - EXCHANGES_FROM, most=EXCHANGES_SHOWN)
    last = kept[0][1] if kept else None
    return render(
        request,
        "meter_frames.html",
        block="frames",
        zone=zone.key,
        meter=found,
        last=_exchange_line(*kept[0], say) if kept else None,
        earlier=[_exchange_line(exchange_id, exchange, say) for exchange_id, exchange in kept[1:]],
        request_frames=last.request_frames(say) if last else [],
        reply_frames=last.reply_frames(say) if last else [],
    )


@dataclass(frozen=True, slots=True)
class ExchangeLine:
    """An exchange in a line."""

    id: int
    at: datetime
    what: str
    level: Level
    outcome: str
    milliseconds: int | None


def _exchange_line(exchange_id: int, kept: KeptExchange, say: Language) -> ExchangeLine:
    asked_for = kept.request_frames(say)
    code = kept.outcome.partition(";")[0]
    answered = code == "ok"
    outcome = say.text("answered") if answered else say.text(FAILURES[code]) if code in FAILURES else code
    return ExchangeLine(
        id=exchange_id,
        at=kept.began_at,
        what=asked_for[0].what if asked_for else "",
        level="ok" if answered else "bad",
        outcome=outcome,
        milliseconds=kept.milliseconds,
    )


@router.get("/meters/{meter_id}/events", dependencies=[needs(Right.METERS_VIEW)], response_class=HTMLResponse)
def meter_events_page(request: Request, meter_id: Id) -> HTMLResponse:
    """What happened to a meter and its point."""
    services = services_of(request)
    found, _ = meters.identity(services, meter_id)
    zone = meter_zone(request, found)
    say = language_of(request, zone.key)
    principal = principal_of(request)
    happened = meter_events(services, meter_id, alarms=principal.may(Right.ALARMS_VIEW))
    lines = event_lines(happened, say, names=principal.may(Right.METERS_READ))
    return render(request, "meter_events.html", block="events", zone=zone.key, meter=found, events=lines)
