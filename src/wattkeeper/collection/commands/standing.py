"""Standing orders: leave, given by two people beforehand, for one kind of command within limits.

Cutting off for debt at night and putting back after a payment happen when nobody is there to agree. A standing order
says where, until when and how many in a day; one person asks for it, another agrees, and each use is counted.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.orm import Session

from wattkeeper.collection.commands.errors import (
    BadCommand,
    SecondPersonNeeded,
    StandingOrderRefuses,
    TooLate,
)
from wattkeeper.collection.commands.kinds import STANDING, CommandKind
from wattkeeper.collection.commands.ledger import CommandLedger
from wattkeeper.collection.commands.models import StandingOrder
from wattkeeper.collection.commands.values import StandingOrderView
from wattkeeper.kernel.database import Database, in_parts
from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.registry.models import Meter
from wattkeeper.registry.repository import Registry
from wattkeeper.registry.scope import Scope
from wattkeeper.security.acting import current_person
from wattkeeper.security.audit import record

LONGEST: Final = timedelta(days=366)


class StandingOrders:
    """Standing orders over one ledger database; only for those who may see the whole installation."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def ask(
        self,
        *,
        kind: CommandKind,
        site_id: int | None,
        area_id: int | None,
        daily_cap: int,
        expires_at: datetime,
        reason: str,
        now: datetime,
    ) -> StandingOrderView:
        """Ask for a standing order; it holds once a second person agrees."""
        if kind not in STANDING:
            raise BadCommand(
                f"A standing order cannot be for {kind}.", hint="It is for a trip, or for leave to close."
            )
        if not reason.strip():
            raise BadCommand("A standing order needs a reason.", hint="Say what it is for.")
        if daily_cap < 1:
            raise BadCommand("A standing order allows at least one command a day.")
        if not now < expires_at <= now + LONGEST:
            raise BadCommand("A standing order ends in the future, and within a year.")
        person = current_person()
        with self._database.write() as session:
            registry = Registry(session)
            if site_id is not None:
                registry.get_site(site_id)
            if area_id is not None:
                registry.get_area(area_id)
            order = StandingOrder(
                kind=kind,
                site_id=site_id,
                area_id=area_id,
                daily_cap=daily_cap,
                reason=reason.strip(),
                asked_by=person.name,
                asked_by_user_id=person.user_id,
                asked_at=now,
                expires_at=expires_at,
            )
            session.add(order)
            session.flush()
            _record(session, "standing_order.ask", order, now)
            return _view(session, order.id, now)

    def approve(self, order_id: int, *, now: datetime) -> StandingOrderView:
        """Agree, as the second person; raises SecondPersonNeeded for the one who asked."""
        person = current_person()
        with self._database.write() as session:
            order = CommandLedger(session).standing_order(order_id)
            if person.is_same_as(order.asked_by, order.asked_by_user_id):
                raise SecondPersonNeeded(
                    f"{person.name} asked for this standing order, and another person has to agree.",
                    hint="Have a colleague look at it.",
                )
            if order.approved_at is not None or order.ended_at is not None or order.expires_at <= now:
                raise TooLate(f"Standing order {order_id} waits for nobody any more.")
            order.approved_by, order.approved_by_user_id, order.approved_at = person.name, person.user_id, now
            _record(session, "standing_order.approve", order, now)
            session.flush()
            return _view(session, order_id, now)

    def end(self, order_id: int, *, now: datetime) -> StandingOrderView:
        """Refuse it or take it back: from now on nothing more is asked under it."""
        with self._database.write() as session:
            order = CommandLedger(session).standing_order(order_id)
            if order.ended_at is not None:
                raise TooLate(f"Standing order {order_id} has ended already.")
            order.ended_by, order.ended_at = current_person().name, now
            _record(session, "standing_order.end", order, now)
            session.flush()
            return _view(session, order_id, now)

    def all(self, *, now: datetime) -> list[StandingOrderView]:
        """Every standing order, newest first, with what was used of it today."""
        with self._database.read() as session:
            return CommandLedger(session).standing_orders(_today(session, now))

    def use(
        self, session: Session, order_id: int, kind: CommandKind, meter_ids: Sequence[int], *, now: datetime
    ) -> None:
        """Let commands to these meters be asked under an order; raises StandingOrderRefuses."""
        ledger = CommandLedger(session)
        order = ledger.standing_order(order_id)
        if order.kind is not kind:
            raise StandingOrderRefuses(f"Standing order {order_id} is for {order.kind}, not for {kind}.")
        if order.ended_at is not None or order.expires_at <= now:
            raise StandingOrderRefuses(
                f"Standing order {order_id} does not hold any more.", hint="Ask for a new one."
            )
        if order.approved_at is None:
            raise StandingOrderRefuses(f"Standing order {order_id} waits for a second person to agree.")
        used = ledger.used(_today(session, now), order_id=order_id).get(order_id, 0)
        if used + len(meter_ids) > order.daily_cap:
            raise StandingOrderRefuses(
                f"Standing order {order_id} allows {order.daily_cap} commands a day; {used} were asked today.",
                hint="Ask for the rest as a person: a second one then agrees.",
            )
        if beyond := _beyond(session, order, meter_ids):
            raise StandingOrderRefuses(f"Standing order {order_id} does not hold for meter {beyond}.")


def _beyond(session: Session, order: StandingOrder, meter_ids: Sequence[int]) -> str | None:
    """The address of a meter that the order does not cover."""
    scope = Scope(
        frozenset() if order.site_id is None else frozenset({order.site_id}),
        frozenset() if order.area_id is None else frozenset({order.area_id}),
    )
    for part in in_parts(meter_ids):
        outside = select(Meter.address).where(Meter.id.in_(part), ~scope.has_meter()).limit(1)
        if (address := session.scalar(outside)) is not None:
            return address
    return None


def _today(session: Session, now: datetime) -> TimeRange:
    sites = Registry(session).sites()
    zone = ZoneInfo(sites[0].zone) if sites else ZoneInfo("Asia/Shanghai")
    return TimeRange.day(now.astimezone(zone).date(), zone)


def _view(session: Session, order_id: int, now: datetime) -> StandingOrderView:
    [order] = CommandLedger(session).standing_orders(_today(session, now), order_id=order_id)
    return order


def _record(session: Session, action: str, order: StandingOrder, now: datetime) -> None:
    after = {
        "kind": order.kind.value,
        "site_id": order.site_id,
        "area_id": order.area_id,
        "daily_cap": order.daily_cap,
        "expires_at": order.expires_at.isoformat(),
        "reason": order.reason,
    }
    record(session, action, now=now, subject=("standing_order", order.id), name=order.kind.value, after=after)
