"""Where the simulated buses can be reached: TCP ports and pseudo-terminals."""

import asyncio
import contextlib
import fcntl
import os
import tty
from collections.abc import Callable

from wattkeeper.protocols.dlt645.frames import Frame, FrameReader
from wattkeeper.simulator.bus import VirtualBus
from wattkeeper.simulator.modbus import ModbusEar
from wattkeeper.simulator.tcp import TcpConnection, TcpPort

REPLY_DELAY = 0.020
"""A meter waits this long before it answers on a paced line, the least the standard allows. [s]"""
BITS_PER_BYTE = 11
"""Start, 8 data, even parity, stop."""
_SILENCE = 0.5  # a frame in which bytes are further apart is none [s]
_PIECE = 16  # bytes an adapter hands over at once on a paced line


class Line:
    """The wires between a master and a bus, at wire speed or as fast as bytes can be moved.

    Args:
        bus: the meters.
        write: hands bytes to the master.
        baud: the line's speed; None for no pacing. [bit/s]

    """

    def __init__(self, bus: VirtualBus, write: Callable[[bytes], None], *, baud: int | None = None) -> None:
        self._bus = bus
        self._write = write
        self._baud = baud
        self._byte_time = 0.0 if baud is None else BITS_PER_BYTE / baud
        self._loop = asyncio.get_running_loop()
        self._reader = FrameReader()
        self._modbus = ModbusEar(bus.modbus)
        self._heard_at = 0.0
        self._busy_until = 0.0

    def received(self, chunk: bytes) -> None:
        """The master put bytes on the wire."""
        if self._byte_time == 0.0:
            self._hear(chunk, self._loop.time())
            return
        begins = max(self._loop.time(), self._busy_until)
        self._busy_until = begins + len(chunk) * self._byte_time
        self._loop.call_at(self._busy_until, self._hear, chunk, self._busy_until)

    def _hear(self, chunk: bytes, at: float) -> None:
        """The meters have heard a chunk, by the wire's clock at ``at``."""
        if at - self._heard_at > _SILENCE:
            self._reader.flush()
            self._modbus.silence()
        self._heard_at = at
        if self._bus.echo:
            self._write(chunk)
        for event in self._reader.feed(chunk):
            if isinstance(event, Frame) and not event.from_meter:
                for emission in self._bus.answers(event, baud=self._baud):
                    self._emit(emission.octets, emission.after, at)
        if self._bus.modbus:
            for emission in self._modbus.hear(chunk):
                self._emit(emission.octets, emission.after, at)

    def _emit(self, octets: bytes, after: float, heard_at: float) -> None:
        if self._byte_time == 0.0:
            if after == 0.0:
                self._write(octets)
            else:
                self._loop.call_at(heard_at + after, self._write, octets)
            return
        begins = max(heard_at + REPLY_DELAY + after, self._busy_until)
        for start in range(0, len(octets), _PIECE):
            piece = octets[start : start + _PIECE]
            self._loop.call_at(begins + (start + len(piece)) * self._byte_time, self._write, piece)
        self._busy_until = begins + len(octets) * self._byte_time


class _Connection(TcpConnection):
    def __init__(self, gateway: "TcpGateway") -> None:
        super().__init__(gateway)
        self._gateway = gateway
        self._line: Line | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._line = Line(self._gateway.bus, self.write, baud=self._gateway.baud)

    def data_received(self, data: bytes) -> None:
        if self._line is not None:
            self._line.received(data)


class TcpGateway(TcpPort):
    """A serial-to-Ethernet gateway with one bus behind one port.

    Args:
        bus: the meters.
        host: where to listen.
        port: 0 for any that is free.
        baud: speed of the line behind it; None for no pacing. [bit/s]

    """

    def __init__(
        self, bus: VirtualBus, *, host: str = "127.0.0.1", port: int = 0, baud: int | None = None
    ) -> None:
        super().__init__(host=host, port=port)
        self.bus = bus
        self.baud = baud

    @property
    def url(self) -> str:
        """Where it listens, once it does, and how fast the line behind it is."""
        return super().url + ("" if self.baud is None else f"?baud={self.baud}")

    def _connection(self) -> TcpConnection:
        return _Connection(self)


class PtySerial:
    """A serial port that is a pseudo-terminal. Linux gives those no parity, so its URL says none.

    Args:
        bus: the meters.
        baud: the line's speed; None for no pacing. [bit/s]

    """

    def __init__(self, bus: VirtualBus, *, baud: int | None = None) -> None:
        self.bus = bus
        self.baud = baud
        self._master = self._slave = -1
        self._path = ""

    @property
    def url(self) -> str:
        """The port to open, once it is there."""
        return f"serial://{self._path}?baud={self.baud or 115200}&parity=none"

    async def start(self) -> None:
        """Make the pseudo-terminal."""
        self._master, self._slave = os.openpty()  # ours stays open, so that no master is ever hung up
        tty.setraw(self._slave)
        flags = fcntl.fcntl(self._master, fcntl.F_GETFL)
        fcntl.fcntl(self._master, fcntl.F_SETFL, flags | os.O_NONBLOCK)
        self._path = os.ttyname(self._slave)
        line = Line(self.bus, self._write, baud=self.baud)
        asyncio.get_running_loop().add_reader(self._master, self._read, line)

    async def stop(self) -> None:
        """Take it away."""
        if self._master >= 0:
            asyncio.get_running_loop().remove_reader(self._master)
            os.close(self._master)
            os.close(self._slave)
            self._master = self._slave = -1

    def _read(self, line: Line) -> None:
        with contextlib.suppress(BlockingIOError):
            line.received(os.read(self._master, 4096))

    def _write(self, octets: bytes) -> None:
        if self._master >= 0:
            with contextlib.suppress(BlockingIOError):  # nobody reads: a wire does not wait either
                os.write(self._master, octets)
