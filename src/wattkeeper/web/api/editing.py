"""Entering and changing links and meters one at a time; many come by import."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request

from wattkeeper.registry.editing import change_link, change_meter, create_link, create_meter
from wattkeeper.registry.errors import NotFound
from wattkeeper.registry.exchanging import record_exchange
from wattkeeper.registry.models import Link
from wattkeeper.registry.repository import Registry
from wattkeeper.security.rights import Right
from wattkeeper.web.access import needs
from wattkeeper.web.api import network_schemas as shapes
from wattkeeper.web.api import schemas
from wattkeeper.web.api.meters import get_meter
from wattkeeper.web.pages import services_of
from wattkeeper.web.problems import documented

router = APIRouter(dependencies=[needs(Right.REGISTRY_EDIT)])
Code = Annotated[str, Path(max_length=64)]
Id = Annotated[int, Path(ge=1, le=2**53)]


@router.post(
    "/links", tags=["links"], status_code=201, responses=documented(400, 409, 422), summary="Add a link"
)
def post_link(request: Request, wanted: shapes.LinkWanted) -> shapes.LinkAnswer:
    """Add a link; the collector opens it within seconds, once a meter hangs on it."""
    services = services_of(request)
    with services.database.write() as session:
        link = create_link(services.registry(session), **wanted.model_dump(), now=services.clock())
        return shapes.LinkAnswer.model_validate(link)


@router.patch(
    "/links/{code}", tags=["links"], responses=documented(400, 404, 409, 422), summary="Change a link"
)
def patch_link(request: Request, code: Code, wanted: shapes.LinkChange) -> shapes.LinkAnswer:
    """Change what is given, or take the link in and out of use; the collector follows within seconds."""
    services = services_of(request)
    with services.database.write() as session:
        registry = services.registry(session)
        link = change_link(
            registry,
            _link(registry, code).id,
            now=services.clock(),
            **wanted.model_dump(exclude_unset=True),
        )
        return shapes.LinkAnswer.model_validate(link)


@router.post(
    "/meters",
    tags=["meters"],
    status_code=201,
    responses=documented(400, 404, 409, 422),
    summary="Add a meter",
)
def post_meter(request: Request, wanted: shapes.MeterWanted) -> schemas.MeterDetail:
    """Add a meter on a link. It is read from now on; energy is derived once it is installed at a metering point."""
    services = services_of(request)
    with services.database.write() as session:
        registry = services.registry(session)
        meter = create_meter(registry, now=services.clock(), **_fields(registry, wanted.model_dump()))
        meter_id = meter.id
    return get_meter(request, meter_id)


@router.patch(
    "/meters/{meter_id}",
    tags=["meters"],
    responses=documented(400, 404, 409, 422),
    summary="Change a meter",
)
def patch_meter(request: Request, meter_id: Id, wanted: shapes.MeterChange) -> schemas.MeterDetail:
    """Correct what is known of a meter, or take it in and out of use. Another device is an exchange, not a change."""
    services = services_of(request)
    with services.database.write() as session:
        registry = services.registry(session)
        fields = _fields(registry, wanted.model_dump(exclude_unset=True))
        change_meter(registry, meter_id, now=services.clock(), **fields)
    return get_meter(request, meter_id)


@router.post(
    "/points/{point_id}/exchange",
    tags=["meters"],
    status_code=201,
    responses=documented(400, 404, 409, 422),
    summary="Record a meter exchange",
)
def post_exchange(request: Request, point_id: Id, wanted: shapes.MeterExchange) -> schemas.MeterDetail:
    """Let another meter count at a metering point from a moment on, or the first one; answers with that meter.

    The new meter is added if it is not on record. Intervals that rest on the exchange are derived again; bills that were
    issued stay as they are.
    """
    services = services_of(request)
    with services.database.write() as session:
        registry = services.registry(session)
        given = wanted.model_dump(exclude={"meter"})
        meter = _fields(registry, wanted.meter.model_dump(exclude_unset=True))
        meter.setdefault("protocol", wanted.meter.protocol)
        installed = record_exchange(registry, point_id, meter=meter, now=services.clock(), **given)
        meter_id = installed.meter_id
    return get_meter(request, meter_id)


def _fields(registry: Registry, wanted: dict[str, Any]) -> dict[str, Any]:
    """What the registry takes: a link by its id."""
    if "link" in wanted:
        wanted["link_id"] = _link(registry, wanted.pop("link")).id
    return wanted


def _link(registry: Registry, code: str) -> Link:
    found = registry.link_by_code(code)
    if found is None:
        raise NotFound("link", code)
    return found
