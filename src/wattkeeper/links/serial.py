"""A bus on a serial port, through serialx."""

import asyncio
from typing import Any, cast

import serialx

from wattkeeper.links.base import Link
from wattkeeper.links.errors import LinkUnavailable, explain_serial_failure
from wattkeeper.links.url import LinkUrl

_PARITY = {"none": serialx.Parity.NONE, "even": serialx.Parity.EVEN, "odd": serialx.Parity.ODD}


def port_configuration(url: LinkUrl) -> dict[str, Any]:
    """What is asked of the port: the line settings, and that nobody else may hold it."""
    return {
        "baudrate": url.baud,
        "byte_size": url.data,
        "parity": _PARITY[url.parity],
        "stopbits": serialx.StopBits(url.stop),
        "exclusive": True,
    }


class SerialLink(Link):
    """A serial port, held exclusively."""

    async def _dial(self) -> None:
        kind = cast("type[Any]", serialx.SerialTransport)  # the platform's class, typed as its abstract base
        transport = kind(loop=asyncio.get_running_loop(), protocol=self)
        try:
            await transport.connect(path=self.url.device, **port_configuration(self.url))
        except (OSError, serialx.SerialException) as error:
            transport.abort()  # it may hold the port although it could not set it up
            await transport.wait_closed()
            if isinstance(error, OSError):
                raise explain_serial_failure(self.url.device, self.url.settings, error) from error
            raise LinkUnavailable(f"{self.url.device} cannot do {self.url.settings}: {error}.") from error

    async def _released(self, transport: asyncio.Transport) -> None:
        """The port is free only when serialx has closed it in its thread."""
        if isinstance(transport, serialx.BaseSerialTransport):
            await transport.wait_closed()
