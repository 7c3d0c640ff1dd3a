"""Meters, metering points and areas as somebody names them: by id, or by the words people use."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Row, Select, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased

from wattkeeper.kernel.database import in_parts
from wattkeeper.registry.errors import BadValue, NotFound
from wattkeeper.registry.models import Area, Installation, Meter, MeteringPoint, Site
from wattkeeper.registry.scope import Scope

_Named = Select[*tuple[Any, ...]]
"""A statement of id, code, name and zone."""
Kind = Literal["meter", "point", "area", "site"]
MOST_NAMED = 2_000
"""Things that may be named at once; an area is one of them, however much hangs in it."""
_AT_ONCE = 5_000
_SAID: dict[Kind, str] = {"meter": "meter", "point": "metering point", "area": "area", "site": "site"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What somebody names: meters by address, points, areas and sites by code, all also by id."""

    meter_ids: tuple[int, ...] = ()
    meters: tuple[str, ...] = ()
    point_ids: tuple[int, ...] = ()
    points: tuple[str, ...] = ()
    area_ids: tuple[int, ...] = ()
    areas: tuple[str, ...] = ()
    site_ids: tuple[int, ...] = ()
    sites: tuple[str, ...] = ()

    @property
    def nothing(self) -> bool:
        """Whether nothing is named."""
        return not self.named()

    def named(self) -> dict[str, tuple[int | str, ...]]:
        """What is named, by how; without what is not."""
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: keys for name, keys in given.items() if keys}


@dataclass(frozen=True, slots=True)
class Chosen:
    """One thing that was named. ``zone`` is that of its site, None for a meter that never hung anywhere."""

    kind: Kind
    id: int
    code: str
    name: str
    zone: ZoneInfo | None


def choose(session: Session, scope: Scope, wanted: Wanted) -> list[Chosen]:
    """What is named, within the scope: sites, areas, then points, then meters, each by code and once.

    Raises:
        NotFound: something is not there, or not within.
        BadValue: nothing is named, or more than can be.

    """
    if wanted.nothing:
        raise BadValue("meters", "No meter, metering point or area is named.", hint="Name at least one.")
    found = [
        *_found(session, _sites(scope), "site", Site.id, Site.code, wanted.site_ids, wanted.sites),
        *_found(session, _areas(scope), "area", Area.id, Area.code, wanted.area_ids, wanted.areas),
        *_found(
            session,
            _points(scope),
            "point",
            MeteringPoint.id,
            MeteringPoint.code,
            wanted.point_ids,
            wanted.points,
        ),
        *_found(session, _meters(scope), "meter", Meter.id, Meter.address, wanted.meter_ids, wanted.meters),
    ]
    if len(found) > MOST_NAMED:
        raise BadValue(
            "meters",
            f"{len(found):,} things are named, and at most {MOST_NAMED:,} can be at once.",
            hint="Name an area instead of its meters.",
        )
    return found


def meter_ids_by_address(session: Session, scope: Scope, addresses: Collection[str]) -> dict[str, list[int]]:
    """The meters within the scope of some addresses; one address may answer on several links."""
    found: dict[str, list[int]] = {}
    for part in in_parts(sorted(set(addresses)), _AT_ONCE):
        wanted = select(Meter.address, Meter.id).where(Meter.address.in_(part), scope.has_meter())
        for address, meter_id in session.execute(wanted.order_by(Meter.id)):
            found.setdefault(address, []).append(meter_id)
    return found


def point_ids_by_code(session: Session, scope: Scope, codes: Collection[str]) -> dict[str, int]:
    """The metering points within the scope of some codes."""
    found: dict[str, int] = {}
    for part in in_parts(sorted(set(codes)), _AT_ONCE):
        wanted = select(MeteringPoint.code, MeteringPoint.id).where(
            MeteringPoint.code.in_(part), scope.has_point()
        )
        found.update((code, point_id) for code, point_id in session.execute(wanted))
    return found


def names_of_meters(session: Session, ids: Collection[int]) -> dict[int, str]:
    """The addresses of some meters."""
    return _names(session, Meter.id, Meter.address, ids)


def names_of_points(session: Session, ids: Collection[int]) -> dict[int, str]:
    """The codes of some metering points."""
    return _names(session, MeteringPoint.id, MeteringPoint.code, ids)


def _names(
    session: Session,
    id_column: InstrumentedAttribute[int],
    name: InstrumentedAttribute[str],
    ids: Collection[int],
) -> dict[int, str]:
    found: dict[int, str] = {}
    for part in in_parts(sorted(ids), _AT_ONCE):
        found.update(
            (row[0], row[1]) for row in session.execute(select(id_column, name).where(id_column.in_(part)))
        )
    return found


def _found(  # noqa: PLR0917 (called three times, beside its definition)
    session: Session,
    wanted: _Named,
    kind: Kind,
    id_column: InstrumentedAttribute[int],
    code_column: InstrumentedAttribute[str],
    ids: Sequence[Any],
    codes: Sequence[Any],
) -> list[Chosen]:
    by_id = _rows(session, wanted, id_column, ids)
    by_code = _rows(session, wanted, code_column, codes)
    _require(kind, ids, {row[0] for row in by_id})
    _require(kind, codes, {row[1] for row in by_code})
    each = {row[0]: row for row in (*by_id, *by_code)}.values()
    chosen = [Chosen(kind, row[0], row[1], row[2], ZoneInfo(row[3]) if row[3] else None) for row in each]
    return sorted(chosen, key=lambda one: (one.code, one.id))


def _rows(
    session: Session, wanted: _Named, column: InstrumentedAttribute[Any], keys: Sequence[Any]
) -> list[Row[*tuple[Any, ...]]]:
    parts = in_parts(sorted(set(keys)), _AT_ONCE)
    return [row for part in parts for row in session.execute(wanted.where(column.in_(part)))]


def _require(kind: Kind, keys: Sequence[Any], there: Collection[Any]) -> None:
    missing = sorted(set(keys) - set(there))
    if missing:
        raise NotFound(_SAID[kind], missing[0])


def _sites(scope: Scope) -> _Named:
    return select(Site.id, Site.code, Site.name, Site.zone).where(scope.has_site())


def _areas(scope: Scope) -> _Named:
    return (
        select(Area.id, Area.code, Area.name, Site.zone)
        .join(Site, Site.id == Area.site_id)
        .where(scope.has_area())
    )


def _points(scope: Scope) -> _Named:
    return (
        select(MeteringPoint.id, MeteringPoint.code, MeteringPoint.name, Site.zone)
        .join(Site, Site.id == MeteringPoint.site_id)
        .where(scope.has_point())
    )


def _meters(scope: Scope) -> _Named:
    """Meters with the name and the zone of the point each was installed at last."""
    return (
        select(Meter.id, Meter.address, func.coalesce(MeteringPoint.name, ""), Site.zone)
        .select_from(Meter)
        .outerjoin(Installation, _last_of_meter())
        .outerjoin(MeteringPoint, MeteringPoint.id == Installation.point_id)
        .outerjoin(Site, Site.id == MeteringPoint.site_id)
        .where(scope.has_meter())
    )


def _last_of_meter() -> ColumnElement[bool]:
    later = aliased(Installation)
    newest = (
        select(func.max(later.valid_from))
        .where(later.meter_id == Meter.id)
        .correlate(Meter)
        .scalar_subquery()
    )
    return (Installation.meter_id == Meter.id) & (Installation.valid_from == newest)
