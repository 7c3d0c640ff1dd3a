"""A simulated street, an empty installation, and a collector over both."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from wattkeeper.collection.clock import ManualClock
from wattkeeper.collection.engine import Collector
from wattkeeper.collection.plan_repository import PlanRepository
from wattkeeper.collection.schedule import Rhythm, Window
from wattkeeper.collection.values import CollectorOptions, PlannedMeters, PlanTerms
from wattkeeper.kernel.database import Database
from wattkeeper.kernel.hub import Hub
from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.readings.schemas import READING_SCHEMA
from wattkeeper.readings.store import ReadingsStore
from wattkeeper.registry.repository import Registry
from wattkeeper.simulator.world import Neighbourhood, WorldPlan

NOON = datetime(2026, 3, 10, 4, 0, tzinfo=UTC)
"""Noon of a Tuesday in Shanghai."""


def terms(
    *,
    code: str,
    quantities: Sequence[str],
    every_seconds: int,
    jitter_seconds: int = 0,
    window: Window | None = None,
    meter_ids: Sequence[int] | None = None,
    **others: Any,
) -> PlanTerms:
    """What a reading plan says, in short."""
    every, jitter = timedelta(seconds=every_seconds), timedelta(seconds=jitter_seconds)
    if meter_ids is not None:
        others["meters"] = PlannedMeters(listed=frozenset(meter_ids))
    return PlanTerms(
        code=code,
        name=code,
        quantities=tuple(quantities),
        rhythm=Rhythm(every=every, jitter=jitter, window=window),
        **others,
    )


@dataclass
class House:
    """One installation: ledger, store, and whatever is registered in it."""

    database: Database
    store: Any
    clock: ManualClock
    hub: Hub = field(default_factory=Hub)
    meters: dict[str, int] = field(default_factory=dict)
    links: dict[str, int] = field(default_factory=dict)

    def register(self, links: Mapping[str, tuple[str, Sequence[str]]]) -> None:
        """Register links (code to URL and meter addresses)."""
        with self.database.write() as session:
            registry = Registry(session)
            for code, (url, addresses) in links.items():
                self.links[code] = registry.add_link(code=code, name=code, url=url).id
                for address in addresses:
                    self.meters[address] = registry.add_meter(address=address, link_id=self.links[code]).id

    def plan(self, **fields: Any) -> None:
        """Add a reading plan."""
        with self.database.write() as session:
            PlanRepository(session).add(terms(**fields))

    def values(self, address: str, quantity: str = "active_energy_import") -> list[tuple[datetime, str, str]]:
        """(read_at, value, source) of everything stored of a meter, oldest first."""
        period = TimeRange(NOON - timedelta(days=400), NOON + timedelta(days=400))
        table = self.store.readings(meter_ids=[self.meters[address]], quantities=[quantity], period=period)
        rows = [
            (row["read_at"].astimezone(UTC), str(row["value"]), row["source"]) for row in table.to_pylist()
        ]
        return sorted(rows)

    @asynccontextmanager
    async def collecting(self, **options: Any) -> AsyncIterator[Collector]:
        """A running collector; stopped at the end of the block."""
        chosen = replace(
            CollectorOptions(history_days=0, statistics_seconds=0.2, reload_seconds=0.2), **options
        )
        collector = Collector(self.database, self.store, self.hub, options=chosen, clock=self.clock)
        await collector.start()
        try:
            yield collector
        finally:
            await collector.stop()


class MemoryStore:
    """What the collector asks of a readings store, in lists: opening a real one takes longer than most tests."""

    def __init__(self) -> None:
        self.rows: dict[tuple[int, str, datetime], dict[str, Any]] = {}
        self.traces: dict[int, dict[str, Any]] = {}

    def append_readings(self, readings: pa.Table, now: datetime) -> None:
        for row in readings.to_pylist():
            self.rows[row["meter_id"], row["quantity"], row["read_at"]] = {**row, "recorded_at": now}

    def append_exchanges(self, exchanges: pa.Table) -> None:
        for row in exchanges.to_pylist():
            assert row["exchange_id"] not in self.traces
            self.traces[row["exchange_id"]] = row

    def missing_slots(self, meter_ids, quantity, period, step, phase) -> pa.Table:
        return pa.table({"meter_id": [], "start_at": [], "end_at": []})

    def readings(self, *, meter_ids, quantities, period) -> pa.Table:
        chosen = [row for key, row in self.rows.items() if key[0] in meter_ids and key[1] in quantities]
        return pa.Table.from_pylist(chosen, READING_SCHEMA)

    def exchange(self, exchange_id: int) -> dict[str, Any]:
        return self.traces[exchange_id]


@pytest.fixture
def ledger(tmp_path: Path):
    database = Database(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    database.create_schema()
    yield database
    database.dispose()


@pytest.fixture
def house(ledger):
    return House(ledger, MemoryStore(), ManualClock(NOON))


@pytest.fixture
def lasting_house(ledger, tmp_path: Path):
    """A house with the real readings store."""
    with ReadingsStore.open(tmp_path / "store") as store:
        yield House(ledger, store, ManualClock(NOON))


@pytest.fixture
def street():
    """A simulated world: `links` as in a world file."""

    def build(clock: Any, *links: dict[str, Any], **world: Any) -> Neighbourhood:
        described = {"installed": date(2026, 1, 1), **world, "links": list(links)}
        return Neighbourhood(WorldPlan.from_mapping(described), clock=clock)

    return build


@pytest.fixture
def until():
    """Wait for something to become true, with a deadline instead of a sleep."""

    async def wait(condition: Callable[[], Any], *, seconds: float = 15.0) -> Any:
        async with asyncio.timeout(seconds):
            while not (value := condition()):  # noqa: ASYNC110 - conditions of all kinds, none with an event
                await asyncio.sleep(0.01)
        return value

    return wait
