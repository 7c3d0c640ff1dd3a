"""A virtual meter: what it answers for every identifier it knows (DL/T 645-2007 annex A)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np

from wattkeeper.simulator.bcd import bcd, minutes
from wattkeeper.simulator.clock import Clock, civil_seconds, civil_time
from wattkeeper.simulator.edition1997 import in_words_of_2007, read_1997
from wattkeeper.simulator.electrics import Electrics, Snapshot
from wattkeeper.simulator.faults import Faults
from wattkeeper.simulator.freezes import FreezeMemory
from wattkeeper.simulator.loads import SLOT, Floats, Integers, Load
from wattkeeper.simulator.memory import LoadMemory
from wattkeeper.simulator.meter_clock import MeterClock
from wattkeeper.simulator.orders import Orders
from wattkeeper.simulator.past import Past
from wattkeeper.simulator.registers import TARIFFS, Register, tariff_of
from wattkeeper.simulator.spec import MeterSpec, parameters

_SETTLEMENTS = 12
_ALL = "FF"
_ENERGY_OF = {"01": "import", "02": "export", "03": "reactive_1", "04": "reactive_2"} | {
    f"{4 + quadrant:02X}": f"q{quadrant}" for quadrant in range(1, 5)
}
_DEMAND_OF = {"01": "import", "02": "export"}
_QUADRANTS = ("q1", "q2", "q3", "q4")
_WORD_3, _WORDS = "000503", "0005FF"


@dataclass(slots=True, eq=False)
class VirtualMeter:
    """A meter that knows its whole life: everything is computed from its load and the time.

    Attributes:
        spec: what it is.
        load: what it counts.
        clock: the world's time.
        faults: what is wrong with it; may be replaced at any time.
        present_from, present_until: when it hangs on the wall (aware UTC), for a meter exchange.
        silent_since: from when on it answers no more (aware UTC), though it may well go on counting.

    """

    spec: MeterSpec
    load: Load
    clock: Clock
    faults: Faults = field(default_factory=Faults)
    present_from: datetime | None = None
    present_until: datetime | None = None
    silent_since: datetime | None = None
    _registers: dict[str, Register] = field(init=False)
    _electrics: Electrics = field(init=False)
    _meter_clock: MeterClock = field(init=False)
    _memory: LoadMemory = field(init=False)
    _past: Past = field(init=False, default_factory=Past)
    _freezes: FreezeMemory = field(init=False)
    orders: Orders = field(init=False)
    _measured: tuple[float, Snapshot] | None = field(init=False, default=None)
    _families: dict[str, Callable[[str, bytes], bytes | Sequence[bytes] | None]] = field(init=False)

    def __post_init__(self) -> None:
        spec = self.spec
        phase = spec.seed % 97 / 97 * 2 * np.pi
        self._electrics = Electrics(
            self.load,
            kind=spec.kind,
            seed=spec.seed,
            phases=spec.phases,
            phase=phase,
            supply=spec.supply_voltage,
            past=self._past,
        )
        energies = {
            "import": self.load.taken,
            "export": self.load.given,
            "q1": self._electrics.reactive_energy,
            "nothing": _no_energy,
        }
        first_slot, since = divmod(civil_seconds(spec.installed), SLOT)
        counters = {
            name: Register(
                energy,
                first_slot=int(first_slot),
                passed=since / SLOT,
                first=spec.first_register * 100 if name == "import" else 0,
                modulus=spec.register_modulus * 100,
                phase=phase,
                past=self._past,
            )
            for name, energy in energies.items()
        }
        nothing = counters["nothing"]
        # Combined reactive 1 is QI + QIV, 2 is QII + QIII: an inductive customer lives in QI.
        self._registers = counters | {
            "reactive_1": counters["q1"],
            "reactive_2": nothing,
            "q2": nothing,
            "q3": nothing,
            "q4": nothing,
        }
        self._meter_clock = MeterClock(spec.clock_offset)
        self._memory = LoadMemory(
            registers=self._registers,
            electrics=self._electrics,
            clock=self._meter_clock,
            days=spec.record_days,
            installed=civil_seconds(spec.installed),
            phases=spec.phases,
        )
        self._freezes = FreezeMemory(
            registers=self._registers,
            clock=self._meter_clock,
            demands=lambda name, start, end: self._largest(name, range(TARIFFS + 1), start, end),
            powers=self._powers,
        )
        self.orders = Orders(
            spec,
            now=self._now,
            memory=self,
            clock=self._meter_clock,
            past=self._past,
            freezes=self._freezes,
        )
        self._families = {
            "00": lambda di, _: self._energy(di),
            "01": lambda di, _: self._demand(di),
            "02": lambda di, _: self._variable(di),
            "03": lambda di, _: self.orders.journal.read(di),
            "04": lambda di, _: self._parameter(di[2:]),
            "05": lambda di, _: self._freezes.read(
                di, shown=self._meter_clock.label(self._now()), oldest=self._oldest
            ),
            "06": lambda di, tail: self._memory.read(di, tail, now=self._now(), oldest=self._past.cleared_at),
            "1D": lambda di, _: self.orders.journal.read(di),
            "1E": lambda di, _: self.orders.journal.read(di),
        }

    # -- what MeterSide asks

    @property
    def address(self) -> str:
        """The 12 digits of its address, which a command may change."""
        return self.orders.address

    def read(self, di: str, tail: bytes) -> bytes | Sequence[bytes] | None:
        """The data of an identifier in wire order; None when the meter knows no such thing."""
        family = self._families.get(di[:2])
        return None if family is None else family(di, tail)

    def set_time(self, at: datetime) -> None:
        """A broadcast time has come."""
        self._meter_clock.follow_broadcast(civil_seconds(at), self._now())

    def execute(self, function: int, body: bytes) -> bytes | int:
        """Any other command: the data of the reply, or the ERR bits of a refusal."""
        return self.orders.execute(function, body)

    def read_1997(self, di: str) -> bytes | None:
        """The data of an identifier of the 1997 edition."""
        return read_1997(di, self.read)

    def execute_1997(self, function: int, body: bytes) -> bytes | int:
        """A command of the 1997 edition."""
        return self.orders.execute(*in_words_of_2007(function, body))

    # -- what its orders ask

    def energies(self) -> bytes:
        """Forward, reverse and QI to QIV totals now."""
        now = self._now()
        return b"".join(bcd(self._registers[name].at(now), 4) for name in ("import", "export", *_QUADRANTS))

    def demands(self) -> bytes:
        """The largest forward and reverse demand of this period."""
        start, now = self._settlement(1), self._now()
        return b"".join(self._largest(name, (0,), start, now) for name in ("import", "export"))

    # -- what tests and worlds ask

    @property
    def is_present(self) -> bool:
        """Whether it hangs on the wall now."""
        if self.present_from is None and self.present_until is None:
            return True
        now = self.clock.now()
        return (self.present_from is None or self.present_from <= now) and (
            self.present_until is None or now < self.present_until
        )

    @property
    def is_silent(self) -> bool:
        """Whether it hangs there and does not answer."""
        return self.faults.dead or (self.silent_since is not None and self.silent_since <= self.clock.now())

    def recorded(self, labels: Floats) -> Integers:
        """The forward register in its load records of these times by its own clock, in 0.01 kWh."""
        return self._registers["import"].at_many(self._meter_clock.moments(labels))

    def register(self, at: datetime, name: str = "import") -> int:
        """What a counter shows at a moment (aware UTC), in 0.01 kWh."""
        return self._registers[name].at(at.timestamp() + self.spec.utc_offset.total_seconds())

    def press_key(self) -> None:
        """Somebody stands before it and presses its key: a relay that may be closed closes."""
        self.orders.relay.press_key()

    def drift(self, seconds: float) -> None:
        """Its clock has run ahead by so much, or behind, since one looked last."""
        self._meter_clock.offset += seconds

    @property
    def is_tripped(self) -> bool:
        """Whether its relay is open."""
        return self.orders.relay.is_open

    def local_time(self) -> datetime:
        """What its clock shows now."""
        return civil_time(self._meter_clock.label(self._now()))

    # -- the families of identifiers

    def _now(self) -> float:
        """Now, in true civil seconds."""
        return self.clock.now().timestamp() + self.spec.utc_offset.total_seconds()

    def _energy(self, di: str) -> bytes | None:
        """Family 00: registers now and at the last settlements."""
        if di[4:] == "0000" and di[2:4] in _ENERGY_OF:  # by far the most read: without numpy's overhead
            return bcd(self._registers[_ENERGY_OF[di[2:4]]].at(self._now()), 4)
        moments = self._settlement_moments(di[6:])
        if moments is None:
            return None
        rates = [self._rates(di[2:4], moment) for moment in moments]
        chosen = _chosen_tariffs(di[4:6])
        if chosen is None or rates[0] is None or (len(moments) > 1 and len(chosen) > 1):
            return None
        return b"".join(bcd(row[number], 4) for row in rates if row is not None for number in chosen)

    def _rates(self, kind: str, moment: float) -> tuple[int, ...] | None:
        """Total and tariffs; combined active energy (00) counts what was taken and what was given back."""
        if kind == "00":
            taken, given = (self._registers[name].rates_at(moment) for name in ("import", "export"))
            return tuple(one + other for one, other in zip(taken, given, strict=True))
        name = _ENERGY_OF.get(kind)
        return None if name is None else self._registers[name].rates_at(moment)

    def _settlement_moments(self, which: str) -> list[float] | None:
        """00 is now, 01 the last first of the month at 00:00 by the meter's clock, FF all thirteen."""
        now = self._now()
        if which == "00":
            return [now]
        if which == _ALL:
            return [now, *(self._settlement(number) for number in range(1, _SETTLEMENTS + 1))]
        number = int(which, 16)
        return [self._settlement(number)] if number <= _SETTLEMENTS else None

    def _settlement(self, number: int) -> float:
        shown = self.local_time()
        month = shown.year * 12 + shown.month - number
        return self._moment_of(civil_seconds(datetime(month // 12, month % 12 + 1, 1)))  # noqa: DTZ001

    def _moment_of(self, label: float) -> float:
        return float(self._meter_clock.moments(np.array([label]))[0])

    def _demand(self, di: str) -> bytes | None:
        """Family 01: the largest quarter hour of a settlement period, and when it ended."""
        chosen = _chosen_tariffs(di[4:6])
        name = _DEMAND_OF.get(di[2:4])
        if chosen is None or name is None or int(di[6:], 16) > _SETTLEMENTS:
            return None
        number = int(di[6:], 16)
        end = self._settlement(number) if number else self._now()
        return self._largest(name, chosen, self._settlement(number + 1), end)

    def _largest(self, name: str, tariffs: Sequence[int], start: float, end: float) -> bytes:
        start = max(start, self._past.demands_cleared_at) if end >= self._past.demands_cleared_at else start
        slots: Integers = np.arange(int(-(-start // SLOT)), int(end // SLOT), dtype=np.int64)
        means = self._registers[name].mean_power(slots)
        found = b""
        for tariff in tariffs:
            eligible = means if tariff == 0 else np.where(tariff_of(slots) == tariff, means, 0)
            if eligible.max(initial=0) == 0:
                found += bytes(8)
                continue
            at = int(eligible.argmax())
            ended = civil_time(self._meter_clock.label((int(slots[at]) + 1) * SLOT))
            found += bcd(int(eligible[at]), 3) + minutes(ended)
        return found

    def _variable(self, di: str) -> bytes | None:
        """Family 02: what is measured now."""
        measured = self._snapshot()
        if di[2:4] == "80":
            return self._single_variables(measured).get(di[4:])
        # Values, bytes of each, the lowest DI1 (0 where there is a total), and whether they have a sign.
        known: dict[str, tuple[Integers, int, int, bool]] = {
            "01": (measured.voltage, 2, 1, False),
            "02": (measured.current, 3, 1, True),
            "03": (measured.active, 3, 0, True),
            "04": (measured.reactive, 3, 0, True),
            "05": (measured.apparent, 3, 0, True),
            "06": (measured.factor, 2, 0, True),
        }
        if di[6:] != "00" or di[2:4] not in known:
            return None
        values, size, first, signed = known[di[2:4]]
        return self._phases(di[4:6], values, size, first=first, signed=signed)

    def _phases(
        self, which: str, values: Integers, size: int, *, first: int, signed: bool = False
    ) -> bytes | None:
        """One phase (or the total, where there is one), or with FF all of them; absent phases are all FF."""
        row = values[0]
        known = range(first, first + len(row))
        asked = known if which == _ALL else (int(which, 16),)
        if not all(phase in known for phase in asked):
            return None
        return b"".join(
            bcd(int(row[phase - first]), size, signed=signed) if phase <= self.spec.phases else b"\xff" * size
            for phase in asked
        )

    def _single_variables(self, measured: Snapshot) -> dict[str, bytes]:
        """0280 0001 .. 000A: neutral current, frequency, mean power and demands, temperature, batteries."""
        last_slot = np.array([int(self._now() // SLOT) - 1])
        active, reactive = (int(self._registers[name].mean_power(last_slot)[0]) for name in ("import", "q1"))
        return {
            "0001": bcd(0, 3),
            "0002": bcd(int(measured.frequency[0]), 2),
            "0003": bcd(int(measured.active[0, 0]), 3, signed=True),
            "0004": bcd(active, 3),
            "0005": bcd(reactive, 3),
            "0006": bcd(int(measured.apparent[0, 0]), 3),
            "0007": bcd(231, 2),
            "0008": bcd(360, 2),
            "0009": bcd(360, 2),
            "000A": bcd(0, 4),
        }

    def _snapshot(self) -> Snapshot:
        """What is measured now, once a second as meters do it."""
        second = float(int(self._now()))
        if self._measured is None or self._measured[0] != second:
            self._measured = (second, self._electrics.measure(np.array([second])))
        return self._measured[1]

    def _parameter(self, name: str) -> bytes | None:
        """Family 04: as written, as its state is, or as it left its maker."""
        orders = self.orders
        known = parameters(self.spec, self.local_time())
        changed = {_WORD_3: orders.word_3, _WORDS: bytes(4) + orders.word_3 + bytes(8)}
        if orders.address != self.spec.address:
            changed["000401"] = bytes.fromhex(orders.address)[::-1]
        return (known | orders.written | changed).get(name)

    @property
    def _oldest(self) -> float:
        """Where its memory begins, by its clock."""
        return max(civil_seconds(self.spec.installed), self._meter_clock.label(self._past.cleared_at))

    def _powers(self, moment: float) -> bytes:
        """P total, A, B, C and Q total, A, B, C."""
        measured = self._electrics.measure(np.array([moment]))
        blocks = [
            self._phases(_ALL, values, 3, first=0, signed=True)
            for values in (measured.active, measured.reactive)
        ]
        return b"".join(block for block in blocks if block is not None)


def _chosen_tariffs(which: str) -> Sequence[int] | None:
    if which == _ALL:
        return range(TARIFFS + 1)
    number = int(which, 16)
    return (number,) if number <= TARIFFS else None


def _no_energy(slots: Integers) -> Integers:
    return np.zeros(len(slots), dtype=np.int64)
