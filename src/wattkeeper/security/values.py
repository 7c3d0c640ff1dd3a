"""What security tells other rooms: frozen values, free of any session."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from wattkeeper.security.acting import Actor, ActorKind
from wattkeeper.security.rights import Right, Role, rights_of


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks, and what they may do and see.

    `sites` and `areas` are what a limited user is limited to; both empty mean the whole installation.
    """

    kind: ActorKind
    login: str
    name: str
    role: Role
    rights: frozenset[Right]
    user_id: int | None = None
    customer_id: int | None = None
    sites: frozenset[int] = frozenset()
    areas: frozenset[int] = frozenset()
    must_change_password: bool = False
    session_id: int | None = None
    token_name: str | None = None

    @property
    def limited(self) -> bool:
        """Whether only some sites and areas are theirs."""
        return bool(self.sites or self.areas)

    def may(self, right: Right) -> bool:
        """Whether they have a right."""
        return right in self.rights

    def actor(self, address: str | None) -> Actor:
        """How the audit names them."""
        name = self.login if self.token_name is None else f"{self.login} ({self.token_name})"
        return Actor(self.kind, name, self.user_id, address)


def local_administrator(login: str) -> Principal:
    """The operating system's user who owns the data folder: they could read and change the files anyway."""
    return Principal(
        kind=ActorKind.LOCAL,
        login=login,
        name=login,
        role=Role.ADMINISTRATOR,
        rights=rights_of(Role.ADMINISTRATOR, limited=False),
    )


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A fresh session: the secret goes to the browser and is kept nowhere else."""

    secret: str
    expires_at: datetime
    principal: Principal


@dataclass(frozen=True, slots=True)
class UserView:
    """A user as administrators see them."""

    id: int
    login: str
    name: str
    email: str | None
    role: Role
    customer_id: int | None
    sites: frozenset[int]
    areas: frozenset[int]
    must_change_password: bool
    created_at: datetime
    last_sign_in_at: datetime | None
    disabled_at: datetime | None

    def as_json(self) -> dict[str, Any]:
        """What the audit keeps of a user before and after a change."""
        return {
            "login": self.login,
            "name": self.name,
            "email": self.email,
            "role": self.role.value,
            "customer_id": self.customer_id,
            "sites": sorted(self.sites),
            "areas": sorted(self.areas),
            "disabled": self.disabled_at is not None,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class UserWanted:
    """What a user is to be; `sites` and `areas` both empty leave them the whole installation."""

    name: str
    role: Role
    email: str | None = None
    customer_id: int | None = None
    sites: frozenset[int] = frozenset()
    areas: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class UserPage:
    """A page of users by login; `after` asks for the next one."""

    users: tuple[UserView, ...]
    total: int
    after: str | None


@dataclass(frozen=True, slots=True)
class SessionView:
    """A browser that is signed in."""

    id: int
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime
    address: str
    agent: str


@dataclass(frozen=True, slots=True)
class TokenView:
    """A token without its secret."""

    id: int
    user_id: int
    login: str
    name: str
    rights: frozenset[Right]
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None

    def state(self, now: datetime) -> str:
        """`active`, `expired` or `revoked`."""
        if self.revoked_at is not None:
            return "revoked"
        return "active" if now < self.expires_at else "expired"


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One thing that somebody did; `sealed` when it is in the hash chain."""

    id: int
    at: datetime
    actor_kind: ActorKind
    actor_name: str
    actor_user_id: int | None
    address: str | None
    action: str
    subject_kind: str | None
    subject_id: str | None
    subject_name: str | None
    before: Any
    after: Any
    position: int | None
    hash: str | None


@dataclass(frozen=True, slots=True)
class AuditPage:
    """A page of the audit, newest first; `after` asks for the next one."""

    rows: tuple[AuditRow, ...]
    after: int | None


@dataclass(frozen=True, slots=True)
class AuditReport:
    """What a verification found; `problems` is empty when the chain is whole."""

    sealed: int
    unsealed: int
    head: str
    """`<position>:<hash>` of the last link: write it down elsewhere, and a cut-off end shows."""
    problems: tuple[str, ...] = field(default=())
