"""What is to be read, as the registry and the plans say at this moment: frozen, free of any session."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from wattkeeper.collection.schedule import Rhythm


@dataclass(frozen=True, slots=True)
class MeterToCollect:
    """One meter, and where its readings belong."""

    meter_id: int
    link_id: int
    protocol: str
    address: str
    zone: ZoneInfo
    """Of the meter's clock: that of its site."""
    slot: timedelta
    """The grid of its metering point's intervals, which is taken for the period of its load record."""
    installed_from: datetime | None
    model: str = ""


@dataclass(frozen=True, slots=True)
class LinkToCollect:
    """One link with the meters behind it."""

    link_id: int
    code: str
    url: str
    meters: Mapping[int, MeterToCollect]


@dataclass(frozen=True, slots=True)
class Plan:
    """One reading plan."""

    plan_id: int
    code: str
    quantities: tuple[str, ...]
    rhythm: Rhythm
    profile: bool
    meter_ids: frozenset[int] | None
    """None: every meter."""

    def covers(self, meter_id: int) -> bool:
        """Whether the plan reads this meter."""
        return self.meter_ids is None or meter_id in self.meter_ids

    def differs_only_in_meters(self, other: "Plan") -> bool:
        """Whether another state of this plan reads the same at the same times, be it of other meters."""
        return replace(self, meter_ids=None) == replace(other, meter_ids=None)


@dataclass(frozen=True, slots=True)
class Fleet:
    """Everything that is to be read."""

    links: Mapping[int, LinkToCollect]
    plans: tuple[Plan, ...]


@dataclass(frozen=True, slots=True)
class Memory:
    """What was learned about one meter before the last stop."""

    backfilled_until: datetime | None = None
    clock_deviation: timedelta | None = None
    clock_read_at: datetime | None = None
    quarantined_until: datetime | None = None
    refused: Mapping[str, datetime] = field(default_factory=dict)
    """Requests the meter has refused as unknown to it, and when."""
    speaks: str | None = None
    """Which edition it was found to speak, where its protocol has several."""
