"""A fleet in one process: 500 RS-485 buses over TCP with 16,000 meters, beside a tenth of it.

What is measured is how each figure grows from 1,600 to 16,000 meters: ten times as many should cost ten times as much,
or less. The meters are a farm in a process of its own that answers at once, so that what shows is the collector and its
stores, not the line: on paced buses of 32 meters at 9600 baud the same takes as long as the line does.

- *registers of all*: from the start of the collector until every meter has told its registers and its clock once, and
  all of it is committed (the first reading of a new installation, the registry loaded included).
- *daily freeze of all*: the meters refuse the load record; the store is asked what is missing, and every meter's last
  midnight is fetched from its daily freezes and committed.
- *delay of the event loop*: how late a task runs that wants to run every 10 ms, while reading (aim: p99 under 50 ms).
- *memory*: what the process has grown by since before the collector was made, divided by meters, and by links.

    python benchmarks/fleet.py [--buses 500] [--meters 32]
"""

import argparse
import asyncio
import gc
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import uvloop

from wattkeeper.collection.engine import Collector
from wattkeeper.collection.plan_repository import PlanRepository
from wattkeeper.collection.schedule import Rhythm
from wattkeeper.collection.values import CollectorOptions, PlanTerms
from wattkeeper.kernel.database import Database
from wattkeeper.kernel.garbage import keep_pauses_short
from wattkeeper.kernel.hub import Hub
from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.readings.store import ReadingsStore
from wattkeeper.registry.models import Link, Meter
from wattkeeper.registry.repository import Registry

AIM_DELAY_MS = 50
TICK = 0.010
SHARE = 10
"""The small fleet is the large one divided by this."""
DEADLINE = 900.0
REQUEST = 16  # bytes of a read request behind its preamble
PREAMBLE = b"\xfe" * 4
ZONE = ZoneInfo("Asia/Shanghai")
MIDNIGHT, ENERGY = "active_energy_import", bytes.fromhex("7856341200000000000000000000000000000000")


# -- the farm: meters that answer at once


def farm(buses: int) -> None:
    """Serve so many buses, each on a port of its own and with any address, until stdin ends."""
    uvloop.run(_farm(buses))


async def _farm(buses: int) -> None:
    loop = asyncio.get_running_loop()
    servers = [await loop.create_server(Bus, "127.0.0.1", 0) for _ in range(buses)]
    print(json.dumps([server.sockets[0].getsockname()[1] for server in servers]), flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


class Bus(asyncio.Protocol):
    """All meters of one bus, whatever their addresses."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where to answer."""
        self._transport: Any = transport
        self._held = b""

    def data_received(self, data: bytes) -> None:
        """Answer each whole request."""
        self._held = (self._held + data).lstrip(b"\xfe")
        while len(self._held) >= REQUEST - 4 and len(self._held) >= 12 + self._held[9]:
            size = 12 + self._held[9]
            frame, self._held = self._held[:size], self._held[size:].lstrip(b"\xfe")
            self._transport.write(PREAMBLE + reply_to(frame))


def reply_to(request: bytes) -> bytes:
    """What a meter says: energies, its clock, its daily freezes; it has no load record."""
    wire = request[10:14]
    family = bytes((octet - 0x33) & 0xFF for octet in wire)[::-1]
    data = answer(family)
    control, body = (0xD1, b"\x02") if data is None else (0x91, family[::-1] + data)
    head = request[:8] + bytes([control, len(body)]) + bytes((octet + 0x33) & 0xFF for octet in body)
    return head + bytes([sum(head) & 0xFF, 0x16])


def answer(di: bytes) -> bytes | None:
    """The data behind an identifier; None: no such data."""
    now = datetime.now(ZONE)
    if di[0] == 0x00:
        return ENERGY if di[2] == 0xFF else ENERGY[:4]
    if di == b"\x04\x00\x01\x01":
        return bytes.fromhex(f"{now.isoweekday() % 7:02d}{now:%d%m%y}")
    if di == b"\x04\x00\x01\x02":
        return bytes.fromhex(f"{now:%S%M%H}")
    if di[:2] == b"\x05\x06" and di[3] <= 62:
        frozen = now.replace(hour=0, minute=0) - timedelta(days=di[3] - 1)
        return bytes.fromhex(f"{frozen:%M%H%d%m%y}") if di[2] == 0 else ENERGY
    return None


@contextmanager
def running_farm(buses: int) -> Iterator[list[int]]:
    """The farm in a process of its own; gives its ports."""
    command = [sys.executable, __file__, "--farm", str(buses)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())
        process.communicate()


# -- the collector


def collect(ports: list[int], meters: int) -> dict[str, float]:
    """Read every meter of every bus once, then its last daily freeze; the figures."""
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{Path(folder) / 'ledger.sqlite'}")
        database.migrate()
        _register(database, ports, meters)
        with ReadingsStore.open(Path(folder) / "readings") as store:
            return uvloop.run(_collect(database, store, len(ports) * meters, len(ports)))


def _register(database: Database, ports: list[int], meters: int) -> None:
    with database.write() as session:
        registry = Registry(session)
        registry.add_site(code="s", name="s", zone=ZONE.key)
        links = [
            Link(code=f"B{number:03d}", name=f"B{number:03d}", url=f"tcp://127.0.0.1:{port}", enabled=True)
            for number, port in enumerate(ports)
        ]
        session.add_all(links)
        session.flush()
        session.add_all(
            Meter(address=f"{bus * meters + meter:012d}", link_id=link.id)
            for bus, link in enumerate(links)
            for meter in range(meters)
        )
        PlanRepository(session).add(
            PlanTerms(
                code="registers",
                name="registers",
                quantities=("active_energy_import", "active_energy_import_t1", "active_energy_export"),
                rhythm=Rhythm(every=timedelta(days=1)),
                profile=True,
            )
        )


async def _collect(database: Database, store: ReadingsStore, meters: int, links: int) -> dict[str, float]:
    gc.freeze()  # as the server does when it starts
    options = replace(CollectorOptions(), history_days=2, gaps_seconds=1e6)
    before = _memory()
    delays: list[float] = []
    collector = Collector(database, store, Hub(), options=options)
    watch = asyncio.create_task(_watch(delays))
    began = time.perf_counter()
    await collector.start()
    keep_pauses_short()  # likewise
    await _until_idle(collector)
    await _until_refused(collector, meters)
    registers = time.perf_counter() - began
    reading = _memory() - before
    delayed = sorted(delays)
    delays.clear()
    began = time.perf_counter()
    await collector.look_for_gaps()
    await _until_idle(collector)
    freezes = time.perf_counter() - began
    watch.cancel()
    frozen = _frozen(store)
    await collector.stop()
    if frozen < meters:
        raise SystemExit(f"only {frozen} of {meters} meters have told their last midnight")
    worst = sorted([*delayed, *delays])
    return {
        "meters": meters,
        "links": links,
        "registers_s": registers,
        "freezes_s": freezes,
        "delay_p50_ms": 1000 * statistics.median(worst),
        "delay_p99_ms": 1000 * worst[int(0.99 * len(worst))],
        "delay_max_ms": 1000 * worst[-1],
        "kb_per_meter": reading / meters,
        "kb_per_link": reading / links,
        "resident_mb": _memory() / 1024,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


async def _until_idle(collector: Collector) -> None:
    async with asyncio.timeout(DEADLINE):
        while not collector.is_idle:  # noqa: ASYNC110 - nobody tells when the last of 500 links is done
            await asyncio.sleep(0.02)
        await collector.flush()


async def _until_refused(collector: Collector, meters: int) -> None:
    """The collector has looked for gaps once by itself, and every meter has refused its load record."""
    async with asyncio.timeout(DEADLINE):
        while sum(total.counts["unsupported"] for total in collector.totals().values()) < meters:
            await _until_idle(collector)


async def _watch(delays: list[float]) -> None:
    while True:
        due = (
            time.perf_counter() + TICK
        )  # uvloop's own time stands still during a turn, and would hide half of it
        await asyncio.sleep(TICK)
        delays.append(time.perf_counter() - due)


def _frozen(store: ReadingsStore) -> int:
    midnight = datetime.now(ZONE).replace(hour=0, minute=0, second=0, microsecond=0).astimezone(UTC)
    period = TimeRange(midnight, midnight + timedelta(seconds=1))
    return store.readings(meter_ids=None, quantities=[MIDNIGHT], period=period).num_rows


def _memory() -> float:
    """Resident memory now [kB]."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1024


# -- the report


def measured(buses: int, meters: int) -> dict[str, float]:
    """One scale, in a process of its own against a farm of its own."""
    with running_farm(buses) as ports:
        command = [sys.executable, __file__, "--collect", json.dumps(ports), "--meters", str(meters)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def report(small: dict[str, float], large: dict[str, float]) -> None:
    """Both scales side by side, and what ten times as many meters cost."""
    times = large["meters"] / small["meters"]
    print(
        f"{'':28}{small['meters']:>12,.0f}{large['meters']:>12,.0f}   growth ({times:.0f} times the meters)"
    )
    rows = (
        ("registers of all [s]", "registers_s", 2),
        ("daily freeze of all [s]", "freezes_s", 2),
        ("loop delay p50 [ms]", "delay_p50_ms", 2),
        (f"loop delay p99 [ms], aim {AIM_DELAY_MS}", "delay_p99_ms", 1),
        ("loop delay, longest [ms]", "delay_max_ms", 0),
        ("memory a meter [kB]", "kb_per_meter", 1),
        ("memory a link [kB]", "kb_per_link", 0),
        ("resident [MB]", "resident_mb", 0),
    )
    for name, key, digits in rows:
        growth = large[key] / small[key] if small[key] else float("nan")
        print(f"{name:28}{small[key]:>12,.{digits}f}{large[key]:>12,.{digits}f}{growth:>9.1f}x")
    for name, key in (("registers", "registers_s"), ("freezes", "freezes_s")):
        print(
            f"{name}: {large['meters'] / large[key]:,.0f} meters a second, {times * small[key] / large[key]:.2f} of linear"
        )


def main() -> None:
    """Measure a tenth, then all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--buses", type=int, default=500)
    parser.add_argument("--meters", type=int, default=32, help="on each bus")
    parser.add_argument("--farm", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--collect", type=json.loads, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.farm:
        farm(chosen.farm)
    elif chosen.collect:
        print(json.dumps(collect(chosen.collect, chosen.meters)))
    else:
        report(measured(chosen.buses // SHARE, chosen.meters), measured(chosen.buses, chosen.meters))


if __name__ == "__main__":
    main()
