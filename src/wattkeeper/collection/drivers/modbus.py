"""Modbus: which registers are which quantity, by the meter's register map, and what a meter's answers become."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from zoneinfo import ZoneInfo

from wattkeeper.collection.drivers.base import Commander, Measured, Past, Request
from wattkeeper.collection.drivers.modbus_maps import map_named
from wattkeeper.protocols.modbus.coalescing import coalesce, span_of, walls, whole
from wattkeeper.protocols.modbus.errors import MeterRefused, ModbusError
from wattkeeper.protocols.modbus.frames import Framing
from wattkeeper.protocols.modbus.maps import Register, RegisterMap
from wattkeeper.protocols.modbus.master import ReadRegisters
from wattkeeper.protocols.modbus.units import factor
from wattkeeper.readings.quantities import QUANTITIES

__all__ = [
    "MODBUS_RTU",
    "MODBUS_TCP",
    "ModbusDriver",
    "ModbusDrivers",
    "ModbusRequest",
    "converted",
]

MODBUS_RTU, MODBUS_TCP = "modbus-rtu", "modbus-tcp"
_STORED = Decimal("0.0001")
_UNSUPPORTED = (0x01, 0x02, 0x03)
"""Exceptions that will be the same tomorrow: no such function, no such register, not so many at once."""


def converted(register: Register, value: Decimal) -> Decimal:
    """A register's value in the catalogue's unit, with the four decimals that the store keeps."""
    size = factor(register.unit, QUANTITIES[register.key].unit)
    assert size is not None  # `modbus_maps` has checked it
    return (value * size).quantize(_STORED)


class ModbusRequest:
    """Some registers in a row, read with one request."""

    def __init__(self, unit: int, registers: Sequence[Register], framing: Framing) -> None:
        self._unit = unit
        self._registers = tuple(registers)
        self._framing: Framing = framing
        self._span = whole([register.span for register in registers])
        self.key = self._span.key
        self.quantities = tuple(register.key for register in registers)
        self.exchange = ReadRegisters(
            unit,
            self._span.start,
            self._span.end - self._span.start,
            function=self._span.function,
            framing=framing,
        )

    @property
    def parts(self) -> Sequence[Request]:
        """Its halves: one bad register among forty is found with a dozen requests."""
        middle = len(self._registers) // 2
        if not middle:
            return ()
        halves = self._registers[:middle], self._registers[middle:]
        return [ModbusRequest(self._unit, half, self._framing) for half in halves]

    def contents(self) -> list[tuple[Register, Decimal | int | str | None]]:
        """Every register with what it says in its own unit; None for "no value"."""
        octets, start = self.exchange.octets, self._span.start
        return [
            (
                register,
                register.decode(octets[2 * (register.span.start - start) : 2 * (register.span.end - start)]),
            )
            for register in self._registers
        ]

    def measured(self, at: datetime) -> list[Measured]:  # noqa: ARG002 - a register is worth the moment of its answer
        """The values of the answer; what the meter marks as not available is none."""
        return [
            Measured(register.key, converted(register, value))
            for register, value in self.contents()
            if isinstance(value, Decimal)
        ]


class ModbusDriver:
    """The driver of the meters of one register map."""

    errors: type[Exception] = ModbusError
    pasts: Sequence[Past] = ()
    """None: what Modbus meters remember, each keeps in its own way."""
    commander: Commander | None = None

    def __init__(self, register_map: RegisterMap, protocol: str) -> None:
        self.protocol = protocol
        self.map = register_map
        self._framing: Framing = "tcp" if protocol == MODBUS_TCP else "rtu"
        self._registers = {register.key: register for register in register_map.registers}
        self._by_span = {register.span: register for register in register_map.registers}
        self._groups = lru_cache(maxsize=256)(self._coalesced)

    def supports(self, quantity: str) -> bool:
        """Whether the map has a register for this quantity."""
        return quantity in self._registers

    def brings(self, key: str) -> tuple[str, ...]:
        """The quantity of a request for one register."""
        span = span_of(key)
        register = None if span is None else self._by_span.get(span)
        return () if register is None else (register.key,)

    def plan(
        self,
        address: str,
        quantities: Iterable[str],
        *,
        zone: ZoneInfo,  # noqa: ARG002 - its registers have no times
        refused: Collection[str] = (),
    ) -> list[Request]:
        """The fewest requests that the meter allows, around what it is known to refuse."""
        groups = self._groups(frozenset(quantities), frozenset(refused))
        return [ModbusRequest(int(address), group, self._framing) for group in groups]

    def is_refusal(self, error: Exception) -> bool:
        """Whether the meter answered with an exception."""
        return isinstance(error, MeterRefused)

    def is_unsupported(self, error: Exception) -> bool:
        """Whether the exception will be the same tomorrow."""
        return isinstance(error, MeterRefused) and error.code in _UNSUPPORTED

    def _coalesced(self, names: frozenset[str], refused: frozenset[str]) -> tuple[tuple[Register, ...], ...]:
        """The registers of each request."""
        spans = {self._registers[name].span for name in names if name in self._registers}
        ranges = [span for key in refused if (span := span_of(key)) is not None]
        groups = coalesce(spans, self.map.limits, refused=walls(ranges, self._by_span))
        return tuple(tuple(self._by_span[span] for span in group) for group in groups)


class ModbusDrivers:
    """The drivers of one framing, one for each register map; a meter's model is the name of its map."""

    commander: Commander | None = None

    def __init__(self, protocol: str, maps: Mapping[str, RegisterMap]) -> None:
        self.protocol = protocol
        self._maps = maps
        self._drivers: dict[str, ModbusDriver] = {}

    def for_model(self, model: str) -> ModbusDriver:
        """The driver of a map; raises UnknownMap."""
        if model not in self._drivers:
            self._drivers[model] = ModbusDriver(map_named(model, self._maps), self.protocol)
        return self._drivers[model]
