"""How late the event loop is: what everything that shares it waits for, measured while it runs."""

import asyncio
from bisect import bisect_left
from dataclasses import dataclass, field
from typing import Final

EVERY: Final = 0.05
"""Between two measurements. [s]"""
BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Upper bounds of the classes of delays, each included; what is later has a class of its own. [s]"""


@dataclass
class LoopDelay:
    """Delays since the process began, in classes."""

    delays: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    total: float = 0.0
    """All delays added up. [s]"""

    def note(self, delay: float) -> None:
        """Count one measurement, in seconds."""
        late = max(0.0, delay)
        self.delays[bisect_left(BOUNDS, late)] += 1
        self.total += late

    async def watch(self) -> None:
        """Ask the loop to wake us again and again, and note how late it does; runs until it is cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + EVERY
            await asyncio.sleep(EVERY)
            self.note(loop.time() - due)
