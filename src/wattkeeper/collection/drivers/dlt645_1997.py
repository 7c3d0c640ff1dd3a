"""DL/T 645-1997: which data identifier is which quantity, and what a meter's answers become.

An identifier is one value, a maximum demand and the time it occurred are two; a block ends in F. The edition has no load
record that a meter must have, so nothing here fetches the past, and no command to a relay.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from types import MappingProxyType
from zoneinfo import ZoneInfo

from wattkeeper.collection.civil import resolve
from wattkeeper.collection.drivers.base import CLOCK, Commander, Measured, Past, Request
from wattkeeper.collection.drivers.dlt645 import OCCURRED, ClockExchange, ClockRequest, seconds
from wattkeeper.protocols.dlt645.edition1997 import layout_of
from wattkeeper.protocols.dlt645.errors import Dlt645Error, MeterRefused
from wattkeeper.protocols.dlt645.master_1997 import ReadExchange1997

PROTOCOL_1997 = "dlt645-1997"
CLOCK_DATE, CLOCK_TIME = "C010", "C011"
"""Date and weekday YYMMDDWW, and time of day hhmmss, of the meter's clock (table A.5)."""
_NOT_THERE = 0x03
"""ERR b0 illegal data, b1 identifier: a read carries nothing but its identifier, so either is about that."""
_TARIFFS = ("", "_t1", "_t2", "_t3", "_t4")
_PHASES = ("_l1", "_l2", "_l3")
_AHEAD = timedelta(days=1)
"""How far a meter's clock may be ahead before a time without a year is taken for one of last year."""


def _counters() -> Iterator[tuple[str, str]]:
    """Energies 9xxx, maximum demands Axxx and their times Bxxx (tables A.1 to A.3): xx0 the total, xx1 to xx4 tariffs."""
    energies = {
        "active_energy_import": "901",
        "active_energy_export": "902",
        "reactive_energy_combined1": "911",  # "forward reactive": what the meter makes of its quadrants
        "reactive_energy_combined2": "912",  # "reverse reactive"
        "reactive_energy_q1": "913",
        "reactive_energy_q4": "914",
        "reactive_energy_q2": "915",
        "reactive_energy_q3": "916",
    }
    demands = {
        "active_demand_import": "01",
        "active_demand_export": "02",
        "reactive_demand_combined1": "11",
        "reactive_demand_combined2": "12",
    }
    for number, tariff in enumerate(_TARIFFS):
        for key, group in energies.items():
            yield f"{key}{tariff}", f"{group}{number}"
        for key, group in demands.items():
            yield f"{key}_max{tariff}", f"A{group}{number}"
            yield f"{key}_max{tariff}{OCCURRED}", f"B{group}{number}"


def _variables() -> Iterator[tuple[str, str]]:
    """Instantaneous values B6xx (table A.4): xx0 the total, xx1 to xx3 the phases."""
    for number, phase in enumerate(_PHASES, start=1):
        yield f"voltage{phase}", f"B61{number}"
        yield f"current{phase}", f"B62{number}"
    for key, group in (("active_power", "B63"), ("reactive_power", "B64"), ("power_factor", "B65")):
        for number, phase in enumerate(("", *_PHASES)):
            yield f"{key}{phase}", f"{group}{number}"
    yield "battery_use_time", "B214"


IDENTIFIERS_1997: Mapping[str, str] = MappingProxyType(dict([*_counters(), *_variables()]))
"""The data identifier of each quantity but the clock, which is two."""

_QUANTITIES: Mapping[str, str] = MappingProxyType({di: key for key, di in IDENTIFIERS_1997.items()})


class ReadRequest1997:
    """One data identifier, or a block of them, read for some quantities."""

    def __init__(self, address: str, di: str, *, quantities: tuple[str, ...], zone: ZoneInfo) -> None:
        self.address = address
        self.key = di
        self.quantities = quantities
        self.exchange = ReadExchange1997(address, di)
        self._zone = zone

    @property
    def parts(self) -> Sequence[Request]:
        """A block's items, each asked alone."""
        if self.key in _QUANTITIES:
            return ()
        return [
            ReadRequest1997(self.address, IDENTIFIERS_1997[key], quantities=(key,), zone=self._zone)
            for key in self.quantities
        ]

    def measured(self, at: datetime) -> list[Measured]:
        """The wanted values of the reply."""
        found = []
        for item in self.exchange.values:
            key = _QUANTITIES.get(item.identifier)
            if key not in self.quantities:
                continue
            if isinstance(item.value, Decimal):
                found.append(Measured(key, item.value))
            elif isinstance(item.value, str):
                instant = _latest(item.value, self._zone, before=at)
                found += [] if instant is None else [Measured(key, seconds(instant))]
        return found


def _latest(stamp: str, zone: ZoneInfo, *, before: datetime) -> datetime | None:
    """The last time (UTC) that the meter's clock showed MMDDhhmm; None for no time at all, such as all zeros.

    >>> _latest("12311545", ZoneInfo("Asia/Shanghai"), before=datetime.fromisoformat("2026-03-10T04:00Z")).isoformat()
    '2025-12-31T07:45:00+00:00'
    """
    year = before.astimezone(zone).year
    for candidate in (year + 1, year, year - 1):
        try:
            civil = datetime.strptime(f"{candidate:04d}{stamp}", "%Y%m%d%H%M")  # noqa: DTZ007 - the meter's own zone
        except ValueError:
            continue  # no time, or the 29th of February of another year
        instant = resolve(civil, zone, near=before)
        if instant is not None and instant <= before + _AHEAD:
            return instant
    return None


class Dlt645Driver1997:
    """The driver of DL/T 645-1997 meters."""

    protocol: str = PROTOCOL_1997
    errors: type[Exception] = Dlt645Error
    commander: Commander | None = None
    pasts: Sequence[Past] = ()

    def for_model(self, model: str) -> "Dlt645Driver1997":  # noqa: ARG002 - the standard is the same for all
        """The same driver for all: identifiers do not depend on the model."""
        return self

    def supports(self, quantity: str) -> bool:
        """Whether the standard has an identifier for this quantity."""
        return quantity == CLOCK or quantity in IDENTIFIERS_1997

    def brings(self, key: str) -> tuple[str, ...]:
        """The quantity of an identifier that is no block."""
        if key == CLOCK_TIME:
            return (CLOCK,)
        name = _QUANTITIES.get(key)
        return () if name is None else (name,)

    def plan(
        self, address: str, quantities: Iterable[str], *, zone: ZoneInfo, refused: Collection[str] = ()
    ) -> list[Request]:
        """The fewest requests that bring these quantities, without those that the meter is known to refuse.

        >>> driver = Dlt645Driver1997()
        >>> wanted = ["voltage_l1", "voltage_l2", "voltage_l3", "active_energy_import"]
        >>> [request.key for request in driver.plan("000000000414", wanted, zone=ZoneInfo("Asia/Shanghai"))]
        ['9010', 'B61F']
        """
        names = frozenset(quantities)
        planned: list[Request] = [
            ReadRequest1997(address, di, quantities=brought, zone=zone)
            for di, brought in _steps(names, frozenset(refused))
        ]
        if CLOCK in names and CLOCK_TIME not in refused:
            readings = [ReadExchange1997(address, di) for di in (CLOCK_TIME, CLOCK_DATE, CLOCK_TIME)]
            planned.append(ClockRequest(CLOCK_TIME, ClockExchange(readings), zone=zone))
        return planned

    def is_refusal(self, error: Exception) -> bool:
        """Whether the meter answered with an error reply."""
        return isinstance(error, MeterRefused)

    def is_unsupported(self, error: Exception) -> bool:
        """Whether the error reply says that the meter does not know the identifier."""
        return isinstance(error, MeterRefused) and bool(error.bits & _NOT_THERE)


@lru_cache(maxsize=1024)
def _steps(names: frozenset[str], refused: frozenset[str]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Which identifiers to read, each with the quantities it brings: a block for two or more of it."""
    groups: dict[str, list[str]] = {}
    for di in sorted(IDENTIFIERS_1997[name] for name in names if name in IDENTIFIERS_1997):
        if di not in refused:
            groups.setdefault(f"{di[:3]}F", []).append(di)
    asked: list[tuple[str, tuple[str, ...]]] = []
    for block, items in groups.items():
        if len(items) > 1 and block not in refused and layout_of(block) is not None:
            asked.append((block, tuple(_QUANTITIES[di] for di in items)))
        else:
            asked += [(di, (_QUANTITIES[di],)) for di in items]
    return tuple(asked)
