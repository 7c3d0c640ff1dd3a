"""The one event stream of a browser: what its open pages want, in batches, until the server closes."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final, TypeVar

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse

from wattkeeper.collection.commands.values import CommandNews
from wattkeeper.collection.heard import Ear, HeardFrame
from wattkeeper.collection.values import LinkStatus, LiveReading, MeterState
from wattkeeper.kernel.hub import Hub
from wattkeeper.links.bus import utc_now
from wattkeeper.links.traffic import Traffic
from wattkeeper.monitoring.models import SubjectKind
from wattkeeper.monitoring.values import FindingNews, FindingView, OpenCounts
from wattkeeper.monitoring.words import sentence_of
from wattkeeper.registry.scope import NOTHING
from wattkeeper.security.rights import Right
from wattkeeper.web.access import needs, principal_of, still_welcome
from wattkeeper.web.language import Language
from wattkeeper.web.pages import language_of, services_of
from wattkeeper.web.queries import within
from wattkeeper.web.queries.alarms import LEVELS, badge_of
from wattkeeper.web.queries.frames import summary_of
from wattkeeper.web.queries.states import link_news, meter_shown
from wattkeeper.web.services import Services

BATCH: Final = timedelta(milliseconds=250)
ROWS: Final = 200
"""Frames a batch carries at most; the monitor keeps no more rows than this."""
KEEP_ALIVE_BATCHES: Final = 60
"""Batches without news before a comment keeps proxies from closing the stream."""
TOPICS_MAX: Final = 50
ALARMS_TOLD: Final = 3
"""Alarms raised in one batch that are told one by one; the count tells of the rest."""
WELCOME_BATCHES: Final = 40
"""Batches after which it is looked whether the listener is still signed in: every ten seconds."""
ALARMS: Final = "alarms"
COMMANDS: Final = "commands"
T = TypeVar("T")

router = APIRouter(include_in_schema=False, dependencies=[needs()])


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


@dataclass(frozen=True)
class Sight:
    """What of the live traffic somebody may see; None: all."""

    meters: frozenset[int] | None = None
    links: frozenset[str] | None = None
    watched: frozenset[str] | None = None
    """Links whose frames may be shown: those that carry no meter out of sight."""

    @classmethod
    def of(cls, services: Services) -> "Sight":
        """The sight of whoever asks; looked up when a stream begins."""
        return cls(within.meter_ids(services), within.link_codes(services), within.watchable_links(services))


@dataclass
class Batch:
    """What has happened since the last event was sent, as one browser wants to see it."""

    wants: frozenset[str]
    say: Language
    sight: Sight = Sight()
    ears: dict[str, Ear] = field(default_factory=dict)
    """What listens to each link, from batch to batch: a frame may come in pieces."""
    readings: int = 0
    texts: dict[str, str] = field(default_factory=dict)
    values: dict[tuple[int, str], LiveReading] = field(default_factory=dict)
    frames: list[HeardFrame] = field(default_factory=list)
    skipped: int = 0
    links: dict[str, dict[str, str]] = field(default_factory=dict)
    meters: dict[int, dict[str, str]] = field(default_factory=dict)
    alarms: list[FindingNews] = field(default_factory=list)
    open_alarms: OpenCounts = field(default_factory=OpenCounts)
    commands: int = 0
    """Steps that commands took."""

    def take(self, message: Any) -> None:
        """One message of the hub."""
        match message:
            case Traffic():
                self._frame(message)
            case LinkStatus() if _in(message.code, self.sight.links):
                self.links[message.code] = link_news(message, self.say)
            case MeterState() if f"meter:{message.meter_id}" in self.wants and _in(
                message.meter_id, self.sight.meters
            ):
                shown = meter_shown(message, enabled=True, say=self.say)
                self.meters[message.meter_id] = {"state": shown.level, "text": shown.text}
            case FindingNews() if _sees(self.sight, message.finding):
                self.alarms.append(message)
            case CommandNews() if _in(message.meter_id, self.sight.meters):
                self.commands += 1
            case list():
                mine = [item for item in message if _in(item.meter_id, self.sight.meters)]
                self.readings += len(mine)
                self._values(mine)

    def _values(self, readings: Iterable[LiveReading]) -> None:
        for reading in readings:
            if f"meter:{reading.meter_id}" in self.wants:
                self.values[reading.meter_id, reading.quantity] = reading

    def _frame(self, traffic: Traffic) -> None:
        if "traffic:" not in self.wants and f"traffic:{traffic.link}" not in self.wants:
            return
        if not _in(traffic.link, self.sight.watched):
            return
        self._heard(self.ears.setdefault(traffic.link, Ear()).take(traffic))

    def silence(self, now: datetime) -> None:
        """The batch is over: what began long ago and did not go on is shown as it is."""
        for ear in self.ears.values():
            self._heard(ear.silence(now))

    def _heard(self, frames: Sequence[HeardFrame]) -> None:
        room = ROWS - len(self.frames)
        self.frames += frames[:room]
        self.skipped += max(0, len(frames) - room)

    def events(self) -> Iterable[str]:
        """The batch as server-sent events."""
        if self.values:
            yield _event("readings", [self._value(reading) for reading in self.values.values()])
        if self.meters:
            yield _event("meters", self.meters)
        if self.frames:
            frames = [summary_of(heard, self.say) for heard in self.frames]
            yield _event("traffic", {"frames": frames, "skipped": self.skipped})
        if self.alarms:
            yield _event("alarms", self._alarms())
        if self.commands:
            yield _event("commands", {"steps": self.commands})
        if "tick" in self.wants and (self.texts or self.links):
            yield _event("tick", {"texts": self.texts, "links": self.links})

    def _alarms(self) -> dict[str, Any]:
        """The badge of the navigation, and what was raised just now, the newest last."""
        badge, counts = badge_of(self.open_alarms), self.open_alarms
        raised = [news.finding for news in self.alarms if news.change == "raised"]
        return {
            "count": badge.count,
            "text": self.say.number(badge.count),
            "state": badge.level,
            "open": {"critical": counts.critical, "warning": counts.warning, "info": counts.info},
            "raised": [
                {
                    "href": f"/alarms/{finding.id}",
                    "text": sentence_of(finding, self.say.code),
                    "state": LEVELS[finding.severity],
                }
                for finding in raised[-ALARMS_TOLD:]
            ],
        }

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


def _sees(sight: Sight, finding: FindingView) -> bool:
    if finding.subject_kind is SubjectKind.METER:
        return _in(finding.subject_id, sight.meters)
    return _in(finding.subject_name, sight.links)


def _in(key: T, seen: frozenset[T] | None) -> bool:
    return seen is None or key in seen


def _plain(value: Decimal) -> str:
    return f"{value:f}"


def _event(name: str, content: Any) -> str:
    return f"event: {name}\ndata: {json.dumps(content, ensure_ascii=False, separators=(',', ':'))}\n\n"


async def _stream(
    services: Services,
    streams: LiveStreams,
    wants: frozenset[str],
    say: Language,
    welcome: Callable[[], Awaitable[bool]],
) -> AsyncIterator[str]:
    hub: Hub = services.hub
    topics = ["reading", "link", "meter"] + (
        ["traffic"] if any(want.startswith("traffic:") for want in wants) else []
    )
    topics += ["finding"] if ALARMS in wants else []
    topics += ["command"] if COMMANDS in wants else []
    sight = await run_in_threadpool(Sight.of, services)
    total, quiet, batches = 0, 0, 0
    ears: dict[str, Ear] = {}
    yield "retry: 2000\n: connected\n\n"
    async with hub.subscribe(*topics) as queue:
        while await streams.pause():
            batches += 1
            if batches % WELCOME_BATCHES == 0 and not await welcome():
                return  # signed out, disabled or expired meanwhile
            batch = Batch(wants, say, sight, ears)
            for message in queue.drain():
                batch.take(message.body)
            batch.silence(utc_now())
            total += batch.readings
            if batch.readings:
                batch.texts = {"readings": say.number(total), "clock": say.time(services.clock())}
            if batch.alarms:
                batch.open_alarms = await run_in_threadpool(services.monitoring.counts, services.scope)
            parts = "".join(batch.events())
            quiet = 0 if parts else quiet + 1
            if parts or quiet % KEEP_ALIVE_BATCHES == 0:
                yield parts or ": quiet\n\n"
    yield "event: bye\ndata: {}\n\n"


@router.get("/events")
async def events(request: Request, topics: str = "tick") -> StreamingResponse:
    """Server-sent events of the wanted topics: `tick`, `alarms`, `commands`, `meter:<id>`, `traffic:<link code>`, `traffic:` for every link."""
    wants = frozenset(topics.split(",")[:TOPICS_MAX])
    say = await run_in_threadpool(language_of, request)
    services, principal = services_of(request), principal_of(request)
    if not principal.may(
        Right.METERS_VIEW
    ):  # a customer, whose page keeps the stream of the console's frame open
        services = replace(services, scope=NOTHING)
    if not principal.may(Right.LINKS_VIEW):
        wants = frozenset(want for want in wants if not want.startswith("traffic:"))
    if not principal.may(Right.ALARMS_VIEW):
        wants -= {ALARMS}
    if not principal.may(Right.COMMANDS_VIEW):
        wants -= {COMMANDS}
    stream = _stream(services, request.app.state.live, wants, say, lambda: still_welcome(request))
    return StreamingResponse(stream, media_type="text/event-stream", headers={"x-accel-buffering": "no"})
