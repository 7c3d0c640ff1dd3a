"""The exception queue: what validation found, with its evidence, and what a person decides about it."""

from dataclasses import dataclass
from datetime import date
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Form, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.responses import Response

from wattkeeper.kernel.errors import WattkeeperError
from wattkeeper.kernel.severity import Severity
from wattkeeper.monitoring.words import severity_of
from wattkeeper.readings.quantities import QUANTITIES
from wattkeeper.readings.validation.errors import AlreadyDecided, FindingNotFound
from wattkeeper.readings.validation.values import FindingFilter, FindingView
from wattkeeper.security.rights import Right
from wattkeeper.web.access import needs
from wattkeeper.web.console.area_words import choices
from wattkeeper.web.console.areas import tree_of
from wattkeeper.web.console.forms import Id
from wattkeeper.web.console.words import Notice, pager
from wattkeeper.web.exports import PAGE, Column, Export, Table, exported, paged
from wattkeeper.web.pages import language_of, render, services_of, site_zone
from wattkeeper.web.problems import status_of
from wattkeeper.web.queries.findings import (
    STATES,
    FindingLine,
    evidence_of,
    finding_line,
    is_energy,
    rule_choices,
)
from wattkeeper.web.queries.grounds import SOURCES
from wattkeeper.web.queries.periods import days_between
from wattkeeper.web.queries.sparks import Spark, power_spark, value_spark
from wattkeeper.web.queries.states import N_

router = APIRouter(include_in_schema=False)
AT_ONCE: Final = 200
OTHERS_SHOWN: Final = 10
EXPORT: Final[Table[FindingLine]] = Table(
    "exceptions",
    N_("Exceptions"),
    (
        Column(N_("Severity"), lambda line: line.severity),
        Column(N_("Validation rule"), lambda line: line.rule),
        Column(N_("Evidence"), lambda line: line.told),
        Column(N_("Meter"), lambda line: line.meter),
        Column(N_("Metering point"), lambda line: line.point),
        Column(N_("Quantity"), lambda line: line.quantity),
        Column(N_("From"), lambda line: line.period.start, "moment"),
        Column(N_("To"), lambda line: line.period.end, "moment"),
        Column(N_("State"), lambda line: line.state),
        Column(N_("Raised at"), lambda line: line.raised_at, "moment"),
        Column(N_("Dealt with by"), lambda line: line.decided_by),
        Column(N_("Dealt with at"), lambda line: line.decided_at, "moment"),
        Column(N_("Note"), lambda line: line.note),
    ),
)


@dataclass(frozen=True, slots=True)
class Asked:
    """What an address narrows the queue to."""

    state: str = "open"
    severity: str = ""
    code: str = ""
    search: str = ""
    area: int | None = None
    meter: int | None = None
    since: date | None = None
    until: date | None = None

    def filter(self, request: Request) -> FindingFilter:
        """The same as the queue takes it; days are those of the first site."""
        return FindingFilter(
            state=self.state,  # type: ignore[arg-type]  # the address allows no other
            severity=Severity(self.severity) if self.severity else None,
            code=self.code,
            search=self.search,
            area_id=self.area,
            meter_id=self.meter,
            period=days_between(self.since, self.until, site_zone(request)),
        )

    @property
    def narrowed(self) -> bool:
        """Whether anything is left out besides what is decided."""
        return self != Asked()


def asked(
    *,
    state: Annotated[str, Query(pattern="^(open|accepted|estimated|edited|cleared|decided|all|)$")] = "open",
    severity: Annotated[str, Query(pattern="^(critical|warning|info|)$")] = "",
    code: Annotated[str, Query(max_length=40)] = "",
    search: Annotated[str, Query(max_length=100)] = "",
    area: Annotated[str, Query(pattern=r"^[0-9]{0,15}$")] = "",
    meter: Annotated[str, Query(pattern=r"^[0-9]{0,15}$")] = "",
    since: Annotated[str, Query(pattern=r"^(\d{4}-\d\d-\d\d)?$")] = "",
    until: Annotated[str, Query(pattern=r"^(\d{4}-\d\d-\d\d)?$")] = "",
) -> Asked:
    """The filter an address carries; empty fields of its form narrow nothing."""
    return Asked(
        state=state or "open",
        severity=severity,
        code=code,
        search=search,
        area=int(area) if area else None,
        meter=int(meter) if meter else None,
        since=_day(since),
        until=_day(until),
    )


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        return None


Wanted = Annotated[Asked, Depends(asked)]
After = Annotated[str | None, Query(max_length=200)]


@router.get("/exceptions", dependencies=[needs(Right.METERS_VIEW)], response_class=HTMLResponse)
def exceptions_page(request: Request, wanted: Wanted, after: After = None) -> HTMLResponse:
    """The queue, filtered by its address."""
    return _list(request, wanted, after)


def _list(request: Request, wanted: Asked, after: str | None, notice: Notice | None = None) -> HTMLResponse:
    services, say = services_of(request), language_of(request)
    found = services.exceptions.findings(wanted.filter(request), scope=services.scope, after=after)
    return render(
        request,
        "exceptions.html",
        block="results",
        notice=notice,
        page=pager(
            say,
            [finding_line(row, say) for row in found.rows],
            after=found.after,
            asked=after,
            total=found.total,
        ),
        asked=wanted,
        query=request.url.query,
        states=[(code, say.text(text)) for code, text in STATES.items()],
        severities=[(item, severity_of(item, say.code)) for item in reversed(Severity)],
        rules=rule_choices(say),
        areas=[choice for choice in choices(tree_of(request)) if choice.id is not None],
    )


@exported(router, "/exceptions", needs(Right.METERS_VIEW))
def exceptions_export(request: Request, wanted: Wanted) -> Export[FindingLine]:
    """Every exception of the filter."""
    services, say = services_of(request), language_of(request)
    chosen = wanted.filter(request)

    def fetch(after: str | None) -> tuple[list[FindingLine], str | None]:
        found = services.exceptions.findings(chosen, scope=services.scope, limit=PAGE, after=after)
        return [finding_line(row, say) for row in found.rows], found.after

    return Export(EXPORT, paged(fetch), say)


@router.post("/exceptions/accept", dependencies=[needs(Right.READINGS_EDIT)], response_class=HTMLResponse)
def accept_some(
    request: Request,
    wanted: Wanted,
    *,
    finding: Annotated[list[int], Form(max_length=AT_ONCE)] = [],  # noqa: B006 (FastAPI copies it)
    only: Annotated[int | None, Form(ge=1, le=2**53)] = None,
    note: Annotated[str, Form(max_length=500)] = "",
) -> HTMLResponse:
    """Say of some exceptions, or of `only` one, that their readings are right; the list is shown as it is then."""
    services, say = services_of(request), language_of(request)
    chosen = [only] if only is not None else finding
    if not chosen:
        return _list(request, wanted, None, Notice("bad", say.text("Tick at least one exception first.")))
    accepted = 0
    for finding_id in chosen:
        try:
            services.exceptions.accept(finding_id, note, services.clock(), scope=services.scope)
            accepted += 1
        except (AlreadyDecided, FindingNotFound):
            continue  # somebody else was faster, or its cause is gone: the count says so
    text = say.text("%(n)s exceptions accepted.", n=say.number(accepted))
    if accepted < len(chosen):
        text += " " + say.text("%(n)s had been decided already.", n=say.number(len(chosen) - accepted))
    return _list(request, wanted, None, Notice("good" if accepted else "bad", text))


@router.get("/exceptions/{finding_id}", dependencies=[needs(Right.METERS_VIEW)], response_class=HTMLResponse)
def exception_page(request: Request, finding_id: Id) -> HTMLResponse:
    """One exception: the rule, the evidence with a small curve around it, and the decision."""
    services = services_of(request)
    return _page(request, services.exceptions.finding(finding_id, scope=services.scope))


@router.post("/exceptions/{finding_id}/accept", dependencies=[needs(Right.READINGS_EDIT)])
def accept(request: Request, finding_id: Id, note: Annotated[str, Form(max_length=500)] = "") -> Response:
    """Say that the readings are right as they are."""
    services = services_of(request)
    try:
        services.exceptions.accept(finding_id, note, services.clock(), scope=services.scope)
    except WattkeeperError as error:
        found = services.exceptions.finding(finding_id, scope=services.scope)
        return _page(request, found, Notice.of(error, language_of(request)), status=status_of(error))
    return RedirectResponse(f"/exceptions/{finding_id}", status_code=303)


def _page(
    request: Request, finding: FindingView, notice: Notice | None = None, *, status: int = 200
) -> HTMLResponse:
    services = services_of(request)
    zone = site_zone(request)
    say = language_of(request, zone.key)
    others = services.exceptions.findings(
        FindingFilter(meter_id=finding.meter_id), scope=services.scope, limit=OTHERS_SHOWN
    )
    queue = services.exceptions.findings(FindingFilter(), scope=services.scope, limit=2).rows
    evidence = evidence_of(finding, say, SOURCES)
    return render(
        request,
        "exception.html",
        http_status=status,
        notice=notice,
        finding=finding,
        line=finding_line(finding, say),
        evidence=evidence,
        spark=_spark(request, finding, evidence.limit_value),
        others=[finding_line(row, say) for row in others.rows if row.id != finding.id],
        following=next((row.id for row in queue if row.id != finding.id), None),
        day=finding.period.start.astimezone(zone).date(),
    )


def _spark(request: Request, finding: FindingView, limit: float | None) -> Spark | None:
    services, say = services_of(request), language_of(request)
    if finding.point_id is not None and is_energy(finding.quantity):
        return power_spark(services, finding.point_id, finding.quantity, finding.period, say)
    entry = QUANTITIES.get(finding.quantity)
    unit = entry.unit if entry else ""
    return value_spark(
        services, finding.meter_id, finding.quantity, finding.period, say, unit=unit, limit=limit
    )
