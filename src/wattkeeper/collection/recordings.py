"""Recordings of links, made on demand and kept in a folder: bounded in time, in size and in number."""

import asyncio
import contextlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Final

import structlog

from wattkeeper.collection.errors import CollectionError
from wattkeeper.kernel.hub import Hub, Subscription
from wattkeeper.links.recording import SUFFIX, chunk_line, head_line
from wattkeeper.links.traffic import Traffic

log = structlog.get_logger(__name__)

LONGEST: Final = timedelta(hours=24)
LARGEST: Final = 50_000_000
"""A recording ends when it has this size: a day of a busy line. [bytes]"""
MOST: Final = 100
"""Recordings kept at once; whoever wants more deletes some."""
AT_ONCE: Final = 10
NAME: Final = r"^[A-Za-z0-9_-]{1,80}$"
_EVERY: Final = 0.25
_ODD: Final = re.compile(r"[^A-Za-z0-9_-]")


class AlreadyRecording(CollectionError):
    """The link is being recorded."""


class TooManyRecordings(CollectionError):
    """No more recordings are kept, or made at once."""


class UnknownRecording(CollectionError):
    """There is no such recording."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptRecording:
    """A recording as the folder has it."""

    name: str
    link: str
    """The link's code."""
    began_at: datetime
    by: str
    """Who asked for it."""
    size: int
    """[bytes]."""
    running: bool
    until: datetime | None
    """When it ends by itself, while it runs."""


@dataclass(slots=True)
class _Running:
    name: str
    link: str
    until: datetime
    ended: asyncio.Event
    listening: asyncio.Event
    task: asyncio.Task[None] | None = None


class RecordingDesk:
    """Makes, lists and deletes recordings; `start` and `end` belong on the event loop, the rest may run in a thread."""

    def __init__(
        self, folder: Path, hub: Hub, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._folder = folder
        self._hub = hub
        self._now = now
        self._running: dict[str, _Running] = {}

    async def start(self, link: str, *, by: str, lasts: timedelta) -> KeptRecording:
        """Record a link from now on, until `end`, for so long, or until the file is full.

        Raises:
            AlreadyRecording: somebody does so already.
            TooManyRecordings: the folder is full, or too many links are recorded at once.

        """
        if any(running.link == link for running in self._running.values()):
            raise AlreadyRecording(
                f"The link {link} is being recorded already.", hint="End that recording first."
            )
        if len(self._running) >= AT_ONCE:
            raise TooManyRecordings(f"{AT_ONCE} links are being recorded.", hint="End one of them first.")
        began = self._now()
        name = f"{_ODD.sub('_', link)[:40]}-{began:%Y%m%dT%H%M%S%f}"
        running = _Running(name, link, began + min(lasts, LONGEST), asyncio.Event(), asyncio.Event())
        self._running[name] = running
        try:
            file = await asyncio.to_thread(self._open, name, link, by, began)
        except BaseException:
            del self._running[name]
            raise
        running.task = asyncio.create_task(self._record(running, file), name=f"recording {name}")
        running.task.add_done_callback(lambda _: self._running.pop(name, None))
        await running.listening.wait()
        return await asyncio.to_thread(self.get, name)

    async def end(self, name: str) -> KeptRecording:
        """End a recording now; nothing happens where it has ended."""
        if (running := self._running.get(name)) is not None:
            running.ended.set()
            if running.task is not None:
                await asyncio.wait([running.task])
        return await asyncio.to_thread(self.get, name)

    async def close(self) -> None:
        """End every recording."""
        for name in list(self._running):
            await self.end(name)

    def all(self) -> list[KeptRecording]:
        """Every recording, the newest first."""
        found = [kept for path in self._folder.glob(f"*{SUFFIX}") if (kept := self._kept(path))]
        return sorted(found, key=lambda kept: kept.began_at, reverse=True)

    def get(self, name: str) -> KeptRecording:
        """One recording; UnknownRecording where there is none."""
        found = self._kept(self._folder / f"{name}{SUFFIX}") if re.fullmatch(NAME, name) else None
        if found is None:
            raise UnknownRecording(f"There is no recording {name}.")
        return found

    def content(self, name: str) -> Iterator[bytes]:
        """The file as it is now, in pieces; what is added meanwhile may be in it."""
        self.get(name)
        with (self._folder / f"{name}{SUFFIX}").open("rb") as file:
            while piece := file.read(1 << 16):
                yield piece

    async def delete(self, name: str) -> None:
        """Delete a recording, ending it first."""
        await self.end(name)
        await asyncio.to_thread((self._folder / f"{name}{SUFFIX}").unlink, missing_ok=True)

    async def _record(self, running: _Running, file: IO[str]) -> None:
        try:
            async with self._hub.subscribe("traffic") as news:
                running.listening.set()
                while not running.ended.is_set() and self._now() < running.until and file.tell() < LARGEST:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(running.ended.wait(), _EVERY)
                    await asyncio.to_thread(_write, file, running.link, news)
        except OSError as error:
            log.warning(
                "a recording ended early: its file could not be written",
                recording=running.name,
                error=str(error),
            )
        finally:
            file.close()

    def _open(self, name: str, link: str, by: str, began: datetime) -> IO[str]:
        self._folder.mkdir(parents=True, exist_ok=True)
        if sum(1 for _ in self._folder.glob(f"*{SUFFIX}")) >= MOST:
            raise TooManyRecordings(
                f"{MOST} recordings are kept already.", hint="Delete what nobody needs any more."
            )
        file = (self._folder / f"{name}{SUFFIX}").open("x", encoding="utf-8")
        file.write(head_line(link, began, by=by))
        file.flush()
        return file

    def _kept(self, path: Path) -> KeptRecording | None:
        """What a file says of itself; None where it is no recording, or is gone."""
        try:
            size = path.stat().st_size
            with path.open(encoding="utf-8") as file:
                head = json.loads(file.readline(10_000))
            link, began_at, by = head["link"], datetime.fromisoformat(head["began_at"]), head.get("by", "")
        except (OSError, ValueError, KeyError, TypeError):
            return None
        running = self._running.get(path.stem)
        return KeptRecording(
            name=path.stem, link=link, began_at=began_at, by=by, size=size, running=running is not None,
            until=running.until if running else None,
        )  # fmt: skip


def _write(file: IO[str], link: str, news: Subscription) -> None:
    chunks: list[Traffic] = [message.body for message in news.drain() if message.body.link == link]
    file.writelines(map(chunk_line, chunks))
    file.flush()
