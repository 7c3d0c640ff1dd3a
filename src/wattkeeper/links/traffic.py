"""What a bus tells those who watch it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal


@dataclass(frozen=True, slots=True)
class Traffic:
    """A chunk of bytes as it passed, for traces and the bus monitor.

    Attributes:
        link: code of the link.
        at: when it was sent or arrived (aware UTC).
        direction: "tx" from us, "rx" to us.
        data: the bytes, uncut and unparsed.
        note: what the bus made of it: "echo" of our own bytes, "unasked" when nothing was outstanding.

    """

    link: str
    at: datetime
    direction: Literal["tx", "rx"]
    data: bytes
    note: str | None = None


@dataclass(frozen=True, slots=True)
class LinkState:
    """How a link is doing.

    Attributes:
        connected: whether it is open now.
        since: when it last opened or was lost (aware UTC); None before the first attempt.
        error: why it is not open, in a sentence; None when it is, or was closed by us.
        opened: how often it was opened.
        lost: how often it broke.

    """

    connected: bool = False
    since: datetime | None = None
    error: str | None = None
    opened: int = 0
    lost: int = 0
