"""What pages and the API need from the rooms below: handed in once, by the composition root."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, Protocol

from sqlalchemy.orm import Session

from wattkeeper.registry.repository import Registry
from wattkeeper.registry.rules import SideOf, any_side
from wattkeeper.registry.scope import EVERYTHING, Scope

if TYPE_CHECKING:
    from wattkeeper.billing.service import BillingService
    from wattkeeper.collection.commands.service import CommandService
    from wattkeeper.collection.counts import Totals
    from wattkeeper.collection.recordings import RecordingDesk
    from wattkeeper.collection.values import LinkStatus, LiveReading, MeterState, Presence, SuccessRate
    from wattkeeper.kernel.database import Database
    from wattkeeper.kernel.hub import Hub
    from wattkeeper.kernel.timerange import TimeRange
    from wattkeeper.monitoring.service import MonitoringService
    from wattkeeper.readings.editing.service import ReadingEditing
    from wattkeeper.readings.editing.trail import EditTrail
    from wattkeeper.readings.retention import Keeper
    from wattkeeper.readings.service import IntervalService
    from wattkeeper.readings.store import ReadingsStore
    from wattkeeper.readings.transmission.forwarding import Forwarder
    from wattkeeper.readings.validation.exceptions import ExceptionQueue
    from wattkeeper.security.service import SecurityService


LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")


class CollectorLike(Protocol):
    """The part of the collector that pages use; `wattkeeper.collection.engine.Collector` has this shape."""

    async def read_now(
        self, meter_id: int, quantities: Sequence[str] | None = None
    ) -> Sequence["LiveReading"]:
        """Ask the meter ahead of the queue: live readings, or an error of our own classes."""
        ...

    def link_states(self) -> Sequence["LinkStatus"]:
        """What is known of each link right now, by code."""
        ...

    def presences(self) -> Mapping[int, "Presence"]:
        """Whether each meter answers, by id: what `meter_states` says in short, and twenty times as fast."""
        ...

    def meter_states(self) -> Sequence["MeterState"]:
        """What is known of each meter right now, by id."""
        ...

    def meter_state(self, meter_id: int) -> "MeterState | None":
        """One meter, or None when it is not read."""
        ...

    def totals(self) -> Mapping[tuple[int, str], "Totals"]:
        """Everything counted since the process began, by link and protocol."""
        ...

    @property
    def readings_waiting(self) -> int:
        """Readings that are in memory only."""
        ...

    def health(
        self, period: "TimeRange", *, meter_id: int | None = None, link_id: int | None = None
    ) -> Sequence["SuccessRate"]:
        """Success per link and per meter over the hours that `period` touches; reads the ledger: call in a thread."""
        ...


def utc_now() -> datetime:
    """The wall clock, asked in this one place."""
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True)
class Services:
    """Everything the web room works with.

    `collector` is None when no collection runs in this process: pages stay, "read now" says why it cannot.
    `forwarder` is None when this server sends its readings to no platform.
    `language` is for a visitor who has chosen none and whose browser asks for neither.
    `trusted_hosts` are the host names a browser may use for us (a rebinding page uses another one).
    `scope` is the part of the network that whoever asks may see: `pages.services_of` sets it per request, and
    `registry` and every query keep to it.
    """

    database: "Database"
    store: "ReadingsStore"
    hub: "Hub"
    billing: "BillingService"
    intervals: "IntervalService"
    exceptions: "ExceptionQueue"
    editing: "ReadingEditing"
    trail: "EditTrail"
    keeper: "Keeper"
    security: "SecurityService"
    monitoring: "MonitoringService"
    commands: "CommandService"
    recordings: "RecordingDesk"
    collector: CollectorLike | None = None
    forwarder: "Forwarder | None" = None
    version: str = "0.1.0"
    language: Literal["zh", "en"] = "zh"
    trusted_hosts: tuple[str, ...] = LOOPBACK_NAMES
    clock: Callable[[], datetime] = utc_now
    scope: Scope = EVERYTHING
    side_of: SideOf = any_side
    """What is known of models of meters: whose values they show, and whether there are such."""

    def registry(self, session: Session) -> Registry:
        """The master data that whoever asks may see, in a transaction."""
        return Registry(session, self.scope, side_of=self.side_of)
