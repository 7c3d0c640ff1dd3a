"""The registry's SQL about areas: the tree, and what hangs in each."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, or_, select

from wattkeeper.kernel.database import in_parts
from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.registry.models import Area, Installation, Meter, MeteringPoint
from wattkeeper.registry.periods import Periods
from wattkeeper.registry.scope import at_and_below
from wattkeeper.registry.values import AreaNode, MeasuredSpan

Place = tuple[int, int | None]
"""A site and an area; None stands for what belongs to no area."""
_NAMED_AT_ONCE = 5000


class Areas(Periods):
    """Areas within the scope, in the caller's transaction."""

    def areas_below(self, area_id: int) -> list[Area]:
        """The areas directly below one, by code."""
        return list(self._session.scalars(select(Area).where(Area.parent_id == area_id).order_by(Area.code)))

    def area_tree(self, site_id: int) -> tuple[AreaNode, ...]:
        """The areas of a site as a tree, each with the number of metering points at and below it."""
        within = select(Area).where(Area.site_id == site_id, self._scope.has_area())
        areas = self._session.scalars(within.order_by(Area.code)).all()
        points = select(MeteringPoint.area_id, func.count()).where(MeteringPoint.site_id == site_id)
        direct = {row[0]: row[1] for row in self._session.execute(points.group_by(MeteringPoint.area_id))}
        known = {area.id for area in areas}
        below: dict[int | None, list[Area]] = {}
        for area in areas:  # what hangs below an area that is out of scope begins a tree of its own
            below.setdefault(area.parent_id if area.parent_id in known else None, []).append(area)

        def node(area: Area) -> AreaNode:
            children = tuple(node(child) for child in below.get(area.id, ()))
            count = direct.get(area.id, 0) + sum(child.points for child in children)
            return AreaNode(area.id, area.code, area.name, area.kind, count, children)

        return tuple(node(area) for area in below.get(None, ()))

    def points_in_area(self, area_id: int) -> list[int]:
        """The ids of the metering points at and below an area."""
        wanted = select(MeteringPoint.id).where(
            MeteringPoint.area_id.in_(at_and_below([area_id])), self._scope.has_point()
        )
        return list(self._session.scalars(wanted.order_by(MeteringPoint.id)))

    def points_in_site(self, site_id: int) -> list[int]:
        """The ids of the metering points of a site."""
        wanted = select(MeteringPoint.id).where(MeteringPoint.site_id == site_id, self._scope.has_point())
        return list(self._session.scalars(wanted.order_by(MeteringPoint.id)))

    def counts_by_place(self, now: datetime) -> dict[Place, tuple[int, int]]:
        """How many points within are directly in each area, or in a site outside of any, and how many meters hang there."""
        place = (MeteringPoint.site_id, MeteringPoint.area_id)
        points = select(*place, func.count()).where(self._scope.has_point()).group_by(*place)
        meters = self._hanging(select(*place, func.count()).select_from(Installation), now).group_by(*place)
        hanging = {(row[0], row[1]): row[2] for row in self._session.execute(meters)}
        counted = self._session.execute(points)
        return {(row[0], row[1]): (row[2], hanging.get((row[0], row[1]), 0)) for row in counted}

    def places_of_meters(self, meter_ids: Collection[int], now: datetime) -> list[Place]:
        """Where each of some meters hangs now; those that hang nowhere within are left out."""
        place = select(MeteringPoint.site_id, MeteringPoint.area_id).select_from(Installation)
        wanted, ids = self._hanging(place, now), sorted(meter_ids)
        parts = in_parts(ids, _NAMED_AT_ONCE)
        return [
            (row[0], row[1])
            for part in parts
            for row in self._session.execute(wanted.where(Meter.id.in_(part)))
        ]

    def areas_of_points(self) -> dict[int, tuple[int, int | None]]:
        """Every point within, with its site and area."""
        wanted = select(MeteringPoint.id, MeteringPoint.site_id, MeteringPoint.area_id).where(
            self._scope.has_point()
        )
        return {row[0]: (row[1], row[2]) for row in self._session.execute(wanted)}

    def measured_spans(
        self, period: TimeRange, *, point_ids: Collection[int] | None = None
    ) -> list[MeasuredSpan]:
        """When meters in use hung at points within, where that touches a closed period; None is all points.

        A point may have several.
        """
        wanted = (
            select(
                MeteringPoint.id,
                MeteringPoint.site_id,
                MeteringPoint.area_id,
                MeteringPoint.interval_minutes,
                Installation.valid_from,
                Installation.valid_to,
            )
            .select_from(Installation)
            .join(MeteringPoint, MeteringPoint.id == Installation.point_id)
            .join(Meter, Meter.id == Installation.meter_id)
            .where(
                self._scope.has_point(),
                Meter.enabled,
                Installation.valid_from < period.closed_end,
                or_(Installation.valid_to.is_(None), Installation.valid_to > period.start),
            )
        )
        if point_ids is not None and len(point_ids) <= _NAMED_AT_ONCE:
            wanted = wanted.where(MeteringPoint.id.in_(point_ids))
        rows = [MeasuredSpan(*row) for row in self._session.execute(wanted)]
        chosen = None if point_ids is None else set(point_ids)
        return [row for row in rows if chosen is None or row.point_id in chosen]

    def _hanging(self, wanted: Select[*tuple[Any, ...]], now: datetime) -> Select[*tuple[Any, ...]]:
        """Of a statement over Installation: the meters in use that hang at points within."""
        return (
            wanted.join(MeteringPoint, MeteringPoint.id == Installation.point_id)
            .join(Meter, Meter.id == Installation.meter_id)
            .where(
                self._scope.has_point(),
                Meter.enabled,
                Installation.valid_from <= now,
                or_(Installation.valid_to.is_(None), Installation.valid_to > now),
            )
        )
