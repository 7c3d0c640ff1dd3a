"""Work at the meter without any store: find meters on a link, read one, listen to a bus."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal


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
    """None where the link has no baud rate (TCP)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldValue:
    """One value read from a meter in the field."""

    address: str
    quantity: str
    name_zh: str
    name_en: str
    value: Decimal
    unit: str
    read_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class HeardFrame:
    """Traffic heard on a link: one frame, or octets that are none."""

    at: datetime
    raw: bytes
    valid: bool
    summary: str
    """One line for people."""


BAUDS = (9600, 2400, 4800, 1200, 19200, 600)
"""In the order of how often they are met: 2400 is the standard's default, 9600 what most meters now leave with."""


async def scan(
    url: str, *, bauds: Sequence[int] = BAUDS, progress: Callable[[str], None] | None = None
) -> list[FoundMeter]:
    """Find the meters on a link, and the baud rate they speak."""
    raise NotImplementedError


async def read_meter(url: str, *, address: str | None = None, words: Sequence[str] = ()) -> list[FieldValue]:
    """Read one meter: words are groups such as `energy`, or quantity keys; no address asks the only meter there."""
    raise NotImplementedError


def monitor(url: str) -> AsyncIterator[HeardFrame]:
    """Listen to a link without sending, frame by frame, until the caller stops."""
    raise NotImplementedError
