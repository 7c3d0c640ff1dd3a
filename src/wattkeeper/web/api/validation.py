"""What validation found, the rules it ran, and the parameters they are run with."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request
from pydantic import AwareDatetime, BaseModel, Field

from wattkeeper.kernel.severity import Severity
from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.readings.validation.models import ANY_KIND, FindingState
from wattkeeper.readings.validation.rules import RULES, Rule
from wattkeeper.readings.validation.values import FindingFilter, FindingView, ParameterValue
from wattkeeper.security.rights import Right
from wattkeeper.web.access import needs
from wattkeeper.web.api.schemas import DecimalText, InstantText, Page, Shape
from wattkeeper.web.language import Language
from wattkeeper.web.pages import language_of, services_of
from wattkeeper.web.problems import documented

router = APIRouter()
Id = Annotated[int, Path(ge=1, le=2**53)]
Key = Annotated[int | None, Query(ge=1, le=2**53)]
StateWanted = Literal["open", "accepted", "estimated", "edited", "cleared", "decided", "all"]
_EARLIEST = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


class FindingItem(Shape):
    """What a rule found. `evidence` is what it rests on: values, instants, exchanges, and the limit that was used."""

    id: int
    code: str = Field(examples=["spike_rating"])
    name: str = Field(description="What the rule is called, in the language of `accept-language`.")
    severity: Severity
    state: FindingState
    meter_id: int
    meter: str = Field(description="Address of the meter.")
    point_id: int | None
    point: str
    quantity: str = Field(examples=["active_energy_import"])
    start: InstantText
    end: InstantText = Field(
        description="Not included: one second behind a single reading, else the civil day's end."
    )
    evidence: dict[str, Any]
    raised_at: InstantText
    updated_at: InstantText
    decided_at: InstantText | None
    decided_by: str | None
    note: str | None
    edit_id: int | None = Field(description="The edit that answers it.")
    page: str = Field(description="Where people look at it.", examples=["/exceptions/12"])


class FindingCountsItem(BaseModel):
    """How many findings are open."""

    total: int
    by_code: dict[str, int]
    by_severity: dict[Severity, int]


class DecisionWanted(BaseModel):
    """What a person decides: the readings are right, or something else stands in their place."""

    decision: Literal["accepted", "estimated", "edited"] = "accepted"
    note: str = Field(default="", max_length=2000, description="Why.")
    edit_id: int | None = Field(
        default=None, ge=1, le=2**53, description="The edit that answers it, for `estimated` and `edited`."
    )


class ParameterItem(BaseModel):
    """One number a rule is run with."""

    key: str = Field(examples=["limit_v"])
    name: str
    unit: str
    default: DecimalText
    default_by_kind: dict[str, DecimalText] = Field(
        description="Classes of metering point with another default."
    )


class RuleItem(BaseModel):
    """One rule of the table."""

    code: str
    severity: Severity
    name: str
    about: str
    source: str = Field(description="The standard or practice it comes from.")
    parameters: list[ParameterItem]


class ParameterVersion(Shape):
    """A value that somebody set; an earlier one stays, for the days before."""

    id: int
    rule: str
    point_kind: str = Field(
        description="A class of metering point, or * for every one.", examples=["factory"]
    )
    parameter: str
    value: DecimalText
    valid_from: InstantText
    set_at: InstantText
    set_by: str


class ParameterWanted(BaseModel):
    """A parameter to be set for the civil days that begin at an instant or later."""

    parameter: str = Field(max_length=40, examples=["limit_v"])
    value: Decimal = Field(max_digits=14, decimal_places=4, ge=0, examples=["235.4"])
    point_kind: str = Field(default=ANY_KIND, max_length=40)
    valid_from: AwareDatetime


@router.get(
    "/validation/findings",
    dependencies=[needs(Right.METERS_VIEW)],
    tags=["validation"],
    responses=documented(400, 422),
    summary="List what validation found",
)
def list_findings(
    request: Request,
    *,
    state: StateWanted = "open",
    code: Annotated[str, Query(max_length=40)] = "",
    severity: Severity | None = None,
    meter_id: Key = None,
    point_id: Key = None,
    area_id: Key = None,
    start: Annotated[AwareDatetime | None, Query(description="Findings that end after this.")] = None,
    end: Annotated[AwareDatetime | None, Query(description="Findings that start before this.")] = None,
    search: Annotated[str, Query(max_length=100, description="Part of a meter's address or a point.")] = "",
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    after: Annotated[str | None, Query(max_length=200, description="`next` of the page before.")] = None,
) -> Page[FindingItem]:
    """The exception queue, the latest period first; without `state`, what waits for a decision."""
    services = services_of(request)
    period = None if start is None and end is None else TimeRange(start or _EARLIEST, end)
    wanted = FindingFilter(
        state=state,
        code=code,
        severity=severity,
        meter_id=meter_id,
        point_id=point_id,
        area_id=area_id,
        period=period,
        search=search,
    )
    found = services.exceptions.findings(wanted, scope=services.scope, limit=limit, after=after)
    say = language_of(request)
    return Page(items=[_finding(row, say) for row in found.rows], next=found.after, total=found.total)


@router.get(
    "/validation/findings/counts",
    dependencies=[needs(Right.METERS_VIEW)],
    tags=["validation"],
    summary="Count what is open",
)
def count_findings(request: Request) -> FindingCountsItem:
    """How many findings wait for a decision, by rule and by severity."""
    services = services_of(request)
    counts = services.exceptions.counts(services.scope)
    return FindingCountsItem(
        total=counts.total, by_code=dict(counts.by_code), by_severity=dict(counts.by_severity)
    )


@router.get(
    "/validation/findings/{finding_id}",
    dependencies=[needs(Right.METERS_VIEW)],
    tags=["validation"],
    responses=documented(404),
    summary="One finding",
)
def get_finding(request: Request, finding_id: Id) -> FindingItem:
    """A finding with its evidence."""
    services = services_of(request)
    found = services.exceptions.finding(finding_id, scope=services.scope)
    return _finding(found, language_of(request))


@router.post(
    "/validation/findings/{finding_id}/decide",
    dependencies=[needs(Right.READINGS_EDIT)],
    tags=["validation"],
    responses=documented(404, 409, 422),
    summary="Decide about a finding",
)
def decide(request: Request, finding_id: Id, wanted: DecisionWanted) -> FindingItem:
    """Say that the readings are right, or what stands in their place. It is not raised again on the same ground."""
    services = services_of(request)
    queue, now, scope = services.exceptions, services.clock(), services.scope
    match wanted.decision:
        case "accepted":
            after = queue.accept(finding_id, wanted.note, now, scope=scope)
        case "estimated":
            after = queue.mark_estimated(finding_id, wanted.edit_id, wanted.note, now, scope=scope)
        case "edited":
            after = queue.mark_edited(finding_id, wanted.edit_id, wanted.note, now, scope=scope)
    return _finding(after, language_of(request))


@router.get(
    "/validation/rules", dependencies=[needs(Right.METERS_VIEW)], tags=["validation"], summary="The rules"
)
def list_rules(request: Request) -> list[RuleItem]:
    """Every rule with its parameters and their defaults."""
    say = language_of(request)
    return [_rule(rule, say) for rule in RULES.values()]


@router.get(
    "/validation/parameters",
    dependencies=[needs(Right.METERS_VIEW)],
    tags=["validation"],
    summary="What parameters were set to",
)
def list_parameters(request: Request) -> list[ParameterVersion]:
    """Everything that was ever set, in that order; what is not here has its default."""
    return [_version(value) for value in services_of(request).exceptions.rules.parameters()]


@router.post(
    "/validation/rules/{code}/parameters",
    dependencies=[needs(Right.RULES_SET)],
    tags=["validation"],
    status_code=201,
    responses=documented(404, 409, 422),
    summary="Set a parameter of a rule from an instant on",
)
def set_parameter(
    request: Request, code: Annotated[str, Path(max_length=40)], wanted: ParameterWanted
) -> ParameterVersion:
    """Set a parameter for a class of metering point, or for all. Open findings of the rule are judged again."""
    services = services_of(request)
    kept = services.exceptions.rules.set_parameter(
        code,
        wanted.parameter,
        wanted.value,
        valid_from=wanted.valid_from,
        now=services.clock(),
        point_kind=wanted.point_kind,
    )
    return _version(kept)


def _finding(finding: FindingView, say: Language) -> FindingItem:
    rule = RULES[finding.code]
    names = {"name", "start", "end", "page"}
    own = {name: getattr(finding, name) for name in FindingItem.model_fields if name not in names}
    return FindingItem(
        name=say.choose(rule.name_zh, rule.name_en),
        start=finding.period.start,
        end=finding.period.closed_end,
        page=f"/exceptions/{finding.id}",
        **own,
    )


def _rule(rule: Rule, say: Language) -> RuleItem:
    return RuleItem(
        code=rule.code,
        severity=rule.severity,
        name=say.choose(rule.name_zh, rule.name_en),
        about=say.choose(rule.about_zh, rule.about_en),
        source=rule.source,
        parameters=[
            ParameterItem(
                key=parameter.key,
                name=say.choose(parameter.name_zh, parameter.name_en),
                unit=parameter.unit,
                default=parameter.default,
                default_by_kind={kind.value: value for kind, value in parameter.by_kind.items()},
            )
            for parameter in rule.parameters
        ],
    )


def _version(value: ParameterValue) -> ParameterVersion:
    return ParameterVersion.model_validate(value)
