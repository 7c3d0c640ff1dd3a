"""The load records of a meter: quarter-hour blocks, computed when they are asked for (DL/T 645-2007 annex B)."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from wattkeeper.simulator.bcd import bcd_columns
from wattkeeper.simulator.clock import civil_seconds, civil_time
from wattkeeper.simulator.electrics import Electrics
from wattkeeper.simulator.loads import SLOT, Floats, Integers
from wattkeeper.simulator.meter_clock import MeterClock
from wattkeeper.simulator.registers import Register

Octets = npt.NDArray[np.uint8]
ALL_CLASSES = range(1, 7)
_ENERGIES = {4: ("import", "export", "reactive_1", "reactive_2"), 5: ("q1", "q2", "q3", "q4")}
_SEPARATOR = 0xAA
_FIRST_PIECE, _NEXT_PIECE = 196, 195  # room in a frame behind the identifier, and SEQ [bytes]
_N_ONLY, _N_AND_TIME = 1, 6  # bytes behind the identifier of a request


class LoadMemory:
    """What a meter remembers of each quarter hour by its own clock.

    Args:
        registers: the counters, by name.
        electrics: the measured values.
        clock: the meter's.
        days: how far back it remembers. [d]
        installed: when it began to count (civil seconds).
        phases: 1 or 3; absent phases are filled with FF.

    """

    def __init__(
        self,
        *,
        registers: dict[str, Register],
        electrics: Electrics,
        clock: MeterClock,
        days: int,
        installed: float,
        phases: int,
    ) -> None:
        self._registers = registers
        self._electrics = electrics
        self._clock = clock
        self._depth = days * 86_400
        self._installed = installed
        self._phases = phases
        self._contents: dict[int, Callable[[Floats], Octets]] = {
            1: self._voltages,
            2: self._powers,
            3: self._factors,
            4: lambda moments: self._energies(4, moments),
            5: lambda moments: self._energies(5, moments),
            6: self._demands,
        }

    def read(self, di: str, tail: bytes, *, now: float, oldest: float = -np.inf) -> Sequence[bytes] | None:
        """The reply to 06cc0000 (earliest), 06cc0001 (from a time on), 06cc0002 (latest), cut into frames.

        ``oldest`` is when the meter was cleared. None when there is no such identifier or the request is not one; no match is one empty piece.
        """
        number = int(di[2:4], 16)
        if number > max(ALL_CLASSES) or di[4:6] != "00" or di[6:] not in {"00", "01", "02"}:
            return None
        if len(tail) != (_N_AND_TIME if di[6:] == "01" else _N_ONLY) or not tail[:1].hex().isdecimal():
            return None
        labels = self._labels(di[6:], tail, now, max(self._installed, oldest))
        if len(labels) == 0:
            return [b""]
        return _in_frames(self._blocks(labels, ALL_CLASSES if number == 0 else (number,)))

    def _labels(self, way: str, tail: bytes, now: float, oldest: float) -> Floats:
        """The quarter hours asked for, of those there are, oldest first."""
        count = int(tail[:1].hex())
        shown = self._clock.label(now)
        last = int(shown // SLOT)
        first = int(-(-max(shown - self._depth, self._clock.label(oldest)) // SLOT))
        match way:
            case "00":
                begin = first
            case "01":
                asked = _asked_time(tail[1:])
                begin = last + 1 if asked is None else max(first, int(-(-asked // SLOT)))
            case _:
                begin = max(first, last - count + 1)
        return np.arange(begin, min(begin + count, last + 1), dtype=np.float64) * SLOT

    def _blocks(self, labels: Floats, classes: Sequence[int]) -> Octets:
        moments = self._clock.moments(labels)
        parts: list[Octets] = [_times(labels)]
        separator = np.full((len(labels), 1), _SEPARATOR, dtype=np.uint8)
        for number in ALL_CLASSES:
            if number in classes:
                parts.append(self._contents[number](moments))
            parts.append(separator)
        content = np.concatenate(parts, axis=1)
        head = np.tile(np.array([0xA0, 0xA0, content.shape[1]], dtype=np.uint8), (len(labels), 1))
        body = np.concatenate([head, content], axis=1)
        checksum = body.sum(axis=1, dtype=np.uint64).astype(np.uint8)[:, None]
        return np.concatenate([body, checksum, np.full_like(separator, 0xE5)], axis=1)

    def _voltages(self, moments: Floats) -> Octets:
        measured = self._electrics.measure(moments)
        voltages = [self._phase(measured.voltage[:, phase], 2, phase) for phase in range(3)]
        currents = [self._phase(measured.current[:, phase], 3, phase, signed=True) for phase in range(3)]
        return np.concatenate([*voltages, *currents, bcd_columns(measured.frequency, 2)], axis=1)

    def _powers(self, moments: Floats) -> Octets:
        measured = self._electrics.measure(moments)
        columns = [
            self._phase(power[:, place], 3, place - 1, signed=True)
            for power in (measured.active, measured.reactive)
            for place in range(4)
        ]
        return np.concatenate(columns, axis=1)

    def _factors(self, moments: Floats) -> Octets:
        factor = self._electrics.measure(moments).factor
        return np.concatenate(
            [self._phase(factor[:, place], 2, place - 1, signed=True) for place in range(4)], axis=1
        )

    def _energies(self, number: int, moments: Floats) -> Octets:
        names = _ENERGIES[number]
        return np.concatenate(
            [bcd_columns(self._registers[name].at_many(moments), 4) for name in names], axis=1
        )

    def _demands(self, moments: Floats) -> Octets:
        before = np.floor(moments / SLOT).astype(np.int64) - 1
        means = [self._registers[name].mean_power(before) for name in ("import", "q1")]
        return np.concatenate([bcd_columns(mean, 3, signed=True) for mean in means], axis=1)

    def _phase(self, values: Integers, size: int, phase: int, *, signed: bool = False) -> Octets:
        if phase >= self._phases:
            return np.full((len(values), size), 0xFF, dtype=np.uint8)
        return bcd_columns(values, size, signed=signed)


def _times(labels: Floats) -> Octets:
    """The mm hh DD MM YY columns of labels."""
    days = (labels // 86_400).astype(np.int64)
    minutes = (labels % 86_400).astype(np.int64) // 60
    months = (days.astype("datetime64[D]")).astype("datetime64[M]")
    day = days - months.astype("datetime64[D]").astype(np.int64) + 1
    month, year = months.astype(np.int64) % 12 + 1, months.astype(np.int64) // 12 - 30
    fields = (minutes % 60, minutes // 60, day, month, year)
    return np.concatenate([bcd_columns(values, 1) for values in fields], axis=1)


def _asked_time(octets: bytes) -> float | None:
    """Civil seconds of mm hh DD MM YY; None when it is no time."""
    digits = octets[::-1].hex()
    try:
        year, month, day, hour, minute = (int(digits[at : at + 2]) for at in range(0, 10, 2))
        start = civil_time(0).replace(year=2000 + year, month=month, day=day, hour=hour, minute=minute)
    except ValueError:
        return None
    return civil_seconds(start)


def _in_frames(blocks: Octets) -> list[bytes]:
    """As many whole blocks in each frame as fit."""
    width = blocks.shape[1]
    first, following = max(1, _FIRST_PIECE // width), max(1, _NEXT_PIECE // width)
    octets = blocks.tobytes()
    cuts = [0, *range(first * width, len(octets), following * width), len(octets)]
    return [octets[start:end] for start, end in pairwise(cuts)]
