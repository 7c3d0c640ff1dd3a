"""Areas with what hangs below them: points, meters, silent ones, energy; each found out by one grouped query."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Final, Literal
from zoneinfo import ZoneInfo

import pyarrow.compute as pc
from sqlalchemy import or_, select

from wattkeeper.collection.values import Presence
from wattkeeper.registry.areas import Place
from wattkeeper.registry.models import Area, MeteringPoint
from wattkeeper.registry.repository import Registry
from wattkeeper.registry.scope import at_and_below
from wattkeeper.registry.values import AreaNode
from wattkeeper.web.queries import within
from wattkeeper.web.queries.curves import IMPORT
from wattkeeper.web.queries.meters import points_with_meters
from wattkeeper.web.services import Services

if TYPE_CHECKING:
    from wattkeeper.registry.models import Site

PAGE: Final = 50
NOWHERE: Final = "none"
Kind = Literal["site", "feeder", "area", "box", "none"]


@dataclass(slots=True)
class Sums:
    """What some points have in all; energies are None where nothing is known."""

    points: int = 0
    meters: int = 0
    silent: int = 0
    yesterday_kwh: Decimal | None = None
    month_kwh: Decimal | None = None

    def add(self, other: "Sums") -> None:
        """Count another one in."""
        self.points += other.points
        self.meters += other.meters
        self.silent += other.silent
        self.yesterday_kwh = _plus(self.yesterday_kwh, other.yesterday_kwh)
        self.month_kwh = _plus(self.month_kwh, other.month_kwh)


def _plus(one: Decimal | None, other: Decimal | None) -> Decimal | None:
    return one if other is None else other if one is None else one + other


@dataclass(frozen=True, slots=True)
class AreaLine:
    """A line of the tree; of a site and of what belongs to no area, `id` is None."""

    id: int | None
    site_id: int
    code: str
    name: str
    kind: Kind
    depth: int
    sums: Sums
    children: tuple["AreaLine", ...] = ()

    @property
    def listed(self) -> Iterator["AreaLine"]:
        """Itself and all below it, as the tree shows them."""
        yield self
        for child in self.children:
            yield from child.listed


@dataclass(frozen=True, slots=True)
class Energies:
    """Energy of the points that are directly in each area [kWh]: of yesterday, and of this month up to now."""

    yesterday: dict[Place, Decimal] = field(default_factory=dict)
    month: dict[Place, Decimal] = field(default_factory=dict)


def energies(services: Services) -> Energies:
    """The energies of all points within, each in the days of its own site: kept for a minute, as many may ask."""
    now = services.clock()
    with services.database.read() as session:
        registry = services.registry(session)
        zones = {site.id: ZoneInfo(site.zone) for site in registry.sites()}
        of_points = registry.areas_of_points()
    found = Energies()
    for zone in sorted(set(zones.values()), key=lambda zone: zone.key):
        there = {point: place for point, place in of_points.items() if zones.get(place[0]) == zone}
        today = now.astimezone(zone).date()
        yesterday = today - timedelta(days=1)
        _add_up(found.yesterday, services, there, (yesterday, yesterday), zone)
        _add_up(found.month, services, there, (today.replace(day=1), today), zone)
    return found


def _add_up(
    sums: dict[Place, Decimal],
    services: Services,
    there: dict[int, Place],
    days: tuple[date, date],
    zone: ZoneInfo,
) -> None:
    """Count what points used over some days in where they are."""
    table = services.store.energy_of_points(within.point_ids(services), IMPORT, days, zone)
    known = table.filter(pc.greater(table["intervals"], table["without_energy"]))
    for point, energy in zip(known["point_id"].to_pylist(), known["energy"].to_pylist(), strict=True):
        if (place := there.get(point)) is not None:
            sums[place] = sums.get(place, Decimal(0)) + energy


def tree(services: Services, known: Energies) -> list[AreaLine]:
    """Every site with its areas; what belongs to none comes last."""
    with services.database.read() as session:
        registry = services.registry(session)
        sums = _sums(services, registry, known)
        return [_site_line(site, registry.area_tree(site.id), sums) for site in registry.sites()]


def _sums(services: Services, registry: Registry, known: Energies) -> dict[Place, Sums]:
    """What hangs directly in each area, and in each site outside of any."""
    now = services.clock()
    silent = Counter(registry.places_of_meters(silent_meters(services), now))
    return {
        place: Sums(points, meters, silent[place], known.yesterday.get(place), known.month.get(place))
        for place, (points, meters) in registry.counts_by_place(now).items()
    }


def silent_meters(services: Services) -> frozenset[int]:
    """The ids of the meters that do not answer; none where no collector runs."""
    known = within.presences(services)
    return frozenset(meter_id for meter_id, presence in known.items() if presence is Presence.SILENT)


def _site_line(site: "Site", nodes: Sequence[AreaNode], sums: dict[Place, Sums]) -> AreaLine:
    children = [_area_line(node, site.id, sums, depth=1) for node in nodes]
    loose = sums.get((site.id, None))
    if loose is not None:
        children.append(AreaLine(None, site.id, "", "", "none", 1, loose))
    return AreaLine(None, site.id, site.code, site.name, "site", 0, _total(children), tuple(children))


def _area_line(node: AreaNode, site_id: int, sums: dict[Place, Sums], *, depth: int) -> AreaLine:
    children = tuple(_area_line(child, site_id, sums, depth=depth + 1) for child in node.children)
    total = _total(children)
    total.add(sums.get((site_id, node.area_id), Sums()))
    return AreaLine(node.area_id, site_id, node.code, node.name, kind_of(node.kind), depth, total, children)


def kind_of(kind: str) -> Kind:
    """What a line of the tree is."""
    return "feeder" if kind == "feeder" else "box" if kind == "box" else "area"


def _total(lines: Sequence[AreaLine]) -> Sums:
    total = Sums()
    for line in lines:
        total.add(line.sums)
    return total


def line_of(lines: Sequence[AreaLine], area_id: int) -> AreaLine:
    """The line of an area in a tree that has it."""
    return next(line for root in lines for line in root.listed if line.id == area_id)


@dataclass(frozen=True, slots=True)
class AreaIdentity:
    """Where an area stands; `path` are the areas above it as far as whoever asks may see them, the uppermost first."""

    id: int
    site_id: int
    site_name: str
    parent_id: int | None
    code: str
    name: str
    kind: Kind
    zone: ZoneInfo
    path: tuple[tuple[int, str], ...]
    point_ids: tuple[int, ...]
    """The points at and below it."""


def identity(services: Services, area_id: int) -> AreaIdentity:
    """An area within; NotFound for any other."""
    with services.database.read() as session:
        registry = services.registry(session)
        area = registry.get_area(area_id)
        site = registry.get_site(area.site_id)
        above = {found.id: found for found in session.scalars(select(Area).where(Area.site_id == area.site_id, services.scope.has_area()))}  # fmt: skip
        path: list[tuple[int, str]] = []
        parent = above.get(area.parent_id or 0)
        while parent is not None:
            path.insert(0, (parent.id, parent.name))
            parent = above.get(parent.parent_id or 0)
        return AreaIdentity(
            id=area.id, site_id=site.id, site_name=site.name, parent_id=area.parent_id, code=area.code, name=area.name,
            kind=kind_of(area.kind), zone=ZoneInfo(site.zone), path=tuple(path),
            point_ids=tuple(registry.points_in_area(area_id)),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class PointLine:
    """A metering point in a list."""

    id: int
    code: str
    name: str
    area: str | None
    meter_id: int | None
    address: str | None


@dataclass(frozen=True, slots=True)
class FoundPoints:
    """A page of points; `after` asks for the next one."""

    rows: tuple[PointLine, ...]
    after: str | None


def find_points(
    services: Services, *, area_id: int | None, search: str = "", after: str | None = None, limit: int = PAGE
) -> FoundPoints:
    """The points at and below an area, by code; None for those of no area."""
    wanted = (
        select(MeteringPoint, Area.name)
        .outerjoin(Area, Area.id == MeteringPoint.area_id)
        .where(services.scope.has_point())
        .order_by(MeteringPoint.code)
        .limit(limit + 1)
    )
    if area_id is None:
        wanted = wanted.where(MeteringPoint.area_id.is_(None))
    else:
        wanted = wanted.where(MeteringPoint.area_id.in_(at_and_below([area_id])))
    if search:
        wanted = wanted.where(
            or_(
                MeteringPoint.code.icontains(search, autoescape=True),
                MeteringPoint.name.icontains(search, autoescape=True),
            )
        )
    if after is not None:
        wanted = wanted.where(MeteringPoint.code > after)
    with services.database.read() as session:
        found = session.execute(wanted).all()
        shown = found[:limit]
        hung = points_with_meters(services.registry(session), [row[0].id for row in shown], services.clock())
        rows = tuple(
            PointLine(point.id, point.code, point.name, area, *hung.get(point.id, (None, None)))
            for point, area in ((row[0], row[1]) for row in shown)
        )
    return FoundPoints(rows, rows[-1].code if len(found) > limit else None)
