"""A meter's own clock: off by some seconds, and corrected by a broadcast when the standard allows it."""

from dataclasses import dataclass, field

import numpy as np

from wattkeeper.simulator.loads import Floats

_BROADCAST_REACH = 300.0  # a broadcast sets clocks that are less than 5 minutes off, DL/T 645-2007 §7.1.4 [s]
_DAY = 86_400.0


@dataclass(slots=True)
class MeterClock:
    """Translates between true civil seconds (*moments*) and what the meter's clock shows (*labels*).

    Attributes:
        offset: how far the clock is ahead of the truth now. [s]

    """

    offset: float = 0.0
    _was: float = 0.0
    _set_at: float = field(default=-np.inf)

    def label(self, moment: float) -> float:
        """What the clock shows at a moment."""
        return moment + (self._was if moment < self._set_at else self.offset)

    def moments(self, labels: Floats) -> Floats:
        """When the clock showed these labels; what it recorded before it was set keeps its old labels."""
        return labels - np.where(labels < self._set_at + self._was, self._was, self.offset)

    def follow_broadcast(self, shown: float, moment: float) -> bool:
        """Take over a broadcast time unless it is 5 minutes or more away, or the clock was set today."""
        before = self.label(moment)
        if abs(shown - before) >= _BROADCAST_REACH or before // _DAY == self.label(self._set_at) // _DAY:
            return False
        self.set(shown, moment)
        return True

    def set(self, shown: float, moment: float) -> None:
        """Show this time from a moment on; what was recorded before keeps its labels."""
        self._was, self.offset, self._set_at = self.offset, shown - moment, moment
