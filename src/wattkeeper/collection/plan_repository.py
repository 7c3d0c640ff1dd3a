"""The SQL of reading plans: what is kept of each, which meters it covers, and which plans cover a meter."""

from collections.abc import Collection, Iterable, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, exists, func, insert, select, true
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from wattkeeper.collection.fleet import Plan
from wattkeeper.collection.models import PlanMeter, ReadingPlan
from wattkeeper.collection.schedule import Rhythm, Window
from wattkeeper.collection.values import CollectorOptions, KeptPlan, PlannedMeters, PlanTerms
from wattkeeper.kernel.database import in_parts, violates_uniqueness
from wattkeeper.registry.errors import AlreadyExists, NotFound
from wattkeeper.registry.models import Meter
from wattkeeper.registry.scope import EVERYTHING, Scope

_SECOND = timedelta(seconds=1)
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


def default_plans(options: CollectorOptions) -> tuple[PlanTerms, PlanTerms]:
    """The plans of a new installation: registers with the load record, and live values.

    Live values wait a little, so that at a quarter hour the registers are read closer to it.
    """
    registers = PlanTerms(
        code="registers",
        name="Energy registers and load record",
        quantities=REGISTERS,
        rhythm=Rhythm(every=timedelta(minutes=15)),
        profile=True,
    )
    spread = timedelta(seconds=min(10, options.live_seconds // 4))
    live = PlanTerms(
        code="live",
        name="Voltage, current and power",
        quantities=LIVE,
        rhythm=Rhythm(every=timedelta(seconds=options.live_seconds), jitter=spread),
    )
    return registers, live


class PlanRepository:
    """Reading plans in the caller's transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session

    # -- what is kept -----------------------------------------------------------------------------------------------

    def all(self) -> list[KeptPlan]:
        """Every plan, by code."""
        return self._kept(select(ReadingPlan).order_by(ReadingPlan.code))

    def get(self, plan_id: int) -> KeptPlan:
        """One plan; raises NotFound."""
        found = self._kept(select(ReadingPlan).where(ReadingPlan.id == plan_id))
        if not found:
            raise NotFound("plan", plan_id)
        return found[0]

    def add(self, terms: PlanTerms) -> KeptPlan:
        """Keep a new plan; raises AlreadyExists for a code that is taken."""
        row = ReadingPlan(**_columns(terms))
        self._session.add(row)
        self._flush(terms)
        self._name_meters(row.id, terms.meters.listed or ())
        return KeptPlan(row.id, terms)

    def change(self, plan_id: int, terms: PlanTerms) -> KeptPlan:
        """Keep a plan as it is from now on; raises AlreadyExists for a code that is taken."""
        row = self._session.get_one(ReadingPlan, plan_id)
        for name, value in _columns(terms).items():
            setattr(row, name, value)
        self._flush(terms)
        self._session.execute(delete(PlanMeter).where(PlanMeter.plan_id == plan_id))
        self._name_meters(plan_id, terms.meters.listed or ())
        return KeptPlan(plan_id, terms)

    def remove(self, plan_id: int) -> None:
        """Forget a plan, and which meters it named."""
        self._session.execute(delete(PlanMeter).where(PlanMeter.plan_id == plan_id))
        self._session.execute(delete(ReadingPlan).where(ReadingPlan.id == plan_id))

    def count(self) -> int:
        """How many plans there are."""
        return self._session.scalar(select(func.count()).select_from(ReadingPlan)) or 0

    def ensure_defaults(self, options: CollectorOptions) -> bool:
        """Create the plans of a new installation; True when there were none."""
        if self.count():
            return False
        for terms in default_plans(options):
            self.add(terms)
        return True

    # -- which meters -----------------------------------------------------------------------------------------------

    def to_read(self) -> tuple[Plan, ...]:
        """The enabled plans with the meters that each covers at this moment, by code."""
        return tuple(
            Plan(
                plan_id=kept.plan_id,
                code=kept.terms.code,
                quantities=kept.terms.quantities,
                rhythm=kept.terms.rhythm,
                profile=kept.terms.profile,
                meter_ids=self._covered(kept),
            )
            for kept in self.all()
            if kept.terms.enabled
        )

    def covering(self, meter_id: int) -> list[KeptPlan]:
        """The enabled plans that cover a meter, by code."""
        this = Meter.id == meter_id
        return [
            kept
            for kept in self.all()
            if kept.terms.enabled and self._session.scalar(select(exists().where(this, _fits(kept))))
        ]

    def covered_counts(self, plans: Iterable[KeptPlan], *, scope: Scope = EVERYTHING) -> dict[int, int]:
        """How many enabled meters within `scope` each plan covers, by the plan's id."""
        counted = select(func.count()).select_from(Meter).where(Meter.enabled, scope.has_meter())
        return {kept.plan_id: self._session.scalar(counted.where(_fits(kept))) or 0 for kept in plans}

    def unknown_meters(self, meter_ids: Collection[int]) -> list[int]:
        """Those of these ids that no meter has, in order."""
        known: set[int] = set()
        for part in in_parts(sorted(meter_ids)):
            known.update(self._session.scalars(select(Meter.id).where(Meter.id.in_(part))))
        return sorted(set(meter_ids) - known)

    # -- shared -----------------------------------------------------------------------------------------------------

    def _kept(self, wanted: Any) -> list[KeptPlan]:
        rows: Sequence[ReadingPlan] = self._session.scalars(wanted).all()
        named: dict[int, set[int]] = {row.id: set() for row in rows if row.listed}
        chosen = select(PlanMeter.plan_id, PlanMeter.meter_id).where(PlanMeter.plan_id.in_(named))
        for plan_id, meter_id in self._session.execute(chosen):
            named[plan_id].add(meter_id)
        return [_kept_plan(row, named.get(row.id)) for row in rows]

    def _covered(self, kept: KeptPlan) -> frozenset[int] | None:
        """The ids of the meters that a plan covers; None for every one."""
        if kept.terms.meters.everything:
            return None
        if kept.terms.meters.listed is not None:
            return kept.terms.meters.listed
        return frozenset(self._session.scalars(select(Meter.id).where(_fits(kept))))

    def _name_meters(self, plan_id: int, meter_ids: Iterable[int]) -> None:
        rows = [{"plan_id": plan_id, "meter_id": meter_id} for meter_id in sorted(meter_ids)]
        if rows:
            self._session.execute(insert(PlanMeter), rows)

    def _flush(self, terms: PlanTerms) -> None:
        try:
            self._session.flush()
        except DBAPIError as error:
            if violates_uniqueness(error):
                raise AlreadyExists("plan", terms.code) from error
            raise


def _fits(kept: KeptPlan) -> ColumnElement[bool]:
    """Of a statement over Meter: whether the plan covers the meter."""
    meters = kept.terms.meters
    if meters.listed is not None:
        return exists().where(PlanMeter.plan_id == kept.plan_id, PlanMeter.meter_id == Meter.id)
    conditions: list[ColumnElement[bool]] = []
    if meters.site_id is not None:
        conditions.append(Scope(sites=frozenset({meters.site_id})).has_meter())
    if meters.area_id is not None:
        conditions.append(Scope(areas=frozenset({meters.area_id})).has_meter())
    if meters.link_id is not None:
        conditions.append(Meter.link_id == meters.link_id)
    if meters.protocol is not None:
        conditions.append(Meter.protocol == meters.protocol)
    if meters.model is not None:
        conditions.append(Meter.model == meters.model)
    return and_(true(), *conditions)


def _columns(terms: PlanTerms) -> dict[str, Any]:
    rhythm, meters = terms.rhythm, terms.meters
    return {
        "code": terms.code,
        "name": terms.name,
        "quantities": list(terms.quantities),
        "every_seconds": rhythm.every // _SECOND,
        "offset_seconds": rhythm.offset // _SECOND,
        "jitter_seconds": rhythm.jitter // _SECOND,
        "window_from": None if rhythm.window is None else rhythm.window.begins,
        "window_until": None if rhythm.window is None else rhythm.window.ends,
        "profile": terms.profile,
        "enabled": terms.enabled,
        "listed": meters.listed is not None,
        "site_id": meters.site_id,
        "area_id": meters.area_id,
        "link_id": meters.link_id,
        "protocol": meters.protocol,
        "model": meters.model,
    }


def _kept_plan(row: ReadingPlan, named: Collection[int] | None) -> KeptPlan:
    rhythm = Rhythm(
        every=row.every_seconds * _SECOND,
        offset=row.offset_seconds * _SECOND,
        jitter=row.jitter_seconds * _SECOND,
        window=_window(row),
    )
    meters = PlannedMeters(
        listed=None if named is None else frozenset(named),
        site_id=row.site_id,
        area_id=row.area_id,
        link_id=row.link_id,
        protocol=row.protocol,
        model=row.model,
    )
    terms = PlanTerms(
        code=row.code,
        name=row.name,
        quantities=tuple(row.quantities),
        rhythm=rhythm,
        profile=row.profile,
        enabled=row.enabled,
        meters=meters,
    )
    return KeptPlan(row.id, terms)


def _window(row: ReadingPlan) -> Window | None:
    if row.window_from is None or row.window_until is None:
        return None
    return Window(row.window_from, row.window_until)
