"""When a meter did not count: while its relay was open, and before it was cleared."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from wattkeeper.simulator.loads import Floats


@dataclass(slots=True)
class Past:
    """What commands did to a meter's counting; shared by all its registers. Moments are civil seconds.

    Attributes:
        outages: periods in which its relay was open, half-open; the last may have no end yet (infinity).
        cleared_at: when its energies were set to 0 (1AH).
        demands_cleared_at: when its demands of the present period were (19H).

    """

    outages: list[tuple[float, float]] = field(default_factory=list)
    cleared_at: float = -np.inf
    demands_cleared_at: float = -np.inf

    @property
    def is_plain(self) -> bool:
        """Whether it has counted all its life."""
        return not self.outages and self.cleared_at == -np.inf

    def open_relay(self, moment: float) -> None:
        """From now on nothing flows."""
        self.outages.append((moment, np.inf))

    def close_relay(self, moment: float) -> None:
        """From now on it flows again."""
        began, _ = self.outages[-1]
        self.outages[-1] = (began, moment)

    def without_power(self, moments: Floats) -> npt.NDArray[np.bool_]:
        """At which moments the relay was open."""
        found = np.zeros(len(moments), dtype=np.bool_)
        for began, ended in self.outages:
            found |= (began <= moments) & (moments < ended)
        return found
