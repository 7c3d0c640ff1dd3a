"""The asking side: exchanges that turn a question into bytes and the answer's bytes into values.

Every exchange has the same shape, so that a link can run any of them without knowing what is asked:

* `request`: bytes to put on the wire now; None when the exchange is finished;
* `feed(chunk)`: True once the outstanding request is answered (then `request` is the next one, or None);
  raises `MeterRefused` when the meter refuses;
* `restart()`: forget a half-received reply before the same request is sent again;
* `subject`: what is asked of whom, for messages; `expects_reply`: False for broadcasts.

Frames that do not answer the request are skipped and kept in `strays`; damaged ones in `broken`.
"""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING

from wattkeeper.protocols.dlt645 import requests
from wattkeeper.protocols.dlt645.errors import Dlt645Error, MeterRefused, UnexpectedReply, WrongAddress
from wattkeeper.protocols.dlt645.frames import (
    BROADCAST,
    WILDCARD,
    BrokenFrame,
    Frame,
    FrameReader,
    matches_address,
)
from wattkeeper.protocols.dlt645.load_records import LoadRecord, decode_load_records
from wattkeeper.protocols.dlt645.planning import plan_reads
from wattkeeper.protocols.dlt645.values import Value, decode_body

if TYPE_CHECKING:
    from typing import ClassVar

__all__ = [
    "BroadcastTime",
    "Exchange",
    "LoadRecordExchange",
    "ReadAddressExchange",
    "ReadExchange",
    "answers",
    "plan_reads",
]

_PREAMBLE = 4  # §5.2.1: the master wakes the bus with 4 x FEH
_MAX_SEQ = 255
_FROM_METER, _MORE = 0x80, 0x20  # D7 and D5 of the control byte, §5.2.4
_KNOWN_QUESTIONS = 8192  # of about 500 bytes each: ten of each of 800 meters


class Exchange:
    """One question to one meter. Subclasses say how a fitting frame is taken."""

    expects_reply: ClassVar[bool] = True

    def __init__(self, frame: Frame, *, subject: str, encoded: bytes = b"") -> None:
        """`encoded`: the frame's bytes with preamble, where they are at hand."""
        self.subject = subject
        self.request: bytes | None = encoded or frame.encode(_PREAMBLE)
        self.raw = self.request
        """All bytes of the exchange in their order: requests sent (once each) and chunks received."""
        self.strays: list[WrongAddress | UnexpectedReply] = []
        self.broken: list[BrokenFrame] = []
        self._asked = frame
        self._reader = FrameReader()

    def feed(self, chunk: bytes) -> bool:
        """Take what the line brought; True once the outstanding request is answered."""
        self.raw += chunk
        answered = False
        for event in self._reader.feed(chunk):
            if isinstance(event, BrokenFrame):
                self.broken.append(event)
            elif answered or self.request is None:
                self._stray(event, "it came after the answer")
            else:
                answered = self._take(event)
        return answered

    def restart(self) -> None:
        """Forget the half-received reply; `request` (with the same SEQ) is about to be sent again."""
        self.broken += [event for event in self._reader.flush() if isinstance(event, BrokenFrame)]

    def _take(self, frame: Frame) -> bool:
        asked = self._asked
        if frame.control & ~_MORE == asked.control | _FROM_METER and frame.address == asked.address:
            return self._answer(frame)  # as nearly all replies are
        if not frame.from_meter:
            return self._stray(frame, "it is a request (an echo, or a second master)")
        if not answers(asked.address, frame):
            self.strays.append(WrongAddress(asked=asked.address, frame=frame))
            return False
        if frame.function != asked.function:
            return self._stray(frame, f"it answers function {frame.function:02X}H")
        if frame.is_error:
            if len(frame.body) != 1:
                return self._stray(frame, f"an error reply has 1 data byte, not {len(frame.body)}")
            self.request = None
            raise self._refusal(frame)
        return self._answer(frame)

    def _refusal(self, frame: Frame) -> Dlt645Error:
        """What an error reply with one data byte says."""
        return MeterRefused(address=frame.address, identifier=self._identifier, bits=frame.body[0])

    @property
    def _identifier(self) -> str:
        return ""

    def _answer(self, frame: Frame) -> bool:
        raise NotImplementedError

    def _stray(self, frame: Frame, reason: str) -> bool:
        self.strays.append(UnexpectedReply(self.subject, reason, frame=frame))
        return False

    def _ask(self, frame: Frame | None) -> None:
        self._asked = frame or self._asked
        self.request = frame.encode(_PREAMBLE) if frame else None
        self.raw += self.request or b""


def answers(asked: str, frame: Frame) -> bool:
    """Whether the meter that sent `frame` is one that `asked` names."""
    if asked == BROADCAST:  # by the book nobody answers 99..99; some meters do, with their own address
        return True
    return matches_address(asked, frame.address)


class ReadExchange(Exchange):
    """Read one identifier (11H), with its follow-up frames (12H).

    >>> exchange = ReadExchange("000000000161", "02010100")
    >>> exchange.request.hex()
    'fefefefe68610100000000681104333434351716'
    >>> exchange.feed(bytes.fromhex("686101000000006891063334343534431016"))
    True
    >>> exchange.values[0].value, exchange.values[0].unit
    (Decimal('100.1'), 'V')
    """

    def __init__(self, address: str, di: str, *, tail: bytes = b"") -> None:
        """`address`: 12 digits, AA pairs as wildcard; `di`: 8 hexadecimal digits."""
        self.di = di.upper()
        frame, encoded, subject = (
            _question(address, self.di, tail) if tail else _known_question(address, self.di)
        )
        super().__init__(frame, subject=subject, encoded=encoded)
        self.address = address
        """Who is asked; after a wildcard read, who answered."""
        self.body = b""
        """The data of all frames, without identifier and SEQ."""
        self._head = frame.body[:4]
        self._seq = 0

    @property
    def values(self) -> tuple[Value, ...]:
        """What the meter said; `BodyError` when the data does not fit the identifier."""
        return decode_body(self.di, self.body)

    @property
    def _identifier(self) -> str:
        return self.di

    def _answer(self, frame: Frame) -> bool:
        body = frame.body
        if body[:4] != self._head:
            return self._stray(frame, f"it carries {body[3::-1].hex().upper() or 'no identifier'}")
        if self._seq:
            if len(body) < 5 or body[-1] != self._seq:  # noqa: PLR2004 - DI and SEQ
                return self._stray(frame, f"it is not number {self._seq}")
            self.body += body[4:-1]
        else:
            self.body = body[4:]
            self.address = frame.address
        if not frame.has_more:
            self._ask(None)
        elif self._seq == _MAX_SEQ:
            self.request = None
            raise UnexpectedReply(self.subject, "it goes on after 255 follow-up frames", frame=frame)
        else:
            self._seq += 1
            self._ask(requests.read_next(self.address, self.di, self._seq))
        return True


def _question(address: str, di: str, tail: bytes = b"") -> tuple[Frame, bytes, str]:
    """The frame of a read, its bytes with preamble, and what is asked of whom."""
    frame = requests.read(address, di, tail)
    return frame, frame.encode(_PREAMBLE), f"meter {address} reading {di}"


# A collector asks the same again and again; to build a request costs a third of an exchange (3 of 10 µs).
_known_question = lru_cache(_KNOWN_QUESTIONS)(_question)


class LoadRecordExchange(ReadExchange):
    """Read `count` load records of family 06, from a time on, or the earliest or latest ones.

    `di` names the class and the way: 06cc0000 earliest, 06cc0001 from `start`, 06cc0002 latest; class 00 is all.
    """

    def __init__(self, address: str, di: str, start: datetime | None = None, count: int = 1) -> None:
        super().__init__(address, di, tail=requests.load_record_tail(count, start))

    @property
    def records(self) -> tuple[LoadRecord, ...]:
        """The records, oldest first as the meter gives them; none when it has no match."""
        return decode_load_records(self.di, self.body)


class ReadAddressExchange(Exchange):
    """Ask the one meter on the line, or the one matching a wildcard address, for its address (13H)."""

    def __init__(self, address: str = WILDCARD) -> None:
        super().__init__(requests.read_address(address), subject=f"the address of meter {address}")
        self.address: str | None = None
        """The meter's address, once it has answered."""

    def _answer(self, frame: Frame) -> bool:
        told = frame.body[::-1].hex()
        if told != frame.address.lower() or not told.isdigit():
            return self._stray(frame, f"meter {frame.address} tells the address {told or 'of nobody'}")
        self.address = told
        self._ask(None)
        return True


class BroadcastTime(Exchange):
    """Set the clocks of all meters on the line that are less than 5 minutes off (08H); nobody answers."""

    expects_reply: ClassVar[bool] = False

    def __init__(self, local: datetime) -> None:
        """`local`: the meters' civil time."""
        super().__init__(
            requests.broadcast_time(local), subject=f"all meters: time {local:%Y-%m-%d %H:%M:%S}"
        )

    def _answer(self, frame: Frame) -> bool:
        return self._stray(frame, "a broadcast has no reply")
