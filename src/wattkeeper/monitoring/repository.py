"""All SQL about findings, in the caller's transaction."""

import base64
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Select,
    String,
    and_,
    case,
    cast,
    false,
    func,
    insert,
    literal,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.orm import Session

from wattkeeper.kernel.database import in_parts
from wattkeeper.kernel.severity import Severity
from wattkeeper.monitoring.decisions import Facts, Open
from wattkeeper.monitoring.errors import BadCursor
from wattkeeper.monitoring.limits import ONE, MeterFacts
from wattkeeper.monitoring.models import Finding, SubjectKind
from wattkeeper.monitoring.values import (
    FindingFilter,
    FindingPage,
    FindingView,
    Key,
    OpenCounts,
)
from wattkeeper.registry.models import Installation, Link, Meter, MeteringPoint
from wattkeeper.registry.scope import Scope
from wattkeeper.registry.sides import Shows

CHUNK: Final = 5_000
METER, LINK = SubjectKind.METER, SubjectKind.LINK


class FindingRepository:
    """Findings, and what of the registry they are judged and named by."""

    def __init__(self, session: Session) -> None:
        self._session = session

    # -- the rules' side --------------------------------------------------------------------------------------------

    def open_findings(self) -> dict[Key, Open]:
        """Everything that is open."""
        rows = self._session.scalars(select(Finding).where(Finding.cleared_at.is_(None)))
        return {Key(row.code, row.subject_kind, row.subject_id): _open(row) for row in rows}

    def facts(self, now: datetime) -> Facts:
        """What meters are judged by: the enabled ones on enabled links that are installed now or never were."""
        here = and_(
            Installation.meter_id == Meter.id,
            Installation.valid_from <= now,
            or_(Installation.valid_to.is_(None), Installation.valid_to > now),
        )
        ever = select(Installation.id).where(Installation.meter_id == Meter.id).correlate(Meter).exists()
        in_place = or_(Installation.id.is_not(None), ~ever)
        rows = self._session.execute(
            select(
                Meter.id,
                Meter.link_id,
                Meter.shows,
                Meter.max_current_a,
                Installation.ct_ratio,
                Installation.pt_ratio,
                MeteringPoint.rated_power_kw,
                and_(Meter.enabled, Link.enabled, in_place),
            )
            .join(Link, Link.id == Meter.link_id)
            .outerjoin(Installation, here)
            .outerjoin(MeteringPoint, MeteringPoint.id == Installation.point_id)
        )
        links = {row[0]: row[1] for row in self._session.execute(select(Link.id, Link.enabled))}
        return _facts([tuple(row) for row in rows], links)

    def add(self, rows: Sequence[Mapping[str, Any]]) -> list[int]:
        """Keep new findings; their ids, in order."""
        added = self._session.scalars(
            insert(Finding).returning(Finding.id, sort_by_parameter_order=True), rows
        )
        return list(added)

    def change(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Change findings by their `id`, one statement for each set of columns."""
        if rows:
            self._session.execute(update(Finding), rows)

    # -- people's side ----------------------------------------------------------------------------------------------

    def get(self, finding_id: int, scope: Scope) -> FindingView | None:
        """One finding within the scope."""
        found = self.views([finding_id], scope)
        return found[0] if found else None

    def views(self, finding_ids: Collection[int], scope: Scope | None = None) -> list[FindingView]:
        """These findings, with the names of their subjects, by id."""
        views: list[FindingView] = []
        ordered = sorted(finding_ids)
        for part in in_parts(ordered, CHUNK):
            wanted = _named().where(Finding.id.in_(part))
            if scope is not None:
                wanted = wanted.where(has_finding(scope))
            views += map(_view, self._session.execute(wanted.order_by(Finding.id)))
        return views

    def of_subject(
        self, kind: SubjectKind, subject_id: int, scope: Scope, *, closed: int = 0
    ) -> list[FindingView]:
        """The open findings of a meter or link, newest first, then the last `closed` that are over."""
        mine = _named().where(
            Finding.subject_kind == kind, Finding.subject_id == subject_id, has_finding(scope)
        )
        newest = mine.order_by(Finding.id.desc())
        found = list(self._session.execute(newest.where(Finding.cleared_at.is_(None))))
        if closed:
            found += self._session.execute(newest.where(Finding.cleared_at.is_not(None)).limit(closed))
        return [_view(row) for row in found]

    def page(self, wanted: FindingFilter, scope: Scope, *, limit: int, after: str | None) -> FindingPage:
        """A page of findings, newest first."""
        chosen = _named().where(has_finding(scope), *_conditions(wanted))
        total = self._session.scalar(chosen.with_only_columns(func.count(), maintain_column_froms=True)) or 0
        if after is not None:
            chosen = chosen.where(Finding.id < position(after))
        rows = self._session.execute(chosen.order_by(Finding.id.desc()).limit(limit + 1)).all()
        views = tuple(_view(row) for row in rows[:limit])
        return FindingPage(views, total, cursor(views[-1].id) if len(rows) > limit else None)

    def most_urgent(self, scope: Scope, *, limit: int) -> list[FindingView]:
        """Open findings nobody has acknowledged: the most severe first, then the oldest."""
        urgency = case({Severity.CRITICAL: 0, Severity.WARNING: 1}, value=Finding.severity, else_=2)
        waiting = _named().where(
            Finding.cleared_at.is_(None), Finding.acknowledged_at.is_(None), has_finding(scope)
        )
        rows = self._session.execute(waiting.order_by(urgency, Finding.raised_at, Finding.id).limit(limit))
        return [_view(row) for row in rows]

    def open_subjects(self, scope: Scope) -> set[tuple[SubjectKind, int]]:
        """The meters and links that have an open finding."""
        wanted = select(Finding.subject_kind, Finding.subject_id).where(
            Finding.cleared_at.is_(None), has_finding(scope)
        )
        return {(row[0], row[1]) for row in self._session.execute(wanted)}

    def counts(self, scope: Scope) -> OpenCounts:
        """How much is open."""
        wanted = (
            select(Finding.severity, func.count(), func.count(Finding.acknowledged_at))
            .where(Finding.cleared_at.is_(None), has_finding(scope))
            .group_by(Finding.severity)
        )
        rows = {row[0]: (row[1], row[2]) for row in self._session.execute(wanted)}
        by = {severity: rows.get(severity, (0, 0))[0] for severity in Severity}
        waiting = sum(count - seen for count, seen in rows.values())
        return OpenCounts(by[Severity.CRITICAL], by[Severity.WARNING], by[Severity.INFO], waiting)


def has_finding(scope: Scope) -> ColumnElement[bool]:
    """Of a statement over Finding: whether its meter, or its link, lies within the scope."""
    if scope.everything:
        return true()
    within = select(Meter.id, Meter.link_id).where(scope.has_meter()).cte("meters_within")
    return or_(
        and_(Finding.subject_kind == METER, Finding.subject_id.in_(select(within.c.id))),
        and_(Finding.subject_kind == LINK, Finding.subject_id.in_(select(within.c.link_id))),
    )


def _named() -> Select[*tuple[Any, ...]]:
    """Findings with the address and point of a meter, or the code and name of a link."""
    missing = literal("#") + cast(Finding.subject_id, String)
    return (
        select(
            Finding,
            func.coalesce(Meter.address, Link.code, missing).label("subject"),
            func.coalesce(MeteringPoint.name, Link.name, "").label("place"),
        )
        .outerjoin(Meter, and_(Finding.subject_kind == METER, Meter.id == Finding.subject_id))
        .outerjoin(Installation, and_(Installation.meter_id == Meter.id, Installation.valid_to.is_(None)))
        .outerjoin(MeteringPoint, MeteringPoint.id == Installation.point_id)
        .outerjoin(Link, and_(Finding.subject_kind == LINK, Link.id == Finding.subject_id))
    )


def _conditions(wanted: FindingFilter) -> list[ColumnElement[bool]]:
    is_open, seen = Finding.cleared_at.is_(None), Finding.acknowledged_at.is_not(None)
    states: dict[str, ColumnElement[bool]] = {
        "active": is_open,
        "open": and_(is_open, ~seen),
        "acknowledged": and_(is_open, seen),
        "cleared": ~is_open,
        "all": true(),
    }
    conditions = [states.get(wanted.state, false())]
    if wanted.severity:
        conditions.append(Finding.severity == Severity(wanted.severity))
    if wanted.code:
        conditions.append(Finding.code == wanted.code)
    if search := wanted.search.strip():
        columns = (Meter.address, MeteringPoint.name, MeteringPoint.code, Link.code, Link.name)
        conditions.append(or_(*(column.icontains(search, autoescape=True) for column in columns)))
    return conditions


def _view(row: Any) -> FindingView:
    finding: Finding = row[0]
    return FindingView(
        id=finding.id,
        code=finding.code,
        severity=finding.severity,
        subject_kind=finding.subject_kind,
        subject_id=finding.subject_id,
        subject_name=row[1],
        place=row[2],
        raised_at=finding.raised_at,
        updated_at=finding.updated_at,
        cleared_at=finding.cleared_at,
        clear_reason=finding.clear_reason,
        occurrences=finding.occurrences,
        evidence=finding.evidence,
        acknowledged_at=finding.acknowledged_at,
        acknowledged_by=finding.acknowledged_by,
        acknowledged_note=finding.acknowledged_note,
    )


def _open(row: Finding) -> Open:
    return Open(
        id=row.id,
        severity=row.severity,
        raised_at=row.raised_at,
        updated_at=row.updated_at,
        occurrences=row.occurrences,
        evidence=row.evidence,
        acknowledged=row.acknowledged_at is not None,
    )


def _facts(rows: Iterable[tuple[Any, ...]], links: Mapping[int, bool]) -> Facts:
    meters: dict[int, MeterFacts] = {}
    by_link: dict[int, list[int]] = {link_id: [] for link_id, enabled in links.items() if enabled}
    idle = {(LINK, link_id) for link_id, enabled in links.items() if not enabled}
    for meter_id, link_id, shows, max_current_a, ct_ratio, pt_ratio, rated_power_kw, read in rows:
        if not read:
            idle.add((METER, meter_id))
            continue
        by_link[link_id].append(meter_id)
        meters[meter_id] = MeterFacts(
            meter_id=meter_id,
            link_id=link_id,
            primary=shows is Shows.PRIMARY,
            ct_ratio=ONE if ct_ratio is None else ct_ratio.normalize(),
            pt_ratio=ONE if pt_ratio is None else pt_ratio.normalize(),
            max_current_a=max_current_a,
            rated_power_kw=rated_power_kw,
        )
    return Facts(meters, {link_id: tuple(ids) for link_id, ids in by_link.items()}, frozenset(idle))


def cursor(row_id: int) -> str:
    """Where a list goes on, as text."""
    return base64.urlsafe_b64encode(json.dumps(row_id).encode()).decode()


def position(after: str) -> int:
    """The id a cursor stands for."""
    try:
        row_id = json.loads(base64.urlsafe_b64decode(after.encode()))
        if type(row_id) is int:
            return row_id
    except ValueError:
        pass
    raise BadCursor("This is not the mark of a page of this list.", hint="Start again from the first page.")
