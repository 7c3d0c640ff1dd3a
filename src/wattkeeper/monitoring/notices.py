"""Notices: queued in the transaction of what they tell, delivered by a loop of their own, kept with their proof.

Delivery is at least once. Between the server's "250" and our note of it the process may die; the message is then sent
again under the same Message-ID, by which a mail program can tell that it is the same one.
"""

import smtplib
import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from email.utils import parseaddr
from typing import Any, Final
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy.orm import Session

from wattkeeper.kernel.database import Database
from wattkeeper.kernel.severity import Severity
from wattkeeper.monitoring.errors import MailNotSetUp, RecipientExists, RecipientRefused, UnknownRecipient
from wattkeeper.monitoring.models import (
    NoticeKind,
    NoticeLanguage,
    NoticeRecipient,
    NoticeState,
    SubjectKind,
)
from wattkeeper.monitoring.notice_repository import NoticeRepository
from wattkeeper.monitoring.smtp import Mailer, Outcome, connected, told
from wattkeeper.monitoring.values import (
    FindingView,
    MailOptions,
    NoticePage,
    NoticeView,
    RecipientView,
    RecipientWanted,
)
from wattkeeper.monitoring.words import message_of, trial_message
from wattkeeper.registry.repository import Registry
from wattkeeper.security.audit import record

log = structlog.get_logger(__name__)

EMAIL: Final = "email"
BATCH: Final = 50
FIRST_PAUSE: Final = timedelta(minutes=1)
LONGEST_PAUSE: Final = timedelta(hours=1)
GIVE_UP_AFTER: Final = timedelta(hours=24)
"""A day later nobody is helped by hearing of it; the log says that they were not."""
LONGEST_ADDRESS: Final = 254
"""RFC 5321, 4.5.3.1.3 less the angle brackets."""
_ORDER: Final = (Severity.INFO, Severity.WARNING, Severity.CRITICAL)


class NoticeQueue:
    """Writes notices beside the findings they tell of."""

    def __init__(self, session: Session, options: MailOptions) -> None:
        self._repository = NoticeRepository(session)
        self._options = options

    def tell_raised(self, findings: Sequence[FindingView], now: datetime) -> None:
        """Queue a notice to everybody who wants to know of these."""
        if not (findings and self._options.host):
            return
        rows = []
        zones = self._zones(findings)
        for recipient in self._repository.recipients():
            fitting = [finding for finding in findings if wants(recipient, finding)]
            within = self._repository.findings_within([finding.id for finding in fitting], recipient)
            rows += [
                self._row(
                    finding, NoticeKind.RAISED, recipient.email, recipient.language, zones=zones, now=now
                )
                for finding in fitting
                if finding.id in within
            ]
        self._repository.queue(_once_each(rows))

    def tell_cleared(self, findings: Sequence[FindingView], now: datetime) -> None:
        """Queue a notice to everybody who was told when these were raised."""
        if not (findings and self._options.host):
            return
        told_before = self._repository.told_of([finding.id for finding in findings])
        zones = self._zones(findings) if told_before else {}
        self._repository.queue(
            [
                self._row(
                    finding, NoticeKind.CLEARED, notice.recipient, notice.language, zones=zones, now=now
                )
                for finding in findings
                for notice in told_before.get(finding.id, ())
            ]
        )

    def try_out(self, email: str, language: NoticeLanguage, now: datetime) -> None:
        """Queue a message that only tries the way."""
        subject, text = trial_message(language.value)
        self._repository.queue(
            [self._queued(None, NoticeKind.TEST, email, language, now) | {"subject": subject, "text": text}]
        )

    def _zones(self, findings: Iterable[FindingView]) -> dict[int, str]:
        meters = [finding.subject_id for finding in findings if finding.subject_kind is SubjectKind.METER]
        zones = self._repository.zones(meters)
        return {
            finding.id: zones[finding.subject_id]
            for finding in findings
            if finding.subject_kind is SubjectKind.METER and finding.subject_id in zones
        }

    def _row(
        self,
        finding: FindingView,
        kind: NoticeKind,
        email: str,
        language: NoticeLanguage,
        *,
        zones: dict[int, str],
        now: datetime,
    ) -> dict[str, Any]:
        zone = ZoneInfo(zones.get(finding.id, self._options.zone))
        base = self._options.public_url.rstrip("/")
        url = f"{base}/alarms/{finding.id}" if base else ""
        subject, text = message_of(finding, kind, language.value, zone=zone, url=url)
        return self._queued(finding.id, kind, email, language, now) | {"subject": subject, "text": text}

    def _queued(
        self, finding_id: int | None, kind: NoticeKind, email: str, language: NoticeLanguage, now: datetime
    ) -> dict[str, Any]:
        return {
            "finding_id": finding_id,
            "kind": kind,
            "channel": EMAIL,
            "recipient": email,
            "language": language,
            "message_id": f"<{uuid.uuid4().hex}@{self._options.domain}>",
            "state": NoticeState.QUEUED,
            "created_at": now,
            "next_attempt_at": now,
        }


def wants(recipient: RecipientView, finding: FindingView) -> bool:
    """Whether a finding is severe enough for a recipient."""
    return recipient.enabled and _ORDER.index(finding.severity) >= _ORDER.index(recipient.minimum_severity)


def _once_each(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """An address that two rules name is told once."""
    by_key = {(row["finding_id"], row["recipient"]): row for row in reversed(rows)}
    return list(reversed(by_key.values()))


class NoticeService:
    """Who is told, and the delivery."""

    def __init__(self, database: Database, options: MailOptions) -> None:
        self._database = database
        self.options = options

    @property
    def set_up(self) -> bool:
        """Whether a mail server is named."""
        return bool(self.options.host)

    # -- delivery ---------------------------------------------------------------------------------------------------

    def deliver(self, now: datetime) -> int:
        """Try what is due over one connection; returns how many messages the server took over."""
        if not self.set_up:
            return 0
        with self._database.read() as session:
            due = NoticeRepository(session).due(now, limit=BATCH)
        if not due:
            return 0
        try:
            with connected(self.options) as mailer:
                return self._send(mailer, due, now)
        except (OSError, smtplib.SMTPException) as error:
            log.warning("mail server not reached", host=self.options.host, error=told(error))
            self._put_off(due, told(error), now)
            return 0

    def _send(self, mailer: Mailer, due: Sequence[NoticeView], now: datetime) -> int:
        sent = 0
        for place, notice in enumerate(due):
            outcome = mailer.send(notice)
            self._settle(notice, outcome, now)  # one by one: a crash repeats one message at most
            sent += outcome.proof is not None
            if outcome.lost:
                self._put_off(due[place + 1 :], outcome.error or "", now)
                break
        return sent

    def _settle(self, notice: NoticeView, outcome: Outcome, now: datetime) -> None:
        with self._database.write() as session:
            NoticeRepository(session).settle(notice.id, **_settled(notice, outcome, now))

    def _put_off(self, notices: Sequence[NoticeView], error: str, now: datetime) -> None:
        """No server to talk to: all of these wait."""
        with self._database.write() as session:
            repository = NoticeRepository(session)
            for notice in notices:
                repository.settle(notice.id, **_settled(notice, Outcome(error=error), now))

    # -- recipients -------------------------------------------------------------------------------------------------

    def recipients(self) -> list[RecipientView]:
        """Everybody who is told, by address."""
        with self._database.read() as session:
            return NoticeRepository(session).recipients()

    def add_recipient(self, wanted: RecipientWanted, now: datetime) -> RecipientView:
        """Tell somebody from now on.

        Raises:
            RecipientRefused: the address is none, or the part of the network is a site and an area at once.
            RecipientExists: they are told of it already.
            NotFound: no such site or area.

        """
        email = checked_email(wanted.email)
        if wanted.site_id is not None and wanted.area_id is not None:
            raise RecipientRefused(
                "A recipient is told of a site or of an area, not of both.", hint="Add two."
            )
        with self._database.write() as session:
            repository, registry = NoticeRepository(session), Registry(session)
            if wanted.site_id is not None:
                registry.get_site(wanted.site_id)
            if wanted.area_id is not None:
                registry.get_area(wanted.area_id)
            if repository.same_recipient(email, wanted.site_id, wanted.area_id):
                raise RecipientExists(f"{email} is told of that already.", hint="Remove that rule first.")
            row = repository.add_recipient(
                NoticeRecipient(
                    email=email,
                    language=wanted.language,
                    minimum_severity=wanted.minimum_severity,
                    site_id=wanted.site_id,
                    area_id=wanted.area_id,
                    created_at=now,
                )
            )
            added = next(item for item in repository.recipients() if item.id == row.id)
            record(
                session,
                "notice-recipient.add",
                now=now,
                subject=("notice_recipient", row.id),
                name=email,
                after=_as_json(added),
            )
        return added

    def remove_recipient(self, recipient_id: int, now: datetime) -> None:
        """Tell somebody no more; raises UnknownRecipient."""
        with self._database.write() as session:
            repository = NoticeRepository(session)
            row = self._recipient(repository, recipient_id)
            before = next(item for item in repository.recipients() if item.id == recipient_id)
            repository.remove_recipient(row)
            record(
                session,
                "notice-recipient.remove",
                now=now,
                subject=("notice_recipient", recipient_id),
                name=row.email,
                before=_as_json(before),
            )

    def try_out(self, recipient_id: int, now: datetime) -> None:
        """Send a recipient a test; raises UnknownRecipient, or MailNotSetUp."""
        if not self.set_up:
            raise MailNotSetUp(
                "No mail server is set up, so nobody can be told.", hint="Set smtp_host and smtp_from."
            )
        with self._database.write() as session:
            row = self._recipient(NoticeRepository(session), recipient_id)
            NoticeQueue(session, self.options).try_out(row.email, row.language, now)
            record(
                session,
                "notice-recipient.test",
                now=now,
                subject=("notice_recipient", recipient_id),
                name=row.email,
            )

    @staticmethod
    def _recipient(repository: NoticeRepository, recipient_id: int) -> NoticeRecipient:
        row = repository.recipient(recipient_id)
        if row is None:
            raise UnknownRecipient(recipient_id)
        return row

    # -- the log ----------------------------------------------------------------------------------------------------

    def notices(
        self, *, state: str = "", search: str = "", limit: int = 50, after: str | None = None
    ) -> NoticePage:
        """A page of the log, newest first."""
        with self._database.read() as session:
            return NoticeRepository(session).page(state=state, search=search, limit=limit, after=after)

    def of_finding(self, finding_id: int) -> list[NoticeView]:
        """The notices about a finding, oldest first."""
        with self._database.read() as session:
            return NoticeRepository(session).of_finding(finding_id)


def _settled(notice: NoticeView, outcome: Outcome, now: datetime) -> dict[str, Any]:
    """What is to be written down of an attempt."""
    attempts = notice.attempts + 1
    if outcome.proof is not None:
        return {
            "state": NoticeState.SENT,
            "attempts": attempts,
            "sent_at": now,
            "proof": outcome.proof,
            "error": None,
            "next_attempt_at": None,
        }
    changes: dict[str, Any] = {"attempts": attempts, "error": outcome.error, "next_attempt_at": None}
    if outcome.final:
        return changes | {"state": NoticeState.FAILED}
    following = now + pause_after(attempts)
    if following - notice.created_at > GIVE_UP_AFTER:
        return changes | {"state": NoticeState.GIVEN_UP}
    return changes | {"next_attempt_at": following}


def pause_after(attempts: int) -> timedelta:
    """1, 2, 4, 8, 16, 32 minutes, then every hour.

    >>> [pause_after(n).total_seconds() // 60 for n in (1, 2, 3, 6, 7, 40)]
    [1.0, 2.0, 4.0, 32.0, 60.0, 60.0]
    """
    doublings = min(attempts - 1, 10)
    pause: timedelta = FIRST_PAUSE * 2**doublings
    return min(pause, LONGEST_PAUSE)


def checked_email(text: str) -> str:
    """An address as it is kept, or RecipientRefused."""
    email = text.strip()
    local, at, domain = email.rpartition("@")
    plain = email.isascii() and not any(letter.isspace() or letter in '<>(),;:"\\' for letter in email)
    if not (
        local
        and at
        and "." in domain.strip(".")
        and plain
        and parseaddr(email)[1] == email
        and len(email) <= LONGEST_ADDRESS
    ):
        raise RecipientRefused(f"{text!r} is not an e-mail address.", hint="Write it as name@example.org.")
    return email


def _as_json(recipient: RecipientView) -> dict[str, Any]:
    return {
        "email": recipient.email,
        "language": recipient.language.value,
        "minimum_severity": recipient.minimum_severity.value,
        "site": recipient.site,
        "area": recipient.area,
    }
