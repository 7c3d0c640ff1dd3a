"""All SQL of validation in the ledger database, in the caller's transaction."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, and_, false, func, insert, or_, select, true, update
from sqlalchemy.orm import Session

from wattkeeper.kernel.database import in_parts
from wattkeeper.kernel.severity import Severity
from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.readings.validation.models import FindingState, ValidationFinding, ValidationParameter
from wattkeeper.readings.validation.values import (
    FindingCounts,
    FindingFilter,
    FindingPage,
    FindingView,
    ParameterValue,
)
from wattkeeper.registry import keyset
from wattkeeper.registry.models import Meter, MeteringPoint
from wattkeeper.registry.scope import Scope, at_and_below

_DECIDED: Final = (FindingState.ACCEPTED, FindingState.ESTIMATED, FindingState.EDITED)
_CHUNK: Final = 500


class FindingRepository:
    """Findings: what the rules raise and people decide."""

    def __init__(self, session: Session) -> None:
        self._session = session

    # -- the rules' side --------------------------------------------------------------------------------------------

    def of_meters(self, meter_ids: Collection[int], period: TimeRange) -> list[ValidationFinding]:
        """The findings of these meters that start in the period, whatever their state."""
        starts = and_(
            ValidationFinding.start_at >= period.start, ValidationFinding.start_at < period.closed_end
        )
        return [
            row
            for part in in_parts(sorted(meter_ids), _CHUNK)
            for row in self._session.scalars(
                select(ValidationFinding).where(starts, ValidationFinding.meter_id.in_(part))
            )
        ]

    def open_of(self, codes: Collection[str]) -> list[tuple[int, datetime]]:
        """The meter and the start of every open finding of these rules."""
        wanted = select(ValidationFinding.meter_id, ValidationFinding.start_at).where(
            ValidationFinding.state == FindingState.OPEN, ValidationFinding.code.in_(codes)
        )
        return [(row[0], row[1]) for row in self._session.execute(wanted)]

    def add(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Keep new findings."""
        for part in in_parts(rows, _CHUNK):
            self._session.execute(insert(ValidationFinding), part)

    def change(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Change findings by their ``id``; all rows have the same columns."""
        for part in in_parts(rows, _CHUNK):
            self._session.execute(update(ValidationFinding), part)

    # -- people's side ----------------------------------------------------------------------------------------------

    def get(self, finding_id: int, scope: Scope) -> FindingView | None:
        """One finding within the scope."""
        row = self._session.execute(
            _named().where(ValidationFinding.id == finding_id, _within(scope))
        ).one_or_none()
        return None if row is None else _view(row)

    def lock(self, finding_id: int) -> ValidationFinding | None:
        """The finding itself; other writers of it wait for this transaction."""
        return self._session.get(ValidationFinding, finding_id, with_for_update=True)

    def page(self, wanted: FindingFilter, scope: Scope, *, limit: int, after: str | None) -> FindingPage:
        """A page of findings, the latest period first."""
        chosen = _named().where(_within(scope), *_conditions(wanted))
        total = self._session.scalar(chosen.with_only_columns(func.count(), maintain_column_froms=True)) or 0
        listed = keyset.page(
            chosen, ValidationFinding.start_at.expression, ValidationFinding.id, descending=True, after=after
        )
        rows = self._session.execute(listed.limit(limit + 1)).all()
        views = tuple(_view(row) for row in rows[:limit])
        more = keyset.mark(rows[limit - 1][-1], views[-1].id) if len(rows) > limit else None
        return FindingPage(views, total, more)

    def counts(self, scope: Scope) -> FindingCounts:
        """How many are open, by rule and by severity."""
        wanted = (
            select(ValidationFinding.code, ValidationFinding.severity, func.count())
            .join(Meter, Meter.id == ValidationFinding.meter_id)
            .where(ValidationFinding.state == FindingState.OPEN, _within(scope))
            .group_by(ValidationFinding.code, ValidationFinding.severity)
        )
        by_code: dict[str, int] = {}
        by_severity = dict.fromkeys(Severity, 0)
        for code, severity, count in self._session.execute(wanted):
            by_code[code] = by_code.get(code, 0) + count
            by_severity[severity] += count
        return FindingCounts(by_code, by_severity)


class ParameterRepository:
    """Dated parameters of the rules."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def all(self, *, behind: int = 0) -> list[ParameterValue]:
        """What was set after the row ``behind``, in that order."""
        wanted = select(ValidationParameter).where(ValidationParameter.id > behind)
        return [_parameter(row) for row in self._session.scalars(wanted.order_by(ValidationParameter.id))]

    def add(self, parameter: ValidationParameter) -> ParameterValue:
        """Keep a parameter; IntegrityError where one holds from the same instant on."""
        self._session.add(parameter)
        self._session.flush()
        return _parameter(parameter)


def _within(scope: Scope) -> ColumnElement[bool]:
    """Of a statement over ValidationFinding and Meter: whether the meter is within the scope."""
    return true() if scope.everything else scope.has_meter()


def _named() -> Select[*tuple[Any, ...]]:
    """Findings with the address of the meter and the name of the point."""
    return (
        select(ValidationFinding, Meter.address, func.coalesce(MeteringPoint.name, ""))
        .join(Meter, Meter.id == ValidationFinding.meter_id)
        .outerjoin(MeteringPoint, MeteringPoint.id == ValidationFinding.point_id)
    )


def _conditions(wanted: FindingFilter) -> Iterable[ColumnElement[bool]]:
    finding = ValidationFinding
    yield _in_state(wanted.state)
    if wanted.code:
        yield finding.code == wanted.code
    if wanted.severity is not None:
        yield finding.severity == wanted.severity
    if wanted.meter_id is not None:
        yield finding.meter_id == wanted.meter_id
    if wanted.point_id is not None:
        yield finding.point_id == wanted.point_id
    if wanted.area_id is not None:
        yield MeteringPoint.area_id.in_(at_and_below([wanted.area_id]))
    if wanted.period is not None:
        yield finding.end_at > wanted.period.start
        yield true() if wanted.period.end is None else finding.start_at < wanted.period.end
    if search := wanted.search.strip():
        columns = (Meter.address, MeteringPoint.name, MeteringPoint.code)
        yield or_(*(column.icontains(search, autoescape=True) for column in columns))


def _in_state(state: str) -> ColumnElement[bool]:
    if state == "all":
        return true()
    if state == "decided":
        return ValidationFinding.state.in_(_DECIDED)
    return ValidationFinding.state == FindingState(state) if state in set(FindingState) else false()


def _view(row: Any) -> FindingView:
    finding: ValidationFinding = row[0]
    return FindingView(
        id=finding.id,
        code=finding.code,
        severity=finding.severity,
        state=finding.state,
        meter_id=finding.meter_id,
        meter=row[1],
        point_id=finding.point_id,
        point=row[2],
        quantity=finding.quantity,
        period=TimeRange(finding.start_at, finding.end_at),
        evidence=finding.evidence,
        raised_at=finding.raised_at,
        updated_at=finding.updated_at,
        decided_at=finding.decided_at,
        decided_by=finding.decided_by,
        note=finding.note,
        edit_id=finding.edit_id,
    )


def _parameter(row: ValidationParameter) -> ParameterValue:
    return ParameterValue(
        id=row.id,
        rule=row.rule,
        point_kind=row.point_kind,
        parameter=row.parameter,
        value=row.value,
        valid_from=row.valid_from,
        set_at=row.set_at,
        set_by=row.set_by,
    )
