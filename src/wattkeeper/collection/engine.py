"""The collector: reads every meter by plan, keeps every link busy with what matters most, and loses nothing."""

from collections.abc import Sequence
from datetime import datetime

from wattkeeper.collection.clock import Clock, SystemClock
from wattkeeper.collection.values import CollectorOptions, LinkStatus, LiveReading, MeterState, SuccessRate
from wattkeeper.kernel.database import Database
from wattkeeper.kernel.hub import Hub
from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.readings.store import ReadingsStore


class Collector:
    """Owns every enabled link and reads the meters behind it.

    Lives on one event loop; the ledger database and the store are only touched in threads.
    """

    def __init__(
        self,
        database: Database,
        store: ReadingsStore,
        hub: Hub,
        *,
        options: CollectorOptions | None = None,
        clock: Clock | None = None,
    ) -> None: ...

    async def start(self) -> None:
        """Create the default plans where there are none, load the registry and begin to read."""

    async def stop(self) -> None:
        """Finish the frame in flight on each link, close the links and commit what was read."""

    async def reload(self) -> None:
        """Take over new, changed and disabled links, meters and plans now, not at the next interval."""

    async def read_now(self, meter_id: int, quantities: Sequence[str] | None = None) -> list[LiveReading]:
        """Read a meter ahead of everything queued; None reads what its plans read.

        Raises:
            UnknownMeter: not registered, disabled or without an enabled link.
            ReadFailed: the meter did not answer, or refused all that was asked.

        """

    def link_states(self) -> list[LinkStatus]:
        """Every link the collector owns, by code."""

    def meter_states(self) -> list[MeterState]:
        """Every meter the collector reads, by id."""

    def meter_state(self, meter_id: int) -> MeterState | None:
        """One meter, or None when the collector does not read it."""

    def health(self, period: TimeRange, *, meter_id: int | None = None, link_id: int | None = None) -> list[SuccessRate]:
        """Success per link and per meter over whole hours that `period` touches; reads the ledger: call in a thread."""
