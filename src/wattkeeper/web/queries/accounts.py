"""An account from all sides: who pays, for which points with which meters, by which tariffs, and what has moved."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from wattkeeper.billing.values import Ageing
from wattkeeper.kernel.money import Money
from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.registry.models import AccountKind, AccountPoint, MeteringPoint
from wattkeeper.registry.repository import Registry
from wattkeeper.registry.values import AccountOfPoint
from wattkeeper.web.language import Language
from wattkeeper.web.queries.states import N_, Level, meter_shown
from wattkeeper.web.queries.values import ENERGY, Value, latest_by_meter
from wattkeeper.web.services import Services

MOVEMENTS: Final = {"bill": N_("Bill"), "cancellation": N_("Cancellation"), "payment": N_("Payment")}
AGES: Final = {
    "not_due": N_("not due yet"),
    "days_30": N_("due for up to 30 days"),
    "days_60": N_("due for 31 to 60 days"),
    "older": N_("due for more than 60 days"),
}


@dataclass(frozen=True, slots=True)
class AccountView:
    """Who an account belongs to."""

    id: int
    code: str
    name: str
    address: str | None
    kind: AccountKind
    customer_id: int
    customer_name: str
    phone: str | None
    opened_at: datetime
    closed_at: datetime | None


@dataclass(frozen=True, slots=True)
class PointView:
    """A point that an account pays or paid for, and the meter there now."""

    id: int
    code: str
    name: str
    start: datetime
    end: datetime | None
    meter_id: int | None
    meter_address: str | None
    level: Level
    state_text: str
    energy_kwh: Decimal | None
    read_at: datetime | None


@dataclass(frozen=True, slots=True)
class TariffView:
    """An assigned tariff."""

    code: str
    name: str
    start: datetime
    end: datetime | None
    now: bool


@dataclass(frozen=True, slots=True)
class Movement:
    """A line of the statement."""

    label: str
    at: datetime
    reference: str
    amount: Money
    balance: Money


def reaches_beyond(services: Services, account_id: int) -> bool:
    """Whether the account pays, or has paid, for a point outside of what may be seen: its money is that of all."""
    if services.scope.everything:
        return False
    outside = AccountPoint.point_id.not_in(services.scope.points())
    with services.database.read() as session:
        return bool(session.scalar(select(exists().where(AccountPoint.account_id == account_id, outside))))


def account_view(services: Services, account_id: int) -> AccountView:
    """An account within what may be seen, or NotFound."""
    with services.database.read() as session:
        registry = services.registry(session)
        account = registry.get_account(account_id)
        customer = registry.get_customer(account.customer_id)
        return AccountView(
            account.id, account.code, account.name, account.address, account.kind, customer.id, customer.name,
            customer.phone, account.opened_at, account.closed_at,
        )  # fmt: skip


def account_points(services: Services, account_id: int, say: Language) -> list[PointView]:
    """The points of an account that may be seen, those it pays for now first."""
    now = services.clock()
    with services.database.read() as session:
        registry = services.registry(session)
        held = _visible(services, session, registry.points_of_account(account_id))
        meters = _meters_at(registry, [item.point_id for item in held if item.period.contains(now)], now)
    latest = latest_by_meter(services.store, [meter.id for meter in meters.values()], [ENERGY])
    views = []
    for item in held:
        meter = meters.get(item.point_id) if item.period.contains(now) else None
        value = latest.get((meter.id, ENERGY)) if meter else None
        views.append(_point_view(services, item, meter, value, say))
    return sorted(views, key=lambda view: view.end is not None)


def _visible(
    services: Services, session: Session, held: Sequence[AccountOfPoint]
) -> Sequence[AccountOfPoint]:
    """Of the points of an account those within what may be seen."""
    if services.scope.everything:
        return held
    asked = services.scope.points().where(MeteringPoint.id.in_([item.point_id for item in held]))
    within = set(session.scalars(asked))
    return [item for item in held if item.point_id in within]


@dataclass(frozen=True, slots=True)
class _Meter:
    id: int
    address: str
    enabled: bool


def _meters_at(registry: Registry, point_ids: Sequence[int], now: datetime) -> dict[int, _Meter]:
    """The meter that hangs at each point now."""
    found = {}
    for item in registry.installations(point_ids=point_ids, period=TimeRange(now, None)):
        if item.period.contains(now):
            meter = registry.get_meter(item.meter_id)
            found[item.point_id] = _Meter(meter.id, meter.address, meter.enabled)
    return found


def _point_view(
    services: Services, item: AccountOfPoint, meter: _Meter | None, value: Value | None, say: Language
) -> PointView:
    state = services.collector.meter_state(meter.id) if services.collector and meter else None
    shown = meter_shown(state, enabled=meter is None or meter.enabled, say=say)
    return PointView(
        id=item.point_id,
        code=item.point_code,
        name=item.point_name,
        start=item.period.start,
        end=item.period.end,
        meter_id=meter.id if meter else None,
        meter_address=meter.address if meter else None,
        level=shown.level,
        state_text=shown.text,
        energy_kwh=value.value if value else None,
        read_at=value.read_at if value else None,
    )


def account_tariffs(services: Services, account_id: int, say: Language) -> list[TariffView]:
    """An account's tariffs, newest first."""
    names = {tariff.code: say.choose(tariff.name_zh, tariff.name_en) for tariff in services.billing.tariffs()}
    now = services.clock()
    return [
        TariffView(
            item.tariff_code,
            names.get(item.tariff_code, item.tariff_code),
            item.period.start,
            item.period.end,
            item.period.contains(now),
        )
        for item in reversed(services.billing.assigned_tariffs(account_id))
    ]


def statement(services: Services, account_id: int, say: Language) -> list[Movement]:
    """How money moved, newest first."""
    return [
        Movement(say.text(MOVEMENTS.get(row.kind, row.kind)), row.at, row.reference, row.amount, row.balance)
        for row in reversed(services.billing.statement(account_id))
    ]


def ages(ageing: Ageing, say: Language) -> list[tuple[str, str, Money]]:
    """What is owed by how long it has been due: key, words and amount."""
    return [(key, say.text(text), getattr(ageing, key)) for key, text in AGES.items()]
