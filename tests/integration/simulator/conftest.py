"""Worlds with one meter of 4 kW at a standing time, and an independent implementation beside them."""

import asyncio
import os
import select
import threading
import tty
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from wattkeeper.links import Bus, LinkUrl
from wattkeeper.simulator import ColumnLoad, FixedClock, Neighbourhood, WorldPlan

ADDRESS = "000000000161"
NOON = datetime(2026, 3, 4, 4, 0, tzinfo=UTC)
"""Wednesday 2026-03-04 12:00 in China: 62 days and a half after the meter was installed."""


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(NOON)


@pytest.fixture
def four_kw() -> ColumnLoad:
    """1 kWh in each quarter hour of 2026."""
    return ColumnLoad(np.ones(365 * 96), first_slot=20_454 * 96)


@pytest.fixture
async def world(clock, four_kw) -> AsyncIterator[Callable[..., Any]]:
    """Start a world of one link; gives the running neighbourhood and a bus to it."""
    running: list[tuple[Neighbourhood, Bus]] = []

    async def start(*meters: dict[str, Any], timing: Any = None, **link: Any) -> tuple[Neighbourhood, Bus]:
        described = [{"address": ADDRESS, "point": "home", **meter} for meter in meters or ({},)]
        plan = WorldPlan.from_mapping({"links": [{"code": "bus", "meters": described, **link}]})
        neighbourhood = Neighbourhood(
            plan, clock=clock, loads={meter["address"]: four_kw for meter in described}
        )
        await neighbourhood.start()
        bus = Bus("bus", LinkUrl.parse(neighbourhood.url("bus")), timing=timing)
        running.append((neighbourhood, bus))
        return neighbourhood, bus

    yield start
    for neighbourhood, bus in running:
        await bus.close()
        await neighbourhood.stop()


@pytest.fixture(scope="module")
def serial_cable() -> Iterator[tuple[str, str]]:
    """Two serial ports with a cable between them: what goes into one comes out of the other."""
    ends = [os.openpty() for _ in range(2)]
    for _, slave in ends:
        tty.setraw(slave)
    (one, _), (other, _) = ends
    unplugged = threading.Event()

    def carry() -> None:
        while not unplugged.is_set():
            for end in select.select([one, other], [], [], 0.05)[0]:
                os.write(other if end == one else one, os.read(end, 1000))

    carrier = threading.Thread(target=carry)
    carrier.start()
    yield os.ttyname(ends[0][1]), os.ttyname(ends[1][1])
    unplugged.set()
    carrier.join()
    for master, slave in ends:
        os.close(master)
        os.close(slave)


@pytest.fixture
def in_thread() -> Callable[..., Any]:
    """Run something that blocks while the world goes on."""

    async def run(work: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.to_thread(work, *arguments)

    return run
