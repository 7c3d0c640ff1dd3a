"""Changing one thing at a time: areas, links, meters and where points belong, each on record.

An import brings many things; this is for the one address that was mistyped and the one link that moved. Each function
works in the caller's ``write()`` transaction and writes down what was and what is. The collector looks at the registry
by itself, and intervals are derived again where a change of a meter touches them.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from sqlalchemy.exc import DBAPIError

from wattkeeper.kernel.database import violates_constraint, violates_uniqueness
from wattkeeper.links.url import LinkUrl
from wattkeeper.registry.errors import AlreadyExists, BadValue, RegistryError
from wattkeeper.registry.models import Area, AreaKind, Link, Meter, MeteringPoint
from wattkeeper.registry.repository import Registry
from wattkeeper.registry.rules import (
    checked_address,
    checked_code,
    checked_model,
    checked_name,
    checked_positive,
    checked_shows,
)
from wattkeeper.security.audit import record

_LEVELS: Final = {AreaKind.FEEDER: 0, AreaKind.AREA: 1, AreaKind.BOX: 2}
_AREA: Final = ("code", "name", "kind", "parent_id")
_LINK: Final = ("code", "name", "url", "enabled")
_METER: Final = (
    "address", "protocol", "link_id", "model", "register_digits", "register_decimals", "shows", "max_current_a", "enabled",
)  # fmt: skip


def create_area(
    registry: Registry,
    *,
    site_id: int,
    code: str,
    name: str,
    kind: AreaKind,
    parent_id: int | None,
    now: datetime,
) -> Area:
    """Add an area under its parent, or under the site itself."""
    registry.get_site(site_id)
    if parent_id is not None:
        _fits_below(registry.get_area(parent_id), kind)
    area = registry.add_area(
        site_id=site_id, code=code, name=checked_name(name), kind=kind, parent_id=parent_id
    )
    record(registry.session, "area.create", now=now, subject=("area", area.id), name=area.name, after=_facts(area, _AREA))  # fmt: skip
    return area


def change_area(registry: Registry, area_id: int, *, now: datetime, **changes: Any) -> Area:
    """Rename an area (``code``, ``name``), or move it (``kind``, ``parent_id``); what is not given stays."""
    area = registry.get_area(area_id)
    before = _facts(area, _AREA)
    _set(
        area,
        changes,
        {"code": lambda code: checked_code("area", code), "name": checked_name, "kind": AreaKind},
    )
    with registry.session.no_autoflush:  # what the database refuses is told by `_flushed`
        if area.parent_id is not None:
            parent = registry.get_area(area.parent_id)
            _not_below_itself(registry, area)
            _fits_below(parent, area.kind)
        for child in registry.areas_below(area.id):
            _fits_below(area, child.kind)
    _flushed(registry, "area", area.code)
    _noted(registry, area, area.name, before=before, now=now)
    return area


def move_points(
    registry: Registry, point_ids: Collection[int], *, area_id: int | None, now: datetime
) -> list[MeteringPoint]:
    """Let points belong to an area of their site from now on, or to none; returns those that moved."""
    area = None if area_id is None else registry.get_area(area_id)
    moved = []
    for point_id in sorted(set(point_ids)):
        point = registry.get_point(point_id)
        if area is not None and area.site_id != point.site_id:
            raise BadValue(
                "area_id",
                f"Metering point {point.code} is of another site than area {area.code}.",
                hint="Choose an area of the point's own site.",
            )
        if point.area_id != area_id:
            before = {"area_id": point.area_id}
            point.area_id = area_id
            moved.append(point)
            record(registry.session, "point.move", now=now, subject=("point", point.id), name=point.name, before=before, after={"area_id": area_id})  # fmt: skip
    registry.session.flush()
    return moved


def create_link(registry: Registry, *, code: str, name: str, url: str, enabled: bool, now: datetime) -> Link:
    """Add a link."""
    link = registry.add_link(code=code, name=checked_name(name), url=url, enabled=enabled)
    record(registry.session, "link.create", now=now, subject=("link", link.id), name=link.name, after=_facts(link, _LINK))  # fmt: skip
    return link


def change_link(registry: Registry, link_id: int, *, now: datetime, **changes: Any) -> Link:
    """Change a link's ``code``, ``name``, ``url`` or whether it is ``enabled``; what is not given stays."""
    link = registry.get_link(link_id)
    before = _facts(link, _LINK)
    _set(link, changes, {"code": lambda code: checked_code("link", code), "name": checked_name, "url": _checked_url})  # fmt: skip
    _flushed(registry, "link", link.code)
    _noted(registry, link, link.name, before=before, now=now)
    return link


def create_meter(registry: Registry, *, now: datetime, **wanted: Any) -> Meter:
    """Add a meter on a link; it is read from now on, and installed by its own step."""
    registry.get_link(wanted["link_id"])
    wanted["shows"] = checked_shows(
        registry.side_of, wanted.get("protocol", ""), wanted.get("model", ""), wanted.get("shows")
    )
    meter = registry.add_meter(**wanted)
    record(registry.session, "meter.create", now=now, subject=("meter", meter.id), name=meter.address, after=_facts(meter, _METER))  # fmt: skip
    return meter


def change_meter(registry: Registry, meter_id: int, *, now: datetime, **changes: Any) -> Meter:
    """Change what is known of a meter; what is not given stays.

    Its readings stay its own: a mistyped address is corrected here, another device is an exchange.
    """
    meter = registry.get_meter(meter_id)
    before = _facts(meter, _METER)
    if "link_id" in changes:
        registry.get_link(changes["link_id"])
    protocol = changes.get("protocol", meter.protocol)
    _set(
        meter,
        changes,
        {
            "address": lambda address: checked_address(protocol, address),
            "model": lambda model: checked_model(protocol, model),
            "max_current_a": lambda rating: checked_positive("max_current_a", rating),
        },
    )
    if not {"protocol", "model", "shows"}.isdisjoint(changes):
        checked_shows(registry.side_of, meter.protocol, meter.model, meter.shows)
    _flushed(registry, "meter", meter.address)
    _noted(registry, meter, meter.address, before=before, now=now)
    return meter


def _checked_url(url: str) -> str:
    LinkUrl.parse(url)
    return url.strip()


def _set(entity: Area | Link | Meter, changes: Mapping[str, Any], rules: Mapping[str, Any]) -> None:
    for name, value in changes.items():
        checked = rules[name](value) if name in rules else value
        if getattr(entity, name) != checked:
            setattr(entity, name, checked)


def _fits_below(parent: Area, kind: AreaKind) -> None:
    """A feeder supplies areas and these supply boxes; nothing hangs below what it supplies."""
    if _LEVELS[kind] < _LEVELS[parent.kind]:
        raise BadValue(
            "parent_id",
            f"A {kind.value} cannot hang below the {parent.kind.value} {parent.code}.",
            hint="The order is site, feeder, area, box.",
        )


def _not_below_itself(registry: Registry, area: Area) -> None:
    above: int | None = area.parent_id
    while above is not None:
        if above == area.id:
            raise BadValue(
                "parent_id",
                f"Area {area.code} cannot hang below itself.",
                hint="Choose an area that is not one of its own branches.",
            )
        above = registry.get_area(above).parent_id


def _flushed(registry: Registry, kind: str, key: str) -> None:
    try:
        registry.session.flush()
    except DBAPIError as error:
        if violates_uniqueness(error):
            raise AlreadyExists(kind, key) from error
        if not violates_constraint(error):
            raise
        raise RegistryError(
            f"The {kind} {key} cannot be kept like this: {error.orig}.",
            hint="Check the values and what it refers to; nothing was kept.",
        ) from error


def _noted(
    registry: Registry, entity: Area | Link | Meter, name: str, *, before: Mapping[str, Any], now: datetime
) -> None:
    """Write down what changed; nothing where nothing did."""
    kind, after = entity.__tablename__, _facts(entity, tuple(before))
    changed = [field for field in before if before[field] != after[field]]
    if changed:
        record(
            registry.session,
            f"{kind}.change",
            now=now,
            subject=(kind, entity.id),
            name=name,
            before={field: before[field] for field in changed},
            after={field: after[field] for field in changed},
        )


def _facts(entity: Area | Link | Meter, fields: tuple[str, ...]) -> dict[str, Any]:
    """Some columns as the audit keeps them."""
    values = {field: getattr(entity, field) for field in fields}
    return {field: f"{value:f}" if isinstance(value, Decimal) else value for field, value in values.items()}
