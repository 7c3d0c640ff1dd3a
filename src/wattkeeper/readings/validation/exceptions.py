"""The exception queue: what validation found, listed for people and decided by them."""

from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

from sqlalchemy.orm import Session

from wattkeeper.kernel.database import Database
from wattkeeper.readings.validation.errors import AlreadyDecided, FindingNotFound
from wattkeeper.readings.validation.models import FindingState
from wattkeeper.readings.validation.repository import FindingRepository
from wattkeeper.readings.validation.rulebook import RuleBook
from wattkeeper.readings.validation.values import FindingCounts, FindingFilter, FindingPage, FindingView
from wattkeeper.registry.scope import EVERYTHING, Scope
from wattkeeper.security.acting import current_actor
from wattkeeper.security.audit import record

T = TypeVar("T")


def reopen(session: Session, edit_id: int, now: datetime) -> None:
    """An edit came to nothing, or is taken back: what it answered is to be decided again."""
    for finding in FindingRepository(session).answered_by(edit_id):
        before = finding.state
        finding.state, finding.updated_at = FindingState.OPEN, now
        finding.decided_at = finding.decided_by = finding.note = finding.edit_id = None
        record(
            session,
            "finding.reopen",
            now=now,
            subject=("finding", finding.id),
            before={"state": before, "edit_id": edit_id},
            after={"state": FindingState.OPEN},
        )


class ExceptionQueue:
    """Lists findings and takes decisions about them. Who decides, the audit's context says."""

    def __init__(self, database: Database) -> None:
        self.rules = RuleBook(database)
        self._database = database

    def findings(
        self,
        wanted: FindingFilter | None = None,
        *,
        scope: Scope = EVERYTHING,
        limit: int = 50,
        after: str | None = None,
    ) -> FindingPage:
        """A page of findings, the latest period first; raises BadValue for an ``after`` that is none."""
        chosen = wanted or FindingFilter()
        return self._read(lambda repository: repository.page(chosen, scope, limit=limit, after=after))

    def finding(self, finding_id: int, *, scope: Scope = EVERYTHING) -> FindingView:
        """One finding; raises FindingNotFound."""
        found = self._read(lambda repository: repository.get(finding_id, scope))
        if found is None:
            raise FindingNotFound(finding_id)
        return found

    def counts(self, scope: Scope = EVERYTHING) -> FindingCounts:
        """How many are open."""
        return self._read(lambda repository: repository.counts(scope))

    def accept(self, finding_id: int, note: str, now: datetime, *, scope: Scope = EVERYTHING) -> FindingView:
        """The readings are right as they are. Raises FindingNotFound or AlreadyDecided."""
        return self._decide(finding_id, FindingState.ACCEPTED, note, now, edit_id=None, scope=scope)

    def mark_estimated(
        self, finding_id: int, edit_id: int | None, note: str, now: datetime, *, scope: Scope = EVERYTHING
    ) -> FindingView:
        """What was in doubt is replaced by an estimate. Raises FindingNotFound or AlreadyDecided."""
        return self._decide(finding_id, FindingState.ESTIMATED, note, now, edit_id=edit_id, scope=scope)

    def mark_edited(
        self, finding_id: int, edit_id: int | None, note: str, now: datetime, *, scope: Scope = EVERYTHING
    ) -> FindingView:
        """A person entered what is right. Raises FindingNotFound or AlreadyDecided."""
        return self._decide(finding_id, FindingState.EDITED, note, now, edit_id=edit_id, scope=scope)

    def _decide(
        self,
        finding_id: int,
        state: FindingState,
        note: str,
        now: datetime,
        *,
        edit_id: int | None,
        scope: Scope,
    ) -> FindingView:
        with self._database.write() as session:
            repository = FindingRepository(session)
            finding = repository.lock(finding_id)
            before = repository.get(finding_id, scope)
            if finding is None or before is None:
                raise FindingNotFound(finding_id)
            if finding.state is not FindingState.OPEN:
                raise AlreadyDecided(finding_id, finding.state)
            finding.state, finding.updated_at, finding.decided_at = state, now, now
            finding.decided_by, finding.note, finding.edit_id = (
                current_actor().name,
                note.strip() or None,
                edit_id,
            )
            record(
                session,
                "finding.decide",
                now=now,
                subject=("finding", finding_id),
                name=f"{before.code} {before.meter}",
                before={"state": before.state},
                after={"state": state, "note": finding.note, "edit_id": edit_id},
            )
            session.flush()
            after = repository.get(finding_id, scope)
        assert after is not None
        return after

    def _read(self, ask: Callable[[FindingRepository], T]) -> T:
        with self._database.read() as session:
            return ask(FindingRepository(session))
