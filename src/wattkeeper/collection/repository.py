"""Collection's SQL: what is to be read, what was learned about meters, and success counts."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, cast
from zoneinfo import ZoneInfo

from sqlalchemy import CursorResult, delete, func, select
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import Session

from wattkeeper.collection.counts import HourKey
from wattkeeper.collection.fleet import Fleet, LinkToCollect, Memory, MeterToCollect
from wattkeeper.collection.models import (
    LinkStatistic,
    MeterProgress,
    ReadStatistic,
    RefusedRequest,
)
from wattkeeper.collection.plan_repository import PlanRepository
from wattkeeper.collection.statistics import COUNTS, By, success
from wattkeeper.collection.values import SuccessRate
from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.registry.repository import Registry

_DAY = timedelta(days=1)
_MILLISECOND = timedelta(milliseconds=1)
_USUAL_SLOT = timedelta(minutes=15)


class CollectionRepository:
    """Tables of collection in the caller's transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session

    # -- what is to be read -----------------------------------------------------------------------------------------

    def fleet(self, *, now: datetime, zone: str) -> Fleet:
        """The enabled meters on enabled links; `zone` is that of meters which are not installed anywhere."""
        registry = Registry(self._session)
        elsewhere = ZoneInfo(zone)
        meters: dict[int, dict[int, MeterToCollect]] = {}
        for row in registry.meters_to_read(now=now):
            meters.setdefault(row.link_id, {})[row.meter_id] = MeterToCollect(
                meter_id=row.meter_id,
                link_id=row.link_id,
                protocol=row.protocol,
                address=row.address,
                zone=row.zone or elsewhere,
                slot=_USUAL_SLOT if row.interval_minutes is None else timedelta(minutes=row.interval_minutes),
                installed_from=row.installed_from,
                model=row.model,
            )
        links = {
            link.id: LinkToCollect(link.id, link.code, link.url, meters.get(link.id, {}))
            for link in registry.links()
            if link.enabled
        }
        return Fleet(links, PlanRepository(self._session).to_read())

    # -- what was learned -------------------------------------------------------------------------------------------

    def memories(self) -> dict[int, Memory]:
        """What is known about each meter from before."""
        refused: dict[int, dict[str, datetime]] = {}
        for row in self._session.scalars(select(RefusedRequest)):
            refused.setdefault(row.meter_id, {})[row.request] = row.refused_at
        known = {row.meter_id: row for row in self._session.scalars(select(MeterProgress))}
        return {
            meter_id: _memory(known.get(meter_id), refused.get(meter_id, {}))
            for meter_id in known.keys() | refused.keys()
        }

    def save_backfilled(self, reached: Mapping[int, datetime]) -> None:
        """Note how far each meter's load record has been fetched."""
        self._upsert(
            MeterProgress,
            [{"meter_id": meter_id, "backfilled_until": until} for meter_id, until in reached.items()],
            keys=("meter_id",),
        )

    def save_clocks(self, clocks: Mapping[int, tuple[timedelta, datetime]]) -> None:
        """Note each meter's clock deviation and when it was measured."""
        rows = [
            {"meter_id": meter_id, "clock_deviation_ms": deviation // _MILLISECOND, "clock_read_at": at}
            for meter_id, (deviation, at) in clocks.items()
        ]
        self._upsert(MeterProgress, rows, keys=("meter_id",))

    def save_quarantines(self, until: Mapping[int, datetime | None]) -> None:
        """Note which meters are left alone until when, because they disturb their line, and which no more."""
        rows = [{"meter_id": meter_id, "quarantined_until": end} for meter_id, end in until.items()]
        self._upsert(MeterProgress, rows, keys=("meter_id",))

    def save_editions(self, spoken: Mapping[int, str]) -> None:
        """Note which edition of its protocol each meter was found to speak."""
        rows = [{"meter_id": meter_id, "speaks": protocol} for meter_id, protocol in spoken.items()]
        self._upsert(MeterProgress, rows, keys=("meter_id",))

    def save_refused(self, refused: Iterable[tuple[int, str, datetime]]) -> None:
        """Note which requests which meters have refused."""
        rows = [
            {"meter_id": meter_id, "request": request, "refused_at": at} for meter_id, request, at in refused
        ]
        self._upsert(RefusedRequest, rows, keys=("meter_id", "request"))

    def forget_refused(self, *, before: datetime) -> None:
        """Drop refusals from so long ago that the meter is asked again."""
        self._session.execute(delete(RefusedRequest).where(RefusedRequest.refused_at < before))

    # -- success ----------------------------------------------------------------------------------------------------

    def add_counts(self, counts: Mapping[HourKey, Counter[str]]) -> None:
        """Add to the hourly counts, of each meter and of each link."""
        meters: dict[tuple[datetime, int, int], Counter[str]] = {}
        links: dict[tuple[datetime, int, str], Counter[str]] = {}
        for key, counter in counts.items():
            meters.setdefault((key.hour, key.link_id, key.meter_id), Counter()).update(counter)
            links.setdefault((key.hour, key.link_id, key.protocol), Counter()).update(counter)
        for model, last, added in ((ReadStatistic, "meter_id", meters), (LinkStatistic, "protocol", links)):
            keys = ("hour", "link_id", last)
            rows = [
                dict(zip(keys, key, strict=True)) | {name: counter[name] for name in COUNTS}
                for key, counter in added.items()
            ]
            self._upsert(model, rows, keys=keys, add=COUNTS)

    def forget_counts(self, table: type[ReadStatistic | LinkStatistic], *, before: datetime) -> int:
        """Drop the oldest day of the hours that began before then; how many rows there were."""
        oldest = self._session.scalar(select(func.min(table.hour)))
        if oldest is None or oldest >= before:
            return 0
        day = delete(table).where(table.hour < min(oldest + _DAY, before))
        return cast("CursorResult[Any]", self._session.execute(day)).rowcount

    def success_by_meter(
        self, period: TimeRange, *, meter_id: int | None = None, link_id: int | None = None
    ) -> list[SuccessRate]:
        """Success of each meter over the hours that the period touches, by link and meter."""
        return success(self._session, period, by=(By.LINK, By.METER), meter_id=meter_id, link_id=link_id)

    def success_by_link(self, period: TimeRange, *, link_id: int | None = None) -> list[SuccessRate]:
        """Success of each link over the hours that the period touches, its own outages included."""
        return success(self._session, period, by=(By.LINK,), link_id=link_id)

    # -- shared -----------------------------------------------------------------------------------------------------

    def _upsert(
        self, model: type[Any], rows: list[dict[str, Any]], *, keys: Sequence[str], add: Sequence[str] = ()
    ) -> None:
        """Insert rows, or change those that are there: `add` columns grow, the others are replaced."""
        if not rows:
            return
        postgresql = self._session.get_bind().dialect.name == "postgresql"
        insert: Any = (postgresql_insert if postgresql else sqlite_insert)(model)
        table = model.__table__.c
        changed = {
            name: table[name] + insert.excluded[name] if name in add else insert.excluded[name]
            for name in rows[0]
            if name not in keys
        }
        # Rows of one order in every writer: two of them cannot wait for each other for ever.
        ordered = sorted(rows, key=lambda row: tuple(row[key] for key in keys))
        self._session.execute(insert.on_conflict_do_update(index_elements=list(keys), set_=changed), ordered)


def _memory(row: MeterProgress | None, refused: Mapping[str, datetime]) -> Memory:
    if row is None:
        return Memory(refused=refused)
    deviation = None if row.clock_deviation_ms is None else row.clock_deviation_ms * _MILLISECOND
    return Memory(
        row.backfilled_until, deviation, row.clock_read_at, row.quarantined_until, refused, row.speaks
    )
