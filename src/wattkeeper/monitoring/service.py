"""The monitor: takes what the collector says, and keeps the findings true.

`tick` is called every few seconds in a thread. It works on what is in memory: what is open, what was out of range
before, what every meter's state is. The database is written to only when a finding changes, all changes of a tick in one
transaction together with the notices that tell of them; then open pages hear of it.
"""

import threading
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Protocol, TypeVar

import structlog
from sqlalchemy.orm import Session

from wattkeeper.collection.values import LinkStatus, LiveReading, MeterState
from wattkeeper.kernel.database import Database
from wattkeeper.kernel.hub import Hub, Message
from wattkeeper.monitoring.decisions import Cleared, Decision, Facts, Open, Raised, Updated
from wattkeeper.monitoring.errors import AlreadyAcknowledged, UnknownFinding
from wattkeeper.monitoring.judging import Judge
from wattkeeper.monitoring.limits import SEVERITIES, Limits
from wattkeeper.monitoring.models import SubjectKind
from wattkeeper.monitoring.notices import NoticeQueue, NoticeService
from wattkeeper.monitoring.repository import FindingRepository
from wattkeeper.monitoring.values import (
    Change,
    FindingFilter,
    FindingNews,
    FindingPage,
    FindingView,
    Key,
    MailOptions,
    OpenCounts,
)
from wattkeeper.monitoring.watching import Watch
from wattkeeper.registry.scope import EVERYTHING, Scope
from wattkeeper.security.acting import current_actor
from wattkeeper.security.audit import record

log = structlog.get_logger(__name__)
T = TypeVar("T")

TOPICS: Final = ("reading", "meter", "link")
"""What a subscription to the hub has to carry for `tick`."""
SURVEY_EVERY: Final = timedelta(seconds=30)
"""How often all states and the registry are looked at anew; in between, changes are taken from the hub."""
SCOPES_REMEMBERED: Final = 256


class CollectorLike(Protocol):
    """The part of the collector that monitoring uses."""

    def link_states(self) -> Sequence[LinkStatus]:
        """What is known of each link."""
        ...

    def meter_states(self) -> Sequence[MeterState]:
        """What is known of each meter."""
        ...


class MonitoringService:
    """Findings: raised once, updated, cleared, acknowledged."""

    def __init__(
        self,
        database: Database,
        hub: Hub,
        *,
        collector: CollectorLike | None = None,
        limits: Limits | None = None,
        mail: MailOptions | None = None,
    ) -> None:
        self.limits = limits or Limits()
        self.notices = NoticeService(database, mail or MailOptions())
        self._database = database
        self._hub = hub
        self._collector = collector
        self._judge = Judge(self.limits)
        self._watch = Watch(self.limits)
        self._facts = Facts()
        self._open: dict[Key, Open] | None = None
        self._surveyed_at: datetime | None = None
        self._changing = threading.Lock()
        """Held by whoever changes findings, from what is in memory to the commit."""
        self._counted: dict[Scope, OpenCounts] = {}
        self._version = 0
        """Grows with every change, so that nothing counted before one is remembered after it."""

    # -- the rules' side --------------------------------------------------------------------------------------------

    def tick(self, now: datetime, news: Iterable[Message] = ()) -> int:
        """Take news of the hub's TOPICS; returns how many findings changed."""
        if self._collector is None:
            return 0
        readings = self._take(news)
        with self._changing:
            open_ = self._restored()
            decisions = self._survey(now)
            self._watch.hear(readings, self._facts, now)
            decisions += self._judge.take(readings, self._facts.meters, open_, now)
            decisions += self._watch.decide(self._facts, open_, now)
            decisions = _one_each(decisions)
            if not decisions:
                return 0
            changed = self._apply(decisions, open_, now)
        self._announce(changed)
        return len(decisions)

    def _take(self, news: Iterable[Message]) -> list[LiveReading]:
        readings: list[LiveReading] = []
        for message in news:
            match message.body:
                case list() as values:
                    readings += values
                case MeterState() as state:
                    self._watch.take_meters([state])
                case LinkStatus() as status:
                    self._watch.take_links([status])
        return readings

    def _restored(self) -> dict[Key, Open]:
        """What is open; read back from the database once, after a start."""
        if self._open is None:
            with self._database.read() as session:
                found = FindingRepository(session).open_findings()
            for key, finding in found.items():
                self._judge.restore(key, finding.evidence)
            self._open = found
        return self._open

    def _survey(self, now: datetime) -> list[Decision]:
        """Now and then look at everything."""
        assert self._collector is not None
        if self._surveyed_at is not None and timedelta(0) <= now - self._surveyed_at < SURVEY_EVERY:
            return []
        with self._database.read() as session:
            self._facts = FindingRepository(session).facts(now)
        self._watch.survey(self._collector.meter_states(), self._collector.link_states())
        self._surveyed_at = now
        return self._judge.unlimited(self._facts.meters, self._restored())

    def _apply(
        self, decisions: Sequence[Decision], open_: dict[Key, Open], now: datetime
    ) -> list[FindingNews]:
        """Commit all of a tick, then believe it."""
        try:
            with self._database.write() as session:
                changed, added = self._write(session, decisions, open_, now)
        except BaseException:
            self._open = None  # what is true is read back; what was to be changed is decided anew
            raise
        open_.update(added)
        for decision in decisions:
            match decision:
                case Updated(key, evidence, occurrences):
                    found = open_[key]
                    found.evidence, found.occurrences, found.updated_at = evidence, occurrences, now
                case Cleared(key):
                    del open_[key]
                    self._judge.forget(key)
        self._forget_counts()
        return changed

    def _write(
        self, session: Session, decisions: Sequence[Decision], open_: dict[Key, Open], now: datetime
    ) -> tuple[list[FindingNews], dict[Key, Open]]:
        repository, queue = FindingRepository(session), NoticeQueue(session, self.notices.options)
        raised = [decision for decision in decisions if isinstance(decision, Raised)]
        updated = [decision for decision in decisions if isinstance(decision, Updated)]
        cleared = [decision for decision in decisions if isinstance(decision, Cleared)]
        ids = repository.add([_row(decision, now) for decision in raised]) if raised else []
        repository.change([_update(open_[decision.key], decision, now) for decision in updated])
        repository.change([_end(open_[decision.key], decision, now) for decision in cleared])
        session.expire_all()
        changes: list[tuple[Change, list[FindingView]]] = [
            ("raised", repository.views(ids)),
            ("updated", repository.views([open_[decision.key].id for decision in updated])),
            ("cleared", repository.views([open_[decision.key].id for decision in cleared])),
        ]
        queue.tell_raised(changes[0][1], now)
        queue.tell_cleared(changes[2][1], now)
        added = {
            decision.key: Open(
                id=finding_id,
                severity=SEVERITIES[decision.key.code],
                raised_at=now,
                updated_at=now,
                occurrences=decision.occurrences,
                evidence=decision.evidence,
                acknowledged=False,
            )
            for decision, finding_id in zip(raised, ids, strict=True)
        }
        return [FindingNews(change, view) for change, views in changes for view in views], added

    def _announce(self, news: Iterable[FindingNews]) -> None:
        for item in news:
            self._hub.publish("finding", item)

    # -- people's side ----------------------------------------------------------------------------------------------

    def acknowledge(
        self, finding_id: int, note: str, now: datetime, *, scope: Scope = EVERYTHING
    ) -> FindingView:
        """Somebody has seen to it; who, the audit's context says.

        Raises:
            UnknownFinding: there is none, or it is out of scope.
            AlreadyAcknowledged: somebody was quicker.

        """
        with self._changing:
            with self._database.write() as session:
                repository = FindingRepository(session)
                before = repository.get(finding_id, scope)
                if before is None:
                    raise UnknownFinding(finding_id)
                if before.acknowledged_by is not None:
                    raise AlreadyAcknowledged(finding_id, before.acknowledged_by)
                who, text = current_actor().name, note.strip() or None
                repository.change(
                    [
                        {
                            "id": finding_id,
                            "acknowledged_at": now,
                            "acknowledged_by": who,
                            "acknowledged_note": text,
                        }
                    ]
                )
                record(
                    session,
                    "alarm.acknowledge",
                    now=now,
                    subject=("alarm", finding_id),
                    name=f"{before.code} {before.subject_name}",
                    after={"note": text},
                )
                session.expire_all()
                after = repository.get(finding_id, scope)
            assert after is not None
            key = Key(after.code, after.subject_kind, after.subject_id)
            if (
                self._open is not None
                and (found := self._open.get(key)) is not None
                and found.id == finding_id
            ):
                found.acknowledged = True
            self._forget_counts()
        self._announce([FindingNews("acknowledged", after)])
        return after

    def finding(self, finding_id: int, *, scope: Scope = EVERYTHING) -> FindingView:
        """One finding; raises UnknownFinding."""
        found = self._read(lambda repository: repository.get(finding_id, scope))
        if found is None:
            raise UnknownFinding(finding_id)
        return found

    def findings(
        self,
        wanted: FindingFilter | None = None,
        *,
        scope: Scope = EVERYTHING,
        limit: int = 50,
        after: str | None = None,
    ) -> FindingPage:
        """A page of findings, newest first; raises BadCursor."""
        chosen = wanted or FindingFilter()
        return self._read(lambda repository: repository.page(chosen, scope, limit=limit, after=after))

    def of_subject(
        self, kind: SubjectKind, subject_id: int, *, scope: Scope = EVERYTHING, closed: int = 0
    ) -> list[FindingView]:
        """The open findings of a meter or link, newest first, then the last `closed` that are over."""
        return self._read(lambda repository: repository.of_subject(kind, subject_id, scope, closed=closed))

    def most_urgent(self, *, scope: Scope = EVERYTHING, limit: int = 8) -> list[FindingView]:
        """Open findings nobody has acknowledged: the most severe first, then the oldest."""
        return self._read(lambda repository: repository.most_urgent(scope, limit=limit))

    def open_subjects(self, *, scope: Scope = EVERYTHING) -> set[tuple[SubjectKind, int]]:
        """The meters and links that have an open finding."""
        return self._read(lambda repository: repository.open_subjects(scope))

    def counts(self, scope: Scope = EVERYTHING) -> OpenCounts:
        """How much is open; remembered until a finding changes, for every page shows it."""
        found = self._counted.get(scope)
        if found is None:
            version = self._version
            found = self._read(lambda repository: repository.counts(scope))
            if version == self._version and len(self._counted) < SCOPES_REMEMBERED:
                self._counted[scope] = found
        return found

    def _forget_counts(self) -> None:
        self._version += 1
        self._counted.clear()

    def _read(self, ask: Callable[[FindingRepository], T]) -> T:
        with self._database.read() as session:
            return ask(FindingRepository(session))


def _one_each(decisions: Iterable[Decision]) -> list[Decision]:
    """One decision per finding and tick, the first: what else is true comes with the next tick."""
    by_key: dict[Key, Decision] = {}
    for decision in decisions:
        by_key.setdefault(decision.key, decision)
    return list(by_key.values())


def _row(decision: Raised, now: datetime) -> dict[str, Any]:
    key = decision.key
    return {
        "code": key.code,
        "severity": SEVERITIES[key.code],
        "subject_kind": key.kind,
        "subject_id": key.subject_id,
        "raised_at": now,
        "updated_at": now,
        "occurrences": decision.occurrences,
        "evidence": decision.evidence,
    }


def _update(found: Open, decision: Updated, now: datetime) -> dict[str, Any]:
    return {
        "id": found.id,
        "updated_at": now,
        "occurrences": decision.occurrences,
        "evidence": decision.evidence,
    }


def _end(found: Open, decision: Cleared, now: datetime) -> dict[str, Any]:
    return {
        "id": found.id,
        "updated_at": now,
        "cleared_at": now,
        "clear_reason": decision.reason,
        "evidence": found.evidence | decision.more,
    }
