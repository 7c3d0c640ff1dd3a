"""Worlds with one meter of 4 kW at a standing time, and an independent implementation beside them."""

import asyncio
from collections.abc import AsyncIterator, Callable
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


@pytest.fixture
def in_thread() -> Callable[..., Any]:
    """Run something that blocks while the world goes on."""

    async def run(work: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.to_thread(work, *arguments)

    return run
