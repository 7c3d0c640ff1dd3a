"""Reading plans in words: what is read of which meters and when, and which plans read a meter."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from wattkeeper.collection.plan_repository import PlanRepository
from wattkeeper.collection.schedule import Window
from wattkeeper.collection.values import KeptPlan, PlannedMeters
from wattkeeper.kernel.database import in_parts
from wattkeeper.readings.quantities import QUANTITIES, Quantity
from wattkeeper.registry.models import Link, Meter
from wattkeeper.registry.repository import Registry
from wattkeeper.web.language import Language
from wattkeeper.web.queries.clocks import span
from wattkeeper.web.queries.meters import PROTOCOLS
from wattkeeper.web.queries.states import N_
from wattkeeper.web.services import Services

QUANTITIES_SHOWN: Final = 3
_MINUTES: Final = 60
_ENERGIES: Final = {"kWh": N_("Active energy"), "kvarh": N_("Reactive energy"), "kVAh": N_("Apparent energy")}
DEFAULT_NAMES: Final = frozenset({N_("Energy registers and load record"), N_("Voltage, current and power")})
"""What the plans are called that an installation begins with."""


@dataclass(frozen=True, slots=True)
class PlanLine:
    """A reading plan as lists show it."""

    id: int
    code: str
    name: str
    enabled: bool
    state: str
    quantities: str
    """The first few, and how many more."""
    quantity_keys: tuple[str, ...]
    period: str
    jitter: str
    """The spread over links; empty where there is none."""
    window: str
    """Empty where it may read at any time."""
    gaps: str
    """Whether gaps are filled, in a word."""
    which: str
    meters: int
    """Meters in use, within sight, that it covers."""
    next_at: datetime | None
    """When it is due next, on a link that is not spread; None while it is disabled."""


@dataclass(frozen=True, slots=True)
class QuantityGroup:
    """Quantities of one kind, as choices."""

    name: str
    quantities: tuple[Quantity, ...]


def plan_lines(services: Services, say: Language) -> list[PlanLine]:
    """The plans that cover a meter within sight, or all of them for who sees everything, by code."""
    now = services.clock()
    with services.database.read() as session:
        plans = PlanRepository(session)
        kept = plans.all()
        counts = plans.covered_counts(kept, scope=services.scope)
        places = _Places(session, say)
        return [
            _line(plan, counts[plan.plan_id], places, say, now)
            for plan in kept
            if counts[plan.plan_id] or services.scope.everything
        ]


def plans_of_meter(services: Services, meter_id: int, say: Language) -> list[tuple[int, str]]:
    """The enabled plans that read a meter: their ids and names."""
    with services.database.read() as session:
        found = PlanRepository(session).covering(meter_id)
    return [(plan.plan_id, plan_name(plan, say)) for plan in found]


def plan_name(plan: KeptPlan, say: Language) -> str:
    """What a plan is called; those that come with an installation in the visitor's language."""
    name = plan.terms.name
    return say.text(name) if name in DEFAULT_NAMES else name


def quantity_groups(say: Language) -> list[QuantityGroup]:
    """Every quantity there is, by kind."""
    groups: dict[str, list[Quantity]] = {}
    for quantity in QUANTITIES.values():
        groups.setdefault(_kind(quantity), []).append(quantity)
    return [QuantityGroup(say.text(name), tuple(found)) for name, found in groups.items()]


def clock_time(minute: int) -> str:
    """A minute of the day as clocks show it: 1320 is 22:00."""
    return f"{minute // _MINUTES:02d}:{minute % _MINUTES:02d}"


def window_text(window: Window | None) -> str:
    """A window as clocks show it; empty for none."""
    return "" if window is None else f"{clock_time(window.begins)}-{clock_time(window.ends)}"


def written_addresses(session: Session, meter_ids: Sequence[int]) -> str:
    """Meters as a form names them: by address, with the link's code before it where the address is of several."""
    rows: list[Any] = []
    shared: set[str] = set()
    for part in in_parts(meter_ids):
        chosen = (
            select(Meter.address, Link.code).join(Link, Link.id == Meter.link_id).where(Meter.id.in_(part))
        )
        found = session.execute(chosen).all()
        again = select(Meter.address).where(Meter.address.in_({address for address, _ in found}))
        rows += found
        shared |= set(session.scalars(again.group_by(Meter.address).having(func.count() > 1)))
    return " ".join(f"{code}/{address}" if address in shared else address for address, code in sorted(rows))


class _Places:
    """The names of what plans speak of by id, each looked up once."""

    def __init__(self, session: Session, say: Language) -> None:
        self._registry = Registry(session)  # a plan may speak of a place that is out of sight
        self._say = say
        self._names: dict[tuple[str, int], str] = {}

    def name(self, kind: str, key: int) -> str:
        """What a site, area or link is called."""
        if (kind, key) not in self._names:
            self._names[kind, key] = str(getattr(self._registry, f"get_{kind}")(key).name)
        return self._names[kind, key]

    def which(self, meters: PlannedMeters) -> str:
        """Which meters a plan covers, in words."""
        if meters.listed is not None:
            return self._say.text("named meters")
        parts = [
            self.name(kind, key)
            for kind, key in (("site", meters.site_id), ("area", meters.area_id), ("link", meters.link_id))
            if key is not None
        ]
        if meters.protocol is not None:
            parts.append(self._say.text(PROTOCOLS.get(meters.protocol, meters.protocol)))
        if meters.model is not None:
            parts.append(meters.model)
        return " · ".join(parts) if parts else self._say.text("all meters")


def _line(plan: KeptPlan, meters: int, places: _Places, say: Language, now: datetime) -> PlanLine:
    terms = plan.terms
    rhythm = terms.rhythm
    names = say.listed(say.quantity(key) for key in terms.quantities[:QUANTITIES_SHOWN])
    more = len(terms.quantities) - QUANTITIES_SHOWN
    return PlanLine(
        id=plan.plan_id,
        code=terms.code,
        name=plan_name(plan, say),
        enabled=terms.enabled,
        state=say.text("in use") if terms.enabled else say.text("disabled"),
        quantities=say.text("%(names)s and %(n)s more", names=names, n=more) if more > 0 else names,
        quantity_keys=terms.quantities,
        period=span(rhythm.every, say),
        jitter=span(rhythm.jitter, say) if rhythm.jitter else "",
        window=window_text(rhythm.window),
        gaps=say.text("yes") if terms.profile else say.text("no"),
        which=places.which(terms.meters),
        meters=meters,
        next_at=rhythm.next_due(now, zone=say.zone) if terms.enabled else None,
    )


def _kind(quantity: Quantity) -> str:
    """The group of a quantity, by what it measures."""
    if quantity.is_energy:
        return _ENERGIES[quantity.unit]
    if "demand" in quantity.key:
        return N_("Demand")
    if quantity.unit in {"V", "A"} and "battery" not in quantity.key:
        return N_("Voltage and current")
    if quantity.unit in {"kW", "kvar", "kVA"} or quantity.key.startswith("power_factor"):
        return N_("Power")
    return N_("Other")
