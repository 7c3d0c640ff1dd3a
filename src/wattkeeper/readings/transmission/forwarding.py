"""The collector's end at work: the store is fed into the outbox, and the outbox sent, each at its own pace.

Neither waits for the other, and collecting waits for neither.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

import structlog

from wattkeeper.kernel.database import Database, in_parts
from wattkeeper.readings.store import ReadingsStore
from wattkeeper.readings.transmission.errors import BaseUnknown, OutboxUnusable
from wattkeeper.readings.transmission.feeding import MOST_ROWS, Feed
from wattkeeper.readings.transmission.outbox import Outbox, Waiting
from wattkeeper.readings.transmission.platform import Platform
from wattkeeper.readings.transmission.sending import Sender, Shipment, UnknownMeters
from wattkeeper.readings.transmission.values import ForwardStatus

log = structlog.get_logger(__name__)
T = TypeVar("T")

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LONGEST_PAUSE: Final = 60.0
_ASKED_AT_ONCE: Final = 5_000
_BEHIND: Final = 3
"""Batches in the outbox from which on it is fed at leisure: larger batches are smaller a reading."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardOptions:
    """Where a collector's readings go, and how."""

    url: str
    token: str
    authority: Path | None
    """Certificates that are trusted beside the machine's own."""
    frames: bool
    """Whether the frames that readings came in travel too."""
    folder: Path
    most_bytes: int
    feed_seconds: float = 1.0
    feed_seconds_behind: float = 60.0
    ask_seconds: float = 300.0
    """How often the platform is asked whether it knows by now what it did not."""
    first_pause: float = 1.0
    """After a failure; doubled with each further one up to a minute, and shortened by chance by up to a half, so that
    a thousand collectors do not come back at once."""


class _Opened(NamedTuple):
    outbox: Outbox
    unknown: UnknownMeters
    sender: Sender


class Forwarder:
    """Sends what this collector reads to a platform, from `start` to `stop`."""

    def __init__(
        self,
        database: Database,
        store: ReadingsStore,
        options: ForwardOptions,
        *,
        now: Callable[[], datetime],
    ) -> None:
        self._options = options
        self._feed = Feed(database, store, frames=options.frames)
        self._now = now
        self._chance = random.SystemRandom()
        self._opened: _Opened | None = None
        self._opening = asyncio.Lock()
        self._stopping = asyncio.Event()
        self._fed = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._asked_at = float("-inf")
        self._failures = 0
        self._sent = self._sent_bytes = 0
        self._acknowledged_at: datetime | None = None
        self._feed_error: str | None = None
        self._send_error: str | None = None

    def start(self) -> None:
        """Begin to feed and to send."""
        self._tasks = [
            asyncio.create_task(self._keep_feeding(), name="forward: feed"),
            asyncio.create_task(self._keep_sending(), name="forward: send"),
        ]

    async def stop(self) -> None:
        """Stop; a shipment on its way is sent again at the next start."""
        self._stopping.set()
        self._fed.set()
        await asyncio.gather(*self._tasks)
        self._close()

    def status(self) -> ForwardStatus:
        """How it gets on."""
        opened = self._opened
        waiting = Waiting(0, 0, 0, None) if opened is None else opened.outbox.waiting
        oldest = waiting.oldest_mark
        return ForwardStatus(
            url=self._options.url,
            collector=None if opened is None else opened.outbox.id,
            batches=waiting.batches,
            rows=waiting.rows,
            bytes=waiting.bytes,
            oldest_at=None if oldest is None else _EPOCH + timedelta(microseconds=oldest),
            sent=self._sent,
            sent_bytes=self._sent_bytes,
            acknowledged_at=self._acknowledged_at,
            error=self._send_error or self._feed_error,
            unknown=() if opened is None else tuple(sorted(opened.unknown.meters)),
        )

    # -- feeding ----------------------------------------------------------------------------------------------------

    async def _keep_feeding(self) -> None:
        while not self._stopping.is_set():
            fed = 0
            try:
                opened = await self._open()
                fed = await asyncio.to_thread(self._feed.feed, opened.outbox)
                self._feed_error = None
            except Exception as error:  # noqa: BLE001 - whatever it is, the readings are in the store, and it is said
                self._cannot_feed(error)
            if fed:
                self._fed.set()
            if fed < MOST_ROWS // 2:  # a store with a long past goes on at once
                await self._rest(self._feed_pause())

    def _feed_pause(self) -> float:
        behind = self._opened is None or self._opened.outbox.waiting.batches >= _BEHIND
        return self._options.feed_seconds_behind if behind else self._options.feed_seconds

    def _cannot_feed(self, error: Exception) -> None:
        if isinstance(error, OutboxUnusable):
            self._close()
        if self._feed_error is None:
            log.warning("outbox not fed: readings wait in the store", error=str(error))
        self._feed_error = str(error)

    # -- sending ----------------------------------------------------------------------------------------------------

    async def _keep_sending(self) -> None:
        options = self._options
        while not self._stopping.is_set():
            try:
                async with Platform(
                    options.url, token=options.token, authority=options.authority
                ) as platform:
                    while not self._stopping.is_set():
                        self._fed.clear()
                        await self._ask(platform)
                        if not await self._send_next(platform):
                            await self._rest_until_fed()
            except Exception as error:  # noqa: BLE001 - whatever it is, the readings are kept, and it is said
                self._cannot_send(error)
                await self._rest(self._pause())

    async def _send_next(self, platform: Platform) -> bool:
        """Whether there was something, or may be."""
        opened = await self._open()
        shipment = await asyncio.to_thread(opened.sender.next)
        if shipment is None:
            return False
        try:
            answer = await self._unless_stopping(platform.deliver(shipment, collector=opened.outbox.id))
        except BaseUnknown:
            if not opened.sender.base_lost():
                raise
            return True
        if answer is not None:
            await asyncio.to_thread(
                opened.sender.acknowledged, shipment, upto=answer.acknowledged, unknown=answer.unknown
            )
            self._acknowledged(shipment)
        return True

    async def _ask(self, platform: Platform) -> None:
        """Now and then: whether the platform knows by now what it did not; then it is sent all there is of that."""
        opened = await self._open()
        if not opened.unknown.meters or time.monotonic() - self._asked_at < self._options.ask_seconds:
            return
        self._asked_at = time.monotonic()
        for some in in_parts(sorted(opened.unknown.meters), _ASKED_AT_ONCE):
            known = await self._unless_stopping(platform.known(some))
            if known:
                await asyncio.to_thread(self._feed.feed_again, opened.outbox, known)
                await asyncio.to_thread(opened.unknown.remove, known)

    def _acknowledged(self, shipment: Shipment) -> None:
        self._sent += shipment.rows
        self._sent_bytes += len(shipment.payload)
        self._acknowledged_at = self._now()
        self._failures = 0
        if self._send_error is not None:
            log.info("the platform takes readings again", url=self._options.url)
            self._send_error = None

    def _cannot_send(self, error: Exception) -> None:
        self._failures += 1
        if isinstance(error, OutboxUnusable):
            self._close()
        if self._send_error != str(error):
            log.warning("readings not sent: they wait in the outbox", error=str(error))
        self._send_error = str(error)

    def _pause(self) -> float:
        longest = min(_LONGEST_PAUSE, self._options.first_pause * 2.0 ** min(self._failures - 1, 16))
        return longest * self._chance.uniform(0.5, 1)

    # -- the outbox, and waiting ------------------------------------------------------------------------------------

    async def _open(self) -> _Opened:
        async with self._opening:
            if self._opened is None:
                self._opened = await asyncio.to_thread(self._take_stock)
            return self._opened

    def _take_stock(self) -> _Opened:
        outbox = Outbox(self._options.folder, most_bytes=self._options.most_bytes)
        unknown = UnknownMeters(self._options.folder / "unknown-meters.json")
        return _Opened(outbox, unknown, Sender(outbox, unknown))

    def _close(self) -> None:
        opened, self._opened = self._opened, None
        if opened is not None:
            opened.outbox.close()

    async def _unless_stopping(self, request: Coroutine[Any, Any, T]) -> T | None:
        """What the platform says; None when it is time to stop before it has."""
        asking = asyncio.create_task(request)
        stopping = asyncio.create_task(self._stopping.wait())
        await asyncio.wait({asking, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if asking.done():
            return asking.result()
        asking.cancel()
        await asyncio.wait({asking})
        return None

    async def _rest(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    async def _rest_until_fed(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._fed.wait(), self._options.ask_seconds)
