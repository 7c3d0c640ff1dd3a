"""Users are changed by administrators, of whom one is always left; tokens have no more rights than their owner now."""

import threading
from datetime import timedelta

import pytest
from argon2 import PasswordHasher
from tests.integration.security.conftest import NOW, add, enter

from wattkeeper.registry.models import AreaKind
from wattkeeper.registry.repository import Registry
from wattkeeper.security import passwords
from wattkeeper.security.errors import Forbidden, TokenRefused, UnknownToken, UserRefused
from wattkeeper.security.rights import ROLE_RIGHTS, WHOLE, Right, Role, rights_of
from wattkeeper.security.values import UserWanted, local_administrator

MONTH = timedelta(days=30)


@pytest.fixture(autouse=True)
def quick_hashes(monkeypatch):
    """argon2id with little work: these tests are not about its strength."""
    monkeypatch.setattr(passwords, "_hasher", PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))


@pytest.fixture
def chief(database, security):
    return add(database, security, "chief", Role.ADMINISTRATOR)


@pytest.fixture
def area(database):
    """(site, area)"""
    with database.write() as session:
        registry = Registry(session)
        site = registry.add_site(code="S", name="S", zone="Asia/Shanghai", currency="CNY")
        return site.id, registry.add_area(site_id=site.id, code="A", name="A", kind=AreaKind.AREA).id


def reason_of(act) -> str:
    with pytest.raises(UserRefused) as refused:
        act()
    return refused.value.reason


def test_the_first_administrator_comes_with_a_password_to_be_changed(security):
    password = security.users.first_administrator(now=NOW)
    assert security.users.first_administrator(now=NOW) is None
    assert enter(security, "admin", password).principal.must_change_password


def test_an_administrator_is_always_left(security, database, chief, area):
    limited = UserWanted(name="Chief", role=Role.ADMINISTRATOR, areas=frozenset({area[1]}))
    operator = UserWanted(name="Chief", role=Role.OPERATOR)
    add(
        database, security, "keeper", Role.ADMINISTRATOR, areas=frozenset({area[1]})
    )  # limited: does not count
    acts = {
        "disable": lambda: security.users.disable(chief.id, disabled=True, now=NOW),
        "limit": lambda: security.users.change(chief.id, limited, now=NOW),
        "demote": lambda: security.users.change(chief.id, operator, now=NOW),
    }
    assert {name: reason_of(act) for name, act in acts.items()} == dict.fromkeys(acts, "last_administrator")
    assert security.users.get(chief.id) == chief


def test_two_administrators_cannot_remove_each_other_at_once(security, database, chief):
    other = add(database, security, "other", Role.ADMINISTRATOR)
    told: list[str] = []

    def disable(user_id: int) -> None:
        try:
            security.users.disable(user_id, disabled=True, now=NOW)
        except UserRefused as error:
            told.append(error.reason)
        else:
            told.append("done")

    threads = [threading.Thread(target=disable, args=(user.id,)) for user in (chief, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(told) == ["done", "last_administrator"]


def test_nobody_locks_themselves_out(security, database, chief):
    add(database, security, "other", Role.ADMINISTRATOR)
    operator = UserWanted(name="Chief", role=Role.OPERATOR)
    acts = {
        "disable": lambda: security.users.disable(chief.id, disabled=True, now=NOW, by=chief.id),
        "demote": lambda: security.users.change(chief.id, operator, now=NOW, by=chief.id),
        "reset": lambda: security.users.reset_password(chief.id, now=NOW, by=chief.id),
    }
    assert {name: reason_of(act) for name, act in acts.items()} == dict.fromkeys(acts, "oneself")


@pytest.mark.parametrize(
    ("login", "wanted", "reason"),
    [
        ("chief", {}, "taken"),
        ("CHIEF ", {}, "taken"),
        ("x", {}, "login"),
        ("two words", {}, "login"),
        ("老王", {}, "login"),
        ("new", {"name": " "}, "name"),
        ("new", {"name": "a\x00b"}, "name"),
        ("new", {"email": "nobody"}, "email"),
        ("new", {"customer_id": 1}, "customer"),
        ("new", {"role": Role.CUSTOMER}, "customer"),
        ("new", {"role": Role.CUSTOMER, "customer_id": 4711}, "reference"),
        ("new", {"areas": frozenset({4711})}, "reference"),
        ("new", {"role": Role.CUSTOMER, "customer_id": 1, "areas": frozenset({1})}, "customer_scope"),
    ],
)
def test_what_a_user_cannot_be(security, chief, login, wanted, reason):
    described = UserWanted(**{"name": "New", "role": Role.OPERATOR} | wanted)
    assert reason_of(lambda: security.users.add(login, described, now=NOW)) == reason


def test_a_change_is_written_down_with_before_and_after(security, database, chief, area):
    user = add(database, security, "analyst", Role.ANALYST)
    wanted = UserWanted(name="分析员", role=Role.ANALYST, email="a@example.org", areas=frozenset({area[1]}))
    changed = security.users.change(user.id, wanted, now=NOW)
    newest = security.audit().rows[0]
    assert (newest.action, newest.before, newest.after) == ("user.change", user.as_json(), changed.as_json())
    assert security.users.get(user.id) == changed


def test_disabling_twice_is_written_down_once(security, database, chief):
    user = add(database, security, "analyst", Role.ANALYST)
    for _ in range(2):
        security.users.disable(user.id, disabled=True, now=NOW)
    assert len(security.audit(action="user.disable").rows) == 1


@pytest.mark.parametrize("role", list(Role))
def test_who_is_limited_to_areas_lacks_what_concerns_all(role):
    assert rights_of(role, limited=False) == ROLE_RIGHTS[role]
    assert rights_of(role, limited=True) == ROLE_RIGHTS[role] - WHOLE
    assert not rights_of(role, limited=True) & {Right.USERS_MANAGE, Right.AUDIT_VIEW, Right.REGISTRY_EDIT}


def test_only_administrators_manage_users_and_only_customers_have_the_portal():
    assert [role for role in Role if Right.USERS_MANAGE in ROLE_RIGHTS[role]] == [Role.ADMINISTRATOR]
    assert ROLE_RIGHTS[Role.CUSTOMER] == {Right.PORTAL}
    assert [role for role in Role if Right.PORTAL in ROLE_RIGHTS[role]] == [Role.CUSTOMER]


def token(security, login: str, *rights: Right, days: int = 30):
    owner = enter(security, login).principal
    ends = NOW + timedelta(days=days)
    return security.tokens.create(owner, name="meter reader", rights=rights, expires_at=ends, now=NOW)


def test_a_token_does_what_it_was_given_and_no_more(security, database, chief):
    view, secret = token(security, "chief", Right.METERS_VIEW, Right.AUDIT_VIEW)
    principal = security.tokens.principal(secret, now=NOW)
    assert principal.rights == {Right.METERS_VIEW, Right.AUDIT_VIEW}
    assert principal.actor(None).name == "chief (meter reader)"
    assert secret.startswith("wk_")
    assert view.state(NOW) == "active"


def test_a_token_keeps_to_the_rights_and_areas_that_its_owner_has_now(security, database, chief, area):
    user = add(database, security, "second", Role.ADMINISTRATOR)
    _, secret = token(security, "second", Right.METERS_VIEW, Right.BILLS_VIEW, Right.AUDIT_VIEW)
    security.users.change(
        user.id, UserWanted(name="Second", role=Role.OPERATOR, areas=frozenset({area[1]})), now=NOW
    )
    principal = security.tokens.principal(secret, now=NOW)
    assert (principal.rights, principal.areas) == ({Right.METERS_VIEW}, {area[1]})


def test_a_token_ends_at_its_date_by_revocation_and_with_its_owner(security, database, chief):
    user = add(database, security, "second", Role.OPERATOR)
    secrets = [token(security, "second", Right.METERS_VIEW)[1] for _ in range(2)]
    views = security.tokens.of(user.id)
    with pytest.raises(TokenRefused):
        security.tokens.principal(secrets[0], now=NOW + MONTH)
    security.tokens.revoke(views[1].id, now=NOW, owner_id=user.id)
    with pytest.raises(TokenRefused):
        security.tokens.principal(secrets[0], now=NOW)
    assert security.tokens.principal(secrets[1], now=NOW).login == "second"
    security.users.disable(user.id, disabled=True, now=NOW)
    with pytest.raises(TokenRefused):
        security.tokens.principal(secrets[1], now=NOW)
    assert [view.state(NOW) for view in security.tokens.of(user.id)] == ["active", "revoked"]


def test_nobody_revokes_the_token_of_another(security, database, chief):
    user = add(database, security, "second", Role.OPERATOR)
    view, secret = token(security, "chief", Right.METERS_VIEW)
    with pytest.raises(UnknownToken):
        security.tokens.revoke(view.id, now=NOW, owner_id=user.id)
    assert security.tokens.principal(secret, now=NOW).login == "chief"


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        ({"name": " "}, "token_name"),
        ({"rights": []}, "token_rights"),
        ({"rights": [Right.USERS_MANAGE]}, "token_beyond"),
        ({"rights": [Right.TOKENS_OWN]}, "token_beyond"),
        ({"rights": [Right.BILLS_VIEW]}, "token_beyond"),
        ({"expires_at": NOW}, "token_expiry"),
        ({"expires_at": NOW + timedelta(days=400)}, "token_expiry"),
    ],
)
def test_what_a_token_cannot_be(security, database, wanted, reason):
    add(database, security, "operator", Role.OPERATOR)
    owner = enter(security, "operator").principal
    given = {"name": "reader", "rights": [Right.METERS_VIEW], "expires_at": NOW + MONTH} | wanted
    assert reason_of(lambda: security.tokens.create(owner, **given, now=NOW)) == reason


def test_the_command_line_has_no_tokens(security):
    with pytest.raises(Forbidden):
        security.tokens.create(
            local_administrator("root"), name="x", rights=[Right.METERS_VIEW], expires_at=NOW + MONTH, now=NOW
        )
