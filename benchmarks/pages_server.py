"""The real application over the estate of `pages_estate`, in a process of its own, over HTTP on loopback.

Everything is the product's but the collector: a stand-in that knows the state of each meter and link, so that pages
have what to show. It says on standard output, as JSON, where it is and which cookie is signed in. A line on its
standard input makes frames pass on the hub: `frames 100 20` is 100 a second for 20 seconds.
"""

import argparse
import asyncio
import json
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from pages_estate import METERS_A_LINK, NOW, Estate, folder
from pages_ledger import copy_of
from wattkeeper.billing.service import BillingService
from wattkeeper.collection.commands.service import CommandService
from wattkeeper.collection.counts import Totals
from wattkeeper.collection.drivers import check_command
from wattkeeper.collection.recordings import RecordingDesk
from wattkeeper.collection.repository import CollectionRepository
from wattkeeper.collection.values import LinkStatus, LiveReading, MeterState, Presence, SuccessRate
from wattkeeper.kernel.database import Database
from wattkeeper.kernel.hub import Hub
from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.links.traffic import Traffic
from wattkeeper.monitoring.service import MonitoringService
from wattkeeper.protocols.dlt645.frames import Frame
from wattkeeper.protocols.dlt645.values import encode_value
from wattkeeper.readings.editing.service import ReadingEditing
from wattkeeper.readings.editing.trail import EditTrail
from wattkeeper.readings.retention import Keeper, Retention
from wattkeeper.readings.service import IntervalService
from wattkeeper.readings.store import ReadingsStore
from wattkeeper.readings.validation.exceptions import ExceptionQueue
from wattkeeper.security.rights import Role
from wattkeeper.security.service import SecurityService
from wattkeeper.security.values import UserWanted
from wattkeeper.web.access import COOKIE
from wattkeeper.web.application import create_application
from wattkeeper.web.server import build_server
from wattkeeper.web.services import Services

LOGIN, PASSWORD = "bench", "quiet-meter-bench-42"


class StandInCollector:
    """What a collector of this estate would know; success comes from the ledger, as the real one's does."""

    def __init__(self, estate: Estate, database: Database) -> None:
        self._estate = estate
        self._database = database

    async def read_now(self, meter_id: int, quantities: Sequence[str] | None = None) -> list[LiveReading]:
        """One value, at once."""
        del quantities
        return [
            LiveReading(meter_id=meter_id, quantity="voltage_l1", value=Decimal("230.1"), unit="V", read_at=NOW, exchange_id=1)
        ]  # fmt: skip

    def link_states(self) -> list[LinkStatus]:
        """Every link; each hundredth is down."""
        return [self._link(number) for number in range(self._estate.links)]

    def presences(self) -> dict[int, Presence]:
        """Whether each meter answers."""
        silent = self._estate.silent
        return {
            n + 1: Presence.SILENT if silent(n) else Presence.ANSWERING for n in range(self._estate.meters)
        }

    def meter_states(self) -> list[MeterState]:
        """Every meter."""
        return [self._meter(number) for number in range(self._estate.meters)]

    def meter_state(self, meter_id: int) -> MeterState | None:
        """One meter."""
        return self._meter(meter_id - 1) if 0 < meter_id <= self._estate.meters else None

    readings_waiting = 0

    def totals(self) -> dict[tuple[int, str], Totals]:
        """Nothing is counted here."""
        return {}

    def health(
        self, period: TimeRange, *, meter_id: int | None = None, link_id: int | None = None
    ) -> list[SuccessRate]:
        """As `Collector.health`."""
        with self._database.read() as session:
            repository = CollectionRepository(session)
            links = [] if meter_id is not None else repository.success_by_link(period, link_id=link_id)
            return links + repository.success_by_meter(period, meter_id=meter_id, link_id=link_id)

    @staticmethod
    def _link(number: int) -> LinkStatus:
        down = number % 100 == 99
        url = f"tcp://10.1.{number // 250}.{number % 250 + 1}:8001"
        return LinkStatus(
            link_id=number + 1, code=f"L{number + 1:03d}", url=url, connected=not down, since=NOW - timedelta(hours=30),
            error=f"{url} refused the connection." if down else None, meters=METERS_A_LINK, waiting_live=0, waiting_commands=0,
            waiting_due=number % 3, backfilling=int(number % 40 == 0),
        )  # fmt: skip

    def _meter(self, number: int) -> MeterState:
        silent = self._estate.silent(number)
        seen = NOW - (timedelta(hours=5) if silent else timedelta(seconds=20))
        return MeterState(
            meter_id=number + 1, link_id=number // METERS_A_LINK + 1,
            presence=Presence.SILENT if silent else Presence.ANSWERING, since=NOW - timedelta(hours=5),
            failures_in_a_row=9 if silent else 0, last_success_at=seen, last_failure_at=NOW if silent else None,
            last_failure="It did not answer in 3 attempts." if silent else None, next_attempt_at=None, in_quarantine=False,
            clock_deviation=timedelta(seconds=-90 if number % 1500 == 11 else -2), clock_read_at=NOW, unsupported=(),
        )  # fmt: skip


def pass_frames(hub: Hub, estate: Estate, *, rate: int, seconds: float) -> None:
    """Publish requests and replies in turn, evenly over each second."""
    began = time.perf_counter()
    for number in range(int(rate * seconds)):
        time.sleep(max(0.0, began + number / rate - time.perf_counter()))
        meter = number // 2 * 37 % estate.meters
        identifier, asks = bytes.fromhex("02030000")[::-1], number % 2 == 0
        value = encode_value("02030000", Decimal(number % 5000) / 10000)
        frame = Frame(Estate.address(meter), 0x11 if asks else 0x91, identifier + (b"" if asks else value))
        link = f"L{meter // METERS_A_LINK + 1:03d}"
        hub.publish("traffic", Traffic(link, datetime.now(UTC), "tx" if asks else "rx", frame.encode()))


def obey(hub: Hub, estate: Estate, stop: Callable[[], None]) -> None:
    """Do what standard input says, until it ends."""
    for line in sys.stdin:
        command, rate, seconds = line.split()
        assert command == "frames"
        pass_frames(hub, estate, rate=int(rate), seconds=float(seconds))
    stop()


def signed_in(security: SecurityService, database: Database, now: datetime) -> str:
    """The cookie of an administrator's session."""
    with database.write() as session:
        wanted = UserWanted(name="Bench", role=Role.ADMINISTRATOR)
        security.users.add_in(session, LOGIN, wanted, now=now, password=PASSWORD)
    begun = security.sign_in.sign_in(LOGIN, PASSWORD, address="127.0.0.1", agent="benchmark", now=now)
    return f"{COOKIE}={begun.secret}"


def serve(estate: Estate, place: Path) -> None:
    """Serve until standard input ends."""
    copy_of(estate, place)
    database = Database(f"sqlite:///{place / 'ledger.sqlite'}")
    database.migrate()
    store, hub = ReadingsStore.open(place / "readings"), Hub()
    intervals = IntervalService(database, store)
    began = time.monotonic()

    def clock() -> datetime:
        return NOW + timedelta(seconds=time.monotonic() - began)

    security = SecurityService(database)
    services = Services(
        database=database, store=store, hub=hub, billing=BillingService(database, store, intervals=intervals),
        intervals=intervals, exceptions=ExceptionQueue(database), editing=ReadingEditing(database, store),
        trail=EditTrail(database, store), keeper=Keeper(database, store, Retention()), security=security, monitoring=MonitoringService(database, hub),
        commands=CommandService(database, hub, check=check_command), recordings=RecordingDesk(place / "recordings", hub),
        collector=StandInCollector(estate, database), clock=clock,
    )  # fmt: skip
    listening = socket.create_server(("127.0.0.1", 0))
    server = build_server(create_application(services), host="127.0.0.1", port=listening.getsockname()[1])

    def stop() -> None:
        server.should_exit = True

    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    print(json.dumps({"url": url, "cookie": signed_in(security, database, clock())}), flush=True)
    threading.Thread(target=obey, args=(hub, estate, stop), daemon=True).start()
    try:
        asyncio.run(server.serve(sockets=[listening]))
    finally:
        store.close()
        database.dispose()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--meters", type=int, required=True)
    parser.add_argument("--days", type=int, required=True)
    chosen = parser.parse_args()
    estate = Estate(chosen.meters, chosen.days)
    with tempfile.TemporaryDirectory(dir=folder(estate), prefix="serving-") as place:
        serve(estate, Path(place))


if __name__ == "__main__":
    main()
