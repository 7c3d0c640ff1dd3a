"""Sign-in slows down who guesses, tells nobody which users there are, and ends sessions when it must."""

import threading
from datetime import timedelta

import pytest
from argon2 import PasswordHasher
from sqlalchemy import select
from tests.integration.security.conftest import HERE, NOW, PASSWORD, add, enter

from wattkeeper.security import passwords
from wattkeeper.security.acting import Actor, ActorKind
from wattkeeper.security.errors import (
    Forbidden,
    PasswordRefused,
    SignInRefused,
    SignInThrottled,
    UnknownSession,
)
from wattkeeper.security.models import User, UserSession
from wattkeeper.security.rights import Role
from wattkeeper.security.sign_in import IDLE, LONGEST, digest
from wattkeeper.security.values import local_administrator

OTHER = "another quiet river"


@pytest.fixture(autouse=True)
def quick_hashes(monkeypatch):
    """argon2id with little work: these tests are not about its strength."""
    monkeypatch.setattr(passwords, "_hasher", PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))


@pytest.fixture
def operator(database, security):
    add(database, security, "chief", Role.ADMINISTRATOR)
    return add(database, security, "operator", Role.OPERATOR)


def attempt(security, login: str, address: str, password: str = "wrong") -> str:
    try:
        security.sign_in.sign_in(login, password, address=address, agent="", now=NOW)
    except (SignInRefused, SignInThrottled) as error:
        return type(error).__name__
    return "signed in"


def test_a_session_says_who_holds_it(security, operator):
    signed_in = enter(security, " Operator ")
    found = security.sign_in.principal(signed_in.secret, now=NOW)
    assert found == signed_in.principal
    assert (found.login, found.role, found.user_id) == ("operator", Role.OPERATOR, operator.id)
    assert security.sign_in.principal("x" + signed_in.secret, now=NOW) is None


def test_the_database_holds_no_secret_of_a_session(security, database, operator):
    secret = enter(security, "operator").secret
    with database.read() as session:
        kept = session.scalars(select(UserSession)).one()
    assert (kept.secret_hash, secret in str(vars(kept))) == (digest(secret), False)


def test_failures_of_a_user_from_an_address_are_few(security, operator):
    told = [attempt(security, "operator", "10.0.0.1") for _ in range(3)]
    assert told == ["SignInRefused", "SignInRefused", "SignInThrottled"]
    assert attempt(security, "operator", "10.0.0.1", PASSWORD) == "SignInThrottled"
    assert attempt(security, "operator", "10.0.0.2", PASSWORD) == "signed in"


def test_failures_of_a_user_from_anywhere_are_few(security, operator):
    told = [attempt(security, "operator", f"10.0.0.{n}") for n in range(5)]
    assert told == ["SignInRefused"] * 4 + ["SignInThrottled"]


def test_failures_from_an_address_are_few(security):
    told = [attempt(security, f"nobody{n}", "10.0.0.1") for n in range(7)]
    assert told == ["SignInRefused"] * 6 + ["SignInThrottled"]


def test_who_gets_in_has_a_clean_slate(security, operator):
    for _ in range(4):
        assert attempt(security, "operator", "10.0.0.1", PASSWORD) == "signed in"
    assert attempt(security, "operator", "10.0.0.1") == "SignInRefused"


def test_many_guesses_at_the_same_moment_are_no_more_than_a_few(security, operator):
    told: list[str] = []
    threads = [
        threading.Thread(target=lambda: told.append(attempt(security, "operator", "10.0.0.1")))
        for _ in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told.count("SignInRefused") == 2


def test_a_throttled_sign_in_says_how_long_to_wait(security, operator):
    for _ in range(2):
        attempt(security, "operator", "203.0.113.9")
    with pytest.raises(SignInThrottled) as refused:
        enter(security, "operator")
    assert 1 <= refused.value.retry_after_s <= 60


def test_only_passwords_that_were_looked_at_are_written_down(security, operator):
    """What is refused costs nothing, so it must not fill a book that is never emptied."""
    for _ in range(6):
        attempt(security, "operator", "10.0.0.1")
    rows = security.audit(action="session.refuse").rows
    assert [(row.actor_name, row.address, row.after) for row in rows] == [
        ("operator", "10.0.0.1", {"reason": "wrong"})
    ] * 2


def test_an_unknown_user_takes_a_hash_as_a_known_one_does(security, operator, monkeypatch):
    compared = []
    true = passwords.matches
    monkeypatch.setattr(passwords, "matches", lambda given, kept: compared.append(kept) or true(given, kept))
    attempt(security, "nobody", "10.0.0.1")
    attempt(security, "operator", "10.0.0.1")
    assert [kept.startswith("$argon2id$") for kept in compared] == [True, True]
    assert compared[0] != compared[1]


def test_names_that_no_database_takes_are_only_wrong(security):
    assert attempt(security, "oper\x00ator\ud800", "10.0.0.1") == "SignInRefused"


def test_a_disabled_user_is_told_no_more_than_a_stranger(security, operator):
    secret = enter(security, "operator").secret
    security.users.disable(operator.id, disabled=True, now=NOW)
    assert security.sign_in.principal(secret, now=NOW) is None
    assert attempt(security, "operator", "10.0.0.1", PASSWORD) == "SignInRefused"
    security.users.disable(operator.id, disabled=False, now=NOW)
    assert security.sign_in.principal(secret, now=NOW) is None
    assert attempt(security, "operator", "10.0.0.1", PASSWORD) == "signed in"


def test_a_session_ends_when_it_is_left_idle(security, operator):
    secret = enter(security, "operator").secret
    later = NOW + IDLE - timedelta(minutes=1)
    assert security.sign_in.principal(secret, now=later) is not None
    assert security.sign_in.principal(secret, now=later + IDLE - timedelta(minutes=1)) is not None
    assert security.sign_in.principal(secret, now=later + 2 * IDLE) is None


def test_a_session_ends_after_a_week_however_busy(security, operator):
    secret = enter(security, "operator").secret
    at = NOW
    while at + timedelta(hours=6) < NOW + LONGEST:
        at += timedelta(hours=6)
        assert security.sign_in.principal(secret, now=at) is not None
    assert security.sign_in.principal(secret, now=NOW + LONGEST) is None


def test_signing_out_ends_this_session_only(security, operator):
    one, other = enter(security, "operator"), enter(security, "operator")
    security.sign_in.sign_out(one.principal, now=NOW)
    assert security.sign_in.principal(one.secret, now=NOW) is None
    assert [item.id for item in security.sign_in.sessions(operator.id, now=NOW)] == [
        other.principal.session_id
    ]


def test_nobody_ends_the_session_of_another_user(security, database, operator):
    add(database, security, "clerk", Role.CLERK)
    theirs = enter(security, "clerk")
    with pytest.raises(UnknownSession):
        security.sign_in.end_session(operator.id, theirs.principal.session_id, now=NOW)
    assert security.sign_in.principal(theirs.secret, now=NOW) is not None


def test_a_new_password_ends_the_other_sessions(security, operator):
    here, elsewhere = enter(security, "operator"), enter(security, "operator")
    security.sign_in.change_password(here.principal, present=PASSWORD, new=OTHER, now=NOW)
    assert security.sign_in.principal(here.secret, now=NOW) is not None
    assert security.sign_in.principal(elsewhere.secret, now=NOW) is None
    assert attempt(security, "operator", "10.0.0.1") == "SignInRefused"
    assert attempt(security, "operator", "10.0.0.1", OTHER) == "signed in"


def test_whoever_took_over_a_session_cannot_guess_the_password(security, operator):
    principal = enter(security, "operator").principal
    for _ in range(2):
        with pytest.raises(PasswordRefused):
            security.sign_in.change_password(principal, present="guess", new=OTHER, now=NOW)
    with pytest.raises(SignInThrottled):
        security.sign_in.change_password(principal, present=PASSWORD, new=OTHER, now=NOW)


def test_the_command_line_has_no_password(security):
    with pytest.raises(Forbidden):
        security.sign_in.change_password(local_administrator("root"), present="", new=OTHER, now=NOW)


def test_a_reset_during_a_sign_in_wins(security, operator, monkeypatch):
    """A password that was right when it was looked at and is not any more opens no session."""
    true = passwords.matches

    def slow(password: str, kept: str) -> bool:
        fits = true(password, kept)
        monkeypatch.setattr(passwords, "matches", true)
        security.users.reset_password(operator.id, now=NOW)
        return fits

    monkeypatch.setattr(passwords, "matches", slow)
    with pytest.raises(SignInRefused):
        enter(security, "operator")
    assert security.sign_in.sessions(operator.id, now=NOW) == []


def test_a_reset_during_a_change_of_password_wins(security, operator, monkeypatch):
    principal = enter(security, "operator").principal
    true, reset = passwords.matches, []

    def slow(password: str, kept: str) -> bool:
        fits = true(password, kept)
        monkeypatch.setattr(passwords, "matches", true)
        reset.append(security.users.reset_password(operator.id, now=NOW))
        return fits

    monkeypatch.setattr(passwords, "matches", slow)
    with pytest.raises(PasswordRefused):
        security.sign_in.change_password(principal, present=PASSWORD, new=OTHER, now=NOW)
    assert enter(security, "operator", reset[0]).principal.must_change_password


def test_a_hash_of_weaker_times_is_made_anew(security, database, operator, monkeypatch):
    stronger = PasswordHasher(time_cost=2, memory_cost=128, parallelism=1)
    monkeypatch.setattr(passwords, "_hasher", stronger)
    enter(security, "operator")
    with database.read() as session:
        kept = session.scalar(select(User.password_hash).where(User.login == "operator"))
    assert "m=128,t=2" in kept
    assert stronger.verify(kept, PASSWORD)


def test_sign_ins_are_written_down(security, operator):
    principal = enter(security, "operator").principal
    attempt(security, "operator", "10.0.0.7")
    security.sign_in.sign_out(principal, now=NOW)
    newest = [(row.action, row.actor_name, row.actor_kind, row.address) for row in security.audit().rows[:3]]
    assert newest == [
        ("session.end", "system", ActorKind.SYSTEM, None),
        ("session.refuse", "operator", ActorKind.ANONYMOUS, "10.0.0.7"),
        ("session.start", "operator", ActorKind.USER, HERE["address"]),
    ]
    assert principal.actor("10.0.0.9") == Actor(ActorKind.USER, "operator", operator.id, "10.0.0.9")


@pytest.mark.parametrize(
    ("password", "reason"),
    [
        ("short", "short"),
        ("x" * 201, "long"),
        ("password123", "common"),
        ("ＰＡＳＳＷＯＲＤ１２３", "common"),
        ("aaaaaaaaaaaab", "common"),
        ("the-operator-1", "has_login"),
    ],
)
def test_what_a_new_password_must_have(password, reason):
    with pytest.raises(PasswordRefused) as refused:
        passwords.check_new(password, login="operator")
    assert refused.value.reason == reason


@pytest.mark.parametrize("password", ["电表抄表员值班室密码", "four words in a row"])
def test_a_good_password_is_long_and_needs_no_signs(password):
    passwords.check_new(password, login="operator")


def test_a_name_of_two_letters_is_part_of_many_good_passwords():
    passwords.check_new("a quiet river in spring", login="in")


def test_a_password_typed_in_full_width_is_the_same():
    assert passwords.matches("ＡＢＣ１２３４５６７", passwords.hashed("ABC1234567"))
