"""The composition root: the one place that wires the parts together and runs them as one process."""

import asyncio
import contextlib
import gc
import os
import signal
import socket
import threading
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta

import structlog

from wattkeeper import __version__
from wattkeeper.collection.commands.service import CommandService
from wattkeeper.collection.commands.values import CommandOptions
from wattkeeper.collection.drivers import check_command, drivers
from wattkeeper.collection.drivers.base import MeterSecret
from wattkeeper.collection.drivers.modbus_maps import known_maps, side_of_maps
from wattkeeper.collection.engine import Collector
from wattkeeper.collection.housekeeping import forget_old_counts
from wattkeeper.collection.recordings import RecordingDesk
from wattkeeper.collection.values import CollectorOptions
from wattkeeper.kernel.feed import ChangeFeed
from wattkeeper.kernel.garbage import keep_pauses_short
from wattkeeper.kernel.hub import Hub, Subscription
from wattkeeper.listening import listen, proxied, public_host, socket_path, tls, url_of
from wattkeeper.monitoring.limits import Limits
from wattkeeper.monitoring.service import TOPICS, MonitoringService
from wattkeeper.monitoring.values import MailOptions
from wattkeeper.parts import Parts
from wattkeeper.readings.editing.trail import EditTrail
from wattkeeper.readings.transmission.forwarding import Forwarder, ForwardOptions
from wattkeeper.readings.validation.exceptions import ExceptionQueue
from wattkeeper.settings import Settings
from wattkeeper.web.application import create_application
from wattkeeper.web.server import ConsoleServer, build_server
from wattkeeper.web.services import LOOPBACK_NAMES, Services

log = structlog.get_logger(__name__)

DERIVE_SECONDS = 2.0
"""How long appended readings wait for their intervals."""
VALIDATE_SECONDS = 15.0
"""How long they wait to be validated: a whole civil day is judged each time, so not after every commit."""
SEAL_SECONDS = 2.0
"""How long what was written down in the audit waits for its place in the hash chain."""
WATCH_SECONDS = 2.0
"""How often what the collector said is judged."""
NOTICE_SECONDS = 5.0
"""How often the server looks for notices to send."""
JOB_SECONDS = 1.0
"""How often the server looks for a bill run to work on."""


class Server:
    """The running product: collection, derivation, maintenance and the web server over one set of parts."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.hub = Hub()
        self.collector = _collector(parts, self.hub) if parts.settings.collect else None
        self.forwarder = _forwarder(parts) if parts.settings.forward_url else None
        self.monitoring = _monitoring(parts, self.hub, self.collector)
        self.commands = CommandService(
            parts.database, self.hub, check=check_command, options=_command_options(parts.settings)
        )
        self.recordings = RecordingDesk(parts.settings.data_dir / "recordings", self.hub)
        self._stop = asyncio.Event()
        self._stopping = threading.Event()

    def stop(self) -> None:
        """Ask the server to finish; `run` returns when it has."""
        self._stop.set()

    async def run(self, *, ready: Callable[[str], None]) -> None:
        """Serve until `stop`, Ctrl-C or SIGTERM; `ready` gets the URL once pages can be opened.

        Raises:
            CannotListen: the address is not loopback, or is taken.

        """
        # What the imports left lives as long as the process; a collection that goes through it stops every thread.
        gc.freeze()
        with contextlib.ExitStack() as sockets:
            listening = listen(self.parts.settings, sockets)
            url = url_of(listening[0], self.parts.settings)
            settings = self.parts.settings
            self.parts.lock.announce(
                url=url, socket=socket_path(settings), tls=settings.tls_certificate is not None
            )
            async with _signals(self.stop), self._background():
                keep_pauses_short()
                web = self._web(listening)
                serving = asyncio.create_task(web.serve(sockets=listening), name="web")
                ready(url)
                asked_to_stop = asyncio.create_task(self._stop.wait(), name="stop")
                await asyncio.wait([serving, asked_to_stop], return_when=asyncio.FIRST_COMPLETED)
                asked_to_stop.cancel()
                web.should_exit = True
                await serving

    def _web(self, listening: list[socket.socket]) -> ConsoleServer:
        settings = self.parts.settings
        services = Services(
            database=self.parts.database,
            store=self.parts.store,
            hub=self.hub,
            billing=self.parts.billing,
            intervals=self.parts.intervals,
            exceptions=ExceptionQueue(self.parts.database),
            editing=self.parts.editing,
            keeper=self.parts.keeper,
            trail=EditTrail(self.parts.database, self.parts.store),
            security=self.parts.security,
            monitoring=self.monitoring,
            commands=self.commands,
            recordings=self.recordings,
            collector=self.collector,
            forwarder=self.forwarder,
            side_of=side_of_maps(known_maps(settings.modbus_maps)),
            version=__version__,
            language=settings.language,
            trusted_hosts=(*LOOPBACK_NAMES, *public_host(settings)),
        )
        host, port = listening[0].getsockname()[:2]
        return build_server(
            create_application(services), host=host, port=port, tls=tls(settings), proxied=proxied(settings)
        )

    @contextlib.asynccontextmanager
    async def _background(self) -> AsyncIterator[None]:
        """Collection, derivation, monitoring, bill runs and maintenance, running for as long as the block does."""
        async with self.hub.subscribe(*TOPICS) as news:  # from before the first meter is read
            if self.collector is not None:
                await self.collector.start()
            async with self._repeated(news), self._forwarding():
                yield

    @contextlib.asynccontextmanager
    async def _forwarding(self) -> AsyncIterator[None]:
        if self.forwarder is not None:
            self.forwarder.start()
        try:
            yield
        finally:
            if self.forwarder is not None:
                await self.forwarder.stop()

    @contextlib.asynccontextmanager
    async def _repeated(self, news: Subscription) -> AsyncIterator[None]:
        maintenance_seconds = self.parts.settings.maintenance_minutes * 60
        tasks = [
            asyncio.create_task(_repeat(self._derive, every=DERIVE_SECONDS), name="derive"),
            asyncio.create_task(_repeat(self._validate, every=VALIDATE_SECONDS), name="validate"),
            asyncio.create_task(_repeat(self._seal_audit, every=SEAL_SECONDS), name="seal"),
            asyncio.create_task(_repeat(lambda: self._watch(news), every=WATCH_SECONDS), name="watch"),
            asyncio.create_task(_repeat(self._send_notices, every=NOTICE_SECONDS), name="notices"),
            asyncio.create_task(_repeat(self._work_bill_runs, every=JOB_SECONDS), name="bill runs"),
            asyncio.create_task(_repeat(self._maintain, every=maintenance_seconds), name="maintain"),
        ]
        try:
            yield
        finally:
            self._stopping.set()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if self.collector is not None:
                await self.collector.stop()

    def _derive(self) -> None:
        self.parts.editing.settle(_now())
        self.parts.intervals.derive_pending(_now())
        self.parts.billing.late.hear(_now())

    def _validate(self) -> None:
        self.parts.validation.validate_pending(_now())

    def _seal_audit(self) -> None:
        self.parts.security.seal_audit(_now())

    def _watch(self, news: Subscription) -> None:
        self.monitoring.tick(_now(), news.drain())

    def _send_notices(self) -> None:
        self.monitoring.notices.deliver(_now())

    def _work_bill_runs(self) -> None:
        self.parts.billing.work_bill_run(
            owner=f"server {os.getpid()}", clock=_now, stopping=self._stopping.is_set
        )

    def _maintain(self) -> None:
        settings = self.parts.settings
        enforced = self.parts.keeper.enforce(_now())
        for file in enforced.let_go:
            log.info("month_archived", data=file.kept, month=f"{file.month:%Y-%m}", rows=file.rows)
        # Frames are dropped by the day where there is no archive for them.
        frames = timedelta(days=settings.keep_exchanges_days) if settings.archive_dir is None else None
        self.parts.store.maintain(keep_exchanges=frames)
        with self.parts.database.write() as session:
            ChangeFeed().prune(session)
        forget_old_counts(self.parts.database, _now())
        self.parts.database.analyse()


def _now() -> datetime:
    return datetime.now(UTC)


def _collector(parts: Parts, hub: Hub) -> Collector:
    settings = parts.settings
    options = CollectorOptions(
        history_days=settings.history_days,
        live_seconds=settings.live_seconds,
        commit_seconds=float(settings.commit_seconds),
        zone=settings.zone,
        set_clocks=settings.set_clocks,
    )
    password = settings.meter_password.get_secret_value()
    return Collector(
        parts.database,
        parts.store,
        hub,
        options=options,
        commands=_command_options(settings),
        secret=MeterSecret(password, settings.meter_operator) if password else None,
        drivers=drivers(settings.modbus_maps),
    )


def _forwarder(parts: Parts) -> Forwarder:
    settings = parts.settings
    options = ForwardOptions(
        url=settings.forward_url,
        token=settings.forward_token.get_secret_value(),
        authority=settings.forward_authority,
        frames=settings.forward_frames,
        folder=settings.outbox,
        most_bytes=settings.outbox_megabytes << 20,
    )
    return Forwarder(parts.database, parts.store, options, now=_now)


def _command_options(settings: Settings) -> CommandOptions:
    return CommandOptions(direct_close=settings.direct_close)


def _monitoring(parts: Parts, hub: Hub, collector: Collector | None) -> MonitoringService:
    settings = parts.settings
    mail = MailOptions(
        host=settings.smtp_host,
        port=settings.smtp_port,
        security=settings.smtp_security,
        user=settings.smtp_user,
        password=settings.smtp_password.get_secret_value(),
        sender=settings.smtp_from,
        public_url=settings.public_url,
        zone=settings.zone,
    )
    limits = Limits(frequency_band_hz=settings.frequency_band_hz)
    return MonitoringService(parts.database, hub, collector=collector, limits=limits, mail=mail)


async def _repeat(work: Callable[[], object], *, every: float) -> None:
    """Run `work` in a thread every so many seconds; a failure is logged and tried again, never the end."""
    while True:
        await asyncio.sleep(every)
        running = asyncio.create_task(asyncio.to_thread(work))
        try:
            await asyncio.shield(running)
        except asyncio.CancelledError:
            await asyncio.wait(
                [running]
            )  # a thread cannot be cancelled: let it finish before the stores close
            raise
        except Exception:
            log.exception("background_work_failed", work=getattr(work, "__qualname__", str(work)))


@contextlib.asynccontextmanager
async def _signals(stop: Callable[[], None]) -> AsyncIterator[None]:
    """Ctrl-C and SIGTERM ask for an orderly end; a second one is the operating system's own."""
    loop = asyncio.get_running_loop()

    def once(number: signal.Signals) -> None:
        loop.remove_signal_handler(number)
        stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, once, number)
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
