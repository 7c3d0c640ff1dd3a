"""What judging leads to, and what is open meanwhile: plain values between the rules and the database."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from wattkeeper.kernel.severity import Severity
from wattkeeper.monitoring.limits import MeterFacts
from wattkeeper.monitoring.models import SubjectKind
from wattkeeper.monitoring.values import Key

Evidence = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Raised:
    """Something is wrong that is not open yet."""

    key: Key
    evidence: Evidence
    occurrences: int = 1


@dataclass(frozen=True, slots=True)
class Updated:
    """Something open became worse, or goes on."""

    key: Key
    evidence: Evidence
    occurrences: int


@dataclass(frozen=True, slots=True)
class Cleared:
    """Something open is over; `more` joins the evidence."""

    key: Key
    reason: str
    more: Evidence = field(default_factory=dict)


Decision = Raised | Updated | Cleared


@dataclass(slots=True)
class Open:
    """An open finding as the service keeps it in memory."""

    id: int
    severity: Severity
    raised_at: datetime
    updated_at: datetime
    occurrences: int
    evidence: Evidence
    acknowledged: bool


OpenFindings = Mapping[Key, Open]


@dataclass(frozen=True, slots=True)
class Facts:
    """What of the registry the rules need, as it was at the last look."""

    meters: Mapping[int, MeterFacts] = field(default_factory=dict)
    """The meters that are read."""
    links: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    """The links that are used, with the meters read there."""
    idle: frozenset[tuple[SubjectKind, int]] = frozenset()
    """Meters and links that exist and are not read: disabled, or taken down."""

    def is_read(self, key: Key) -> bool:
        """Whether a subject is still watched."""
        known = self.meters if key.kind is SubjectKind.METER else self.links
        return key.subject_id in known
