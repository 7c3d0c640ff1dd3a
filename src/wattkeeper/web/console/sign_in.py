"""Signing in and out, and choosing one's password."""

from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.responses import Response

from wattkeeper.security.errors import PasswordRefused, SecurityError, SignInRefused, SignInThrottled
from wattkeeper.security.passwords import SHORTEST
from wattkeeper.security.rights import Role
from wattkeeper.security.sign_in import LONGEST
from wattkeeper.security.values import Principal
from wattkeeper.web.access import (
    COOKIE,
    SECURE_COOKIE,
    anybody,
    client_address,
    cookie_name,
    needs,
    principal_of,
    principal_or_none,
)
from wattkeeper.web.console.words import Notice
from wattkeeper.web.pages import language_of, render, services_of
from wattkeeper.web.problems import status_of

router = APIRouter(include_in_schema=False)
LONGEST_FIELD: Final = 200


def home_of(principal: Principal) -> str:
    """Where somebody begins."""
    return "/portal" if principal.role is Role.CUSTOMER else "/"


@router.get("/sign-in", response_class=HTMLResponse, dependencies=[anybody()])
def sign_in_page(request: Request, next: Annotated[str, Query(max_length=2000)] = "") -> Response:  # noqa: A002 (the address says next)
    """The form; who is signed in already goes on."""
    principal = principal_or_none(request)
    if principal is not None:
        return RedirectResponse(_within(next) or home_of(principal), status_code=303)
    return _form(request, next=next)


@router.post("/sign-in", response_class=HTMLResponse, dependencies=[anybody()])
def sign_in(
    request: Request,
    login: Annotated[str, Form(max_length=LONGEST_FIELD)] = "",
    password: Annotated[str, Form(max_length=LONGEST_FIELD)] = "",
    next: Annotated[str, Form(max_length=2000)] = "",  # noqa: A002
) -> Response:
    """Begin a session, or say why not."""
    services = services_of(request)
    try:
        signed_in = services.security.sign_in.sign_in(
            login,
            password,
            address=client_address(request.scope),
            agent=request.headers.get("user-agent", ""),
            now=services.clock(),
        )
    except (SignInRefused, SignInThrottled) as error:
        return _form(request, next=next, login=login, error=error)
    principal = signed_in.principal
    goal = "/password" if principal.must_change_password else _within(next) or home_of(principal)
    answer = RedirectResponse(goal, status_code=303)
    secure = request.url.scheme == "https"
    answer.set_cookie(
        cookie_name(request.url.scheme),
        signed_in.secret,
        max_age=int(LONGEST.total_seconds()),
        httponly=True,
        samesite="lax",
        secure=secure,
    )
    return answer


@router.post("/sign-out", dependencies=[needs()])
def sign_out(request: Request) -> Response:
    """End this session."""
    services, principal = services_of(request), principal_of(request)
    if principal.session_id is not None:
        services.security.sign_in.sign_out(principal, now=services.clock())
    answer = RedirectResponse("/sign-in", status_code=303)
    for name in (COOKIE, SECURE_COOKIE):
        answer.delete_cookie(name, httponly=True, samesite="lax", secure=name == SECURE_COOKIE)
    answer.headers["clear-site-data"] = '"cache", "storage"'
    return answer


@router.get("/password", response_class=HTMLResponse, dependencies=[needs()])
def password_page(request: Request) -> HTMLResponse:
    """The form for a password of one's own."""
    return _password_form(request)


@router.post("/password", response_class=HTMLResponse, dependencies=[needs()])
def change_password(
    request: Request,
    present: Annotated[str, Form(max_length=LONGEST_FIELD)] = "",
    new: Annotated[str, Form(max_length=LONGEST_FIELD)] = "",
    again: Annotated[str, Form(max_length=LONGEST_FIELD)] = "",
) -> Response:
    """Change one's password; all other sessions of the same user end."""
    services, principal = services_of(request), principal_of(request)
    try:
        if new != again:
            raise PasswordRefused(
                "The two new passwords differ.", reason="differ", hint="Type it twice the same."
            )
        services.security.sign_in.change_password(principal, present=present, new=new, now=services.clock())
    except SecurityError as error:
        return _password_form(request, error=error)
    if principal.must_change_password:
        return RedirectResponse(home_of(principal), status_code=303)
    say = language_of(request)
    return _password_form(
        request, notice=Notice("good", say.text("Your password is changed. Other browsers were signed out."))
    )


def _within(address: str) -> str | None:
    """An address of our own, never one of another site."""
    parts = urlsplit(address)
    inside = address.startswith("/") and not address.startswith(("//", "/\\")) and not parts.netloc
    return address if inside and "\\" not in address and address.isprintable() else None


def _form(
    request: Request,
    *,
    next: str,  # noqa: A002
    login: str = "",
    error: SecurityError | None = None,
) -> HTMLResponse:
    notice = Notice.of(error, language_of(request)) if error else None
    answer = render(
        request,
        "sign_in.html",
        http_status=status_of(error) if error else 200,
        next=next,
        login=login,
        notice=notice,
    )
    if isinstance(error, SignInThrottled):
        answer.headers["retry-after"] = str(error.retry_after_s)
    return answer


def _password_form(
    request: Request, *, error: SecurityError | None = None, notice: Notice | None = None
) -> HTMLResponse:
    values: dict[str, Any] = {"shortest": SHORTEST, "notice": notice}
    if error is not None:
        values["notice"] = Notice.of(error, language_of(request))
    return render(request, "password.html", http_status=status_of(error) if error else 200, **values)
