"""Reading types and qualities as IEC 61968-9 codes them, which Green Button (ESPI) shares; both ways.

A reading type is what a value is, as eighteen numbers with points between (IEC 61968-9:2013 annex C). The numbers of the
ESPI schema 4.0 (NAESB REQ.21) are the same ones. A catalogue entry has its numbers from its OBIS code: group C says
direction and phase, group D whether it is an energy, a sample or a demand, group E the tariff.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from wattkeeper.readings.quantities import QUANTITIES, Quantity
from wattkeeper.readings.schemas import IntervalStatus, ReadingStatus

SECONDARY: Final = 1
"""Commodity: electricity, metered on the secondary side; 2 is the primary side, and is read as the same."""
ELECTRICITY: Final = frozenset({0, 1, 2})
MAXIMUM: Final = 8
"""Aggregate (ESPI: data qualifier) of a maximum demand."""


class Accumulation(IntEnum):
    """How a value comes to be."""

    NONE = 0
    BULK = 1
    CONTINUOUS_CUMULATIVE = 2
    CUMULATIVE = 3
    DELTA = 4
    INDICATING = 6
    SUMMATION = 9
    INSTANTANEOUS = 12


REGISTERS: Final = frozenset(
    {Accumulation.BULK, Accumulation.CONTINUOUS_CUMULATIVE, Accumulation.CUMULATIVE, Accumulation.SUMMATION}
)
"""What a register shows."""

_UNITS: Final = {
    "kWh": (72, 3), "kvarh": (73, 3), "kVAh": (71, 3), "V": (29, 0), "A": (5, 0), "kW": (38, 3), "kvar": (63, 3),
    "kVA": (61, 3), "Hz": (33, 0), "°": (9, 0), "°C": (23, 0), "min": (159, 0), "": (65, 0), "%": (65, -2),
}  # fmt: skip
"""Unit of measure and multiplier of the catalogue's units; what has none is a ratio."""
_MEASURING_PERIODS: Final = {1: 3, 5: 6, 10: 1, 15: 2, 20: 31, 30: 5, 60: 7, 1440: 4}
"""Of intervals of so many minutes."""
MINUTES: Final = {code: minutes for minutes, code in _MEASURING_PERIODS.items()}

# OBIS group C below 20 as flow direction and, for samples and energies apart, kind of measurement.
_FLOWS: Final = {1: 1, 2: 19, 3: 5, 4: 13, 5: 15, 6: 16, 7: 17, 8: 18, 9: 1, 10: 19, 15: 20, 16: 4}
_KINDS: Final = {11: 4, 12: 54, 13: 38, 14: 15}
_POWER_FLOWS: Final = {3: 4, 9: 0}
"""Of samples: a reactive power has a sign, an apparent one has not."""
_PHASES: Final = (0, 128, 64, 32)


@dataclass(frozen=True, slots=True)
class ReadingType:
    """The numbers that say what a value is."""

    accumulation: int
    flow: int
    commodity: int
    kind: int
    unit: int
    multiplier: int
    phase: int = 0
    tou: int = 0
    aggregate: int = 0
    measuring_period: int = 0

    @property
    def mrid(self) -> str:
        """As IEC 61968-9 writes it."""
        return ".".join(
            map(
                str,
                (
                    0, self.aggregate, self.measuring_period, int(self.accumulation), self.flow, self.commodity, self.kind,
                    0, 0, 0, 0, self.tou, 0, 0, self.phase, self.multiplier, self.unit, 0,
                ),
            )
        )  # fmt: skip

    @classmethod
    def of_mrid(cls, text: str) -> "ReadingType | None":
        """Read from its eighteen numbers; None when they are not."""
        if not re.fullmatch(r"-?\d{1,5}(\.-?\d{1,5}){17}", text.strip()):
            return None
        n = [int(part) for part in text.strip().split(".")]
        return cls(
            accumulation=n[3], flow=n[4], commodity=n[5], kind=n[6], unit=n[16], multiplier=n[15], phase=n[14],
            tou=n[11], aggregate=n[1], measuring_period=n[2],
        )  # fmt: skip


def reading_type(key: str, *, minutes: int | None = None) -> ReadingType | None:
    """The type of a quantity's readings, or of its energies over so many minutes; None where there is no code for it."""
    base = _BY_KEY.get(key)
    if base is None:
        return None
    accumulation, flow, kind, unit, multiplier, phase, tou, aggregate = base
    period = 0
    if minutes is not None:
        accumulation, period = Accumulation.DELTA, _MEASURING_PERIODS.get(minutes, 0)
    return ReadingType(accumulation, flow, SECONDARY, kind, unit, multiplier, phase, tou, aggregate, period)


def quantity_of(found: ReadingType) -> tuple[str, int] | None:
    """The catalogue's key for a type, and by which power of ten its values are multiplied; None where there is none."""
    if found.commodity not in ELECTRICITY:
        return None
    flows = (found.flow, *_ALSO_FLOWS.get(found.kind, {}).get(found.flow, ()))
    kinds = (found.kind, *_ALSO_KINDS.get(found.kind, ()))
    for kind in kinds:
        for flow in flows:
            key = _BY_CODE.get((kind, flow, found.unit, _phase(found.phase), found.tou, found.aggregate))
            if key is not None:
                return key, found.multiplier - _UNITS[QUANTITIES[key].unit][1]
    return None


_ALSO_FLOWS: Final[dict[int, dict[int, tuple[int, ...]]]] = {
    37: {0: (4,), 1: (4, 0)},
    54: {1: (0,)},
    4: {1: (0,)},
    38: {1: (0,), 4: (0,)},
    15: {1: (0,)},
    12: {0: (1,)},
}
"""Flows that senders give where ours is another: a forward power is the positive part of ours."""
_ALSO_KINDS: Final[dict[int, tuple[int, ...]]] = {164: (12,), 8: (37,), 155: (12,)}
"""164: reactive energy in the 2013 edition; a demand of the present moment is a power to some."""


def _phase(phase: int) -> int:
    """Without its neutral: a voltage of L1 to neutral is the voltage of L1."""
    return {129: 128, 65: 64, 33: 32, 224: 0, 225: 0, 769: 0, 768: 0}.get(phase, phase)


def _code(entry: Quantity) -> tuple[int, int, int, int, int, int, int, int] | None:
    found = re.fullmatch(r"1-0:(\d+)\.([4678])\.(\d+)", entry.obis)
    unit = _UNITS.get(entry.unit)
    if found is None or unit is None or entry.kind == "moment":
        return None
    group, integral, rate = (int(part) for part in found.groups())
    base, phase = (group - 1) % 20 + 1, (group - 1) // 20
    if phase >= len(_PHASES) or (entry.kind != "register" and base in {15, 16} and integral != 7):  # noqa: PLR2004
        return None
    accumulation, aggregate, tou = Accumulation.INSTANTANEOUS, 0, rate
    match integral:
        case 8:
            kind, accumulation = 12, Accumulation.BULK
        case 7:
            kind = _KINDS.get(base, 37)
        case 6:
            kind, accumulation, aggregate = 8, Accumulation.INDICATING, MAXIMUM
        case _:
            kind, accumulation = 8, Accumulation.INDICATING
    flow = 0 if base in _KINDS else _FLOWS.get(base)
    if kind == 37:  # noqa: PLR2004 (power)
        flow, tou = _POWER_FLOWS.get(base, flow), 0
    if flow is None:
        return None
    return accumulation, flow, kind, *unit, _PHASES[phase], tou, aggregate


def _codes() -> Iterator[tuple[str, tuple[int, int, int, int, int, int, int, int]]]:
    taken: set[tuple[int, ...]] = set()
    for entry in QUANTITIES.values():
        code = _code(entry)
        if (
            code is not None and code[1:] not in taken
        ):  # where two have one code, the first of the catalogue has it
            taken.add(code[1:])
            yield entry.key, code


_BY_KEY: Final = dict(_codes())
_BY_CODE: Final = {
    (kind, flow, unit, phase, tou, aggregate): key
    for key, (_, flow, kind, unit, _, phase, tou, aggregate) in _BY_KEY.items()
}
CODED: Final = frozenset(_BY_KEY)
"""The quantities that have a reading type."""


class Quality(IntEnum):
    """What is known about a value (ESPI: quality of reading; IEC 61968-9: category of a quality code)."""

    VALID = 0
    EDITED = 7
    ESTIMATED = 8
    INTERPOLATED = 9
    QUESTIONABLE = 10
    DERIVED = 11


_METHOD_QUALITIES: Final = {
    "edited": Quality.EDITED, "linear": Quality.INTERPOLATED, "profile": Quality.ESTIMATED, "history": Quality.ESTIMATED,
    "peers": Quality.DERIVED,
}  # fmt: skip
_ESTIMATES: Final = frozenset({8, 9, 11, 12, 13, 15})
_DOUBTS: Final = frozenset({1, 3, 5, 6, 10, 16})


def quality_of_interval(method: str, status: int) -> Quality:
    """The quality of an energy."""
    if method in _METHOD_QUALITIES:
        return _METHOD_QUALITIES[method]
    return Quality.ESTIMATED if status & IntervalStatus.ESTIMATED else Quality.VALID


def quality_of_reading(source: str, status: int) -> Quality:
    """The quality of a reading."""
    if source == "edited":
        return Quality.EDITED
    return Quality.QUESTIONABLE if status else Quality.VALID


def status_of(quality: int, *, interval: bool) -> int:
    """What a quality says against a value, as our own flags; what somebody else entered is an estimate to us."""
    if interval:
        return int(IntervalStatus.ESTIMATED) if quality in _ESTIMATES | _DOUBTS | {Quality.EDITED} else 0
    return int(ReadingStatus.SUSPECT) if quality in _ESTIMATES | _DOUBTS else 0


def in_iec(quality: Quality) -> str:
    """As IEC 61968-9 writes a quality of a system that manages meter data: system, category, index."""
    return f"3.{'8' if quality in {Quality.ESTIMATED, Quality.INTERPOLATED} else int(quality)}.0"


def iec_category(text: str) -> int:
    """The category of a quality code; one that is none is questionable."""
    parts = text.strip().split(".")
    return int(parts[1]) if len(parts) == 3 and parts[1].isdecimal() else int(Quality.QUESTIONABLE)  # noqa: PLR2004
