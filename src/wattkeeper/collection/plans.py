"""Reading plans as people keep them: what is asked of a plan, and every change of one on record.

Each function works in the caller's ``write()`` transaction. The collector looks at the plans by itself, every few
seconds; nothing has to be told or started again.
"""

from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy.orm import Session

from wattkeeper.collection.drivers import DRIVERS
from wattkeeper.collection.errors import LastPlan
from wattkeeper.collection.plan_repository import PlanRepository
from wattkeeper.collection.schedule import Rhythm
from wattkeeper.collection.values import KeptPlan, PlannedMeters, PlanTerms
from wattkeeper.readings.errors import UnknownQuantity
from wattkeeper.readings.quantities import quantity
from wattkeeper.registry.errors import BadValue
from wattkeeper.registry.repository import Registry
from wattkeeper.registry.rules import checked_code, checked_name
from wattkeeper.security.audit import record

LONGEST: Final = timedelta(days=1)
_SECOND: Final = timedelta(seconds=1)
_NAMED: Final = 5
"""Unknown meters that an error names; the others are as unknown."""


def create_plan(session: Session, terms: PlanTerms, *, now: datetime) -> KeptPlan:
    """Keep a new plan; its meters are read within seconds.

    Raises:
        BadValue: something it says cannot be; `field` names it.
        NotFound: there is no such site, area or link.
        AlreadyExists: the code is taken.

    """
    kept = PlanRepository(session).add(_checked(session, terms))
    record(session, "plan.create", now=now, subject=("plan", kept.plan_id), name=kept.terms.name, after=_facts(kept.terms))  # fmt: skip
    return kept


def change_plan(session: Session, plan_id: int, terms: PlanTerms, *, now: datetime) -> KeptPlan:
    """Let a plan be as given from now on; raises as `create_plan`, and NotFound where there is none."""
    plans = PlanRepository(session)
    before = _facts(plans.get(plan_id).terms)
    kept = plans.change(plan_id, _checked(session, terms))
    after = _facts(kept.terms)
    changed = [name for name in before if before[name] != after[name]]
    if changed:
        record(
            session,
            "plan.change",
            now=now,
            subject=("plan", plan_id),
            name=kept.terms.name,
            before={name: before[name] for name in changed},
            after={name: after[name] for name in changed},
        )
    return kept


def delete_plan(session: Session, plan_id: int, *, now: datetime) -> None:
    """Read by this plan no more; what was read stays. Raises NotFound, and LastPlan for the only one."""
    plans = PlanRepository(session)
    terms = plans.get(plan_id).terms
    if plans.count() == 1:
        raise LastPlan(
            f"The plan {terms.code} is the only one there is.",
            hint="Disable it instead: an installation without any plan gets the usual ones at its next start.",
        )
    plans.remove(plan_id)
    record(session, "plan.delete", now=now, subject=("plan", plan_id), name=terms.name, before=_facts(terms))


def _checked(session: Session, terms: PlanTerms) -> PlanTerms:
    return PlanTerms(
        code=checked_code("plan", terms.code),
        name=checked_name(terms.name),
        quantities=_checked_quantities(terms.quantities),
        rhythm=_checked_rhythm(terms.rhythm),
        profile=terms.profile,
        enabled=terms.enabled,
        meters=_checked_meters(session, terms.meters),
    )


def _checked_quantities(keys: tuple[str, ...]) -> tuple[str, ...]:
    if not keys:
        raise BadValue("quantities", "A plan reads at least one quantity.", hint="Choose what is to be read.")
    for key in keys:
        try:
            quantity(key)
        except UnknownQuantity as error:
            raise BadValue("quantities", error.message, hint=error.hint) from error
    return tuple(dict.fromkeys(keys))


def _checked_rhythm(rhythm: Rhythm) -> Rhythm:
    if not _SECOND <= rhythm.every <= LONGEST:
        raise BadValue("every", "A plan reads once a day at least, and once a second at most.")
    for name, length in (("offset", rhythm.offset), ("jitter", rhythm.jitter)):
        if not timedelta() <= length < rhythm.every:
            raise BadValue(
                name,
                f"A plan's {name} is not negative and shorter than its period.",
                hint="Give 0, or fewer seconds than lie between two reads.",
            )
    if rhythm.window is not None and not rhythm.window.is_part_of_a_day:
        raise BadValue(
            "window",
            "The window is no part of a day.",
            hint="Say two different times, from 00:00 to 23:59; it may pass midnight.",
        )
    return rhythm


def _checked_meters(session: Session, meters: PlannedMeters) -> PlannedMeters:
    if meters.listed is not None:
        _check_listed(session, meters)
        return meters
    registry = Registry(session)
    if meters.site_id is not None:
        registry.get_site(meters.site_id)
    if meters.area_id is not None:
        area = registry.get_area(meters.area_id)
        if meters.site_id not in {None, area.site_id}:
            raise BadValue("area_id", f"Area {area.code} is of another site.", hint="Leave the site out.")
    if meters.link_id is not None:
        registry.get_link(meters.link_id)
    if meters.protocol is not None and meters.protocol not in DRIVERS:
        raise BadValue(
            "protocol", f"There is no protocol {meters.protocol!r}.", hint=f"Use {' or '.join(DRIVERS)}."
        )
    return meters


def _check_listed(session: Session, meters: PlannedMeters) -> None:
    assert meters.listed is not None
    if meters != PlannedMeters(listed=meters.listed):
        raise BadValue(
            "meters",
            "A plan names its meters, or says what they fit, not both.",
            hint="Leave one of the two out.",
        )
    if not meters.listed:
        raise BadValue("meters", "The plan names no meter.", hint="Name at least one, or say what they fit.")
    if unknown := PlanRepository(session).unknown_meters(meters.listed):
        names = ", ".join(map(str, unknown[:_NAMED])) + (" …" if len(unknown) > _NAMED else "")
        raise BadValue("meters", f"There are no such meters: {names}.", hint="Look them up in the list.")


def _facts(terms: PlanTerms) -> dict[str, Any]:
    """A plan as the audit keeps it; lengths in seconds, a window in minutes after civil midnight."""
    rhythm, meters = terms.rhythm, terms.meters
    return {
        "code": terms.code,
        "name": terms.name,
        "quantities": list(terms.quantities),
        "every_s": rhythm.every // _SECOND,
        "offset_s": rhythm.offset // _SECOND,
        "jitter_s": rhythm.jitter // _SECOND,
        "window": None if rhythm.window is None else [rhythm.window.begins, rhythm.window.ends],
        "profile": terms.profile,
        "enabled": terms.enabled,
        "meters": None if meters.listed is None else sorted(meters.listed),
        "site_id": meters.site_id,
        "area_id": meters.area_id,
        "link_id": meters.link_id,
        "protocol": meters.protocol,
        "model": meters.model,
    }
