"""Tables of collection in the ledger database: plans, success counts, and how far the past has been fetched."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from wattkeeper.kernel.columns import Json
from wattkeeper.kernel.database import Base


class ReadingPlan(Base):
    """Which quantities are read, of which meters, and when.

    Reads are due at whole multiples of `every_seconds` since the site's civil midnight, plus `offset_seconds`,
    plus up to `jitter_seconds` that differ from link to link so that not every link starts at once.
    """

    __tablename__ = "reading_plan"
    __table_args__ = (
        CheckConstraint("every_seconds BETWEEN 1 AND 86400", name="period_within_a_day"),
        CheckConstraint("offset_seconds >= 0", name="offset_not_negative"),
        CheckConstraint("jitter_seconds >= 0", name="jitter_not_negative"),
        CheckConstraint("(window_from IS NULL) = (window_until IS NULL)", name="window_whole"),
        CheckConstraint(
            "NOT listed OR (site_id IS NULL AND area_id IS NULL AND link_id IS NULL"
            " AND protocol IS NULL AND model IS NULL)",
            name="listed_or_fitting",
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    quantities: Mapped[list[str]] = mapped_column(Json)
    every_seconds: Mapped[int]
    offset_seconds: Mapped[int] = mapped_column(default=0)
    jitter_seconds: Mapped[int] = mapped_column(default=0)
    window_from: Mapped[int | None]
    """Minutes after civil midnight between which reads may be done; both null: at any time. 1320 to 360: by night."""
    window_until: Mapped[int | None]
    profile: Mapped[bool] = mapped_column(default=False)
    """Whether gaps of these quantities are filled from the meter's load record."""
    enabled: Mapped[bool] = mapped_column(default=True)
    listed: Mapped[bool] = mapped_column(default=False)
    """Whether the plan covers the meters in `meters`; else every meter that fits all of the following that is not null."""
    site_id: Mapped[int | None] = mapped_column(ForeignKey("site.id"))
    area_id: Mapped[int | None] = mapped_column(ForeignKey("area.id"))
    """This area and all below it."""
    link_id: Mapped[int | None] = mapped_column(ForeignKey("link.id"))
    protocol: Mapped[str | None]
    model: Mapped[str | None]
    meters: Mapped[list["PlanMeter"]] = relationship(lazy="raise", cascade="all, delete-orphan")


class PlanMeter(Base):
    """A meter that a plan covers by name."""

    __tablename__ = "plan_meter"

    plan_id: Mapped[int] = mapped_column(ForeignKey("reading_plan.id", ondelete="CASCADE"), primary_key=True)
    meter_id: Mapped[int] = mapped_column(
        ForeignKey("meter.id", ondelete="CASCADE"), primary_key=True, index=True
    )


class _Counts:
    """The columns that are counted; `wattkeeper.collection.values.SuccessRate` says what each is."""

    attempts: Mapped[int] = mapped_column(default=0)
    reads: Mapped[int] = mapped_column(default=0)
    first_time: Mapped[int] = mapped_column(default=0)
    succeeded: Mapped[int] = mapped_column(default=0)
    strays: Mapped[int] = mapped_column(default=0)
    no_reply: Mapped[int] = mapped_column(default=0)
    refused: Mapped[int] = mapped_column(default=0)
    unsupported: Mapped[int] = mapped_column(default=0)
    garbled: Mapped[int] = mapped_column(default=0)
    link_down: Mapped[int] = mapped_column(default=0)
    answer_ms: Mapped[int] = mapped_column(default=0, server_default="0")
    """Milliseconds from request to answer, added up over the reads that succeeded."""


class ReadStatistic(_Counts, Base):
    """Success counts of one meter on one link in one hour; a link's own troubles stand under no meter."""

    __tablename__ = "read_statistic"
    __table_args__ = (
        UniqueConstraint("hour", "link_id", "meter_id"),
        Index(None, "meter_id", "hour"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    hour: Mapped[datetime]
    """The beginning of the hour (UTC)."""
    link_id: Mapped[int] = mapped_column(ForeignKey("link.id", ondelete="CASCADE"))
    meter_id: Mapped[int]
    """0 where no meter is to blame: the link was down."""


class LinkStatistic(_Counts, Base):
    """The same counts added up per link and protocol as they come in.

    A month of ten thousand meters is ten million rows of `read_statistic`, and a few hundred thousand of these.
    """

    __tablename__ = "link_statistic"

    hour: Mapped[datetime] = mapped_column(primary_key=True)
    """The beginning of the hour (UTC)."""
    link_id: Mapped[int] = mapped_column(ForeignKey("link.id", ondelete="CASCADE"), primary_key=True)
    protocol: Mapped[str] = mapped_column(primary_key=True)
    """The protocol that the meters were asked in."""


class MeterProgress(Base):
    """What the collector has learned about one meter and must still know after a restart."""

    __tablename__ = "meter_progress"

    meter_id: Mapped[int] = mapped_column(ForeignKey("meter.id", ondelete="CASCADE"), primary_key=True)
    backfilled_until: Mapped[datetime | None]
    """The load record was fetched, or found not to exist any more, for every slot before this instant."""
    clock_deviation_ms: Mapped[int | None]
    """The meter's clock minus ours when it was last read, in milliseconds."""
    clock_read_at: Mapped[datetime | None]
    speaks: Mapped[str | None]
    """`dlt645-2007` or `dlt645-1997`, as the meter was found to speak, where it is registered with `dlt645`."""
    quarantined_until: Mapped[datetime | None]
    """Not asked before this instant, because asking it disturbs the whole line."""


class RefusedRequest(Base):
    """A request that a meter answered with "no such data" (ERR b1, DL/T 645-2007 §7.1): not asked again soon."""

    __tablename__ = "refused_request"

    meter_id: Mapped[int] = mapped_column(ForeignKey("meter.id", ondelete="CASCADE"), primary_key=True)
    request: Mapped[str] = mapped_column(primary_key=True)
    """The driver's own name of the request, such as a data identifier."""
    refused_at: Mapped[datetime]
