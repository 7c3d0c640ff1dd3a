"""Sign-in with a password, sessions, and what a browser or a program that comes back is allowed."""

import functools
import hashlib
import secrets
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy.orm import Session

from wattkeeper.kernel.database import Database, DatabaseBusy
from wattkeeper.security import passwords
from wattkeeper.security.acting import Actor, ActorKind
from wattkeeper.security.audit import record
from wattkeeper.security.errors import (
    Forbidden,
    PasswordRefused,
    SignInRefused,
    UnknownSession,
    UnknownUser,
)
from wattkeeper.security.models import User, UserSession
from wattkeeper.security.repository import SecurityRepository
from wattkeeper.security.rights import rights_of
from wattkeeper.security.throttle import SignInThrottle
from wattkeeper.security.values import Principal, SessionView, SignedIn

IDLE: Final = timedelta(hours=12)
LONGEST: Final = timedelta(days=7)
SEEN_EVERY: Final = timedelta(minutes=1)
"""How exactly it is kept when a session was used last; writing at every request would cost more than it tells."""
LONGEST_LOGIN: Final = 64
_AGENT_CHARACTERS: Final = 200


class SignIn:
    """Sessions of people."""

    def __init__(self, database: Database, *, throttle: SignInThrottle | None = None) -> None:
        self._database = database
        self._throttle = throttle or SignInThrottle()

    def sign_in(self, login: str, password: str, *, address: str, agent: str, now: datetime) -> SignedIn:
        """A session for a user with the right password.

        Raises:
            SignInThrottled: too many failures of this user name or from this address.
            SignInRefused: user name and password do not belong together, or the user is disabled.

        """
        login = "".join(filter(str.isprintable, login.strip().casefold()))[:LONGEST_LOGIN]
        self._throttle.attempt(login, address)
        with self._database.read() as session:
            user = SecurityRepository(session).user_by_login(login)
        fits = passwords.matches(password, user.password_hash if user else _nobody())
        if user is None or not fits or user.disabled_at is not None:
            self._throttle.failed(login, address)
            self._note_refusal(login, address, "disabled" if user and fits else "wrong", now)
            raise _refused()
        begun = self._begin(user, password, address=address, agent=agent, now=now)
        self._throttle.succeeded(login, address)
        return begun

    def _begin(self, user: User, password: str, *, address: str, agent: str, now: datetime) -> SignedIn:
        secret = secrets.token_urlsafe(32)
        expires = now + LONGEST
        stronger = passwords.hashed(password) if passwords.outdated(user.password_hash) else None
        with self._database.write() as session:
            repository = SecurityRepository(session)
            there = repository.user(user.id, lock=True)
            if there is None or there.disabled_at is not None or there.password_hash != user.password_hash:
                raise _refused()  # disabled, or given another password, while this one was being checked
            kept = repository.add_session(
                UserSession(
                    secret_hash=digest(secret), user_id=user.id, created_at=now, last_seen_at=now,
                    expires_at=expires, address=address, agent=agent[:_AGENT_CHARACTERS],
                )
            )  # fmt: skip
            there.last_sign_in_at = now
            there.password_hash = stronger or there.password_hash
            repository.forget_sessions(before=now)
            principal = principal_of(session, there, session_id=kept.id)
            actor = principal.actor(address)
            record(session, "session.start", now=now, subject=("user", user.id), name=user.login, actor=actor)
        return SignedIn(secret, expires, principal)

    def _note_refusal(self, login: str, address: str, why: str, now: datetime) -> None:
        with self._database.write() as session:
            nobody = Actor(ActorKind.ANONYMOUS, login, address=address)
            record(session, "session.refuse", now=now, after={"reason": why}, actor=nobody)

    def principal(self, secret: str, *, now: datetime) -> Principal | None:
        """Who holds this session's secret; None when it is unknown, has ended, or its user is disabled."""
        with self._database.read() as session:
            repository = SecurityRepository(session)
            found = repository.session_user(digest(secret), now=now, idle=IDLE)
            if found is None:
                return None
            kept, user = found
            principal = principal_of(session, user, session_id=kept.id)
        if now - kept.last_seen_at > SEEN_EVERY:
            with suppress(DatabaseBusy), self._database.write() as session:
                SecurityRepository(session).touch_session(kept.id, now)
        return principal

    def sign_out(self, principal: Principal, *, now: datetime) -> None:
        """End the session that asks."""
        assert principal.user_id is not None
        assert principal.session_id is not None
        with self._database.write() as session:
            SecurityRepository(session).end_sessions(principal.user_id, only=principal.session_id)
            record(session, "session.end", now=now, subject=("user", principal.user_id), name=principal.login)

    def sessions(self, user_id: int, *, now: datetime) -> list[SessionView]:
        """A user's live sessions, the one used last first."""
        with self._database.read() as session:
            return SecurityRepository(session).sessions(user_id, now=now, idle=IDLE)

    def end_session(self, user_id: int, session_id: int, *, now: datetime) -> None:
        """End one of a user's sessions, wherever it is."""
        with self._database.write() as session:
            repository = SecurityRepository(session)
            user = _found(repository.user(user_id))
            if not repository.end_sessions(user_id, only=session_id):
                raise UnknownSession(f"There is no session {session_id}.", hint="It may have ended already.")
            ended = {"session": session_id}
            record(
                session, "session.revoke", now=now, subject=("user", user_id), name=user.login, after=ended
            )

    def end_other_sessions(self, principal: Principal, *, now: datetime) -> int:
        """End all of one's own sessions but the one that asks; returns how many."""
        if principal.user_id is None or principal.session_id is None:
            raise Forbidden("Only somebody who signed in with a password has sessions.")
        with self._database.write() as session:
            ended = SecurityRepository(session).end_sessions(principal.user_id, but=principal.session_id)
            if ended:
                subject, after = ("user", principal.user_id), {"sessions": ended}
                record(session, "session.revoke", now=now, subject=subject, name=principal.login, after=after)
            return ended

    def change_password(self, principal: Principal, *, present: str, new: str, now: datetime) -> None:
        """Change one's own password; all one's other sessions end.

        Raises:
            PasswordRefused: the present one is wrong (`wrong`), or the new one is no good.
            SignInThrottled: the present one was wrong too often.
            Forbidden: a token asks, or the command line.

        """
        if principal.user_id is None or principal.session_id is None:
            raise Forbidden("Only somebody who signed in with a password can change it.")
        here = (
            f"session {principal.session_id}"  # whoever took over a session guesses no more than at the door
        )
        self._throttle.attempt(principal.login, here)
        with self._database.read() as session:
            user = _found(SecurityRepository(session).user(principal.user_id))
        if not passwords.matches(present, user.password_hash):
            self._throttle.failed(principal.login, here)
            raise PasswordRefused("That is not your present password.", reason="wrong")
        self._throttle.succeeded(principal.login, here)
        if present == new:
            raise PasswordRefused(
                "The new password is the present one.", reason="same", hint="Choose another one."
            )
        passwords.check_new(new, login=user.login)
        kept = passwords.hashed(new)
        with self._database.write() as session:
            repository = SecurityRepository(session)
            there = _found(repository.user(principal.user_id, lock=True))
            if there.password_hash != user.password_hash or there.disabled_at is not None:
                raise PasswordRefused("That is no longer your present password.", reason="wrong")
            there.password_hash, there.must_change_password, there.password_changed_at = kept, False, now
            session.flush()
            repository.end_sessions(there.id, but=principal.session_id)
            record(session, "user.change_password", now=now, subject=("user", there.id), name=there.login)


def principal_of(session: Session, user: User, *, session_id: int) -> Principal:
    """A user who is signed in, with their rights."""
    sites, areas = SecurityRepository(session).scope(user.id)
    return Principal(
        kind=ActorKind.USER,
        login=user.login,
        name=user.name,
        role=user.role,
        rights=rights_of(user.role, limited=bool(sites or areas)),
        user_id=user.id,
        customer_id=user.customer_id,
        sites=sites,
        areas=areas,
        must_change_password=user.must_change_password,
        session_id=session_id,
    )


@functools.cache
def _nobody() -> str:
    """What a password is compared with when there is no such user, so that both take the same time."""
    return passwords.hashed(secrets.token_urlsafe(16))


def _refused() -> SignInRefused:
    return SignInRefused(
        "User name and password do not belong together.", hint="Check both; mind capital letters."
    )


def digest(secret: str) -> str:
    """What is kept of a random secret; it has 256 bits, so a plain hash cannot be searched."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _found(user: User | None) -> User:
    if user is None:
        raise UnknownUser("This user is no longer there.")
    return user
