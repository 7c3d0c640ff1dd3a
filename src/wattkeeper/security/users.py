"""Users: added, changed, disabled, and given a new password, by an administrator."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Final

from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from wattkeeper.kernel.database import Database, violates_constraint, violates_uniqueness
from wattkeeper.security import passwords
from wattkeeper.security.audit import record
from wattkeeper.security.errors import UnknownUser, UserRefused
from wattkeeper.security.models import User
from wattkeeper.security.repository import SecurityRepository, view_of
from wattkeeper.security.rights import Role
from wattkeeper.security.values import UserPage, UserView, UserWanted

FIRST_LOGIN: Final = "admin"
_LOGIN: Final = re.compile(r"[a-z0-9][a-z0-9._@+-]{1,63}")
_EMAIL: Final = re.compile(r"[^@\s]{1,64}@[^@\s.]+(?:\.[^@\s.]+)*")


class Users:
    """Who may sign in."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def first_administrator(self, *, now: datetime) -> str | None:
        """Add the administrator of a new installation; the random password, or None when somebody manages users already."""
        with self._database.write() as session:
            if SecurityRepository(session).administrators():
                return None
            wanted = UserWanted(name="Administrator 管理员", role=Role.ADMINISTRATOR)
            _, password = self.add_in(session, FIRST_LOGIN, wanted, now=now)
            return password

    def add(self, login: str, wanted: UserWanted, *, now: datetime) -> tuple[UserView, str]:
        """Add a user; returns it with its first password, which must be changed at the first sign-in."""
        with self._database.write() as session:
            return self.add_in(session, login, wanted, now=now)

    def add_in(
        self, session: Session, login: str, wanted: UserWanted, *, now: datetime, password: str | None = None
    ) -> tuple[UserView, str]:
        """`add` in the caller's transaction; a given password is one that need not be changed."""
        _check(wanted)
        login = _checked_login(login)
        repository = SecurityRepository(session)
        if repository.user_by_login(login) is not None:
            raise UserRefused(
                f"There is a user {login} already.", reason="taken", hint="Choose another name."
            )
        chosen = password or passwords.new_password()
        user = User(
            login=login, name=wanted.name.strip(), email=wanted.email or None, role=wanted.role,
            customer_id=wanted.customer_id, password_hash=passwords.hashed(chosen),
            must_change_password=password is None, created_at=now, password_changed_at=now,
        )  # fmt: skip
        with _references():
            repository.add_user(user)
            repository.set_scope(user.id, sites=wanted.sites, areas=wanted.areas)
        view = view_of(user, wanted.sites, wanted.areas)
        record(session, "user.create", now=now, subject=("user", user.id), name=login, after=view.as_json())
        return view, chosen

    def change(self, user_id: int, wanted: UserWanted, *, now: datetime, by: int | None = None) -> UserView:
        """Change a user's name, role, customer, sites and areas; `by` is who asks, and may not take their own rights."""
        _check(wanted)
        if user_id == by and (wanted.role is not Role.ADMINISTRATOR or wanted.sites or wanted.areas):
            raise _oneself("Nobody takes the right to manage users from themselves.")
        with self._database.write() as session:
            repository, user, before = self._locked(session, user_id)
            user.name, user.email = wanted.name.strip(), wanted.email or None
            user.role, user.customer_id = wanted.role, wanted.customer_id
            with _references():
                session.flush()
                repository.set_scope(user.id, sites=wanted.sites, areas=wanted.areas)
            _keep_an_administrator(repository, before)
            view = view_of(user, wanted.sites, wanted.areas)
            record(
                session, "user.change", now=now, subject=("user", user.id), name=user.login,
                before=before.as_json(), after=view.as_json(),
            )  # fmt: skip
            return view

    def disable(self, user_id: int, *, disabled: bool, now: datetime, by: int | None = None) -> UserView:
        """Keep a user from signing in, ending their sessions and their tokens' use; or let them in again."""
        if disabled and user_id == by:
            raise _oneself("Nobody disables themselves.")
        with self._database.write() as session:
            repository, user, before = self._locked(session, user_id)
            if (user.disabled_at is not None) == disabled:
                return before
            user.disabled_at = now if disabled else None
            session.flush()
            _keep_an_administrator(repository, before)
            if disabled:
                repository.end_sessions(user_id)
            view = replace(before, disabled_at=user.disabled_at)
            action = "user.disable" if disabled else "user.enable"
            record(session, action, now=now, subject=("user", user.id), name=user.login)
            return view

    def reset_password(self, user_id: int, *, now: datetime, by: int | None = None) -> str:
        """Give a user a new random password, to be changed at the next sign-in; their sessions end."""
        if user_id == by:
            raise _oneself("Nobody resets their own password.", hint="Change it in your profile.")
        password = passwords.new_password()
        kept = passwords.hashed(password)
        with self._database.write() as session:
            repository, user, _ = self._locked(session, user_id)
            user.password_hash = kept
            user.must_change_password, user.password_changed_at = True, now
            session.flush()
            repository.end_sessions(user_id)
            record(session, "user.reset_password", now=now, subject=("user", user.id), name=user.login)
            return password

    def get(self, user_id: int) -> UserView:
        """One user."""
        with self._database.read() as session:
            return self._found(session, user_id)[2]

    def by_login(self, login: str) -> UserView:
        """One user by name."""
        with self._database.read() as session:
            user = SecurityRepository(session).user_by_login(login)
            if user is None:
                raise UnknownUser(f"There is no user {login}.", hint="`wattkeeper user list` shows them.")
            return self._found(session, user.id)[2]

    def find(
        self,
        *,
        search: str = "",
        role: Role | None = None,
        customer_id: int | None = None,
        after: str | None = None,
        limit: int = 50,
    ) -> UserPage:
        """A page of users by login."""
        with self._database.read() as session:
            found, total = SecurityRepository(session).find_users(
                search=search.strip(), role=role, customer_id=customer_id, after=after, limit=limit
            )
        page = tuple(found[:limit])
        return UserPage(page, total, page[-1].login if len(found) > limit else None)

    @classmethod
    def _locked(cls, session: Session, user_id: int) -> tuple[SecurityRepository, User, UserView]:
        """A user nobody else changes until this is done; nor the administrators, of whom one must be left."""
        SecurityRepository(session).lock_administrators()
        return cls._found(session, user_id, lock=True)

    @staticmethod
    def _found(
        session: Session, user_id: int, *, lock: bool = False
    ) -> tuple[SecurityRepository, User, UserView]:
        repository = SecurityRepository(session)
        user = repository.user(user_id, lock=lock)
        if user is None:
            raise UnknownUser(f"There is no user {user_id}.", hint="Look it up in the list of users.")
        return repository, user, view_of(user, *repository.scope(user_id))


def _checked_login(login: str) -> str:
    bare = login.strip().casefold()
    if not _LOGIN.fullmatch(bare):
        raise UserRefused(
            f"{login!r} cannot be a user name.",
            reason="login",
            hint="Use 2 to 64 letters, digits and . _ @ + - and begin with a letter or a digit.",
        )
    return bare


def _oneself(message: str, *, hint: str = "Ask another administrator.") -> UserRefused:
    return UserRefused(message, reason="oneself", hint=hint)


@contextmanager
def _references() -> Iterator[None]:
    """What the database refuses, as a sentence: a name that was taken meanwhile, a customer or an area that is none."""
    try:
        yield
    except DBAPIError as error:
        if violates_uniqueness(error):
            raise UserRefused("Another user has this name already.", reason="taken") from error
        if not violates_constraint(error):
            raise
        raise UserRefused(
            "The customer, a site or an area of this user does not exist.", reason="reference"
        ) from error


def _check(wanted: UserWanted) -> None:
    if not wanted.name.strip() or not wanted.name.isprintable():
        raise UserRefused("A user has a name.", reason="name")
    if wanted.email and not _EMAIL.fullmatch(wanted.email):
        raise UserRefused(f"{wanted.email!r} is not an e-mail address.", reason="email")
    if (wanted.role is Role.CUSTOMER) != (wanted.customer_id is not None):
        raise UserRefused(
            "A user of the role customer belongs to a customer, and no other does.", reason="customer"
        )
    if wanted.role is Role.CUSTOMER and (wanted.sites or wanted.areas):
        raise UserRefused("A customer sees what is theirs, not areas.", reason="customer_scope")


def _keep_an_administrator(repository: SecurityRepository, before: UserView) -> None:
    """Refuse a change that took away the last one who may manage users."""
    if before.role is Role.ADMINISTRATOR and not repository.administrators():
        raise UserRefused(
            "Somebody must be left who may manage users.",
            reason="last_administrator",
            hint="Make another user an administrator of the whole installation first.",
        )
