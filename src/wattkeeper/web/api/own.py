"""Who asks: their rights, their sessions and the tokens of their programs."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from wattkeeper.security.rights import Right
from wattkeeper.web.access import in_person, needs, principal_of
from wattkeeper.web.api.security_schemas import MeAnswer, SessionItem, TokenAnswer, TokenCreate, TokenItem
from wattkeeper.web.api.users import session_item, token_item
from wattkeeper.web.idempotency import keep_no_secret
from wattkeeper.web.pages import services_of
from wattkeeper.web.problems import documented

router = APIRouter(tags=["own"])
Id = Annotated[int, Path(ge=1, le=2**53)]


@router.get("/me", dependencies=[needs()], summary="Who am I")
def me(request: Request) -> MeAnswer:
    """Who asks, with what rights, and what they are limited to."""
    principal = principal_of(request)
    return MeAnswer(
        login=principal.login, name=principal.name, kind=principal.kind.value, role=principal.role,
        rights=sorted(principal.rights), user_id=principal.user_id, customer_id=principal.customer_id,
        sites=sorted(principal.sites), areas=sorted(principal.areas), token_name=principal.token_name,
    )  # fmt: skip


@router.get("/me/sessions", dependencies=[needs()], summary="My sessions")
def list_sessions(request: Request) -> list[SessionItem]:
    """Where I am signed in, the one used last first."""
    services, user_id = services_of(request), in_person(request)
    return [session_item(item) for item in services.security.sign_in.sessions(user_id, now=services.clock())]


@router.delete(
    "/me/sessions/{session_id}",
    dependencies=[needs()],
    status_code=204,
    response_class=Response,
    responses=documented(404, 422),
    summary="End a session of mine",
)
def end_session(request: Request, session_id: Id) -> None:
    """Sign a browser of mine out."""
    services, user_id = services_of(request), in_person(request)
    services.security.sign_in.end_session(user_id, session_id, now=services.clock())


@router.get("/me/tokens", dependencies=[needs(Right.TOKENS_OWN)], summary="My tokens")
def list_tokens(request: Request) -> list[TokenItem]:
    """My tokens without their secrets, newest first."""
    services, user_id = services_of(request), in_person(request)
    return [token_item(token, services.clock()) for token in services.security.tokens.of(user_id)]


@router.post(
    "/me/tokens",
    dependencies=[needs(Right.TOKENS_OWN)],
    status_code=201,
    responses=documented(409, 422),
    summary="Make a token",
)
def create_token(request: Request, wanted: TokenCreate) -> TokenAnswer:
    """Make a token; the answer holds its secret, which is shown this once."""
    keep_no_secret(request)
    in_person(request)
    services = services_of(request)
    now = services.clock()
    token, secret = services.security.tokens.create(
        principal_of(request),
        name=wanted.name,
        rights=wanted.rights,
        expires_at=now + timedelta(days=wanted.days),
        now=now,
    )
    return TokenAnswer(token=token_item(token, now), secret=secret)


@router.delete(
    "/me/tokens/{token_id}",
    dependencies=[needs(Right.TOKENS_OWN)],
    status_code=204,
    response_class=Response,
    responses=documented(404, 422),
    summary="Revoke a token of mine",
)
def revoke_token(request: Request, token_id: Id) -> None:
    """End a token of mine at once."""
    services, user_id = services_of(request), in_person(request)
    services.security.tokens.revoke(token_id, now=services.clock(), owner_id=user_id)
