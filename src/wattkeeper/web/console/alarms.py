"""Alarms: the list, the page of one, and acknowledging it."""

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Form, Path, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.responses import Response

from wattkeeper.kernel.errors import WattkeeperError
from wattkeeper.kernel.severity import Severity
from wattkeeper.monitoring import words
from wattkeeper.monitoring.limits import Code
from wattkeeper.monitoring.values import FindingFilter, FindingView
from wattkeeper.security.rights import Right
from wattkeeper.web.access import needs, principal_of
from wattkeeper.web.console.words import Notice, pager
from wattkeeper.web.exports import PAGE, Column, Export, Table, exported, paged
from wattkeeper.web.pages import language_of, render, services_of
from wattkeeper.web.queries.alarms import STATES, AlarmLine, alarm_line, facts_of, notice_line
from wattkeeper.web.queries.states import N_

router = APIRouter(include_in_schema=False)
Id = Annotated[int, Path(ge=1, le=2**53)]
OTHERS_SHOWN: Final = 10
"""Earlier alarms of the same meter or link that its page lists."""
EXPORT: Final[Table[AlarmLine]] = Table(
    "alarms",
    N_("Alarms"),
    (
        Column(N_("Severity"), lambda line: line.severity),
        Column(N_("Kind"), lambda line: line.kind),
        Column(N_("Alarm"), lambda line: line.sentence),
        Column(N_("Meter or link"), lambda line: line.subject),
        Column(N_("Place"), lambda line: line.place),
        Column(N_("State"), lambda line: line.state),
        Column(N_("Raised at"), lambda line: line.raised_at, "moment"),
        Column(N_("Over at"), lambda line: line.cleared_at, "moment"),
        Column(N_("Why it is over"), lambda line: line.reason),
        Column(N_("Acknowledged by"), lambda line: line.acknowledged_by),
        Column(N_("Note"), lambda line: line.note),
    ),
)


def asked_filter(
    *,
    state: Annotated[str, Query(pattern="^(active|open|acknowledged|cleared|all|)$")] = "active",
    severity: Annotated[str, Query(pattern="^(critical|warning|info|)$")] = "",
    code: Annotated[str, Query(max_length=40)] = "",
    search: Annotated[str, Query(max_length=100)] = "",
) -> FindingFilter:
    """The filter an address carries."""
    return FindingFilter(state=state or "active", severity=severity, code=code, search=search)


Asked = Annotated[FindingFilter, Depends(asked_filter)]


@router.get("/alarms", dependencies=[needs(Right.ALARMS_VIEW)], response_class=HTMLResponse)
def alarms_page(
    request: Request, wanted: Asked, after: Annotated[str | None, Query(max_length=200)] = None
) -> HTMLResponse:
    """The list of alarms, filtered by its address."""
    services, say = services_of(request), language_of(request)
    found = services.monitoring.findings(wanted, scope=services.scope, after=after)
    may = principal_of(request).may
    return render(
        request,
        "alarms.html",
        block="results",
        page=pager(
            say,
            [alarm_line(row, say, may) for row in found.rows],
            after=found.after,
            asked=after,
            total=found.total,
        ),
        filters=wanted,
        filtered=bool(wanted.severity or wanted.code or wanted.search or wanted.state != "active"),
        collecting=services.collector is not None,
        states=[(code, say.text(text)) for code, text in STATES.items()],
        severities=[(item, words.severity_of(item, say.code)) for item in reversed(Severity)],
        codes=[(item, words.name_of(item, say.code)) for item in Code],
    )


@exported(router, "/alarms", needs(Right.ALARMS_VIEW))
def alarms_export(request: Request, wanted: Asked) -> Export[AlarmLine]:
    """Every alarm of the filter."""
    services, say = services_of(request), language_of(request)
    may = principal_of(request).may

    def page(after: str | None) -> tuple[list[AlarmLine], str | None]:
        found = services.monitoring.findings(wanted, scope=services.scope, limit=PAGE, after=after)
        return [alarm_line(row, say, may) for row in found.rows], found.after

    return Export(EXPORT, paged(page), say)


@router.get("/alarms/{alarm_id}", dependencies=[needs(Right.ALARMS_VIEW)], response_class=HTMLResponse)
def alarm_page(request: Request, alarm_id: Id) -> HTMLResponse:
    """One alarm: what it rests on, what became of it, who was told."""
    services = services_of(request)
    return _page(request, services.monitoring.finding(alarm_id, scope=services.scope))


@router.post("/alarms/{alarm_id}/acknowledge", dependencies=[needs(Right.ALARMS_HANDLE)])
def acknowledge(request: Request, alarm_id: Id, note: Annotated[str, Form(max_length=2000)] = "") -> Response:
    """Say that somebody has seen to it."""
    services = services_of(request)
    try:
        services.monitoring.acknowledge(alarm_id, note, services.clock(), scope=services.scope)
    except WattkeeperError as error:
        found = services.monitoring.finding(alarm_id, scope=services.scope)
        return _page(request, found, Notice.of(error, language_of(request)))
    return RedirectResponse(f"/alarms/{alarm_id}", status_code=303)


def _page(request: Request, finding: FindingView, notice: Notice | None = None) -> HTMLResponse:
    services, say = services_of(request), language_of(request)
    principal = principal_of(request)
    monitoring = services.monitoring
    others = monitoring.of_subject(
        finding.subject_kind, finding.subject_id, scope=services.scope, closed=OTHERS_SHOWN
    )
    told = monitoring.notices.of_finding(finding.id) if principal.may(Right.NOTICES_MANAGE) else []
    return render(
        request,
        "alarm.html",
        block="alarm",
        notice=notice,
        alarm=alarm_line(finding, say, principal.may),
        finding=finding,
        facts=facts_of(finding, say),
        rule=words.rule_of(finding.code, say.code),
        advice=words.advice_of(finding.code, say.code),
        raw=finding.evidence.get("error"),
        others=[alarm_line(row, say, principal.may) for row in others if row.id != finding.id],
        told=[notice_line(row, say) for row in told],
    )
