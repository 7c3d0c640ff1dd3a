"""Notices: who is told of alarms, and the log with the mail server's own words."""

from collections.abc import Callable
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Form, Path, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.responses import Response

from wattkeeper.kernel.errors import WattkeeperError
from wattkeeper.kernel.severity import Severity
from wattkeeper.monitoring import words
from wattkeeper.monitoring.models import NoticeLanguage, NoticeState
from wattkeeper.monitoring.values import RecipientWanted
from wattkeeper.security.rights import Right
from wattkeeper.web.access import needs
from wattkeeper.web.console.meters import AreaChoice, area_choices
from wattkeeper.web.console.words import Notice, pager
from wattkeeper.web.exports import PAGE, Column, Export, Table, exported, paged
from wattkeeper.web.pages import language_of, render, services_of
from wattkeeper.web.queries.alarms import NOTICE_STATES, NoticeLine, notice_line
from wattkeeper.web.queries.states import N_
from wattkeeper.web.services import Services

router = APIRouter(include_in_schema=False, dependencies=[needs(Right.NOTICES_MANAGE)])
Id = Annotated[int, Path(ge=1, le=2**53)]
EXPORT: Final[Table[NoticeLine]] = Table(
    "notices",
    N_("Notices"),
    (
        Column(N_("Queued"), lambda line: line.created_at, "moment"),
        Column(N_("Recipient"), lambda line: line.recipient),
        Column(N_("Kind"), lambda line: line.kind),
        Column(N_("Subject"), lambda line: line.subject),
        Column(N_("State"), lambda line: line.state),
        Column(N_("Attempts"), lambda line: line.attempts, "number"),
        Column(N_("Delivered"), lambda line: line.sent_at, "moment"),
        Column(N_("The mail server said"), lambda line: line.said),
        Column("Message-ID", lambda line: line.message_id),
    ),
)


class LogFilter:
    """What the log is narrowed to."""

    def __init__(
        self,
        *,
        state: Annotated[str, Query(pattern="^(queued|sent|failed|given_up|)$")] = "",
        search: Annotated[str, Query(max_length=100)] = "",
    ) -> None:
        self.state = state
        self.search = search


Asked = Annotated[LogFilter, Depends()]


@router.get("/notices", response_class=HTMLResponse)
def notices_page(
    request: Request, wanted: Asked, after: Annotated[str | None, Query(max_length=200)] = None
) -> HTMLResponse:
    """Who is told, and what they were told."""
    return _page(request, wanted, after)


@exported(router, "/notices")
def notices_export(request: Request, wanted: Asked) -> Export[NoticeLine]:
    """The log."""
    notices, say = services_of(request).monitoring.notices, language_of(request)

    def page(after: str | None) -> tuple[list[NoticeLine], str | None]:
        found = notices.notices(state=wanted.state, search=wanted.search, limit=PAGE, after=after)
        return [notice_line(row, say) for row in found.rows], found.after

    return Export(EXPORT, paged(page), say)


@router.post("/notices/recipients")
def add_recipient(
    request: Request,
    *,
    email: Annotated[str, Form(max_length=300)],
    language: Annotated[NoticeLanguage, Form()],
    severity: Annotated[Severity, Form()],
    part: Annotated[str, Form(pattern=r"^((site|area):[0-9]{1,15})?$")] = "",
) -> Response:
    """Tell somebody from now on; `part` is `site:3`, `area:7`, or empty for everything."""
    kind, _, number = part.partition(":")
    wanted = RecipientWanted(
        email=email,
        language=language,
        minimum_severity=severity,
        site_id=int(number) if kind == "site" else None,
        area_id=int(number) if kind == "area" else None,
    )
    services = services_of(request)
    return _done(request, lambda: services.monitoring.notices.add_recipient(wanted, services.clock()))


@router.post("/notices/recipients/{recipient_id}/remove")
def remove_recipient(request: Request, recipient_id: Id) -> Response:
    """Tell somebody no more."""
    services = services_of(request)
    return _done(
        request, lambda: services.monitoring.notices.remove_recipient(recipient_id, services.clock())
    )


@router.post("/notices/recipients/{recipient_id}/test")
def try_recipient(request: Request, recipient_id: Id) -> Response:
    """Send somebody a test."""
    services = services_of(request)
    return _done(request, lambda: services.monitoring.notices.try_out(recipient_id, services.clock()))


def _done(request: Request, act: Callable[[], object]) -> Response:
    """Back to the page; with a sentence on it where the act was refused."""
    try:
        act()
    except WattkeeperError as error:
        return _page(request, LogFilter(), None, Notice.of(error, language_of(request)))
    return RedirectResponse("/notices", status_code=303)


def _page(
    request: Request, wanted: LogFilter, after: str | None, notice: Notice | None = None
) -> HTMLResponse:
    services, say = services_of(request), language_of(request)
    notices = services.monitoring.notices
    found = notices.notices(state=wanted.state, search=wanted.search, after=after)
    return render(
        request,
        "notices.html",
        block="results",
        notice=notice,
        set_up=notices.set_up,
        sender=notices.options.sender,
        recipients=notices.recipients(),
        severity_of=lambda severity: words.severity_of(severity, say.code),
        severities=[(item.value, words.severity_of(item, say.code)) for item in reversed(Severity)],
        parts=_parts(services),
        page=pager(say, [notice_line(row, say) for row in found.rows], after=found.after, asked=after),
        filters=wanted,
        filtered=bool(wanted.state or wanted.search),
        states=[(state.value, say.text(NOTICE_STATES[state][1])) for state in NoticeState],
    )


def _parts(services: Services) -> list[tuple[str, str]]:
    """Sites and areas to choose from, each area set in under its site."""
    with services.database.read() as session:
        registry = services.registry(session)
        chosen: list[tuple[str, str]] = []
        for site in registry.sites():
            chosen.append((f"site:{site.id}", site.name))
            areas: list[AreaChoice] = list(area_choices(registry.area_tree(site.id), depth=1))
            chosen += [(f"area:{area.id}", area.name) for area in areas]
    return chosen
