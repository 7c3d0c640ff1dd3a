"""Virtual Modbus meters: the registers of a map, filled by a virtual meter that counts a load."""

from collections.abc import Iterable, Mapping
from decimal import Decimal

from wattkeeper.protocols.dlt645.values import decode_body
from wattkeeper.protocols.modbus.errors import RequestError
from wattkeeper.protocols.modbus.frames import Frame, RtuReader
from wattkeeper.protocols.modbus.maps import Detection, Register, RegisterMap
from wattkeeper.protocols.modbus.meter import (
    ILLEGAL_ADDRESS,
    ILLEGAL_FUNCTION,
    ILLEGAL_VALUE,
    MeterSide,
    Refusal,
)
from wattkeeper.protocols.modbus.units import factor
from wattkeeper.protocols.modbus.values import reorder
from wattkeeper.simulator.device import VirtualMeter
from wattkeeper.simulator.faults import Emission

_PHASES = ("_l1", "_l2", "_l3")
_TARIFFS = ("", "_t1", "_t2", "_t3", "_t4")
# Of a DL/T 645 meter: the block, the quantities in it in their order, and their unit.
_BLOCKS = (
    ("0000FF00", [f"active_energy{tariff}" for tariff in _TARIFFS], "kWh"),
    ("0001FF00", [f"active_energy_import{tariff}" for tariff in _TARIFFS], "kWh"),
    ("0002FF00", [f"active_energy_export{tariff}" for tariff in _TARIFFS], "kWh"),
    ("0003FF00", [f"reactive_energy_combined1{tariff}" for tariff in _TARIFFS], "kvarh"),
    ("0004FF00", [f"reactive_energy_combined2{tariff}" for tariff in _TARIFFS], "kvarh"),
    ("0201FF00", [f"voltage{phase}" for phase in _PHASES], "V"),
    ("0202FF00", [f"current{phase}" for phase in _PHASES], "A"),
    ("0203FF00", [f"active_power{phase}" for phase in ("", *_PHASES)], "kW"),
    ("0204FF00", [f"reactive_power{phase}" for phase in ("", *_PHASES)], "kvar"),
    ("0205FF00", [f"apparent_power{phase}" for phase in ("", *_PHASES)], "kVA"),
    ("0206FF00", [f"power_factor{phase}" for phase in ("", *_PHASES)], ""),
    ("02800002", ["frequency"], "Hz"),
    ("02800004", ["active_demand_import"], "kW"),
)


class VirtualModbusMeter:
    """A meter that speaks Modbus.

    It answers as strictly as real ones do: a register that its map does not have is exception 02, unless the map says
    that such may be read over (they are 0), and a request longer than the map allows is exception 03.

    Args:
        unit: its address on the line.
        register_map: what it has where.
        counting: what it measures and counts.

    Attributes:
        dead: it never answers.
        slow: it answers later than it should. [s]
        lacking: addresses that it refuses although its map has them.
        written: what was written to it, by address.

    """

    def __init__(self, unit: int, register_map: RegisterMap, counting: VirtualMeter) -> None:
        self.unit = unit
        self.map = register_map
        self.counting = counting
        self.dead = False
        self.slow = 0.0
        self.lacking: set[int] = set()
        self.written: dict[int, int] = {}
        self._image: dict[tuple[int, int], bytes] = {}
        self._second = -1
        self._expected = {each.register.span: _expected(each) for each in register_map.detection}
        self._side = MeterSide(self)

    def answer(self, request: Frame) -> Frame | None:
        """The reply to a request for this unit; None from a dead meter."""
        return None if self.dead else self._side.answer(request)

    def quantities(self) -> dict[str, tuple[Decimal, str]]:
        """What it measures now: value and unit of each quantity."""
        found: dict[str, tuple[Decimal, str]] = {}
        for di, keys, unit in _BLOCKS:
            body = self.counting.read(di, b"")
            assert isinstance(body, bytes)
            # An absent phase is all ones there and no item here, but the phases present come first.
            values = [item.value for item in decode_body(di, body)]
            found |= {
                key: (value, unit)
                for key, value in zip(keys, values, strict=False)
                if isinstance(value, Decimal)
            }
        return found

    # -- what MeterSide asks

    def read_words(self, function: int, address: int, count: int) -> bytes:
        """Registers as they are now."""
        if count > self.map.limits.largest:
            raise Refusal(ILLEGAL_VALUE)
        image = self._registers()
        words = []
        for place in range(address, address + count):
            word = image.get((function, place))
            if place in self.lacking or (word is None and not self.map.limits.read_over):
                raise Refusal(ILLEGAL_ADDRESS)
            words.append(word or b"\0\0")
        return b"".join(words)

    def write_words(self, address: int, octets: bytes) -> None:
        """Keep what is written, for who looks; measured registers stay what they are."""
        for place in range(0, len(octets), 2):
            self.written[address + place // 2] = int.from_bytes(octets[place : place + 2])

    def read_bits(self, function: int, address: int, count: int) -> tuple[bool, ...]:
        """A meter without coils."""
        del function, address, count
        raise Refusal(ILLEGAL_FUNCTION)

    def write_bits(self, address: int, states: tuple[bool, ...]) -> None:
        """A meter without coils."""
        del address, states
        raise Refusal(ILLEGAL_FUNCTION)

    def read_file(self, file: int, record: int, words: int) -> bytes:
        """A meter without files."""
        del file, record, words
        raise Refusal(ILLEGAL_FUNCTION)

    def identification(self) -> Mapping[int, str]:
        """Who it pretends to be."""
        return {0: self.map.maker, 1: self.map.models[0], 2: "simulated"}

    def _registers(self) -> Mapping[tuple[int, int], bytes]:
        """Every register by function and address, filled anew once a second, as meters do it."""
        second = int(self.counting.clock.now().timestamp())
        if second != self._second:
            self._second = second
            measured = self.quantities()
            registers = [*self.map.registers, *self.map.details]
            for register in registers:
                self._fill(register, _content(register, measured, serial=self.unit))
            for span, octets in self._expected.items():
                for place in range(span.start, span.end):
                    at = 2 * (place - span.start)
                    self._image[span.function, place] = octets[at : at + 2]
        return self._image

    def _fill(self, register: Register, octets: bytes) -> None:
        start = register.span.start
        for place in range(register.words):
            self._image[register.span.function, start + place] = octets[2 * place : 2 * place + 2]


class ModbusEar:
    """What the Modbus meters on a line make of its bytes; those of other protocols pass them by."""

    def __init__(self, meters: Iterable[VirtualModbusMeter]) -> None:
        self._meters = {meter.unit: meter for meter in meters}
        self._reader = RtuReader("request")

    def hear(self, chunk: bytes) -> list[Emission]:
        """The answers to what a chunk completes."""
        emissions = []
        for event in self._reader.feed(chunk):
            if isinstance(event, Frame) and (meter := self._meters.get(event.unit)) is not None:
                reply = meter.answer(event)
                if reply is not None:
                    emissions.append(Emission(meter.slow, reply.encode()))
        return emissions

    def silence(self) -> None:
        """The line fell silent: half a request is none."""
        self._reader.flush()


def _content(register: Register, measured: Mapping[str, tuple[Decimal, str]], *, serial: int) -> bytes:
    """The bytes of one register."""
    if register.key == "serial_number":
        return register.encode(Decimal(serial))
    if register.kind == "string":
        return register.encode("SIM")
    if register.key not in measured:
        absent = next(iter(register.not_available), None)
        return register.encode(Decimal(0)) if absent is None else absent
    value, unit = measured[register.key]
    size = factor(unit, register.unit)
    assert size is not None
    try:
        return register.encode(value * size)
    except RequestError:  # more than the register can tell: meters stay at the end of their scale
        ones = b"\xff" * (2 * register.words)
        return reorder(b"\x7f" + ones[1:] if register.kind.startswith("int") else ones, register.order)


def _expected(detection: Detection) -> bytes:
    """What a detection register has to say for this to be the meter it is."""
    value = detection.equals[0] if detection.equals else detection.least
    assert value is not None
    return detection.register.encode(value)
