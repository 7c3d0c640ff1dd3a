"""Who asks, and whether they may: every request is given its principal, every route names the right it needs.

A route that names none keeps the application from starting (`require_declared`), so that nothing is open by oversight.
"""

import getpass
from collections.abc import Iterable, Iterator
from typing import Any, Final
from urllib.parse import quote

from fastapi import Depends, FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, RouteContext, iter_route_contexts
from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Receive, Scope, Send

from wattkeeper.registry.scope import Scope as NetworkScope
from wattkeeper.security.acting import Actor, ActorKind, acting
from wattkeeper.security.errors import Forbidden, NotSignedIn, PasswordChangeRequired, TokenRefused
from wattkeeper.security.rights import Right
from wattkeeper.security.values import Principal, local_administrator
from wattkeeper.web.problems import problem_response, slug_of
from wattkeeper.web.services import Services

COOKIE: Final = "wk_session"
SECURE_COOKIE: Final = "__Host-wk_session"
"""Over HTTPS: browsers then refuse to take it from a sibling domain or over plain HTTP."""
BEARER: Final = "bearer "
OWN_PASSWORD: Final = "/password"  # noqa: S105 (an address)
PASSWORD_PATHS: Final = frozenset({OWN_PASSWORD, "/sign-out"})
"""Where a user may go who has to choose a password first."""


class Needs:
    """A route's condition: a signed-in principal with one of these rights."""

    def __init__(self, *rights: Right) -> None:
        self.rights = frozenset(rights)

    async def __call__(self, request: Request) -> None:
        """Let the request pass, or raise what it lacks."""
        principal = principal_or_none(request)
        if principal is None:
            raise NotSignedIn("This needs somebody who is signed in.", hint="Sign in, or send a token.")
        if principal.must_change_password and request.url.path not in PASSWORD_PATHS:
            raise PasswordChangeRequired(
                "Choose a password of your own first.",
                hint=f"Open {OWN_PASSWORD}, or sign in on the console.",
            )
        if self.rights and not self.rights & principal.rights:
            raise Forbidden(
                f"{principal.login} may not do this: it needs {' or '.join(sorted(self.rights))}.",
                hint="Ask an administrator for a role that has it.",
            )


class Anybody:
    """A route's condition: none; signing in must be possible for who is not signed in."""

    async def __call__(self) -> None:
        """Let the request pass."""


def needs(*rights: Right) -> Any:
    """A route's dependency: one of these rights; without any, just somebody who is signed in."""
    return Depends(Needs(*rights))


def anybody() -> Any:
    """A route's dependency: open to all."""
    return Depends(Anybody())


def principal_or_none(request: Request) -> Principal | None:
    """Who asks; None when nobody is signed in."""
    principal: Principal | None = request.scope.get("principal")
    return principal


def principal_of(request: Request) -> Principal:
    """Who asks, on a route that needs somebody."""
    principal = principal_or_none(request)
    assert principal is not None
    return principal


def in_person(request: Request) -> int:
    """The user who asks and signed in with a password; a token has no say over how its owner gets in."""
    principal = principal_of(request)
    if principal.user_id is None or principal.session_id is None:
        raise Forbidden(
            "Only somebody who signed in with a password may do this.", hint="Sign in on the console."
        )
    return principal.user_id


def scope_of(principal: Principal | None) -> NetworkScope:
    """The part of the network that somebody may see."""
    return NetworkScope(principal.sites, principal.areas) if principal else NetworkScope()


def client_address(scope: Scope) -> str:
    """The network address a request came from, as the server saw it."""
    client = scope.get("client")
    return client[0] if client else "local"


def sign_in_url(request: Request) -> str:
    """The sign-in page, which leads back to where somebody wanted to go."""
    if request.method != "GET":
        return "/sign-in"
    wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return "/sign-in" if wanted == "/" else f"/sign-in?next={quote(wanted)}"


class Identity:
    """Finds out who asks: by the session's cookie, a token, or the command line's own socket."""

    def __init__(self, app: ASGIApp, *, services: Services) -> None:
        self._app = app
        self._services = services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Set `scope["principal"]` and who acts, then pass on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            scope["principal"] = principal = await self._principal(scope)
        except TokenRefused as error:
            refusal = problem_response(401, slug_of(error), error.message, hint=error.hint)
            refusal.headers["www-authenticate"] = "Bearer"
            await refusal(scope, receive, send)
            return
        address = client_address(scope)
        actor = principal.actor(address) if principal else Actor(ActorKind.ANONYMOUS, "-", address=address)
        with acting(actor):
            await self._app(scope, receive, send)

    async def _principal(self, scope: Scope) -> Principal | None:
        server = scope.get("server")
        if server is not None and server[1] is None:  # a Unix socket, which only the folder's owner may open
            return local_administrator(getpass.getuser())
        if scope["path"].startswith("/static/"):
            return None
        return await run_in_threadpool(presented, scope, self._services)


def presented(scope: Scope, services: Services) -> Principal | None:
    """Who holds the token or the session's cookie that a request carries.

    Raises:
        TokenRefused: there is a token, and it is no good.

    """
    headers, now = Headers(scope=scope), services.clock()
    authorization = headers.get("authorization", "")
    if authorization.lower().startswith(BEARER):
        return services.security.tokens.principal(authorization[len(BEARER) :].strip(), now=now)
    session = cookie_parser(headers.get("cookie", "")).get(cookie_name(scope["scheme"]))
    return services.security.sign_in.principal(session, now=now) if session else None


def cookie_name(scheme: str) -> str:
    """The session's cookie: over HTTPS only the one that no sibling domain can have set."""
    return SECURE_COOKIE if scheme == "https" else COOKIE


async def still_welcome(request: Request) -> bool:
    """Whether who gets a long answer could still ask for it: signed in, and with the same rights and areas."""
    began = principal_of(request)
    if began.kind is ActorKind.LOCAL:
        return True
    try:
        now = await run_in_threadpool(presented, request.scope, request.app.state.services)
    except TokenRefused:
        return False
    return now is not None and (now.rights, now.sites, now.areas) == (began.rights, began.sites, began.areas)


def conditions(route: RouteContext) -> list[Needs | Anybody]:
    """What a route asks of who comes."""
    return [call for call in _calls(route.dependant) if isinstance(call, Needs | Anybody)]


def require_declared(application: FastAPI) -> None:
    """Refuse to start an application in which a route does not say who may use it."""
    for route in routes(application):
        if len(conditions(route)) != 1:
            raise AssertionError(f"{route.methods} {route.path} does not say, once, what right it needs.")


def routes(application: FastAPI) -> Iterable[RouteContext]:
    """Every page and operation."""
    found = iter_route_contexts(application.routes)
    return (route for route in found if isinstance(route.original_route, APIRoute))


def _calls(dependant: Dependant) -> Iterator[object]:
    for child in dependant.dependencies:
        yield child.call
        yield from _calls(child)
