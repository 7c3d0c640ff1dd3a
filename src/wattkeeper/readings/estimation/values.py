"""What estimation takes and gives: batches of gaps of equal length, as arrays."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Gaps:
    """Some gaps of equally many slots, each with its surroundings and its like days; all energies in one unit.

    Along the last axis lie ``before`` slots before the gap, those of the gap, and the rest after it. What is not known
    is nan, and so are the slots of the gap.
    """

    surroundings: Floats
    """[gap, slot] the energy of each slot."""
    history: Floats
    """[gap, day, slot] the energy of the same clock time some days away."""
    weight: Floats
    """[gap, day, slot] how much a day counts: its likeness and recency."""
    covered: Floats
    """[gap, slot of the gap] the part of each slot that lies in the gap, above 0 and up to 1."""
    total: Floats
    """[gap] the energy between the two registers at the ends; nan where the gap is open."""
    before: int
    slots_per_hour: float

    @property
    def slots(self) -> int:
        """How many slots each gap has."""
        return int(self.covered.shape[1])

    @property
    def inside(self) -> slice:
        """The slots of the gap among all."""
        return slice(self.before, self.before + self.slots)


@dataclass(frozen=True, slots=True)
class Estimates:
    """The estimated course of each gap, in the unit of what was given."""

    known: Flags
    """[gap] whether there were days enough to estimate from."""
    energy: Floats
    """[gap, slot] the energy of the covered part of each slot; where there is a total, they add up to it."""
    error: Floats
    """[gap, slot] half the width of the band in which the true energy lies nine times out of ten."""
