"""How meters are named on the way: numbers of rows differ between two ledgers, the device's own name does not."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from wattkeeper.readings.transmission.container import Columns, Opened, placed, steps, unstepped
from wattkeeper.readings.transmission.errors import BadBatch
from wattkeeper.readings.transmission.numbers import Integers, bounded

MOST_METERS: Final = 100_000
_MOST_DIGITS: Final = 18


class MeterIdentity(NamedTuple):
    """A meter as both ends know it: its protocol, its address there, and the code of the link it answers on.

    A Modbus address means something on its own line only, so the link's code belongs to the name.
    """

    protocol: str
    link: str
    address: str

    @property
    def device(self) -> str | None:
        """The address where it is the device's own wherever that hangs; None where it counts on its line only."""
        return self.address if self.protocol.startswith("dlt645") else None


def pack_meters(columns: Columns, meters: Sequence[MeterIdentity]) -> None:
    """Add the meters; sorted, their addresses differ little from one to the next."""
    protocols = sorted({meter.protocol for meter in meters})
    links = sorted({meter.link for meter in meters})
    protocol_at = {name: place for place, name in enumerate(protocols)}
    link_at = {name: place for place, name in enumerate(links)}
    columns.words("protocols", protocols).words("links", links)
    columns.numbers("meter_protocol", _numbers([protocol_at[meter.protocol] for meter in meters]))
    columns.numbers("meter_link", _numbers([link_at[meter.link] for meter in meters]))
    addresses = [meter.address for meter in meters]
    if all(_is_number(address) for address in addresses):
        columns.numbers("address_digits", _numbers([len(address) for address in addresses]))
        columns.numbers("address_number", steps(_numbers([int(address) for address in addresses])))
    else:
        columns.words("address", addresses)


def unpack_meters(batch: Opened) -> list[MeterIdentity]:
    """The meters that `pack_meters` added."""
    protocols, links = batch.words("protocols"), batch.words("links")
    bounded(batch.count("meter_protocol"), MOST_METERS, "meters")
    protocol = placed(batch.any_numbers("meter_protocol"), len(protocols), "meter_protocol").tolist()
    link = batch.below("meter_link", len(protocol), len(links)).tolist()
    addresses = _addresses(batch, len(protocol))
    return [
        MeterIdentity(protocols[at], links[on], address)
        for at, on, address in zip(protocol, link, addresses, strict=True)
    ]


def _addresses(batch: Opened, count: int) -> list[str]:
    if "address" in batch:
        found = batch.words("address")
        if len(found) != count:
            raise BadBatch(f"A batch names {len(found):,} addresses for {count:,} meters.")
        return found
    digits = batch.below("address_digits", count, _MOST_DIGITS + 1).tolist()
    numbers = unstepped(batch.numbers("address_number", count)).tolist()
    if any(number < 0 for number in numbers):
        raise BadBatch("A batch has an address below zero.")
    return [str(number).zfill(length) for number, length in zip(numbers, digits, strict=True)]


def _is_number(address: str) -> bool:
    return address.isascii() and address.isdecimal() and len(address) <= _MOST_DIGITS


def _numbers(values: Sequence[int]) -> Integers:
    return np.array(values, np.int64)
