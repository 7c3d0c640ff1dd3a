"""Meter reads per second over loopback TCP, ours against PyPI dlt645 3.2.0, and how busy a paced 9600-baud bus is kept.

A read is a question put, its reply found and checked, and a number of the right scale in hand. Both clients talk to
the same server process (our simulator; then that package's own server), in turns, because a shared machine is not the
same from one second to the next: the ratio is the median over the turns. The paced bus is compared with what the
standard's own gaps allow: both frames at 11 bits a byte, and the 20 ms a meter has to wait before it answers.

    python benchmarks/wire.py
"""

import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvloop
from dlt645 import MeterClientService

from wattkeeper.links import Bus, LinkUrl
from wattkeeper.protocols.dlt645 import ReadExchange

ADDRESS = "000000000161"
WIRE_ORDER = "610100000000"  # how that package writes the same address
DI = "00010000"
TURNS = 9
READS_PER_TURN = 1_000
CONNECTIONS = 200
READS_PER_CONNECTION = 150
PACED_READS = 150
BAUD = 9600
METER_DELAY = 0.020  # DL/T 645-2007 5.2.7: a meter waits at least so long [s]
BITS_PER_BYTE = 11

THEIR_SERVER = f"""
import sys
from dlt645 import MeterServerService
service = MeterServerService.new_tcp_server("127.0.0.1", 0)
service.set_address("{WIRE_ORDER}")
service.set_00(0x00010000, 1234.56)
service.server.start()
print(service.server.port, flush=True)
sys.stdin.read()
"""


@contextmanager
def simulator(**link: Any) -> Iterator[str]:
    """Our simulator in its own process; gives the URL of its one bus."""
    entries = "\n".join(f"{name} = {json.dumps(value)}" for name, value in link.items())
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "world.toml"
        file.write_text(
            f'[[links]]\ncode = "bus"\n{entries}\nmeters = [{{ address = "{ADDRESS}", point = "home" }}]\n'
        )
        command = [sys.executable, "-m", "wattkeeper.simulator", str(file), "--while-stdin"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline())["links"][0]["url"]
            process.communicate()


@contextmanager
def their_server() -> Iterator[str]:
    """That package's TCP server in its own process."""
    command = [sys.executable, "-c", THEIR_SERVER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield f"tcp://127.0.0.1:{int(process.stdout.readline())}"
        process.communicate()


async def read(bus: Bus, times: int) -> None:
    for _ in range(times):
        exchange = await bus.run(ReadExchange(ADDRESS, DI))
        assert exchange.values[0].value is not None


async def one_connection(url: str) -> tuple[list[float], list[float]]:
    """Reads per second, ours and theirs, turn about on one connection each."""
    host, port = url.removeprefix("tcp://").split(":")
    client = MeterClientService.new_tcp_client(host, int(port), timeout=5.0)
    client.set_address(WIRE_ORDER)
    bus = Bus("bench", LinkUrl.parse(url))
    await read(bus, 100)
    their_reads(client, 100)
    ours, theirs = [], []
    for _ in range(TURNS):
        began = time.perf_counter()
        await read(bus, READS_PER_TURN)
        ours.append(READS_PER_TURN / (time.perf_counter() - began))
        theirs.append(rate(lambda: their_reads(client, READS_PER_TURN), READS_PER_TURN))
    client.client.disconnect()
    await bus.close()
    return ours, theirs


def their_reads(client: MeterClientService, times: int) -> None:
    for _ in range(times):
        item = client.read_00(int(DI, 16))
        assert item is not None


def rate(work: Callable[[], None], count: int) -> float:
    began = time.perf_counter()
    work()
    return count / (time.perf_counter() - began)


async def many_connections(url: str) -> list[float]:
    """Reads per second over many connections of one process."""
    buses = [Bus(str(number), LinkUrl.parse(url)) for number in range(CONNECTIONS)]
    await asyncio.gather(*(read(bus, 1) for bus in buses))
    rates = []
    for _ in range(3):
        began = time.perf_counter()
        await asyncio.gather(*(read(bus, READS_PER_CONNECTION) for bus in buses))
        rates.append(CONNECTIONS * READS_PER_CONNECTION / (time.perf_counter() - began))
    await asyncio.gather(*(bus.close() for bus in buses))
    return rates


async def paced(url: str) -> tuple[float, float]:
    """Seconds per read on a paced bus, and the least the standard allows."""
    bus = Bus("paced", LinkUrl.parse(url))
    seen = []
    remove = bus.add_tap(seen.append)
    await read(bus, 3)
    remove()
    octets = sum(len(chunk.data) for chunk in seen) / 3
    began = time.perf_counter()
    await read(bus, PACED_READS)
    taken = (time.perf_counter() - began) / PACED_READS
    await bus.close()
    return taken, octets * BITS_PER_BYTE / BAUD + METER_DELAY


def show(what: str, ours: list[float], theirs: list[float], aim: str) -> None:
    ratio = statistics.median(one / other for one, other in zip(ours, theirs, strict=True))
    print(
        f"{what}: {ratio:.2f} x   (ours {statistics.median(ours):,.0f} reads/s, dlt645 "
        f"{statistics.median(theirs):,.0f} reads/s; {aim})",
        flush=True,
    )


def main() -> None:
    with simulator() as url:
        show("one connection, our simulator", *uvloop.run(one_connection(url)), "aim 1.5 x")
        rates = uvloop.run(many_connections(url))
        print(
            f"{CONNECTIONS} connections in one process: {max(rates) / 10_000:.2f} of 10,000 reads/s   "
            f"(best {max(rates):,.0f}, median {statistics.median(rates):,.0f} reads/s; aim 1)",
            flush=True,
        )
    with their_server() as url:
        show("one connection, their server", *uvloop.run(one_connection(url)), "for comparison")
    with simulator(transport="pty", baud=BAUD) as url:
        taken, allowed = uvloop.run(paced(url))
        print(
            f"{BAUD}-baud bus kept busy: {100 * allowed / taken:.1f} % of what the standard's gaps allow   "
            f"({1000 * taken:.2f} ms a read, {1000 * allowed:.2f} ms allowed; aim 95 %)",
            flush=True,
        )


if __name__ == "__main__":
    main()
