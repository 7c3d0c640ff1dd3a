"""The bus monitor in a real browser: frames with their state, filters, pause, and files that others can read."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import expect

from wattkeeper.links.recording import parse
from wattkeeper.links.traffic import Traffic
from wattkeeper.protocols.dlt645.frames import Frame

ASK = Frame("000000000161", 0x11, bytes.fromhex("00000100")).encode(0)
REPLY = Frame("000000000161", 0x91, bytes.fromhex("0000010026000000")).encode(0)
SPOILT = REPLY[:-2] + b"\x00\x16"


@pytest.fixture
def monitor(visit, administrator, town, until):
    """The page of north; three frames have passed: a request, its reply, and one whose checksum is wrong."""
    page = visit(administrator)
    page.goto("/links/north")
    until(lambda: town.hub.subscribers("traffic"))
    pass_frames(town)
    expect(rows(page)).to_have_count(3)
    return page


@pytest.fixture
def until():
    """Wait for something to become true."""
    import time

    def wait(condition, seconds: float = 15.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.02)

    return wait


def pass_frames(town) -> None:
    began = datetime.now(UTC)
    for after, way, raw, note in (
        (0, "tx", ASK, None),
        (84, "rx", REPLY, None),
        (150, "rx", SPOILT, "unasked"),
    ):
        town.hub.publish("traffic", Traffic("north", began + timedelta(milliseconds=after), way, raw, note))


def rows(page):
    return page.locator("[data-monitor] tbody tr")


def test_frames_say_when_which_way_and_whether_they_are_sound(monitor):
    newest, reply, asked = (rows(monitor).nth(number) for number in range(3))
    expect(newest.locator(".note")).to_contain_text("✗ not a whole frame")
    expect(newest.locator(".note")).to_contain_text("(unasked)")
    expect(newest.locator(".gap")).to_have_text("+66 ms")
    expect(reply.locator(".note")).to_contain_text("✓ 000000000161")
    expect(reply.locator(".note")).to_contain_text("0.26 kWh")
    expect(reply.locator(".way")).to_have_text("received")
    expect(asked.locator(".way")).to_have_text("sent")
    assert asked.locator("a").get_attribute("href") == f"/frames?hex={ASK.hex().upper()}"


def test_filters_narrow_what_is_shown_and_saved(monitor, tmp_path):
    for state, count in (("ok", 2), ("wrong", 1), ("none", 0), ("bad", 1), ("", 3)):
        monitor.get_by_label("Checksum").select_option(state)
        expect(rows(monitor)).to_have_count(count)
    monitor.get_by_label("Address of the meter").fill("0161")
    expect(rows(monitor)).to_have_count(2)
    monitor.get_by_label("Address of the meter").fill("")
    monitor.get_by_label("Direction").select_option("rx")
    expect(rows(monitor)).to_have_count(2)
    monitor.get_by_label("Filter frames").fill("0.26 kWh")
    expect(rows(monitor)).to_have_count(1)
    monitor.get_by_label("Filter frames").fill("")
    saved = save(monitor, tmp_path, "jsonl")
    found = parse(saved.read_text(encoding="utf-8").splitlines())
    assert [(chunk.link, chunk.direction, chunk.data, chunk.note) for chunk in found.chunks] == [
        ("north", "rx", REPLY, None),
        ("north", "rx", SPOILT, "unasked"),
    ]
    lines = save(monitor, tmp_path, "csv").read_text(encoding="utf-8-sig").splitlines()
    assert lines[0] == "Time,Gap (ms),Link,Direction,Octets,Checksum,Mark,Meaning"
    assert lines[1].split(",")[1:6] == ["84", "north", "received", REPLY.hex(" ").upper(), "checksum right"]
    assert len(lines) == 3


def test_a_paused_list_holds_still_and_catches_up(monitor, town):
    monitor.get_by_role("button", name="Pause").click()
    pass_frames(town)
    expect(monitor.locator("[data-count]")).to_have_text("3 frames wait")
    assert rows(monitor).count() == 3
    monitor.get_by_role("button", name="Go on").click()
    expect(rows(monitor)).to_have_count(6)


def test_a_cleared_list_begins_anew(monitor, town):
    monitor.get_by_role("button", name="Clear").click()
    expect(rows(monitor)).to_have_text(["Waiting for the next frame on the wire …"])
    expect(monitor.locator("[data-count]")).to_have_text("0 frames")
    pass_frames(town)
    expect(rows(monitor)).to_have_count(3)


def test_the_page_of_its_own_watches_one_link_or_all_and_records(visit, administrator, town, until):
    page = visit(administrator)
    page.goto("/monitor?address=161")
    until(lambda: town.hub.subscribers("traffic"))
    pass_frames(town)
    expect(rows(page)).to_have_count(2)  # what has no address is not this meter's
    expect(page.locator("#recorder")).to_have_text("Choose one link to record it.")
    page.get_by_label("Link", exact=True).select_option("north")
    page.wait_for_url("**/monitor?link=north")
    page.get_by_role("button", name="Record on the server").click()
    expect(page.locator("#recorder")).to_contain_text("recording until")
    [kept] = town.recordings.all()
    assert (kept.link, kept.running) == ("north", True)
    page.get_by_role("button", name="End recording").click()
    expect(page.get_by_role("button", name="Record on the server")).to_be_visible()
    assert [kept.running for kept in town.recordings.all()] == [False]


def test_on_a_phone_a_frame_is_read_without_scrolling_sideways(visit, administrator, town, until):
    page = visit(administrator, phone=True)
    page.goto("/monitor?link=north")
    until(lambda: town.hub.subscribers("traffic"))
    pass_frames(town)
    expect(rows(page)).to_have_count(3)
    box = page.locator(".monitor")
    assert box.evaluate("box => box.scrollWidth - box.clientWidth") <= 0
    expect(rows(page).nth(1).locator(".note")).to_be_in_viewport()


def save(page, folder: Path, kind: str) -> Path:
    page.locator(".monitor-tools summary").click()
    with page.expect_download() as download:
        page.locator(f"[data-save={kind}]").click()
    path = folder / f"seen.{kind}"
    download.value.save_as(path)
    return path
