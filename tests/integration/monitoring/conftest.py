"""A small network in a real database, and a collector that says what it is told to."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from wattkeeper.collection.values import LinkStatus, LiveReading, MeterState, Presence
from wattkeeper.kernel.database import Database
from wattkeeper.kernel.hub import Hub, Message
from wattkeeper.monitoring.service import MonitoringService
from wattkeeper.registry.models import AreaKind
from wattkeeper.registry.repository import Registry
from wattkeeper.registry.service import install_meter

NOW = datetime(2026, 11, 22, 9, 37, 5, tzinfo=UTC)


@dataclass
class Network:
    """One link, two areas, three meters: the first two in the first area, the third one in the second."""

    database: Database
    link: int = 0
    site: int = 0
    areas: list[int] = field(default_factory=list)
    meters: list[int] = field(default_factory=list)
    states: dict[int, MeterState] = field(default_factory=dict)
    link_error: str | None = None
    link_since: datetime = NOW - timedelta(days=1)

    def build(self) -> None:
        with self.database.write() as session:
            registry = Registry(session)
            self.site = registry.add_site(code="main", name="滨江", zone="Asia/Shanghai").id
            self.link = registry.add_link(code="north", name="北区总线", url="tcp://10.0.0.1:8001").id
            for code in ("A1", "A2"):
                area = registry.add_area(site_id=self.site, code=code, name=f"{code}台区", kind=AreaKind.AREA)
                self.areas.append(area.id)
            for number in range(3):
                meter = registry.add_meter(
                    address=f"{161 + number:012d}", link_id=self.link, max_current_a=Decimal(60)
                )
                point = registry.add_point(
                    site_id=self.site,
                    code=f"P{number}",
                    name=f"{number}号楼",
                    area_id=self.areas[number // 2],
                )
                install_meter(session, point_id=point.id, meter_id=meter.id, at=NOW - timedelta(days=30))
                self.meters.append(meter.id)
        for meter_id in self.meters:
            self.set(meter_id, Presence.ANSWERING, since=NOW - timedelta(hours=1))

    def set(self, meter_id: int, presence: Presence, *, since: datetime) -> MeterState:
        """A meter's state from now on."""
        self.states[meter_id] = state = MeterState(
            meter_id=meter_id, link_id=self.link, presence=presence, since=since, failures_in_a_row=0,
            last_success_at=None, last_failure_at=None, last_failure="No reply.", next_attempt_at=None, in_quarantine=False,
            clock_deviation=None, clock_read_at=None, unsupported=(),
        )  # fmt: skip
        return state

    def meter_states(self) -> list[MeterState]:
        return list(self.states.values())

    def link_states(self) -> list[LinkStatus]:
        return [
            LinkStatus(
                link_id=self.link, code="north", url="tcp://10.0.0.1:8001", connected=self.link_error is None,
                since=self.link_since, error=self.link_error, meters=3, waiting_commands=0, waiting_live=0, waiting_due=0, backfilling=0,
            )
        ]  # fmt: skip

    def reading(self, meter: int, value: str, quantity: str = "voltage_l1", *, at: datetime = NOW) -> Message:
        """A value as the hub carries it."""
        return Message(
            "reading",
            [
                LiveReading(
                    meter_id=self.meters[meter], quantity=quantity, value=Decimal(value), unit="V", read_at=at,
                    exchange_id=4711,
                )
            ],
        )  # fmt: skip


@pytest.fixture
def network(database: Database) -> Network:
    built = Network(database)
    built.build()
    return built


@pytest.fixture
def hub() -> Iterator[Hub]:
    return Hub()


@pytest.fixture
def monitor(network: Network, hub: Hub) -> MonitoringService:
    return MonitoringService(network.database, hub, collector=network)
