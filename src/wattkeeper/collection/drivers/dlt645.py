"""DL/T 645-2007: which data identifier is which quantity, and what a meter's answers become."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

from wattkeeper.collection.civil import resolve
from wattkeeper.collection.drivers.base import CLOCK, Commander, Measured, Past, Request
from wattkeeper.protocols.dlt645.errors import BodyError, Dlt645Error, MeterRefused
from wattkeeper.protocols.dlt645.master import ReadExchange
from wattkeeper.protocols.dlt645.master_1997 import ReadExchange1997
from wattkeeper.protocols.dlt645.planning import plan_reads
from wattkeeper.protocols.dlt645.security import AuthenticationFailed

PROTOCOL = "dlt645-2007"
CLOCK_DATE = "04000101"
"""Date and weekday of the meter's clock, YYMMDDWW (table A.4)."""
CLOCK_TIME = "04000102"
"""Time of day of the meter's clock, hhmmss (table A.4)."""
_NO_SUCH_DATA = 0x02
"""ERR b1 (§7, table of the error byte)."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TARIFFS = ("", "_t1", "_t2", "_t3", "_t4")
_PHASES = ("_l1", "_l2", "_l3")


def _energies() -> Iterator[tuple[str, str]]:
    """DI2 is the kind of energy, DI1 the tariff (00 the total), DI0 = 00 the present value (table A.1)."""
    kinds = {
        "active_energy": 0x00,
        "active_energy_import": 0x01,
        "active_energy_export": 0x02,
        "reactive_energy_combined1": 0x03,
        "reactive_energy_combined2": 0x04,
        "reactive_energy_q1": 0x05,
        "reactive_energy_q2": 0x06,
        "reactive_energy_q3": 0x07,
        "reactive_energy_q4": 0x08,
        "apparent_energy_import": 0x09,
        "apparent_energy_export": 0x0A,
    }
    for key, kind in kinds.items():
        for number, tariff in enumerate(_TARIFFS):
            yield f"{key}{tariff}", f"00{kind:02X}{number:02X}00"
    for phase, base in zip(_PHASES, (0x14, 0x28, 0x3C), strict=True):
        for key, kind in list(kinds.items())[1:]:  # a phase has no combined active energy
            yield f"{key}{phase}", f"00{base + kind:02X}0000"


def _demands() -> Iterator[tuple[str, str]]:
    """Maximum demands, each with the time it occurred (table A.2)."""
    kinds = {
        "active_demand_import": 0x01,
        "active_demand_export": 0x02,
        "reactive_demand_combined1": 0x03,
        "reactive_demand_combined2": 0x04,
        "reactive_demand_q1": 0x05,
        "reactive_demand_q2": 0x06,
        "reactive_demand_q3": 0x07,
        "reactive_demand_q4": 0x08,
        "apparent_demand_import": 0x09,
        "apparent_demand_export": 0x0A,
    }
    for key, kind in kinds.items():
        for number, tariff in enumerate(_TARIFFS):
            yield f"{key}_max{tariff}", f"01{kind:02X}{number:02X}00"


def _variables() -> Iterator[tuple[str, str]]:
    """Instantaneous values: DI1 = 00 the total, 01 to 03 the phases (table A.3)."""
    phased = {
        "voltage": 1,
        "current": 2,
        "active_power": 3,
        "reactive_power": 4,
        "apparent_power": 5,
        "power_factor": 6,
    }
    for key, kind in phased.items():
        if kind > phased["current"]:
            yield key, f"02{kind:02X}0000"
        for number, phase in enumerate(_PHASES, start=1):
            yield f"{key}{phase}", f"02{kind:02X}{number:02X}00"
    for number, phase in enumerate(_PHASES, start=1):
        yield f"phase_angle{phase}", f"0207{number:02X}00"
        yield f"voltage_thd{phase}", f"0208{number:02X}00"
        yield f"current_thd{phase}", f"0209{number:02X}00"
    singles = (
        "current_neutral",
        "frequency",
        None,  # mean power over the last minute: no catalogue entry
        "active_demand_import",
        "reactive_demand_combined1",
        "apparent_demand_import",
        "temperature",
        "battery_voltage",
        "battery_voltage_backup",
        "battery_use_time",
    )
    for number, single in enumerate(singles, start=1):
        if single is not None:
            yield single, f"028000{number:02X}"


IDENTIFIERS: Mapping[str, str] = MappingProxyType(dict([*_energies(), *_demands(), *_variables()]))
"""The data identifier of each quantity that is one item of one reply."""

_QUANTITIES: Mapping[str, str] = MappingProxyType({di: key for key, di in IDENTIFIERS.items()})

OCCURRED = "_occurred_at"


def quantity_of(di: str) -> str | None:
    """The quantity that a data identifier is, or None: a block, a frozen value, a parameter.

    >>> quantity_of("00010000"), quantity_of("0001FF00")
    ('active_energy_import', None)
    """
    return _QUANTITIES.get(di.upper())


def identifiers_of(quantity: str) -> tuple[str, ...]:
    """The data identifiers that must be read for a quantity; empty when the protocol has none.

    >>> identifiers_of("clock")
    ('04000101', '04000102')
    """
    if quantity == CLOCK:
        return (CLOCK_DATE, CLOCK_TIME)
    di = IDENTIFIERS.get(quantity.replace(OCCURRED, ""))
    return () if di is None or (OCCURRED in quantity and not di.startswith("01")) else (di,)


class ReadRequest:
    """One data identifier, or a block of them, read for some quantities."""

    def __init__(self, address: str, di: str, *, quantities: tuple[str, ...], zone: ZoneInfo) -> None:
        self.address = address
        self.key = di
        self.quantities = quantities
        self.exchange = ReadExchange(address, di)
        self._zone = zone

    @property
    def parts(self) -> Sequence[Request]:
        """A block's items, each asked alone."""
        if not is_block(self.key):
            return ()
        wanted: dict[str, list[str]] = {}
        for quantity in self.quantities:
            for di in identifiers_of(quantity):
                wanted.setdefault(di, []).append(quantity)
        return [
            ReadRequest(self.address, di, quantities=tuple(keys), zone=self._zone)
            for di, keys in wanted.items()
        ]

    def measured(self, at: datetime) -> list[Measured]:
        """The wanted values of the reply; an absent phase (all FFH) is none."""
        found = []
        for item in self.exchange.values:
            quantity = quantity_of(item.identifier)
            if quantity in self.quantities and isinstance(item.value, Decimal):
                found.append(Measured(quantity, item.value))
            occurred = f"{quantity}{OCCURRED}"
            if occurred in self.quantities and item.occurred_at is not None:
                instant = resolve(item.occurred_at, self._zone, near=at)
                found += [] if instant is None else [Measured(occurred, seconds(instant))]
        return found


class ClockRequest:
    """The meter's clock, from its date and its time of day."""

    quantities = (CLOCK,)
    parts: Sequence[Request] = ()

    def __init__(self, key: str, exchange: "ClockExchange", *, zone: ZoneInfo) -> None:
        self.key = key
        self.exchange = exchange
        self._zone = zone

    def measured(self, at: datetime) -> list[Measured]:
        """The clock as an instant; none when midnight came while it was read."""
        stamp = self.exchange.stamp()
        instant = None if stamp is None else resolve(stamp, self._zone, near=at)
        return [] if instant is None else [Measured(CLOCK, seconds(instant))]


class ReadingsInTurn:
    """Several readings as one conversation."""

    def __init__(self, readings: Sequence[ReadExchange | ReadExchange1997]) -> None:
        self._readings = readings
        self._step = 0

    @property
    def subject(self) -> str:
        """What is asked, for errors."""
        return self._readings[self._step].subject

    @property
    def request(self) -> bytes | None:
        """The bytes to send now; None when the conversation is over."""
        return self._readings[self._step].request

    @property
    def strays(self) -> list[Any]:
        """Frames that did not answer."""
        return [stray for reading in self._readings for stray in reading.strays]

    def feed(self, chunk: bytes, /) -> bool:
        """Take received bytes; True once the outstanding request is answered."""
        answered = self._readings[self._step].feed(chunk)
        if self.request is None and self._step < len(self._readings) - 1 and self._goes_on():
            self._step += 1
        return answered

    def restart(self) -> None:
        """Forget half a reply."""
        self._readings[self._step].restart()

    def _goes_on(self) -> bool:
        """Whether what was read so far makes the next reading worth asking for."""
        return True


class ClockExchange(ReadingsInTurn):
    """Time of day, date, and time of day once more.

    Date and time are two identifiers. The date stands between two times of day: when the second is earlier than
    the first, midnight came between them and the date may be that of either day. The last reply is the time of
    day, so that the clock is compared with the moment at which it was told.
    """

    def stamp(self) -> datetime | None:
        """The meter's clock (its naive civil time) at the last reply; None when midnight came between."""
        before, day, after = (str(reading.values[0].value) for reading in self._readings)
        if after < before:
            return None
        try:
            return datetime.strptime(day[:6] + after, "%y%m%d%H%M%S")  # noqa: DTZ007 - a meter's clock has no zone
        except ValueError:
            raise BodyError(self._readings[1].di, f"the clock shows {day} {after}") from None


def clock_exchange(address: str) -> ClockExchange:
    """The clock of a meter of 2007."""
    return ClockExchange([ReadExchange(address, di) for di in (CLOCK_TIME, CLOCK_DATE, CLOCK_TIME)])


class Dlt645Driver:
    """The driver of DL/T 645-2007 meters."""

    protocol: str = PROTOCOL
    errors: type[Exception] = Dlt645Error

    def __init__(self, commander: Commander | None = None, pasts: Sequence[Past] = ()) -> None:
        self.commander = commander
        self.pasts = pasts

    def for_model(self, model: str) -> "Dlt645Driver":  # noqa: ARG002 - the standard is the same for all
        """The same driver for all: identifiers do not depend on the model."""
        return self

    def supports(self, quantity: str) -> bool:
        """Whether the standard has an identifier for this quantity."""
        return bool(identifiers_of(quantity))

    def brings(self, key: str) -> tuple[str, ...]:
        """The quantity of an identifier that is no block."""
        if key == CLOCK_TIME:
            return (CLOCK,)
        name = quantity_of(key)
        return () if name is None else (name,)

    def plan(
        self, address: str, quantities: Iterable[str], *, zone: ZoneInfo, refused: Collection[str] = ()
    ) -> list[Request]:
        """The fewest requests that bring these quantities, without those that the meter is known to refuse.

        >>> driver = Dlt645Driver()
        >>> wanted = ["voltage_l1", "voltage_l2", "voltage_l3", "active_energy_import"]
        >>> [request.key for request in driver.plan("000000000161", wanted, zone=ZoneInfo("Asia/Shanghai"))]
        ['00010000', '0201FF00']
        """
        names = frozenset(quantities)
        steps = _steps(names - {CLOCK}, frozenset(refused))
        planned: list[Request] = [
            ReadRequest(address, di, quantities=brought, zone=zone) for di, brought in steps
        ]
        if CLOCK in names and CLOCK_TIME not in refused:
            planned.append(ClockRequest(CLOCK_TIME, clock_exchange(address), zone=zone))
        return planned

    def is_refusal(self, error: Exception) -> bool:
        """Whether the meter answered with an error reply."""
        return isinstance(error, (MeterRefused, AuthenticationFailed))

    def is_unsupported(self, error: Exception) -> bool:
        """Whether the error reply says "no such data"."""
        return isinstance(error, MeterRefused) and bool(error.bits & _NO_SUCH_DATA)


@lru_cache(maxsize=1024)
def _steps(names: frozenset[str], refused: frozenset[str]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Which identifiers to read, each with the quantities it brings; a refused block is read item by item."""
    by_item: dict[str, list[str]] = {}
    for name in sorted(names):
        for di in identifiers_of(name):
            by_item.setdefault(di, []).append(name)
    asked = []
    for di in plan_reads(sorted(by_item.keys() - refused)):
        items = [item for item in by_item if covers(di, item)]
        groups = [[item] for item in items if item not in refused] if di in refused else [items]
        for group in groups:
            key = group[0] if di in refused else di
            asked.append((key, tuple(name for item in group for name in by_item[item])))
    return tuple(asked)


def is_block(di: str) -> bool:
    """Whether an identifier asks for a group of values: FF in DI2, DI1 or DI0 (§6.3)."""
    return "FF" in (di[2:4], di[4:6], di[6:8])


def covers(di: str, item: str) -> bool:
    """Whether the reply to `di` brings `item`.

    >>> covers("0201FF00", "02010200"), covers("02010100", "02010200")
    (True, False)
    """
    return all(asked in ("FF", wanted) for asked, wanted in zip(_bytes(di), _bytes(item), strict=True))


def _bytes(di: str) -> tuple[str, ...]:
    return di[0:2], di[2:4], di[4:6], di[6:8]


def seconds(instant: datetime) -> Decimal:
    """An instant as the store keeps it: seconds since 1970 UTC."""
    return Decimal((instant - _EPOCH) // timedelta(seconds=1))
