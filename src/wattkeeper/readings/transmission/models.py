"""What the platform remembers of remote collectors."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from wattkeeper.kernel.database import Base


class RemoteCollector(Base):
    """A collector that delivers its readings here; it made its id when its outbox was made."""

    __tablename__ = "remote_collector"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    """Of the token that it came with last."""
    first_at: Mapped[datetime]
    last_at: Mapped[datetime]
    """When it delivered last."""
    readings: Mapped[int]
    """Readings taken from it so far, repeats included."""


class RemoteRun(Base):
    """One run of a remote collector's outbox, and how far it is acknowledged."""

    __tablename__ = "remote_run"
    __table_args__ = (CheckConstraint("acknowledged >= 0", name="not_negative"),)

    collector_id: Mapped[str] = mapped_column(ForeignKey("remote_collector.id"), primary_key=True)
    run: Mapped[str] = mapped_column(primary_key=True)
    acknowledged: Mapped[int]
    last_at: Mapped[datetime]


class UnknownRemoteMeter(Base):
    """A meter that a remote collector reads and nobody has registered here; its readings wait at the collector."""

    __tablename__ = "unknown_remote_meter"

    collector_id: Mapped[str] = mapped_column(ForeignKey("remote_collector.id"), primary_key=True)
    protocol: Mapped[str] = mapped_column(primary_key=True)
    link: Mapped[str] = mapped_column(primary_key=True)
    address: Mapped[str] = mapped_column(primary_key=True)
    first_at: Mapped[datetime]
