"""The collector's end over a real socket: sent, refused, away, back again, and a certificate that is not trusted."""

import asyncio
import contextlib
import json
import shutil
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.integration.readings.transmission.conftest import NOON, deliver

from wattkeeper.kernel.errors import WattkeeperError
from wattkeeper.readings.transmission.errors import BaseUnknown
from wattkeeper.readings.transmission.forwarding import Forwarder, ForwardOptions
from wattkeeper.readings.transmission.identities import MeterIdentity
from wattkeeper.readings.transmission.platform import Platform as PlatformClient
from wattkeeper.readings.transmission.platform import PlatformAway, PlatformRefuses
from wattkeeper.readings.transmission.sending import Shipment
from wattkeeper.readings.transmission.values import Delivery

A, B = "000000000011", "000000000012"
SHIPMENT = Shipment(bytes(8), 1, 1, b"WKB", None)
Answers = Callable[[str, dict[str, str], bytes], tuple[int, object]]


class Server:
    """An HTTP server that answers what it is told to, over TLS where it gets a certificate."""

    def __init__(self, answers: Answers, certificate: tuple[Path, Path] | None = None) -> None:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                url = urlsplit(self.path)
                body = self.rfile.read(int(self.headers["content-length"]))
                query = {name: values[0] for name, values in parse_qs(url.query).items()}
                status, said = answers(url.path, query, body)
                text = said if isinstance(said, bytes) else json.dumps(said).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        scheme = "http" if certificate is None else "https"
        self.url = f"{scheme}://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    with contextlib.ExitStack() as stack:
        yield lambda *arguments: stack.enter_context(contextlib.closing(Server(*arguments)))


def receiving(collector, platform) -> Answers:
    """The platform's two operations, as the API answers them."""

    def answers(path: str, query: dict[str, str], body: bytes) -> tuple[int, object]:
        if path == "/api/v1/batches/meters":
            asked = [MeterIdentity(**meter) for meter in json.loads(body)["meters"]]
            return 200, {"known": [meter._asdict() for meter in platform.receiver.known(asked)]}
        delivery = Delivery(
            collector=query["collector"], name="site 7", run=query["run"], last=int(query["last"])
        )
        try:
            receipt = platform.receiver.receive(body, delivery, now=NOON)
        except BaseUnknown as error:
            return 409, {"type": "urn:wattkeeper:problem:base-unknown", "detail": error.message}
        unknown = [meter._asdict() for meter in receipt.unknown]
        return 200, {"acknowledged": receipt.acknowledged, "unknown": unknown}

    return answers


@contextlib.asynccontextmanager
async def forwarding(collector, url: str, **options: object):
    collector.outbox.close()
    forwarder = Forwarder(
        collector.database,
        collector.store,
        ForwardOptions(
            url=url, token="wk_test", authority=None, frames=True, folder=collector.outbox.folder, most_bytes=1 << 24,
            feed_seconds=0.02, feed_seconds_behind=0.05, first_pause=0.05, ask_seconds=0.1, **options,
        ),
        now=lambda: datetime.now(UTC),
    )  # fmt: skip
    forwarder.start()
    try:
        yield forwarder
    finally:
        await forwarder.stop()
        collector.begin()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - no event tells it
            await asyncio.sleep(0.02)


async def test_what_is_read_arrives_and_once_known_what_was_unknown(collector, platform, serve):
    collector.register(A, B)
    platform.register(A)
    server = serve(receiving(collector, platform))
    async with forwarding(collector, server.url) as forwarder:
        collector.read(A, 0, "1", exchange=7 << 12)
        collector.read(B, 0, "2")
        await until(lambda: forwarder.status().unknown == (MeterIdentity("dlt645-2007", "bus-1", B),))
        platform.register(B)
        await until(lambda: len(platform.values()) == 2)
        platform.restart()
        collector.read(A, 15, "3")
        await until(lambda: len(platform.values()) == 3)
        await until(lambda: forwarder.status().batches == 0)
        status = forwarder.status()
        assert (status.error, status.unknown, status.oldest_at) == (None, (), None)
        assert status.sent >= 4
    assert platform.values() == collector.values()


async def test_while_the_platform_is_away_readings_gather_and_arrive_when_it_is_back(
    collector, platform, serve
):
    collector.register(A)
    platform.register(A)
    away = [True]
    answers = receiving(collector, platform)
    server = serve(lambda *asked: (503, {"detail": "The disk is full."}) if away[0] else answers(*asked))
    async with forwarding(collector, server.url) as forwarder:
        for minute in range(5):
            collector.read(A, minute, str(minute))
            await until(lambda fed=minute: forwarder.status().rows > fed)
        status = forwarder.status()
        assert status.error == f"The platform {server.url} cannot take readings now (503): The disk is full."
        assert status.oldest_at == NOON
        away[0] = False
        await until(lambda: len(platform.values()) == 5)
        await until(lambda: forwarder.status().error is None)


async def test_stopping_does_not_wait_for_a_platform_that_does_not_answer(collector, serve):
    collector.register(A)
    collector.read(A, 0, "1")
    asked, go = threading.Event(), threading.Event()

    def hang(*_: object) -> tuple[int, object]:
        asked.set()
        go.wait(20)
        return 503, {}

    server = serve(hang)
    try:
        async with asyncio.timeout(10), forwarding(collector, server.url) as forwarder:
            await until(asked.is_set)
            assert forwarder.status().batches == 1
    finally:
        go.set()
    assert collector.outbox.waiting.batches == 1


async def test_an_outbox_that_cannot_be_used_is_said_and_opened_again_by_itself(collector, platform, serve):
    collector.register(A)
    platform.register(A)
    server = serve(receiving(collector, platform))
    deliver(collector, platform)
    folder = collector.outbox.folder
    aside = folder.rename(folder.with_name("aside"))
    folder.write_text("in the way")
    async with forwarding(collector, server.url) as forwarder:
        await until(lambda: "cannot be used" in (forwarder.status().error or ""))
        folder.unlink()
        aside.rename(folder)
        collector.read(A, 0, "1")
        await until(lambda: len(platform.values()) == 1)
        await until(lambda: forwarder.status().error is None)


@pytest.mark.parametrize(
    ("status", "said", "kind", "sentence"),
    [
        (401, {"detail": "This token is unknown."}, PlatformRefuses, "This token is unknown"),
        (403, {"detail": "sites may not do this."}, PlatformRefuses, "readings.deliver"),
        (
            422,
            {"detail": "A batch is damaged."},
            PlatformRefuses,
            r"refuses a batch \(422\): A batch is damaged",
        ),
        (502, b"<html>Bad Gateway</html>", PlatformAway, r"\(502\): no reason given"),
        (200, b"<html>Sign in to the hotel</html>", PlatformRefuses, "no Wattkeeper"),
        (200, {"hello": "world"}, PlatformRefuses, "no Wattkeeper"),
        (409, {"type": "urn:wattkeeper:problem:base-unknown", "detail": "Which?"}, BaseUnknown, "Which"),
    ],
)
async def test_every_answer_that_is_none_is_a_sentence(serve, status, said, kind, sentence):
    server = serve(lambda *_: (status, said))
    async with PlatformClient(server.url, token="wk_test", authority=None) as client:
        with pytest.raises(kind, match=sentence):
            await client.deliver(SHIPMENT, collector="0" * 16)


@pytest.fixture
def certificate(tmp_path) -> tuple[Path, Path]:
    """A certificate of our own for 127.0.0.1, and its key."""
    if (openssl := shutil.which("openssl")) is None:
        pytest.skip("needs openssl to make a certificate")
    made, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    command = f"req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1 -keyout {key} -out {made}"
    subprocess.run([openssl, *command.split()], check=True, capture_output=True)
    return made, key


async def test_a_certificate_that_is_not_trusted_is_refused_and_one_of_our_own_authority_taken(
    serve, certificate
):
    server = serve(lambda *_: (200, {"acknowledged": 1, "unknown": []}), certificate)
    async with PlatformClient(server.url, token="wk_test", authority=None) as client:
        with pytest.raises(PlatformAway, match=r"CERTIFICATE_VERIFY_FAILED|certificate verify failed"):
            await client.deliver(SHIPMENT, collector="0" * 16)
    async with PlatformClient(server.url, token="wk_test", authority=certificate[0]) as client:
        assert (await client.deliver(SHIPMENT, collector="0" * 16)).acknowledged == 1


def test_a_file_of_certificates_that_is_none_is_a_sentence(tmp_path):
    (tmp_path / "authority.pem").write_text("no certificate")
    for path in (tmp_path / "absent.pem", tmp_path / "authority.pem"):
        with pytest.raises(WattkeeperError, match="cannot be read"):
            PlatformClient("https://127.0.0.1", token="wk_test", authority=path)
