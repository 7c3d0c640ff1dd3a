"""A bus behind a TCP gateway: we dial, the gateway carries bytes both ways."""

import asyncio
import socket

from wattkeeper.links.base import Link
from wattkeeper.links.errors import explain_tcp_failure

CONNECT_TIMEOUT = 10.0
"""How long a gateway may take to accept us; a mobile one wakes up slowly. [s]"""
SILENT_DEATH = 20.0
"""How long sent bytes may stay unacknowledged before the connection counts as lost. [s]"""


class TcpLink(Link):
    """A TCP client."""

    async def _dial(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                transport, _ = await loop.create_connection(lambda: self, self.url.host, self.url.port)
        except OSError as error:  # TimeoutError and gaierror are kinds of it
            raise explain_tcp_failure(self.url.host, self.url.port, error) from error
        _notice_a_silent_death(transport.get_extra_info("socket"))


def _notice_a_silent_death(connection: socket.socket) -> None:
    """A gateway that lost its power says no goodbye: give up when it acknowledges nothing for a while."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(SILENT_DEATH * 1000))
