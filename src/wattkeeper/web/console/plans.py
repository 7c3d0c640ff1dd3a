"""Reading plans: which quantities of which meters are read and when; adding, changing and deleting one."""

from dataclasses import asdict, dataclass, field
from datetime import timedelta
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.responses import Response

from wattkeeper.collection.plan_repository import PlanRepository
from wattkeeper.collection.plans import change_plan, create_plan, delete_plan
from wattkeeper.collection.schedule import Rhythm, Window
from wattkeeper.collection.values import KeptPlan, PlannedMeters, PlanTerms
from wattkeeper.kernel.errors import WattkeeperError
from wattkeeper.registry.errors import AlreadyExists, BadValue
from wattkeeper.registry.models import Meter
from wattkeeper.security.rights import Right
from wattkeeper.web.access import needs
from wattkeeper.web.console.area_words import place_choices
from wattkeeper.web.console.forms import Id
from wattkeeper.web.console.words import Notice
from wattkeeper.web.exports import Column, Export, Table, exported
from wattkeeper.web.pages import language_of, render, services_of
from wattkeeper.web.problems import status_of
from wattkeeper.web.queries.command_targets import named_meters
from wattkeeper.web.queries.meters import PROTOCOLS
from wattkeeper.web.queries.plans import PlanLine, clock_time, plan_lines, quantity_groups, written_addresses
from wattkeeper.web.queries.states import N_
from wattkeeper.web.services import Services

router = APIRouter(include_in_schema=False)
Text = Annotated[str, Form(max_length=500)]
UNITS: Final = {"s": N_("seconds"), "min": N_("minutes"), "h": N_("hours")}
_UNIT_LENGTHS: Final = {"s": timedelta(seconds=1), "min": timedelta(minutes=1), "h": timedelta(hours=1)}
_MOST_DIGITS: Final = 6
_NAMED: Final = 3
PLANS: Final[Table[PlanLine]] = Table(
    "plans",
    N_("Reading plans"),
    (
        Column(N_("Code"), lambda line: line.code),
        Column(N_("Name"), lambda line: line.name),
        Column(N_("State"), lambda line: line.state),
        Column(N_("Quantities"), lambda line: ", ".join(line.quantity_keys)),
        Column(N_("Read every"), lambda line: line.period),
        Column(N_("Spread over links"), lambda line: line.jitter),
        Column(N_("Window"), lambda line: line.window),
        Column(N_("Gaps are filled"), lambda line: line.gaps),
        Column(N_("Which meters"), lambda line: line.which),
        Column(N_("Meters"), lambda line: line.meters, "number"),
    ),
)


@dataclass(frozen=True, slots=True)
class Entered:
    """What stands in the form; lengths and times as they were typed."""

    code: str = ""
    name: str = ""
    quantities: list[str] = field(default_factory=list)
    every: str = "15"
    unit: str = "min"
    offset: str = "0"
    jitter: str = "0"
    window_from: str = ""
    window_until: str = ""
    profile: bool = False
    enabled: bool = True
    which: str = "fitting"
    """fitting or listed."""
    part: str = ""
    """`site:3`, `area:7`, or empty for everywhere."""
    link: str = ""
    protocol: str = ""
    model: str = ""
    addresses: str = ""


def entered(
    *,
    code: Text = "",
    name: Text = "",
    quantities: Annotated[list[str], Form(max_length=1000)] = [],  # noqa: B006 (FastAPI copies it)
    every: Text = "",
    unit: Annotated[str, Form(pattern="^(s|min|h)$")] = "min",
    offset: Text = "0",
    jitter: Text = "0",
    window_from: Text = "",
    window_until: Text = "",
    profile: Annotated[bool, Form()] = False,
    enabled: Annotated[bool, Form()] = False,
    which: Annotated[str, Form(pattern="^(fitting|listed)$")] = "fitting",
    part: Annotated[str, Form(pattern=r"^((site|area):[0-9]{1,15})?$")] = "",
    link: Annotated[str, Form(max_length=64)] = "",
    protocol: Annotated[str, Form(max_length=64)] = "",
    model: Text = "",
    addresses: Annotated[str, Form(max_length=500_000)] = "",
) -> Entered:
    """The form as it was sent."""
    return Entered(
        code, name, quantities, every, unit, offset, jitter, window_from, window_until, profile, enabled, which, part, link,
        protocol, model, addresses,
    )  # fmt: skip


Form_ = Annotated[Entered, Depends(entered)]


@router.get("/plans", dependencies=[needs(Right.LINKS_VIEW)], response_class=HTMLResponse)
def plans_page(request: Request) -> HTMLResponse:
    """Every plan."""
    return render(request, "plans.html", plans=plan_lines(services_of(request), language_of(request)))


@exported(router, "/plans", needs(Right.LINKS_VIEW))
def plans_export(request: Request) -> Export[PlanLine]:
    """Every plan."""
    say = language_of(request)
    return Export(PLANS, plan_lines(services_of(request), say), say)


@router.get("/plans/-/new", dependencies=[needs(Right.PLANS_EDIT)], response_class=HTMLResponse)
def new_plan(request: Request) -> HTMLResponse:
    """The form of a plan to be."""
    return _page(request, Entered())


@router.post("/plans/-/new", dependencies=[needs(Right.PLANS_EDIT)])
def add_plan(request: Request, form: Form_) -> Response:
    """Keep a new plan."""
    services = services_of(request)
    try:
        terms = _terms(services, form)
        with services.database.write() as session:
            create_plan(session, terms, now=services.clock())
    except WattkeeperError as error:
        return _page(request, form, error=error)
    return RedirectResponse("/plans", status_code=303)


@router.get("/plans/{plan_id}/edit", dependencies=[needs(Right.PLANS_EDIT)], response_class=HTMLResponse)
def plan_form(request: Request, plan_id: Id) -> HTMLResponse:
    """The form of a plan that is."""
    services = services_of(request)
    with services.database.read() as session:
        known = PlanRepository(session).get(plan_id)
        form = _written(session, services, known.terms)
    return _page(request, form, known=known)


@router.post("/plans/{plan_id}/edit", dependencies=[needs(Right.PLANS_EDIT)])
def edit_plan(request: Request, plan_id: Id, form: Form_) -> Response:
    """Let a plan be as the form says."""
    services = services_of(request)
    known = _known(services, plan_id)
    try:
        terms = _terms(services, form)
        with services.database.write() as session:
            change_plan(session, plan_id, terms, now=services.clock())
    except WattkeeperError as error:
        return _page(request, form, known=known, error=error)
    return RedirectResponse("/plans", status_code=303)


@router.post("/plans/{plan_id}/delete", dependencies=[needs(Right.PLANS_EDIT)])
def remove_plan(request: Request, plan_id: Id) -> Response:
    """Read by this plan no more."""
    services = services_of(request)
    known = _known(services, plan_id)
    try:
        with services.database.write() as session:
            delete_plan(session, plan_id, now=services.clock())
    except WattkeeperError as error:
        with services.database.read() as session:
            form = _written(session, services, known.terms)
        return _page(request, form, known=known, error=error)
    return RedirectResponse("/plans", status_code=303)


def _known(services: Services, plan_id: int) -> KeptPlan:
    with services.database.read() as session:
        return PlanRepository(session).get(plan_id)


def _page(
    request: Request, form: Entered, *, known: KeptPlan | None = None, error: WattkeeperError | None = None
) -> HTMLResponse:
    services, say = services_of(request), language_of(request)
    with services.database.read() as session:
        links = [(link.code, link.name) for link in services.registry(session).links()]
        models = session.scalars(
            select(Meter.model).where(Meter.model != "").distinct().order_by(Meter.model)
        )
        shown: dict[str, Any] = {"links": links, "models": list(models)}
    return render(
        request,
        "plan_form.html",
        http_status=status_of(error) if error else 200,
        known=None if known is None else {"id": known.plan_id, "name": known.terms.name},
        entered=asdict(form),
        notice=Notice.of(error, say) if error else None,
        wrong=_field_of(error),
        groups=quantity_groups(say),
        units=[(code, say.text(name)) for code, name in UNITS.items()],
        parts=place_choices(services, say),
        protocols=[(code, say.text(name)) for code, name in PROTOCOLS.items()],
        **shown,
    )


def _field_of(error: WattkeeperError | None) -> str | None:
    """Which field an error stands beside."""
    if isinstance(error, AlreadyExists):
        return "code"
    return error.field if isinstance(error, BadValue) else None


def _terms(services: Services, form: Entered) -> PlanTerms:
    """What the form says; raises BadValue for what cannot be read."""
    return PlanTerms(
        code=form.code,
        name=form.name,
        quantities=tuple(form.quantities),
        rhythm=Rhythm(
            every=_whole("every", form.every) * _UNIT_LENGTHS[form.unit],
            offset=timedelta(seconds=_whole("offset", form.offset)),
            jitter=timedelta(seconds=_whole("jitter", form.jitter)),
            window=_window(form),
        ),
        profile=form.profile,
        enabled=form.enabled,
        meters=_listed(services, form) if form.which == "listed" else _fitting(services, form),
    )


def _whole(name: str, text: str) -> int:
    typed = text.strip()
    if typed.isascii() and typed.isdigit() and len(typed) <= _MOST_DIGITS:
        return int(typed)
    raise BadValue(name, f"{text!r} is not a whole number.", hint="Write it as 15.")


def _window(form: Entered) -> Window | None:
    if not (form.window_from or form.window_until):
        return None
    return Window(_minute(form.window_from), _minute(form.window_until))


def _minute(text: str) -> int:
    hour, _, minute = text.partition(":")
    if hour.isdigit() and minute.isdigit() and len(text) <= len("00:00"):
        return 60 * int(hour) + int(minute)
    raise BadValue("window", f"{text!r} is not a time of day.", hint="Write both ends as 22:00, or neither.")


def _fitting(services: Services, form: Entered) -> PlannedMeters:
    where, _, number = form.part.partition(":")
    link_id = None
    if form.link:
        with services.database.read() as session:
            found = services.registry(session).link_by_code(form.link)
        if found is None:
            raise BadValue("link", f"There is no link {form.link}.", hint="Choose one of the list.")
        link_id = found.id
    return PlannedMeters(
        site_id=int(number) if where == "site" else None,
        area_id=int(number) if where == "area" else None,
        link_id=link_id,
        protocol=form.protocol or None,
        model=form.model.strip() or None,
    )


def _listed(services: Services, form: Entered) -> PlannedMeters:
    chosen = named_meters(services, form.addresses)
    if chosen.refused:
        names = ", ".join(item.address for item in chosen.refused[:_NAMED])
        more = " …" if len(chosen.refused) > _NAMED else ""
        raise BadValue(
            "meters",
            f"These do not name one meter each: {names}{more}.",
            hint="Look them up in the list of meters; where several links have an address, write link/address.",
        )
    return PlannedMeters(listed=frozenset(chosen.meter_ids))


def _written(session: Session, services: Services, terms: PlanTerms) -> Entered:
    """What the form of a plan begins with."""
    rhythm, meters = terms.rhythm, terms.meters
    unit = next(unit for unit in ("h", "min", "s") if not rhythm.every % _UNIT_LENGTHS[unit])
    part = "" if meters.site_id is None else f"site:{meters.site_id}"
    if meters.area_id is not None:
        part = f"area:{meters.area_id}"
    window = rhythm.window
    return Entered(
        code=terms.code,
        name=terms.name,
        quantities=list(terms.quantities),
        every=str(rhythm.every // _UNIT_LENGTHS[unit]),
        unit=unit,
        offset=str(rhythm.offset // _UNIT_LENGTHS["s"]),
        jitter=str(rhythm.jitter // _UNIT_LENGTHS["s"]),
        window_from="" if window is None else clock_time(window.begins),
        window_until="" if window is None else clock_time(window.ends),
        profile=terms.profile,
        enabled=terms.enabled,
        which="fitting" if meters.listed is None else "listed",
        part=part,
        link="" if meters.link_id is None else services.registry(session).get_link(meters.link_id).code,
        protocol=meters.protocol or "",
        model=meters.model or "",
        addresses="" if meters.listed is None else written_addresses(session, sorted(meters.listed)),
    )
