"""Tokens: programs that act for a user, with some of the user's rights, until a date."""

import secrets
from collections.abc import Collection
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final

from wattkeeper.kernel.database import Database, DatabaseBusy
from wattkeeper.security.acting import ActorKind
from wattkeeper.security.audit import record
from wattkeeper.security.errors import Forbidden, TokenRefused, UnknownToken, UserRefused
from wattkeeper.security.models import ApiToken
from wattkeeper.security.repository import SecurityRepository, token_view
from wattkeeper.security.rights import Right, rights_of
from wattkeeper.security.sign_in import SEEN_EVERY, digest
from wattkeeper.security.values import Principal, TokenView

LONGEST_NAME: Final = 100
PREFIX: Final = "wk_"
"""Every token begins with it, so that scanners of leaked secrets can tell one."""
LONGEST: Final = timedelta(days=366)
NEVER_BY_TOKEN: Final = frozenset({Right.USERS_MANAGE, Right.TOKENS_OWN})
"""What no token may do: a leaked one must not be able to make itself a successor."""


class Tokens:
    """Tokens of users."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(
        self, owner: Principal, *, name: str, rights: Collection[Right], expires_at: datetime, now: datetime
    ) -> tuple[TokenView, str]:
        """A token for one's own programs; returns it with its secret, which is shown once.

        Raises:
            UserRefused: no name, no rights, rights that the owner lacks or no token may have, or no end within a year.

        """
        if owner.user_id is None:
            raise Forbidden(
                "A token belongs to a user; the command line's is nobody's.", hint="Sign in first."
            )
        _check(owner, name, rights, expires_at, now)
        secret = PREFIX + secrets.token_urlsafe(32)
        with self._database.write() as session:
            row = ApiToken(
                secret_hash=digest(secret), user_id=owner.user_id, name=name.strip(),
                rights=sorted(right.value for right in rights), created_at=now, expires_at=expires_at,
            )  # fmt: skip
            SecurityRepository(session).add_token(row)
            view = token_view(row, owner.login)
            kept = {"rights": row.rights, "expires_at": expires_at}
            record(session, "token.create", now=now, subject=("token", row.id), name=row.name, after=kept)
            return view, secret

    def revoke(self, token_id: int, *, now: datetime, owner_id: int | None = None) -> None:
        """End a token at once; `owner_id` is whose it must be."""
        with self._database.write() as session:
            row = SecurityRepository(session).token(token_id)
            if row is None or owner_id not in {None, row.user_id}:
                raise UnknownToken(f"There is no token {token_id}.")
            if row.revoked_at is None:
                row.revoked_at = now
                session.flush()
                whose = {"owner": row.user_id}
                record(
                    session, "token.revoke", now=now, subject=("token", row.id), name=row.name, before=whose
                )

    def of(self, user_id: int | None = None) -> list[TokenView]:
        """The tokens of a user, or of everybody, newest first."""
        with self._database.read() as session:
            return SecurityRepository(session).tokens(user_id=user_id)

    def principal(self, secret: str, *, now: datetime) -> Principal:
        """Who holds a token: its owner, with the token's rights as far as the owner still has them.

        Raises:
            TokenRefused: it is unknown, has expired or was revoked, or its owner is disabled.

        """
        with self._database.read() as session:
            repository = SecurityRepository(session)
            found = repository.token_user(digest(secret), now=now)
            if found is None:
                raise TokenRefused(
                    "This token is unknown, has expired or was revoked.", hint="Make a new one under Tokens."
                )
            token, user = found
            sites, areas = repository.scope(user.id)
        if token.last_used_at is None or now - token.last_used_at > SEEN_EVERY:
            with suppress(DatabaseBusy), self._database.write() as session:
                SecurityRepository(session).touch_token(token.id, now)
        given = token_view(token, user.login).rights
        return Principal(
            kind=ActorKind.TOKEN,
            login=user.login,
            name=user.name,
            role=user.role,
            rights=(given & rights_of(user.role, limited=bool(sites or areas))) - NEVER_BY_TOKEN,
            user_id=user.id,
            customer_id=user.customer_id,
            sites=sites,
            areas=areas,
            token_name=token.name,
        )


def _check(
    owner: Principal, name: str, rights: Collection[Right], expires_at: datetime, now: datetime
) -> None:
    if not name.strip() or not name.isprintable() or len(name) > LONGEST_NAME:
        raise UserRefused("A token has a name that says what uses it.", reason="token_name")
    if not rights:
        raise UserRefused("A token needs at least one right.", reason="token_rights")
    if beyond := set(rights) - (owner.rights - NEVER_BY_TOKEN):
        raise UserRefused(
            f"This token cannot be given {', '.join(sorted(beyond))}.",
            reason="token_beyond",
            hint="A token has no more rights than its owner, and none over users and tokens.",
        )
    if not now < expires_at <= now + LONGEST:
        raise UserRefused("A token ends within a year.", reason="token_expiry", hint="Choose a nearer date.")
