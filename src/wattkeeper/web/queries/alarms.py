"""Alarms and notices as pages show them: sentences made from codes and evidence in the visitor's language."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from wattkeeper.kernel.severity import Severity
from wattkeeper.monitoring import words
from wattkeeper.monitoring.models import NoticeKind, NoticeState, SubjectKind
from wattkeeper.monitoring.values import FindingView, NoticeView, OpenCounts
from wattkeeper.security.rights import Right
from wattkeeper.web.language import Language
from wattkeeper.web.queries.states import N_, Level
from wattkeeper.web.services import Services

LEVELS: Final[Mapping[str, Level]] = {
    Severity.CRITICAL: "bad",
    Severity.WARNING: "warn",
    Severity.INFO: "idle",
}
STATES: Final[Mapping[str, str]] = {
    "active": N_("not over"),
    "open": N_("not acknowledged"),
    "acknowledged": N_("acknowledged"),
    "cleared": N_("over"),
    "all": N_("all"),
}
ONE_STATE: Final[Mapping[str, str]] = {
    "open": N_("not acknowledged"),
    "acknowledged": N_("acknowledged"),
    "cleared": N_("over"),
}
NOTICE_STATES: Final[Mapping[str, tuple[Level, str]]] = {
    NoticeState.QUEUED: ("warn", N_("waiting")),
    NoticeState.SENT: ("ok", N_("delivered")),
    NoticeState.FAILED: ("bad", N_("refused")),
    NoticeState.GIVEN_UP: ("bad", N_("given up")),
}
NOTICE_KINDS: Final[Mapping[str, str]] = {
    NoticeKind.RAISED: N_("alarm"),
    NoticeKind.CLEARED: N_("all clear"),
    NoticeKind.TEST: N_("test"),
}


@dataclass(frozen=True, slots=True)
class AlarmLine:
    """One alarm as lists show it."""

    id: int
    level: Level
    severity: str
    kind: str
    sentence: str
    place: str
    subject: str
    href: str | None
    """The page of its meter or link; None where the visitor may not open it."""
    state_level: Level
    state: str
    raised_at: datetime
    cleared_at: datetime | None
    reason: str
    acknowledged_by: str | None
    note: str | None
    open: bool


def alarm_line(finding: FindingView, say: Language, may: Any) -> AlarmLine:
    """A finding's line; `may` tells whether the visitor has a right."""
    right = Right.METERS_VIEW if finding.subject_kind is SubjectKind.METER else Right.LINKS_VIEW
    is_open = finding.cleared_at is None
    level: Level = LEVELS[finding.severity] if is_open else "idle"
    states: dict[str, Level] = {"open": level, "acknowledged": "idle", "cleared": "ok"}
    return AlarmLine(
        id=finding.id,
        level=level,
        severity=words.severity_of(finding.severity, say.code),
        kind=words.name_of(finding.code, say.code),
        sentence=words.sentence_of(finding, say.code),
        place=finding.place,
        subject=finding.subject_name,
        href=words.subject_address(finding) if may(right) else None,
        state_level=states[finding.state],
        state=say.text(ONE_STATE[finding.state]),
        raised_at=finding.raised_at,
        cleared_at=finding.cleared_at,
        reason=words.reason_of(finding.clear_reason, say.code),
        acknowledged_by=finding.acknowledged_by,
        note=finding.acknowledged_note,
        open=is_open,
    )


@dataclass(frozen=True, slots=True)
class Fact:
    """One line of the evidence; `exchange` leads to the frame it was read from."""

    label: str
    value: str
    exchange: str | None = None
    at: datetime | None = None


def facts_of(finding: FindingView, say: Language) -> list[Fact]:
    """What a person needs to check a finding."""
    evidence = finding.evidence
    found = list(_samples(evidence, say)) if "quantity" in evidence else list(_states(evidence, say))
    if "quantity" in evidence:
        bound = N_("Upper limit") if evidence.get("above", True) else N_("Lower limit")
        found.append(Fact(say.text(bound), f"{evidence['limit']} {evidence['unit']}"))
        found.append(Fact(say.text("Readings out of range"), say.number(finding.occurrences)))
    if "factor" in evidence:
        text = say.text("× %(factor)s, applied to the reading", factor=evidence["factor"])
        found.append(Fact(say.text("Ratio"), text))
    return found


def _samples(evidence: Mapping[str, Any], say: Language) -> Iterable[Fact]:
    for sample in evidence.get("before", ()):
        yield _sample(N_("First reading"), sample, say)
    yield _sample(N_("Reading that raised it"), evidence, say)
    if "worst" in evidence:
        yield _sample(N_("Worst reading"), evidence["worst"], say)
    if "cleared_by" in evidence:
        yield _sample(N_("Reading that cleared it"), evidence["cleared_by"], say)


def _sample(label: str, sample: Mapping[str, Any], say: Language) -> Fact:
    quantity = say.quantity(sample["quantity"])
    value = words.shown_value(sample["value"], sample["quantity"])
    read = "" if sample["read"] == sample["value"] else f" ({sample['read']} {sample['unit']})"
    return Fact(
        say.text(label),
        f"{quantity} {value} {sample['unit']}{read}",
        sample["exchange_id"],
        _instant(sample["read_at"]),
    )


def _states(evidence: Mapping[str, Any], say: Language) -> Iterable[Fact]:
    labels = {
        "since": N_("In this state since"),
        "answered_at": N_("Last answer"),
        "heard_at": N_("Last heard on the link"),
        "connected_at": N_("Open again since"),
        "read_at": N_("Read at"),
    }
    for key, label in labels.items():
        if (at := _instant(evidence.get(key))) is not None:
            yield Fact(say.text(label), "", at=at)
    if "deviation_s" in evidence:
        yield Fact(say.text("Clock"), _deviation(evidence["deviation_s"], say))
        yield Fact(say.text("Limit"), words.duration(evidence["limit_s"], say.code))
    if "failures" in evidence:
        yield Fact(say.text("Failed reads in a row"), say.number(evidence["failures"]))
    if "meters" in evidence:
        yield Fact(say.text("Meters of this link"), say.number(evidence["meters"]))
    if "silent" in evidence:
        yield Fact(say.text("Silent meters"), say.number(evidence["silent"]))
    if evidence.get("url"):
        yield Fact(say.text("Link address"), evidence["url"])


def _deviation(seconds: int, say: Language) -> str:
    if seconds >= 0:
        return say.text("%(seconds)s s ahead", seconds=say.number(Decimal(seconds)))
    return say.text("%(seconds)s s behind", seconds=say.number(Decimal(-seconds)))


def _instant(text: Any) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


@dataclass(frozen=True, slots=True)
class NoticeLine:
    """One notice as lists show it."""

    id: int
    alarm: int | None
    kind: str
    recipient: str
    subject: str
    level: Level
    state: str
    attempts: int
    created_at: datetime
    sent_at: datetime | None
    next_attempt_at: datetime | None
    said: str
    """The mail server's own words: the proof, or why not yet."""
    message_id: str


def notice_line(notice: NoticeView, say: Language) -> NoticeLine:
    """A notice's line."""
    level, text = NOTICE_STATES[notice.state]
    return NoticeLine(
        id=notice.id,
        alarm=notice.finding_id,
        kind=say.text(NOTICE_KINDS[notice.kind]),
        recipient=notice.recipient,
        subject=notice.subject,
        level=level,
        state=say.text(text),
        attempts=notice.attempts,
        created_at=notice.created_at,
        sent_at=notice.sent_at,
        next_attempt_at=notice.next_attempt_at,
        said=notice.proof or notice.error or "",
        message_id=notice.message_id,
    )


@dataclass(frozen=True, slots=True)
class Badge:
    """The number beside "Alarms" in the navigation."""

    count: int
    level: Level


def badge_of(counts: OpenCounts) -> Badge:
    """How many alarms nobody has acknowledged, in the colour of the worst that is open."""
    return Badge(counts.unacknowledged, LEVELS[counts.worst] if counts.worst else "idle")


def badge(services: Services) -> Badge:
    """The same, within what whoever asks may see."""
    return badge_of(services.monitoring.counts(services.scope))
