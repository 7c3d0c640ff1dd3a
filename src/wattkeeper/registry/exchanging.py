"""Recording that another meter hangs at a metering point from a moment on, or the first one, with both registers.

It works in the caller's ``write()`` transaction: the new meter is added unless it is on record, and everything that
is wrong is said by the field it was entered in. The exchange itself is ``service.exchange_meter``.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.registry.editing import change_meter, create_meter
from wattkeeper.registry.errors import BadValue, InstalledElsewhere, RecordedOtherwise, RegisterOutOfRange
from wattkeeper.registry.models import Installation, Meter, MeteringPoint
from wattkeeper.registry.repository import Registry
from wattkeeper.registry.rules import checked_address, checked_model, checked_register
from wattkeeper.registry.service import exchange_meter, install_meter
from wattkeeper.security.audit import record

_MOMENT: Final = "%Y-%m-%d %H:%M"


def record_exchange(
    registry: Registry,
    point_id: int,
    *,
    at: datetime,
    meter: Mapping[str, Any],
    last_register: Decimal | None,
    first_register: Decimal,
    ct_ratio: Decimal | None = None,
    pt_ratio: Decimal | None = None,
    now: datetime,
) -> Installation:
    """Let another meter count at a point from ``at`` on; at a point without a meter it is the first installation.

    ``meter`` is what ``create_meter`` takes: ``address``, ``protocol``, ``link_id`` and what else is known. A meter of
    this address on this link that hangs nowhere is taken as it is on record; where ``meter`` says otherwise, it is
    refused, so that no typed value is passed over. ``last_register`` is the old display at that moment [kWh], None when it could not be read;
    ``first_register`` is the new one's. Ratios that are not given stay those of the point, or are 1.
    Raises BadValue, whose ``field`` is the argument at fault or a field of ``meter``, and InstalledElsewhere.
    """
    point = registry.get_point(point_id)
    zone = ZoneInfo(registry.get_site(point.site_id).zone)
    current = registry.installed_now(point_id)
    old = None if current is None else registry.get_meter(current.meter_id)
    _check_moment(registry, point, old, at=at, now=now, zone=zone)
    if old is None and last_register is not None:
        raise BadValue(
            "last_register",
            f"No meter is installed at metering point {point.code}, so none has a last reading.",
            hint="Leave it empty: this is a first installation.",
        )
    if old is not None and last_register is not None:
        _check_register("last_register", last_register, old)
    new = _new_meter(registry, meter, at=at, now=now, zone=zone)
    _check_register("first_register", first_register, new)
    if old is None:
        installed = install_meter(
            registry.session,
            point_id=point_id,
            meter_id=new.id,
            at=at,
            first_register=first_register,
            ct_ratio=Decimal(1) if ct_ratio is None else ct_ratio,
            pt_ratio=Decimal(1) if pt_ratio is None else pt_ratio,
        )
    else:
        installed = exchange_meter(
            registry.session,
            point_id=point_id,
            new_meter_id=new.id,
            at=at,
            last_register=last_register,
            first_register=first_register,
            ct_ratio=ct_ratio,
            pt_ratio=pt_ratio,
        )
    record(
        registry.session,
        "point.install_meter" if old is None else "point.exchange_meter",
        now=now,
        subject=("point", point.id),
        name=point.name,
        before=None if old is None else {"meter": old.address, "register": _text(last_register)},
        after={
            "meter": new.address,
            "register": _text(first_register),
            "installed_from": at.isoformat(),
            "ct_ratio": _text(installed.ct_ratio),
            "pt_ratio": _text(installed.pt_ratio),
        },
    )
    return installed


def _check_moment(
    registry: Registry,
    point: MeteringPoint,
    old: Meter | None,
    *,
    at: datetime,
    now: datetime,
    zone: ZoneInfo,
) -> None:
    """The moment is over, and lies after what is on record of the point (half-open: a removal's own moment is free)."""
    if at > now:
        raise BadValue(
            "at",
            f"{at:{_MOMENT}} lies in the future.",
            hint="Record an exchange when it is done; the time is the site's.",
        )
    periods = [found.period for found in registry.installations(point_ids=[point.id])]
    if old is not None:
        begun = periods[-1].start
        if at <= begun:
            raise BadValue(
                "at",
                f"Meter {old.address} was installed at metering point {point.code} at {begun.astimezone(zone):{_MOMENT}}, "
                "and cannot give way before that or in the same moment.",
                hint="Give a later time.",
            )
    elif periods and at < periods[-1].closed_end:
        ended = periods[-1].closed_end
        raise BadValue(
            "at",
            f"Metering point {point.code} had a meter until {ended.astimezone(zone):{_MOMENT}}.",
            hint="Give that time or a later one.",
        )


def _new_meter(
    registry: Registry, wanted: Mapping[str, Any], *, at: datetime, now: datetime, zone: ZoneInfo
) -> Meter:
    """The meter of this address on this link, if it is on record, free and as it is said to be; else a new one."""
    address = checked_address(wanted["protocol"], wanted["address"])
    found = [meter for meter in registry.meters_by_address(address) if meter.link_id == wanted["link_id"]]
    if not found:
        return create_meter(registry, now=now, **wanted)
    (meter, *_) = sorted(found, key=lambda meter: meter.protocol != wanted["protocol"])
    _check_free(registry, meter, at=at, zone=zone)
    given = {**wanted, "address": address}
    if "model" in given:
        given["model"] = checked_model(given["protocol"], given["model"])
    for field, value in given.items():
        known = getattr(meter, field)
        if value not in (None, "", known):
            raise RecordedOtherwise(
                field,
                f"Meter {address} is on record already, with {field} {known}, not {value}.",
                hint="Enter what is on record, or correct the meter on its own page first.",
            )
    return meter if meter.enabled else change_meter(registry, meter.id, enabled=True, now=now)


def _check_free(registry: Registry, meter: Meter, *, at: datetime, zone: ZoneInfo) -> None:
    """The meter hangs nowhere from that moment on."""
    for taken in registry.installations(meter_ids=[meter.id], period=TimeRange(at, None)):
        raise InstalledElsewhere(
            meter.address,
            point=registry.get_point(taken.point_id).code,
            since=taken.period.start.astimezone(zone),
            until=None if taken.period.end is None else taken.period.end.astimezone(zone),
        )


def _check_register(field: str, value: Decimal, meter: Meter) -> None:
    try:
        checked_register(
            value, address=meter.address, digits=meter.register_digits, decimals=meter.register_decimals
        )
    except RegisterOutOfRange as error:
        raise BadValue(field, error.message, hint=error.hint) from error


def _text(value: Decimal | None) -> str | None:
    return None if value is None else f"{value.normalize():f}"
