"""One process owns a data folder, and others can see who."""

import errno
import fcntl
import os
import threading
import time
from pathlib import Path

import pytest

from wattkeeper.kernel.ownership import FolderInUse, FolderLock, FolderUnusable, Owner, find_owner


def test_the_owner_says_where_it_is_until_it_gives_the_folder_up(tmp_path):
    lock = FolderLock.acquire(tmp_path / "data")
    assert find_owner(tmp_path / "data") == Owner(pid=os.getpid(), url=None, socket=None)
    lock.announce(url="http://127.0.0.1:1", socket=Path("/run/w.sock"))
    assert find_owner(tmp_path / "data") == Owner(os.getpid(), "http://127.0.0.1:1", Path("/run/w.sock"))
    with pytest.raises(
        FolderInUse, match=f"in use by process {os.getpid()}, which serves http://127.0.0.1:1"
    ):
        FolderLock.acquire(tmp_path / "data")
    lock.release()
    assert find_owner(tmp_path / "data") is None
    FolderLock.acquire(tmp_path / "data").release()


def test_a_folder_nobody_ever_owned_has_no_owner(tmp_path):
    assert find_owner(tmp_path / "nowhere") is None


def test_somebody_who_only_looks_does_not_keep_a_server_from_starting(tmp_path):
    FolderLock.acquire(tmp_path).release()
    with (tmp_path / "wattkeeper.lock").open("rb") as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        done = threading.Timer(0.1, fcntl.flock, (looking, fcntl.LOCK_UN))
        done.start()
        began = time.monotonic()
        FolderLock.acquire(tmp_path).release()
        assert time.monotonic() - began < 5
        done.join()


def test_a_full_disk_is_a_sentence_and_leaves_the_folder_free(tmp_path, monkeypatch):
    def full(_lock, _facts):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(FolderLock, "_write", full)
        with pytest.raises(FolderUnusable, match="No space left on device"):
            FolderLock.acquire(tmp_path)
    FolderLock.acquire(tmp_path).release()
