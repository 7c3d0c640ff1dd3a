"""The audit: who did what, and whether the record is whole."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Form, Query, Request
from fastapi.responses import HTMLResponse

from wattkeeper.security.rights import Right
from wattkeeper.security.values import AuditPage
from wattkeeper.web.access import needs
from wattkeeper.web.console.words import pager
from wattkeeper.web.exports import PAGE as EXPORT_PAGE
from wattkeeper.web.exports import Column, Export, Table, exported, paged
from wattkeeper.web.language import Language
from wattkeeper.web.pages import language_of, render, services_of
from wattkeeper.web.queries.acts import ActLine, act_lines, action_groups, subject_kinds
from wattkeeper.web.queries.states import N_
from wattkeeper.web.services import Services

router = APIRouter(include_in_schema=False, dependencies=[needs(Right.AUDIT_VIEW)])
PAGE: Final = 50
EXPORT: Final[Table[ActLine]] = Table(
    "audit",
    N_("Audit"),
    (
        Column(N_("Place in the chain"), lambda line: line.position, "number"),
        Column(N_("Time"), lambda line: line.at, "moment"),
        Column(N_("Who"), lambda line: line.actor),
        Column(N_("From where"), lambda line: line.address),
        Column(N_("What"), lambda line: line.what),
        Column(N_("Action"), lambda line: line.action),
        Column(N_("Kind"), lambda line: line.subject_kind),
        Column(N_("About"), lambda line: line.subject),
        Column(N_("Before"), lambda line: _joined(line, before=True)),
        Column(N_("After"), lambda line: _joined(line, before=False)),
        Column(N_("Hash"), lambda line: line.hash),
    ),
)


@dataclass(frozen=True, slots=True)
class ActFilter:
    """What the audit is narrowed to."""

    who: str = ""
    what: str = ""
    kind: str = ""
    about: str = ""
    since: date | None = None
    until: date | None = None
    """The last day, which is within."""

    @property
    def narrowed(self) -> bool:
        """Whether anything is left out."""
        return bool(self.who or self.what or self.kind or self.about or self.since or self.until)


def asked_acts(
    *,
    who: Annotated[str, Query(max_length=100)] = "",
    what: Annotated[str, Query(max_length=60)] = "",
    kind: Annotated[str, Query(max_length=40)] = "",
    about: Annotated[str, Query(max_length=100)] = "",
    since: Annotated[str, Query(max_length=10)] = "",
    until: Annotated[str, Query(max_length=10)] = "",
) -> ActFilter:
    """The filter an address carries; the form's empty choices arrive as empty texts."""
    return ActFilter(who.strip(), what, kind, about.strip(), _day(since), _day(until))


Asked = Annotated[ActFilter, Depends(asked_acts)]


@router.get("/audit", response_class=HTMLResponse)
def audit_page(
    request: Request, wanted: Asked, after: Annotated[int | None, Query(ge=1, le=2**53)] = None
) -> HTMLResponse:
    """The list of acts, newest first."""
    services, say = services_of(request), language_of(request)
    found = _find(services, wanted, say, after=after, limit=PAGE)
    rows = act_lines(services, found.rows, say)
    following = None if found.after is None else str(found.after)
    return render(
        request,
        "audit.html",
        block="results",
        page=pager(say, rows, after=following, asked=None if after is None else str(after)),
        filters=wanted,
        actions=action_groups(say),
        kinds=subject_kinds(say),
        report=None,
        expected="",
    )


@exported(router, "/audit")
def audit_export(request: Request, wanted: Asked) -> Export[ActLine]:
    """Every act of the filter."""
    services, say = services_of(request), language_of(request)

    def page(after: str | None) -> tuple[list[ActLine], str | None]:
        found = _find(services, wanted, say, after=int(after) if after else None, limit=EXPORT_PAGE)
        return act_lines(services, found.rows, say), None if found.after is None else str(found.after)

    return Export(EXPORT, paged(page), say)


@router.post("/audit/verify", response_class=HTMLResponse)
def verify_audit(request: Request, expected: Annotated[str, Form(max_length=100)] = "") -> HTMLResponse:
    """Compute the whole chain again and say what was found."""
    services = services_of(request)
    noted = expected.strip()
    report = services.security.verify_audit(expected=noted or None)
    return render(request, "audit_verified.html", block="verification", report=report, expected=noted)


def _find(
    services: Services, wanted: ActFilter, say: Language, *, after: int | None, limit: int
) -> AuditPage:
    asked: dict[str, Any] = {
        "action": wanted.what,
        "actor": wanted.who,
        "subject": (wanted.kind, "") if wanted.kind else None,
        "about": wanted.about,
        "since": _midnight(wanted.since, say),
        "until": _midnight(wanted.until + timedelta(days=1), say) if wanted.until else None,
    }
    return services.security.audit(**asked, after=after, limit=limit)


def _midnight(day: date | None, say: Language) -> datetime | None:
    return datetime.combine(day, time(), say.zone) if day else None


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _joined(line: ActLine, *, before: bool) -> str:
    def parts() -> Iterator[str]:
        for change in line.changes:
            value = change.before if before else change.after
            if value is not None:
                yield f"{change.label}: {value}" if change.label else value

    return "; ".join(parts())
