"""The base of a batch: the values that both ends know from the batches before it."""

from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from wattkeeper.readings.transmission.container import NO_BASE
from wattkeeper.readings.transmission.identities import MeterIdentity
from wattkeeper.readings.transmission.numbers import Integers

LARGEST_BASE: Final = 1_000_000
"""Values that a base may hold; what comes behind a larger one is self-contained again."""
MOST_QUANTITIES: Final = 1 << 16


class Named(NamedTuple):
    """What the rows of a batch point to: what its base names, then what is new."""

    meters: tuple[MeterIdentity, ...]
    quantities: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Base:
    """The last value of each meter and quantity, as it is after a batch; both ends compute the same."""

    checksum: bytes = NO_BASE
    """Of the batch that made it; the batch's own base is under that checksum, and so on back."""
    meters: tuple[MeterIdentity, ...] = ()
    quantities: tuple[str, ...] = ()
    keys: Integers = field(default_factory=lambda: np.empty(0, np.int64))
    """Sorted: the place of a meter times 2**16 plus the place of a quantity."""
    units: Integers = field(default_factory=lambda: np.empty(0, np.int64))
    """The last values, in 0.0001 of the quantity's unit."""

    def value_of(self, keys: Integers) -> tuple[Integers, npt.NDArray[np.bool_]]:
        """The last values of some keys, and which of them there are."""
        if not len(self.keys):
            return np.zeros(len(keys), np.int64), np.zeros(len(keys), bool)
        at = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        known = self.keys[at] == keys
        return np.where(known, self.units[at], 0), known

    def after(self, checksum: bytes, more: Named, keys: Integers, units: Integers) -> "Base":
        """The base behind a batch, whose rows are in the order they were sent; no base where it grew too large."""
        joined = np.concatenate([self.keys, keys])
        latest, from_behind = np.unique(joined[::-1], return_index=True)
        if max(len(latest), len(more.meters)) > LARGEST_BASE:
            return EMPTY
        values = np.concatenate([self.units, units])[::-1][from_behind]
        return Base(checksum, more.meters, more.quantities, latest, values)


EMPTY: Final = Base()
"""No base: what rests on it is self-contained."""
