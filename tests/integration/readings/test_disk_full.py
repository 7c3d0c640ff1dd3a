"""A full disk: a sentence, nothing lost, and on it goes once there is room."""

import contextlib
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from wattkeeper.readings.errors import StoreFull
from wattkeeper.readings.store import ReadingsStore


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 12 MB; making one needs a right that not every machine gives."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("needs the right to mount a small file system")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def fill(file: Path) -> None:
    with file.open("wb", buffering=0) as filler, contextlib.suppress(OSError):
        while filler.write(bytes(4096)):
            pass


def append_until_full(store, tick, now) -> None:
    for number in range(1, 50):
        store.append_readings(tick(number), now)


@pytest.mark.embedded
def test_a_full_disk_is_told_and_nothing_stored_is_lost(small_disk, batch):
    start = datetime(2026, 1, 1, tzinfo=UTC)

    def tick(number: int):
        return batch(*((m, start + timedelta(minutes=number), str(m)) for m in range(200)))

    with ReadingsStore.open(small_disk) as store:
        store.append_readings(tick(0), start)
        filler = small_disk / "filler"
        fill(filler)
        with pytest.raises(StoreFull, match="may be given again"):
            append_until_full(store, tick, start)
        filler.unlink()
        assert store.append_readings(tick(60), start).accepted == 200
    with ReadingsStore.open(small_disk) as store:
        kept = store.readings().num_rows // 200
        assert kept >= 1
        assert store.append_readings(tick(kept), start).accepted == 200
        assert store.readings().num_rows == 200 * (kept + 1)
