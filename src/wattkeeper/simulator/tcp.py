"""A TCP port of the simulated world, and what it has in common whatever is spoken behind it."""

import asyncio
from typing import cast


class TcpConnection(asyncio.Protocol):
    """One master that is connected."""

    def __init__(self, port: "TcpPort") -> None:
        self._port = port
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count it among those to be dropped."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are no subclasses
        self._port.connections.add(self._transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        del exc
        if self._transport is not None:
            self._port.connections.discard(self._transport)
            self._transport = None

    def write(self, octets: bytes) -> None:
        """Send to the master."""
        if self._transport is not None:  # a slow meter may answer after the master has gone
            self._transport.write(octets)


class TcpPort:
    """A listening port; whoever derives from it says in `_connection` what is spoken.

    Args:
        host: where to listen.
        port: 0 for any that is free.

    """

    def __init__(self, *, host: str, port: int) -> None:
        self.connections: set[asyncio.Transport] = set()
        self._host = host
        self._port = port
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """Where it listens, once it does."""
        return f"tcp://{self._host}:{self._port}"

    async def start(self) -> None:
        """Listen."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._connection, self._host, self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening and drop whoever is connected."""
        if self._server is not None:
            self._server.close()
        self.drop()
        if self._server is not None:
            await self._server.wait_closed()
            self._server = None

    def drop(self) -> None:
        """Break all connections, as a gateway that restarts."""
        for transport in tuple(self.connections):
            transport.abort()

    def _connection(self) -> TcpConnection:
        raise NotImplementedError
