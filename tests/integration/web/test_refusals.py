"""Every page and operation refuses every role and scope that lacks its right, and writes nothing; and no other."""

import re
from dataclasses import dataclass
from datetime import timedelta

import pytest
from sqlalchemy import func, select
from starlette.testclient import TestClient
from tests.integration.web.conftest import SAME_ORIGIN, Town, add_user, session_of

from wattkeeper.billing.models import Payment
from wattkeeper.kernel.database import Base
from wattkeeper.registry.models import Area, Customer
from wattkeeper.security.rights import ROLE_RIGHTS, Right, Role
from wattkeeper.security.tokens import NEVER_BY_TOKEN
from wattkeeper.web.access import COOKIE, Anybody, conditions, routes
from wattkeeper.web.application import create_application

ABSENT = 2**40
"""An id that nothing has: who has the right is told so, and nothing happens."""
KEPT_BY_ITSELF = {"audit_seal", "user_session", "api_token", "idempotent_request"}
"""Tables that reading and signing in write to."""


@dataclass(frozen=True)
class Asker:
    """Somebody who asks, and the rights they ought to have."""

    headers: dict[str, str]
    rights: frozenset[Right] | None
    """None: nobody is signed in."""


@dataclass(frozen=True)
class Door:
    """A way into the application."""

    method: str
    path: str
    rights: frozenset[Right] | None
    """Any of these opens it; empty: whoever is signed in; None: everybody."""

    @property
    def api(self) -> bool:
        return self.path.startswith("/api/v1/")

    def opens_for(self, asker: Asker) -> bool:
        if self.rights is None:
            return True
        return asker.rights is not None and (not self.rights or bool(self.rights & asker.rights))


def doors(application) -> list[Door]:
    """Every way in, from the routes themselves."""
    found = []
    for route in routes(application):
        (condition,) = conditions(route)
        rights = None if isinstance(condition, Anybody) else condition.rights
        found += [Door(method, route.path, rights) for method in sorted(route.methods)]
    return found


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    built = Town(tmp_path_factory.mktemp("guarded"))
    built.bill()
    yield built
    built.close()


@pytest.fixture(scope="module")
def server(guarded):
    with TestClient(create_application(guarded.services()), follow_redirects=False) as opened:
        yield opened


@pytest.fixture(scope="module")
def ids(guarded):
    """What stands for each part of an address: things that are there."""
    with guarded.database.read() as session:
        payment, area = session.scalar(select(Payment.id)), session.scalar(select(Area.id))
    exchange = next(iter(guarded.exchanges.values()))
    return {"code": "north", "exchange_id": exchange, "payment_id": payment, "area_id": area}


@pytest.fixture(scope="module")
def askers(guarded):
    """Each role with the whole installation and with one area, a token of little, and nobody."""
    with guarded.database.read() as session:
        area = session.scalars(select(Area.id).where(Area.code == "A1")).one()
        customer = session.scalars(select(Customer.id).order_by(Customer.id)).first()
    found = {"nobody": Asker({}, None)}
    for role in Role:
        more = {"customer_id": customer} if role is Role.CUSTOMER else {}
        secret = add_user(guarded, role.value, role, **more)
        found[role.value] = Asker(_cookie(secret), ROLE_RIGHTS[role])
        if role is not Role.CUSTOMER:
            secret = add_user(guarded, f"{role.value}-a1", role, areas=frozenset({area}))
            found[f"{role.value} of an area"] = Asker(_cookie(secret), _limited(role))
    found["token"] = Asker(*_token(guarded))
    return found


def _cookie(secret: str) -> dict[str, str]:
    return SAME_ORIGIN | {"cookie": f"{COOKIE}={secret}"}


def _limited(role: Role) -> frozenset[Right]:
    """Written out, so that a right that slips out of `WHOLE` shows here."""
    whole = {
        "metrics.view", "readings.deliver", "plans.edit", "registry.edit", "customers.edit", "bills.run", "tariffs.assign", "jobs.view", "users.manage", "audit.view", "notices.manage", "commands.standing", "rules.set",
        "archive.manage",
    }  # fmt: skip
    return frozenset(right for right in ROLE_RIGHTS[role] if right.value not in whole)


def _token(town: Town) -> tuple[dict[str, str], frozenset[Right]]:
    """An administrator's token that may look at tariffs only."""
    owner = town.security.sign_in.principal(session_of(town, "administrator"), now=town.now)
    rights = frozenset({Right.TARIFFS_VIEW})
    assert not rights & NEVER_BY_TOKEN
    _, secret = town.security.tokens.create(
        owner, name="prices", rights=rights, expires_at=town.now + timedelta(days=1), now=town.now
    )
    return {"authorization": f"Bearer {secret}"}, rights


WHO = [
    "nobody", "token", *(role.value for role in Role), *(f"{role.value} of an area" for role in Role if role is not Role.CUSTOMER),
]  # fmt: skip


@pytest.mark.parametrize("who", WHO)
def test_who_lacks_the_right_is_refused_and_nothing_is_written(guarded, server, askers, ids, who):
    asker = askers[who]
    before = _rows(guarded)
    refused = [door for door in doors(server.app) if not door.opens_for(asker)]
    assert len(refused) > 20 or who.startswith("administrator")
    for door in refused:
        answer = server.request(door.method, _filled(door.path, ids), headers=asker.headers)
        if asker.rights is not None:
            assert answer.status_code == 403, (who, door)
        elif door.api:
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer"), door
        else:
            assert answer.status_code in {303, 401}, door
            assert answer.headers.get("location", "/sign-in").startswith("/sign-in"), door
    assert _rows(guarded) == before


@pytest.mark.parametrize("who", WHO[1:])
def test_who_has_the_right_is_not_refused(server, askers, who):
    asker = askers[who]
    opened = [
        door
        for door in doors(server.app)
        if door.rights is not None  # signing in has no right, and wrong passwords are refused
        and door.opens_for(asker)
        # A stream without end; and what would end the session that asks.
        and door.path not in {"/events", "/sign-out", "/profile/sessions/end-others"}
        # A token signs in to nothing, and has no password to change.
        and not (who == "token" and ("/sessions" in door.path or door.path == "/password"))
    ]
    for door in opened:
        address = re.sub(r"\{\w+\}", str(ABSENT), door.path)
        answer = server.request(door.method, address, headers=asker.headers)
        assert answer.status_code not in {401, 403}, (who, door, answer.text[:200])
        assert not answer.headers.get("location", "").startswith("/sign-in"), (who, door)
        assert answer.status_code < 500 or answer.status_code == 503, (who, door)


def test_a_role_is_worth_what_the_table_says(askers):
    assert Right.CUSTOMERS_EDIT in ROLE_RIGHTS[Role.CLERK]
    assert Right.CUSTOMERS_EDIT not in ROLE_RIGHTS[Role.OPERATOR] | ROLE_RIGHTS[Role.ANALYST]
    assert ROLE_RIGHTS[Role.CUSTOMER] == {Right.PORTAL}
    assert set(askers) == set(WHO)


def _filled(path: str, ids: dict[str, object]) -> str:
    """An address with things that are there: 1 is the first of its kind."""
    return re.sub(r"\{(\w+)\}", lambda part: str(ids.get(part[1], 1)), path)


def _rows(town: Town) -> dict[str, int]:
    """How much stands in each table of the ledger."""
    tables = [table for table in Base.metadata.sorted_tables if table.name not in KEPT_BY_ITSELF]
    with town.database.read() as session:
        return {table.name: session.scalar(select(func.count()).select_from(table)) for table in tables}
