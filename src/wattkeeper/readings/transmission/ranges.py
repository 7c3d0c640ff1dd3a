"""What the numbers of a batch may be, and how the id of an exchange is taken apart."""

from datetime import UTC, datetime
from typing import Final

import numpy as np

from wattkeeper.readings.transmission.errors import BadBatch
from wattkeeper.readings.transmission.numbers import Integers

_EARLIEST, _LATEST = (int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000 for year in (1900, 2200))
_LOW_BITS: Final = 12
LOW_END: Final = 1 << _LOW_BITS
"""What is below the milliseconds in an exchange's id (`readings.schemas.new_exchange_id`) is less than this."""


def within(values: Integers, first: int, end: int, what: str) -> Integers:
    """The values, or BadBatch when one is outside."""
    if len(values) and not (int(values.min()) >= first and int(values.max()) < end):
        raise BadBatch(f"{what} in a batch is out of range.")
    return values


def instants(microseconds: Integers) -> Integers:
    """Microseconds since 1970 UTC, or BadBatch when one is of no century in which there are meters."""
    return within(microseconds, _EARLIEST, _LATEST, "An instant")


def taken_apart(exchange_ids: Integers) -> tuple[Integers, Integers]:
    """The milliseconds of exchange ids, and what is below them."""
    return exchange_ids >> _LOW_BITS, exchange_ids & np.int64(LOW_END - 1)


def put_together(milliseconds: Integers, low: Integers) -> Integers:
    """What `taken_apart` took apart."""
    found: Integers = milliseconds << _LOW_BITS | low
    return found
