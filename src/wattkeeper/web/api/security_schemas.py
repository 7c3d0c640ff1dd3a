"""What the API says of users, sessions, tokens, the audit and jobs."""

from typing import Annotated, Any

from pydantic import BaseModel, Field, StringConstraints

from wattkeeper.security.rights import Right, Role
from wattkeeper.web.api.schemas import InstantText, Shape

Ids = Annotated[list[Annotated[int, Field(ge=1, le=2**53)]], Field(max_length=1000)]
NameText = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class UserItem(Shape):
    """A user. `sites` and `areas` both empty: the whole installation."""

    id: int
    login: str = Field(examples=["wang"])
    name: str
    email: str | None
    role: Role
    customer_id: int | None = Field(description="Whose accounts a user of the role customer sees.")
    sites: list[int]
    areas: list[int]
    disabled: bool
    must_change_password: bool
    created_at: InstantText
    last_sign_in_at: InstantText | None


class UserChange(BaseModel):
    """What a user is to be, all of it: what is left out takes its default."""

    name: NameText
    role: Role
    email: str | None = Field(default=None, max_length=254)
    customer_id: int | None = Field(default=None, ge=1, le=2**53)
    sites: Ids = []
    areas: Ids = []


class UserCreate(UserChange):
    """A new user."""

    login: str = Field(min_length=2, max_length=64, examples=["wang"])


class PasswordAnswer(Shape):
    """A password that is shown this once, and must be changed at the first sign-in."""

    user: UserItem
    password: str


class SessionItem(Shape):
    """A browser that is signed in."""

    id: int
    created_at: InstantText
    last_seen_at: InstantText
    expires_at: InstantText
    address: str
    agent: str


class TokenItem(Shape):
    """A token without its secret."""

    id: int
    name: str
    rights: list[Right]
    state: str = Field(description="active, expired or revoked.")
    created_at: InstantText
    expires_at: InstantText
    last_used_at: InstantText | None


class TokenCreate(BaseModel):
    """A token for a program of one's own."""

    name: str = Field(min_length=1, max_length=100, examples=["month-end export"])
    rights: list[Right] = Field(min_length=1, max_length=100, examples=[["meters.view"]])
    days: int = Field(default=90, ge=1, le=365, description="How long it is valid.")


class TokenAnswer(Shape):
    """A new token with its secret, which is shown this once."""

    token: TokenItem
    secret: str = Field(examples=["wk_…"])


class MeAnswer(Shape):
    """Who asks, and what they may do and see."""

    login: str
    name: str
    kind: str = Field(description="user, token, or local for the command line on the server.")
    role: Role
    rights: list[Right]
    user_id: int | None
    customer_id: int | None
    sites: list[int] = Field(
        description="With `areas`: what they are limited to; both empty mean everything."
    )
    areas: list[int]
    token_name: str | None


class ActItem(Shape):
    """One thing that somebody did."""

    id: int
    at: InstantText
    actor_kind: str = Field(description="user, token, local, system or anonymous.")
    actor_name: str
    actor_user_id: int | None
    address: str | None
    action: str = Field(examples=["user.change"])
    subject_kind: str | None
    subject_id: str | None
    subject_name: str | None
    before: Any
    after: Any
    position: int | None = Field(description="Its place in the hash chain; null for some seconds.")
    hash: str | None


class AuditAnswer(Shape):
    """What a verification of the hash chain found."""

    whole: bool
    sealed: int
    unsealed: int
    head: str = Field(description="Keep it elsewhere and give it as `expected` the next time.")
    problems: list[str]


class JobItem(Shape):
    """One piece of long work."""

    id: int
    kind: str = Field(examples=["bill_run"])
    state: str = Field(description="queued, running, finished or failed.")
    progress: int
    total: int | None
    attempt: int
    error: str | None
    enqueued_at: InstantText
    started_by: str | None
