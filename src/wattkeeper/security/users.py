"""Users: added, changed, disabled, and given a new password, by an administrator."""

import re
from dataclasses import replace
from datetime import datetime
from typing import Final

from sqlalchemy.orm import Session

from wattkeeper.kernel.database import Database
from wattkeeper.security import passwords
from wattkeeper.security.audit import record
from wattkeeper.security.errors import UnknownUser, UserRefused
from wattkeeper.security.models import User
from wattkeeper.security.repository import SecurityRepository, view_of
from wattkeeper.security.rights import Role
from wattkeeper.security.values import UserPage, UserView, UserWanted

FIRST_LOGIN: Final = "admin"
_LOGIN: Final = re.compile(r"[a-z0-9][a-z0-9._@+-]{1,63}")


class Users:
    """Who may sign in."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def first_administrator(self, *, now: datetime) -> str | None:
        """Add the administrator of a new installation; the random password, or None when there are users already."""
        with self._database.write() as session:
            if SecurityRepository(session).any_user():
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
        repository.add_user(user)
        repository.set_scope(user.id, sites=wanted.sites, areas=wanted.areas)
        view = view_of(user, wanted.sites, wanted.areas)
        record(session, "user.create", now=now, subject=("user", user.id), name=login, after=view.as_json())
        return view, chosen

    def change(self, user_id: int, wanted: UserWanted, *, now: datetime) -> UserView:
        """Change a user's name, role, customer, sites and areas."""
        _check(wanted)
        with self._database.write() as session:
            repository, user, before = self._found(session, user_id)
            user.name, user.email = wanted.name.strip(), wanted.email or None
            user.role, user.customer_id = wanted.role, wanted.customer_id
            session.flush()
            repository.set_scope(user.id, sites=wanted.sites, areas=wanted.areas)
            _keep_an_administrator(repository)
            view = view_of(user, wanted.sites, wanted.areas)
            record(
                session, "user.change", now=now, subject=("user", user.id), name=user.login,
                before=before.as_json(), after=view.as_json(),
            )  # fmt: skip
            return view

    def disable(self, user_id: int, *, disabled: bool, now: datetime) -> UserView:
        """Keep a user from signing in, ending their sessions and with them their tokens' use; or let them in again."""
        with self._database.write() as session:
            repository, user, before = self._found(session, user_id)
            user.disabled_at = now if disabled else None
            session.flush()
            _keep_an_administrator(repository)
            if disabled:
                repository.end_sessions(user_id)
            view = replace(before, disabled_at=user.disabled_at)
            action = "user.disable" if disabled else "user.enable"
            record(session, action, now=now, subject=("user", user.id), name=user.login)
            return view

    def reset_password(self, user_id: int, *, now: datetime) -> str:
        """Give a user a new random password, to be changed at the next sign-in; their sessions end."""
        with self._database.write() as session:
            repository, user, _ = self._found(session, user_id)
            password = passwords.new_password()
            user.password_hash = passwords.hashed(password)
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

    @staticmethod
    def _found(session: Session, user_id: int) -> tuple[SecurityRepository, User, UserView]:
        repository = SecurityRepository(session)
        user = repository.user(user_id)
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


def _check(wanted: UserWanted) -> None:
    if not wanted.name.strip():
        raise UserRefused("A user has a name.", reason="name")
    if (wanted.role is Role.CUSTOMER) != (wanted.customer_id is not None):
        raise UserRefused(
            "A user of the role customer belongs to a customer, and no other does.", reason="customer"
        )
    if wanted.role is Role.CUSTOMER and (wanted.sites or wanted.areas):
        raise UserRefused("A customer sees what is theirs, not areas.", reason="customer_scope")


def _keep_an_administrator(repository: SecurityRepository) -> None:
    if not repository.administrators():
        raise UserRefused(
            "Somebody must be left who may manage users.",
            reason="last_administrator",
            hint="Make another user an administrator of the whole installation first.",
        )
