"""One meter as its link's worker knows it: what it is, how it fares, and what it was found not to have."""

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from wattkeeper.collection.drivers.base import Driver, Past, Request, Undecided
from wattkeeper.collection.fleet import Memory, MeterToCollect
from wattkeeper.collection.health import MeterHealth
from wattkeeper.collection.values import CollectorOptions, MeterState, Presence

_LONG_SILENT = timedelta(days=1)
"""After such a silence a meter may be another device, which speaks another edition."""
_CONTACTS = 144
"""A clock that is to be read once a day is read at a contact ten minutes after the last time, where that delays nobody."""


@dataclass(slots=True)
class KnownMeter:
    """The changing side of one meter."""

    meter: MeterToCollect
    driver: Driver
    undecided: Undecided | None = None
    """What the registry says, where that is a protocol of several editions and the meter is to be asked which."""
    health: MeterHealth = field(default_factory=MeterHealth)
    refused: dict[str, datetime] = field(default_factory=dict)
    """Requests it said it knows nothing of, or never answers, and since when."""
    ignored: Counter[str] = field(default_factory=Counter)
    """Requests it left unanswered while it answered others: in how many reads in a row."""
    backfilled_until: datetime | None = None
    clock_deviation: timedelta | None = None
    clock_read_at: datetime | None = None
    clock_asked_at: datetime | None = None
    """When it last answered a question for its clock, be it with nonsense."""

    @classmethod
    def remembered(cls, meter: MeterToCollect, *, driver: Driver, memory: Memory) -> "KnownMeter":
        """A meter with what was learned about it before."""
        undecided = driver if isinstance(driver, Undecided) else None
        spoken = None if undecided is None else undecided.speaking(memory.speaks)
        known = cls(
            meter,
            spoken or driver,
            undecided,
            refused=dict(memory.refused),
            backfilled_until=memory.backfilled_until,
            clock_deviation=memory.clock_deviation,
            clock_read_at=memory.clock_read_at,
            clock_asked_at=memory.clock_read_at,
        )
        if memory.quarantined_until is not None:
            known.health.next_attempt_at = memory.quarantined_until
            known.health.in_quarantine = True
        return known

    def memory(self) -> Memory:
        """What is to be remembered of a meter that is not read for a while."""
        return Memory(
            self.backfilled_until,
            self.clock_deviation,
            self.clock_read_at,
            self.health.next_attempt_at if self.health.in_quarantine else None,
            dict(self.refused),
            self.speaks,
        )

    @property
    def registered_driver(self) -> Driver:
        """The driver of the protocol that it is registered with."""
        return self.undecided or self.driver

    @property
    def speaks(self) -> str | None:
        """Which edition it was found to speak; None: not found yet, or its protocol has no editions."""
        return None if self.driver is self.registered_driver else self.driver.protocol

    def is_to_be_met(self, now: datetime) -> bool:
        """Whether it must be asked which edition it speaks before it is asked for anything else."""
        if self.undecided is None:
            return False
        health = self.health
        silent_since = health.since if health.presence is Presence.SILENT else None
        return self.speaks is None or (silent_since is not None and now - silent_since >= _LONG_SILENT)

    def met(self, protocol: str) -> None:
        """It has answered in this edition: from now on it is asked in it."""
        assert self.undecided is not None
        self.driver = self.undecided.speaking(protocol) or self.undecided

    def refusals(self, now: datetime, *, options: CollectorOptions) -> frozenset[str]:
        """The requests that are not worth sending now; a refusal from long ago counts no more."""
        if not self.refused:
            return frozenset()
        old = [key for key, at in self.refused.items() if now - at > timedelta(days=options.refused_days)]
        for key in old:
            del self.refused[key]
        return frozenset(self.refused)

    def ignores(self, keys: Iterable[str], *, options: CollectorOptions) -> list[str]:
        """Note requests it left unanswered in a read in which it answered others; those that it always ignores."""
        self.ignored.update(keys)
        return [key for key in keys if self.ignored[key] >= options.ignored_reads]

    @property
    def unsupported(self) -> tuple[str, ...]:
        """The quantities that cannot be had because their requests were refused."""
        return tuple(sorted({quantity for key in self.refused for quantity in self.driver.brings(key)}))

    def plan(
        self,
        wanted: Iterable[str],
        now: datetime,
        *,
        options: CollectorOptions,
        without: Collection[str] = (),
    ) -> list[Request]:
        """The fewest requests that bring these quantities, without what it refuses and what is in `without`."""
        refused = self.refusals(now, options=options).union(without)
        return self.driver.plan(self.meter.address, wanted, zone=self.meter.zone, refused=refused)

    def past(self, now: datetime, *, options: CollectorOptions) -> Past | None:
        """The memory of its own that it has, as far as is known; the most telling where it has several."""
        refused = self.refusals(now, options=options)
        return next((past for past in self.driver.pasts if past.key not in refused), None)

    def wants_clock(self, now: datetime, *, options: CollectorOptions, late: bool = False) -> bool:
        """Whether the meter's clock is to be looked at while it is read; `late`: others wait too long already."""
        if self.clock_asked_at is None:
            return True
        longest = timedelta(hours=options.clock_hours)
        return now - self.clock_asked_at >= (longest if late else longest / _CONTACTS)

    def state(self) -> MeterState:
        """A snapshot for others."""
        health = self.health
        return MeterState(
            meter_id=self.meter.meter_id,
            link_id=self.meter.link_id,
            presence=health.presence,
            since=health.since,
            failures_in_a_row=health.failures_in_a_row,
            last_success_at=health.last_success_at,
            last_failure_at=health.last_failure_at,
            last_failure=health.last_failure,
            next_attempt_at=health.next_attempt_at,
            in_quarantine=health.in_quarantine,
            clock_deviation=self.clock_deviation,
            clock_read_at=self.clock_read_at,
            unsupported=self.unsupported,
            speaks=self.speaks,
        )
