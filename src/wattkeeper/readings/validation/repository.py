"""All SQL of validation in the ledger database, in the caller's transaction."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Select, and_, false, func, insert, or_, select, true, update
from sqlalchemy.orm import Session

from wattkeeper.kernel.database import in_parts
from wattkeeper.kernel.severity import Severity
from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.readings.validation.facts import MeterFacts
from wattkeeper.readings.validation.models import FindingState, ValidationFinding, ValidationParameter
from wattkeeper.readings.validation.values import (
    FindingCounts,
    FindingFilter,
    FindingPage,
    FindingView,
    ParameterValue,
)
from wattkeeper.registry import keyset
from wattkeeper.registry.models import Account, AccountPoint, Installation, Meter, MeteringPoint, Site
from wattkeeper.registry.scope import Scope, at_and_below
from wattkeeper.registry.sides import Shows

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
                select(ValidationFinding)
                .where(starts, ValidationFinding.meter_id.in_(part))
                .with_for_update()
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

    def answered_by(self, edit_id: int) -> list[ValidationFinding]:
        """The findings that an edit or an estimation answered; other writers of them wait for this transaction."""
        wanted = select(ValidationFinding).where(
            ValidationFinding.edit_id == edit_id, ValidationFinding.state.in_(_DECIDED)
        )
        return list(self._session.scalars(wanted.order_by(ValidationFinding.id).with_for_update()))

    def page(self, wanted: FindingFilter, scope: Scope, *, limit: int, after: str | None) -> FindingPage:
        """A page of findings, the latest period first."""
        chosen = _named().where(_within(scope), *_conditions(wanted))
        total = self._session.scalar(chosen.with_only_columns(func.count(), maintain_column_froms=True)) or 0
        listed = keyset.page(
            chosen.with_only_columns(ValidationFinding.id, maintain_column_froms=True),
            ValidationFinding.start_at.expression,
            ValidationFinding.id,
            descending=True,
            after=after,
        )
        rows = self._session.execute(listed.limit(limit + 1)).all()
        here = _named().where(ValidationFinding.id.in_([row[0] for row in rows[:limit]]))
        views = {view.id: view for view in map(_view, self._session.execute(here))}
        more = keyset.mark(rows[limit - 1][1], rows[limit - 1][0]) if len(rows) > limit else None
        return FindingPage(tuple(views[row[0]] for row in rows[:limit]), total, more)

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


class FactRepository:
    """What the registry knows of meters whose readings are judged."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def of_meters(self, meter_ids: Collection[int]) -> list[MeterFacts]:
        """The installations of these meters."""
        rows = [
            row
            for part in in_parts(sorted(meter_ids), _CHUNK)
            for row in self._session.execute(_installed().where(Installation.meter_id.in_(part)))
        ]
        paid = self._paid({row.point_id for row in rows})
        return [_facts(row, paid.get(row.point_id)) for row in rows]

    def meters_of_points(
        self, point_ids: Collection[int]
    ) -> list[tuple[int, int, datetime, datetime | None]]:
        """Point, meter and period of the installations at these points."""
        wanted = select(
            Installation.point_id, Installation.meter_id, Installation.valid_from, Installation.valid_to
        )
        return [
            (row[0], row[1], row[2], row[3])
            for part in in_parts(sorted(point_ids), _CHUNK)
            for row in self._session.execute(wanted.where(Installation.point_id.in_(part)))
        ]

    def zones(self) -> list[str]:
        """The time zones of all sites."""
        return sorted(set(self._session.scalars(select(Site.zone))))

    def on_grid(self, zone: str, day: TimeRange) -> list[tuple[int, int, bool]]:
        """The meters installed on a civil day in a zone: id, minutes of the grid, whether put up or taken down that day."""
        begins = and_(Installation.valid_from >= day.start, Installation.valid_from < day.closed_end)
        ends = and_(Installation.valid_to > day.start, Installation.valid_to <= day.closed_end)
        there = or_(Installation.valid_to.is_(None), Installation.valid_to > day.start)
        rows = self._session.execute(
            select(
                Installation.meter_id, MeteringPoint.interval_minutes, func.coalesce(or_(begins, ends), False)
            )
            .join(MeteringPoint, MeteringPoint.id == Installation.point_id)
            .join(Site, Site.id == MeteringPoint.site_id)
            .where(Site.zone == zone, Installation.valid_from < day.closed_end, there)
        )
        return [(row[0], row[1], bool(row[2])) for row in rows]

    def _paid(self, point_ids: Collection[int]) -> dict[int, tuple[TimeRange, ...]]:
        """When an account that was open paid for these points, each in order of time."""
        wanted = select(
            AccountPoint.point_id, AccountPoint.valid_from, AccountPoint.valid_to, Account.closed_at
        ).join(Account, Account.id == AccountPoint.account_id)
        found: dict[int, tuple[TimeRange, ...]] = {}
        for part in in_parts(sorted(point_ids), _CHUNK):
            rows = self._session.execute(
                wanted.where(AccountPoint.point_id.in_(part)).order_by(AccountPoint.valid_from)
            )
            for point_id, start, end, closed in rows:
                stop = min((moment for moment in (end, closed) if moment is not None), default=None)
                paid = () if stop is not None and stop <= start else (TimeRange(start, stop),)
                found[point_id] = (*found.get(point_id, ()), *paid)
        return found


def _installed() -> Select[*tuple[Any, ...]]:
    return (
        select(
            Installation.meter_id,
            Installation.point_id,
            MeteringPoint.kind,
            Installation.valid_from,
            Installation.valid_to,
            Installation.ct_ratio,
            Installation.pt_ratio,
            Installation.first_register,
            Installation.last_register,
            Meter.shows,
            Meter.register_digits,
            Meter.register_decimals,
            Meter.max_current_a,
            MeteringPoint.rated_power_kw,
            MeteringPoint.interval_minutes,
            Site.zone,
        )
        .join(Meter, Meter.id == Installation.meter_id)
        .join(MeteringPoint, MeteringPoint.id == Installation.point_id)
        .join(Site, Site.id == MeteringPoint.site_id)
    )


def _facts(row: Any, paid: tuple[TimeRange, ...] | None) -> MeterFacts:
    return MeterFacts(
        meter_id=row.meter_id,
        point_id=row.point_id,
        kind=row.kind.value,
        period=TimeRange(row.valid_from, row.valid_to),
        primary=row.shows is Shows.PRIMARY,
        ct_ratio=row.ct_ratio,
        pt_ratio=row.pt_ratio,
        register_digits=row.register_digits,
        register_decimals=row.register_decimals,
        first_register=row.first_register,
        last_register=row.last_register,
        rated_power_kw=row.rated_power_kw,
        max_current_a=row.max_current_a,
        interval_minutes=row.interval_minutes,
        zone=ZoneInfo(row.zone),
        paid=paid,
    )
