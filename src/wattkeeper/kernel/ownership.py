"""One process owns a data folder: the lock, and where the owner can be reached."""

import contextlib
import fcntl
import json
import os
import time
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Self

from wattkeeper.kernel.errors import WattkeeperError

_ATTEMPTS = 5
_ATTEMPT_SECONDS = 0.05


class FolderInUse(WattkeeperError):
    """Another process owns the data folder."""


class FolderUnusable(WattkeeperError):
    """The data folder cannot be made or written."""


@dataclass(frozen=True, slots=True)
class Owner:
    """The process that owns a data folder, as it announced itself."""

    pid: int
    url: str | None
    socket: Path | None
    tls: bool = False
    """Whether it speaks TLS, on its socket too."""


class FolderLock:
    """The right to be the one process that opens the stores in a folder; held until `release` or death.

    The kernel drops the lock with the process, so a `kill -9` leaves nothing to clean up: what the file says
    counts only while somebody holds it.
    """

    def __init__(self, file: FileIO) -> None:
        self._file = file

    @classmethod
    def acquire(cls, folder: Path) -> Self:
        """Own `folder`, making it if need be (readable by its owner only).

        Raises:
            FolderInUse: another process owns it.
            FolderUnusable: it cannot be made or written.

        """
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            file = _lock_path(folder).open("ab+", buffering=0)
        except OSError as error:
            raise _unusable(folder, error) from None
        if not _locked(file):
            owner = _read(file)
            file.close()
            raise FolderInUse(_in_use(folder, owner), hint="Stop it first, or choose another --data-dir.")
        lock = cls(file)
        try:
            lock._write({"pid": os.getpid()})
        except OSError as error:
            file.close()
            raise _unusable(folder, error) from None
        return lock

    def announce(self, *, url: str, socket: Path, tls: bool = False) -> None:
        """Say where this process can be reached: by people at `url`, by the command line through `socket`."""
        self._write({"pid": os.getpid(), "url": url, "socket": str(socket), "tls": tls})

    def release(self) -> None:
        """Give the folder up."""
        self._file.truncate(0)
        self._file.close()

    def _write(self, facts: dict[str, object]) -> None:
        self._file.truncate(0)
        self._file.write(json.dumps(facts).encode())


def find_owner(folder: Path) -> Owner | None:
    """The live process that owns `folder`, or None when nobody does."""
    try:
        file = _lock_path(folder).open("rb", buffering=0)
    except OSError:
        return None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return _read(file) or Owner(pid=0, url=None, socket=None)
    return None


def _lock_path(folder: Path) -> Path:
    return folder / "wattkeeper.lock"


def _locked(file: FileIO) -> bool:
    """Take the lock, unless it is held for longer than the moment in which `find_owner` looks."""
    for _ in range(_ATTEMPTS):
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        time.sleep(_ATTEMPT_SECONDS)
    return False


def _unusable(folder: Path, error: OSError) -> FolderUnusable:
    return FolderUnusable(
        f"The data folder {folder} cannot be used: {error.strerror}.",
        hint="Choose another with --data-dir or WATTKEEPER_DATA_DIR, or mend its permissions or its full disk.",
    )


def _read(file: FileIO) -> Owner | None:
    file.seek(0)
    try:
        facts = json.loads(file.readall())
    except ValueError:
        return None
    socket = facts.get("socket")
    return Owner(
        pid=facts["pid"],
        url=facts.get("url"),
        socket=Path(socket) if socket else None,
        tls=facts.get("tls", False),
    )


def _in_use(folder: Path, owner: Owner | None) -> str:
    who = f"process {owner.pid}" if owner else "another process"
    where = f", which serves {owner.url}" if owner and owner.url else ""
    return f"The data folder {folder} is in use by {who}{where}."
