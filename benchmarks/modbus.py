"""Modbus: frames decoded per second, registers read per second, and requests saved, against pymodbus 3.16 in one run.

* codec: a reply of 80 registers to the numbers in them; ours with frame search and CRC, theirs by `FramerRTU` and its
  decoder, which is what its client does;
* reads: two registers a request over loopback TCP from the same server (our simulator, in a process of its own), by
  its asyncio client and by ours, in turns; one connection, and 200 at once;
* requests saved: what reading each register of the shipped maps alone would cost, against coalesced.

    python benchmarks/modbus.py
"""

from __future__ import annotations

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

import uvloop
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.framer import FramerRTU
from pymodbus.pdu import DecodePDU

from wattkeeper.links import Bus, LinkUrl
from wattkeeper.protocols.modbus import Frame, ReadRegisters
from wattkeeper.protocols.modbus.coalescing import coalesce
from wattkeeper.protocols.modbus.mapfiles import shipped_maps

FRAMES = 5_000
ROUNDS = 5
TURNS = 5
READS = 1_000
CONNECTIONS = 200
READS_PER_CONNECTION = 25

WORLD = """
[[links]]
code = "bus"
transport = "modbus-tcp"
modbus = [{ unit = 1, map = "eastron-sdm630" }]
"""


@contextmanager
def server() -> Iterator[int]:
    """Our simulator in its own process; gives its port. It is quicker than pymodbus's server, which hides its clients."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "world.toml"
        file.write_text(WORLD)
        command = [sys.executable, "-m", "wattkeeper.simulator", str(file), "--while-stdin"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            yield int(json.loads(process.stdout.readline())["links"][0]["url"].rpartition(":")[2])
            process.communicate()


def codec() -> tuple[float, float]:
    """Replies decoded per second: ours, theirs."""
    body = bytes((160,)) + bytes(range(160))
    raw = Frame(1, 3, body).encode()
    theirs = FramerRTU(DecodePDU(is_server=False))
    decoder = DecodePDU(is_server=False)

    def our_way() -> None:
        for _ in range(FRAMES):
            exchange = ReadRegisters(1, 0, 80)
            assert exchange.feed(raw)
            assert len(exchange.registers) == 80

    def their_way() -> None:
        for _ in range(FRAMES):
            _, _, _, pdu = theirs.decode(raw)
            reply = decoder.decode(pdu)
            assert reply is not None
            assert len(reply.registers) == 80

    return best_rate(our_way, FRAMES), best_rate(their_way, FRAMES)


def best_rate(work: Callable[[], object], number: int) -> float:
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - began)
    return number / best


async def ours(port: int, connections: int, reads: int) -> float:
    buses = [Bus(f"bus {number}", LinkUrl.parse(f"tcp://127.0.0.1:{port}")) for number in range(connections)]
    await asyncio.gather(*(bus.open() for bus in buses))

    async def one(bus: Bus) -> None:
        for _ in range(reads):
            exchange = await bus.run(ReadRegisters(1, 0, 2, function=4, framing="tcp"))
            assert len(exchange.registers) == 2

    began = time.perf_counter()
    await asyncio.gather(*map(one, buses))
    took = time.perf_counter() - began
    await asyncio.gather(*(bus.close() for bus in buses))
    return connections * reads / took


async def theirs(port: int, connections: int, reads: int) -> float:
    clients = [AsyncModbusTcpClient("127.0.0.1", port=port) for _ in range(connections)]
    await asyncio.gather(*(client.connect() for client in clients))

    async def one(client: AsyncModbusTcpClient) -> None:
        for _ in range(reads):
            reply = await client.read_input_registers(0, count=2, device_id=1)
            assert len(reply.registers) == 2

    began = time.perf_counter()
    await asyncio.gather(*map(one, clients))
    took = time.perf_counter() - began
    for client in clients:
        client.close()
    return connections * reads / took


async def wire(port: int, connections: int, reads: int) -> tuple[float, float]:
    """Reads per second, ours and theirs: the medians over turns."""
    rates = [
        (await ours(port, connections, reads), await theirs(port, connections, reads)) for _ in range(TURNS)
    ]
    return statistics.median(rate[0] for rate in rates), statistics.median(rate[1] for rate in rates)


def main() -> None:
    mine, others = codec()
    print(f"codec, 80 registers a reply: {mine:,.0f}/s against {others:,.0f}/s: {mine / others:.1f}x")
    with server() as port:
        for connections, reads in ((1, READS), (CONNECTIONS, READS_PER_CONNECTION)):
            mine, others = uvloop.run(wire(port, connections, reads))
            print(
                f"reads, {connections} connections: {mine:,.0f}/s against {others:,.0f}/s: {mine / others:.1f}x"
            )
    maps = shipped_maps().values()
    alone = sum(len(each.registers) for each in maps)
    together = sum(
        len(coalesce([register.span for register in each.registers], each.limits)) for each in maps
    )
    print(f"requests for {alone} registers of {len(maps)} maps: {together}, {1 - together / alone:.0%} saved")


if __name__ == "__main__":
    main()
