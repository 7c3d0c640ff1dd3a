"""All SQL of transmission in the ledger database, in the caller's transaction."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from wattkeeper.kernel.database import in_parts
from wattkeeper.readings.transmission.identities import MeterIdentity
from wattkeeper.readings.transmission.models import RemoteCollector, RemoteRun, UnknownRemoteMeter
from wattkeeper.readings.transmission.values import Delivery, RemoteCollectorView
from wattkeeper.registry.models import Link, Meter
from wattkeeper.security.audit import record

MOST_UNKNOWN: Final = 1000
"""Unknown meters remembered of one collector; a person registers a file of them, not one by one."""
_FORGOTTEN_AFTER: Final = timedelta(days=400)
"""A run that was silent for so long is not gone on with."""


class MeterNames:
    """Meters by what both ends call them."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def of(self, meter_ids: Iterable[int]) -> dict[int, MeterIdentity]:
        """What some meters are called."""
        wanted = select(Meter.id, Meter.protocol, Link.code, Meter.address).join(
            Link, Link.id == Meter.link_id
        )
        return {
            row[0]: MeterIdentity(row[1], row[2], row[3])
            for part in in_parts(sorted(set(meter_ids)))
            for row in self._session.execute(wanted.where(Meter.id.in_(part)))
        }

    def ids(self, meters: Collection[MeterIdentity]) -> dict[MeterIdentity, int]:
        """The meters that are registered here, among those of a remote collector.

        On the link of the same code; one whose address is its own wherever it hangs (`MeterIdentity.device`) also on
        another link, as long as there is only one.
        """
        there: dict[str, dict[MeterIdentity, int]] = defaultdict(dict)
        wanted = select(Meter.id, Meter.protocol, Link.code, Meter.address).join(
            Link, Link.id == Meter.link_id
        )
        for part in in_parts(sorted({meter.address for meter in meters})):
            for row in self._session.execute(wanted.where(Meter.address.in_(part))):
                there[row[3]][MeterIdentity(row[1], row[2], row[3])] = row[0]
        found = {meter: _match(meter, there[meter.address]) for meter in meters if meter.address in there}
        return {meter: meter_id for meter, meter_id in found.items() if meter_id is not None}

    def link_codes(self, link_ids: Collection[int]) -> dict[int, str]:
        """The codes of some links."""
        return {
            row[0]: row[1]
            for part in in_parts(sorted(set(link_ids)))
            for row in self._session.execute(select(Link.id, Link.code).where(Link.id.in_(part)))
        }

    def link_ids(self, codes: Collection[str]) -> dict[str, int]:
        """The links of some codes that are registered here."""
        return {
            row[0]: row[1]
            for part in in_parts(sorted(set(codes)))
            for row in self._session.execute(select(Link.code, Link.id).where(Link.code.in_(part)))
        }


def _match(meter: MeterIdentity, there: dict[MeterIdentity, int]) -> int | None:
    if meter in there:
        return there[meter]
    same = [
        meter_id
        for other, meter_id in there.items()
        if other.device is not None and other.device == meter.device
    ]
    return same[0] if len(same) == 1 else None


class RemoteCollectors:
    """What the platform remembers of those who deliver to it."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def acknowledged(self, collector: str, run: str) -> int:
        """How far a run is acknowledged; 0 for a new one."""
        found = self._session.get(RemoteRun, (collector, run))
        return 0 if found is None else found.acknowledged

    def delivered(self, delivery: Delivery, *, readings: int, now: datetime) -> None:
        """Remember that a delivery is stored."""
        collector = self._session.get(RemoteCollector, delivery.collector)
        if collector is None:
            collector = RemoteCollector(
                id=delivery.collector, name=delivery.name, first_at=now, last_at=now, readings=0
            )
            self._session.add(collector)
            subject = ("remote_collector", delivery.collector)
            record(self._session, "remote_collector.new", now=now, subject=subject, name=delivery.name)
        collector.name, collector.last_at = delivery.name, now
        collector.readings += readings
        run = self._session.get(RemoteRun, (delivery.collector, delivery.run))
        if run is None:
            self._session.execute(
                delete(RemoteRun).where(
                    RemoteRun.collector_id == delivery.collector, RemoteRun.last_at < now - _FORGOTTEN_AFTER
                )
            )
            self._session.flush()
            run = RemoteRun(collector_id=delivery.collector, run=delivery.run, acknowledged=0, last_at=now)
            self._session.add(run)
        run.acknowledged, run.last_at = max(run.acknowledged, delivery.last), now

    def note_unknown(self, collector: str, unknown: Collection[MeterIdentity], *, now: datetime) -> None:
        """Remember meters that nobody has registered here."""
        there = self._unknown(collector)
        for meter in sorted(set(unknown) - there)[: max(0, MOST_UNKNOWN - len(there))]:
            self._session.add(UnknownRemoteMeter(collector_id=collector, first_at=now, **meter._asdict()))

    def forget_unknown(self, collector: str, known: Collection[MeterIdentity]) -> None:
        """Forget those of the unknown that are registered by now."""
        for meter in self._unknown(collector) & set(known):
            row = self._session.get(UnknownRemoteMeter, (collector, *meter))
            if row is not None:
                self._session.delete(row)

    def all(self) -> Sequence[RemoteCollectorView]:
        """Every remote collector, the one heard last first, each with the meters that are still unknown."""
        rows = self._session.scalars(select(RemoteCollector).order_by(RemoteCollector.last_at.desc())).all()
        unknown = {row.id: self._unknown(row.id) for row in rows}
        known = MeterNames(self._session).ids({meter for meters in unknown.values() for meter in meters})
        return [
            RemoteCollectorView(
                id=row.id,
                name=row.name,
                first_at=row.first_at,
                last_at=row.last_at,
                readings=row.readings,
                unknown=tuple(sorted(unknown[row.id] - known.keys())),
            )
            for row in rows
        ]

    def _unknown(self, collector: str) -> set[MeterIdentity]:
        rows = self._session.execute(
            select(UnknownRemoteMeter.protocol, UnknownRemoteMeter.link, UnknownRemoteMeter.address).where(
                UnknownRemoteMeter.collector_id == collector
            )
        )
        return {MeterIdentity(*row) for row in rows}
