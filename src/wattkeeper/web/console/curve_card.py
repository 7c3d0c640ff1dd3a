"""The card of a load curve, of a meter's point or of an area: its span, its figures, and where its chart gets its data."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Final
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from fastapi import Query

from wattkeeper.web.console.words import chart_words
from wattkeeper.web.language import Language
from wattkeeper.web.queries.curves import Curve, Resolution, load_curve
from wattkeeper.web.queries.meters import MeterIdentity
from wattkeeper.web.queries.spans import NAMES, Name, Span, asked_span
from wattkeeper.web.services import Services

QUARTERS_IN_FILE_DAYS: Final = 100
HOURS_IN_FILE_DAYS: Final = 400


@dataclass(frozen=True, slots=True)
class Asked:
    """What an address says of a curve."""

    span: Name = "day"
    at: date | None = None
    first: date | None = None
    last: date | None = None
    compare: bool = False

    def on(self, today: date) -> Span:
        """The days it means, seen from today."""
        return asked_span(self.span, at=self.at, first=self.first, last=self.last, today=today)


def asked(
    *,
    span: Name = "day",
    at: date | None = None,
    first: Annotated[date | None, Query(alias="from")] = None,
    last: Annotated[date | None, Query(alias="to")] = None,
    compare: bool = False,
) -> Asked:
    """The parameters of an address: a span and a day in it, or two days; `compare` with the period before."""
    return Asked(span, at, first, last, compare)


@dataclass(frozen=True, slots=True)
class CurveView:
    """What the card shows; its addresses are those of the API."""

    span: str | None
    first: date
    last: date
    today: date
    compare: bool
    label: str
    earlier: dict[str, str | None]
    later: dict[str, str | None] | None
    resolution: str
    url: str
    before_url: str
    events_url: str
    file: str
    """Where the curve is fetched as a file: by quarter hours, unless that would be too many rows."""
    energy_kwh: Decimal | None
    before_kwh: Decimal | None
    peak_kw: Decimal | None
    peak_at: datetime | None
    estimated: int
    any: bool
    last_known: date | None
    """The newest day with data, where this span has none."""


def curve_words(say: Language) -> dict[str, Any]:
    """What charts say, and the names of the spans."""
    return {"words": chart_words(say), "spans": [(code, say.text(text)) for code, text in NAMES.items()]}


def meter_curve(
    services: Services, found: MeterIdentity, say: Language, wanted: Asked, *, last_known: datetime | None
) -> CurveView | None:
    """The curve of a meter's point; None while it hangs nowhere."""
    if found.point_id is None:
        return None
    point_id, zone = found.point_id, say.zone

    def load(span: Span) -> Curve:
        return load_curve(
            services.store,
            point_ids=[point_id],
            period=span.period(zone),
            resolution=span.resolution,
            zone=zone,
        )

    curve = f"/points/{point_id}/load-curve"
    source = Source(load, api=f"/api/v1{curve}", file=curve, events=f"/api/v1/meters/{found.id}/events")
    return curve_view(source, wanted, say, now=services.clock(), last_known=last_known)


@dataclass(frozen=True, slots=True)
class Source:
    """Where a curve comes from: `load` finds that of a span, the others are addresses."""

    load: Callable[[Span], Curve]
    api: str
    file: str
    events: str = ""


def curve_view(
    source: Source,
    wanted: Asked,
    say: Language,
    *,
    now: datetime,
    last_known: datetime | None = None,
) -> CurveView:
    """The card's figures, in the zone of the language."""
    zone, load = say.zone, source.load
    today = now.astimezone(zone).date()
    span = wanted.on(today)
    curve = load(span)
    then = load(span.before) if wanted.compare else None
    peak = curve.peak if span.resolution is Resolution.QUARTER else None
    there = bool(curve.known.any())
    later = span.later(today)
    return CurveView(
        span=span.name,
        first=span.first,
        last=span.last,
        today=today,
        compare=wanted.compare,
        label=span.label(say),
        earlier=_address(span.before),
        later=_address(_following(span, later)) if later else None,
        resolution=span.resolution.value,
        url=_url(source.api, span, zone, span.resolution),
        before_url=_url(source.api, span.before, zone, span.resolution),
        events_url=_url(source.events, span, zone) if source.events else "",
        file=_url(source.file, span, zone, _finest(span)),
        energy_kwh=curve.total_kwh,
        before_kwh=then.total_kwh if then else None,
        peak_kw=peak[0] if peak else None,
        peak_at=peak[1] if peak else None,
        estimated=curve.estimated,
        any=there or bool(then is not None and then.known.any()),
        last_known=last_known.astimezone(zone).date() if last_known and not there else None,
    )


def _following(span: Span, later: date) -> Span:
    """The span that a day ends, or two days of the same length."""
    if span.name is not None:
        return Span(later, later, span.name)
    return Span(later - (span.last - span.first), later)


def _address(span: Span) -> dict[str, str | None]:
    """The parameters that lead to a span; None takes one away."""
    if span.name is not None:
        return {"at": str(span.last), "from": None, "to": None, "zoom": None}
    return {"from": str(span.first), "to": str(span.last), "at": None, "zoom": None}


def _finest(span: Span) -> Resolution:
    """The finest resolution that fits a file."""
    if span.days <= QUARTERS_IN_FILE_DAYS:
        return Resolution.QUARTER
    return Resolution.HOUR if span.days <= HOURS_IN_FILE_DAYS else Resolution.DAY


def _url(path: str, span: Span, zone: ZoneInfo, resolution: Resolution | None = None) -> str:
    period = span.period(zone)
    query = {"start": f"{period.start:%Y-%m-%dT%H:%M:%SZ}", "end": f"{period.closed_end:%Y-%m-%dT%H:%M:%SZ}"}
    if resolution is not None:
        query["resolution"] = resolution.value
    return f"{path}?{urlencode(query, safe=':')}"
