"""The far side of a line, played from a recording: what answered then answers now, so that a recording is a test.

    recording = parse(Path("odd-meter.jsonl").open())
    async with RecordedGateway(recording) as gateway:
        ...  # read what was read then, over tcp://127.0.0.1:{gateway.port}
    assert gateway.unknown == []

A request is known by its bytes. Where it was sent several times, its answers come in the order in which they came; the
last one stands for every time after. What was never asked in the recording is not answered, and noted.
"""

import asyncio
from collections import defaultdict
from types import TracebackType
from typing import Final, NamedTuple, Self

from wattkeeper.links.recording import Recording

LOCAL: Final = "127.0.0.1"


class Answer(NamedTuple):
    """Bytes that came after a request."""

    after: float
    """Since the request was sent. [s]"""
    octets: bytes


class RecordedLine:
    """Requests of a recording and what answered each of them."""

    def __init__(self, recording: Recording) -> None:
        self._answers: defaultdict[bytes, list[list[Answer]]] = defaultdict(list)
        self._asked: defaultdict[bytes, int] = defaultdict(int)
        self.unknown: list[bytes] = []
        """What was sent and stands in no recording."""
        self._buffer = b""
        heard: list[Answer] | None = None
        sent_at = recording.began_at
        for chunk in recording.chunks:
            if chunk.direction == "tx":
                heard, sent_at = [], chunk.at
                self._answers[chunk.data].append(heard)
            elif heard is not None and chunk.note != "echo":
                heard.append(Answer((chunk.at - sent_at).total_seconds(), chunk.data))

    def received(self, data: bytes) -> list[Answer]:
        """What answers the requests that these bytes complete, however they are cut."""
        self._buffer += data
        answers: list[Answer] = []
        while self._buffer:
            request = next((known for known in self._answers if self._buffer.startswith(known)), None)
            if request is None:
                if not any(known.startswith(self._buffer) for known in self._answers):
                    self.unknown.append(self._buffer)
                    self._buffer = b""
                break
            self._buffer = self._buffer[len(request) :]
            times = self._answers[request]
            answers += times[min(self._asked[request], len(times) - 1)]
            self._asked[request] += 1
        return answers


class RecordedGateway:
    """A TCP gateway behind which a recording answers.

    Args:
        recording: what passed once.
        host: where to listen.
        port: 0 for any that is free.
        pace: how fast, as a share of the recorded times: 1 as it was, 0 at once.

    """

    def __init__(self, recording: Recording, *, host: str = LOCAL, port: int = 0, pace: float = 0.0) -> None:
        self._line = RecordedLine(recording)
        self._host, self._port, self._pace = host, port, pace
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def port(self) -> int:
        """Where it listens."""
        if self._server is None:
            return self._port
        number: int = self._server.sockets[0].getsockname()[1]
        return number

    @property
    def unknown(self) -> list[bytes]:
        """What was sent and stands in no recording."""
        return self._line.unknown

    async def __aenter__(self) -> Self:
        """Begin to listen."""
        self._server = await asyncio.start_server(self._serve, self._host, self._port)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close what is open."""
        assert self._server is not None
        self._server.close()
        for writer in list(self._writers):
            writer.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while data := await reader.read(4096):
                passed = 0.0
                for answer in self._line.received(data):
                    due = answer.after * self._pace
                    await asyncio.sleep(max(0.0, due - passed))
                    passed = max(passed, due)
                    writer.write(answer.octets)
                    await writer.drain()
        except ConnectionError:
            return
        finally:
            self._writers.discard(writer)
            writer.close()
