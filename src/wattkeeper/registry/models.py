"""The tables of the registry.

Where a thing belongs to another for a time, the period is half-open and its row stays for ever: a meter change is two
installations. The last row is open (``valid_to`` is null), and the database allows one open row per point and meter;
``service`` refuses overlaps among the closed ones in the same transaction.
"""

import enum
from datetime import datetime
from decimal import Decimal

from sqlalchemy import CheckConstraint, ForeignKey, ForeignKeyConstraint, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from wattkeeper.kernel.columns import ScaledDecimal
from wattkeeper.kernel.database import Base
from wattkeeper.registry.sides import Shows


class AreaKind(enum.StrEnum):
    """The levels of the network below a site."""

    FEEDER = "feeder"
    AREA = "area"
    BOX = "box"


class PointKind(enum.StrEnum):
    """What is behind a metering point."""

    HOUSEHOLD = "household"
    SHOP = "shop"
    FACTORY = "factory"
    STREET_LIGHT = "street_light"
    OFFICE = "office"


class AccountKind(enum.StrEnum):
    """The class of a customer's contract; tariffs are offered by it."""

    RESIDENTIAL = "residential"
    COMMERCIAL = "commercial"
    INDUSTRIAL = "industrial"


class Site(Base):
    """A root area (站点): time zone (IANA name) and currency (ISO 4217)."""

    __tablename__ = "site"
    __table_args__ = (CheckConstraint("length(currency) = 3", name="currency_code"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    zone: Mapped[str]
    currency: Mapped[str]


class Area(Base):
    """A part of the network (台区) in the tree of its site: feeder > area > box."""

    __tablename__ = "area"
    __table_args__ = (
        UniqueConstraint("site_id", "code"),
        UniqueConstraint("id", "site_id"),
        ForeignKeyConstraint(
            ["parent_id", "site_id"], ["area.id", "area.site_id"]
        ),  # the parent is of the same site
        CheckConstraint("parent_id <> id", name="not_its_own_parent"),
        Index(None, "parent_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    site_id: Mapped[int] = mapped_column(ForeignKey("site.id"))
    parent_id: Mapped[int | None]
    code: Mapped[str]
    name: Mapped[str]
    kind: Mapped[AreaKind]


class Link(Base):
    """A configured way for bytes (通道): ``serial:///dev/ttyUSB0?baud=2400`` or ``tcp://host:port``."""

    __tablename__ = "link"

    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    url: Mapped[str]
    enabled: Mapped[bool] = mapped_column(default=True)


class Meter(Base):
    """A device (电表) and the link it answers on. The register shows ``digits`` before and ``decimals`` after the point."""

    __tablename__ = "meter"
    __table_args__ = (
        UniqueConstraint("protocol", "address", "link_id"),
        CheckConstraint("length(address) BETWEEN 1 AND 64", name="address_length"),
        CheckConstraint("register_digits BETWEEN 1 AND 12", name="register_digits"),
        CheckConstraint("register_decimals BETWEEN 0 AND 4", name="register_decimals"),
        CheckConstraint("max_current_a > 0", name="max_current_positive"),
        Index(None, "address"),
        Index(None, "link_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    address: Mapped[str]
    protocol: Mapped[str] = mapped_column(default="dlt645-2007")
    link_id: Mapped[int] = mapped_column(ForeignKey("link.id"))
    model: Mapped[str] = mapped_column(default="")
    register_digits: Mapped[int] = mapped_column(default=6)
    register_decimals: Mapped[int] = mapped_column(default=2)
    shows: Mapped[Shows] = mapped_column(default=Shows.SECONDARY)
    max_current_a: Mapped[Decimal | None] = mapped_column(ScaledDecimal(3))
    enabled: Mapped[bool] = mapped_column(default=True)

    link: Mapped[Link] = relationship(lazy="raise")


class MeteringPoint(Base):
    """The place where energy is measured (计量点), with its own grid of intervals."""

    __tablename__ = "metering_point"
    __table_args__ = (
        ForeignKeyConstraint(["area_id", "site_id"], ["area.id", "area.site_id"]),
        CheckConstraint("interval_minutes IN (1, 5, 10, 15, 30, 60)", name="interval_divides_the_hour"),
        CheckConstraint("rated_power_kw > 0", name="rated_power_positive"),
        Index(None, "site_id"),
        Index(None, "area_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    site_id: Mapped[int] = mapped_column(ForeignKey("site.id"))
    area_id: Mapped[int | None]
    code: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    kind: Mapped[PointKind]
    interval_minutes: Mapped[int] = mapped_column(default=15)
    rated_power_kw: Mapped[Decimal | None] = mapped_column(ScaledDecimal(3))
    """The most the point can draw [kW]; what derives more from two readings is not believed."""

    site: Mapped[Site] = relationship(lazy="raise")


class Installation(Base):
    """A meter at a metering point for a period, with ratios and the register's reading at both ends [kWh]."""

    __tablename__ = "installation"
    __table_args__ = (
        UniqueConstraint("point_id", "valid_from"),
        UniqueConstraint("meter_id", "valid_from"),
        Index(
            "uq_installation_open_point",
            "point_id",
            unique=True,
            sqlite_where=text("valid_to IS NULL"),
            postgresql_where=text("valid_to IS NULL"),
        ),
        Index(
            "uq_installation_open_meter",
            "meter_id",
            unique=True,
            sqlite_where=text("valid_to IS NULL"),
            postgresql_where=text("valid_to IS NULL"),
        ),
        CheckConstraint("valid_to > valid_from", name="ends_after_start"),
        CheckConstraint("ct_ratio > 0 AND pt_ratio > 0", name="ratios_positive"),
        CheckConstraint("first_register >= 0 AND last_register >= 0", name="registers_not_negative"),
        CheckConstraint("last_register IS NULL OR valid_to IS NOT NULL", name="last_register_when_ended"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    point_id: Mapped[int] = mapped_column(ForeignKey("metering_point.id"))
    meter_id: Mapped[int] = mapped_column(ForeignKey("meter.id"))
    valid_from: Mapped[datetime]
    valid_to: Mapped[datetime | None]
    ct_ratio: Mapped[Decimal] = mapped_column(ScaledDecimal(4), default=Decimal(1))
    pt_ratio: Mapped[Decimal] = mapped_column(ScaledDecimal(4), default=Decimal(1))
    first_register: Mapped[Decimal] = mapped_column(ScaledDecimal(4), default=Decimal(0))
    last_register: Mapped[Decimal | None] = mapped_column(ScaledDecimal(4))

    meter: Mapped[Meter] = relationship(lazy="raise")
    point: Mapped[MeteringPoint] = relationship(lazy="raise")


class Customer(Base):
    """Who pays (用户)."""

    __tablename__ = "customer"
    __table_args__ = (Index(None, "name"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    phone: Mapped[str | None]
    email: Mapped[str | None]
    address: Mapped[str | None]


class Account(Base):
    """What is billed (户号): a customer's contract, with metering points for half-open periods."""

    __tablename__ = "account"
    __table_args__ = (
        CheckConstraint("closed_at > opened_at", name="closes_after_opening"),
        Index(None, "customer_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[int] = mapped_column(ForeignKey("customer.id"))
    code: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    address: Mapped[str | None]
    kind: Mapped[AccountKind]
    opened_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]

    customer: Mapped[Customer] = relationship(lazy="raise")


class AccountPoint(Base):
    """A metering point whose energy an account pays for, for a period."""

    __tablename__ = "account_point"
    __table_args__ = (
        UniqueConstraint("point_id", "valid_from"),
        Index(
            "uq_account_point_open",
            "point_id",
            unique=True,
            sqlite_where=text("valid_to IS NULL"),
            postgresql_where=text("valid_to IS NULL"),
        ),
        CheckConstraint("valid_to > valid_from", name="ends_after_start"),
        Index(None, "account_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"))
    point_id: Mapped[int] = mapped_column(ForeignKey("metering_point.id"))
    valid_from: Mapped[datetime]
    valid_to: Mapped[datetime | None]

    account: Mapped[Account] = relationship(lazy="raise")
    point: Mapped[MeteringPoint] = relationship(lazy="raise")
