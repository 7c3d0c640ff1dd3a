"""A ledger database in both sizes with security over it, and the clock in the test's hand."""

from datetime import UTC, datetime

import pytest
from limits import RateLimitItemPerMinute

from wattkeeper.kernel.database import Database
from wattkeeper.registry import models as _registry  # noqa: F401 (users refer to customers, sites and areas)
from wattkeeper.security.rights import Role
from wattkeeper.security.service import SecurityService
from wattkeeper.security.throttle import SignInThrottle
from wattkeeper.security.values import SignedIn, UserView, UserWanted

NOW = datetime(2026, 11, 22, 9, 37, 5, tzinfo=UTC)
PASSWORD = "a quiet river in autumn"
HERE = {"address": "203.0.113.9", "agent": "tests"}


@pytest.fixture
def security(database: Database) -> SecurityService:
    """Security whose throttle allows two failures a pair, four a user name, six an address."""
    throttle = SignInThrottle(
        per_pair=RateLimitItemPerMinute(2),
        per_login=RateLimitItemPerMinute(4),
        per_address=RateLimitItemPerMinute(6),
    )
    return SecurityService(database, throttle=throttle)


def add(
    database: Database,
    security: SecurityService,
    login: str,
    role: Role,
    *,
    password: str = PASSWORD,
    **wanted,
) -> UserView:
    """A user whose password need not be changed."""
    with database.write() as session:
        described = UserWanted(name=login.title(), role=role, **wanted)
        return security.users.add_in(session, login, described, now=NOW, password=password)[0]


def enter(
    security: SecurityService, login: str, password: str = PASSWORD, *, now: datetime = NOW
) -> SignedIn:
    """Sign in."""
    return security.sign_in.sign_in(login, password, **HERE, now=now)
