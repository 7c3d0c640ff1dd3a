"""Two ends without a network: a collector's store and outbox, and a platform, each with a registry of its own."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

from wattkeeper.kernel.database import Database
from wattkeeper.readings.schemas import EXCHANGE_SCHEMA, READING_SCHEMA
from wattkeeper.readings.store import ReadingsStore
from wattkeeper.readings.transmission.errors import BaseUnknown
from wattkeeper.readings.transmission.feeding import Feed
from wattkeeper.readings.transmission.outbox import Outbox
from wattkeeper.readings.transmission.receiving import BatchReceiver
from wattkeeper.readings.transmission.sending import Sender, Shipment, UnknownMeters
from wattkeeper.readings.transmission.values import Delivery, Receipt
from wattkeeper.registry.repository import Registry

NOON = datetime(2026, 3, 1, 4, tzinfo=UTC)
ENERGY = "active_energy_import"


class End:
    """A ledger with two links and its store; meters get other ids at each end."""

    def __init__(self, folder: Path, *, first: int) -> None:
        folder.mkdir()
        self.folder = folder
        self.database = Database(f"sqlite:///{folder / 'ledger.sqlite'}")
        self.database.create_schema()
        self.store = ReadingsStore.open(folder / "readings")
        with self.database.write() as session:
            registry = Registry(session)
            self.links = {
                code: registry.add_link(code=code, name=code, url="tcp://127.0.0.1:9").id
                for code in ("bus-1", "bus-2")
            }
            for number in range(first):
                registry.add_meter(address=f"9{number:011d}", link_id=self.links["bus-2"])
        self.meters: dict[str, int] = {}

    def register(
        self, *addresses: str, link: str = "bus-1", protocol: str = "dlt645-2007", model: str = ""
    ) -> None:
        with self.database.write() as session:
            for address in addresses:
                meter = Registry(session).add_meter(
                    address=address, link_id=self.links[link], protocol=protocol, model=model
                )
                self.meters[address] = meter.id

    def values(self) -> list[tuple[str, str, datetime, str, str]]:
        """Every current reading: address, quantity, minute, value, source."""
        names = {meter_id: address for address, meter_id in self.meters.items()}
        return sorted(
            (names[row["meter_id"]], row["quantity"], (row["read_at"] - NOON) // timedelta(minutes=1), str(row["value"]), row["source"])
            for row in self.store.readings().to_pylist()
        )  # fmt: skip

    def close(self) -> None:
        self.store.close()
        self.database.dispose()


class Collector(End):
    """The collector's end."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, first=0)
        self.feed = Feed(self.database, self.store, frames=True)
        self.begin()

    def begin(self) -> None:
        """As after a start: only what is on the disk is known."""
        self.outbox = Outbox(self.folder / "outbox", most_bytes=1 << 30)
        self.unknown = UnknownMeters(self.folder / "outbox" / "unknown.json")
        self.sender = Sender(self.outbox, self.unknown)

    def restart(self) -> None:
        self.outbox.close()
        self.begin()

    def read(
        self, address: str, minute: int, value: str, *, exchange: int | None = None, **more: str
    ) -> None:
        """A reading, committed; with the frames it came in when an exchange is named."""
        meter_id = self.meters[address]
        at = NOON + timedelta(minutes=minute)
        if exchange is not None:
            frames = {
                "exchange_id": exchange, "link_id": self.links["bus-1"], "meter_id": meter_id, "began_at": at,
                "ended_at": at, "request": bytes.fromhex(f"68{address}68"), "reply": b"\x16", "outcome": "ok",
            }  # fmt: skip
            self.store.append_exchanges(pa.Table.from_pylist([frames], schema=EXCHANGE_SCHEMA))
        row = {
            "meter_id": meter_id, "quantity": ENERGY, "read_at": at, "value": Decimal(value), "status": 0,
            "source": "meter", "exchange_id": exchange,
        } | more  # fmt: skip
        self.store.append_readings(pa.Table.from_pylist([row], schema=READING_SCHEMA), at)

    def close(self) -> None:
        self.outbox.close()
        super().close()


class Platform(End):
    """The platform's end."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, first=5)
        self.restart()

    def restart(self) -> None:
        """As after a start: the bases are forgotten."""
        self.receiver = BatchReceiver(self.database, self.store)

    def receive(self, collector: Collector, shipment: Shipment) -> Receipt:
        delivery = Delivery(
            collector=collector.outbox.id, name="site 7", run=shipment.run.hex(), last=shipment.last
        )
        return self.receiver.receive(shipment.payload, delivery, now=NOON + timedelta(days=1))


def deliver(collector: Collector, platform: Platform) -> list[Receipt]:
    """Feed and send until nothing waits."""
    while collector.feed.feed(collector.outbox):
        pass
    receipts = []
    while (shipment := collector.sender.next()) is not None:
        try:
            receipt = platform.receive(collector, shipment)
        except BaseUnknown:
            assert collector.sender.base_lost()
            continue
        collector.sender.acknowledged(shipment, upto=receipt.acknowledged, unknown=receipt.unknown)
        receipts.append(receipt)
    return receipts


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[Collector]:
    end = Collector(tmp_path / "collector")
    yield end
    end.close()


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    end = Platform(tmp_path / "platform")
    yield end
    end.close()
