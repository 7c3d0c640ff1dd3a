"""The trace of a value, from the number on a page down to the octets of its frame."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.readings.boundaries import AT_BOUNDARY
from wattkeeper.readings.editing.values import EditKind, VersionView
from wattkeeper.readings.quantities import Quantity, quantity
from wattkeeper.readings.schemas import ESTIMATES
from wattkeeper.readings.tracing import Mark, Part, trace_interval
from wattkeeper.registry.errors import NotFound
from wattkeeper.registry.values import InstalledMeter
from wattkeeper.web.language import DEFAULT_ZONE, Language
from wattkeeper.web.queries.frames import KeptExchange
from wattkeeper.web.queries.grounds import (
    GROUNDS,
    METHODS,
    SOURCES,
    Ground,
    ground_of,
    interval_notes,
    reading_notes,
)
from wattkeeper.web.services import Services

AROUND: Final = timedelta(days=2)
"""How far away the reading before and after is looked for."""


@dataclass(frozen=True, slots=True)
class VersionLine:
    """One version of a value, and who or what brought it."""

    value: Decimal | None
    source: str
    notes: str
    recorded_at: datetime
    until: datetime | None
    """None for the one that stands."""
    edit_id: int | None
    by: str | None
    reason: str | None
    exchange_id: int | None


def version_line(version: VersionView, kind: EditKind, say: Language) -> VersionLine:
    """A version in words."""
    words = SOURCES if kind is EditKind.READING else METHODS
    notes = reading_notes if kind is EditKind.READING else interval_notes
    edit = version.edit or version.undone
    source = say.text(words[version.source])
    if version.undone is not None:
        source = say.text("%(source)s, again since an edit was undone", source=source)
    return VersionLine(
        value=version.value,
        source=source,
        notes=say.listed(notes(version.status, say)),
        recorded_at=version.recorded_at,
        until=version.superseded_at,
        edit_id=edit.id if edit else None,
        by=edit.proposed_by if edit else None,
        reason=edit.reason if edit else None,
        exchange_id=version.exchange_id,
    )


@dataclass(frozen=True, slots=True)
class ReadingTrace:
    """One reading, and all that led to it."""

    meter_id: int
    address: str
    quantity: Quantity
    read_at: datetime
    value: Decimal
    source: str
    notes: list[str]
    installed: InstalledMeter | None
    """Where the meter hung then."""
    point_name: str | None
    protocol: str
    shows: str
    digits: int
    decimals: int
    versions: list[VersionLine]
    exchange_id: int | None
    exchange: KeptExchange | None
    before: datetime | None
    after: datetime | None
    zone: ZoneInfo

    @property
    def primary(self) -> Decimal | None:
        """The value with the ratio applied; None where no ratio was in force."""
        return self.value * self.installed.ratio if self.installed else None

    @property
    def slot(self) -> datetime | None:
        """The interval of the point's grid that begins at this reading, or that holds it."""
        if self.installed is None or not self.quantity.is_energy:
            return None
        grid = timedelta(minutes=self.installed.interval_minutes)
        near = self.read_at + timedelta(seconds=30)  # as derivation: the register at the boundary
        day = TimeRange.day(near.astimezone(self.zone).date(), self.zone)
        return day.start + (near - day.start) // grid * grid


def latest_instant(services: Services, meter_id: int, key: str) -> datetime:
    """When a quantity of a meter was read last; NotFound where it never was."""
    with services.database.read() as session:
        services.registry(session).get_meter(meter_id)
    rows = services.store.latest([meter_id], [key])["read_at"].to_pylist()
    if not rows:
        raise NotFound("reading", key)
    newest: datetime = rows[0]
    return newest


def nearest_instant(services: Services, meter_id: int, key: str, at: datetime) -> datetime:
    """The instant of the reading that stands for this one: its own, else the nearest within 30 s; NotFound for none."""
    with services.database.read() as session:
        services.registry(session).get_meter(meter_id)
    beside = timedelta(microseconds=AT_BOUNDARY)
    near = TimeRange(at - beside, at + beside + timedelta(microseconds=1))
    found = services.store.readings(meter_ids=[meter_id], quantities=[key], period=near)[
        "read_at"
    ].to_pylist()
    if not found:
        raise NotFound("reading", f"{key} {at.isoformat()}")
    nearest: datetime = min(found, key=lambda instant: abs(instant - at))
    return nearest


def trace_reading(
    services: Services, meter_id: int, key: str, read_at: datetime, say: Language
) -> ReadingTrace:
    """The trace of a reading; NotFound where there is none, UnknownQuantity for a key that is none."""
    entry = quantity(key)
    with services.database.read() as session:
        registry = services.registry(session)
        meter = registry.get_meter(meter_id)
        own = registry.installations(meter_ids=[meter_id])
        installed = next((item for item in own if item.period.contains(read_at)), None)
        if installed is None:  # the register at the very end of an installation belongs to it
            installed = next((item for item in own if item.period.end == read_at), None)
        point = registry.get_point(installed.point_id).name if installed else None
        about: dict[str, Any] = {
            "address": meter.address, "protocol": meter.protocol, "shows": meter.shows.value,
            "digits": meter.register_digits, "decimals": meter.register_decimals,
        }  # fmt: skip
    around = (
        services.store.readings(
            meter_ids=[meter_id], quantities=[key], period=TimeRange(read_at - AROUND, read_at + AROUND)
        )
        .select(["read_at", "value", "status", "source", "exchange_id"])
        .to_pylist()
    )
    place = next((number for number, row in enumerate(around) if row["read_at"] == read_at), None)
    if place is None:
        raise NotFound("reading", f"{key} {read_at.isoformat()}")
    row: Mapping[str, Any] = around[place]
    exchange = services.store.exchange(row["exchange_id"]) if row["exchange_id"] else None
    return ReadingTrace(
        meter_id=meter_id,
        quantity=entry,
        read_at=read_at,
        value=row["value"],
        source=say.text(SOURCES[row["source"]]),
        notes=reading_notes(row["status"], say),
        installed=installed,
        point_name=point,
        versions=[
            version_line(version, EditKind.READING, say)
            for version in services.trail.history(EditKind.READING, meter_id, key, read_at)
        ],
        exchange_id=row["exchange_id"],
        exchange=None if exchange is None else KeptExchange.of(exchange),
        before=around[place - 1]["read_at"] if place else None,
        after=around[place + 1]["read_at"] if place + 1 < len(around) else None,
        zone=installed.zone if installed else DEFAULT_ZONE,
        **about,
    )


@dataclass(frozen=True, slots=True)
class IntervalTrace:
    """One interval of a metering point, or the place where it would be, and all that it rests on."""

    point_id: int
    point_code: str
    point_name: str
    quantity: Quantity
    period: TimeRange
    ground: Ground
    ground_text: str
    energy: Decimal | None
    error: Decimal | None
    method: str | None
    """In words; None where there is no interval."""
    estimated: bool
    notes: list[str]
    recorded_at: datetime | None
    parts: list[Part]
    addresses: Mapping[int, str]
    """Of the meters of its parts."""
    versions: list[VersionLine]
    zone: ZoneInfo

    @property
    def gap(self) -> tuple[Mark, Mark] | None:
        """The trusted readings around an estimate whose registers are known on both sides."""
        marks = [mark for part in self.parts for end in (part.begin, part.finish) for mark in end.marks]
        if len(self.parts) != 1 or not marks:
            return None
        first, last = min(marks, key=lambda mark: mark.at), max(marks, key=lambda mark: mark.at)
        return (first, last) if first.at <= self.period.start and last.at >= self.period.closed_end else None


def interval_trace(
    services: Services, point_id: int, key: str, start: datetime, say: Language
) -> IntervalTrace:
    """The trace of the interval of a point's grid that begins at an instant, in the zone of its site."""
    entry = quantity(key)
    with services.database.read() as session:
        registry = services.registry(session)
        point = registry.get_point(point_id)
        zone = ZoneInfo(registry.get_site(point.site_id).zone)
        slot = _slot(start, timedelta(minutes=point.interval_minutes), zone)
        installed = registry.installations(point_ids=[point_id], period=slot)
        addresses = {item.meter_id: registry.get_meter(item.meter_id).address for item in installed}
        named = point.code, point.name
    rows = services.store.intervals(point_ids=[point_id], quantity=key, period=slot).to_pylist()
    row: Mapping[str, Any] | None = rows[0] if rows else None
    missing: Ground = "missing" if slot.closed_end <= services.clock() else "ahead"
    ground = missing if row is None else ground_of(row["energy"], row["status"])
    return IntervalTrace(
        point_id=point_id,
        point_code=named[0],
        point_name=named[1],
        quantity=entry,
        period=slot,
        ground=ground,
        ground_text=say.text(GROUNDS[ground]),
        energy=row["energy"] if row else None,
        error=row["error"] if row else None,
        method=say.text(METHODS[row["method"]]) if row else None,
        estimated=row is not None and row["method"] in ESTIMATES,
        notes=interval_notes(row["status"], say) if row else [],
        recorded_at=row["recorded_at"] if row else None,
        parts=trace_interval(services.store, installed, key, slot),
        addresses=addresses,
        versions=[
            version_line(version, EditKind.INTERVAL, say)
            for version in services.trail.history(EditKind.INTERVAL, point_id, key, slot.start)
        ],
        zone=zone,
    )


def _slot(start: datetime, step: timedelta, zone: ZoneInfo) -> TimeRange:
    """The slot of the grid that begins at an instant; NotFound where none does."""
    day = TimeRange.day(start.astimezone(zone).date(), zone)
    slot = next((slot for slot in day.slots(step, zone) if slot.start == start), None)
    if slot is None:
        raise NotFound("interval", start.isoformat())
    return slot
