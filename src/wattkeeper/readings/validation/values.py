"""What validation tells other rooms: frozen values, free of any session."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from wattkeeper.kernel.severity import Severity
from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.readings.validation.models import FindingState


@dataclass(frozen=True, slots=True)
class FindingView:
    """A finding, with what its meter and metering point are called."""

    id: int
    code: str
    severity: Severity
    state: FindingState
    meter_id: int
    meter: str
    """Its address."""
    point_id: int | None
    point: str
    """The name of the metering point; empty where the meter hung nowhere."""
    quantity: str
    period: TimeRange
    evidence: Mapping[str, Any]
    raised_at: datetime
    updated_at: datetime
    decided_at: datetime | None
    decided_by: str | None
    note: str | None
    edit_id: int | None


@dataclass(frozen=True, slots=True)
class FindingPage:
    """A page of findings, the latest period first; ``after`` asks for the next one and is None on the last."""

    rows: tuple[FindingView, ...]
    total: int
    after: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingFilter:
    """What a list of findings is narrowed to; what is left empty leaves nothing out."""

    state: Literal["open", "accepted", "estimated", "edited", "cleared", "decided", "all"] = "open"
    code: str = ""
    severity: Severity | None = None
    meter_id: int | None = None
    point_id: int | None = None
    area_id: int | None = None
    """The metering points in the area and below it."""
    period: TimeRange | None = None
    """Findings whose period touches it."""
    search: str = ""
    """Part of a meter's address, or of its point's code or name."""


@dataclass(frozen=True, slots=True)
class FindingCounts:
    """How many findings are open."""

    by_code: Mapping[str, int]
    by_severity: Mapping[Severity, int]

    @property
    def total(self) -> int:
        """All that are open."""
        return sum(self.by_code.values())


@dataclass(frozen=True, slots=True)
class ParameterValue:
    """What a person set a parameter of a rule to, for a class of metering point, from an instant on."""

    id: int
    rule: str
    point_kind: str
    """A class of metering point, or `models.ANY_KIND`."""
    parameter: str
    value: Decimal
    valid_from: datetime
    set_at: datetime
    set_by: str
