"""Links with their health."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy import func, select

from wattkeeper.collection.values import LinkStatus, SuccessRate
from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.registry.models import Link, Meter
from wattkeeper.web.language import Language
from wattkeeper.web.queries import within
from wattkeeper.web.queries.states import Level, link_shown
from wattkeeper.web.services import Services


@dataclass(frozen=True, slots=True)
class LinkLine:
    """A link as pages show it; counts are of today, None when no collector runs."""

    id: int
    code: str
    name: str
    url: str
    enabled: bool
    level: Level
    text: str
    since: datetime | None
    error: str | None
    """Why it is down, in the links room's own words."""
    meters: int
    waiting: int | None
    backfilling: int | None
    reads: int
    success: float | None
    first_time: float | None
    no_reply: int
    garbled: int
    refused: int
    strays: int


@dataclass(frozen=True, slots=True)
class Health:
    """Success today: of everything, per link and per meter."""

    rates: Sequence[SuccessRate]

    def of_meter(self, meter_id: int) -> SuccessRate | None:
        """One meter's."""
        return next((rate for rate in self.rates if rate.meter_id == meter_id), None)

    @property
    def reads(self) -> int:
        """Reads that ended, on all links."""
        return sum(rate.reads for rate in self.rates if rate.meter_id is None)

    @property
    def success(self) -> float | None:
        """Share of the reads on all links that succeeded."""
        succeeded = sum(rate.succeeded for rate in self.rates if rate.meter_id is None)
        return succeeded / self.reads if self.reads else None


def health_today(
    services: Services, zone: ZoneInfo, *, meter_id: int | None = None, link_id: int | None = None
) -> Health:
    """Success since the civil midnight; nothing when no collector runs."""
    if services.collector is None:
        return Health(())
    today = TimeRange.day(services.clock().astimezone(zone).date(), zone)
    rates = services.collector.health(today, meter_id=meter_id, link_id=link_id)
    allowed = within.meter_ids(services)
    if allowed is None:
        return Health(tuple(rates))
    links = {rate.link_id for rate in rates if rate.meter_id in allowed}
    mine = (
        rate
        for rate in rates
        if rate.meter_id in allowed or (rate.meter_id is None and rate.link_id in links)
    )
    return Health(tuple(mine))


def link_lines(services: Services, say: Language, health: Health) -> list[LinkLine]:
    """Every link of the registry, by code."""
    states = link_states(services)
    rates = {rate.link_id: rate for rate in health.rates if rate.meter_id is None}
    with services.database.read() as session:
        links = services.registry(session).links()
        counted = session.execute(select(Meter.link_id, func.count()).group_by(Meter.link_id))
        meters = {row[0]: row[1] for row in counted}
    return [
        _line(link, states.get(link.code), rates.get(link.id), say, meters.get(link.id, 0)) for link in links
    ]


def link_states(services: Services) -> dict[str, LinkStatus]:
    """What the collector knows of each link, by code."""
    return {status.code: status for status in services.collector.link_states()} if services.collector else {}


def _line(
    link: Link, status: LinkStatus | None, rate: SuccessRate | None, say: Language, meters: int
) -> LinkLine:
    shown = link_shown(status, enabled=link.enabled, say=say)
    failures = rate.failures if rate else {}
    return LinkLine(
        id=link.id,
        code=link.code,
        name=link.name,
        url=link.url,
        enabled=link.enabled,
        level=shown.level,
        text=shown.text,
        since=status.since if status else None,
        error=status.error if status else None,
        meters=status.meters if status else meters,
        waiting=status.waiting_due + status.waiting_live if status else None,
        backfilling=status.backfilling if status else None,
        reads=rate.reads if rate else 0,
        success=rate.rate if rate else None,
        first_time=rate.first_time / rate.reads if rate and rate.reads else None,
        no_reply=failures.get("no_reply", 0),
        garbled=failures.get("garbled", 0),
        refused=failures.get("refused", 0),
        strays=rate.strays if rate else 0,
    )
