"""Uploaded files of readings, between their preview and the decision to take them in."""

import contextvars
import json
import queue
import secrets
import shutil
import tempfile
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, Final

from wattkeeper.kernel.errors import WattkeeperError
from wattkeeper.readings.errors import BadMapping
from wattkeeper.readings.files.importing import Broken, Imported, Preview, Progress, guess, staged
from wattkeeper.web.problems import BadRequest, slug_of, status_of
from wattkeeper.web.services import Services

LARGEST_BYTES: Final = 2_000_000_000
KEPT: Final = 8
"""Files kept at once; an older preview has to be made again."""
_CHUNK: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class ReadingUpload:
    """A file somebody is looking at, and what was said of its columns last."""

    name: str
    path: Path
    mapping: Any | None


class ReadingUploads:
    """The files that were previewed last, on disk, by a token only their page knows."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="wattkeeper-uploads-"))
        # Gone with the application that has it, also when the process ends.
        weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        self._kept: OrderedDict[str, ReadingUpload] = OrderedDict()
        self._lock = threading.Lock()

    def keep(self, name: str | None, file: IO[bytes]) -> str:
        """Keep a file; the token to find it by."""
        token = secrets.token_urlsafe(16)
        path = self._folder / token
        _copy(file, path)
        with self._lock:
            self._kept[token] = ReadingUpload(name or "upload", path, None)
            while len(self._kept) > KEPT:
                _, old = self._kept.popitem(last=False)
                old.path.unlink(missing_ok=True)
        return token

    def look(self, token: str) -> ReadingUpload:
        """The file of a token."""
        with self._lock:
            found = self._kept.get(token)
        if found is None:
            raise BadRequest(
                "That preview is no longer here.", hint="Choose the file again; nothing was written."
            )
        return found

    def say(self, token: str, mapping: Any) -> ReadingUpload:
        """Remember what is said of its columns now."""
        found = replace(self.look(token), mapping=mapping)
        with self._lock:
            self._kept[token] = found
        return found

    def forget(self, token: str) -> None:
        """Let go of a file that is taken in."""
        with self._lock:
            found = self._kept.pop(token, None)
        if found is not None:
            found.path.unlink(missing_ok=True)


@contextmanager
def uploaded(name: str | None, file: IO[bytes], mapping: str | None = None) -> Iterator[ReadingUpload]:
    """A file for as long as the block lasts; ``mapping`` is JSON."""
    said = said_mapping(mapping)
    with tempfile.TemporaryDirectory(prefix="wattkeeper-upload-") as folder:
        path = Path(folder, "file")
        _copy(file, path)
        yield ReadingUpload(name or "upload", path, said)


def _copy(file: IO[bytes], path: Path) -> None:
    size = 0
    with path.open("wb") as kept:
        while chunk := file.read(_CHUNK):
            size += len(chunk)
            if size > LARGEST_BYTES:
                path.unlink()
                raise BadRequest(
                    f"The file has more than {LARGEST_BYTES // 1_000_000:,} MB.",
                    hint="Split it, or import it with the command line beside the server.",
                )
            kept.write(chunk)


def said_mapping(text: str | None) -> Any | None:
    """A mapping as a form or an address carries it."""
    if not text:
        return None
    try:
        return json.loads(text)
    except ValueError:
        raise BadMapping("The mapping is no JSON.", hint="See docs/reference/readings-files.md.") from None


def look_at(services: Services, upload: ReadingUpload, *, zone: str) -> Preview:
    """What importing the file would do."""
    with staged(
        upload.path, upload.name, services.database, services.scope, zone=zone, mapping=upload.mapping
    ) as found:
        return found.preview


def guessed(services: Services, upload: ReadingUpload, *, zone: str) -> Preview:
    """What the columns of the file seem to mean."""
    return guess(upload.path, upload.name, services.database, zone=zone)


def take_in(
    services: Services,
    upload: ReadingUpload,
    *,
    zone: str,
    broken: Broken,
    progress: Progress | None = None,
) -> Imported:
    """Import the file."""
    with staged(
        upload.path,
        upload.name,
        services.database,
        services.scope,
        zone=zone,
        mapping=upload.mapping,
        progress=progress,
    ) as found:
        return found.take_in(
            services.database, services.store, broken=broken, now=services.clock(), progress=progress
        )


def told_on_the_way(work: Callable[[Progress], dict[str, Any]]) -> Iterator[bytes]:
    """Lines of JSON: how far the work is, and at last its outcome, or the problem that ended it."""
    lines: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()

    def run() -> None:
        try:
            outcome = work(
                lambda doing, done, total: lines.put({"doing": doing, "done": done, "total": total})
            )
            lines.put({"outcome": outcome})
        except WattkeeperError as error:
            lines.put({"problem": {"type": slug_of(error), "status": status_of(error), "detail": error.message, "hint": error.hint}})  # fmt: skip
        finally:
            lines.put(None)

    thread = threading.Thread(target=contextvars.copy_context().run, args=(run,), name="import readings")
    thread.start()
    while (line := lines.get()) is not None:
        yield json.dumps(line, ensure_ascii=False, default=str).encode() + b"\n"
    thread.join()
