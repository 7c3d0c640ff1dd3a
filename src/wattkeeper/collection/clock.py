"""The collector's clock: the one place of this room where "now" comes from, so that tests can steer it."""

import asyncio
from datetime import UTC, datetime, timedelta
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


class ManualClock:
    """A clock that stands until somebody moves it: the double for tests, and for replaying the past."""

    def __init__(self, at: datetime) -> None:
        self._at = at
        self._moved = asyncio.Event()

    def now(self) -> datetime:
        """The moment it was set to."""
        return self._at

    def advance(self, by: timedelta) -> None:
        """Move on, and wake everyone who waited for a moment that has come."""
        self._at += by
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    async def wait(self, event: asyncio.Event, *, until: datetime | None) -> None:
        """Return when `event` is set or the clock was moved to `until`."""
        while not event.is_set() and (until is None or self._at < until):
            waiting = [asyncio.ensure_future(event.wait()), asyncio.ensure_future(self._moved.wait())]
            try:
                await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for waiter in waiting:
                    waiter.cancel()
