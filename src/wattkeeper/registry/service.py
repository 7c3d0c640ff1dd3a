"""What happens to meters and accounts: install, remove, exchange, move in, move out.

Each function works in the caller's ``write()`` transaction. It locks the point and the meters first, so that of two
people who do contradictory things at once, one is refused. What was is never deleted: a period is ended.
"""

from datetime import datetime
from decimal import Decimal

from sqlalchemy.orm import Session

from wattkeeper.kernel.feed import ChangeFeed
from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.registry.errors import NothingInstalled, PeriodTaken
from wattkeeper.registry.models import AccountPoint, Installation
from wattkeeper.registry.repository import Registry
from wattkeeper.registry.rules import checked_ratio, checked_register

INSTALLATION_CHANGED = "installation.changed"
"""Topic of the change feed: ``{"point_id", "meter_id", "start", "end"}``, the period in which another meter counts now."""


def install_meter(
    session: Session,
    *,
    point_id: int,
    meter_id: int,
    at: datetime,
    first_register: Decimal = Decimal(0),
    ct_ratio: Decimal = Decimal(1),
    pt_ratio: Decimal = Decimal(1),
) -> Installation:
    """Install a meter at a point from ``at`` on; ``first_register`` is its display at that moment [kWh].

    Raises PeriodTaken when the point has a meter, or the meter hangs at a point, at any time from then on.
    """
    registry = Registry(session)
    registry.lock(point_id=point_id, meter_ids=[meter_id])
    period = TimeRange(at, None)
    _refuse_overlap(registry, point_id=point_id, meter_id=meter_id, period=period)
    installation = Installation(
        point_id=point_id,
        meter_id=meter_id,
        valid_from=period.start,
        ct_ratio=checked_ratio("ct_ratio", ct_ratio),
        pt_ratio=checked_ratio("pt_ratio", pt_ratio),
        first_register=_register_of(registry, meter_id, first_register),
    )
    registry.add_installation(installation)
    _tell(session, installation, period)
    return installation


def remove_meter(
    session: Session, *, point_id: int, at: datetime, last_register: Decimal | None
) -> Installation:
    """End the installation at a point; ``last_register`` is the display then [kWh], None when it cannot be read."""
    registry = Registry(session)
    registry.lock(point_id=point_id)
    from_then_on = TimeRange(at, None)
    installation = _ended(registry, point_id=point_id, at=from_then_on.start, last_register=last_register)
    session.flush()
    _tell(session, installation, from_then_on)
    return installation


def exchange_meter(
    session: Session,
    *,
    point_id: int,
    new_meter_id: int,
    at: datetime,
    last_register: Decimal | None,
    first_register: Decimal = Decimal(0),
    ct_ratio: Decimal | None = None,
    pt_ratio: Decimal | None = None,
) -> Installation:
    """Replace the meter at a point in one moment; the transformers stay, so the ratios do, unless given."""
    registry = Registry(session)
    current = registry.installed_now(point_id)
    registry.lock(point_id=point_id, meter_ids=[new_meter_id, *([current.meter_id] if current else [])])
    old = _ended(registry, point_id=point_id, at=TimeRange(at, None).start, last_register=last_register)
    session.flush()
    return install_meter(
        session,
        point_id=point_id,
        meter_id=new_meter_id,
        at=at,
        first_register=first_register,
        ct_ratio=old.ct_ratio if ct_ratio is None else ct_ratio,
        pt_ratio=old.pt_ratio if pt_ratio is None else pt_ratio,
    )


def assign_account(session: Session, *, point_id: int, account_id: int, at: datetime) -> AccountPoint:
    """Let an account pay for a point from ``at`` on; an account that pays until then is ended at that moment."""
    registry = Registry(session)
    registry.get_account(account_id)
    registry.lock(point_id=point_id)
    period = TimeRange(at, None)
    current = registry.assigned_now(point_id)
    if current is not None and current.valid_from < period.start:
        current.valid_to = period.start
        session.flush()
    for taken in registry.assignments_in_the_way(point_id=point_id, period=period):
        raise PeriodTaken(
            f"Metering point {registry.get_point(point_id).code}",
            held_by=f"account {registry.get_account(taken.account_id).code}",
            since=taken.valid_from,
            until=taken.valid_to,
        )
    assignment = AccountPoint(point_id=point_id, account_id=account_id, valid_from=period.start)
    registry.add_account_point(assignment)
    return assignment


def release_account(session: Session, *, point_id: int, at: datetime) -> AccountPoint:
    """End the assignment of a point to its account: the customer moves out and nobody moves in yet."""
    registry = Registry(session)
    registry.lock(point_id=point_id)
    at = TimeRange(at, None).start
    current = registry.assigned_now(point_id)
    if current is None or current.valid_from >= at:
        raise NothingInstalled(
            f"No account pays for metering point {registry.get_point(point_id).code} before {at:%Y-%m-%d %H:%M %Z}.",
            hint="Look at the point's accounts; a period must end after it began.",
        )
    current.valid_to = at
    session.flush()
    return current


def _ended(registry: Registry, *, point_id: int, at: datetime, last_register: Decimal | None) -> Installation:
    installation = registry.installed_now(point_id, lock=True)
    if installation is None or installation.valid_from >= at:
        raise NothingInstalled(
            f"No meter was installed at metering point {registry.get_point(point_id).code} "
            f"before {at:%Y-%m-%d %H:%M %Z}.",
            hint="Look at the point's installations; a meter must be removed after it was installed.",
        )
    if last_register is not None:
        last_register = _register_of(registry, installation.meter_id, last_register)
    installation.valid_to = at
    installation.last_register = last_register
    return installation


def _refuse_overlap(registry: Registry, *, point_id: int, meter_id: int, period: TimeRange) -> None:
    for taken in registry.installations_in_the_way(point_id=point_id, meter_id=meter_id, period=period):
        point, address = registry.get_point(taken.point_id).code, registry.get_meter(taken.meter_id).address
        what, holder = (
            (f"Metering point {point}", f"meter {address}")
            if taken.point_id == point_id
            else (f"Meter {address}", f"metering point {point}")
        )
        raise PeriodTaken(what, held_by=holder, since=taken.valid_from, until=taken.valid_to)


def _register_of(registry: Registry, meter_id: int, value: Decimal) -> Decimal:
    meter = registry.get_meter(meter_id)
    return checked_register(
        value, address=meter.address, digits=meter.register_digits, decimals=meter.register_decimals
    )


def _tell(session: Session, installation: Installation, period: TimeRange) -> None:
    payload = {
        "point_id": installation.point_id,
        "meter_id": installation.meter_id,
        "start": period.start,
        "end": period.end,
    }
    ChangeFeed().append(session, INSTALLATION_CHANGED, payload)
