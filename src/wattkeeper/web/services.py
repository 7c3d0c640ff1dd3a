"""What pages and the API need from the rooms below: handed in once, by the composition root."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from wattkeeper.billing.service import BillingService
    from wattkeeper.kernel.database import Database
    from wattkeeper.kernel.hub import Hub
    from wattkeeper.readings.service import IntervalService
    from wattkeeper.readings.store import ReadingsStore


class CollectorLike(Protocol):
    """The part of the collector that pages use; `wattkeeper.collection.engine.Collector` has this shape."""

    async def read_now(self, meter_id: int, quantities: Sequence[str] | None = None) -> Sequence[Any]:
        """Ask the meter ahead of the queue: live readings, or an error of our own classes."""
        ...

    def link_states(self) -> Mapping[str, Any] | Sequence[Any]:
        """What is known of each link right now."""
        ...

    def meter_states(self) -> Mapping[int, Any] | Sequence[Any]:
        """What is known of each meter right now."""
        ...


def utc_now() -> datetime:
    """The wall clock, asked in this one place."""
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True)
class Services:
    """Everything the web room works with.

    `collector` is None when no collection runs in this process: pages stay, "read now" says why it cannot.
    `trusted_hosts` are the host names a browser may use for us (a rebinding page uses another one).
    """

    database: "Database"
    store: "ReadingsStore"
    hub: "Hub"
    billing: "BillingService"
    intervals: "IntervalService"
    collector: CollectorLike | None = None
    version: str = "0.1.0"
    trusted_hosts: tuple[str, ...] = field(default=("localhost", "127.0.0.1", "[::1]"))
    clock: Callable[[], datetime] = utc_now
