"""What validation found, in words: the rule, the evidence, and what became of it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from wattkeeper.kernel.severity import Severity
from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.monitoring.words import severity_of
from wattkeeper.readings.quantities import QUANTITIES
from wattkeeper.readings.validation.models import FindingState
from wattkeeper.readings.validation.rules import RULES, Rule
from wattkeeper.readings.validation.values import FindingView
from wattkeeper.security.rights import Right
from wattkeeper.security.values import Principal
from wattkeeper.web.language import Language
from wattkeeper.web.queries.alarms import LEVELS, Badge
from wattkeeper.web.queries.overview import Task
from wattkeeper.web.queries.states import N_, Level
from wattkeeper.web.services import Services

STATES: Final[Mapping[str, str]] = {
    "open": N_("to be decided"),
    "accepted": N_("accepted as right"),
    "estimated": N_("replaced by an estimate"),
    "edited": N_("another value proposed"),
    "cleared": N_("its cause is gone"),
    "decided": N_("decided by a person"),
    "all": N_("all"),
}
STATE_LEVELS: Final[Mapping[FindingState, Level]] = {
    FindingState.OPEN: "warn",
    FindingState.ACCEPTED: "ok",
    FindingState.ESTIMATED: "ok",
    FindingState.EDITED: "ok",
    FindingState.CLEARED: "idle",
}
FIGURES: Final[Mapping[str, str]] = {
    "step_kwh": N_("Register step (kWh)"),
    "hours": N_("For (h)"),
    "ratio": N_("Ratio"),
    "load_kw": N_("Load (kW)"),
    "noted_kwh": N_("Register noted (kWh)"),
    "noted_at": N_("Noted at"),
    "counted_kwh": N_("Counted by the register (kWh)"),
    "third_kw": N_("Third highest load (kW)"),
    "highest_before_kw": N_("Highest load of the days before (kW)"),
    "days_before": N_("Days before"),
    "median_kw": N_("Median load (kW)"),
    "lowest_before_kw": N_("Lowest median load of the days before (kW)"),
    "still_since_at": N_("Unchanged since"),
    "equal_readings": N_("Equal readings in a row"),
    "current_a": N_("Current (A)"),
    "power_kw": N_("Power (kW)"),
    "day_kwh": N_("Energy of the day (kWh)"),
    "max_current_a": N_("Maximum current (A)"),
    "rated_kw": N_("Rated power (kW)"),
    "unbalance": N_("Unbalance"),
    "difference": N_("Difference"),
    "difference_kw": N_("Difference (kW)"),
    "difference_kwh": N_("Difference (kWh)"),
    "intervals_kwh": N_("Sum of the intervals (kWh)"),
    "expected": N_("Expected readings"),
    "missing": N_("Missing readings"),
    "gap_count": N_("Gaps"),
    "delay_h": N_("Received after (h)"),
    "ahead_min": N_("Ahead of its arrival (min)"),
    "offset_s": N_("Beside true time (s)"),
    "other_value": N_("Other value"),
    "count": N_("Readings concerned"),
    "first_at": N_("First at"),
    "last_at": N_("Last at"),
}
"""What the numbers of the evidence are called; one that is not here keeps its key."""
_TOLD_FIRST: Final = (
    "missing", "load_kw", "step_kwh", "difference_kwh", "difference_kw", "difference", "unbalance", "offset_s", "delay_h",
    "equal_readings", "hours", "day_kwh", "power_kw",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class FindingLine:
    """One finding as lists show it."""

    id: int
    code: str
    level: Level
    severity: str
    rule: str
    told: str
    """The evidence in a few words."""
    meter_id: int
    meter: str
    point: str
    quantity: str
    period: TimeRange
    state_level: Level
    state: str
    raised_at: datetime
    decided_at: datetime | None
    decided_by: str | None
    note: str | None
    edit_id: int | None
    edit_address: str
    """Where another value is proposed."""
    estimate_address: str | None
    """Where an estimate is proposed; None where there are no intervals to estimate."""
    open: bool


def rule_name(code: str, say: Language) -> str:
    """What a rule is called."""
    rule = RULES.get(code)
    return say.choose(rule.name_zh, rule.name_en) if rule else code


def rule_choices(say: Language) -> list[tuple[str, str]]:
    """Every rule."""
    return [(code, rule_name(code, say)) for code in RULES]


def finding_line(finding: FindingView, say: Language) -> FindingLine:
    """A finding's line."""
    return FindingLine(
        id=finding.id,
        code=finding.code,
        level=LEVELS[finding.severity] if finding.state is FindingState.OPEN else "idle",
        severity=severity_of(finding.severity, say.code),
        rule=rule_name(finding.code, say),
        told=told(finding, say),
        meter_id=finding.meter_id,
        meter=finding.meter,
        point=finding.point,
        quantity=say.quantity(finding.quantity),
        period=finding.period,
        state_level=STATE_LEVELS[finding.state],
        state=say.text(STATES[finding.state]),
        raised_at=finding.raised_at,
        decided_at=finding.decided_at,
        decided_by=finding.decided_by,
        note=finding.note,
        edit_id=finding.edit_id,
        edit_address=edit_address(finding),
        estimate_address=f"/exceptions/{finding.id}/estimate"
        if finding.point_id is not None and is_energy(finding.quantity)
        else None,
        open=finding.state is FindingState.OPEN,
    )


def edit_address(finding: FindingView) -> str:
    """The form that proposes another value: of the reading, or of the intervals of the day it is about."""
    start, end = (
        f"{moment:%Y-%m-%dT%H:%M:%S.%fZ}" for moment in (finding.period.start, finding.period.closed_end)
    )
    if (
        finding.point_id is not None
        and is_energy(finding.quantity)
        and finding.period.duration.total_seconds() > 1
    ):
        return f"/edits/new?point={finding.point_id}&quantity={finding.quantity}&start={start}&end={end}&finding={finding.id}"
    return f"/edits/new?meter={finding.meter_id}&quantity={finding.quantity}&at={start}&finding={finding.id}"


def is_energy(quantity: str) -> bool:
    """Whether a quantity has intervals."""
    return quantity in QUANTITIES and QUANTITIES[quantity].is_energy


def told(finding: FindingView, say: Language) -> str:
    """The evidence in a few words: what weighs most, and the limit it is measured by."""
    evidence = finding.evidence
    parts = []
    figure = next((key for key in _TOLD_FIRST if key in evidence), None)
    if figure is not None:
        parts.append(f"{say.text(FIGURES[figure])} {figure_value(figure, evidence[figure], say)}")
    elif readings := evidence.get("readings"):
        worst = _worst(readings, finding)
        parts.append(f"{say.quantity(worst['quantity'])} {worst['value']} {worst['unit']}".strip())
    if limit := evidence.get("limit"):
        parts.append(f"{limit_name(finding.code, limit, say)} {limit['value']} {limit['unit']}".strip())
    return say.listed(parts)


def _worst(readings: list[Mapping[str, Any]], finding: FindingView) -> Mapping[str, Any]:
    """The reading that a sentence names: of the finding's own quantity, its own instant first."""
    own = [reading for reading in readings if reading["quantity"] == finding.quantity] or readings
    at = finding.period.start.isoformat()
    return next((reading for reading in own if reading["read_at"] == at), own[len(own) // 2])


def limit_name(code: str, limit: Mapping[str, Any], say: Language) -> str:
    """What the exceeded parameter is called."""
    rule = RULES.get(code)
    parameter = rule.parameter(limit["parameter"]) if rule else None
    return say.choose(parameter.name_zh, parameter.name_en) if parameter else limit["parameter"]


def figure_value(key: str, value: Any, say: Language) -> str:
    """A number of the evidence as a person reads it."""
    if key.endswith("_at") and isinstance(value, str):
        return say.moment(datetime.fromisoformat(value), seconds=True)
    try:
        return say.exact(Decimal(str(value)))
    except InvalidOperation:
        return str(value)


@dataclass(frozen=True, slots=True)
class Figure:
    """A number of the evidence."""

    label: str
    value: str


@dataclass(frozen=True, slots=True)
class EvidenceReading:
    """A reading the finding rests on, with the address of its trace."""

    quantity: str
    at: datetime
    value: str
    source: str
    href: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that a finding rests on."""

    rule: Rule | None
    figures: list[Figure]
    readings: list[EvidenceReading]
    gaps: list[tuple[datetime, datetime]]
    limit: str | None
    limit_value: float | None
    """Of a limit that readings can be drawn beside."""


def evidence_of(finding: FindingView, say: Language, sources: Mapping[str, str]) -> Evidence:
    """What a person needs to check a finding."""
    evidence = finding.evidence
    figures = [
        Figure(say.text(FIGURES.get(key, key)), figure_value(key, value, say))
        for key, value in evidence.items()
        if not isinstance(value, list | dict) and value is not None
    ]
    limit = evidence.get("limit")
    unit = QUANTITIES[finding.quantity].unit if finding.quantity in QUANTITIES else ""
    return Evidence(
        rule=RULES.get(finding.code),
        figures=figures,
        readings=list(_readings(finding, say, sources)),
        gaps=[
            (datetime.fromisoformat(gap["from_at"]), datetime.fromisoformat(gap["to_at"]))
            for gap in evidence.get("gaps", ())
        ],
        limit=f"{limit_name(finding.code, limit, say)}: {limit['value']} {limit['unit']}".strip()
        if limit
        else None,
        limit_value=float(limit["value"]) if limit and unit and limit["unit"] == unit else None,
    )


def _readings(finding: FindingView, say: Language, sources: Mapping[str, str]) -> Iterable[EvidenceReading]:
    for reading in finding.evidence.get("readings", ()):
        at = datetime.fromisoformat(reading["read_at"])
        instant = at.isoformat().replace("+00:00", "Z")
        yield EvidenceReading(
            quantity=say.quantity(reading["quantity"]),
            at=at,
            value=f"{reading['value']} {reading['unit']}".strip(),
            source=say.text(sources[reading["source"]])
            if reading["source"] in sources
            else reading["source"],
            href=f"/readings/{finding.meter_id}/{reading['quantity']}/{instant}",
        )


def exceptions_badge(services: Services) -> Badge:
    """How many exceptions are open, in the colour of the worst."""
    counts = services.exceptions.counts(services.scope)
    worst = next(
        (severity for severity in reversed(Severity) if counts.by_severity.get(severity)), Severity.INFO
    )
    return Badge(counts.total, LEVELS[worst])


EDITS_COUNTED: Final = 100


def edits_badge(services: Services) -> Badge:
    """How many edits wait for a second person."""
    return Badge(edits_waiting(services), "warn")


def edits_waiting(services: Services) -> int:
    """How many edits wait for a second person, up to a hundred."""
    return services.editing.waiting(most=EDITS_COUNTED, scope=services.scope)


def data_tasks(services: Services, say: Language, principal: Principal) -> list[Task]:
    """What of the data needs a person now: open exceptions that weigh, and edits that wait for a second look."""
    tasks = []
    if principal.may(Right.READINGS_EDIT):
        counts = services.exceptions.counts(services.scope)
        for severity in (Severity.CRITICAL, Severity.WARNING):
            if number := counts.by_severity.get(severity):
                what = say.text(
                    "Exceptions in the data, %(severity)s: %(n)s",
                    severity=severity_of(severity, say.code),
                    n=say.number(number),
                )
                why = say.text("Accept what is right; estimate or edit what is not, before it is billed.")
                tasks.append(Task(LEVELS[severity], what, why, f"/exceptions?severity={severity}", None))
    if principal.may(Right.READINGS_APPROVE) and (waiting := edits_waiting(services)):
        what = say.text("Edits of readings that wait for a second person: %(n)s", n=say.number(waiting))
        why = say.text("Compare before and after, and agree or refuse.")
        tasks.append(Task("warn", what, why, "/edits", None))
    return tasks
