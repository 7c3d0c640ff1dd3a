"""Security as one part of the product: users, sign-in, tokens and the audit over one ledger database."""

from datetime import datetime

from wattkeeper.kernel.database import Database
from wattkeeper.security import audit
from wattkeeper.security.repository import SecurityRepository
from wattkeeper.security.sign_in import SignIn
from wattkeeper.security.throttle import SignInThrottle
from wattkeeper.security.tokens import Tokens
from wattkeeper.security.users import Users
from wattkeeper.security.values import AuditPage, AuditReport, AuditRow


class SecurityService:
    """What the rooms above use."""

    def __init__(self, database: Database, *, throttle: SignInThrottle | None = None) -> None:
        self._database = database
        self.users = Users(database)
        self.sign_in = SignIn(database, throttle=throttle)
        self.tokens = Tokens(database)
        self._sealed_before = False

    def seal_audit(self, now: datetime) -> int:
        """Chain what was written down since the last time; returns how many events."""
        thorough = not self._sealed_before
        with self._database.read() as session:
            waiting = audit.any_unsealed(session, thorough=thorough)
        sealed = 0
        while waiting:  # most of the time there is nothing to do, and then nobody has to wait for a writer
            with self._database.write() as session:
                batch = audit.seal(session, now=now, thorough=thorough)
            sealed += batch
            waiting = batch == audit.BATCH
        self._sealed_before = True
        return sealed

    def verify_audit(self, *, expected: str | None = None) -> AuditReport:
        """Compute the audit's hash chain again and say where it is broken."""
        with self._database.read() as session:
            return audit.verify(session, expected=expected)

    def audit(
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
        """A page of the audit, newest first."""
        with self._database.read() as session:
            return SecurityRepository(session).audit_page(
                action=action,
                actor=actor,
                actor_id=actor_id,
                subject=subject,
                about=about,
                since=since,
                until=until,
                after=after,
                limit=limit,
            )

    def audit_event(self, event_id: int) -> AuditRow | None:
        """One event of the audit."""
        with self._database.read() as session:
            return SecurityRepository(session).audit_event(event_id)
