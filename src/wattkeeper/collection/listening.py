"""Listening to a line without sending: every frame that passes, in words."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime

from wattkeeper.collection.drivers.dlt645 import quantity_of
from wattkeeper.links.bus import Bus
from wattkeeper.links.errors import LinkUnavailable
from wattkeeper.links.timing import BYTE_GAP_MAX
from wattkeeper.links.traffic import Traffic
from wattkeeper.links.url import LinkUrl
from wattkeeper.protocols.dlt645.explain import explain
from wattkeeper.protocols.dlt645.frames import BrokenFrame, Frame, FrameReader

_LOOK_AFTER_LINK = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class HeardFrame:
    """Traffic heard on a link: one frame, or bytes that began like one."""

    at: datetime
    """When its last byte came (aware UTC)."""
    raw: bytes
    """From the first 68H to the last byte, without preamble."""
    valid: bool
    summary: str
    """One line for people."""


async def monitor(url: str) -> AsyncIterator[HeardFrame]:
    """Listen to a link, frame by frame, until the caller stops; a link that breaks is opened again.

    Raises BadLinkUrl, or LinkUnavailable when the link cannot be opened at first.
    """
    bus = Bus("monitor", LinkUrl.parse(url))
    chunks: asyncio.Queue[Traffic] = asyncio.Queue()
    bus.add_tap(chunks.put_nowait)
    reader = FrameReader()
    try:
        await bus.open()
        while True:
            try:
                chunk = await asyncio.wait_for(chunks.get(), BYTE_GAP_MAX)
            except TimeoutError:
                for event in reader.flush():  # bytes of one frame are never further apart (§5.2.7)
                    yield _heard(event, datetime.now(UTC))
                await _keep_open(bus)
                continue
            for event in reader.feed(chunk.data):
                yield _heard(event, chunk.at)
    finally:
        await bus.close()


async def _keep_open(bus: Bus) -> None:
    if bus.state.connected:
        return
    try:
        await bus.open()
    except LinkUnavailable as error:
        await asyncio.sleep(max(error.retry_in, _LOOK_AFTER_LINK))


def _heard(event: Frame | BrokenFrame, at: datetime) -> HeardFrame:
    if isinstance(event, BrokenFrame):
        return HeardFrame(at=at, raw=event.raw, valid=False, summary=f"broken: {event.reason}")
    return HeardFrame(at=at, raw=event.encode(0), valid=True, summary=summary(event))


def summary(frame: Frame) -> str:
    """A frame in one line.

    >>> summary(Frame.decode(bytes.fromhex("6861010000000068910833333433593333338A16")))
    '000000000161 answers 91 read 00010000: active_energy_import 0.26 kWh'
    """
    explanation = explain(frame.encode(0))
    told = explanation.as_json(quantity_of=quantity_of)
    who = "answers" if frame.from_meter else "is asked"
    head = f"{frame.address} {who} {frame.control:02X} {(explanation.function or '').replace('_', ' ')} {told.get('identifier', '')}"
    said = [
        f"{value['quantity']} {value['value']} {value['unit']}".rstrip() for value in told.get("values", ())
    ]
    if "meter_error" in told:
        said.append(f"refused: {told['meter_error']['message']}")
    if "value_error" in told:
        said.append(told["value_error"])
    more = ", more follows" if frame.has_more else ""
    return head.rstrip() + more + (f": {', '.join(said)}" if said else "")
