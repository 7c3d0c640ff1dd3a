"""Finding the meters on a line: their addresses, their edition of the protocol, and the line's speed.

A line is asked for "the one meter there". Silence tries another speed, a clean answer is a meter, and anything else
is several meters talking at once: then they are called apart by their low digits, a pair at a time (缩位寻址).
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from wattkeeper.collection.errors import LineDisturbed
from wattkeeper.links.bus import Bus
from wattkeeper.links.errors import NoReply
from wattkeeper.links.timing import BYTE_GAP_MAX, FRAME_MAX, REPLY_DELAY_MAX, Timing
from wattkeeper.links.traffic import Traffic
from wattkeeper.links.url import LinkUrl
from wattkeeper.protocols.dlt645.detection import EditionProbe
from wattkeeper.protocols.dlt645.errors import Dlt645Error
from wattkeeper.protocols.dlt645.frames import BROADCAST, WILDCARD, BrokenFrame, Frame, FrameReader
from wattkeeper.protocols.dlt645.master import ReadAddressExchange, ReadExchange

BAUDS = (9600, 2400, 4800, 1200, 19200, 600)
"""In the order of how often they are met: 9600 is what most meters leave the factory with, 2400 the standard's own."""
Progress = Callable[[str], None]
"""Gets a line of text for each thing that is tried."""

_ENERGY = "00010000"
_DIGITS = 12
_SHORT_REPLY = 32  # bytes of the longest reply to what a scan asks
_TOO_MANY = 10  # pairs in a row below a pair that are crowds: no line has so many meters
_NETWORK = 0.3  # what a gateway adds [s]


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundMeter:
    """A meter that answered a scan."""

    address: str
    """12 digits."""
    protocol: str
    """`dlt645-2007` or `dlt645-1997`."""
    url: str
    """The link as the meter answered on it, with its baud rate."""
    baud: int | None
    """None where the link has no baud rate of its own (TCP)."""


async def scan(
    url: str, *, bauds: Sequence[int] = BAUDS, progress: Progress | None = None
) -> list[FoundMeter]:
    """Find the meters on a link, by address; empty when nothing answers at any speed.

    The first speed at which anybody answers is taken for the line's speed. Over TCP the gateway has set it.

    Raises BadLinkUrl, or LinkUnavailable when the port or gateway cannot be opened.
    """
    parsed = LinkUrl.parse(url)
    say = progress or _say_nothing
    speeds: Sequence[int | None] = bauds if parsed.scheme == "serial" else (None,)
    for baud in speeds:
        at_speed = parsed if baud is None else parsed.with_baud(baud)
        bus = Bus("scan", at_speed, timing=_patience(at_speed))
        try:
            found = await _Search(bus, say).run()
        finally:
            await bus.close()
        if found:
            return [
                FoundMeter(address=address, protocol=protocol, url=str(at_speed), baud=baud)
                for address, protocol in sorted(found.items())
            ]
    return []


def _patience(url: LinkUrl) -> Timing:
    """Short waits: most of a scan is waiting for meters that are not there (Td ≤ 500 ms, §5.2.7)."""
    usual = Timing.of(url)
    wait = REPLY_DELAY_MAX + _SHORT_REPLY * usual.byte_time
    wait += _NETWORK if url.scheme == "tcp" else 0.1
    return replace(
        usual,
        attempts=1,
        reply_timeout=url.timeout or wait,
        byte_gap=min(usual.byte_gap, url.timeout or BYTE_GAP_MAX),
        longest_reply=wait + 2 * FRAME_MAX * usual.byte_time + BYTE_GAP_MAX,
    )


@dataclass(slots=True)
class _Answers:
    """What came back to one question."""

    meters: dict[str, str] = field(default_factory=dict)
    """Address to protocol of every sound answer."""
    noise: bool = False
    """Bytes came that are no sound frame, or a meter answered for no reason."""

    @property
    def crowd(self) -> bool:
        """Whether several meters spoke at once."""
        return self.noise or len(self.meters) > 1


class _Search:
    """A scan at one speed."""

    def __init__(self, bus: Bus, say: Progress) -> None:
        self._bus = bus
        self._say = say
        self._heard = FrameReader()
        self._events: list[Frame | BrokenFrame] = []
        self._octets = 0
        bus.add_tap(self._listen)

    async def run(self) -> dict[str, str]:
        """Address to protocol of all meters that answered."""
        self._say(f"{self._bus.url}: is one meter there?")
        questions: tuple[Callable[[], _Question], ...] = (
            ReadAddressExchange,
            lambda: ReadExchange(WILDCARD, _ENERGY),
            lambda: EditionProbe(BROADCAST, 1997),
        )
        for question in questions:
            answers = await self._ask(question())
            if answers.crowd:  # or was it a crackle of the line? That does not come twice
                answers = await self._ask(question())
            if answers.crowd:
                self._say(f"{self._bus.url}: several meters answer at once")
                found = await self._call_apart("")
                return found or answers.meters
            if answers.meters:
                return answers.meters
        return {}

    async def _call_apart(self, low: str) -> dict[str, str]:
        """The meters whose addresses end with the digits `low`, two more digits at a time."""
        found: dict[str, str] = {}
        crowds = 0
        for pair in range(100):
            digits = f"{pair:02d}{low}"
            pattern = digits.rjust(_DIGITS, "A")
            self._say(f"{self._bus.url}: {pattern}, {len(found)} found here")
            answers = await self._ask(ReadExchange(pattern, _ENERGY))
            crowds += answers.crowd
            if low and crowds == pair + 1 == _TOO_MANY:
                raise LineDisturbed(
                    f"Something on {self._bus.url.place} makes noise whatever is asked.",
                    hint="Check the wiring and the termination of the line, and that nobody else is its master.",
                )
            if answers.crowd and len(digits) < _DIGITS:
                found |= await self._call_apart(digits) or answers.meters
            else:
                found |= answers.meters
        return found

    async def _ask(self, question: "_Question") -> _Answers:
        """Everything that is heard after one question, until the line is quiet."""
        self._events, self._octets = [], 0
        self._heard.flush()
        try:
            await self._bus.run(question)
            # A second meter may be slower than the first: up to 500 ms after the question (§5.2.7).
            await asyncio.sleep(self._bus.timing.reply_timeout)
        except NoReply:
            pass
        except Dlt645Error:
            await asyncio.sleep(self._bus.timing.reply_timeout)
        self._events += self._heard.flush()
        return self._judged()

    def _judged(self) -> _Answers:
        answers = _Answers(noise=bool(self._octets) and not self._events)
        for event in self._events:
            if isinstance(event, BrokenFrame) or not event.address.isdigit():
                answers.noise = True
            elif event.from_meter:
                answers.meters[event.address] = f"dlt645-{event.edition}"
        return answers

    def _listen(self, traffic: Traffic) -> None:
        if traffic.direction == "rx" and traffic.note != "echo":
            self._octets += len(traffic.data)
            self._events += self._heard.feed(traffic.data)


_Question = ReadAddressExchange | ReadExchange | EditionProbe


def _say_nothing(_text: str) -> None:
    """Nobody wants to know how the scan goes."""
