"""A half-duplex bus: one owner, one request in flight, whatever protocol is spoken on it."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Literal, Protocol, TypeVar

from wattkeeper.links.backoff import Backoff
from wattkeeper.links.base import Link
from wattkeeper.links.echo import Echo
from wattkeeper.links.errors import LinkLost, LinkUnavailable, NoReply
from wattkeeper.links.serial import SerialLink
from wattkeeper.links.tcp import TcpLink
from wattkeeper.links.timing import Timing
from wattkeeper.links.traffic import LinkState, Traffic
from wattkeeper.links.url import LinkUrl


class Exchange(Protocol):
    """A conversation with one device, without I/O; every protocol's master side has this shape.

    An exchange that expects no reply (a broadcast) has ``expects_reply = False`` besides; one whose protocol wants the
    line to rest before a frame, ``silence`` in bytes; one whose right reply is its own request, ``mirrors = True``.
    """

    @property
    def request(self) -> bytes | None:
        """Bytes to put on the wire now; None when the conversation is over."""

    @property
    def subject(self) -> str:
        """Who is asked for what, for errors: "meter 000000000161 reading 00010000"."""

    def feed(self, chunk: bytes, /) -> bool:
        """Take received bytes; True once the outstanding request is answered. May raise its own errors."""

    def restart(self) -> None:
        """Forget half-received bytes: the same request is about to be repeated."""


ExchangeT = TypeVar("ExchangeT", bound=Exchange)
Tap = Callable[[Traffic], None]


class Bus:
    """The owner of one link. ``run`` queues fairly, connects when needed, repeats and gives up.

    Args:
        link_code: the link's code in the registry, for traces.
        url: where the bus is.
        timing: its waits; by default those of ``Timing.of(url)``.

    """

    def __init__(self, link_code: str, url: LinkUrl, *, timing: Timing | None = None) -> None:
        self.link_code = link_code
        self.url = url
        self.timing = timing or Timing.of(url)
        self.state = LinkState()
        kind: type[Link] = SerialLink if url.scheme == "serial" else TcpLink
        self._link = kind(url, receiver=self._received, lost=self._link_lost)
        # Who runs it, and who waits; a lock of asyncio's costs a coroutine per read even when it is free.
        self._busy = False
        self._queue: deque[asyncio.Future[None]] = deque()
        self._backoff = Backoff()
        self._taps: list[Tap] = []
        self._closed = False
        self._refusal: LinkUnavailable | None = None
        self._dialling: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop
        self._now: Callable[[], float] = time.monotonic  # the loop's own, once there is one
        # The request in flight.
        self._exchange: Exchange | None = None
        self._outcome: asyncio.Future[bool] | None = None
        self._echo = Echo(lambda octets: self._show("rx", octets, note="echo"))
        self._octets = 0  # received for the present exchange
        # The watchdog: one timer for all requests, moved lazily, as arming one per read costs a tenth of it.
        self._deadline = 0.0
        self._latest = 0.0
        self._watched = 0.0
        self._watchdog: asyncio.TimerHandle | None = None
        # The line. Times are the event loop's clock.
        self._last_byte = 0.0  # when the last byte came, or ours has left
        self._unsettled = False  # the last byte was one that nobody asked for
        self._owed_until = 0.0  # replies to former requests may come until then ...
        self._owed_by = ""  # ... from this subject; "" when they could be taken for any other's
        self._next_at = 0.0  # no request before this, where the link has a limit
        self._must_wait = True  # whether the above, or the turnaround, may ask for a wait before a request

    # -- the owner's side

    async def run(self, exchange: ExchangeT, *, attempts: int | None = None) -> ExchangeT:
        """Hold the conversation and return the finished exchange.

        Raises:
            LinkUnavailable: the link is not open and would not open (``retry_in``).
            LinkLost: it broke in the middle, and again.
            NoReply: the request was sent ``attempts`` times (default ``timing.attempts``) in vain.
            Exception: whatever the exchange itself raises for a refusal; the bus stays usable.

        """
        if self._busy:
            await self._wait_for_turn()
        self._busy = True
        try:
            while (request := exchange.request) is not None:
                if getattr(exchange, "expects_reply", True):
                    await self._ask(exchange, request, attempts or self.timing.attempts)
                else:
                    await self._announce(request)
                    break
        finally:
            self._pass_on()
        return exchange

    def add_tap(self, callback: Tap) -> Callable[[], None]:
        """Show every chunk that passes to ``callback``; returns what takes it off again."""
        self._taps.append(callback)
        return lambda: self._taps.remove(callback)

    @property
    def retry_in(self) -> float:
        """Seconds until a lost link is tried again; 0 when it is open or may be tried now."""
        if self.state.connected:
            return 0.0
        return self._backoff.remaining(self._now())

    async def open(self) -> None:
        """Open the link now, where one wants to know before the first request, or only to listen."""
        if self._busy:
            await self._wait_for_turn()
        self._busy = True
        try:
            await self._ensure_open()
        finally:
            self._pass_on()

    async def close(self) -> None:
        """Let go of the port or socket. A request in flight fails with LinkLost, and so do those that wait."""
        self._closed = True
        if self._dialling is not None and self.url.scheme == "tcp":
            self._dialling.cancel()  # a host that is away takes 10 s to say nothing; a port opens at once or never
        self._fail(LinkLost(f"{self.url.place} was closed."))
        if self._watchdog is not None:
            self._watchdog.cancel()
            self._watchdog = None
        if self._busy:
            await self._wait_for_turn()
        self._busy = True
        try:
            await self._link.close()
        finally:
            self._pass_on()
        if self.state.connected:
            self.state = replace(self.state, connected=False, since=utc_now(), error=None)

    # -- one request

    async def _wait_for_turn(self) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # it was our turn already: the next one's now
                self._pass_on()
            raise

    def _pass_on(self) -> None:
        """Give the bus to whoever has waited longest; it stays busy in between, so that nobody slips in."""
        while self._queue:
            turn = self._queue.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._busy = False

    async def _ask(self, exchange: Exchange, request: bytes, attempts: int) -> None:
        """Send one request until it is answered."""
        began = self._now()
        silence = self.timing.silence(getattr(exchange, "silence", 0.0))
        first_sent = sent = 0.0
        self._octets = silent = 0
        for attempt in range(1, attempts + 1):
            try:
                if self._must_wait or self._closed or not self.state.connected:
                    await self._clear_line(exchange.subject)
                if silence or self.timing.spacing:
                    await self._keep_pace()
                    await self._keep_silent(silence)
                sent = self._now()
                first_sent = first_sent or sent
                if await self._put(exchange, request, sent):
                    if silent:  # to which of the requests? The replies to the others may still come.
                        window = max(self.timing.reply_timeout, self._now() - first_sent)
                        self._owe(until=sent + window + self.timing.quiet, by="")
                    return
            except LinkLost:
                if self._closed or attempt == attempts:
                    raise
                first_sent, silent = 0.0, 0  # what went out on the old connection is not answered on the new
            except asyncio.CancelledError:
                self._owe(until=self._deadline, by="")
                raise
            else:
                silent += 1
            finally:
                self._outcome = self._exchange = None
            exchange.restart()
        self._owe(until=sent + 2 * self.timing.reply_timeout, by=exchange.subject)
        raise NoReply(exchange.subject, attempts=attempts, waited=self._now() - began, octets=self._octets)

    def _put(self, exchange: Exchange, request: bytes, now: float) -> asyncio.Future[bool]:
        """Send the request once; the future tells whether it was answered in time."""
        self._exchange = exchange
        self._echo.expect(request, mirrored=getattr(exchange, "mirrors", False))
        leaves_at = now + len(request) * self.timing.byte_time
        self._deadline = leaves_at + self.timing.reply_timeout
        self._latest = leaves_at + self.timing.longest_reply
        self._transmit(request)
        self._outcome = outcome = self._loop.create_future()
        if self._watchdog is None or self._watched > self._deadline:
            self._watch()
        return outcome

    async def _announce(self, request: bytes) -> None:
        """Send what nobody answers, and wait until it has left."""
        await self._clear_line("")
        await self._keep_pace()
        self._echo.expect(request)
        self._transmit(request)
        wire_time = len(request) * self.timing.byte_time
        self._last_byte = self._now() + wire_time
        await asyncio.sleep(wire_time)

    def _transmit(self, request: bytes) -> None:
        self._show("tx", request)
        self._link.send(request)

    # -- the line

    async def _keep_pace(self) -> None:
        """Wait until the link's limit, where it has one, lets another request go."""
        while (wait := self._next_at - self._now()) > 0:
            await asyncio.sleep(wait)
            await self._ensure_open()
        self._next_at = self._now() + self.timing.spacing

    async def _clear_line(self, subject: str) -> None:
        """Open the link where needed, and wait until nothing of what was before is on the line."""
        await self._ensure_open()
        now = self._now()
        give_up = now + self.timing.longest_reply  # a line that babbles without end is used all the same
        while (wait := min(self._clear_at(subject), give_up) - now) > 0:
            await asyncio.sleep(wait)
            now = self._now()
            await self._ensure_open()  # it may have been lost, or closed, meanwhile
        self._unsettled = False
        self._owed_until = 0.0
        self._must_wait = self.timing.turnaround > 0

    async def _keep_silent(self, seconds: float) -> None:
        """Let the line rest as long as the protocol wants it before a frame, whatever was spoken last."""
        while (wait := self._last_byte + seconds - self._now()) > 0:
            await asyncio.sleep(wait)
            await self._ensure_open()

    def _clear_at(self, subject: str) -> float:
        rest = self.timing.quiet if self._unsettled else self.timing.turnaround
        if self._owed_by in {"", subject}:
            return max(self._last_byte + rest, self._owed_until)
        return self._last_byte + rest

    def _owe(self, *, until: float, by: str) -> None:
        self._owed_until, self._owed_by = until, by
        self._must_wait = True

    async def _ensure_open(self) -> None:
        if self._closed:
            raise LinkLost(f"{self.url.place} was closed.")
        if self.state.connected:
            return
        self._loop = asyncio.get_running_loop()
        self._now = self._loop.time
        if (wait := self.retry_in) > 0:
            raise self._still_unavailable(wait)
        try:
            await self._dial()
        except LinkUnavailable as error:
            error.retry_in = self._backoff.failed(self._now())
            self._refusal = error
            self.state = replace(
                self.state, connected=False, since=self.state.since or utc_now(), error=str(error)
            )
            raise
        self._backoff.opened(self._now())
        self._refusal = None
        self._unsettled, self._owed_until = False, 0.0
        self._echo.forget_line()
        self.state = replace(
            self.state, connected=True, since=utc_now(), error=None, opened=self.state.opened + 1
        )

    async def _dial(self) -> None:
        """Open the link, in a task of its own so that `close` can end it."""
        self._dialling = asyncio.ensure_future(self._link.open())
        try:
            await self._dialling
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if (
                self._closed and task is not None and not task.cancelling()
            ):  # it was `close`, not whoever runs us
                raise LinkLost(f"{self.url.place} was closed.") from None
            raise
        finally:
            self._dialling = None

    def _still_unavailable(self, wait: float) -> LinkUnavailable:
        """What the last attempt said, and when the next one may be."""
        if self._refusal is None:
            return LinkUnavailable(
                f"{self.url.place} was lost.", hint=f"It is tried again in {wait:.1f} s.", retry_in=wait
            )
        again = f"{self._refusal.hint or ''} It is tried again in {wait:.1f} s.".lstrip()
        return type(self._refusal)(self._refusal.message, hint=again, retry_in=wait)

    # -- what the link reports

    def _received(self, data: bytes) -> None:
        now = self._now()
        outcome, exchange = self._outcome, self._exchange
        own = self._echo.strip(data)
        if own is None:
            self._deadline = max(self._deadline, now + self.timing.byte_gap)
            return
        data = own
        self._last_byte = now
        if outcome is None or exchange is None or outcome.done():
            self._unsettled = self._must_wait = True
            self._show("rx", data, note="unasked")
            return
        self._octets += len(data)
        self._show("rx", data)
        try:
            answered = exchange.feed(data)
        except Exception as error:  # noqa: BLE001 -- the exchange's own; it belongs to whoever runs it
            outcome.set_exception(error)
            # Its traceback knows this frame, and a frame that knew the future would be a ring for the garbage collector.
            del outcome
            return
        if answered:
            outcome.set_result(True)
        else:
            self._deadline = max(self._deadline, now + self.timing.byte_gap)

    def _link_lost(self, error: Exception | None) -> None:
        reason = f" ({error})" if error is not None else ""
        message = f"{self.url.place} was lost{reason}."
        if self._exchange is not None:
            message = f"{self.url.place} was lost{reason} during: {self._exchange.subject}."
        self._backoff.lost(self._now())
        self.state = replace(
            self.state, connected=False, since=utc_now(), error=message, lost=self.state.lost + 1
        )
        self._fail(LinkLost(message, hint="It is opened again with the next request."))

    def _fail(self, error: LinkLost) -> None:
        if self._outcome is not None and not self._outcome.done():
            self._outcome.set_exception(error)

    def _watch(self) -> None:
        if self._watchdog is not None:
            self._watchdog.cancel()
        self._watched = min(self._deadline, self._latest)
        self._watchdog = self._loop.call_at(self._watched, self._watched_time_came)

    def _watched_time_came(self) -> None:
        self._watchdog = None
        if self._outcome is None or self._outcome.done():
            return
        if self._now() < min(self._deadline, self._latest):
            self._watch()
        else:
            self._outcome.set_result(False)

    def _show(self, direction: Literal["tx", "rx"], data: bytes, *, note: str | None = None) -> None:
        if not self._taps:
            return
        chunk = Traffic(self.link_code, utc_now(), direction, data, note)
        for tap in self._taps:
            tap(chunk)


def utc_now() -> datetime:
    """The moment a byte passed; only the edge of the system asks the clock."""
    return datetime.now(UTC)
