"""Modbus TCP: virtual meters behind one port, by their unit."""

import asyncio
from collections.abc import Iterable
from typing import cast

from wattkeeper.protocols.modbus.frames import Frame, TcpReader
from wattkeeper.simulator.modbus import VirtualModbusMeter

_ANY_UNIT = (0, 255)
"""What masters ask for when the meter itself has the socket (MODBUS Messaging on TCP/IP V1.0b, section 4.4.2)."""


class _Connection(asyncio.Protocol):
    def __init__(self, server: "ModbusTcpServer") -> None:
        self._server = server
        self._reader = TcpReader()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are no subclasses
        self._server.connections.add(self._transport)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        if self._transport is not None:
            self._server.connections.discard(self._transport)
            self._transport = None

    def data_received(self, data: bytes) -> None:
        for event in self._reader.feed(data):
            meter = self._server.meter(event.unit) if isinstance(event, Frame) else None
            if meter is None or not isinstance(event, Frame):
                continue
            reply = meter.answer(event)
            if reply is not None:
                self._write(reply.encode(), after=meter.slow)

    def _write(self, octets: bytes, *, after: float) -> None:
        if after:
            asyncio.get_running_loop().call_later(after, self._write_now, octets)
        else:
            self._write_now(octets)

    def _write_now(self, octets: bytes) -> None:
        if self._transport is not None:  # a slow meter may answer after the master has gone
            self._transport.write(octets)


class ModbusTcpServer:
    """A port that speaks Modbus TCP; unit 0 or 255 is the first meter.

    Args:
        meters: who answers.
        host: where to listen.
        port: 0 for any that is free.

    """

    def __init__(
        self, meters: Iterable[VirtualModbusMeter], *, host: str = "127.0.0.1", port: int = 0
    ) -> None:
        self._meters = {meter.unit: meter for meter in meters}
        self._first = next(iter(self._meters.values()), None)
        self.connections: set[asyncio.Transport] = set()
        self._host = host
        self._port = port
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """Where it listens, once it does."""
        return f"tcp://{self._host}:{self._port}"

    def meter(self, unit: int) -> VirtualModbusMeter | None:
        """The meter of a unit."""
        return self._first if unit in _ANY_UNIT else self._meters.get(unit)

    async def start(self) -> None:
        """Listen."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), self._host, self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening and drop whoever is connected."""
        if self._server is not None:
            self._server.close()
        for transport in tuple(self.connections):
            transport.abort()
        if self._server is not None:
            await self._server.wait_closed()
            self._server = None
