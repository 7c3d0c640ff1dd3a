"""Users, their sessions and tokens, as pages show them."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import or_, select

from wattkeeper.registry.models import Area, Customer, Site
from wattkeeper.registry.values import AreaNode
from wattkeeper.security.values import SessionView, TokenView, UserView
from wattkeeper.web.language import Language
from wattkeeper.web.queries.agents import device_text
from wattkeeper.web.queries.roles import right_groups, role_text
from wattkeeper.web.queries.states import N_, Level
from wattkeeper.web.services import Services

CUSTOMERS_OFFERED: Final = 20
TOKEN_STATES: Final[dict[str, tuple[Level, str]]] = {
    "active": ("ok", N_("valid")),
    "expired": ("idle", N_("expired")),
    "revoked": ("idle", N_("revoked")),
}


@dataclass(frozen=True, slots=True)
class UserLine:
    """A user in a list."""

    id: int
    login: str
    name: str
    email: str | None
    role_text: str
    sees: str
    """What part of the network, or which customer, is theirs."""
    level: Level
    state_text: str
    created_at: datetime
    last_sign_in_at: datetime | None


@dataclass(frozen=True, slots=True)
class SessionLine:
    """A browser that is signed in."""

    id: int
    device: str
    agent: str
    address: str
    created_at: datetime
    last_seen_at: datetime
    here: bool


@dataclass(frozen=True, slots=True)
class TokenLine:
    """A token of a list."""

    id: int
    name: str
    rights: tuple[str, ...]
    level: Level
    state_text: str
    active: bool
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None


@dataclass(frozen=True, slots=True)
class Place:
    """A site or an area in a tree of choices; `open` when something below it is chosen."""

    kind: str
    id: int
    name: str
    chosen: bool
    below: tuple["Place", ...]

    @property
    def open(self) -> bool:
        """Whether the tree shows what is below."""
        return any(place.chosen or place.open for place in self.below)


def user_lines(services: Services, users: Sequence[UserView], say: Language) -> list[UserLine]:
    """Users with what they see in words."""
    sites = {site for user in users for site in user.sites}
    areas = {area for user in users for area in user.areas}
    names = place_names(services, sites, areas)
    customers = customer_names(services, {user.customer_id for user in users if user.customer_id})
    lines = []
    for user in users:
        level, state = user_state(user)
        lines.append(
            UserLine(
                id=user.id, login=user.login, name=user.name, email=user.email, role_text=role_text(user.role, say),
                sees=_sees(user, names, customers, say), level=level, state_text=say.text(state),
                created_at=user.created_at, last_sign_in_at=user.last_sign_in_at,
            )
        )  # fmt: skip
    return lines


def user_state(user: UserView) -> tuple[Level, str]:
    """Whether a user may come in, and whether they ever did."""
    if user.disabled_at is not None:
        return "idle", N_("disabled")
    if user.must_change_password:
        return "warn", N_("has a password to be changed")
    return "ok", N_("may sign in")


def _sees(user: UserView, names: dict[tuple[str, int], str], customers: dict[int, str], say: Language) -> str:
    if user.customer_id is not None:
        return customers.get(user.customer_id, str(user.customer_id))
    places = [("site", site) for site in sorted(user.sites)] + [("area", area) for area in sorted(user.areas)]
    listed = "、" if say.code == "zh" else ", "
    return listed.join(names.get(place, str(place[1])) for place in places) or say.text(
        "the whole installation"
    )


def place_names(
    services: Services, sites: Collection[int], areas: Collection[int]
) -> dict[tuple[str, int], str]:
    """The names of sites and areas by (kind, id)."""
    with services.database.read() as session:
        found = {
            ("site", row[0]): row[1]
            for row in session.execute(select(Site.id, Site.name).where(Site.id.in_(sites)))
        }
        wanted = select(Area.id, Area.name).where(Area.id.in_(areas))
        return found | {("area", row[0]): row[1] for row in session.execute(wanted)}


def customer_names(services: Services, ids: Collection[int]) -> dict[int, str]:
    """Customers as people call them, by id."""
    wanted = select(Customer.id, Customer.code, Customer.name).where(Customer.id.in_(ids))
    with services.database.read() as session:
        return {row[0]: f"{row[2]} ({row[1]})" for row in session.execute(wanted)}


def offered_customers(services: Services, search: str) -> list[tuple[str, str]]:
    """The first customers whose code or name contains the search, as (code, name)."""
    columns = (Customer.code, Customer.name)
    wanted = select(*columns).where(or_(*(column.icontains(search, autoescape=True) for column in columns)))
    with services.database.read() as session:
        found = session.execute(wanted.order_by(Customer.code).limit(CUSTOMERS_OFFERED))
        return [(row[0], row[1]) for row in found]


def customer_by(services: Services, text: str) -> int | None:
    """The customer of this code, or the only one of this name."""
    with services.database.read() as session:
        by_code = session.scalar(select(Customer.id).where(Customer.code == text))
        if by_code is not None:
            return by_code
        named = session.scalars(select(Customer.id).where(Customer.name == text).limit(2)).all()
    return named[0] if len(named) == 1 else None


def customer_code(services: Services, customer_id: int | None) -> str:
    """The code of a customer; empty for none."""
    if customer_id is None:
        return ""
    with services.database.read() as session:
        return session.scalar(select(Customer.code).where(Customer.id == customer_id)) or ""


def places(services: Services, *, sites: Collection[int], areas: Collection[int]) -> list[Place]:
    """Every site with its areas, and which of them are chosen."""

    def of(nodes: Iterable[AreaNode]) -> tuple[Place, ...]:
        return tuple(
            Place("area", node.area_id, node.name, node.area_id in areas, of(node.children)) for node in nodes
        )

    with services.database.read() as session:
        registry = services.registry(session)
        return [
            Place("site", site.id, site.name, site.id in sites, of(registry.area_tree(site.id)))
            for site in registry.sites()
        ]


def session_lines(sessions: Iterable[SessionView], say: Language, *, here: int | None) -> list[SessionLine]:
    """Sessions with their devices in words; `here` is the one that asks."""
    return [
        SessionLine(
            id=item.id, device=device_text(item.agent, say), agent=item.agent, address=item.address,
            created_at=item.created_at, last_seen_at=item.last_seen_at, here=item.id == here,
        )
        for item in sessions
    ]  # fmt: skip


def token_lines(tokens: Iterable[TokenView], say: Language, *, now: datetime) -> list[TokenLine]:
    """Tokens with their rights and states in words."""
    lines = []
    for token in tokens:
        code = token.state(now)
        level, text = TOKEN_STATES[code]
        rights = tuple(right.text for group in right_groups(say, token.rights) for right in group.rights)
        lines.append(
            TokenLine(
                id=token.id, name=token.name, rights=rights, level=level, state_text=say.text(text),
                active=code == "active", created_at=token.created_at, expires_at=token.expires_at,
                last_used_at=token.last_used_at,
            )
        )  # fmt: skip
    return lines
