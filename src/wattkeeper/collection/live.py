"""Reads that a person waits for: the queue of one link, worked off before everything but commands."""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from wattkeeper.collection.counts import Failure
from wattkeeper.collection.errors import CollectorStopped, ReadFailed, UnknownMeter
from wattkeeper.collection.meters import KnownMeter
from wattkeeper.collection.reader import Reader, Records
from wattkeeper.collection.values import LiveReading, Presence


@dataclass(slots=True)
class _LiveRead:
    """Somebody waits for these quantities."""

    meter_id: int
    quantities: Sequence[str]
    answer: asyncio.Future[list[LiveReading]]


@dataclass(slots=True)
class LiveReads:
    """Who waits for what on one link."""

    reader: Reader
    code: str
    """The link's."""
    records: Records
    _waiting: deque[_LiveRead] = field(default_factory=deque)
    _refusing: bool = False

    def __len__(self) -> int:
        return len(self._waiting)

    def ask(self, meter_id: int, quantities: Sequence[str]) -> asyncio.Future[list[LiveReading]]:
        """Stand in line."""
        answer: asyncio.Future[list[LiveReading]] = asyncio.get_running_loop().create_future()
        self._waiting.append(_LiveRead(meter_id, quantities, answer))
        return answer

    def refuse(self) -> None:
        """The link is closed: tell everyone who waits."""
        self._refusing = True
        while self._waiting:
            live = self._waiting.popleft()
            if not live.answer.done():
                live.answer.set_exception(
                    CollectorStopped(f"The link {self.code} was closed before the meter was read.")
                )

    async def serve(self, meters: Mapping[int, KnownMeter]) -> bool:
        """Read for everyone who waits; True when somebody did."""
        served = False
        while self._waiting and not self._refusing:
            served = True
            live = self._waiting.popleft()
            if live.answer.done():  # the person has left
                continue
            try:
                readings = await self._read(live, meters)
            except Exception as error:  # noqa: BLE001 - it belongs to the one who waits
                if not live.answer.done():
                    live.answer.set_exception(error)
            else:
                if not live.answer.done():
                    live.answer.set_result(readings)
        return served

    async def _read(self, live: _LiveRead, meters: Mapping[int, KnownMeter]) -> list[LiveReading]:
        known = meters.get(live.meter_id)
        if known is None:
            raise UnknownMeter(f"Meter {live.meter_id} is no longer read on the link {self.code}.")
        if known.is_to_be_met(self.records.now()):
            met = await self.reader.meet(known)
            if met.failure is not None:
                raise ReadFailed(f"Meter {known.meter.address} on {self.code} was not read. {met.why}")
        readings: list[LiveReading] = []
        failures: list[str] = []
        waiting = deque(known.plan(live.quantities, self.records.now(), options=self.records.options))
        while waiting:
            request = waiting.popleft()
            silent = known.health.presence is Presence.SILENT
            result = await self.reader.ask(known, request, attempts=1 if silent else None)
            readings += result.readings
            if result.failure is Failure.UNSUPPORTED:
                waiting.extendleft(reversed(request.parts))
            if result.failure is not None:
                failures.append(result.why)
            if result.silent or result.failure is Failure.LINK_DOWN:
                break
        if not readings:
            why = failures[0] if failures else "It has none of these quantities."
            raise ReadFailed(f"Meter {known.meter.address} on {self.code} was not read. {why}")
        return readings
