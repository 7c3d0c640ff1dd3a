"""How far deriving intervals has come, in the ledger database."""

from datetime import datetime
from decimal import Decimal

from sqlalchemy.orm import Mapped, mapped_column

from wattkeeper.kernel.columns import ScaledDecimal
from wattkeeper.kernel.database import Base
from wattkeeper.registry.sides import Shows


class DerivationCursor(Base):
    """The ``recorded_at`` [µs since 1970 UTC] up to which a stream of the readings store was dealt with."""

    __tablename__ = "derivation_cursor"

    stream: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[int]


class DerivedInstallation(Base):
    """An installation, its meter and its point as the intervals were last derived from them.

    A difference to the registry means work.
    """

    __tablename__ = "derived_installation"

    installation_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    point_id: Mapped[int]
    meter_id: Mapped[int]
    valid_from: Mapped[datetime]
    valid_to: Mapped[datetime | None]
    ct_ratio: Mapped[Decimal] = mapped_column(ScaledDecimal(4))
    pt_ratio: Mapped[Decimal] = mapped_column(ScaledDecimal(4))
    first_register: Mapped[Decimal] = mapped_column(ScaledDecimal(4))
    last_register: Mapped[Decimal | None] = mapped_column(ScaledDecimal(4))
    register_digits: Mapped[int]
    register_decimals: Mapped[int]
    shows: Mapped[Shows]
    interval_minutes: Mapped[int]
    rated_power_kw: Mapped[Decimal | None] = mapped_column(ScaledDecimal(3))
    zone: Mapped[str]
