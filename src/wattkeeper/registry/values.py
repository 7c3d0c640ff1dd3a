"""What the registry tells other rooms: frozen values, free of any session."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from wattkeeper.kernel.timerange import TimeRange


@dataclass(frozen=True, slots=True)
class InstalledMeter:
    """A meter at a metering point for a period.

    ``ratio`` turns a difference of the register into primary energy: CT times PT where the meter shows secondary
    values, 1 where it shows primary ones. The registers at both ends are in kWh as the meter shows them.
    """

    installation_id: int
    point_id: int
    meter_id: int
    period: TimeRange
    ratio: Decimal
    register_digits: int
    register_decimals: int
    first_register: Decimal
    last_register: Decimal | None
    interval_minutes: int
    zone: ZoneInfo
    rated_power_kw: Decimal | None


@dataclass(frozen=True, slots=True)
class MeterToRead:
    """What a collector needs to know of a meter: how to reach it, and the zone its clock keeps (None: not installed)."""

    meter_id: int
    protocol: str
    address: str
    link_id: int
    point_id: int | None
    zone: ZoneInfo | None
    interval_minutes: int | None
    installed_from: datetime | None
    model: str = ""


@dataclass(frozen=True, slots=True)
class MeterRow:
    """One line of the list of meters: the meter, and where it hangs and who pays for it now."""

    meter_id: int
    address: str
    protocol: str
    model: str
    enabled: bool
    link_id: int
    link_code: str
    link_name: str
    point_id: int | None
    point_code: str | None
    point_name: str | None
    point_kind: str | None
    area_id: int | None
    area_name: str | None
    account_id: int | None
    account_code: str | None
    customer_id: int | None
    customer_name: str | None


@dataclass(frozen=True, slots=True)
class MeterPage:
    """A page of the list of meters; ``after`` asks for the next one and is None on the last."""

    rows: tuple[MeterRow, ...]
    total: int | None
    """How many there are in all; None where nobody wanted them counted."""
    after: str | None


@dataclass(frozen=True, slots=True)
class CustomerRow:
    """One line of the list of customers; ``accounts`` counts those within the scope."""

    id: int
    code: str
    name: str
    phone: str | None
    email: str | None
    accounts: int


@dataclass(frozen=True, slots=True)
class CustomerPage:
    """A page of the list of customers; ``after`` asks for the next one and is None on the last."""

    rows: tuple[CustomerRow, ...]
    total: int
    after: str | None


@dataclass(frozen=True, slots=True)
class AreaNode:
    """An area with what hangs below it; ``points`` counts the metering points in the whole subtree."""

    area_id: int
    code: str
    name: str
    kind: str
    points: int
    children: tuple["AreaNode", ...]


@dataclass(frozen=True, slots=True)
class MeasuredSpan:
    """A meter at a point for a period, so that the point's energy is to be known; ``end`` is None while it hangs."""

    point_id: int
    site_id: int
    area_id: int | None
    interval_minutes: int
    start: datetime
    end: datetime | None


@dataclass(frozen=True, slots=True)
class AccountOfPoint:
    """Which account pays for a metering point, and for how long."""

    point_id: int
    point_code: str
    point_name: str
    account_id: int
    account_code: str
    account_name: str
    customer_id: int
    period: TimeRange


@dataclass(frozen=True, slots=True)
class RegistryCounts:
    """How much there is."""

    sites: int
    links: int
    meters: int
    meters_enabled: int
    points: int
    points_metered: int
    accounts: int
