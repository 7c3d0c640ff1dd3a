"""What a browser and a foreign page may do; the live stream; and the end of the server."""

import asyncio
import json
from datetime import timedelta
from decimal import Decimal

import httpx2
import pytest
from starlette.testclient import TestClient
from tests.integration.web.conftest import add_user

from wattkeeper.collection.values import LiveReading
from wattkeeper.links.traffic import Traffic
from wattkeeper.protocols.dlt645.frames import Frame
from wattkeeper.security.rights import Role
from wattkeeper.web.access import COOKIE
from wattkeeper.web.application import create_application
from wattkeeper.web.server import build_server


@pytest.mark.parametrize(
    "path", ["/", "/api/v1/meters", "/static/console.js", "/nowhere", "/api/v1/nowhere", "/frames?hex=zz"]
)
def test_every_answer_carries_the_security_headers(client, path):
    headers = client.get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "same-origin"


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8645", "127.0.0.1.evil.example", ""])
def test_a_foreign_host_name_is_refused(client, host):
    answer = client.get("/api/v1/meters", headers={"host": host})
    assert answer.status_code == 421
    assert answer.json()["type"] == "urn:wattkeeper:problem:unknown-host"


@pytest.mark.parametrize("host", ["localhost:8645", "127.0.0.1:1", "[::1]:8645", "LOCALHOST"])
def test_our_own_host_names_are_served(client, host):
    assert client.get("/api/v1/overview", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    ("headers", "refused"),
    [
        ({"sec-fetch-site": "cross-site", "origin": "https://evil.example"}, True),
        ({"sec-fetch-site": "same-site", "origin": "http://testserver:1"}, True),
        ({"origin": "https://evil.example"}, True),
        ({"origin": "null"}, True),
        ({"sec-fetch-site": "same-origin", "origin": "http://testserver"}, False),
        ({"origin": "http://testserver"}, False),
        ({}, True),
    ],
)
def test_only_our_own_pages_may_write_with_a_cookie(client, headers, refused):
    del client.headers["sec-fetch-site"]
    answer = client.post("/api/v1/meters/1/read-now", headers=headers)
    assert answer.status_code == (403 if refused else 200)


def test_a_program_writes_with_a_token_and_says_nothing_of_origins(client):
    wanted = {"name": "reader", "rights": ["meters.read"]}
    secret = client.post("/api/v1/me/tokens", json=wanted).json()["secret"]
    program = TestClient(client.app, headers={"authorization": f"Bearer {secret}"})
    assert program.post("/api/v1/meters/1/read-now").status_code == 200


def test_the_bundle_is_compressed_and_cached_by_its_content(client):
    page = client.get("/").text
    address = page.partition('type="module" src="')[2].partition('"')[0]
    answer = client.get(address)
    assert answer.headers["content-encoding"] == "gzip"
    assert "immutable" in answer.headers["cache-control"]
    assert client.get(address, headers={"if-none-match": answer.headers["etag"]}).status_code == 304
    assert client.get("/static/../application.py").status_code == 404


def test_pages_are_small(client):
    """Everything the first visit of the heaviest page loads, compressed: less than half a megabyte."""
    page = client.get("/meters/1", headers={"accept-encoding": "gzip"})
    total = int(page.headers["content-length"])
    for name in client.app.state.assets._files:
        total += len(client.app.state.assets._files[name].gzipped)
    assert total < 500_000


async def _events(address: str, topics: str, enough, *, secret: str) -> list[tuple[str, object]]:
    """Listen until `enough` says so; the events as (name, content)."""
    found: list[tuple[str, object]] = []
    async with (
        httpx2.AsyncClient(base_url=address, timeout=20, cookies={COOKIE: secret}) as http,
        http.stream("GET", "/events", params={"topics": topics}) as answer,
    ):
        assert answer.headers["content-type"].startswith("text/event-stream")
        name = ""
        async for line in answer.aiter_lines():
            if line.startswith("event: "):
                name = line[7:]
            elif line.startswith("data: "):
                found.append((name, json.loads(line[6:])))
            if enough(found):
                break
    return found


async def _until(true):
    """Poll for something that nobody announces, with a deadline."""
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def _serving(town):
    server = build_server(create_application(town.services()), port=0)
    task = asyncio.create_task(server.serve())
    await _until(lambda: server.started)
    port = server.servers[0].sockets[0].getsockname()[1]
    return server, task, f"http://127.0.0.1:{port}"


async def test_a_stream_carries_what_its_pages_want_in_batches_and_ends_with_the_server(town, administrator):
    server, task, address = await _serving(town)
    listening = asyncio.create_task(
        _events(
            address,
            "tick,meter:1,traffic:north",
            lambda found: ("bye", {}) in found,
            secret=administrator,
        )
    )
    await _until(lambda: town.hub.subscribers("traffic"))

    def reading(meter):
        return LiveReading(
            meter_id=meter,
            quantity="voltage_l1",
            value=Decimal("231.0"),
            unit="V",
            read_at=town.now,
            exchange_id=1,
        )

    town.hub.publish("reading", [reading(1), reading(2)])
    frame = Frame("000000000161", 0x11, bytes.fromhex("00000100")).encode()
    for number in range(250):
        town.hub.publish("traffic", Traffic("north", town.now + timedelta(milliseconds=number), "tx", frame))
    town.hub.publish("traffic", Traffic("south", town.now, "tx", frame))
    await asyncio.sleep(0.6)
    server.should_exit = True
    events = await asyncio.wait_for(listening, 10)
    await asyncio.wait_for(task, 10)
    names = [name for name, _ in events]
    assert names == ["readings", "traffic", "tick", "bye"]  # one batch
    content = dict(events)
    assert [(item["meter"], item["text"]) for item in content["readings"]] == [(1, "231.0")]
    assert len(content["traffic"]["frames"]) == 200
    assert content["traffic"]["skipped"] == 50
    assert content["traffic"]["frames"][0]["link"] == "north"
    assert content["traffic"]["frames"][0]["address"] == "000000000161"
    assert content["tick"]["texts"]["readings"] == "2"
    assert town.hub.subscribers("traffic") == 0


async def test_a_customer_hears_nothing_of_the_network(town):
    """Their pages may keep the stream open, but no reading, link or frame is theirs to hear."""
    with town.database.read() as session:
        customer = town.services().registry(session).customer_by_code("C006")
    secret = add_user(town, "listener", Role.CUSTOMER, customer_id=customer.id)
    server, task, address = await _serving(town)
    wanted = "tick,meter:1,traffic:north,traffic:"
    listening = asyncio.create_task(
        _events(address, wanted, lambda found: ("bye", {}) in found, secret=secret)
    )
    await _until(lambda: town.hub.subscribers("reading"))
    town.hub.publish(
        "reading",
        [
            LiveReading(
                meter_id=1, quantity="voltage_l1", value=Decimal("231.0"), unit="V", read_at=town.now, exchange_id=1
            )
        ],
    )  # fmt: skip
    town.hub.publish("link", town.collector.link_states()[0])
    town.hub.publish("traffic", Traffic("north", town.now, "tx", b"\x68"))
    await asyncio.sleep(0.6)
    server.should_exit = True
    assert [name for name, _ in await asyncio.wait_for(listening, 10)] == ["bye"]
    await asyncio.wait_for(task, 10)
