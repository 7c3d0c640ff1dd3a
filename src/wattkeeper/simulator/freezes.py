"""What a meter froze: daily and hourly by itself, timed and instant when told to (DL/T 645-2007 table A.6)."""

from collections import deque
from collections.abc import Callable, Iterator
from datetime import timedelta

import numpy as np

from wattkeeper.simulator.bcd import bcd, minutes
from wattkeeper.simulator.clock import civil_seconds, civil_time
from wattkeeper.simulator.loads import Floats
from wattkeeper.simulator.meter_clock import MeterClock
from wattkeeper.simulator.registers import Register

_ENERGIES = ("import", "export", "reactive_1", "reactive_2", "q1", "q2", "q3", "q4")
_ENERGY_OF = {f"{number:02X}": name for number, name in enumerate(_ENERGIES, 1)}
_DEMANDS = {"09": "import", "0A": "export"}
_ITEMS = ("00", *_ENERGY_OF, *_DEMANDS, "10")
_HOURLY_ITEMS = ("00", "01", "02")
_TIMED, _INSTANT, _HOURLY, _DAILY = "00", "01", "04", "06"
_KEPT = {_TIMED: 12, _INSTANT: 3, _HOURLY: 254, _DAILY: 62}
_NOW = "99999999"
_DAY, _HOUR = 86_400, 3_600
_LONGEST_STEP = 400 * 13  # days walked back for 13 freezes, a year apart at the most


class FreezeMemory:
    """Freezes, computed when they are asked for; only when they were is remembered.

    Args:
        registers: the counters, by name.
        clock: the meter's.
        demands: maximum demands of a direction between two moments, in wire order.
        powers: the powers at a moment, in wire order.

    """

    def __init__(
        self,
        *,
        registers: dict[str, Register],
        clock: MeterClock,
        demands: Callable[[str, float, float], bytes],
        powers: Callable[[float], bytes],
    ) -> None:
        self._registers = registers
        self._clock = clock
        self._demands = demands
        self._powers = powers
        self._instants: deque[float] = deque(maxlen=_KEPT[_INSTANT])  # labels, newest first
        self._pattern = ""
        self._since = 0.0

    def order(self, pattern: str, label: float) -> bool:
        """16H with MMDDhhmm, when the meter's clock shows ``label``; False when it is no time."""
        if pattern == _NOW:
            self._instants.appendleft(label)
            return True
        fields = [pattern[at : at + 2] for at in range(0, 8, 2)]
        limits = ((1, 12), (1, 31), (0, 23), (0, 59))
        given = [field != "99" for field in fields]
        if given != sorted(given) or not all(
            low <= int(field) <= high
            for field, (low, high) in zip(fields, limits, strict=True)
            if field != "99"
        ):
            return False
        self._pattern, self._since = pattern, label
        return True

    def forget(self) -> None:
        """The meter was cleared."""
        self._instants.clear()

    def read(self, di: str, *, shown: float, oldest: float) -> bytes | None:
        """Family 05; ``shown`` is what the clock shows, ``oldest`` when the meter's memory begins."""
        kind, item, back = di[2:4], di[4:6], int(di[6:], 16)
        items = _HOURLY_ITEMS if kind == _HOURLY else _ITEMS
        if not 1 <= back <= _KEPT.get(kind, 0) or item not in (*items, "FF"):
            return None
        label = self._label(kind, back, shown)
        if label is None or label < oldest:
            return None
        if item != "FF":
            return self._item(kind, item, label)
        return b"".join(self._item(kind, one, label) + b"\xaa" for one in items)[:-1]

    def _label(self, kind: str, back: int, shown: float) -> float | None:
        match kind:
            case "06":
                return (shown // _DAY - (back - 1)) * _DAY
            case "04":
                return (shown // _HOUR - (back - 1)) * _HOUR
            case "01":
                return self._instants[back - 1] if back <= len(self._instants) else None
            case _:
                found = (label for label in self._timed(shown) if self._since <= label <= shown)
                return next((label for number, label in enumerate(found, 1) if number == back), None)

    def _timed(self, shown: float) -> Iterator[float]:
        """The times of the pattern, newest first, as far back as it can matter."""
        if not self._pattern:
            return
        month, day, hour, minute = (self._pattern[at : at + 2] for at in range(0, 8, 2))
        if hour == "99":
            first = shown // _HOUR * _HOUR + int(minute) * 60
            yield from (first - number * _HOUR for number in range(_KEPT[_TIMED] + 1))
            return
        midnight = civil_time(shown // _DAY * _DAY)
        for number in range(_LONGEST_STEP):
            date = midnight - timedelta(days=number)
            if day in ("99", f"{date:%d}") and month in ("99", f"{date:%m}"):
                yield civil_seconds(date) + int(hour) * _HOUR + int(minute) * 60
            if civil_seconds(date) < self._since:
                return

    def _item(self, kind: str, item: str, label: float) -> bytes:
        moment = float(self._clock.moments(_one(label))[0])
        if item == "00":
            return minutes(civil_time(label))
        if item in _ENERGY_OF:
            register = self._registers[_ENERGY_OF[item]]
            if kind == _HOURLY:
                return bcd(register.at(moment), 4)
            return b"".join(bcd(value, 4) for value in register.rates_at(moment))
        if item in _DEMANDS:
            start = civil_time(label - 1).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
            since = float(self._clock.moments(_one(civil_seconds(start)))[0])
            return self._demands(_DEMANDS[item], since, moment)
        return self._powers(moment)


def _one(label: float) -> Floats:
    return np.array([label])
