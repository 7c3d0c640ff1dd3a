"""What monitoring tells other rooms: frozen values, free of any session."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from wattkeeper.kernel.severity import Severity
from wattkeeper.monitoring.models import (
    NoticeKind,
    NoticeLanguage,
    NoticeState,
    SubjectKind,
)

State = Literal["open", "acknowledged", "cleared"]


@dataclass(frozen=True, slots=True)
class Key:
    """What there is at most one open finding of."""

    code: str
    kind: SubjectKind
    subject_id: int


@dataclass(frozen=True, slots=True)
class FindingView:
    """A finding, with what its subject is called."""

    id: int
    code: str
    severity: Severity
    subject_kind: SubjectKind
    subject_id: int
    subject_name: str
    """A meter's address, a link's code; `#12` for what is gone."""
    place: str
    """The metering point of a meter, the name of a link; may be empty."""
    raised_at: datetime
    updated_at: datetime
    cleared_at: datetime | None
    clear_reason: str | None
    occurrences: int
    evidence: Mapping[str, Any]
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    acknowledged_note: str | None

    @property
    def state(self) -> State:
        """`open`, `acknowledged` (open, and somebody has seen to it) or `cleared`."""
        if self.cleared_at is not None:
            return "cleared"
        return "open" if self.acknowledged_at is None else "acknowledged"


@dataclass(frozen=True, slots=True)
class FindingPage:
    """A page of findings, newest first; `after` asks for the next one."""

    rows: tuple[FindingView, ...]
    total: int
    after: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingFilter:
    """What a list of findings is narrowed to; empty texts leave nothing out."""

    state: str = "active"
    """`active` (open, acknowledged or not), `open`, `acknowledged`, `cleared` or `all`."""
    severity: str = ""
    code: str = ""
    search: str = ""
    """Part of a meter's address, of its point's name or code, or of a link's code or name."""


@dataclass(frozen=True, slots=True)
class OpenCounts:
    """How many findings are open, and how many of these nobody has acknowledged."""

    critical: int = 0
    warning: int = 0
    info: int = 0
    unacknowledged: int = 0

    @property
    def total(self) -> int:
        """All that are open."""
        return self.critical + self.warning + self.info

    @property
    def worst(self) -> Severity | None:
        """The highest severity that is open."""
        counts = (
            (Severity.CRITICAL, self.critical),
            (Severity.WARNING, self.warning),
            (Severity.INFO, self.info),
        )
        return next((severity for severity, count in counts if count), None)


Change = Literal["raised", "updated", "cleared", "acknowledged"]


@dataclass(frozen=True, slots=True)
class FindingNews:
    """What has become of a finding; hub topic "finding" carries one for each change."""

    change: Change
    finding: FindingView


@dataclass(frozen=True, slots=True)
class RecipientView:
    """Who is told; `area` and `site` are names."""

    id: int
    email: str
    language: NoticeLanguage
    minimum_severity: Severity
    site_id: int | None
    site: str | None
    area_id: int | None
    area: str | None
    enabled: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipientWanted:
    """Who is to be told of what."""

    email: str
    language: NoticeLanguage
    minimum_severity: Severity = Severity.WARNING
    site_id: int | None = None
    area_id: int | None = None


@dataclass(frozen=True, slots=True)
class NoticeView:
    """A notice and what became of it."""

    id: int
    finding_id: int | None
    kind: NoticeKind
    channel: str
    recipient: str
    language: NoticeLanguage
    subject: str
    text: str
    message_id: str
    state: NoticeState
    attempts: int
    created_at: datetime
    next_attempt_at: datetime | None
    sent_at: datetime | None
    proof: str | None
    error: str | None


@dataclass(frozen=True, slots=True)
class NoticePage:
    """A page of notices, newest first; `after` asks for the next one."""

    rows: tuple[NoticeView, ...]
    after: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MailOptions:
    """The mail server that notices are handed to; an empty host: none."""

    host: str = ""
    port: int = 587
    security: Literal["none", "starttls", "tls"] = "starttls"
    user: str = ""
    password: str = ""
    sender: str = ""
    public_url: str = ""
    """What links in messages begin with; without it they have none."""
    zone: str = "Asia/Shanghai"
    """In which times are told where the subject has no site."""
    timeout_s: float = 20.0

    @property
    def domain(self) -> str:
        """The domain that message ids end with."""
        return self.sender.rpartition("@")[2].strip("> ") or "wattkeeper.invalid"
