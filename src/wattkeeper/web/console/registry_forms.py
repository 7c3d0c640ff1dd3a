"""Forms for one link and one meter: entering it, correcting it, taking it in and out of use, exchanging the meter."""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Form, Path, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.responses import Response

from wattkeeper.kernel.errors import WattkeeperError
from wattkeeper.links.url import SERIAL_EXAMPLE, TCP_EXAMPLE
from wattkeeper.registry.editing import change_link, change_meter, create_link, create_meter
from wattkeeper.registry.errors import AlreadyExists, BadValue, InstalledElsewhere, NotFound
from wattkeeper.registry.exchanging import record_exchange
from wattkeeper.registry.models import Link, Meter
from wattkeeper.registry.repository import Registry
from wattkeeper.registry.sides import Shows
from wattkeeper.security.rights import Right
from wattkeeper.web.access import needs
from wattkeeper.web.console.forms import Moment, moment_of
from wattkeeper.web.console.words import Notice
from wattkeeper.web.pages import language_of, render, services_of
from wattkeeper.web.problems import BadRequest, status_of
from wattkeeper.web.queries.meters import PROTOCOLS

router = APIRouter(include_in_schema=False, dependencies=[needs(Right.REGISTRY_EDIT)])
Id = Annotated[int, Path(ge=1, le=2**53)]
Code = Annotated[str, Path(max_length=64)]
Text = Annotated[str, Form(max_length=500)]
Digits = Annotated[int, Form(ge=0, le=12)]
_MOST_EXPONENT: Final = 20
"""A number beyond is written out in full nowhere, not even to refuse it."""
EXAMPLES: Final = {"tcp": TCP_EXAMPLE, "serial": SERIAL_EXAMPLE}
NEW_LINK: Final = {"code": "", "name": "", "url": "", "enabled": True}
NEW_METER: Final = {
    "address": "", "link": "", "protocol": "dlt645-2007", "model": "", "register_digits": 6, "register_decimals": 2,
    "shows": Shows.SECONDARY.value, "max_current_a": None, "enabled": True,
}  # fmt: skip


@router.get("/links/-/new", response_class=HTMLResponse)
def new_link(request: Request) -> HTMLResponse:
    """The form of a link to be."""
    return render(request, "link_form.html", link=NEW_LINK, known=None, notice=None, examples=EXAMPLES)


@router.post("/links/-/new")
def add_link(
    request: Request, *, code: Text, name: Text, url: Text, enabled: Annotated[bool, Form()] = False
) -> Response:
    """Enter a link."""
    entered: dict[str, Any] = {"code": code, "name": name, "url": url, "enabled": enabled}

    def act(registry: Registry) -> str:
        return f"/links/{create_link(registry, **entered, now=services_of(request).clock()).code}"

    return _done(request, act, "link_form.html", link=entered, known=None, examples=EXAMPLES)


@router.get("/links/{code}/edit", response_class=HTMLResponse)
def link_form(request: Request, code: Code) -> HTMLResponse:
    """The form of a link that is."""
    services = services_of(request)
    with services.database.read() as session:
        found = _link(services.registry(session), code)
        values = {name: getattr(found, name) for name in NEW_LINK}
    return render(request, "link_form.html", link=values, known=values, notice=None, examples=EXAMPLES)


@router.post("/links/{code}/edit")
def edit_link(
    request: Request,
    code: Code,
    *,
    name: Text,
    url: Text,
    enabled: Annotated[bool, Form()] = False,
) -> Response:
    """Change a link; its code stays, since addresses carry it."""
    services = services_of(request)
    entered: dict[str, Any] = {"name": name, "url": url, "enabled": enabled}
    with services.database.read() as session:
        known = {"code": code, "name": _link(services.registry(session), code).name}

    def act(registry: Registry) -> str:
        link = change_link(registry, _link(registry, code).id, **entered, now=services.clock())
        return f"/links/{link.code}"

    return _done(
        request, act, "link_form.html", link={"code": code, **entered}, known=known, examples=EXAMPLES
    )


@router.get("/meters/new", response_class=HTMLResponse)
def new_meter(request: Request) -> HTMLResponse:
    """The form of a meter to be."""
    return render(request, "meter_form.html", meter=NEW_METER, known=None, notice=None, **_choices(request))


@router.post("/meters/new")
def add_meter(
    request: Request,
    *,
    address: Text,
    link: Text,
    protocol: Text,
    register_digits: Digits,
    register_decimals: Digits,
    shows: Annotated[Shows, Form()],
    model: Text = "",
    max_current_a: Text = "",
    enabled: Annotated[bool, Form()] = False,
) -> Response:
    """Enter a meter."""
    entered = {
        "address": address, "link": link, "protocol": protocol, "model": model, "register_digits": register_digits,
        "register_decimals": register_decimals, "shows": shows, "max_current_a": max_current_a, "enabled": enabled,
    }  # fmt: skip

    def act(registry: Registry) -> str:
        fields = _fields(registry, entered)
        return f"/meters/{create_meter(registry, now=services_of(request).clock(), **fields).id}"

    return _done(request, act, "meter_form.html", meter=entered, known=None, **_choices(request))


@router.get("/meters/{meter_id}/edit", response_class=HTMLResponse)
def meter_form(request: Request, meter_id: Id) -> HTMLResponse:
    """The form of a meter that is."""
    values = _meter(request, meter_id)
    return render(request, "meter_form.html", meter=values, known=values, notice=None, **_choices(request))


@router.post("/meters/{meter_id}/edit")
def edit_meter(
    request: Request,
    meter_id: Id,
    *,
    address: Text,
    link: Text,
    protocol: Text,
    register_digits: Digits,
    register_decimals: Digits,
    shows: Annotated[Shows, Form()],
    model: Text = "",
    max_current_a: Text = "",
    enabled: Annotated[bool, Form()] = False,
) -> Response:
    """Change what is known of a meter."""
    known = _meter(request, meter_id)
    entered = {
        "address": address, "link": link, "protocol": protocol, "model": model, "register_digits": register_digits,
        "register_decimals": register_decimals, "shows": shows, "max_current_a": max_current_a, "enabled": enabled,
    }  # fmt: skip

    def act(registry: Registry) -> str:
        fields = _fields(registry, entered)
        change_meter(registry, meter_id, now=services_of(request).clock(), **fields)
        return f"/meters/{meter_id}"

    return _done(request, act, "meter_form.html", meter=entered, known=known, **_choices(request))


@router.get("/points/{point_id}/exchange", response_class=HTMLResponse)
def exchange_form(request: Request, point_id: Id) -> HTMLResponse:
    """The form of an exchange at a metering point; the new meter is like the old one until something else is said."""
    point = _point(request, point_id)
    shown = _exchange_shown(request, point)
    return render(request, "exchange_form.html", entered=point["begin"], notice=None, wrong=None, **shown)


@router.post("/points/{point_id}/exchange")
def exchange_meter_at(
    request: Request,
    point_id: Id,
    *,
    at: Moment,
    address: Text,
    link: Text,
    protocol: Text,
    register_digits: Digits,
    register_decimals: Digits,
    shows: Annotated[Shows, Form()],
    first_register: Text,
    last_register: Text = "",
    model: Text = "",
    max_current_a: Text = "",
    ct_ratio: Text = "",
    pt_ratio: Text = "",
) -> Response:
    """Record that another meter hangs there, or the first one."""
    services = services_of(request)
    point = _point(request, point_id)
    meter = {
        "address": address, "link": link, "protocol": protocol, "model": model, "register_digits": register_digits,
        "register_decimals": register_decimals, "shows": shows, "max_current_a": max_current_a,
    }  # fmt: skip
    optional = {"last_register": last_register, "ct_ratio": ct_ratio, "pt_ratio": pt_ratio}
    try:
        with services.database.write() as session:
            registry = services.registry(session)
            installed = record_exchange(
                registry,
                point_id,
                at=_moment(at, point["zone"]),
                meter=_fields(registry, meter),
                first_register=_number("first_register", first_register),
                now=services.clock(),
                **{name: _number(name, text) if text.strip() else None for name, text in optional.items()},
            )
            to = f"/meters/{installed.meter_id}"
    except WattkeeperError as error:
        return render(
            request,
            "exchange_form.html",
            http_status=status_of(error),
            entered={"at": at, "first_register": first_register, **meter, **optional},
            notice=Notice.of(error, language_of(request)),
            wrong=_field_of(error),
            **_exchange_shown(request, point),
        )
    return RedirectResponse(to, status_code=303)


def _point(request: Request, point_id: int) -> dict[str, Any]:
    """A metering point with the meter there now, and what the form of an exchange begins with."""
    services = services_of(request)
    with services.database.read() as session:
        registry = services.registry(session)
        found = registry.get_point(point_id)
        zone = ZoneInfo(registry.get_site(found.site_id).zone)
        now = f"{services.clock().astimezone(zone):%Y-%m-%dT%H:%M}"
        begin = NEW_METER | {
            "at": now,
            "last_register": "",
            "first_register": "",
            "ct_ratio": "1",
            "pt_ratio": "1",
        }
        point = {"id": point_id, "name": found.name, "code": found.code, "zone": zone, "old": None}
        current = registry.installed_now(point_id)
        if current is None:
            return point | {"begin": begin}
        old = registry.get_meter(current.meter_id)
        begin |= {name: getattr(old, name) for name in NEW_METER if name not in {"link", "address"}}
        begin |= {"link": registry.get_link(old.link_id).code}
        begin |= {
            "ct_ratio": f"{current.ct_ratio.normalize():f}",
            "pt_ratio": f"{current.pt_ratio.normalize():f}",
        }
        return point | {
            "begin": begin,
            "old": {"id": old.id, "address": old.address, "since": current.valid_from},
        }


def _exchange_shown(request: Request, point: dict[str, Any]) -> dict[str, Any]:
    return {"point": point, "zone": point["zone"].key, **_choices(request)}


def _moment(text: str, zone: ZoneInfo) -> datetime:
    try:
        return moment_of(text, zone)
    except BadRequest as error:
        raise BadValue("at", error.message, hint=error.hint) from error


def _number(field: str, text: str) -> Decimal:
    """A register or a ratio as it was typed."""
    try:
        number = Decimal(text.strip())
        if number.is_finite() and abs(number.adjusted()) <= _MOST_EXPONENT:
            return number
    except InvalidOperation:
        pass
    raise BadValue(field, f"{text!r} is not a number that a meter shows.", hint="Write it as 1234.56.")


def _field_of(error: WattkeeperError) -> str | None:
    """Which field an error stands beside: that of a bad value; who is there already is known by its address."""
    if isinstance(error, InstalledElsewhere | AlreadyExists):
        return "address"
    return error.field if isinstance(error, BadValue) else None


def _done(request: Request, act: Callable[[Registry], str], form: str, **shown: Any) -> Response:
    """Carry a change out and go to where it shows; or show the form again with what is wrong."""
    services = services_of(request)
    try:
        with services.database.write() as session:
            address = act(services.registry(session))
    except WattkeeperError as error:
        notice = Notice.of(error, language_of(request))
        return render(request, form, http_status=status_of(error), notice=notice, **shown)
    return RedirectResponse(address, status_code=303)


def _choices(request: Request) -> dict[str, Any]:
    services = services_of(request)
    with services.database.read() as session:
        links = [(link.code, link.name) for link in services.registry(session).links()]
    return {"links": links, "protocols": list(PROTOCOLS.items())}


def _link(registry: Registry, code: str) -> Link:
    found = registry.link_by_code(code)
    if found is None:
        raise NotFound("link", code)
    return found


def _meter(request: Request, meter_id: int) -> dict[str, Any]:
    """What the form of a meter begins with."""
    services = services_of(request)
    with services.database.read() as session:
        registry = services.registry(session)
        found: Meter = registry.get_meter(meter_id)
        values = {name: getattr(found, name) for name in NEW_METER if name != "link"}
        there = [
            item.point_id for item in registry.installations(meter_ids=[meter_id]) if item.period.end is None
        ]
        return values | {
            "id": meter_id,
            "link": registry.get_link(found.link_id).code,
            "point_id": there[0] if there else None,
        }


def _fields(registry: Registry, entered: dict[str, Any]) -> dict[str, Any]:
    """What the registry takes: a link by its id, a rating as a number or none."""
    fields = {name: value for name, value in entered.items() if name != "link"}
    if fields["protocol"] not in PROTOCOLS:
        raise BadValue(
            "protocol", f"There is no protocol {fields['protocol']!r}.", hint=f"Use {' or '.join(PROTOCOLS)}."
        )
    fields["max_current_a"] = _rating(fields["max_current_a"])
    return fields | {"link_id": _link(registry, entered["link"]).id}


def _rating(text: str) -> Decimal | None:
    if not text.strip():
        return None
    try:
        return Decimal(text.strip())
    except InvalidOperation:
        raise BadValue("max_current_a", f"{text!r} is not a current in A.", hint="Write it as 60.") from None
