"""Listening to a line without sending: every frame that passes, and what it says in a line."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from datetime import UTC, datetime

from wattkeeper.collection.drivers.dlt645 import quantity_of
from wattkeeper.collection.heard import Ear, HeardFrame
from wattkeeper.links.bus import Bus
from wattkeeper.links.errors import LinkUnavailable
from wattkeeper.links.timing import BYTE_GAP_MAX
from wattkeeper.links.traffic import Traffic
from wattkeeper.links.url import LinkUrl
from wattkeeper.protocols.dlt645.explain import explain
from wattkeeper.protocols.dlt645.frames import Frame
from wattkeeper.protocols.modbus.explain import explain as explain_modbus

_LOOK_AFTER_LINK = 0.5


async def monitor(url: str, *, tap: Callable[[Traffic], None] | None = None) -> AsyncIterator[HeardFrame]:
    """Listen to a link, frame by frame, until the caller stops; a link that breaks is opened again.

    `tap` gets every chunk of bytes besides, as it passes. Raises BadLinkUrl, or LinkUnavailable when the link cannot be
    opened at first.
    """
    bus = Bus("monitor", LinkUrl.parse(url))
    chunks: asyncio.Queue[Traffic] = asyncio.Queue()
    bus.add_tap(chunks.put_nowait)
    if tap is not None:
        bus.add_tap(tap)
    ear = Ear()
    try:
        await bus.open()
        while True:
            try:
                chunk = await asyncio.wait_for(chunks.get(), BYTE_GAP_MAX)
            except TimeoutError:
                for heard in ear.silence(datetime.now(UTC)):
                    yield heard
                await _keep_open(bus)
                continue
            for heard in ear.take(chunk):
                yield heard
    finally:
        await bus.close()


async def _keep_open(bus: Bus) -> None:
    if bus.state.connected:
        return
    try:
        await bus.open()
    except LinkUnavailable as error:
        await asyncio.sleep(max(error.retry_in, _LOOK_AFTER_LINK))


def heard_again(chunks: Iterable[Traffic]) -> Iterator[HeardFrame]:
    """The frames of a recording, as they were heard."""
    ear = Ear()
    for chunk in chunks:
        yield from ear.take(chunk)
    yield from ear.end()


def summary_of(heard: HeardFrame) -> str:
    """A heard frame in one line."""
    if not heard.valid:
        return f"broken: {heard.reason}"
    if heard.protocol == "modbus":
        return explain_modbus(heard.raw).summary
    return summary(Frame.decode(heard.raw))


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
