"""How well meters are read: success, latency and reasons of failure per link, protocol and hour."""

from typing import Annotated, Final

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.registry.errors import NotFound
from wattkeeper.registry.models import Link
from wattkeeper.security.rights import Right
from wattkeeper.web.access import needs
from wattkeeper.web.columns import Column
from wattkeeper.web.exports import Export, Table, exported
from wattkeeper.web.language import Language
from wattkeeper.web.pages import language_of, render, services_of
from wattkeeper.web.queries import collection
from wattkeeper.web.queries.collection import PERIODS, REASONS, QualityLine
from wattkeeper.web.queries.hours import Hours, hours_drawn
from wattkeeper.web.queries.periods import named_period
from wattkeeper.web.queries.states import N_
from wattkeeper.web.services import Services

router = APIRouter(include_in_schema=False, dependencies=[needs(Right.LINKS_VIEW)])
LINKS_SHOWN: Final = 100
"""The page shows the worst; the file has all."""
Period = Annotated[str, Query(pattern=f"^({'|'.join(PERIODS)})$")]
Code = Annotated[str, Query(max_length=64)]


def _columns(label: str) -> tuple[Column[QualityLine], ...]:
    counts: tuple[Column[QualityLine], ...] = (
        Column(N_("Reads"), lambda line: line.rate.reads, "number"),
        Column(N_("Succeeded"), lambda line: line.rate.succeeded, "number"),
        Column(N_("Success"), lambda line: line.rate.rate, "percent"),
        Column(N_("At the first attempt"), lambda line: line.rate.first_rate, "percent"),
        Column(N_("Requests sent again"), lambda line: line.rate.retries, "number"),
        Column(N_("Mean answer time"), lambda line: line.answer_ms, "number", unit="ms"),
        Column(N_("Strays heard"), lambda line: line.rate.strays, "number"),
    )
    failures = tuple(
        Column[QualityLine](name, lambda line, failure=failure: line.failed(failure), "number")  # type: ignore[misc]
        for failure, (name, _) in REASONS.items()
    )
    return (Column(label, lambda line: line.name), *counts, *failures)


LINKS: Final = Table("collection-links", N_("Reading by link"), (
    Column[QualityLine](N_("Code"), lambda line: line.code), *_columns(N_("Link")),
))  # fmt: skip
PROTOCOLS: Final = Table("collection-protocols", N_("Reading by protocol"), _columns(N_("Protocol")))
HOURS: Final = Table("collection-hours", N_("Reading by hour"), _columns(N_("Hour")))


@router.get("/collection", response_class=HTMLResponse)
def collection_page(request: Request, *, period: Period = "today", link: Code = "") -> HTMLResponse:
    """Success over a period: in all, by link (the worst first) and by protocol; the hours of one link or of all."""
    services, say = services_of(request), language_of(request)
    wanted = _period(services, say, period)
    chosen = _link(services, link) if link else None
    lines, protocols = collection.of_links_and_protocols(services, wanted, say)
    total = collection.added([line.rate for line in lines])
    return render(
        request,
        "collection.html",
        block="results",
        periods=[(code, say.text(text)) for code, text in PERIODS.items()],
        period=period,
        chosen=chosen,
        links=lines[:LINKS_SHOWN],
        left_out=max(0, len(lines) - LINKS_SHOWN),
        named=sorted((line.name, line.code) for line in lines),
        total=QualityLine("", "", total),
        reasons=collection.reasons(total, say),
        protocols=protocols,
        hours=drawn(services, say, wanted, chosen),
        failures=[(failure, say.text(name)) for failure, (name, _) in REASONS.items()],
        collecting=services.collector is not None,
    )


def drawn(services: Services, say: Language, period: TimeRange, link: Link | None) -> Hours:
    """The hours of one link, or of all."""
    lines = collection.of_hours(services, period, say, link_id=link.id if link else None)
    return hours_drawn((line.rate for line in lines), period, say)


@exported(router, "/collection")
def links_export(request: Request, *, period: Period = "today", link: Code = "") -> Export[QualityLine]:
    """Every link, the worst first."""
    services, say = services_of(request), language_of(request)
    lines, _ = collection.of_links_and_protocols(services, _period(services, say, period), say)
    return Export(LINKS, [line for line in lines if link in {"", line.code}], say)


@exported(router, "/collection/protocols")
def protocols_export(request: Request, *, period: Period = "today") -> Export[QualityLine]:
    """Every protocol."""
    services, say = services_of(request), language_of(request)
    _, protocols = collection.of_links_and_protocols(services, _period(services, say, period), say)
    return Export(PROTOCOLS, protocols, say)


@exported(router, "/collection/hours")
def hours_export(request: Request, *, period: Period = "today", link: Code = "") -> Export[QualityLine]:
    """Every hour in which something was read, of one link or of all."""
    services, say = services_of(request), language_of(request)
    chosen = _link(services, link).id if link else None
    return Export(
        HOURS, collection.of_hours(services, _period(services, say, period), say, link_id=chosen), say
    )


def _period(services: Services, say: Language, name: str) -> TimeRange:
    return named_period(name, zone=say.zone, now=services.clock())


def _link(services: Services, code: str) -> Link:
    with services.database.read() as session:
        found = services.registry(session).link_by_code(code)
    if found is None:
        raise NotFound("link", code)
    return found
