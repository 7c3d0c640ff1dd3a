"""Recording a link: by API and by its page, for whoever may see its frames and ask its meters, and on record."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import select
from starlette.testclient import TestClient
from tests.integration.web.conftest import Town, add_user, signed_in

from wattkeeper.links.recording import parse
from wattkeeper.links.traffic import Traffic
from wattkeeper.registry.models import Area
from wattkeeper.security.models import AuditEvent
from wattkeeper.security.rights import Role
from wattkeeper.web.application import create_application


@pytest.fixture(scope="module")
def town(tmp_path_factory):
    """A town of its own, whose folder of recordings is empty."""
    built = Town(tmp_path_factory.mktemp("recorded"))
    yield built
    built.close()


@pytest.fixture(scope="module")
def server(town):
    with TestClient(create_application(town.services()), follow_redirects=False) as opened:
        yield opened
        opened.portal.call(town.recordings.close)


@pytest.fixture(scope="module")
def operator(town, server):
    return signed_in(server.app, add_user(town, "operator", Role.OPERATOR))


def on_loop(server: TestClient, client: TestClient) -> TestClient:
    """The same person on the event loop that goes on: recordings live there."""
    server.cookies = client.cookies
    server.headers.update(client.headers)
    return server


@pytest.fixture
def asked(server, operator):
    return on_loop(server, operator)


def test_a_link_is_recorded_and_the_file_fetched(town, asked):
    kept = asked.post("/api/v1/links/north/recordings", json={"seconds": 60}).json()
    assert (kept["link"], kept["by"], kept["running"]) == ("north", "operator", True)
    again = asked.post("/api/v1/links/north/recordings", json={})
    assert (again.status_code, "north is being recorded" in again.json()["detail"]) == (409, True)
    chunk = Traffic("north", town.now, "tx", b"\x68\x01")
    town.hub.publish("traffic", chunk)
    town.hub.publish("traffic", Traffic("south", town.now, "tx", b"\x02"))
    assert not asked.post(f"/api/v1/recordings/{kept['name']}/end").json()["running"]
    answer = asked.get(f"/api/v1/recordings/{kept['name']}/file")
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert answer.headers["content-disposition"] == f'attachment; filename="{kept["name"]}.jsonl"'
    assert parse(answer.text.splitlines()).chunks == (chunk,)
    assert [item["name"] for item in asked.get("/api/v1/recordings?link=north").json()] == [kept["name"]]
    assert asked.get("/api/v1/recordings?link=south").json() == []
    assert asked.delete(f"/api/v1/recordings/{kept['name']}").status_code == 204
    assert asked.get(f"/api/v1/recordings/{kept['name']}").status_code == 404
    with town.database.read() as session:
        acts = session.execute(
            select(AuditEvent.action, AuditEvent.subject_name).where(
                AuditEvent.action.startswith("recording.")
            )
        ).all()
    assert [tuple(act) for act in acts] == [
        ("recording.start", "north"),
        ("recording.end", "north"),
        ("recording.delete", "north"),
    ]


def test_the_page_of_a_link_starts_one_and_the_list_ends_it(town, asked):
    assert "Record on the server" in asked.get("/links/south").text
    assert asked.post("/links/south/record", data={"seconds": "600"}).headers["location"] == "/recordings"
    page = asked.get("/recordings").text
    assert "recording until" in page
    refused = asked.post("/links/south/record", data={"seconds": "600"})
    assert (refused.status_code, "being recorded" in refused.text) == (409, True)
    (kept,) = town.recordings.all()
    asked.post(f"/recordings/{kept.name}/end")
    assert "recording ended" in asked.get("/recordings").text
    asked.post(f"/recordings/{kept.name}/delete")
    assert "No recording yet." in asked.get("/recordings").text


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/v1/links/nowhere/recordings", 404),
        ("/api/v1/recordings/nothing/end", 404),
        ("/recordings/nothing/delete", 404),
    ],
)
def test_what_is_not_there_cannot_be_recorded_or_ended(asked, path, status):
    assert asked.post(path, json={} if "links" in path else None).status_code == status


def test_an_analyst_sees_recordings_and_makes_none(town, server):
    analyst = signed_in(server.app, add_user(town, "analyst", Role.ANALYST))
    assert analyst.get("/api/v1/recordings").status_code == 200
    assert "Record on the server" not in analyst.get("/links/south").text
    assert analyst.post("/api/v1/links/south/recordings", json={}).status_code == 403


def test_frames_of_other_areas_are_in_no_recording_that_one_gets(town, server, asked):
    """South carries a shop, which the operator of the households does not see; north carries households only."""
    with town.database.read() as session:
        area = session.scalars(select(Area.id).where(Area.code == "A1")).one()
    kept = [
        asked.post(f"/api/v1/links/{code}/recordings", json={}).json()["name"] for code in ("south", "north")
    ]
    homes = signed_in(server.app, add_user(town, "homes", Role.OPERATOR, areas=frozenset({area})))
    assert [item["link"] for item in homes.get("/api/v1/recordings").json()] == ["north"]
    assert homes.get(f"/api/v1/recordings/{kept[0]}/file").status_code == 404
    assert homes.delete(f"/api/v1/recordings/{kept[0]}").status_code == 404
    assert homes.post("/api/v1/links/works/recordings", json={}).status_code == 404
    assert "南区总线" not in homes.get("/recordings").text.split("<main", 1)[1]
    for name in kept:
        asked.delete(f"/api/v1/recordings/{name}")


def test_without_collection_nothing_can_be_recorded(town):
    application = create_application(town.services(collecting=False))
    client = signed_in(application, add_user(town, "idle", Role.OPERATOR))
    answer = client.post("/api/v1/links/north/recordings", json={})
    assert (answer.status_code, "collection is not running" in answer.json()["detail"]) == (503, True)


async def test_a_frame_in_pieces_is_one_line_of_the_monitor_with_its_checksum(town):
    from wattkeeper.protocols.dlt645.frames import Frame
    from wattkeeper.web.language import language
    from wattkeeper.web.live import Batch

    await asyncio.sleep(0)
    say = language("en")
    reply = Frame("000000000161", 0x91, bytes.fromhex("0000010026000000")).encode()
    wrong = reply[:-2] + b"\x00\x16"
    ears: dict = {}
    first = Batch(frozenset({"traffic:"}), say, ears=ears)
    first.take(Traffic("north", town.now, "rx", reply[:9]))
    assert first.frames == []
    second = Batch(frozenset({"traffic:"}), say, ears=ears)
    second.take(Traffic("north", town.now + timedelta(milliseconds=20), "rx", reply[9:]))
    second.take(Traffic("north", town.now + timedelta(milliseconds=50), "rx", wrong, "unasked"))
    second.take(Traffic("south", town.now, "tx", bytes.fromhex("010300610001D5D4")))
    second.silence(town.now + timedelta(seconds=1))
    told = [
        (frame["link"], frame["address"], frame["check"], frame["gap"], frame["mark"], frame["note"])
        for frame in _frames(second)
    ]
    wrong_says = "not a whole frame: checksum 00 expected 8A (unasked)"
    assert told == [
        (
            "north",
            "000000000161",
            "ok",
            None,
            None,
            "000000000161 current forward active energy total = 0.26 kWh",
        ),
        ("north", "", "wrong", 30.0, "unasked", wrong_says),
        ("south", "1", "ok", None, None, "unit 1 read holding registers address 97 (0061H), count 1"),
    ]


def _frames(batch) -> list[dict]:
    import json

    (event,) = [event for event in batch.events() if event.startswith("event: traffic")]
    return json.loads(event.split("data: ", 1)[1])["frames"]
