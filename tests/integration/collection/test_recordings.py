"""What passes on a link is recorded on demand, shown again, and answers in a test as the meters did."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from wattkeeper.collection import fieldwork
from wattkeeper.collection.recordings import (
    AlreadyRecording,
    RecordingDesk,
    TooManyRecordings,
    UnknownRecording,
)
from wattkeeper.kernel.hub import Hub
from wattkeeper.links.bus import Bus
from wattkeeper.links.errors import NoReply
from wattkeeper.links.recording import BadRecording, Recording, parse
from wattkeeper.links.traffic import Traffic
from wattkeeper.links.url import LinkUrl
from wattkeeper.protocols.dlt645.frames import Frame
from wattkeeper.protocols.dlt645.master import ReadExchange
from wattkeeper.simulator.replay import RecordedGateway

SIMULATED = Path(__file__).parents[2] / "data" / "recordings" / "simulated-meter.jsonl"
AT = datetime(2026, 3, 10, 4, 0, tzinfo=UTC)


def chunk(number: int, direction: str, data: str, note: str | None = None) -> Traffic:
    return Traffic("bus", AT + timedelta(milliseconds=number), direction, bytes.fromhex(data), note)


@pytest.fixture
def desk(tmp_path):
    return RecordingDesk(tmp_path / "recordings", Hub())


async def test_a_recording_of_a_simulated_meter_answers_as_the_meter_did():
    """The file was made by the desk, while the meter 000000000161 of the simulator was read."""
    with SIMULATED.open(encoding="utf-8") as lines:
        recording = parse(lines)
    async with RecordedGateway(recording) as gateway:
        url = f"tcp://127.0.0.1:{gateway.port}"
        values = await fieldwork.read_meter(url, address="000000000161", words=["energy", "voltage"])
        told = json.loads(SIMULATED.with_suffix(".json").read_text(encoding="utf-8"))
        assert {value.quantity: str(value.value) for value in values} == told
        assert gateway.unknown == []


async def test_what_was_never_asked_is_not_answered():
    with SIMULATED.open(encoding="utf-8") as lines:
        recording = parse(lines)
    async with RecordedGateway(recording) as gateway:
        bus = Bus("bus", LinkUrl.parse(f"tcp://127.0.0.1:{gateway.port}?timeout=0.1"))
        with pytest.raises(NoReply):
            await bus.run(ReadExchange("000000000999", "00010000"), attempts=1)
        await bus.close()
        assert [Frame.decode(request).address for request in gateway.unknown] == ["000000000999"]


async def test_a_request_that_was_sent_twice_gets_its_answers_in_order():
    ask, first, second = "6801", "6802", "6803"
    recording = Recording(
        "bus", AT, (chunk(0, "tx", ask), chunk(1, "rx", ask, "echo"), chunk(5, "rx", first), chunk(9, "tx", ask), chunk(9, "rx", second))
    )  # fmt: skip
    async with RecordedGateway(recording) as gateway:
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        heard = []
        for cut in ((b"\x68", b"\x01"), (b"\x68\x01",), (b"\x68\x01",)):
            for piece in cut:
                writer.write(piece)
                await writer.drain()
            heard.append((await asyncio.wait_for(reader.readexactly(2), 5)).hex())
        writer.close()
    assert heard == [first, second, second]


async def test_a_link_is_recorded_until_it_is_ended(desk):
    hub = desk._hub
    kept = await desk.start("bus", by="li", lasts=timedelta(minutes=1))
    assert (kept.link, kept.by, kept.running) == ("bus", "li", True)
    with pytest.raises(AlreadyRecording, match="bus"):
        await desk.start("bus", by="wang", lasts=timedelta(minutes=1))
    passed = (chunk(1, "tx", "6801"), chunk(2, "rx", "6802", "unasked"))
    for one in passed:
        hub.publish("traffic", one)
    hub.publish("traffic", Traffic("other", AT, "tx", b"\x01"))
    ended = await desk.end(kept.name)
    assert (ended.running, ended.until) == (False, None)
    found = parse(b"".join(desk.content(kept.name)).decode().splitlines())
    assert found == Recording("bus", kept.began_at, passed)
    assert hub.subscribers("traffic") == 0
    assert [one.name for one in desk.all()] == [kept.name]
    await desk.delete(kept.name)
    assert desk.all() == []
    with pytest.raises(UnknownRecording):
        desk.get(kept.name)


async def test_a_recording_ends_by_itself(desk, until, monkeypatch):
    short = await desk.start("short", by="li", lasts=timedelta(milliseconds=10))
    monkeypatch.setattr("wattkeeper.collection.recordings.LARGEST", 200)
    full = await desk.start("full", by="li", lasts=timedelta(hours=1))
    for number in range(9):
        desk._hub.publish("traffic", Traffic("full", AT + timedelta(seconds=number), "tx", bytes(20)))
    await until(lambda: not any(kept.running for kept in desk.all()))
    assert desk.get(full.name).size > 200
    assert desk.get(short.name).size < 200


async def test_recordings_are_bounded_in_number(desk, monkeypatch):
    monkeypatch.setattr("wattkeeper.collection.recordings.MOST", 1)
    kept = await desk.start("a", by="li", lasts=timedelta(hours=1))
    with pytest.raises(TooManyRecordings, match="kept already"):
        await desk.start("b", by="li", lasts=timedelta(hours=1))
    monkeypatch.setattr("wattkeeper.collection.recordings.AT_ONCE", 1)
    with pytest.raises(TooManyRecordings, match="are being recorded"):
        await desk.start("c", by="li", lasts=timedelta(hours=1))
    await desk.close()
    assert not desk.get(kept.name).running


@pytest.mark.parametrize("name", ["../ledger", "a/b", "", "a.jsonl", "-" * 81, "absent"])
def test_a_name_leads_to_no_other_file(desk, name):
    with pytest.raises(UnknownRecording):
        desk.get(name)
    with pytest.raises(UnknownRecording):
        list(desk.content(name))


HEAD = (
    '{"format": "wattkeeper-recording", "version": 1, "link": "bus", "began_at": "2026-03-10T04:00:00+00:00"}'
)
GOOD = '{"at": "2026-03-10T04:00:00.001000+00:00", "dir": "tx", "hex": "6801", "new": 1}'


def test_a_line_that_a_crash_cut_off_is_left_out():
    assert parse([HEAD, GOOD, '{"at": "2026-03-10T04:0']).chunks == (chunk(1, "tx", "6801"),)


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ([], "empty"),
        (["68 01 02"], "no recording"),
        (['{"format": "wattkeeper-recording", "version": 2, "link": "", "began_at": ""}'], "no recording"),
        ([HEAD, '{"at": "2026-03-10T04:00:00+00:00", "dir": "up", "hex": "68"}'], "Line 2 .*'up'"),
        ([HEAD, GOOD, '{"at": "2026-03-10T04:00:00", "dir": "tx", "hex": "68"}'], "Line 3 .*time zone"),
        ([HEAD, '{"at": "2026-03-10T04:00:00+00:00", "dir": "tx", "hex": "6"}', GOOD], "Line 2 .*length"),
        ([HEAD, "[]"], "Line 2"),
    ],
)
def test_a_line_that_cannot_be_read_is_named(lines, says):
    with pytest.raises(BadRecording, match=says):
        parse(lines)
