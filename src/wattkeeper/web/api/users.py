"""Users, and what lets them in."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from wattkeeper.security.rights import Right, Role
from wattkeeper.security.values import SessionView, TokenView, UserView, UserWanted
from wattkeeper.web.access import needs, principal_of
from wattkeeper.web.api.schemas import Page
from wattkeeper.web.api.security_schemas import (
    PasswordAnswer,
    SessionItem,
    TokenItem,
    UserChange,
    UserCreate,
    UserItem,
)
from wattkeeper.web.idempotency import keep_no_secret
from wattkeeper.web.pages import services_of
from wattkeeper.web.problems import documented

router = APIRouter(tags=["users"], dependencies=[needs(Right.USERS_MANAGE)])
Id = Annotated[int, Path(ge=1, le=2**53)]


@router.get("/users", responses=documented(422), summary="List users")
def list_users(
    request: Request,
    *,
    search: Annotated[str, Query(max_length=100, description="Part of user name, name or e-mail.")] = "",
    role: Role | None = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    after: Annotated[str | None, Query(max_length=64, description="`next` of the page before.")] = None,
) -> Page[UserItem]:
    """Users by user name."""
    found = services_of(request).security.users.find(search=search, role=role, after=after, limit=limit)
    return Page(items=[user_item(user) for user in found.users], next=found.after, total=found.total)


@router.post("/users", status_code=201, responses=documented(409, 422), summary="Add a user")
def create_user(request: Request, wanted: UserCreate) -> PasswordAnswer:
    """Add a user; the answer holds the first password, which is shown this once."""
    keep_no_secret(request)
    services = services_of(request)
    user, password = services.security.users.add(wanted.login, _wanted(wanted), now=services.clock())
    return PasswordAnswer(user=user_item(user), password=password)


@router.get("/users/{user_id}", responses=documented(404, 422), summary="One user")
def get_user(request: Request, user_id: Id) -> UserItem:
    """A user by id."""
    return user_item(services_of(request).security.users.get(user_id))


@router.put("/users/{user_id}", responses=documented(404, 409, 422), summary="Change a user")
def change_user(request: Request, user_id: Id, wanted: UserChange) -> UserItem:
    """Change name, e-mail, role, customer, sites and areas."""
    services, by = services_of(request), principal_of(request).user_id
    changed = services.security.users.change(user_id, _wanted(wanted), now=services.clock(), by=by)
    return user_item(changed)


@router.post("/users/{user_id}/disable", responses=documented(404, 409, 422), summary="Disable a user")
def disable_user(request: Request, user_id: Id) -> UserItem:
    """Keep a user out: their sessions end, and their tokens do nothing."""
    services, by = services_of(request), principal_of(request).user_id
    return user_item(services.security.users.disable(user_id, disabled=True, now=services.clock(), by=by))


@router.post("/users/{user_id}/enable", responses=documented(404, 409, 422), summary="Enable a user")
def enable_user(request: Request, user_id: Id) -> UserItem:
    """Let a user in again."""
    services = services_of(request)
    return user_item(services.security.users.disable(user_id, disabled=False, now=services.clock()))


@router.post(
    "/users/{user_id}/reset-password", responses=documented(404, 409, 422), summary="Reset a password"
)
def reset_password(request: Request, user_id: Id) -> PasswordAnswer:
    """Give a user a new password, which is shown this once; their sessions end."""
    keep_no_secret(request)
    services, by = services_of(request), principal_of(request).user_id
    password = services.security.users.reset_password(user_id, now=services.clock(), by=by)
    return PasswordAnswer(user=user_item(services.security.users.get(user_id)), password=password)


@router.get("/users/{user_id}/sessions", responses=documented(404, 422), summary="Sessions of a user")
def list_sessions(request: Request, user_id: Id) -> list[SessionItem]:
    """Where a user is signed in, the one used last first."""
    services = services_of(request)
    services.security.users.get(user_id)
    found = services.security.sign_in.sessions(user_id, now=services.clock())
    return [session_item(item) for item in found]


@router.delete(
    "/users/{user_id}/sessions/{session_id}",
    status_code=204,
    response_class=Response,
    responses=documented(404, 422),
    summary="End a session of a user",
)
def end_session(request: Request, user_id: Id, session_id: Id) -> None:
    """Sign a browser of a user out."""
    services = services_of(request)
    services.security.sign_in.end_session(user_id, session_id, now=services.clock())


@router.get("/users/{user_id}/tokens", responses=documented(404, 422), summary="Tokens of a user")
def list_tokens(request: Request, user_id: Id) -> list[TokenItem]:
    """A user's tokens without their secrets, newest first."""
    services = services_of(request)
    services.security.users.get(user_id)
    return [token_item(token, services.clock()) for token in services.security.tokens.of(user_id)]


@router.delete(
    "/users/{user_id}/tokens/{token_id}",
    status_code=204,
    response_class=Response,
    responses=documented(404, 422),
    summary="Revoke a token of a user",
)
def revoke_token(request: Request, user_id: Id, token_id: Id) -> None:
    """End a token at once."""
    services = services_of(request)
    services.security.tokens.revoke(token_id, now=services.clock(), owner_id=user_id)


def _wanted(wanted: UserChange) -> UserWanted:
    return UserWanted(
        name=wanted.name, role=wanted.role, email=wanted.email, customer_id=wanted.customer_id,
        sites=frozenset(wanted.sites), areas=frozenset(wanted.areas),
    )  # fmt: skip


def user_item(user: UserView) -> UserItem:
    """A user as the API shows them."""
    return UserItem(
        id=user.id, login=user.login, name=user.name, email=user.email, role=user.role, customer_id=user.customer_id,
        sites=sorted(user.sites), areas=sorted(user.areas), disabled=user.disabled_at is not None,
        must_change_password=user.must_change_password, created_at=user.created_at,
        last_sign_in_at=user.last_sign_in_at,
    )  # fmt: skip


def session_item(item: SessionView) -> SessionItem:
    """A session as the API shows it."""
    return SessionItem.model_validate(item)


def token_item(token: TokenView, now: datetime) -> TokenItem:
    """A token as the API shows it."""
    return TokenItem(
        id=token.id, name=token.name, rights=sorted(token.rights), state=token.state(now),
        created_at=token.created_at, expires_at=token.expires_at, last_used_at=token.last_used_at,
    )  # fmt: skip
