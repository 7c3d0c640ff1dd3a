"""What happened to a meter and its point, as one timeline: from the registry, the registers, the clock and the audit."""

import functools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final, Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from wattkeeper.kernel.severity import Severity
from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.monitoring.models import SubjectKind
from wattkeeper.readings.store import ReadingsStore
from wattkeeper.registry.repository import Registry
from wattkeeper.registry.values import InstalledMeter
from wattkeeper.security.models import AuditEvent
from wattkeeper.web.queries.states import Level
from wattkeeper.web.services import Services

Kind = Literal[
    "installed", "exchanged", "removed", "ratio_changed", "rollover", "register_fell", "clock_off", "alarm", "read_asked",
    "created", "changed",
]  # fmt: skip
LOOK_BACK: Final = timedelta(days=400)
"""How far back registers and the audit are looked through; installations are told from the beginning."""
LEAD: Final = timedelta(days=2)
"""How far before a period the register is looked at, for what happened at its beginning."""
REGISTERS: Final = ("active_energy_import", "active_energy_export")
CLOCK_OFF: Final = timedelta(seconds=60)
"""From here on a clock is told of: prices change by it."""
MOST: Final = 200
ALARMS_OVER: Final = 50
_ACTS: Final[dict[str, Kind]] = {
    "meter.read_now": "read_asked",
    "meter.create": "created",
    "meter.change": "changed",
}


@dataclass(frozen=True, slots=True)
class MeterEvent:
    """One thing that happened; `facts` are its particulars by name."""

    at: datetime
    kind: Kind
    level: Level = "idle"
    until: datetime | None = None
    facts: dict[str, Any] = field(default_factory=dict)


def meter_events(
    services: Services, meter_id: int, *, alarms: bool, period: TimeRange | None = None
) -> list[MeterEvent]:
    """What happened to a meter and its present point, newest first; of a period only, where one is given.

    `alarms` says whether who asks may see these.
    """
    now = services.clock()
    with services.database.read() as session:
        meter = services.registry(session).get_meter(meter_id)
        registry = Registry(session)  # who was at the point before may be out of scope by now
        own = registry.installations(meter_ids=[meter_id])
        current = next((item for item in own if item.period.contains(now)), None)
        there = registry.installations(point_ids=[current.point_id]) if current else []
        found = [
            *_installation_events(registry, own, there),
            *_acts(session, meter_id, since=now - LOOK_BACK),
        ]
    looked = TimeRange(period.start - LEAD, period.end) if period else TimeRange(now - LOOK_BACK, None)
    found += register_events(services.store, meter_id, meter.register_digits, looked)
    found += _clock(services, meter_id)
    if alarms:
        found += _alarms(services, meter_id)
    inside = [event for event in found if period is None or _touches(event, period)]
    return sorted(inside, key=lambda event: event.at, reverse=True)[:MOST]


def _touches(event: MeterEvent, period: TimeRange) -> bool:
    """Whether it happened in the period, or lasted into it."""
    if event.until is None:
        return period.contains(event.at)
    return event.at < period.closed_end and event.until > period.start


def _installation_events(
    registry: Registry, own: Sequence[InstalledMeter], there: Sequence[InstalledMeter]
) -> Iterator[MeterEvent]:
    """Installed, exchanged, removed: of this meter wherever it hung, and of its point before it came."""
    by_id = {item.installation_id: item for item in (*own, *there)}
    items = sorted(by_id.values(), key=lambda item: (item.point_id, item.period.start))
    if not items:
        return
    address = functools.cache(lambda meter_id: registry.get_meter(meter_id).address)
    point = functools.cache(lambda point_id: registry.get_point(point_id).name)
    for before, item, after in zip([None, *items[:-1]], items, [*items[1:], None], strict=True):
        facts = {"address": address(item.meter_id), "point": point(item.point_id), "register": item.first_register, "ratio": item.ratio}  # fmt: skip
        if before is not None and before.point_id == item.point_id and before.period.end == item.period.start:
            facts |= {"old_address": address(before.meter_id), "old_register": before.last_register}
            if before.meter_id == item.meter_id:
                yield MeterEvent(
                    item.period.start, "ratio_changed", facts=facts | {"old_ratio": before.ratio}
                )
            else:
                yield MeterEvent(item.period.start, "exchanged", "warn", facts=facts)
            if before.ratio != item.ratio and before.meter_id != item.meter_id:
                yield MeterEvent(
                    item.period.start, "ratio_changed", facts=facts | {"old_ratio": before.ratio}
                )
        else:
            yield MeterEvent(item.period.start, "installed", "ok", facts=facts)
        followed = (
            after is not None and after.point_id == item.point_id and after.period.start == item.period.end
        )
        if item.period.end is not None and not followed:
            yield MeterEvent(
                item.period.end, "removed", "warn", facts=facts | {"register": item.last_register}
            )


def register_events(
    store: ReadingsStore, meter_id: int, digits: int, period: TimeRange
) -> Iterator[MeterEvent]:
    """Where a register ran over or fell, found in the readings themselves."""
    drops = store.register_drops(meter_id, REGISTERS, period).to_pylist()
    for drop in drops:
        over = ran_over(drop["before"], drop["value"], digits)
        yield MeterEvent(
            drop["read_at"],
            "rollover" if over else "register_fell",
            "idle" if over else "bad",
            facts={
                "quantity": drop["quantity"],
                "before": drop["before"],
                "before_at": drop["before_at"],
                "value": drop["value"],
                "counted": drop["value"] + Decimal(10) ** digits - drop["before"] if over else None,
            },
        )


def ran_over(before: Decimal, value: Decimal, digits: int) -> bool:
    """Whether a register that read less than before went on through zero: the way over its end is the shorter one."""
    modulus = Decimal(10) ** digits
    return value < before < modulus and value + modulus - before < before - value


def _acts(session: Session, meter_id: int, *, since: datetime) -> Iterator[MeterEvent]:
    """What people did to the meter."""
    rows = session.scalars(
        select(AuditEvent)
        .where(
            AuditEvent.subject_kind == "meter",
            AuditEvent.subject_id == str(meter_id),
            AuditEvent.action.in_(_ACTS),
            AuditEvent.at >= since,
        )
        .order_by(AuditEvent.id.desc())
        .limit(MOST)
    )
    for row in rows:
        facts = {"who": row.actor_name, "before": row.before, "after": row.after}
        yield MeterEvent(row.at, _ACTS[row.action], facts=facts)


def _alarms(services: Services, meter_id: int) -> Iterator[MeterEvent]:
    """What monitoring found out about the meter: open, and over."""
    found = services.monitoring.of_subject(
        SubjectKind.METER, meter_id, scope=services.scope, closed=ALARMS_OVER
    )
    for finding in found:
        severe = finding.severity is Severity.CRITICAL
        level: Level = "idle" if finding.cleared_at else "bad" if severe else "warn"
        yield MeterEvent(
            finding.raised_at, "alarm", level, until=finding.cleared_at, facts={"finding": finding}
        )


def _clock(services: Services, meter_id: int) -> Iterable[MeterEvent]:
    """The meter's clock, where it was off when it was last read."""
    state = services.collector.meter_state(meter_id) if services.collector else None
    if state is None or state.clock_deviation is None or state.clock_read_at is None:
        return ()
    if abs(state.clock_deviation) < CLOCK_OFF:
        return ()
    seconds = Decimal(str(round(state.clock_deviation.total_seconds(), 1)))
    return (MeterEvent(state.clock_read_at, "clock_off", "warn", facts={"seconds": seconds}),)
