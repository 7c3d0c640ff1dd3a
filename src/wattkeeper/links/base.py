"""What every way for bytes looks like to its bus."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import cast

from wattkeeper.links.errors import LinkLost, LinkUnavailable
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
        self._is_open = False

    async def open(self) -> None:
        """Open the way; raises LinkUnavailable or a kind of it."""
        await self._dial()
        if self._transport is None:
            raise LinkUnavailable(
                f"{self.url.place} closed the connection at once.",
                hint="A gateway may serve one client at a time: see who else is connected to it.",
            )
        self._is_open = True

    async def close(self) -> None:
        """Close the way and wait until the port or socket is free again; harmless when it is closed."""
        transport, self._transport, self._is_open = self._transport, None, False
        if transport is not None:
            transport.abort()
            await self._released(transport)

    def send(self, data: bytes) -> None:
        """Put bytes on the wire; raises LinkLost, after the owner was told, when there is none."""
        try:
            if self._transport is not None and not self._transport.is_closing():
                self._transport.write(data)
                return
            error = None
        except OSError as broken:  # a serial port that was pulled out
            error = broken
        self.connection_lost(error)
        raise LinkLost(f"{self.url.place} was lost.")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport (asyncio's callback); uvloop's are no subclasses of asyncio's."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Hand a chunk on (asyncio's callback)."""
        self._receiver(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the owner, unless it was the owner who closed (asyncio's callback)."""
        self._transport = None
        if self._is_open:
            self._is_open = False
            self._lost(exc)

    @abstractmethod
    async def _dial(self) -> None:
        """Make asyncio call ``connection_made``; raises LinkUnavailable or a kind of it."""

    async def _released(self, transport: asyncio.Transport) -> None:
        """Wait until the operating system has what ``transport`` held."""
        del transport
        await asyncio.sleep(0)
