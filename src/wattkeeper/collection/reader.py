"""One request to one meter over one bus: sent, judged, counted, traced, and turned into readings."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from wattkeeper.collection.counts import NO_METER, Failure, ReadStatistics
from wattkeeper.collection.drivers.base import CLOCK, Driver, Measured, Request
from wattkeeper.collection.meters import KnownMeter
from wattkeeper.collection.turns import Turnstile
from wattkeeper.collection.values import CollectorOptions, LiveReading
from wattkeeper.collection.writer import POLLED, STAMPED, ExchangeRow, ReadingRow, ReadingWriter
from wattkeeper.kernel.hub import Hub
from wattkeeper.links.bus import Bus
from wattkeeper.links.errors import LinkLost, LinkUnavailable, NoReply
from wattkeeper.links.traffic import Traffic
from wattkeeper.readings.quantities import quantity
from wattkeeper.readings.schemas import ReadingStatus, new_exchange_id

_JAM = 3
"""Noise for so many times as long as an answer may take is no answer that came damaged."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a request."""

    failure: Failure | None = None
    why: str = ""
    """The sentence for a person, where it failed."""
    silent: bool = False
    """The request ran into its time-out: asking this meter for more would cost as much again."""
    jammed: bool = False
    """Noise went on long after the time for an answer was over, and held the line."""
    measured: tuple[Measured, ...] = ()
    readings: tuple[LiveReading, ...] = ()
    """The same for live pages, where the request was to be announced."""
    exchange_id: int | None = None
    """The stored frames; None: nothing could be sent."""
    error: Exception | None = None
    """What the exchange raised, where it failed."""

    @property
    def newest(self) -> datetime | None:
        """The newest of the meter's own stamps, where the values carry such (aware UTC)."""
        return max(
            (value.stamped_at for value in self.measured if value.stamped_at is not None), default=None
        )


@dataclass(slots=True)
class Wire:
    """What passed on the bus during one request; the bus shows it through a tap."""

    attempts: int = 0
    """1 and one more for each repetition; follow-up requests are none. 0: nothing could be sent."""
    sent: bytes = b""
    received: bytes = b""
    _last: bytes = b""

    def begin(self) -> None:
        """Forget the request before."""
        self.attempts, self.sent, self.received, self._last = 0, b"", b"", b""

    def see(self, traffic: Traffic) -> None:
        """Take a chunk."""
        if traffic.direction == "rx":
            self.received += traffic.data if traffic.note is None else b""
            return
        if not self.attempts or traffic.data == self._last:
            self.attempts += 1
        self.sent += traffic.data
        self._last = traffic.data


@dataclass(slots=True)
class Records:
    """Where a reader leaves what it found out."""

    now: Callable[[], datetime]
    writer: ReadingWriter
    statistics: ReadStatistics
    hub: Hub
    options: CollectorOptions
    clocks: dict[int, tuple[timedelta, datetime]] = field(default_factory=dict)
    """Clock deviations not yet written down, by meter."""
    refusals: list[tuple[int, str, datetime]] = field(default_factory=list)
    """Refused requests not yet written down."""
    quarantines: dict[int, datetime | None] = field(default_factory=dict)
    """Until when meters are left alone, or None where that is over, not yet written down."""
    editions: dict[int, str] = field(default_factory=dict)
    """Which editions meters were found to speak, not yet written down."""
    turns: Turnstile = field(default_factory=Turnstile)
    """All links of the process pass it with each answer."""


class Reader:
    """Runs requests on one bus, one at a time."""

    def __init__(self, bus: Bus, *, link_id: int, records: Records) -> None:
        self.bus = bus
        self.link_id = link_id
        self._records = records
        self._wire = Wire()
        self._forget_tap = bus.add_tap(self._tap)

    def close(self) -> None:
        """Stop listening to the bus."""
        self._forget_tap()

    async def ask(
        self,
        known: KnownMeter,
        request: Request,
        *,
        attempts: int | None = None,
        repeated: bool = False,
        last: bool = True,
        present: bool = False,
        announce: bool = True,
    ) -> Result:
        """Send one request and file whatever comes of it; never raises for what a meter or a link does.

        Args:
            known: the meter.
            request: what to ask.
            attempts: how often to send it before giving up; None: as often as the bus does by itself.
            repeated: earlier attempts of this read have failed already (for the statistics).
            last: silence now is the end of this read (for the statistics).
            present: the meter has answered just now, so that silence says something about this request only.
            announce: whether the values are news for live pages; the past is not.

        """
        records = self._records
        began = records.now()
        self._wire.begin()
        error = await self._converse(request, driver=known.driver, attempts=attempts)
        ended = records.now()  # of the answer, however long what follows has to wait for its turn
        await records.turns.enter()
        result = self._result(request, error, driver=known.driver, at=ended)
        exchange_id = new_exchange_id()
        if self._wire.attempts:
            result = replace(result, exchange_id=exchange_id)
            rows = _rows(known, result.measured, read_at=ended, exchange_id=exchange_id)
            records.writer.add(
                self._trace(exchange_id, known, request, result, began=began, ended=ended), rows
            )
        self._count(known, request, result, began=began, at=ended, repeated=repeated, last=last)
        self._judge(known, request, result, at=ended, present=present)
        if not (announce and result.measured):
            return result
        readings = _live(known, result.measured, read_at=ended, exchange_id=exchange_id)
        records.hub.publish("reading", list(readings))
        return replace(result, readings=readings)

    async def meet(self, known: KnownMeter, *, repeated: bool = False, last: bool = True) -> Result:
        """Find out which edition of its protocol a meter speaks; what came of the question that ended it.

        A meter that is silent to all has failed to answer once, and nothing is remembered: it may just not be there.
        `repeated` and `last` as in `ask`.
        """
        assert known.undecided is not None
        result = Result()
        probes = known.undecided.probes(known.meter.address)
        for number, probe in enumerate(probes, start=1):
            final = number == len(probes)
            result = await self.ask(
                known,
                probe,
                attempts=1,
                repeated=repeated or number > 1,
                last=last and final,
                present=not final,
            )
            if probe.speaks is not None:
                known.met(probe.speaks)
                self._records.editions[known.meter.meter_id] = probe.speaks
                self._records.hub.publish("meter", known.state())
            if probe.speaks is not None or result.failure is Failure.LINK_DOWN:
                break
        return result

    async def _converse(self, request: Request, *, driver: Driver, attempts: int | None) -> Exception | None:
        """Send and wait for the answer; what went wrong on the way, or None."""
        try:
            await self.bus.run(request.exchange, attempts=attempts)
        except (LinkLost, LinkUnavailable, NoReply, driver.errors) as error:
            return error
        return None

    def _result(self, request: Request, error: Exception | None, *, driver: Driver, at: datetime) -> Result:
        """What came of a request that ended well or with this error at that moment."""
        if error is None:
            try:
                return Result(measured=tuple(request.measured(at)))
            except driver.errors as unreadable:
                error = unreadable
        if isinstance(error, (LinkLost, LinkUnavailable)):
            return Result(Failure.LINK_DOWN, str(error), error=error)
        if isinstance(error, NoReply):
            jammed = (
                bool(error.octets) and error.waited > _JAM * error.attempts * self.bus.timing.reply_timeout
            )
            failure = Failure.GARBLED if error.octets else Failure.NO_REPLY
            return Result(failure, str(error), silent=True, jammed=jammed, error=error)
        if driver.is_unsupported(error):
            return Result(Failure.UNSUPPORTED, str(error), error=error)
        refused = driver.is_refusal(error)
        return Result(Failure.REFUSED if refused else Failure.GARBLED, str(error), error=error)

    def _trace(
        self,
        exchange_id: int,
        known: KnownMeter,
        request: Request,
        result: Result,
        *,
        began: datetime,
        ended: datetime,
    ) -> ExchangeRow:
        said = [result.failure.value if result.failure else "ok", *map(str, _strays(request))]
        meter_id, wire = known.meter.meter_id, self._wire
        return ExchangeRow(
            exchange_id, self.link_id, meter_id, began, ended, wire.sent, wire.received, "; ".join(said)
        )

    def _count(
        self,
        known: KnownMeter,
        request: Request,
        result: Result,
        *,
        began: datetime,
        at: datetime,
        repeated: bool,
        last: bool,
    ) -> None:
        down = result.failure is Failure.LINK_DOWN
        self._records.statistics.count(
            at,
            link_id=self.link_id,
            meter_id=NO_METER if down else known.meter.meter_id,
            protocol=known.meter.protocol,
            attempts=self._wire.attempts,
            strays=len(_strays(request)),
            failure=result.failure,
            repeated=repeated,
            ended=last or not result.silent,  # only silence is tried again
            took=at - began,
        )

    def note_refusal(self, known: KnownMeter, key: str, *, at: datetime) -> None:
        """From now on a meter is not asked this for a while."""
        known.refused[key] = at
        self._records.refusals.append((known.meter.meter_id, key, at))
        self._records.hub.publish("meter", known.state())

    def _judge(
        self, known: KnownMeter, request: Request, result: Result, *, at: datetime, present: bool
    ) -> None:
        """What this says about the meter: present or not, what it lacks, how its clock goes."""
        records = self._records
        if result.failure is Failure.LINK_DOWN:
            return  # nobody could be asked: the meter is not to blame
        changed = self._hear(known, request, result, at=at, present=present)
        if result.failure is Failure.UNSUPPORTED:
            self.note_refusal(known, request.key, at=at)
        if CLOCK in request.quantities and not result.silent:
            known.clock_asked_at = at
        for value in result.measured:
            if value.quantity == CLOCK:
                known.clock_deviation = _EPOCH + timedelta(seconds=int(value.value)) - at
                known.clock_read_at = at
                records.clocks[known.meter.meter_id] = (known.clock_deviation, at)
                changed = True
        if changed:
            records.hub.publish("meter", known.state())

    def _hear(
        self, known: KnownMeter, request: Request, result: Result, *, at: datetime, present: bool
    ) -> bool:
        """Whether the meter is there; True when this changes what is known of it."""
        records, health = self._records, known.health
        if not result.silent:
            known.ignored.pop(request.key, None)
            if health.in_quarantine:
                records.quarantines[known.meter.meter_id] = None
            return health.answered(at)
        if present:
            return False
        why = "; ".join([result.why, *map(str, _strays(request))])
        changed = health.failed(at, why=why, options=records.options, jammed=result.jammed)
        if health.in_quarantine:
            records.quarantines[known.meter.meter_id] = health.next_attempt_at
        return changed

    def _tap(self, traffic: Traffic) -> None:
        self._wire.see(traffic)
        if self._records.hub.subscribers("traffic"):
            self._records.hub.publish("traffic", traffic)


def _strays(request: Request) -> Sequence[Exception]:
    """Frames that did not answer: of another meter, or about something else. Recorded, and not believed."""
    strays: Sequence[Exception] = getattr(request.exchange, "strays", ())
    return strays


def _rows(
    known: KnownMeter, measured: Iterable[Measured], *, read_at: datetime, exchange_id: int
) -> list[ReadingRow]:
    return [
        ReadingRow(
            known.meter.meter_id,
            value.quantity,
            value.stamped_at or read_at,
            value.value,
            ReadingStatus.METER_FLAGGED if value.doubtful else ReadingStatus.OK,
            POLLED if value.stamped_at is None else STAMPED,
            exchange_id,
        )
        for value in measured
    ]


def _live(
    known: KnownMeter, measured: Iterable[Measured], *, read_at: datetime, exchange_id: int
) -> tuple[LiveReading, ...]:
    return tuple(
        LiveReading(
            meter_id=known.meter.meter_id,
            quantity=value.quantity,
            value=value.value,
            unit=quantity(value.quantity).unit,
            read_at=value.stamped_at or read_at,
            exchange_id=exchange_id,
        )
        for value in measured
    )
