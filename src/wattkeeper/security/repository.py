"""All SQL of users, sessions, tokens and the audit's list, in the caller's transaction."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, and_, delete, func, or_, select, update
from sqlalchemy.orm import Session

from wattkeeper.security.models import ApiToken, AuditEvent, AuditSeal, User, UserScope, UserSession
from wattkeeper.security.rights import Right, Role
from wattkeeper.security.values import AuditPage, AuditRow, SessionView, TokenView, UserView


class SecurityRepository:
    """Users and what they hold."""

    def __init__(self, session: Session) -> None:
        self._session = session

    # users

    def user(self, user_id: int, *, lock: bool = False) -> User | None:
        """A user by id."""
        wanted = select(User).where(User.id == user_id)
        if lock:  # what was read before the lock is read again
            wanted = wanted.with_for_update().execution_options(populate_existing=True)
        return self._session.scalar(wanted)

    def user_by_login(self, login: str) -> User | None:
        """A user by name; logins are kept in lower case."""
        return self._session.scalar(select(User).where(User.login == login.strip().casefold()))

    def administrators(self) -> int:
        """How many unlimited administrators can sign in."""
        limited = select(UserScope.id).where(UserScope.user_id == User.id).exists()
        wanted = select(func.count()).select_from(User).where(
            User.role == Role.ADMINISTRATOR, User.disabled_at.is_(None), ~limited
        )  # fmt: skip
        return self._session.scalar(wanted) or 0

    def lock_administrators(self) -> None:
        """Let no other transaction change an administrator until this one ends: two could each remove the other."""
        wanted = select(User.id).where(User.role == Role.ADMINISTRATOR).order_by(User.id)
        self._session.execute(wanted.with_for_update()).all()

    def add_user(self, user: User) -> User:
        """Keep a new user."""
        self._session.add(user)
        self._session.flush()
        return user

    def set_scope(self, user_id: int, *, sites: Collection[int], areas: Collection[int]) -> None:
        """Limit a user to these sites and areas; to nothing less than all when both are empty."""
        self._session.execute(delete(UserScope).where(UserScope.user_id == user_id))
        self._session.add_all([UserScope(user_id=user_id, site_id=site) for site in sorted(sites)])
        self._session.add_all([UserScope(user_id=user_id, area_id=area) for area in sorted(areas)])
        self._session.flush()

    def scope(self, user_id: int) -> tuple[frozenset[int], frozenset[int]]:
        """The sites and the areas that a user is limited to."""
        rows = self._session.execute(
            select(UserScope.site_id, UserScope.area_id).where(UserScope.user_id == user_id)
        ).all()
        return frozenset(row[0] for row in rows if row[0]), frozenset(row[1] for row in rows if row[1])

    def find_users(
        self, *, search: str, role: Role | None, customer_id: int | None, after: str | None, limit: int
    ) -> tuple[list[UserView], int]:
        """A page of users by login, and how many there are in all; one more than `limit` when there is a next page."""
        wanted = select(User)
        if search:
            columns = (User.login, User.name, User.email)
            wanted = wanted.where(or_(*(column.icontains(search, autoescape=True) for column in columns)))
        if role is not None:
            wanted = wanted.where(User.role == role)
        if customer_id is not None:
            wanted = wanted.where(User.customer_id == customer_id)
        total = self._session.scalar(wanted.with_only_columns(func.count(), maintain_column_froms=True)) or 0
        if after is not None:
            wanted = wanted.where(User.login > after)
        users = self._session.scalars(wanted.order_by(User.login).limit(limit + 1)).all()
        scopes = self._scopes([user.id for user in users])
        none: tuple[frozenset[int], frozenset[int]] = (frozenset(), frozenset())
        return [view_of(user, *scopes.get(user.id, none)) for user in users], total

    def _scopes(self, user_ids: Collection[int]) -> dict[int, tuple[frozenset[int], frozenset[int]]]:
        found: dict[int, tuple[frozenset[int], frozenset[int]]] = {}
        for row in self._session.scalars(select(UserScope).where(UserScope.user_id.in_(user_ids))):
            sites, areas = found.get(row.user_id, (frozenset(), frozenset()))
            found[row.user_id] = (
                sites | ({row.site_id} if row.site_id else set()),
                areas | ({row.area_id} if row.area_id else set()),
            )
        return found

    # sessions

    def add_session(self, session: UserSession) -> UserSession:
        """Keep a new session."""
        self._session.add(session)
        self._session.flush()
        return session

    def session_user(
        self, secret_hash: str, *, now: datetime, idle: timedelta
    ) -> tuple[UserSession, User] | None:
        """The live session with this secret, and its user; None when there is none, or the user is disabled."""
        row = self._session.execute(
            select(UserSession, User)
            .join(User, User.id == UserSession.user_id)
            .where(
                UserSession.secret_hash == secret_hash,
                UserSession.expires_at > now,
                UserSession.last_seen_at > now - idle,
                User.disabled_at.is_(None),
            )
        ).one_or_none()
        return None if row is None else (row[0], row[1])

    def touch_session(self, session_id: int, now: datetime) -> None:
        """Note that a session is in use."""
        self._session.execute(
            update(UserSession).where(UserSession.id == session_id).values(last_seen_at=now)
        )

    def sessions(self, user_id: int, *, now: datetime, idle: timedelta) -> list[SessionView]:
        """A user's live sessions, the one used last first."""
        rows = self._session.scalars(
            select(UserSession)
            .where(
                UserSession.user_id == user_id,
                UserSession.expires_at > now,
                UserSession.last_seen_at > now - idle,
            )
            .order_by(UserSession.last_seen_at.desc())
        )
        return [
            SessionView(row.id, row.created_at, row.last_seen_at, row.expires_at, row.address, row.agent)
            for row in rows
        ]

    def end_sessions(self, user_id: int, *, only: int | None = None, but: int | None = None) -> int:
        """End a user's sessions, all or one, or all but one; how many there were."""
        mine = UserSession.user_id == user_id
        if only is not None:
            mine = and_(mine, UserSession.id == only)
        if but is not None:
            mine = and_(mine, UserSession.id != but)
        return len(self._session.scalars(delete(UserSession).where(mine).returning(UserSession.id)).all())

    def forget_sessions(self, *, before: datetime) -> None:
        """Remove the rows of sessions that ended before."""
        self._session.execute(delete(UserSession).where(UserSession.expires_at <= before))

    # tokens

    def add_token(self, token: ApiToken) -> ApiToken:
        """Keep a new token."""
        self._session.add(token)
        self._session.flush()
        return token

    def token(self, token_id: int) -> ApiToken | None:
        """A token by id."""
        return self._session.get(ApiToken, token_id)

    def token_user(self, secret_hash: str, *, now: datetime) -> tuple[ApiToken, User] | None:
        """The valid token with this secret, and its user; None when there is none, or the user is disabled."""
        row = self._session.execute(
            select(ApiToken, User)
            .join(User, User.id == ApiToken.user_id)
            .where(
                ApiToken.secret_hash == secret_hash,
                ApiToken.expires_at > now,
                ApiToken.revoked_at.is_(None),
                User.disabled_at.is_(None),
            )
        ).one_or_none()
        return None if row is None else (row[0], row[1])

    def touch_token(self, token_id: int, now: datetime) -> None:
        """Note that a token is in use."""
        self._session.execute(update(ApiToken).where(ApiToken.id == token_id).values(last_used_at=now))

    def tokens(self, *, user_id: int | None = None) -> list[TokenView]:
        """The tokens of a user, or of everybody, newest first."""
        wanted = select(ApiToken, User.login).join(User, User.id == ApiToken.user_id)
        if user_id is not None:
            wanted = wanted.where(ApiToken.user_id == user_id)
        return [
            token_view(row, login)
            for row, login in self._session.execute(wanted.order_by(ApiToken.id.desc()))
        ]

    # audit

    def audit_page(
        self,
        *,
        action: str = "",
        actor: str = "",
        actor_id: int | None = None,
        subject: tuple[str, str] | None = None,
        about: str = "",
        since: datetime | None = None,
        until: datetime | None = None,
        after: int | None = None,
        limit: int = 50,
    ) -> AuditPage:
        """What was done, newest first.

        `action` is one action, or what all of its kind begin with, as `user`; `actor` is part of a name; `subject` is a
        kind and an id, or ''; `about` is a subject's id, or part of its name.
        """
        wanted = _audited()
        if action:
            below = AuditEvent.action.startswith(f"{action}.", autoescape=True)
            wanted = wanted.where(or_(AuditEvent.action == action, below))
        if actor:
            wanted = wanted.where(AuditEvent.actor_name.icontains(actor, autoescape=True))
        if actor_id is not None:
            wanted = wanted.where(AuditEvent.actor_user_id == actor_id)
        if about:
            named = AuditEvent.subject_name.icontains(about, autoescape=True)
            wanted = wanted.where(or_(AuditEvent.subject_id == about, named))
        if subject is not None:
            kind, key = subject
            wanted = wanted.where(AuditEvent.subject_kind == kind)
            wanted = wanted.where(AuditEvent.subject_id == key) if key else wanted
        if since is not None:
            wanted = wanted.where(AuditEvent.at >= since)
        if until is not None:
            wanted = wanted.where(AuditEvent.at < until)
        if after is not None:
            wanted = wanted.where(AuditEvent.id < after)
        rows = self._session.execute(wanted.order_by(AuditEvent.id.desc()).limit(limit + 1)).all()
        page = tuple(_audit_row(*row) for row in rows[:limit])
        return AuditPage(page, page[-1].id if len(rows) > limit else None)

    def audit_event(self, event_id: int) -> AuditRow | None:
        """One event."""
        row = self._session.execute(_audited().where(AuditEvent.id == event_id)).one_or_none()
        return None if row is None else _audit_row(*row)


def view_of(user: User, sites: frozenset[int], areas: frozenset[int]) -> UserView:
    """A user as others see them."""
    return UserView(
        id=user.id,
        login=user.login,
        name=user.name,
        email=user.email,
        role=user.role,
        customer_id=user.customer_id,
        sites=sites,
        areas=areas,
        must_change_password=user.must_change_password,
        created_at=user.created_at,
        last_sign_in_at=user.last_sign_in_at,
        disabled_at=user.disabled_at,
    )


def token_view(token: ApiToken, login: str) -> TokenView:
    """A token as others see it."""
    return TokenView(
        id=token.id,
        user_id=token.user_id,
        login=login,
        name=token.name,
        rights=frozenset(Right(right) for right in token.rights if right in set(Right)),
        created_at=token.created_at,
        expires_at=token.expires_at,
        last_used_at=token.last_used_at,
        revoked_at=token.revoked_at,
    )


def _audited() -> Select[*tuple[Any, ...]]:
    return select(AuditEvent, AuditSeal.position, AuditSeal.hash).outerjoin(
        AuditSeal, AuditSeal.event_id == AuditEvent.id
    )


def _audit_row(event: AuditEvent, position: int | None, digest: str | None) -> AuditRow:
    return AuditRow(
        id=event.id,
        at=event.at,
        actor_kind=event.actor_kind,
        actor_name=event.actor_name,
        actor_user_id=event.actor_user_id,
        address=event.address,
        action=event.action,
        subject_kind=event.subject_kind,
        subject_id=event.subject_id,
        subject_name=event.subject_name,
        before=event.before,
        after=event.after,
        position=position,
        hash=digest,
    )
