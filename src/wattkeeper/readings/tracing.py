"""Where the energy of an interval comes from: the readings at its two ends, as derivation takes them.

The trace asks the same functions as derivation (`registers.collect` says which readings are trusted and what each
stands for), so that it cannot tell another story than the one that gave the number.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final, Literal

import numpy as np

from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.readings.batches import microseconds
from wattkeeper.readings.boundaries import AT_BOUNDARY
from wattkeeper.readings.registers import FOREVER, UNIT, Group, Registers, collect
from wattkeeper.readings.store import ReadingsStore
from wattkeeper.readings.surroundings import Span
from wattkeeper.registry.values import InstalledMeter

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
Ground = Literal["read", "between", "before", "after", "nothing"]


@dataclass(frozen=True, slots=True)
class Mark:
    """A register that is trusted: what it stood at, and what that stands for."""

    at: datetime
    """In true time."""
    stamp: datetime
    """As it is kept: what the meter stamped, whose clock may have been off."""
    register: Decimal
    """As the meter showed it, or as it was noted."""
    energy: Decimal
    """Rollovers unrolled and the ratio applied [kWh]; differences of it are energy."""
    noted: bool
    """Written down when the meter was put up or taken down, and not read."""


@dataclass(frozen=True, slots=True)
class End:
    """The register at one end of a part: the one that was read there, or those it lies between."""

    at: datetime
    ground: Ground
    marks: tuple[Mark, ...]
    energy: Decimal | None
    """At the end itself [kWh]; None where only one side is known."""


@dataclass(frozen=True, slots=True)
class Part:
    """What one installation contributes to an interval."""

    installed: InstalledMeter
    begin: End
    finish: End
    rollovers: int
    """How often the register ran over between the readings at its ends."""

    @property
    def energy(self) -> Decimal | None:
        """The difference of its ends [kWh]."""
        if self.begin.energy is None or self.finish.energy is None:
            return None
        return self.finish.energy - self.begin.energy


def trace_interval(
    store: ReadingsStore, installed: Sequence[InstalledMeter], quantity: str, interval: TimeRange
) -> list[Part]:
    """The parts of an interval of a point, in order of time; ``installed`` are all installations of the point."""
    return [
        part
        for meter in installed
        if (shared := meter.period.intersection(interval)) is not None
        for part in [_part(store, meter, quantity, shared)]
    ]


def _part(store: ReadingsStore, meter: InstalledMeter, quantity: str, shared: TimeRange) -> Part:
    group = Group(meter, quantity)
    ceiling = FOREVER if meter.period.end is None else group.end
    span = Span(
        meter.meter_id,
        quantity,
        microseconds(shared.start),
        microseconds(shared.closed_end),
        group.start,
        ceiling,
    )
    kept = store.surroundings.of([span]).readings
    # Derivation moves stamps of a clock that was off to true time; the trace leads to the reading as it is kept.
    readings = store.offsets.corrected(kept.append_column("kept_at", kept["read_at"])).readings
    shown = {
        microseconds(row["read_at"]): (row["kept_at"], row["value"])
        for row in readings.select(["read_at", "kept_at", "value"]).to_pylist()
    }
    noted = {at: Decimal(value) / UNIT for at, value in group.noted}
    registers = collect(readings, [group])
    marks = [
        Mark(
            _EPOCH + timedelta(microseconds=at),
            shown[at][0] if at in shown else _EPOCH + timedelta(microseconds=at),
            noted[at] if at in noted else shown[at][1],
            Decimal(energy) / UNIT,
            at in noted,
        )
        for at, energy in zip(registers.at.tolist(), registers.energy.tolist(), strict=True)
    ]
    begin, finish = _end(marks, shared.start), _end(marks, shared.closed_end)
    return Part(meter, begin, finish, _rollovers(registers, begin, finish))


def _end(marks: Sequence[Mark], at: datetime) -> End:
    """The register at a boundary: read within 30 s of it, else between its neighbours."""
    before = [mark for mark in marks if mark.at <= at]
    after = [mark for mark in marks if mark.at > at]
    near = min([*before[-1:], *after[:1]], key=lambda mark: abs(mark.at - at), default=None)
    if near is not None and abs(near.at - at) <= timedelta(microseconds=AT_BOUNDARY):
        return End(at, "read", (near,), near.energy)
    if before and after:
        return End(at, "between", (before[-1], after[0]), None)
    if before:
        return End(at, "before", (before[-1],), None)
    return End(at, "after" if after else "nothing", tuple(after[:1]), None)


def _rollovers(registers: Registers, begin: End, finish: End) -> int:
    """How many confirmed rollovers lie between the outer readings of two ends."""
    if not begin.marks or not finish.marks:
        return 0
    first, last = (
        int(np.searchsorted(registers.at, microseconds(mark.at)))
        for mark in (begin.marks[0], finish.marks[-1])
    )
    return int(registers.rolled[last] - registers.rolled[first])
