"""How complete the data are: what should be known of each day, by the meters that hung there, and on what it rests.

What is expected comes from the registry, what is there from the store's sums of days: one grouped query for a month,
whose answer has a row per place and day, however many points there are.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Final, Literal, TypeVar
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from sqlalchemy import select

from wattkeeper.kernel.timerange import TimeRange, start_of_day
from wattkeeper.registry.areas import Place
from wattkeeper.registry.models import Area, MeteringPoint
from wattkeeper.registry.values import AreaNode, MeasuredSpan
from wattkeeper.web.language import Language
from wattkeeper.web.queries.areas import AreaIdentity, Kind, kind_of
from wattkeeper.web.queries.curves import IMPORT
from wattkeeper.web.queries.meters import points_with_meters
from wattkeeper.web.services import Services

if TYPE_CHECKING:
    from wattkeeper.registry.models import Site

DAY: Final = timedelta(days=1)
GRID: Final = timedelta(minutes=15)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MINUTE_US: Final = 60_000_000
Share = Literal["known", "measured", "estimated", "missing"]
At = TypeVar("At")
Counts = npt.NDArray[np.int64]
"""Intervals by `_KINDS`, then by day."""
_KINDS: Final = ("expected", "measured", "estimated", "edited")


@dataclass(frozen=True, slots=True)
class Cell:
    """Intervals of some points in some days: how many should be known, and what those that are rest on."""

    expected: int
    measured: int
    estimated: int
    edited: int

    @property
    def known(self) -> int:
        """Those with an energy, whatever it rests on."""
        return self.measured + self.estimated + self.edited

    @property
    def missing(self) -> int:
        """Those without an energy."""
        return self.expected - self.known

    def share(self, kind: Share) -> float | None:
        """A part of what is expected; None where nothing is."""
        return getattr(self, kind) / self.expected if self.expected else None

    def level(self, kind: Share) -> str:
        """How good that is, as one of five steps; empty where nothing is expected."""
        share = self.share(kind)
        if share is None:
            return ""
        good = share if kind in {"known", "measured"} else 1 - share
        steps = ((1.0, "whole"), (0.99, "most"), (0.95, "some"), (0.8, "poor"))
        return next((name for least, name in steps if good >= least), "bad")

    def percent(self, kind: Share) -> str:
        """The share in whole per cent, rounded so that only what is whole says 100, and only what is nothing 0."""
        if not self.expected:
            return ""
        count = getattr(self, kind)
        if kind in {"known", "measured"}:
            return f"{100 * count // self.expected}"
        return f"{-(-100 * count // self.expected)}"


def cells(counts: Counts) -> list[Cell]:
    """The cell of each day."""
    return [Cell(*column) for column in counts.T.tolist()]


def total(counts: Counts) -> Cell:
    """All days together."""
    return Cell(*counts.sum(axis=1).tolist())


@dataclass(frozen=True, slots=True)
class Quality:
    """What is known of some civil days; days to come have nothing expected."""

    days: tuple[date, ...]
    by_place: dict[Place, Counts]
    """Each day of what is directly in each area, and in each site outside of any."""
    by_point: dict[int, Counts]
    """All days of each point together, as if they were one."""
    places: dict[int, Place]
    """Where each of these points is."""


@dataclass(frozen=True, slots=True)
class QualityLine:
    """A line of the tree; of a site and of what belongs to no area, `id` is None."""

    key: str
    id: int | None
    site_id: int
    code: str
    name: str
    kind: Kind
    depth: int
    counts: Counts
    children: tuple["QualityLine", ...] = ()

    @property
    def cells(self) -> list[Cell]:
        """Its days."""
        return cells(self.counts)

    @property
    def total(self) -> Cell:
        """All its days together."""
        return total(self.counts)

    @property
    def listed(self) -> Iterator["QualityLine"]:
        """Itself and all below it, as the tree shows them."""
        yield self
        for child in self.children:
            yield from child.listed


Days = tuple[date, date]
"""The first and the last, both included."""


def month_of(day: date) -> Days:
    """The civil month that a day lies in."""
    first = day.replace(day=1)
    return first, (first + 31 * DAY).replace(day=1) - DAY


def days_between(asked: Days) -> tuple[date, ...]:
    """Every one of them."""
    return tuple(asked[0] + n * DAY for n in range((asked[1] - asked[0]).days + 1))


def quality_of(services: Services, asked: Days) -> Quality:
    """What should be known of each of some days, and what is; kept for a minute, as many may ask."""
    found = Quality(days_between(asked), {}, {}, {})
    for zone, spans in _spans_by_zone(services, asked).items():
        places = [(span.site_id, span.area_id) for span in spans]
        found.places.update((span.point_id, place) for span, place in zip(spans, places, strict=True))
        found.by_place.update(_by_day(services, spans, places, found.days, zone))
        found.by_point.update(_by_point(services, spans, found.days, zone))
    return found


def quality_of_yesterday(services: Services, area: AreaIdentity) -> Cell:
    """The same of an area's points and the day before today."""
    yesterday = services.clock().astimezone(area.zone).date() - DAY
    counts = np.zeros((len(_KINDS), 1), np.int64)
    for zone, spans in _spans_by_zone(services, (yesterday, yesterday), area.point_ids).items():
        counts += sum(_by_point(services, spans, [yesterday], zone).values())
    return total(counts)


def _spans_by_zone(
    services: Services, asked: Days, point_ids: Collection[int] | None = None
) -> dict[ZoneInfo, list[MeasuredSpan]]:
    """What hung where, by the zone of its site."""
    # A day begins up to 14 hours before UTC's, and ends up to 12 after it.
    around = TimeRange(_midnight(asked[0]) - DAY, _midnight(asked[1]) + 2 * DAY)
    with services.database.read() as session:
        registry = services.registry(session)
        zones = {site.id: ZoneInfo(site.zone) for site in registry.sites()}
        spans = registry.measured_spans(around, point_ids=point_ids)
    found: dict[ZoneInfo, list[MeasuredSpan]] = {}
    for span in spans:
        found.setdefault(zones[span.site_id], []).append(span)
    return found


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _by_day(
    services: Services,
    spans: Sequence[MeasuredSpan],
    places: Sequence[At],
    days: Sequence[date],
    zone: ZoneInfo,
) -> dict[At, Counts]:
    """The counts of each day and place; `places` says where each span counts."""
    known = list(dict.fromkeys(places))
    number = {place: at for at, place in enumerate(known)}
    counts = np.zeros((len(known), len(_KINDS), len(days)), np.int64)
    slots = np.zeros((len(known), len(days)))
    np.add.at(slots, [number[place] for place in places], expected_slots(spans, days, zone, services.clock()))
    counts[:, 0] = _whole(slots)
    where = {span.point_id: number[place] for span, place in zip(spans, places, strict=True)}
    belongs = pa.table(
        {"point_id": pa.array(where.keys(), pa.int64()), "place": pa.array(where.values(), pa.int64())}
    )
    table = services.store.energy_of_places(belongs, IMPORT, (days[0], days[-1]), zone)
    day = np.asarray(table["day"].cast(pa.int32()).to_numpy()) - (days[0] - _EPOCH.date()).days
    _put(counts, table, np.asarray(table["place"].to_numpy()), day)
    return dict(zip(known, counts, strict=True))


def _by_point(
    services: Services, spans: Sequence[MeasuredSpan], days: Sequence[date], zone: ZoneInfo
) -> dict[int, Counts]:
    """The counts of each point over all days together."""
    points = np.unique([span.point_id for span in spans])
    counts = np.zeros((len(points), len(_KINDS), 1), np.int64)
    slots = np.zeros(len(points))
    at = np.searchsorted(points, [span.point_id for span in spans])
    np.add.at(slots, at, expected_slots(spans, days, zone, services.clock()).sum(axis=1))
    counts[:, 0, 0] = _whole(slots)
    table = services.store.energy_of_points(points.tolist(), IMPORT, (days[0], days[-1]), zone)
    row = np.searchsorted(points, np.asarray(table["point_id"].to_numpy()))
    _put(counts, table, row, np.zeros(len(row), np.int64))
    return dict(zip(points.tolist(), counts, strict=True))


def expected_slots(
    spans: Sequence[MeasuredSpan], days: Sequence[date], zone: ZoneInfo, now: datetime
) -> npt.NDArray[np.float64]:
    """How many intervals each span should have on each day, up to the last quarter hour that is over.

    By length of time, so that the two parts of an interval in which a meter was exchanged count as one.
    """
    until = _EPOCH + (now - _EPOCH) // GRID * GRID
    edges = np.array([_us(start_of_day(day, zone)) for day in (*days, days[-1] + DAY)], np.int64)
    starts = np.array([_us(span.start) for span in spans], np.int64)[:, None]
    ends = np.array([_us(min(span.end or until, until)) for span in spans], np.int64)[:, None]
    minutes = np.array([span.interval_minutes for span in spans], np.int64)[:, None]
    over = np.maximum(0, np.minimum(ends, edges[1:]) - np.maximum(starts, edges[:-1]))
    slots: npt.NDArray[np.float64] = over / (minutes * _MINUTE_US)
    return slots


def _us(instant: datetime) -> int:
    return (instant - _EPOCH) // timedelta(microseconds=1)


def _whole(slots: npt.NDArray[np.float64]) -> Counts:
    """A meter that hung for a part of an interval makes all of it expected."""
    return np.ceil(slots - 1e-6).astype(np.int64)


def _put(counts: Counts, table: pa.Table, row: Counts, day: Counts) -> None:
    """Put what is there beside what is expected; what is there was expected."""
    intervals, estimated, edited, without = (
        np.asarray(table[name].to_numpy(), np.int64)
        for name in ("intervals", "estimated", "edited", "without_energy")
    )
    for kind, there in enumerate((intervals - estimated - edited - without, estimated, edited), start=1):
        counts[row, kind, day] = there
    counts[:, 0] = np.maximum(counts[:, 0], counts[:, 1:].sum(axis=1))


def tree(services: Services, known: Quality) -> list[QualityLine]:
    """Every site with its areas; what belongs to none comes last."""
    with services.database.read() as session:
        registry = services.registry(session)
        return [_site_line(site, registry.area_tree(site.id), known) for site in registry.sites()]


def _site_line(site: "Site", nodes: Sequence[AreaNode], known: Quality) -> QualityLine:
    children = [_area_line(node, site.id, known, depth=1) for node in nodes]
    loose = known.by_place.get((site.id, None))
    if loose is not None:
        children.append(QualityLine(f"none-{site.id}", None, site.id, "", "", "none", 1, loose))
    counts = sum((child.counts for child in children), start=nothing(known))
    return QualityLine(
        f"site-{site.id}", None, site.id, site.code, site.name, "site", 0, counts, tuple(children)
    )


def _area_line(node: AreaNode, site_id: int, known: Quality, *, depth: int) -> QualityLine:
    children = tuple(_area_line(child, site_id, known, depth=depth + 1) for child in node.children)
    own = known.by_place.get((site_id, node.area_id), nothing(known))
    counts = sum((child.counts for child in children), start=own)
    return QualityLine(
        f"area-{node.area_id}", node.area_id, site_id, node.code, node.name, kind_of(node.kind), depth, counts, children
    )  # fmt: skip


def nothing(known: Quality) -> Counts:
    """Days of which nothing is expected."""
    return np.zeros((len(_KINDS), len(known.days)), np.int64)


@dataclass(frozen=True, slots=True)
class PointLine:
    """A metering point with its days."""

    id: int
    code: str
    name: str
    area: str | None
    meter_id: int | None
    counts: Counts

    @property
    def cells(self) -> list[Cell]:
        """Its days."""
        return cells(self.counts)

    @property
    def total(self) -> Cell:
        """All its days together."""
        return total(self.counts)


def points_of(known: Quality, line: QualityLine) -> set[int]:
    """The points at and below a line of the tree."""
    if line.kind == "site":
        return {point for point, (site, _) in known.places.items() if site == line.site_id}
    if line.kind == "none":
        return {point for point, place in known.places.items() if place == (line.site_id, None)}
    areas = {below.id for below in line.listed}
    return {point for point, (_, area) in known.places.items() if area in areas}


def least_complete(known: Quality, point_ids: Collection[int] | None) -> list[int]:
    """The points of which most is missing, then of which most is estimated, first; None is all points."""
    chosen = [point for point in known.by_point if point_ids is None or point in point_ids]
    counts = np.array([known.by_point[point][:, 0] for point in chosen], np.int64).reshape(-1, len(_KINDS))
    expected = np.maximum(counts[:, 0], 1)
    missing = (counts[:, 0] - counts[:, 1:].sum(axis=1)) / expected
    order = np.lexsort((np.asarray(chosen, np.int64), -counts[:, 2] / expected, -missing))
    return [chosen[at] for at in order.tolist() if counts[at, 0]]


def point_lines(services: Services, point_ids: Sequence[int], asked: Days) -> list[PointLine]:
    """Some points with each of their days, in the order given."""
    days = days_between(asked)
    counts: dict[int, Counts] = {}
    for zone, spans in _spans_by_zone(services, asked, point_ids).items():
        counts |= _by_day(services, spans, [span.point_id for span in spans], days, zone)
    with services.database.read() as session:
        registry = services.registry(session)
        rows = session.execute(
            select(MeteringPoint, Area.name)
            .outerjoin(Area, Area.id == MeteringPoint.area_id)
            .where(MeteringPoint.id.in_(point_ids), services.scope.has_point())
        )
        named = {point.id: (point.code, point.name, area) for point, area in rows}
        hung = points_with_meters(registry, list(named), services.clock())
    return [
        PointLine(point, *named[point], hung.get(point, (None, None))[0], counts[point])
        for point in point_ids
        if point in named and point in counts
    ]


def in_words(cell: Cell, say: Language) -> str:
    """All that a cell says, for whoever points at it or hears it."""
    if not cell.expected:
        return say.text("nothing expected")
    parts = [
        say.text("%(share)s measured", share=say.percent(cell.share("measured"))),
        say.text("%(share)s estimated", share=say.percent(cell.share("estimated"))),
        say.text("%(share)s missing", share=say.percent(cell.share("missing"))),
    ]
    return say.listed(parts)
