"""Modbus TCP: virtual meters behind one port, by their unit."""

import asyncio
from collections.abc import Iterable

from wattkeeper.protocols.modbus.frames import Frame, TcpReader
from wattkeeper.simulator.modbus import VirtualModbusMeter
from wattkeeper.simulator.tcp import TcpConnection, TcpPort

_ANY_UNIT = (0, 255)
"""What masters ask for when the meter itself has the socket (MODBUS Messaging on TCP/IP V1.0b, section 4.4.2)."""


class _Connection(TcpConnection):
    def __init__(self, server: "ModbusTcpServer") -> None:
        super().__init__(server)
        self._server = server
        self._reader = TcpReader()

    def data_received(self, data: bytes) -> None:
        for event in self._reader.feed(data):
            meter = self._server.meter(event.unit) if isinstance(event, Frame) else None
            if meter is None or not isinstance(event, Frame):
                continue
            reply = meter.answer(event)
            if reply is not None:
                self._write_after(meter.slow, reply.encode())

    def _write_after(self, seconds: float, octets: bytes) -> None:
        if seconds:
            asyncio.get_running_loop().call_later(seconds, self.write, octets)
        else:
            self.write(octets)


class ModbusTcpServer(TcpPort):
    """A port that speaks Modbus TCP; unit 0 or 255 is the first meter.

    Args:
        meters: who answers.
        host: where to listen.
        port: 0 for any that is free.

    """

    def __init__(
        self, meters: Iterable[VirtualModbusMeter], *, host: str = "127.0.0.1", port: int = 0
    ) -> None:
        super().__init__(host=host, port=port)
        self._meters = {meter.unit: meter for meter in meters}
        self._first = next(iter(self._meters.values()), None)

    def meter(self, unit: int) -> VirtualModbusMeter | None:
        """The meter of a unit."""
        return self._first if unit in _ANY_UNIT else self._meters.get(unit)

    def _connection(self) -> TcpConnection:
        return _Connection(self)
