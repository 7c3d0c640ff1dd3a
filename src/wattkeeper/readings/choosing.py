"""From what somebody names to series: which points and meters make up which, and when."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.readings.batches import microseconds
from wattkeeper.readings.series import Member
from wattkeeper.registry.chosen import Chosen
from wattkeeper.registry.errors import BadValue
from wattkeeper.registry.repository import Registry

Span = tuple[int, int, TimeRange]
"""A point, a meter, and when the one hung at the other."""


@dataclass(frozen=True, slots=True)
class Membership:
    """The members of some series, and for each series when something was installed that could be measured [µs]."""

    members: tuple[Member, ...]
    installed: dict[int, list[tuple[int, int]]]


def zone_of(chosen: Sequence[Chosen], asked: ZoneInfo | None, *, default: ZoneInfo) -> ZoneInfo:
    """The zone that days are counted in: the one asked for, or that of the sites of what was named.

    Raises:
        BadValue: the sites have different zones, and none was asked for.

    """
    if asked is not None:
        return asked
    zones = {one.zone.key: one.zone for one in chosen if one.zone is not None}
    if len(zones) > 1:
        raise BadValue(
            "zone",
            f"What is named lies in several time zones: {', '.join(sorted(zones))}.",
            hint="Say in which zone days are counted (zone=...), or ask for each site by itself.",
        )
    return next(iter(zones.values()), default)


def energy_members(
    registry: Registry, chosen: Sequence[Chosen], period: TimeRange, *, together: bool
) -> Membership:
    """Series of metering points: of a meter, its points for as long as it hung there."""
    return _membership(registry, chosen, period, together=together, energy=True)


def sample_members(
    registry: Registry, chosen: Sequence[Chosen], period: TimeRange, *, together: bool
) -> Membership:
    """Series of meters: of a point, the meters that hung there, each for as long."""
    return _membership(registry, chosen, period, together=together, energy=False)


def _membership(
    registry: Registry, chosen: Sequence[Chosen], period: TimeRange, *, together: bool, energy: bool
) -> Membership:
    points = {one: _points(registry, one) for one in chosen if one.kind != "meter"}
    of_point: defaultdict[int, list[Span]] = defaultdict(list)
    for span in registry.spans(point_ids={p for ids in points.values() for p in ids}, period=period):
        of_point[span[0]].append(span)
    of_meter: defaultdict[int, list[Span]] = defaultdict(list)
    meters = {one.id for one in chosen if one.kind == "meter"}
    for span in registry.spans(meter_ids=meters, period=period):
        of_meter[span[1]].append(span)
    wanted: defaultdict[tuple[int, int], list[TimeRange | None]] = defaultdict(list)
    spans: defaultdict[int, set[Span]] = defaultdict(set)
    for number, one in enumerate(chosen):
        series = 0 if together else number
        mine = of_meter[one.id] if one.kind == "meter" else [s for p in points[one] for s in of_point[p]]
        spans[series].update(mine)
        if energy and one.kind != "meter":
            for point in points[one]:
                wanted[series, point].append(None)
        elif not energy and one.kind == "meter":
            wanted[series, one.id].append(None)
        else:
            for point, meter, hung in mine:
                wanted[series, point if energy else meter].append(hung)
    members = tuple(
        Member(series, owner, part) for (series, owner), parts in wanted.items() for part in _joined(parts)
    )
    installed = {
        series: [(microseconds(span.start), microseconds(span.closed_end)) for _, _, span in each]
        for series, each in spans.items()
    }
    return Membership(members, installed)


def _points(registry: Registry, one: Chosen) -> list[int]:
    match one.kind:
        case "point":
            return [one.id]
        case "area":
            return registry.points_in_area(one.id)
        case _:
            return registry.points_in_site(one.id)


def _joined(parts: Sequence[TimeRange | None]) -> list[TimeRange | None]:
    """Periods that overlap or touch as one, so that nothing is counted twice; None is always."""
    if None in parts:
        return [None]
    joined: list[TimeRange] = []
    for part in sorted((p for p in parts if p is not None), key=lambda span: span.start):
        if joined and part.start <= joined[-1].closed_end:
            joined[-1] = TimeRange(joined[-1].start, max(joined[-1].closed_end, part.closed_end))
        else:
            joined.append(part)
    return list(joined)
