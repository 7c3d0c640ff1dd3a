"""What the collector tells others: frozen values, published through the hub and returned to callers."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from wattkeeper.collection.schedule import Rhythm


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveReading:
    """One value as it was just read; hub topic "reading" carries a list of these."""

    meter_id: int
    quantity: str
    """Key of the quantity catalogue, such as `voltage_l1`."""
    value: Decimal
    unit: str
    read_at: datetime
    """When the meter answered, or the meter's own stamp where it gave one (aware UTC)."""
    exchange_id: int
    """The stored exchange (request and reply bytes) this value was decoded from."""


class Presence(StrEnum):
    """Whether a meter answers, as far as the collector knows."""

    UNKNOWN = "unknown"
    """Not asked yet since the start."""
    ANSWERING = "answering"
    FAILING = "failing"
    """The last read failed, too few times in a row to call it silent."""
    SILENT = "silent"
    """Several reads in a row failed; it is asked ever more rarely until it answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterState:
    """How one meter fares; hub topic "meter" carries one whenever it changes."""

    meter_id: int
    link_id: int
    presence: Presence
    since: datetime | None
    """When the present state began (aware UTC)."""
    failures_in_a_row: int
    last_success_at: datetime | None
    last_failure_at: datetime | None
    last_failure: str | None
    """The sentence that says why the last failed read failed."""
    next_attempt_at: datetime | None
    """A silent meter is not asked before this instant, except by a person."""
    in_quarantine: bool
    """It is left alone until then because asking it jams its line with noise."""
    clock_deviation: timedelta | None
    """The meter's clock minus ours, positive when the meter is ahead."""
    clock_read_at: datetime | None
    unsupported: tuple[str, ...]
    """Quantities this meter has said it does not have."""
    speaks: str | None = None
    """The edition that it was found to speak, such as `dlt645-1997`, where its protocol leaves that open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkStatus:
    """How one link fares; hub topic "link" carries one whenever it connects or is lost."""

    link_id: int
    code: str
    url: str
    connected: bool
    since: datetime | None
    error: str | None
    meters: int
    waiting_commands: int
    """Commands to be sent or resolved."""
    waiting_live: int
    waiting_due: int
    """Meters whose due read has not been done yet."""
    backfilling: int
    """Meters with known gaps that the load record may fill."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SuccessRate:
    """Reads of one link, meter, protocol or hour over a period; a read is one request with its repetitions."""

    link_id: int | None
    """None where several links are added up; likewise for the other three."""
    meter_id: int | None
    protocol: str | None = None
    hour: datetime | None = None
    """The beginning of the hour (UTC)."""
    attempts: int
    """Requests put on the wire, repetitions included."""
    reads: int
    """Reads that ended, well or badly."""
    first_time: int
    """Reads that succeeded on their first attempt."""
    succeeded: int
    strays: int
    """Frames heard from another meter, or about something else than what was asked."""
    answer_ms: int
    """Milliseconds from request to answer, added up over the reads that succeeded."""
    failures: dict[str, int]
    """Failed reads by reason: `no_reply`, `refused`, `unsupported`, `garbled`, `link_down`."""

    @property
    def failed(self) -> int:
        """Reads that ended without an answer that could be used."""
        return self.reads - self.succeeded

    @property
    def retries(self) -> int:
        """Requests that were put on the wire again because the one before was not answered."""
        asked = self.reads - self.failures.get("link_down", 0)
        return max(0, self.attempts - asked)  # what is being tried again at the end of the period ends later

    @property
    def first_rate(self) -> float | None:
        """Reads that succeeded on their first attempt of all reads, 0 to 1; None when nothing was read."""
        return self.first_time / self.reads if self.reads else None

    @property
    def rate(self) -> float | None:
        """Succeeded reads of all reads, 0 to 1; None when nothing was read."""
        return self.succeeded / self.reads if self.reads else None

    @property
    def mean_answer(self) -> timedelta | None:
        """How long an answer took on average, repetitions included; None when nothing succeeded."""
        return timedelta(milliseconds=self.answer_ms) / self.succeeded if self.succeeded else None


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectorOptions:
    """How eagerly the collector works."""

    history_days: int = 70
    """How far back a newly seen meter's load record is fetched."""
    live_seconds: int = 60
    """Period of the plan of live values, where the collector creates it (first start only)."""
    commit_seconds: float = 1.0
    """The longest that readings wait in memory before they are committed."""
    commit_rows: int = 20_000
    """As many readings are committed without waiting longer."""
    reload_seconds: float = 5.0
    """How often the registry and the plans are looked at for changes."""
    gaps_seconds: float = 300.0
    """How often the store is asked what is missing."""
    commands_seconds: float = 1.0
    """How often the ledger is asked for new commands."""
    statistics_seconds: float = 10.0
    """How often success counts are written to the ledger database."""
    clock_hours: float = 24.0
    """At the latest after so long a meter's clock is read; mostly it is at each contact that delays nobody."""
    set_clocks: bool = False
    """Whether clocks that are a little off are set by broadcast, once a day and by night."""
    refused_days: float = 7.0
    """How long a meter is not asked again for what it said it does not have."""
    ignored_reads: int = 5
    """Reads in a row that a meter answers but for one request, after which that request counts as refused."""
    retries: int = 2
    """How often a due read that failed is tried again before the next one is due."""
    retry_seconds: float = 5.0
    """Pause before a due read that failed is tried again; other meters are read meanwhile."""
    silent_after: int = 3
    """Failed reads in a row that make a meter silent."""
    first_back_off_seconds: float = 30.0
    """Pause after which a silent meter is tried again; it doubles with each failure."""
    longest_back_off_seconds: float = 900.0
    jams_after: int = 3
    """Attempts in a row after which noise held the line, and then the meter is left alone."""
    quarantine_hours: float = 6.0
    """For how long it is left alone then; a person may always ask it."""
    zone: str = "Asia/Shanghai"
    """Zone of the clock of a meter that is not installed at a site yet (IANA name)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedMeters:
    """Which meters a plan covers: those `listed`, or every meter that fits all the rest of what is said."""

    listed: frozenset[int] | None = None
    """Meters by id; None: not by id."""
    site_id: int | None = None
    area_id: int | None = None
    """This area and all below it."""
    link_id: int | None = None
    protocol: str | None = None
    model: str | None = None

    @property
    def everything(self) -> bool:
        """Whether every meter is covered."""
        return self == PlannedMeters()


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanTerms:
    """What a reading plan says: which quantities are read, of which meters, and when."""

    code: str
    name: str
    quantities: tuple[str, ...]
    rhythm: Rhythm
    profile: bool = False
    """Whether gaps of these quantities are filled from what meters remember."""
    enabled: bool = True
    meters: PlannedMeters = field(default_factory=PlannedMeters)


@dataclass(frozen=True, slots=True)
class KeptPlan:
    """A reading plan as it is kept."""

    plan_id: int
    terms: PlanTerms
