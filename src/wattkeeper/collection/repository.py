"""Collection's SQL: plans, what was learned about meters, and success counts."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import Session

from wattkeeper.collection.counts import HourKey
from wattkeeper.collection.errors import CollectionError
from wattkeeper.collection.fleet import Fleet, LinkToCollect, Memory, MeterToCollect, Plan
from wattkeeper.collection.models import (
    LinkStatistic,
    MeterProgress,
    PlanMeter,
    ReadingPlan,
    ReadStatistic,
    RefusedRequest,
)
from wattkeeper.collection.schedule import Rhythm, Window
from wattkeeper.collection.statistics import COUNTS, By, success
from wattkeeper.collection.values import CollectorOptions, SuccessRate
from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.readings.quantities import quantity
from wattkeeper.registry.repository import Registry

_MILLISECOND = timedelta(milliseconds=1)
_USUAL_SLOT = timedelta(minutes=15)

REGISTERS = (
    "active_energy_import",
    "active_energy_import_t1",
    "active_energy_import_t2",
    "active_energy_import_t3",
    "active_energy_import_t4",
    "active_energy_export",
)
LIVE = (
    "voltage_l1",
    "voltage_l2",
    "voltage_l3",
    "current_l1",
    "current_l2",
    "current_l3",
    "active_power",
    "active_power_l1",
    "active_power_l2",
    "active_power_l3",
    "power_factor",
)


class CollectionRepository:
    """Tables of collection in the caller's transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session

    # -- plans ------------------------------------------------------------------------------------------------------

    def add_plan(
        self,
        *,
        code: str,
        name: str,
        quantities: Sequence[str],
        every_seconds: int,
        offset_seconds: int = 0,
        jitter_seconds: int = 0,
        profile: bool = False,
        window: Window | None = None,
        meter_ids: Iterable[int] | None = None,
    ) -> ReadingPlan:
        """Add a plan for these meters, or for all; raises UnknownQuantity for a key that is not in the catalogue."""
        for key in quantities:
            quantity(key)
        if window is not None and not window.is_part_of_a_day:
            raise CollectionError(
                f"The window of the reading plan {code} is no part of a day.",
                hint="Say two different minutes after midnight, 0 to 1439.",
            )
        if not quantities:
            raise CollectionError(f"The reading plan {code} names no quantity.", hint="Name at least one.")
        if self._session.scalar(select(ReadingPlan.id).where(ReadingPlan.code == code)) is not None:
            raise CollectionError(
                f"There is a reading plan {code} already.", hint="Choose another code, or change that one."
            )
        plan = ReadingPlan(
            code=code,
            name=name,
            quantities=list(quantities),
            every_seconds=every_seconds,
            offset_seconds=offset_seconds,
            jitter_seconds=jitter_seconds,
            profile=profile,
            window_from=None if window is None else window.begins,
            window_until=None if window is None else window.ends,
            all_meters=meter_ids is None,
            meters=[PlanMeter(meter_id=meter_id) for meter_id in sorted(set(meter_ids or ()))],
        )
        self._session.add(plan)
        self._session.flush()
        return plan

    def ensure_default_plans(self, options: CollectorOptions) -> bool:
        """Create the plans of a new installation; True when there were none."""
        if self._session.scalar(select(func.count()).select_from(ReadingPlan)):
            return False
        self.add_plan(
            code="registers",
            name="Energy registers and load record",
            quantities=REGISTERS,
            every_seconds=900,
            profile=True,
        )
        # Live values wait a little, so that at a quarter hour the registers are read closer to it.
        self.add_plan(
            code="live",
            name="Voltage, current and power",
            quantities=LIVE,
            every_seconds=options.live_seconds,
            jitter_seconds=min(10, options.live_seconds // 4),
        )
        return True

    def plans(self) -> tuple[Plan, ...]:
        """The enabled plans, by code."""
        named: dict[int, set[int]] = {}
        for plan_id, meter_id in self._session.execute(select(PlanMeter.plan_id, PlanMeter.meter_id)):
            named.setdefault(plan_id, set()).add(meter_id)
        rows = self._session.scalars(
            select(ReadingPlan).where(ReadingPlan.enabled).order_by(ReadingPlan.code)
        )
        return tuple(
            Plan(
                plan_id=row.id,
                code=row.code,
                quantities=tuple(row.quantities),
                rhythm=Rhythm(
                    every=timedelta(seconds=row.every_seconds),
                    offset=timedelta(seconds=row.offset_seconds),
                    jitter=timedelta(seconds=row.jitter_seconds),
                    window=_window(row),
                ),
                profile=row.profile,
                meter_ids=None if row.all_meters else frozenset(named.get(row.id, ())),
            )
            for row in rows
        )

    # -- what is to be read -----------------------------------------------------------------------------------------

    def fleet(self, *, now: datetime, zone: str) -> Fleet:
        """The enabled meters on enabled links; `zone` is that of meters which are not installed anywhere."""
        registry = Registry(self._session)
        elsewhere = ZoneInfo(zone)
        meters: dict[int, dict[int, MeterToCollect]] = {}
        for row in registry.meters_to_read(now=now):
            meters.setdefault(row.link_id, {})[row.meter_id] = MeterToCollect(
                meter_id=row.meter_id,
                link_id=row.link_id,
                protocol=row.protocol,
                address=row.address,
                zone=row.zone or elsewhere,
                slot=_USUAL_SLOT if row.interval_minutes is None else timedelta(minutes=row.interval_minutes),
                installed_from=row.installed_from,
                model=row.model,
            )
        links = {
            link.id: LinkToCollect(link.id, link.code, link.url, meters.get(link.id, {}))
            for link in registry.links()
            if link.enabled
        }
        return Fleet(links, self.plans())

    # -- what was learned -------------------------------------------------------------------------------------------

    def memories(self) -> dict[int, Memory]:
        """What is known about each meter from before."""
        refused: dict[int, dict[str, datetime]] = {}
        for row in self._session.scalars(select(RefusedRequest)):
            refused.setdefault(row.meter_id, {})[row.request] = row.refused_at
        known = {row.meter_id: row for row in self._session.scalars(select(MeterProgress))}
        return {
            meter_id: _memory(known.get(meter_id), refused.get(meter_id, {}))
            for meter_id in known.keys() | refused.keys()
        }

    def save_backfilled(self, reached: Mapping[int, datetime]) -> None:
        """Note how far each meter's load record has been fetched."""
        self._upsert(
            MeterProgress,
            [{"meter_id": meter_id, "backfilled_until": until} for meter_id, until in reached.items()],
            keys=("meter_id",),
        )

    def save_clocks(self, clocks: Mapping[int, tuple[timedelta, datetime]]) -> None:
        """Note each meter's clock deviation and when it was measured."""
        rows = [
            {"meter_id": meter_id, "clock_deviation_ms": deviation // _MILLISECOND, "clock_read_at": at}
            for meter_id, (deviation, at) in clocks.items()
        ]
        self._upsert(MeterProgress, rows, keys=("meter_id",))

    def save_quarantines(self, until: Mapping[int, datetime | None]) -> None:
        """Note which meters are left alone until when, because they disturb their line, and which no more."""
        rows = [{"meter_id": meter_id, "quarantined_until": end} for meter_id, end in until.items()]
        self._upsert(MeterProgress, rows, keys=("meter_id",))

    def save_editions(self, spoken: Mapping[int, str]) -> None:
        """Note which edition of its protocol each meter was found to speak."""
        rows = [{"meter_id": meter_id, "speaks": protocol} for meter_id, protocol in spoken.items()]
        self._upsert(MeterProgress, rows, keys=("meter_id",))

    def save_refused(self, refused: Iterable[tuple[int, str, datetime]]) -> None:
        """Note which requests which meters have refused."""
        rows = [
            {"meter_id": meter_id, "request": request, "refused_at": at} for meter_id, request, at in refused
        ]
        self._upsert(RefusedRequest, rows, keys=("meter_id", "request"))

    def forget_refused(self, *, before: datetime) -> None:
        """Drop refusals from so long ago that the meter is asked again."""
        self._session.execute(delete(RefusedRequest).where(RefusedRequest.refused_at < before))

    # -- success ----------------------------------------------------------------------------------------------------

    def add_counts(self, counts: Mapping[HourKey, Counter[str]]) -> None:
        """Add to the hourly counts, of each meter and of each link."""
        meters: dict[tuple[datetime, int, int], Counter[str]] = {}
        links: dict[tuple[datetime, int, str], Counter[str]] = {}
        for key, counter in counts.items():
            meters.setdefault((key.hour, key.link_id, key.meter_id), Counter()).update(counter)
            links.setdefault((key.hour, key.link_id, key.protocol), Counter()).update(counter)
        for model, last, added in ((ReadStatistic, "meter_id", meters), (LinkStatistic, "protocol", links)):
            keys = ("hour", "link_id", last)
            rows = [
                dict(zip(keys, key, strict=True)) | {name: counter[name] for name in COUNTS}
                for key, counter in added.items()
            ]
            self._upsert(model, rows, keys=keys, add=COUNTS)

    def success_by_meter(
        self, period: TimeRange, *, meter_id: int | None = None, link_id: int | None = None
    ) -> list[SuccessRate]:
        """Success of each meter over the hours that the period touches, by link and meter."""
        return success(self._session, period, by=(By.LINK, By.METER), meter_id=meter_id, link_id=link_id)

    def success_by_link(self, period: TimeRange, *, link_id: int | None = None) -> list[SuccessRate]:
        """Success of each link over the hours that the period touches, its own outages included."""
        return success(self._session, period, by=(By.LINK,), link_id=link_id)

    # -- shared -----------------------------------------------------------------------------------------------------

    def _upsert(
        self, model: type[Any], rows: list[dict[str, Any]], *, keys: Sequence[str], add: Sequence[str] = ()
    ) -> None:
        """Insert rows, or change those that are there: `add` columns grow, the others are replaced."""
        if not rows:
            return
        postgresql = self._session.get_bind().dialect.name == "postgresql"
        insert: Any = (postgresql_insert if postgresql else sqlite_insert)(model)
        table = model.__table__.c
        changed = {
            name: table[name] + insert.excluded[name] if name in add else insert.excluded[name]
            for name in rows[0]
            if name not in keys
        }
        # Rows of one order in every writer: two of them cannot wait for each other for ever.
        ordered = sorted(rows, key=lambda row: tuple(row[key] for key in keys))
        self._session.execute(insert.on_conflict_do_update(index_elements=list(keys), set_=changed), ordered)


def _window(row: ReadingPlan) -> Window | None:
    if row.window_from is None or row.window_until is None:
        return None
    return Window(row.window_from, row.window_until)


def _memory(row: MeterProgress | None, refused: Mapping[str, datetime]) -> Memory:
    if row is None:
        return Memory(refused=refused)
    deviation = None if row.clock_deviation_ms is None else row.clock_deviation_ms * _MILLISECOND
    return Memory(
        row.backfilled_until, deviation, row.clock_read_at, row.quarantined_until, refused, row.speaks
    )
