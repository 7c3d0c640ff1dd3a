"""The tables of alarms, areas, users, rights and remote collectors within pages as files."""

from typing import Final

from fastapi import APIRouter, Request

from wattkeeper.monitoring import words
from wattkeeper.monitoring.values import RecipientView
from wattkeeper.readings.transmission.values import RemoteCollectorView
from wattkeeper.registry.scope import Scope
from wattkeeper.security.rights import Right
from wattkeeper.web.access import in_person, needs, principal_of
from wattkeeper.web.console.alarms import EXPORT as ALARMS
from wattkeeper.web.console.areas import TREE
from wattkeeper.web.console.forms import Id
from wattkeeper.web.console.notices import EXPORT as NOTICES
from wattkeeper.web.exports import PAGE, Column, Export, Table, exported, paged
from wattkeeper.web.language import Language
from wattkeeper.web.pages import language_of, services_of
from wattkeeper.web.queries import areas, people
from wattkeeper.web.queries.alarms import AlarmLine, NoticeLine, alarm_line, notice_line
from wattkeeper.web.queries.areas import AreaLine
from wattkeeper.web.queries.people import SessionLine, TokenLine
from wattkeeper.web.queries.roles import RightLine, right_groups, role_choices
from wattkeeper.web.queries.states import N_

router = APIRouter(include_in_schema=False)
SESSIONS: Final[Table[SessionLine]] = Table(
    "sessions",
    N_("Signed-in browsers"),
    (
        Column(N_("Device"), lambda line: line.device),
        Column(N_("Network address"), lambda line: line.address),
        Column(N_("Signed in"), lambda line: line.created_at, "moment"),
        Column(N_("Last seen"), lambda line: line.last_seen_at, "moment"),
    ),
)
TOKENS: Final[Table[TokenLine]] = Table(
    "tokens",
    N_("Tokens"),
    (
        Column(N_("Token"), lambda line: line.name),
        Column(N_("Rights"), lambda line: ", ".join(line.rights)),
        Column(N_("State"), lambda line: line.state_text),
        Column(N_("Valid until"), lambda line: line.expires_at, "moment"),
        Column(N_("Last used"), lambda line: line.last_used_at, "moment"),
    ),
)
COLLECTORS: Final[Table[RemoteCollectorView]] = Table(
    "remote-collectors",
    N_("Remote collectors"),
    (
        Column(N_("Collector"), lambda line: line.name),
        Column(N_("Code"), lambda line: line.id),
        Column(N_("Heard last"), lambda line: line.last_at, "moment"),
        Column(N_("Readings taken"), lambda line: line.readings, "number"),
        Column(
            N_("Meters to be registered"),
            lambda line: ", ".join(f"{meter.address} ({meter.link})" for meter in line.unknown),
        ),
    ),
)


@exported(router, "/areas/{area_id}/below", needs(Right.METERS_VIEW))
def areas_below_export(request: Request, area_id: Id) -> Export[AreaLine]:
    """An area and all below it."""
    services = services_of(request)
    areas.identity(services, area_id)
    lines = areas.tree(services, request.app.state.area_energies(services, None))
    return Export(TREE, areas.line_of(lines, area_id).listed, language_of(request))


@exported(router, "/areas/{area_id}/alarms", needs(Right.ALARMS_VIEW))
def area_alarms_export(request: Request, area_id: Id) -> Export[AlarmLine]:
    """What is wrong in an area; all below an area that is in sight is in sight."""
    services, say, may = services_of(request), language_of(request), principal_of(request).may
    areas.identity(services, area_id)
    scope = Scope(areas=frozenset({area_id}))

    def page(after: str | None) -> tuple[list[AlarmLine], str | None]:
        found = services.monitoring.findings(scope=scope, limit=PAGE, after=after)
        return [alarm_line(row, say, may) for row in found.rows], found.after

    return Export(ALARMS, paged(page), say)


@exported(router, "/alarms/{alarm_id}/others", needs(Right.ALARMS_VIEW))
def other_alarms_export(request: Request, alarm_id: Id) -> Export[AlarmLine]:
    """The other alarms of the same meter or link: all that are open, and the last hundred that are over."""
    services, say, may = services_of(request), language_of(request), principal_of(request).may
    finding = services.monitoring.finding(alarm_id, scope=services.scope)
    found = services.monitoring.of_subject(
        finding.subject_kind, finding.subject_id, scope=services.scope, closed=100
    )
    return Export(ALARMS, (alarm_line(row, say, may) for row in found if row.id != alarm_id), say)


@exported(router, "/alarms/{alarm_id}/notices", needs(Right.NOTICES_MANAGE))
def alarm_notices_export(request: Request, alarm_id: Id) -> Export[NoticeLine]:
    """Who was told of an alarm."""
    services, say = services_of(request), language_of(request)
    services.monitoring.finding(alarm_id, scope=services.scope)
    told = services.monitoring.notices.of_finding(alarm_id)
    return Export(NOTICES, [notice_line(row, say) for row in told], say)


@exported(router, "/notices/recipients", needs(Right.NOTICES_MANAGE))
def recipients_export(request: Request) -> Export[RecipientView]:
    """Who is told of alarms."""
    say = language_of(request)
    columns: tuple[Column[RecipientView], ...] = (
        Column(N_("Recipient"), lambda row: row.email),
        Column(N_("Of which part"), lambda row: row.area or row.site or say.text("everything")),
        Column(N_("From which severity on"), lambda row: words.severity_of(row.minimum_severity, say.code)),
        Column(N_("Language"), lambda row: "中文" if row.language == "zh" else "English"),
    )
    rows = services_of(request).monitoring.notices.recipients()
    return Export(Table("recipients", N_("Who is told"), columns), rows, say)


@exported(router, "/users/{user_id}/sessions", needs(Right.USERS_MANAGE))
def sessions_export(request: Request, user_id: Id) -> Export[SessionLine]:
    """Where a user is signed in."""
    services_of(request).security.users.get(user_id)
    return _sessions(request, user_id)


@exported(router, "/users/{user_id}/tokens", needs(Right.USERS_MANAGE))
def tokens_export(request: Request, user_id: Id) -> Export[TokenLine]:
    """The tokens of a user."""
    services_of(request).security.users.get(user_id)
    return _tokens(request, user_id)


@exported(router, "/profile/sessions", needs())
def own_sessions_export(request: Request) -> Export[SessionLine]:
    """Where I am signed in; not for a token, as in the API."""
    return _sessions(request, in_person(request))


@exported(router, "/profile/tokens", needs(Right.TOKENS_OWN))
def own_tokens_export(request: Request) -> Export[TokenLine]:
    """My tokens."""
    return _tokens(request, principal_of(request).user_id)


def _sessions(request: Request, user_id: int) -> Export[SessionLine]:
    services, say = services_of(request), language_of(request)
    found = services.security.sign_in.sessions(user_id, now=services.clock())
    return Export(SESSIONS, people.session_lines(found, say, here=None), say)


def _tokens(request: Request, user_id: int | None) -> Export[TokenLine]:
    services, say = services_of(request), language_of(request)
    found = services.security.tokens.of(user_id) if user_id is not None else ()
    return Export(TOKENS, people.token_lines(found, say, now=services.clock()), say)


@exported(router, "/users/roles", needs(Right.USERS_MANAGE))
def roles_export(request: Request) -> Export[RightLine]:
    """What each role may do."""
    say = language_of(request)
    rights = [line for group in right_groups(say) for line in group.rights]
    return Export(Table("roles", N_("What each role may do"), _role_columns(say)), rights, say)


def _role_columns(say: Language) -> tuple[Column[RightLine], ...]:
    def held(place: int) -> Column[RightLine]:
        name = role_choices(say)[place][1]  # it is in the visitor's language already, and stays as it is
        return Column(name, lambda line: say.text("yes") if line.held[place] else say.text("no"))

    return (
        Column(N_("Right"), lambda line: line.text),
        Column(N_("Code"), lambda line: line.code),
        *(held(place) for place in range(len(role_choices(say)))),
    )


@exported(router, "/links/-/collectors", needs(Right.REGISTRY_EDIT))
def remote_collectors_export(request: Request) -> Export[RemoteCollectorView]:
    """Every collector that delivers here, with all meters that are not registered."""
    return Export(COLLECTORS, request.app.state.batches.collectors(), language_of(request))
