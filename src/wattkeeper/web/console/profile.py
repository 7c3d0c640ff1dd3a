"""One's own profile: who I am, where I am signed in, and the tokens of my programs."""

from datetime import timedelta
from typing import Annotated, Any, Final

from fastapi import APIRouter, Form, Path, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.responses import Response

from wattkeeper.security.errors import SecurityError
from wattkeeper.security.rights import Right, Role
from wattkeeper.security.tokens import NEVER_BY_TOKEN
from wattkeeper.web.access import in_person, needs, principal_of
from wattkeeper.web.console.words import Notice
from wattkeeper.web.pages import language_of, render, services_of
from wattkeeper.web.problems import status_of
from wattkeeper.web.queries import people
from wattkeeper.web.queries.roles import right_groups, role_text
from wattkeeper.web.queries.states import N_

router = APIRouter(include_in_schema=False)
Id = Annotated[int, Path(ge=1, le=2**53)]
DAYS: Final = (30, 90, 365)
DONE: Final = {
    "ended": N_("That session has ended."),
    "others": N_("All other browsers are signed out."),
    "revoked": N_("That token is revoked."),
}


@router.get("/profile", dependencies=[needs()], response_class=HTMLResponse)
def profile_page(request: Request, done: Annotated[str, Query(max_length=20)] = "") -> HTMLResponse:
    """Who I am and what is mine."""
    say = language_of(request)
    return _page(request, notice=Notice("good", say.text(DONE[done])) if done in DONE else None)


@router.post("/profile/sessions/{session_id}/end", dependencies=[needs()])
def end_session(request: Request, session_id: Id) -> Response:
    """Sign another browser of mine out."""
    services, user_id = services_of(request), in_person(request)
    try:
        services.security.sign_in.end_session(user_id, session_id, now=services.clock())
    except SecurityError as error:
        return _page(request, error=error)
    return RedirectResponse("/profile?done=ended", status_code=303)


@router.post("/profile/sessions/end-others", dependencies=[needs()])
def end_other_sessions(request: Request) -> Response:
    """Sign every other browser of mine out."""
    services, principal = services_of(request), principal_of(request)
    services.security.sign_in.end_other_sessions(principal, now=services.clock())
    return RedirectResponse("/profile?done=others", status_code=303)


@router.post("/profile/tokens", dependencies=[needs(Right.TOKENS_OWN)], response_class=HTMLResponse)
def create_token(
    request: Request,
    name: Annotated[str, Form(max_length=200)] = "",
    right: Annotated[list[Right] | None, Form()] = None,
    days: Annotated[int, Form(ge=1, le=365)] = DAYS[0],
) -> Response:
    """Make a token and show its secret, this once."""
    in_person(request)
    services, principal = services_of(request), principal_of(request)
    now = services.clock()
    try:
        token, secret = services.security.tokens.create(
            principal, name=name, rights=right or (), expires_at=now + timedelta(days=days), now=now
        )
    except SecurityError as error:
        return _page(request, error=error, wanted={"name": name, "rights": set(right or ()), "days": days})
    line = people.token_lines([token], language_of(request), now=now)[0]
    return render(request, "token_secret.html", token=line, secret=secret, server=str(request.base_url))


@router.post("/profile/tokens/{token_id}/revoke", dependencies=[needs(Right.TOKENS_OWN)])
def revoke_token(request: Request, token_id: Id) -> Response:
    """Revoke a token of mine."""
    services, user_id = services_of(request), in_person(request)
    try:
        services.security.tokens.revoke(token_id, now=services.clock(), owner_id=user_id)
    except SecurityError as error:
        return _page(request, error=error)
    return RedirectResponse("/profile?done=revoked", status_code=303)


def _page(
    request: Request,
    *,
    notice: Notice | None = None,
    error: SecurityError | None = None,
    wanted: dict[str, Any] | None = None,
) -> HTMLResponse:
    services, say, principal = services_of(request), language_of(request), principal_of(request)
    now, mine = services.clock(), principal.user_id
    sessions = services.security.sign_in.sessions(mine, now=now) if mine is not None else []
    tokens = services.security.tokens.of(mine) if mine is not None else []
    names = people.place_names(services, principal.sites, principal.areas)
    return render(
        request,
        "profile.html",
        http_status=status_of(error) if error else 200,
        notice=Notice.of(error, say) if error else notice,
        frame="portal_base.html" if principal.role is Role.CUSTOMER else "base.html",
        tab="account",
        account=None,
        role_text=role_text(principal.role, say),
        places=say.listed(names[key] for key in sorted(names)),
        sessions=people.session_lines(sessions, say, here=principal.session_id),
        tokens=people.token_lines(tokens, say, now=now),
        groups=right_groups(say, principal.rights - NEVER_BY_TOKEN),
        days=DAYS,
        wanted=wanted or {"name": "", "rights": set(), "days": DAYS[1]},
    )
