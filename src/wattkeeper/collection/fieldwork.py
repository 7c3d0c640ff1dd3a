"""Work at the meter without any store: find meters on a link, read one, listen to a bus."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from types import MappingProxyType
from zoneinfo import ZoneInfo

from wattkeeper.collection.drivers.base import Driver, Request
from wattkeeper.collection.drivers.dlt645 import Dlt645Driver
from wattkeeper.collection.drivers.dlt645_1997 import Dlt645Driver1997
from wattkeeper.collection.drivers.dlt645_editions import PROTOCOL_OF_EITHER
from wattkeeper.collection.errors import BadAddress, ReadFailed, UnknownProtocol
from wattkeeper.collection.heard import HeardFrame
from wattkeeper.collection.listening import heard_again, monitor, summary_of
from wattkeeper.collection.scanning import BAUDS, FoundMeter, Progress, scan
from wattkeeper.collection.words import WORDS, quantities_of
from wattkeeper.links.bus import Bus
from wattkeeper.links.errors import NoReply
from wattkeeper.links.url import LinkUrl
from wattkeeper.protocols.dlt645.detection import EditionProbe
from wattkeeper.protocols.dlt645.errors import Dlt645Error, RequestError
from wattkeeper.protocols.dlt645.frames import BROADCAST, WILDCARD, check_address
from wattkeeper.protocols.dlt645.master import ReadAddressExchange, ReadExchange
from wattkeeper.readings.quantities import quantity

__all__ = [
    "BAUDS",
    "PROTOCOLS",
    "PROTOCOL_OF_EITHER",
    "WORDS",
    "FieldValue",
    "FoundMeter",
    "HeardFrame",
    "Progress",
    "heard_again",
    "monitor",
    "read_meter",
    "scan",
    "summary_of",
]

_DRIVER = Dlt645Driver()
_DRIVER_1997 = Dlt645Driver1997()
_ENERGY = "00010000"
PROTOCOLS: Mapping[str, tuple[Driver, ...]] = MappingProxyType(
    {
        PROTOCOL_OF_EITHER: (_DRIVER, _DRIVER_1997),
        _DRIVER.protocol: (_DRIVER,),
        _DRIVER_1997.protocol: (_DRIVER_1997,),
    }
)
"""What a meter can be asked in, with the drivers that have the words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldValue:
    """One value read from a meter in the field."""

    address: str
    """The meter's real address, also when it was asked by a shortened one."""
    quantity: str
    name_zh: str
    name_en: str
    value: Decimal
    unit: str
    read_at: datetime
    """When it answered (aware UTC)."""


async def read_meter(
    url: str,
    *,
    address: str | None = None,
    words: Sequence[str] = ("energy",),
    zone: str = "Asia/Shanghai",
    protocol: str = PROTOCOL_OF_EITHER,
) -> list[FieldValue]:
    """Read one meter over a link.

    Args:
        url: where the meter is.
        address: its 12 digits; None asks the only meter there for its address first.
        words: groups such as `energy` or 电压, or quantity keys.
        zone: of the meter's clock, for `clock` and times of demand.
        protocol: one of `PROTOCOLS`; with an edition named, nothing is sent in the words of the other.

    Raises:
        BadAddress, UnknownWord, UnknownProtocol, BadLinkUrl: before anything is sent.
        LinkUnavailable, LinkLost, NoReply: nobody could be asked, or nobody answered.
        ReadFailed: the meter answered and gave no value.

    """
    wanted = quantities_of(words)
    drivers = _drivers_of(protocol)
    checked = None if address is None else _checked(address)
    bus = Bus("field", LinkUrl.parse(url))
    try:
        asked = checked or await _only_address(bus, drivers)
        if len(drivers) > 1:
            return await _read_either(bus, asked, wanted, zone=ZoneInfo(zone))
        return await _read(bus, asked, wanted, driver=drivers[0], zone=ZoneInfo(zone))
    finally:
        await bus.close()


def _drivers_of(protocol: str) -> tuple[Driver, ...]:
    """The drivers in whose words is asked."""
    if protocol not in PROTOCOLS:
        modbus = protocol.startswith("modbus")
        raise UnknownProtocol(
            f"A meter is not read by {protocol!r} here.",
            hint="`wattkeeper modbus read` reads Modbus meters."
            if modbus
            else f"Use {', '.join(PROTOCOLS)}.",
        )
    return PROTOCOLS[protocol]


async def _read_either(bus: Bus, address: str, wanted: Sequence[str], *, zone: ZoneInfo) -> list[FieldValue]:
    """Read in the words of 2007, which nearly all meters speak, and in those of 1997 where only they are answered."""
    try:
        return await _read(bus, address, wanted, driver=_DRIVER, zone=zone)
    except NoReply as silence:
        probe = EditionProbe(address, 1997)
        try:
            await bus.run(probe, attempts=1)
        except (NoReply, Dlt645Error):
            raise silence from None
    return await _read(bus, probe.address, wanted, driver=_DRIVER_1997, zone=zone)


async def _read(
    bus: Bus, address: str, wanted: Sequence[str], *, driver: Driver, zone: ZoneInfo
) -> list[FieldValue]:
    values: dict[str, FieldValue] = {}
    failures: list[str] = []
    answered = False
    silence: NoReply | None = None
    waiting: deque[Request] = deque(driver.plan(address, wanted, zone=zone))
    while waiting:
        request = waiting.popleft()
        try:
            await bus.run(request.exchange, attempts=None if answered or silence is None else 1)
            answered = True
            values |= _told(request, address)
        except Dlt645Error as error:
            answered = True
            failures.append(str(error))
            if driver.is_unsupported(error):
                waiting.extendleft(reversed(request.parts))  # a meter without the block may have its items
        except NoReply as error:
            if not answered and (silence is not None or not request.parts):
                raise silence or error from None
            silence = error
            failures.append(str(error))
            waiting.extendleft(reversed(request.parts))  # many a meter is silent where it should refuse
    if not values:
        why = (
            failures[0]
            if failures
            else "It has none of these quantities, or its protocol has no name for them."
        )
        raise ReadFailed(
            f"Meter {address} gave no value. {why}", hint="Ask for something else, for example energy."
        )
    return [values[key] for key in wanted if key in values]


def _told(request: Request, address: str) -> dict[str, FieldValue]:
    """The values of an answer that has just come."""
    at = datetime.now(UTC)
    entries = [(quantity(item.quantity), item.value) for item in request.measured(at)]
    return {
        entry.key: FieldValue(
            address=getattr(request.exchange, "address", address),
            quantity=entry.key,
            name_zh=entry.name_zh,
            name_en=entry.name_en,
            value=value,
            unit=entry.unit,
            read_at=at,
        )
        for entry, value in entries
    }


async def _only_address(bus: Bus, drivers: Sequence[Driver]) -> str:
    """The address of the only meter on the link: asked by 13H, and by a wildcard read of those that do not know it."""
    if _DRIVER not in drivers:
        return await _only_address_of_1997(bus)
    asking = ReadAddressExchange()
    try:
        await bus.run(asking, attempts=2)
    except NoReply as silence:
        if silence.octets:
            raise ReadFailed(
                f"Several meters seem to answer at once on {bus.url.place}, or the line is disturbed.",
                hint="Name the meter with --meter; `wattkeeper scan` finds the addresses on a shared line.",
            ) from silence
        try:
            return (await bus.run(ReadExchange(WILDCARD, _ENERGY), attempts=2)).address
        except NoReply as again:
            if _DRIVER_1997 not in drivers:
                raise
            try:
                return await _only_address_of_1997(bus)
            except (NoReply, Dlt645Error):
                raise again from None
    assert asking.address is not None
    return asking.address


async def _only_address_of_1997(bus: Bus) -> str:
    """1997 has neither 13H nor AA..AA: its single meter answers 99..99, from its own address."""
    return (await bus.run(EditionProbe(BROADCAST, 1997), attempts=1)).address


def _checked(address: str) -> str:
    try:
        return check_address(address.strip().upper())
    except RequestError as error:
        raise BadAddress(
            str(error), hint="The address is printed on the meter, often under a bar code."
        ) from None
