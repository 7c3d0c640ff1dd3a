"""The HTTP server around the application: uvicorn, which ends the live streams before it waits for connections."""

import asyncio
import socket
from pathlib import Path

import structlog
import uvicorn
from fastapi import FastAPI

from wattkeeper.kernel.loop_delay import LoopDelay

log = structlog.get_logger(__name__)


class ConsoleServer(uvicorn.Server):
    """A server that closes open event streams first: an open page must not hold the process."""

    def __init__(self, application: FastAPI, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._application = application

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to serve and to watch the event loop, and find out meanwhile what the first visitor would wait for."""
        await super().startup(sockets)
        delay: LoopDelay = self._application.state.loop_delay
        self._watching = asyncio.create_task(delay.watch(), name="loop delay")
        self._warming = asyncio.create_task(asyncio.to_thread(self._warm), name="warm up")

    def _warm(self) -> None:
        try:
            self._application.state.figures(self._application.state.services)
        except Exception:
            log.exception("warming_up_failed")  # the first visitor tries again, and hears why

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the live streams, shut down as uvicorn does, then end what is recorded."""
        self._application.state.live.close()
        self._watching.cancel()
        await super().shutdown(sockets)
        await self._application.state.services.recordings.close()
        await self._warming  # before the stores close


def build_server(
    application: FastAPI,
    *,
    host: str = "127.0.0.1",
    port: int = 8645,
    tls: tuple[Path, Path] | None = None,
    proxied: bool = False,
) -> ConsoleServer:
    """A server for `application`, not yet running: `await server.serve()` in the loop of the collector.

    `tls` are the files of the certificate and its key. `proxied`: a reverse proxy on this machine is believed when it
    says who asks (`X-Forwarded-For`) and whether over HTTPS; without one, nobody is.
    """
    certificate, key = tls or (None, None)
    config = uvicorn.Config(
        application, host=host, port=port, log_level="warning", access_log=False, server_header=False,
        timeout_graceful_shutdown=5, ssl_certfile=certificate, ssl_keyfile=key, proxy_headers=proxied,
        forwarded_allow_ips="127.0.0.1,::1",
    )  # fmt: skip
    return ConsoleServer(application, config)
