"""The composition root: the one place that wires the parts together and runs them as one process."""

import asyncio
import contextlib
import gc
import hashlib
import ipaddress
import os
import signal
import socket
import ssl
import tempfile
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import structlog

from wattkeeper import __version__
from wattkeeper.billing.library import TariffLibrary
from wattkeeper.billing.service import BillingService
from wattkeeper.collection.commands.service import CommandService
from wattkeeper.collection.commands.values import CommandOptions
from wattkeeper.collection.drivers import check_command, drivers
from wattkeeper.collection.drivers.base import MeterSecret
from wattkeeper.collection.drivers.modbus_maps import known_maps, side_of_maps
from wattkeeper.collection.engine import Collector
from wattkeeper.collection.housekeeping import forget_old_counts
from wattkeeper.collection.recordings import RecordingDesk
from wattkeeper.collection.values import CollectorOptions
from wattkeeper.kernel.database import Database
from wattkeeper.kernel.errors import WattkeeperError
from wattkeeper.kernel.feed import ChangeFeed
from wattkeeper.kernel.garbage import keep_pauses_short
from wattkeeper.kernel.hub import Hub, Subscription
from wattkeeper.kernel.ownership import FolderLock
from wattkeeper.monitoring.limits import Limits
from wattkeeper.monitoring.service import TOPICS, MonitoringService
from wattkeeper.monitoring.values import MailOptions
from wattkeeper.readings.editing.service import ReadingEditing
from wattkeeper.readings.editing.trail import EditTrail
from wattkeeper.readings.retention import Keeper, Retention
from wattkeeper.readings.service import IntervalService
from wattkeeper.readings.store import ReadingsStore
from wattkeeper.readings.transmission.forwarding import Forwarder, ForwardOptions
from wattkeeper.readings.validation.exceptions import ExceptionQueue
from wattkeeper.readings.validation.service import ValidationService
from wattkeeper.registry.repository import Registry
from wattkeeper.security.service import SecurityService
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
UNIX_PATH_BYTES = 108
"""The room for a Unix socket's path, its closing zero included (`man 7 unix`)."""


class CannotListen(WattkeeperError):
    """The web server's address, or its certificate, cannot be used."""


@dataclass(frozen=True)
class Parts:
    """The open stores of one data folder, and what works on them without a network."""

    settings: Settings
    lock: FolderLock
    database: Database
    store: ReadingsStore
    intervals: IntervalService
    validation: ValidationService
    editing: ReadingEditing
    keeper: Keeper
    billing: BillingService
    security: SecurityService

    @classmethod
    def open(cls, settings: Settings) -> Self:
        """Own the data folder and open both stores, bringing the ledger database to this version.

        Raises:
            WattkeeperError: the folder is in use, or a store is unusable or from a newer version.

        """
        lock = FolderLock.acquire(settings.data_dir)
        with contextlib.ExitStack() as undo:
            undo.callback(lock.release)
            database = Database(settings.ledger)
            undo.callback(database.dispose)
            database.migrate()
            _ensure_site(database, settings)
            library = TariffLibrary.open(settings.data_dir / "tariffs")
            store = _open_store(settings)
            undo.callback(store.close)
            intervals = IntervalService(database, store)
            parts = cls(
                settings=settings,
                lock=lock,
                database=database,
                store=store,
                intervals=intervals,
                validation=ValidationService(database, store),
                editing=ReadingEditing(database, store),
                keeper=Keeper(database, store, _retention(settings)),
                billing=BillingService(database, store, intervals=intervals, library=library),
                security=SecurityService(database),
            )
            undo.pop_all()  # nothing failed: the stores stay open until `close`
        return parts

    def close(self) -> None:
        """Close both stores, then give the folder up."""
        self.store.close()
        self.database.dispose()
        self.lock.release()


def _ensure_site(database: Database, settings: Settings) -> None:
    """A new ledger gets its first site, so that an import has somewhere to go."""
    with database.write() as session:
        registry = Registry(session)
        if not registry.sites():
            registry.add_site(
                code="main", name="主站点 Main site", zone=settings.zone, currency=settings.currency
            )


def _open_store(settings: Settings) -> ReadingsStore:
    if not settings.readings_url:
        return ReadingsStore.open(settings.data_dir / "readings")
    data_path = settings.readings_path or settings.data_dir / "readings"
    return ReadingsStore.open(settings.readings_url, data_path=data_path)


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
            listening = _listen(self.parts.settings, sockets)
            url = _url(listening[0], self.parts.settings)
            settings = self.parts.settings
            self.parts.lock.announce(
                url=url, socket=_socket_path(settings), tls=settings.tls_certificate is not None
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
            trusted_hosts=(*LOOPBACK_NAMES, *_public_host(settings)),
        )
        host, port = listening[0].getsockname()[:2]
        return build_server(
            create_application(services), host=host, port=port, tls=_tls(settings), proxied=_proxied(settings)
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


def _retention(settings: Settings) -> Retention:
    """Ages by class of data; 0 days mean for ever."""
    days = {
        "registers": settings.keep_registers_days,
        "instantaneous": settings.keep_instantaneous_days,
        "intervals": settings.keep_intervals_days,
        "superseded_readings": settings.keep_superseded_days,
        "superseded_intervals": settings.keep_superseded_days,
        "exchanges": settings.keep_exchanges_days,
    }
    keep = {name: timedelta(days=age) for name, age in days.items() if age}
    return Retention(keep=keep, archive=settings.archive_dir)


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


def _listen(settings: Settings, stack: contextlib.ExitStack) -> list[socket.socket]:
    """The TCP socket people use, and the Unix socket the command line uses."""
    _require_tls_beyond_loopback(settings)
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    people = stack.enter_context(socket.socket(family, socket.SOCK_STREAM))
    people.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        people.bind((settings.host, settings.port))
    except OSError as error:
        raise CannotListen(
            f"The web server cannot listen on {settings.host}:{settings.port}: {error.strerror}.",
            hint="Stop what uses that port, or choose another with --port (0 takes a free one).",
        ) from None
    people.listen()  # from here on a browser waits instead of being refused, while the server starts
    command_line = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
    path = _socket_path(settings)
    path.unlink(missing_ok=True)  # left by a process that died: the folder lock says that nobody uses it
    command_line.bind(str(path))
    path.chmod(0o600)
    stack.callback(path.unlink, missing_ok=True)
    return [people, command_line]


def _require_tls_beyond_loopback(settings: Settings) -> None:
    """Refuse to send passwords and readings over a network in the clear."""
    host = settings.host
    try:
        loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if loopback:
        return
    if _tls(settings) is None or not settings.public_url:
        raise CannotListen(
            f"The web server will not listen on {host} without TLS: passwords would cross the network in the clear.",
            hint="Set tls_certificate, tls_key and public_url; or leave host at 127.0.0.1 and put a reverse proxy before it.",
        )


def _tls(settings: Settings) -> tuple[Path, Path] | None:
    """The certificate and its key, which come together and fit each other; None without."""
    certificate, key = settings.tls_certificate, settings.tls_key
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise CannotListen("tls_certificate and tls_key come together.", hint="Set both, or neither.")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
    except OSError as error:  # ssl.SSLError is one
        raise CannotListen(
            f"The certificate {certificate} with the key {key} cannot be used: {error}.",
            hint="Both are PEM files, the certificate with its chain; the server's user must be able to read them.",
        ) from None
    return certificate, key


def _proxied(settings: Settings) -> bool:
    """Whether a reverse proxy on this machine tells who asks, and whether over HTTPS."""
    return bool(settings.public_url) and settings.tls_certificate is None


def _public_host(settings: Settings) -> tuple[str, ...]:
    host = urlsplit(settings.public_url).hostname
    return (host,) if host else ()


def _socket_path(settings: Settings) -> Path:
    """In the data folder; in the temporary folder where that path is longer than a Unix socket's may be."""
    path = settings.data_dir.resolve() / "wattkeeper.sock"
    if len(os.fsencode(path)) < UNIX_PATH_BYTES:
        return path
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
    return Path(tempfile.gettempdir(), f"wattkeeper-{digest}.sock")


def _url(people: socket.socket, settings: Settings) -> str:
    if settings.public_url:
        return settings.public_url
    host, port = people.getsockname()[:2]
    scheme = "https" if settings.tls_certificate else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
