"""The one event stream of a browser: what its open pages want, in batches, until the server closes."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse

from wattkeeper.collection.values import LinkStatus, LiveReading, MeterState
from wattkeeper.kernel.hub import Hub
from wattkeeper.links.traffic import Traffic
from wattkeeper.web.language import Language
from wattkeeper.web.pages import language_of, services_of
from wattkeeper.web.queries.frames import summary_of
from wattkeeper.web.queries.states import link_news, meter_shown
from wattkeeper.web.services import Services

BATCH: Final = timedelta(milliseconds=250)
ROWS: Final = 200
"""Frames a batch carries at most; the monitor keeps no more rows than this."""
KEEP_ALIVE_BATCHES: Final = 60
"""Batches without news before a comment keeps proxies from closing the stream."""
TOPICS_MAX: Final = 50

router = APIRouter(include_in_schema=False)


class LiveStreams:
    """Every open stream, so that a closing server ends them at once."""

    def __init__(self) -> None:
        self._closing = asyncio.Event()

    def close(self) -> None:
        """End every stream; call on the event loop."""
        self._closing.set()

    async def pause(self) -> bool:
        """Wait for one batch; False when the server closes."""
        try:
            await asyncio.wait_for(self._closing.wait(), BATCH.total_seconds())
        except TimeoutError:
            return True
        return False


@dataclass
class Batch:
    """What has happened since the last event was sent, as one browser wants to see it."""

    wants: frozenset[str]
    say: Language
    readings: int = 0
    texts: dict[str, str] = field(default_factory=dict)
    values: dict[tuple[int, str], LiveReading] = field(default_factory=dict)
    frames: list[Traffic] = field(default_factory=list)
    skipped: int = 0
    links: dict[str, dict[str, str]] = field(default_factory=dict)
    meters: dict[int, dict[str, str]] = field(default_factory=dict)

    def take(self, message: Any) -> None:
        """One message of the hub."""
        match message:
            case Traffic():
                self._frame(message)
            case LinkStatus():
                self.links[message.code] = link_news(message, self.say)
            case MeterState() if f"meter:{message.meter_id}" in self.wants:
                shown = meter_shown(message, enabled=True, say=self.say)
                self.meters[message.meter_id] = {"state": shown.level, "text": shown.text}
            case list():
                self.readings += len(message)
                self._values(message)

    def _values(self, readings: Iterable[LiveReading]) -> None:
        for reading in readings:
            if f"meter:{reading.meter_id}" in self.wants:
                self.values[reading.meter_id, reading.quantity] = reading

    def _frame(self, traffic: Traffic) -> None:
        if "traffic:" not in self.wants and f"traffic:{traffic.link}" not in self.wants:
            return
        if len(self.frames) < ROWS:
            self.frames.append(traffic)
        else:
            self.skipped += 1

    def events(self) -> Iterable[str]:
        """The batch as server-sent events."""
        if self.values:
            yield _event("readings", [self._value(reading) for reading in self.values.values()])
        if self.meters:
            yield _event("meters", self.meters)
        if self.frames:
            frames = [summary_of(traffic, self.say) for traffic in self.frames]
            yield _event("traffic", {"frames": frames, "skipped": self.skipped})
        if "tick" in self.wants and (self.texts or self.links):
            yield _event("tick", {"texts": self.texts, "links": self.links})

    def _value(self, reading: LiveReading) -> dict[str, Any]:
        text = self.say.reading(reading.value, reading.quantity)
        at = reading.read_at.isoformat()
        return {
            "meter": reading.meter_id,
            "quantity": reading.quantity,
            "text": text,
            "at": at,
            "value": _plain(reading.value),
        }


def _plain(value: Decimal) -> str:
    return f"{value:f}"


def _event(name: str, content: Any) -> str:
    return f"event: {name}\ndata: {json.dumps(content, ensure_ascii=False, separators=(',', ':'))}\n\n"


async def _stream(
    services: Services, streams: LiveStreams, wants: frozenset[str], say: Language
) -> AsyncIterator[str]:
    hub: Hub = services.hub
    topics = ["reading", "link", "meter"] + (
        ["traffic"] if any(want.startswith("traffic:") for want in wants) else []
    )
    total, quiet = 0, 0
    yield "retry: 2000\n: connected\n\n"
    async with hub.subscribe(*topics) as queue:
        while await streams.pause():
            batch = Batch(wants, say)
            for message in queue.drain():
                batch.take(message.body)
            total += batch.readings
            if batch.readings:
                batch.texts = {"readings": say.number(total), "clock": say.time(services.clock())}
            parts = "".join(batch.events())
            quiet = 0 if parts else quiet + 1
            if parts or quiet % KEEP_ALIVE_BATCHES == 0:
                yield parts or ": quiet\n\n"
    yield "event: bye\ndata: {}\n\n"


@router.get("/events")
async def events(request: Request, topics: str = "tick") -> StreamingResponse:
    """Server-sent events of the wanted topics: `tick`, `meter:<id>`, `traffic:<link code>`, `traffic:` for every link."""
    wants = frozenset(topics.split(",")[:TOPICS_MAX])
    say = await run_in_threadpool(language_of, request)
    stream = _stream(services_of(request), request.app.state.live, wants, say)
    return StreamingResponse(stream, media_type="text/event-stream", headers={"x-accel-buffering": "no"})
