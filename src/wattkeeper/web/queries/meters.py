"""Meters with where they hang, how they fare and what they last said."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from wattkeeper.collection.models import MeterProgress
from wattkeeper.collection.spoken import spoken_protocol
from wattkeeper.collection.values import MeterState, Presence
from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.registry.models import Meter
from wattkeeper.registry.repository import Registry
from wattkeeper.registry.values import InstalledMeter, MeterPage, MeterRow
from wattkeeper.web.language import Language
from wattkeeper.web.queries import within
from wattkeeper.web.queries.states import N_, Level, meter_shown
from wattkeeper.web.queries.values import ENERGY, POWER, latest_by_meter
from wattkeeper.web.services import Services

PAGE: Final = 50
DISABLED: Final = "disabled"
IDS_MAX: Final = 1000
"""More meters than this in a state are found by looking through the list: then every page has some."""
LOOKED_THROUGH: Final = 1000
"""Most rows fetched at once where a filter is not the registry's; its pages hold no more."""


@dataclass(frozen=True, slots=True)
class MeterFilter:
    """What a list of meters is narrowed to."""

    search: str = ""
    link: str = ""
    area: int | None = None
    state: str = ""
    sort: str = "address"
    descending: bool = False

    @property
    def narrowed(self) -> bool:
        """Whether anything is left out."""
        return bool(self.search or self.link or self.area or self.state)


@dataclass(frozen=True, slots=True)
class MeterLine:
    """One line of the list of meters."""

    id: int
    address: str
    point: str | None
    area: str | None
    link: str
    level: Level
    state: str
    presence: Presence
    energy_kwh: Decimal | None
    power_kw: Decimal | None
    read_at: datetime | None


@dataclass(frozen=True, slots=True)
class FoundMeters:
    """A page of registry rows with the collector's view of each; `total` is None when only counting would tell."""

    rows: tuple[MeterRow, ...]
    states: dict[int, MeterState]
    total: int | None
    after: str | None

    @classmethod
    def of(
        cls, services: Services, rows: Sequence[MeterRow], total: int | None, after: str | None
    ) -> "FoundMeters":
        """The rows with the states of just these meters: a page must not cost more on a larger fleet."""
        collector = services.collector
        states = ((row.meter_id, collector.meter_state(row.meter_id)) for row in rows) if collector else ()
        known = {meter_id: state for meter_id, state in states if state is not None}
        return cls(tuple(rows), known, total, after)


def find(
    services: Services, wanted: MeterFilter, *, after: str | None = None, limit: int = PAGE
) -> FoundMeters:
    """A page of meters."""
    with services.database.read() as session:
        registry = services.registry(session)
        link = registry.link_by_code(wanted.link) if wanted.link else None
        if wanted.link and link is None:
            return FoundMeters.of(services, (), 0, None)

        fetch = functools.partial(
            registry.find_meters,
            search=wanted.search,
            link_id=link.id if link else None,
            area_id=wanted.area,
            sort=wanted.sort,
            descending=wanted.descending,
        )
        if wanted.state == DISABLED:
            fetch = functools.partial(fetch, enabled=False)
        elif wanted.state:
            known = within.presences(services)
            ids = [meter_id for meter_id, presence in known.items() if presence == wanted.state]
            if wanted.state == Presence.UNKNOWN or len(ids) > IDS_MAX:
                rows, following = _of_state(fetch, known, wanted.state, after=after, limit=limit)
                return FoundMeters.of(services, rows, None, following)
            fetch = functools.partial(fetch, meter_ids=ids, enabled=True)
        found = fetch(limit=limit, after=after)
        return FoundMeters.of(services, found.rows, found.total, found.after)


def _of_state(
    fetch: Callable[..., MeterPage],
    known: dict[int, Presence],
    state: str,
    *,
    after: str | None,
    limit: int,
) -> tuple[list[MeterRow], str | None]:
    """The registry does not know who is silent, so its pages are looked through until one page's worth is found.

    What is looked for may be rare, so the pages looked through grow; the last one is cut where the page is full.
    """
    chosen: list[MeterRow] = []
    looked_through = limit
    while len(chosen) < limit:
        page = fetch(limit=looked_through, after=after, counted=False)
        fitting = [row for row in page.rows if _state_of(row, known) == state]
        if len(chosen) + len(fitting) > limit:  # look again, in steps that end where the page is full
            page = fetch(limit=limit, after=after, counted=False)
            fitting = [row for row in page.rows if _state_of(row, known) == state]
        looked_through = min(2 * looked_through, LOOKED_THROUGH)
        chosen += fitting
        after = page.after
        if after is None:
            break
    return chosen, after


def presence_of(row: MeterRow, states: dict[int, MeterState]) -> str:
    """The state a meter is filtered by."""
    state = states.get(row.meter_id)
    return _state_of(row, {row.meter_id: state.presence} if state else {})


def _state_of(row: MeterRow, known: dict[int, Presence]) -> str:
    return known.get(row.meter_id, Presence.UNKNOWN).value if row.enabled else DISABLED


def lines(services: Services, found: FoundMeters, say: Language) -> list[MeterLine]:
    """The page's rows with their latest energy and power."""
    latest = latest_by_meter(services.store, [row.meter_id for row in found.rows], [ENERGY, POWER])

    def line(row: MeterRow) -> MeterLine:
        energy, power = latest.get((row.meter_id, ENERGY)), latest.get((row.meter_id, POWER))
        state = found.states.get(row.meter_id)
        shown = meter_shown(state, enabled=row.enabled, say=say)
        return MeterLine(
            id=row.meter_id,
            address=row.address,
            point=row.point_name,
            area=row.area_name,
            link=row.link_name,
            level=shown.level,
            state=shown.text,
            presence=state.presence if state else Presence.UNKNOWN,
            energy_kwh=energy.value if energy else None,
            power_kw=power.value if power else None,
            read_at=max((value.read_at for value in (energy, power) if value), default=None),
        )

    return [line(row) for row in found.rows]


@dataclass(frozen=True, slots=True)
class InstallationLine:
    """A meter at a point for a period."""

    meter_id: int
    address: str
    point: str
    start: datetime
    end: datetime | None
    ratio: Decimal
    first_register: Decimal
    last_register: Decimal | None


@dataclass(frozen=True, slots=True)
class MeterIdentity:
    """Who a meter is and where it hangs now."""

    id: int
    address: str
    protocol: str
    spoken: str
    """The code of the protocol that it speaks."""
    speaks: str | None
    """What that is called, where it was registered with another: to be found out."""
    model: str
    enabled: bool
    register_digits: int
    register_decimals: int
    shows: str
    link_code: str
    link_name: str
    point_id: int | None = None
    point_code: str | None = None
    point_name: str | None = None
    interval_minutes: int | None = None
    ratio: Decimal | None = None
    site_name: str | None = None
    area_id: int | None = None
    area_name: str | None = None
    zone: str | None = None
    account_id: int | None = None
    account_code: str | None = None
    account_name: str | None = None
    removed_at: datetime | None = None
    """When it was taken down; None while it hangs somewhere, and of one that never did."""
    removed_from: str | None = None
    replaced_by: tuple[int, str] | None = None
    """The meter that hangs in its last place now: its id and address."""


def identity(services: Services, meter_id: int) -> tuple[MeterIdentity, list[InstallationLine]]:
    """A meter, and every installation of it and of its present point."""
    now = services.clock()
    with services.database.read() as session:
        registry = services.registry(session)
        meter = registry.get_meter(meter_id)
        link = registry.get_link(meter.link_id)
        spoken = session.scalar(
            select(spoken_protocol())
            .select_from(Meter)
            .outerjoin(MeterProgress, MeterProgress.meter_id == Meter.id)
            .where(Meter.id == meter_id)
        )
        assert spoken is not None
        own = registry.installations(meter_ids=[meter_id])
        current = next((item for item in own if item.period.contains(now)), None)
        base = functools.partial(
            MeterIdentity,
            id=meter.id,
            address=meter.address,
            protocol=PROTOCOLS.get(meter.protocol, meter.protocol),
            spoken=spoken,
            speaks=PROTOCOLS.get(spoken, spoken) if spoken != meter.protocol else None,
            model=meter.model,
            enabled=meter.enabled,
            register_digits=meter.register_digits,
            register_decimals=meter.register_decimals,
            shows=meter.shows.value,
            link_code=link.code,
            link_name=link.name,
        )
        if current is None:
            return base(**_removed(session, own, now)), _installation_lines(session, own)
        return base(**_place(registry, current, now)), _installation_lines(
            session, _merged(own, registry.installations(point_ids=[current.point_id]))
        )


def _removed(session: Session, own: Sequence[InstalledMeter], now: datetime) -> dict[str, Any]:
    """Where a meter hung last, and what hangs there now; nothing for one that never hung anywhere yet."""
    ended = [item for item in own if item.period.end is not None and item.period.end <= now]
    if not ended:
        return {}
    last = max(ended, key=lambda item: item.period.closed_end)
    registry = Registry(session)
    there = points_with_meters(registry, [last.point_id], now)
    return {
        "removed_at": last.period.end,
        "removed_from": registry.get_point(last.point_id).name,
        "replaced_by": there.get(last.point_id),
    }


PROTOCOLS: Final = {
    "dlt645": N_("DL/T 645, found out"),
    "dlt645-2007": "DL/T 645-2007",
    "dlt645-1997": "DL/T 645-1997",
    "modbus-rtu": "Modbus RTU",
    "modbus-tcp": "Modbus TCP",
}


def _place(registry: Registry, current: InstalledMeter, now: datetime) -> dict[str, Any]:
    point = registry.get_point(current.point_id)
    site = registry.get_site(point.site_id)
    area = registry.get_area(point.area_id) if point.area_id else None
    accounts = registry.accounts_of_point(point.id, TimeRange(now, None))
    account = next((item for item in accounts if item.period.contains(now)), None)
    return {
        "point_id": point.id,
        "point_code": point.code,
        "point_name": point.name,
        "interval_minutes": point.interval_minutes,
        "ratio": current.ratio,
        "site_name": site.name,
        "area_id": area.id if area else None,
        "area_name": area.name if area else None,
        "zone": site.zone,
        "account_id": account.account_id if account else None,
        "account_code": account.account_code if account else None,
        "account_name": account.account_name if account else None,
    }


def _merged(*lists: Sequence[InstalledMeter]) -> list[InstalledMeter]:
    by_id = {item.installation_id: item for items in lists for item in items}
    return sorted(by_id.values(), key=lambda item: item.period.start, reverse=True)


def _installation_lines(session: Session, installed: Sequence[InstalledMeter]) -> list[InstallationLine]:
    registry = Registry(
        session
    )  # a point's earlier meter, or a meter's earlier point, may be out of scope by now
    return [
        InstallationLine(
            meter_id=item.meter_id,
            address=registry.get_meter(item.meter_id).address,
            point=registry.get_point(item.point_id).name,
            start=item.period.start,
            end=item.period.end,
            ratio=item.ratio,
            first_register=item.first_register,
            last_register=item.last_register,
        )
        for item in installed
    ]


def points_with_meters(
    registry: Registry, point_ids: Sequence[int], now: datetime
) -> dict[int, tuple[int, str]]:
    """The meter that hangs at each point now: its id and address."""
    installed = registry.installations(point_ids=point_ids, period=TimeRange(now, None))
    return {
        item.point_id: (item.meter_id, registry.get_meter(item.meter_id).address)
        for item in installed
        if item.period.contains(now)
    }
