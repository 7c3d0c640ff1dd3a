"""Edits as pages show them: what they change, how far they have come, and the values a form begins with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

from sqlalchemy import func, select

from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.readings.editing.models import ReadingEditValue
from wattkeeper.readings.editing.values import DiffRow, EditKind, EditState, EditView
from wattkeeper.readings.estimating import estimated_open, estimated_without
from wattkeeper.readings.quantities import quantity as catalogue_entry
from wattkeeper.readings.validation.values import FindingView
from wattkeeper.registry.models import Meter, MeteringPoint
from wattkeeper.web.language import Language
from wattkeeper.web.problems import BadRequest
from wattkeeper.web.queries.grounds import GROUNDS, METHODS, SOURCES, ground_of
from wattkeeper.web.queries.states import N_, Level
from wattkeeper.web.services import Services

STATES: Final[Mapping[EditState, tuple[Level, str]]] = {
    EditState.PROPOSED: ("warn", N_("waits for a second person")),
    EditState.REFUSED: ("idle", N_("turned down")),
    EditState.WITHDRAWN: ("idle", N_("taken back")),
    EditState.APPROVED: ("warn", N_("agreed, being carried out")),
    EditState.APPLIED: ("ok", N_("counts now")),
    EditState.UNDO_PROPOSED: ("warn", N_("counts now; undoing waits for a second person")),
    EditState.UNDO_APPROVED: ("warn", N_("being undone")),
    EditState.UNDONE: ("idle", N_("undone")),
}
LONGEST_FORM: Final = timedelta(days=2)
_PEERS: Final = 50
MOST_IN_FORM: Final = 200
"""Values that one form takes: two days of quarter hours, of which one may have 25 hours, and some."""


@dataclass(frozen=True, slots=True)
class EditLine:
    """One edit as lists show it."""

    id: int
    kind: str
    subject: str
    """The meter or metering point, or how many."""
    values: int
    first_at: datetime
    last_at: datetime
    reason: str
    level: Level
    state: str
    proposed_by: str
    proposed_at: datetime
    changed_at: datetime


def edit_lines(services: Services, edits: Sequence[EditView], say: Language) -> list[EditLine]:
    """Edits with what they are about."""
    subjects = _subjects(services, [edit.id for edit in edits], say)
    kinds = {EditKind.READING: say.text("readings"), EditKind.INTERVAL: say.text("intervals")}
    return [
        EditLine(
            id=edit.id,
            kind=kinds[edit.kind],
            subject=subjects.get(edit.id, ""),
            values=edit.values,
            first_at=edit.first_at,
            last_at=edit.last_at,
            reason=edit.reason,
            level=STATES[edit.state][0],
            state=say.text(STATES[edit.state][1]),
            proposed_by=edit.proposed_by,
            proposed_at=edit.proposed_at,
            changed_at=edit.changed_at,
        )
        for edit in edits
    ]


def _subjects(services: Services, ids: Sequence[int], say: Language) -> dict[int, str]:
    """What each edit is about: the name of its one meter or point, or how many these are."""
    value = ReadingEditValue
    owners = (
        select(
            value.edit_id,
            func.min(value.meter_id).label("meter_id"),
            func.min(value.point_id).label("point_id"),
            func.count(func.distinct(func.coalesce(value.meter_id, value.point_id))).label("number"),
        )
        .where(value.edit_id.in_(ids))
        .group_by(value.edit_id)
        .subquery()
    )
    named = (
        select(owners.c.edit_id, owners.c.number, Meter.address, MeteringPoint.name, MeteringPoint.code)
        .outerjoin(Meter, Meter.id == owners.c.meter_id)
        .outerjoin(MeteringPoint, MeteringPoint.id == owners.c.point_id)
    )
    with services.database.read() as session:
        rows = session.execute(named).all()
    return {
        edit_id: (address or name or code)
        if number == 1
        else say.text("%(name)s and %(n)s more", name=address or name or code, n=say.number(number - 1))
        for edit_id, number, address, name, code in rows
    }


@dataclass(frozen=True, slots=True)
class DiffLine:
    """A value before and after."""

    owner: str
    owner_address: str
    quantity: str
    unit: str
    at: datetime
    before: Decimal | None
    before_ground: str
    wanted: Decimal
    change: Decimal | None
    now: Decimal | None
    now_ground: str


def diff_lines(services: Services, edit: EditView, rows: Sequence[DiffRow], say: Language) -> list[DiffLine]:
    """What an edit changes, value by value, with the address of each trace."""
    model = Meter if edit.kind is EditKind.READING else MeteringPoint
    label = Meter.address if edit.kind is EditKind.READING else MeteringPoint.name
    with services.database.read() as session:
        found = session.execute(select(model.id, label).where(model.id.in_({row.owner_id for row in rows})))
        names = {row[0]: row[1] for row in found}
    words = SOURCES if edit.kind is EditKind.READING else METHODS
    return [
        DiffLine(
            owner=names.get(row.owner_id, ""),
            owner_address=_address(edit.kind, row),
            quantity=say.quantity(row.quantity),
            unit=catalogue_entry(row.quantity).unit,
            at=row.at,
            before=row.before.value if row.before else None,
            before_ground=say.text(words[row.before.source]) if row.before else say.text("there was none"),
            wanted=row.wanted,
            change=row.change,
            now=row.now.value if row.now else None,
            now_ground=say.text(words[row.now.source]) if row.now else say.text("there is none"),
        )
        for row in rows
    ]


def _address(kind: EditKind, row: DiffRow) -> str:
    if kind is EditKind.READING:
        return f"/readings/{row.owner_id}/{row.quantity}/{row.at.isoformat().replace('+00:00', 'Z')}"
    query = "" if row.quantity == "active_energy_import" else f"?quantity={row.quantity}"
    return f"/points/{row.owner_id}/intervals/{row.at:%Y-%m-%dT%H:%M:%SZ}{query}"


@dataclass(frozen=True, slots=True)
class Entry:
    """A value that a form offers to change."""

    at: datetime
    current: Decimal | None
    ground: str
    ground_text: str
    suggested: Decimal | None = None
    """An estimate that somebody asked for in its place."""

    @property
    def instant(self) -> str:
        """Its moment as the form sends it."""
        return self.at.isoformat()


@dataclass(frozen=True, slots=True)
class EditForm:
    """What the form that proposes an edit begins with."""

    kind: EditKind
    owner_id: int
    owner: str
    quantity: str
    unit: str
    entries: list[Entry]
    zone: ZoneInfo


def reading_form(services: Services, meter_id: int, key: str, at: datetime, say: Language) -> EditForm:
    """One reading of a meter; it need not be there yet."""
    entry = catalogue_entry(key)
    with services.database.read() as session:
        registry = services.registry(session)
        address = registry.get_meter(meter_id).address
        own = registry.installations(meter_ids=[meter_id])
    period = TimeRange(at, at + timedelta(microseconds=1))
    rows = services.store.readings(meter_ids=[meter_id], quantities=[key], period=period).to_pylist()
    current = rows[0] if rows else None
    text = say.text(SOURCES[current["source"]]) if current else say.text("there is none")
    zone = own[-1].zone if own else say.zone
    value = Entry(at, current["value"] if current else None, "measured" if current else "missing", text)
    return EditForm(EditKind.READING, meter_id, address, key, entry.unit, [value], zone)


def estimate_form(services: Services, finding: FindingView, say: Language) -> EditForm:
    """The intervals a finding is about, each with what derivation would estimate without the readings in doubt.

    Where no register ends the gap, with what is likely by the point's own days, else by the other points of its site.
    """
    assert finding.point_id is not None
    with services.database.read() as session:
        registry = services.registry(session)
        installed = registry.installations(point_ids=[finding.point_id], period=finding.period)
        peers = registry.points_in_site(registry.get_point(finding.point_id).site_id)
    estimates = estimated_without(services.store, installed, finding.quantity, finding.period).to_pylist()
    if not estimates and installed and services.clock() > finding.period.start:
        past = TimeRange(finding.period.start, min(finding.period.closed_end, services.clock()))
        estimates = estimated_open(
            services.store, installed[-1], finding.quantity, past, peers[:_PEERS]
        ).to_pylist()
    if not estimates:
        raise BadRequest(
            "No estimate can be made: no trusted register stands on both sides of what is in doubt.",
            hint="Enter the values yourself, or wait for a later reading.",
        )
    suggested = {row["start_at"]: row["energy"] for row in estimates}
    period = TimeRange(min(suggested), max(row["end_at"] for row in estimates))
    form = interval_form(services, finding.point_id, finding.quantity, period, say)
    entries = [replace(entry, suggested=suggested.get(entry.at)) for entry in form.entries]
    return replace(form, entries=entries)


def interval_form(services: Services, point_id: int, key: str, period: TimeRange, say: Language) -> EditForm:
    """The intervals of a point in a period, those missing too."""
    entry = catalogue_entry(key)
    with services.database.read() as session:
        registry = services.registry(session)
        point = registry.get_point(point_id)
        zone = ZoneInfo(registry.get_site(point.site_id).zone)
        name, minutes = point.name or point.code, point.interval_minutes
    slots = _slots(period, timedelta(minutes=minutes), zone, services.clock())
    whole = TimeRange(slots[0].start, slots[-1].end)
    table = services.store.intervals(point_ids=[point_id], quantity=key, period=whole)
    there = {row["start_at"]: row for row in table.to_pylist()}
    entries = [_interval_entry(slot.start, there, say) for slot in slots]
    return EditForm(EditKind.INTERVAL, point_id, name, key, entry.unit, entries, zone)


def _slots(period: TimeRange, step: timedelta, zone: ZoneInfo, now: datetime) -> list[TimeRange]:
    """The slots of a grid that a period touches and that are over."""
    if period.duration > LONGEST_FORM:
        raise BadRequest(
            f"A form takes the intervals of at most {LONGEST_FORM.days} days.",
            hint="Choose a day; longer periods go through the API.",
        )
    first = TimeRange.day(period.start.astimezone(zone).date(), zone)
    touched = TimeRange(first.start, period.end).slots(step, zone)
    # The last slot is cut to the period, and what is edited is whole.
    starts = [slot.start for slot in touched if slot.closed_end > period.start]
    slots = [TimeRange(start, start + step) for start in starts if start + step <= now]
    if not slots:
        raise BadRequest("That period is still to come.", hint="What has not been cannot be corrected.")
    return slots


def _interval_entry(start: datetime, there: Mapping[datetime, Mapping[str, object]], say: Language) -> Entry:
    row = there.get(start)
    if row is None:
        return Entry(start, None, "missing", say.text("missing"))
    energy, status = row["energy"], row["status"]
    assert isinstance(status, int)
    assert energy is None or isinstance(energy, Decimal)
    ground = ground_of(energy, status)
    return Entry(start, energy, ground, say.text(GROUNDS[ground]))
