"""Reading plans: which quantities of which meters are read, and when."""

from datetime import datetime, time, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from pydantic import ConfigDict, Field
from sqlalchemy.orm import Session

from wattkeeper.collection.plan_repository import PlanRepository
from wattkeeper.collection.plans import change_plan, create_plan, delete_plan
from wattkeeper.collection.schedule import Rhythm, Window
from wattkeeper.collection.values import KeptPlan, PlannedMeters, PlanTerms
from wattkeeper.registry.errors import NotFound
from wattkeeper.registry.repository import Registry
from wattkeeper.security.rights import Right
from wattkeeper.web.access import needs
from wattkeeper.web.api.network_schemas import MeterProtocol, Wanted
from wattkeeper.web.api.schemas import InstantText, Shape
from wattkeeper.web.pages import services_of, site_zone
from wattkeeper.web.problems import documented
from wattkeeper.web.services import Services

router = APIRouter(tags=["collection"])
Id = Annotated[int, Path(ge=1, le=2**53)]
Key = Annotated[int, Field(ge=1, le=2**53)]
Seconds = Annotated[int, Field(ge=0, lt=86_400)]
_SECOND = timedelta(seconds=1)


class WindowShape(Wanted):
    """The part of each civil day in which is read; it may pass midnight."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    begins: time = Field(alias="from", examples=["22:00"])
    ends: time = Field(alias="until", examples=["06:00"])


class PlannedMetersShape(Wanted):
    """Which meters a plan reads: those listed, or every one that fits all the rest of what is given; nothing: all."""

    listed: list[Key] | None = Field(default=None, max_length=100_000, description="Meters by id.")
    site_id: Key | None = None
    area_id: Key | None = Field(default=None, description="This area and all below it.")
    link: str | None = Field(default=None, max_length=64, description="Code of a link.")
    protocol: MeterProtocol | None = None
    model: str | None = Field(default=None, min_length=1, max_length=100)


class PlanWanted(Wanted):
    """A reading plan."""

    code: str = Field(min_length=1, max_length=64, examples=["carrier-by-night"])
    name: str = Field(min_length=1, max_length=200)
    quantities: list[str] = Field(
        min_length=1, max_length=1000, description="Keys of quantities.", examples=[["active_energy_import"]]
    )
    every_s: int = Field(ge=1, le=86_400, description="Period, counted from civil midnight. [s]")
    offset_s: Seconds = Field(default=0, description="How much later than that it is due. [s]")
    jitter_s: Seconds = Field(default=0, description="Each link begins at a moment of its own within it. [s]")
    window: WindowShape | None = Field(default=None, description="Null: at any time.")
    profile: bool = Field(
        default=False, description="Whether gaps of these quantities are filled from the meters' own memory."
    )
    enabled: bool = True
    meters: PlannedMetersShape = PlannedMetersShape()


class PlanChange(Wanted):
    """What becomes different of a plan; what is left out stays. `meters` and `window` are given whole."""

    code: str = Field(default="", max_length=64)
    name: str = Field(default="", max_length=200)
    quantities: list[str] = Field(default=[], max_length=1000)
    every_s: int = Field(default=900, ge=1, le=86_400)
    offset_s: Seconds = 0
    jitter_s: Seconds = 0
    window: WindowShape | None = None
    profile: bool = False
    enabled: bool = True
    meters: PlannedMetersShape = PlannedMetersShape()


class PlanItem(Shape):
    """A reading plan as it is kept."""

    id: int
    code: str
    name: str
    quantities: list[str]
    every_s: int = Field(description="Period, counted from civil midnight. [s]")
    offset_s: int
    jitter_s: int
    window: WindowShape | None
    profile: bool
    enabled: bool
    meters: PlannedMetersShape
    covered: int = Field(description="Enabled meters, within your areas, that it reads.")
    next_at: InstantText | None = Field(
        description="When it is due next on a link that is not spread; null while it is disabled."
    )


@router.get("/plans", dependencies=[needs(Right.LINKS_VIEW)], summary="List reading plans")
def list_plans(request: Request) -> list[PlanItem]:
    """The plans that read a meter within your areas, by code; all of them if you may see everything."""
    services = services_of(request)
    with services.database.read() as session:
        plans = PlanRepository(session)
        kept = plans.all()
        counts = plans.covered_counts(kept, scope=services.scope)
        return [
            _item(request, session, plan, counts[plan.plan_id])
            for plan in kept
            if counts[plan.plan_id] or services.scope.everything
        ]


@router.get(
    "/plans/{plan_id}",
    dependencies=[needs(Right.LINKS_VIEW)],
    responses=documented(404, 422),
    summary="One reading plan",
)
def get_plan(request: Request, plan_id: Id) -> PlanItem:
    """A plan; one that reads no meter within your areas is not there for you."""
    services = services_of(request)
    with services.database.read() as session:
        plan = PlanRepository(session).get(plan_id)
        covered = PlanRepository(session).covered_counts([plan], scope=services.scope)[plan_id]
        if not covered and not services.scope.everything:
            raise NotFound("plan", plan_id)
        return _item(request, session, plan, covered)


@router.post(
    "/plans",
    dependencies=[needs(Right.PLANS_EDIT)],
    status_code=201,
    responses=documented(400, 404, 409, 422),
    summary="Add a reading plan",
)
def post_plan(request: Request, wanted: PlanWanted) -> PlanItem:
    """Add a plan; its meters are read within seconds."""
    services = services_of(request)
    with services.database.write() as session:
        terms = _terms(services, session, wanted.model_dump())
        plan_id = create_plan(session, terms, now=services.clock()).plan_id
    return get_plan(request, plan_id)


@router.patch(
    "/plans/{plan_id}",
    dependencies=[needs(Right.PLANS_EDIT)],
    responses=documented(400, 404, 409, 422),
    summary="Change a reading plan",
)
def patch_plan(request: Request, plan_id: Id, wanted: PlanChange) -> PlanItem:
    """Change what is given; the collector follows within seconds."""
    services = services_of(request)
    with services.database.write() as session:
        kept = _shown(session, PlanRepository(session).get(plan_id))
        terms = _terms(services, session, kept | wanted.model_dump(exclude_unset=True))
        change_plan(session, plan_id, terms, now=services.clock())
    return get_plan(request, plan_id)


@router.delete(
    "/plans/{plan_id}",
    dependencies=[needs(Right.PLANS_EDIT)],
    status_code=204,
    responses=documented(404, 409, 422),
    summary="Delete a reading plan",
)
def remove_plan(request: Request, plan_id: Id) -> None:
    """Read by it no more; what was read stays. The only plan there is can be disabled, not deleted."""
    services = services_of(request)
    with services.database.write() as session:
        delete_plan(session, plan_id, now=services.clock())


def _terms(services: Services, session: Session, said: dict[str, Any]) -> PlanTerms:
    """What a request says, in the words of the room."""
    window, meters = said["window"], said["meters"]
    link_id = None
    if meters.get("link") is not None:
        link = services.registry(session).link_by_code(meters["link"])
        if link is None:
            raise NotFound("link", meters["link"])
        link_id = link.id
    return PlanTerms(
        code=said["code"],
        name=said["name"],
        quantities=tuple(said["quantities"]),
        rhythm=Rhythm(
            every=said["every_s"] * _SECOND,
            offset=said["offset_s"] * _SECOND,
            jitter=said["jitter_s"] * _SECOND,
            window=None if window is None else Window(_minute(window["begins"]), _minute(window["ends"])),
        ),
        profile=said["profile"],
        enabled=said["enabled"],
        meters=PlannedMeters(
            listed=None if meters.get("listed") is None else frozenset(meters["listed"]),
            site_id=meters.get("site_id"),
            area_id=meters.get("area_id"),
            link_id=link_id,
            protocol=meters.get("protocol"),
            model=meters.get("model"),
        ),
    )


def _shown(session: Session, plan: KeptPlan) -> dict[str, Any]:
    """A plan in the words of requests and answers."""
    terms, rhythm, meters = plan.terms, plan.terms.rhythm, plan.terms.meters
    window = rhythm.window
    return {
        "id": plan.plan_id,
        "code": terms.code,
        "name": terms.name,
        "quantities": list(terms.quantities),
        "every_s": rhythm.every // _SECOND,
        "offset_s": rhythm.offset // _SECOND,
        "jitter_s": rhythm.jitter // _SECOND,
        "window": None if window is None else {"begins": _time(window.begins), "ends": _time(window.ends)},
        "profile": terms.profile,
        "enabled": terms.enabled,
        "meters": {
            "listed": None if meters.listed is None else sorted(meters.listed),
            "site_id": meters.site_id,
            "area_id": meters.area_id,
            "link": None if meters.link_id is None else Registry(session).get_link(meters.link_id).code,
            "protocol": meters.protocol,
            "model": meters.model,
        },
    }


def _item(request: Request, session: Session, plan: KeptPlan, covered: int) -> PlanItem:
    services, terms = services_of(request), plan.terms
    due: datetime | None = None
    if terms.enabled:
        due = terms.rhythm.next_due(services.clock(), zone=site_zone(request))
    return PlanItem.model_validate(_shown(session, plan) | {"covered": covered, "next_at": due})


def _minute(at: time) -> int:
    return 60 * at.hour + at.minute


def _time(minute: int) -> time:
    return time(*divmod(minute, 60))
