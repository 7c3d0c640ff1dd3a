"""The outbox: in order, once it says so for ever, bounded, and whole again after whatever happened to it."""

import contextlib
import errno
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from wattkeeper.readings.transmission.errors import OutboxFull, OutboxUnusable
from wattkeeper.readings.transmission.kept import KeptNumber
from wattkeeper.readings.transmission.outbox import Outbox, Outgoing
from wattkeeper.readings.transmission.segments import Record, read

PROCESS = Path(__file__).with_name("outbox_process.py")
ROOMY = 1 << 30


def batch(mark: int, *, kind: int = 1, size: int = 100) -> Outgoing:
    return Outgoing(kind, 10, bytes([mark % 256]) * size, mark)


@pytest.fixture
def opened(tmp_path):
    """Open the outbox of a folder; it is closed at the end, or when it is opened anew."""
    boxes: dict[Path, Outbox] = {}

    def open_(folder: Path = tmp_path / "outbox", *, most_bytes: int = ROOMY) -> Outbox:
        if folder in boxes:
            boxes.pop(folder).close()
        boxes[folder] = Outbox(folder, most_bytes=most_bytes)
        return boxes[folder]

    yield open_
    for box in boxes.values():
        box.close()


def marks(outbox: Outbox) -> list[int]:
    """The marks of everything that waits, taken out batch by batch without acknowledging more than was taken."""
    found = []
    while records := outbox.next(most_rows=10_000, most_bytes=ROOMY):
        found += [record.mark for record in records]
        outbox.acknowledge(records[-1].sequence)
    return found


def segments(outbox: Outbox) -> list[Path]:
    return sorted(outbox.folder.glob("*.segment"))


def test_batches_come_out_in_order_and_once_acknowledged_are_gone_also_after_a_restart(opened):
    outbox = opened()
    outbox.append([batch(1), batch(2)])
    outbox.append([batch(3)])
    first = outbox.next(most_rows=20, most_bytes=ROOMY)
    assert first == [
        Record(outbox.run, 1, 1, 10, 1, bytes([1]) * 100),
        Record(outbox.run, 2, 2, 10, 1, bytes([2]) * 100),
    ]
    assert outbox.next(most_rows=20, most_bytes=ROOMY) == first, "what is not acknowledged comes again"
    outbox.acknowledge(1)
    assert opened().waiting[:2] == (2, 20)
    assert opened().waiting.oldest_mark == 2
    assert opened().fed_to == 3
    assert marks(opened()) == [2, 3]
    assert opened().waiting == (0, 0, 0, None)


def test_what_travels_together_is_of_one_kind_and_one_run_and_within_the_limits(opened):
    opened().append([batch(1)])
    outbox = opened()
    outbox.append([batch(2), batch(3), batch(4, kind=2), batch(5, kind=2, size=5000)])
    taken = []
    while records := outbox.next(most_rows=20, most_bytes=2000):
        taken.append([record.mark for record in records])
        outbox.acknowledge(records[-1].sequence)
    assert taken == [[1], [2, 3], [4], [5]]


def test_files_are_bounded_and_go_once_they_are_acknowledged(opened):
    outbox = opened()
    for mark in range(1, 13):
        outbox.append([batch(mark, size=1 << 20)])
    assert len(segments(outbox)) == 3
    outbox.acknowledge(8)
    assert len(segments(outbox)) == 1
    outbox.acknowledge(12)
    assert segments(outbox) == []
    outbox.append([batch(13)])
    assert marks(opened()) == [13]


def test_at_its_bound_it_refuses_keeps_what_it_has_and_goes_on_when_there_is_room(opened):
    outbox = opened(most_bytes=10 << 20)
    for mark in range(1, 9):
        outbox.append([batch(mark, size=1 << 20)])
    with pytest.raises(OutboxFull, match=r"8,388,888 of at most 10,485,760 bytes .* outbox_megabytes"):
        outbox.append([batch(9, size=2 << 20)])
    assert outbox.fed_to == 8
    outbox.acknowledge(4)
    outbox.append([batch(9, size=2 << 20)])
    assert marks(outbox) == [5, 6, 7, 8, 9]


def test_a_batch_torn_by_a_crash_is_forgotten_and_fed_again_and_those_before_it_stay(opened, tmp_path):
    outbox = opened(tmp_path / "whole")
    for mark in (5, 6, 7):
        outbox.append([batch(mark, size=20)])
    (segment,) = segments(outbox)
    whole = segment.read_bytes()
    record = (len(whole) - 24) // 3
    for cut in range(len(whole) - record + 1, len(whole)):
        folder = tmp_path / f"torn-{cut}"
        shutil.copytree(outbox.folder, folder)
        os.truncate(folder / segment.name, cut)
        torn = opened(folder)
        assert (torn.fed_to, torn.damaged_from) == (6, 6)
        torn.append([batch(7, size=20)])
        again = opened(folder)
        assert (again.damaged_from, again.fed_to, marks(again)) == (None, 7, [5, 6, 7])


def test_a_process_that_died_before_its_file_had_a_head_leaves_nothing_to_feed_again(opened):
    outbox = opened()
    outbox.append([batch(9)])
    (outbox.folder / f"{2:020d}.segment").write_bytes(b"WKO")
    outbox = opened()
    assert (outbox.damaged_from, outbox.fed_to, marks(outbox)) == (None, 9, [9])


def test_a_disk_that_lost_a_block_has_the_feed_begin_again_before_it_and_keeps_what_is_good(opened):
    outbox = opened()
    for mark in range(1, 7):
        outbox.append([batch(mark, size=1 << 20)])
    first, _ = segments(outbox)
    damaged = bytearray(first.read_bytes())
    damaged[(1 << 20) + 500] ^= 1
    first.write_bytes(damaged)
    with pytest.raises(OutboxUnusable, match="fed again from the store"):
        outbox.next(most_rows=100, most_bytes=ROOMY)
    outbox = opened()
    assert (outbox.damaged_from, outbox.fed_to) == (1, 1)
    assert marks(outbox) == [1, 5, 6]
    assert opened().fed_to == 1, "until the feed has been there again"


def test_of_the_number_of_what_is_acknowledged_one_slot_may_be_torn(tmp_path):
    kept = KeptNumber(tmp_path / "number")
    for value in (7, 8, 9):
        kept.keep(value)
    kept.close()
    content = bytearray((tmp_path / "number").read_bytes())
    content[4096 + 3] ^= 1  # the third write went to the second slot
    (tmp_path / "number").write_bytes(content)
    assert KeptNumber(tmp_path / "number").value == 8


def test_a_folder_restored_from_a_copy_goes_on_under_another_name(opened, tmp_path):
    outbox = opened()
    outbox.append([batch(1)])
    shutil.copytree(outbox.folder, tmp_path / "copy")
    outbox.append([batch(2)])
    copy = opened(tmp_path / "copy")
    copy.append([batch(99)])
    ours, theirs = (box.next(most_rows=10, most_bytes=ROOMY)[0] for box in (outbox, copy))
    assert (ours.run, ours.sequence) == (theirs.run, theirs.sequence), "the first is the same batch"
    outbox.acknowledge(1)
    copy.acknowledge(1)
    ours, theirs = (box.next(most_rows=10, most_bytes=ROOMY)[0] for box in (outbox, copy))
    assert ours.sequence == theirs.sequence
    assert ours.run != theirs.run


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutboxUnusable, match="cannot be used: Not a directory"):
        Outbox(tmp_path / "file" / "outbox", most_bytes=ROOMY)


# -- full disks -----------------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 3 MB; making one needs a right that not every machine gives."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", folder]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("needs the right to mount a small file system")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def test_a_full_disk_loses_nothing_acknowledges_still_and_mends_itself(opened, small_disk):
    outbox = opened(small_disk / "outbox")
    fed = 1
    with contextlib.suppress(OutboxFull):
        for fed in range(1, 100):
            outbox.append([batch(fed, size=100_000)])
    assert 20 < fed < 99
    with pytest.raises(OutboxFull, match=r"disk of the outbox .* is full; what it holds is safe"):
        outbox.append([batch(fed, size=100_000)])
    outbox.append([batch(fed, size=10)])  # what fits goes in
    assert outbox.waiting.batches == fed
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(512)):
            pass
    outbox.acknowledge(3)
    outbox = opened(small_disk / "outbox")
    assert outbox.waiting.oldest_mark == 4
    filler.unlink()
    outbox.append([batch(fed + 1, size=5)])
    assert marks(outbox) == list(range(4, fed + 2))


@pytest.mark.parametrize("refusal", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
@pytest.mark.parametrize("after", [0, 1, 60])
def test_a_write_that_stops_half_way_leaves_the_file_as_it_was(opened, monkeypatch, refusal, after):
    outbox = opened()
    outbox.append([batch(1)])
    size = segments(outbox)[0].stat().st_size
    real = os.write

    def half(descriptor: int, source: memoryview) -> int:
        nonlocal after
        if after == 0:
            raise OSError(refusal, os.strerror(refusal))
        written, after = real(descriptor, source[:after]), 0
        return written

    with monkeypatch.context() as disk:
        disk.setattr(os, "write", half)
        expected = OutboxUnusable if refusal == errno.EIO else OutboxFull
        with pytest.raises(expected):
            outbox.append([batch(2)])
    assert segments(outbox)[0].stat().st_size == size
    assert outbox.fed_to == 1
    outbox.append([batch(2)])
    assert marks(opened()) == [1, 2]


def test_a_file_whose_end_is_not_known_is_appended_to_no_more(opened, monkeypatch):
    outbox = opened()
    outbox.append([batch(1)])

    def refuses(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as disk:
        disk.setattr(os, "fsync", refuses)
        disk.setattr(os, "ftruncate", refuses)
        with pytest.raises(OutboxUnusable):
            outbox.append([batch(2)])
    outbox.append([batch(2)])
    assert len(segments(outbox)) == 2
    assert sorted(set(marks(opened()))) == [1, 2], (
        "the torn one may have reached the disk: then it comes twice"
    )


# -- kills ----------------------------------------------------------------------------------------------------------


def kill_again_and_again(opened, folder: Path, kills: int) -> None:
    chance = random.Random(645)
    first, acknowledged = 1, 0
    for _ in range(kills):
        process = subprocess.Popen(
            [sys.executable, PROCESS, folder, str(first)], stdout=subprocess.PIPE, text=True
        )
        said = [process.stdout.readline()]
        time.sleep(chance.uniform(0, 0.25))
        process.kill()
        rest = process.stdout.read()
        process.wait()
        process.stdout.close()
        said += rest[: rest.rfind("\n") + 1].splitlines()
        told = {word: int(mark) for word, mark in (line.split() for line in said)}
        acknowledged = max(acknowledged, told.get("acknowledged", 0))
        outbox = opened(folder)
        waiting = [read(entry.place).mark for entry in outbox._waiting]
        assert waiting == sorted(set(waiting)), "each once, in order"
        assert set(range(acknowledged + 4, told["fed"] + 1)) <= set(waiting), (
            "what was said to be fed is there"
        )
        assert told["fed"] <= outbox.fed_to <= told["fed"] + 2
        # A kill may come between an acknowledgement and what was said of it: the next round counts from what is there.
        acknowledged = waiting[0] - 1 if waiting else outbox.fed_to
        first = max([outbox.fed_to, *waiting[-1:]]) + 1


def test_killed_in_the_middle_it_keeps_what_it_said_it_has(opened, tmp_path):
    kill_again_and_again(opened, tmp_path / "killed", kills=4)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_killed_a_hundred_times_it_keeps_what_it_said_it_has(opened, tmp_path):
    kill_again_and_again(opened, tmp_path / "killed", kills=100)


def test_a_week_without_the_platform_is_kept_and_opened_in_a_moment(opened):
    """A thousand meters of 15-minute registers fed once a minute while the platform is away: 10,080 batches."""
    outbox = opened()
    payload = os.urandom(280)  # 67 registers of some four bytes
    for first in range(1, 10_081, 60):
        outbox.append([Outgoing(1, 67, payload, mark) for mark in range(first, first + 60)])
    began = time.monotonic()
    outbox = opened()
    assert time.monotonic() - began < 5
    assert outbox.waiting[:2] == (10_080, 675_360)
    assert outbox.waiting.bytes < 4 << 20
    taken = outbox.next(most_rows=100_000, most_bytes=1 << 20)
    assert [record.mark for record in taken] == list(range(1, 1493))
