"""Peers that misbehave, and an exchange that is no DL/T 645, so that the bus is seen to know none."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from wattkeeper.links import Bus, LinkUrl, Timing

HASTE = Timing(reply_timeout=0.15, byte_gap=0.08, quiet=0.01, longest_reply=0.6, attempts=2)


class Question:
    """Asks "name?" and takes "name=value." for an answer; "name=!." is a refusal."""

    def __init__(self, name: str, *, follow_ups: tuple[str, ...] = ()) -> None:
        self.request: bytes | None = f"{name}?".encode()
        self.subject = f"question {name}"
        self.answers: list[str] = []
        self._follow_ups = list(follow_ups)
        self._buffer = b""

    def feed(self, chunk: bytes) -> bool:
        self._buffer += chunk
        while b"." in self._buffer:
            answer, _, self._buffer = self._buffer.partition(b".")
            name, _, value = answer.decode().partition("=")
            if f"{name}?".encode() == self.request:
                if value == "!":
                    self.request = None
                    raise PermissionError(f"{name} is refused")
                self.answers.append(value)
                self.request = f"{self._follow_ups.pop(0)}?".encode() if self._follow_ups else None
                return True
        return False

    def restart(self) -> None:
        self._buffer = b""


class Announcement:
    """Something nobody answers."""

    expects_reply = False
    subject = "everybody"
    request: bytes | None = b"hear all."

    def feed(self, chunk: bytes) -> bool:
        raise AssertionError(f"a broadcast was answered: {chunk!r}")

    def restart(self) -> None:
        """Nothing to forget."""


class Peer:
    """A TCP server that does what it is told with every request."""

    def __init__(self, behave: "Behaviour") -> None:
        self.behave = behave
        self.requests: list[bytes] = []
        self.writers: list[asyncio.StreamWriter] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.url = ""

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"tcp://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        self.drop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    def drop(self) -> None:
        for writer in self.writers:
            writer.transport.abort()
        self.writers.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        try:
            while request := await reader.read(1000):
                self.requests.append(request)
                task = asyncio.ensure_future(self.behave(self, request, writer))
                self._tasks.add(task)
        except ConnectionError:
            pass
        finally:
            writer.close()


Behaviour = Callable[[Peer, bytes, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture
async def connect() -> AsyncIterator[Callable[..., Awaitable[tuple[Bus, Peer]]]]:
    """Start a peer with a behaviour, and a bus to it that is in a hurry."""
    started: list[tuple[Bus, Peer]] = []

    async def start(behave: Behaviour, *, timing: Timing = HASTE) -> tuple[Bus, Peer]:
        peer = Peer(behave)
        await peer.start()
        bus = Bus("test", LinkUrl.parse(peer.url), timing=timing)
        started.append((bus, peer))
        return bus, peer

    yield start
    for bus, peer in started:
        await bus.close()
        await peer.stop()


@pytest.fixture
def question() -> type[Question]:
    return Question


@pytest.fixture
def announcement() -> Announcement:
    return Announcement()


@pytest.fixture
def haste() -> Timing:
    return HASTE
