"""The collector's clock: the one place of this room where "now" comes from, so that tests can steer it."""

import asyncio
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What time it is, and waiting until it is later."""

    def now(self) -> datetime:
        """The present instant (aware UTC)."""
        ...

    async def wait(self, event: asyncio.Event, *, until: datetime | None) -> None:
        """Return when `event` is set or the clock has reached `until`, whichever is first."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The present instant (aware UTC)."""
        return datetime.now(UTC)

    async def wait(self, event: asyncio.Event, *, until: datetime | None) -> None:
        """Return when `event` is set or the machine's clock has reached `until`."""
        seconds = None if until is None else max(0.0, (until - self.now()).total_seconds())
        try:
            await asyncio.wait_for(event.wait(), seconds)
        except TimeoutError:
            return
