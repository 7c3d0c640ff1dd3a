"""One user: who they are, what they may see, and everything that lets them in."""

from collections.abc import Callable
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.responses import Response

from wattkeeper.security.errors import SecurityError
from wattkeeper.security.rights import Right
from wattkeeper.security.values import UserView
from wattkeeper.web.access import needs, principal_of
from wattkeeper.web.console.users import UserForm, form_fields, password_shown
from wattkeeper.web.console.words import Notice
from wattkeeper.web.language import Language
from wattkeeper.web.pages import language_of, render, services_of
from wattkeeper.web.problems import status_of
from wattkeeper.web.queries import people
from wattkeeper.web.queries.acts import act_lines
from wattkeeper.web.queries.roles import role_choices
from wattkeeper.web.queries.states import N_

router = APIRouter(include_in_schema=False, dependencies=[needs(Right.USERS_MANAGE)])
Id = Annotated[int, Path(ge=1, le=2**53)]
ACTS_SHOWN: Final = 10
DONE: Final = {
    "changed": N_("The changes are kept."),
    "disabled": N_("This user can no longer sign in; sessions and tokens do nothing any more."),
    "enabled": N_("This user may sign in again."),
    "ended": N_("That session has ended."),
    "revoked": N_("That token is revoked."),
}


@router.get("/users/{user_id}", response_class=HTMLResponse)
def user_page(request: Request, user_id: Id, done: Annotated[str, Query(max_length=20)] = "") -> HTMLResponse:
    """A user with everything that is theirs."""
    say = language_of(request)
    notice = Notice("good", say.text(DONE[done])) if done in DONE else None
    return _page(request, services_of(request).security.users.get(user_id), notice=notice)


@router.post("/users/{user_id}", response_class=HTMLResponse)
def change_user(request: Request, user_id: Id, form: Annotated[UserForm, Depends()]) -> Response:
    """Change who a user is and what they may see."""
    services = services_of(request)
    user = services.security.users.get(user_id)
    try:
        wanted = form.found(services)
        services.security.users.change(
            user_id, wanted, now=services.clock(), by=principal_of(request).user_id
        )
    except SecurityError as error:
        return _page(request, user, error=error, fields=form.fields(services, login=user.login))
    return _done(user_id, "changed")


@router.post("/users/{user_id}/disable", response_class=HTMLResponse)
def disable_user(request: Request, user_id: Id) -> Response:
    """Keep a user out."""
    return _disabled(request, user_id, disabled=True)


@router.post("/users/{user_id}/enable", response_class=HTMLResponse)
def enable_user(request: Request, user_id: Id) -> Response:
    """Let a user in again."""
    return _disabled(request, user_id, disabled=False)


@router.post("/users/{user_id}/reset-password", response_class=HTMLResponse)
def reset_password(request: Request, user_id: Id) -> Response:
    """Give a user a new password and show it, this once."""
    services = services_of(request)
    user = services.security.users.get(user_id)
    by = principal_of(request).user_id
    try:
        password = services.security.users.reset_password(user_id, now=services.clock(), by=by)
    except SecurityError as error:
        return _page(request, user, error=error)
    return password_shown(request, user, password, new=False)


@router.post("/users/{user_id}/sessions/{session_id}/end")
def end_session(request: Request, user_id: Id, session_id: Id) -> Response:
    """End a session of a user."""
    services = services_of(request)
    return _act(
        request,
        user_id,
        "ended",
        lambda: services.security.sign_in.end_session(user_id, session_id, now=services.clock()),
    )


@router.post("/users/{user_id}/tokens/{token_id}/revoke")
def revoke_token(request: Request, user_id: Id, token_id: Id) -> Response:
    """Revoke a token of a user."""
    services = services_of(request)
    return _act(
        request,
        user_id,
        "revoked",
        lambda: services.security.tokens.revoke(token_id, now=services.clock(), owner_id=user_id),
    )


def _disabled(request: Request, user_id: int, *, disabled: bool) -> Response:
    services, by = services_of(request), principal_of(request).user_id
    return _act(
        request,
        user_id,
        "disabled" if disabled else "enabled",
        lambda: services.security.users.disable(user_id, disabled=disabled, now=services.clock(), by=by),
    )


def _act(request: Request, user_id: int, done: str, act: Callable[[], object]) -> Response:
    """Do something to a user and go back to their page, which says what became of it."""
    user = services_of(request).security.users.get(user_id)
    try:
        act()
    except SecurityError as error:
        return _page(request, user, error=error)
    return _done(user_id, done)


def _done(user_id: int, what: str) -> Response:
    return RedirectResponse(f"/users/{user_id}?done={what}", status_code=303)


def _page(
    request: Request,
    user: UserView,
    *,
    notice: Notice | None = None,
    error: SecurityError | None = None,
    fields: dict[str, Any] | None = None,
) -> HTMLResponse:
    services, say = services_of(request), language_of(request)
    code = people.customer_code(services, user.customer_id)
    return render(
        request,
        "user.html",
        http_status=status_of(error) if error else 200,
        notice=Notice.of(error, say) if error else notice,
        user=user,
        line=people.user_lines(services, [user], say)[0],
        oneself=user.id == principal_of(request).user_id,
        form=fields or form_fields(services, user, code, user.login),
        roles=role_choices(say),
        **_held(request, user, say),
    )


def _held(request: Request, user: UserView, say: Language) -> dict[str, Any]:
    """What lets a user in, and what they did last."""
    services, now = services_of(request), services_of(request).clock()
    sessions = services.security.sign_in.sessions(user.id, now=now)
    return {
        "sessions": people.session_lines(sessions, say, here=principal_of(request).session_id),
        "tokens": people.token_lines(services.security.tokens.of(user.id), say, now=now),
        "acts": act_lines(services, services.security.audit(actor_id=user.id, limit=ACTS_SHOWN).rows, say),
    }
