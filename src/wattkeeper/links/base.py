"""What every way for bytes looks like to its bus."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable

from wattkeeper.links.errors import LinkLost
from wattkeeper.links.url import LinkUrl


class Link(asyncio.Protocol, ABC):
    """A way for bytes with one owner; a raw protocol, as a stream's buffers cost more than a read.

    Args:
        url: where the link leads.
        receiver: called with every chunk as it arrives, however it was cut on its way.
        lost: called once when an open link breaks, with what broke it; not after ``close``.

    """

    def __init__(
        self, url: LinkUrl, *, receiver: Callable[[bytes], None], lost: Callable[[Exception | None], None]
    ) -> None:
        self.url = url
        self.byte_time = url.byte_time
        self._receiver = receiver
        self._lost = lost
        self._transport: asyncio.Transport | None = None

    @abstractmethod
    async def open(self) -> None:
        """Open the way; raises LinkUnavailable or a kind of it."""

    async def close(self) -> None:
        """Close the way and wait until the port or socket is free again; harmless when it is closed."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()
            await self._released(transport)

    def send(self, data: bytes) -> None:
        """Put bytes on the wire; raises LinkLost when there is none."""
        if self._transport is None or self._transport.is_closing():
            raise LinkLost(f"{self.url.place} is not open.")
        self._transport.write(data)

    def data_received(self, data: bytes) -> None:
        """Hand a chunk on (asyncio's callback)."""
        self._receiver(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the owner, unless it was the owner who closed (asyncio's callback)."""
        if self._transport is not None:
            self._transport = None
            self._lost(exc)

    async def _released(self, transport: asyncio.Transport) -> None:
        """Wait until the operating system has what ``transport`` held."""
        del transport
        await asyncio.sleep(0)
