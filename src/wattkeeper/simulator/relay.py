"""The switch inside a meter and what it was told about it (1CH, State Grid supplement)."""

from collections.abc import Callable
from dataclasses import dataclass, field

_TRIP, _CLOSE_ALLOWED, _CLOSE = 0x1A, 0x1B, 0x1C
_ALARM, _ALARM_OFF, _KEEP_POWER, _KEEP_POWER_OFF = 0x2A, 0x2B, 0x3A, 0x3B
_OPEN, _ORDERED_OPEN, _ALARMED, _KEEPS_POWER = 0x0010, 0x0040, 0x0080, 0x1000  # bits of status word 3


@dataclass(slots=True)
class Relay:
    """A relay that opens on command and closes on command, or by the key once that is allowed.

    Attributes:
        on_open, on_close: called when it moves, with the operator whose order it follows.
        is_open: no power behind the meter.
        ordered_open: the last order was to trip.
        alarm: the customer is warned of a trip.
        keeps_power: trips are refused.

    """

    on_open: Callable[[bytes], None]
    on_close: Callable[[bytes], None]
    is_open: bool = False
    ordered_open: bool = False
    alarm: bool = False
    keeps_power: bool = False
    _operator: bytes = field(default=bytes(4))

    def obey(self, action: int, operator: bytes) -> bool:
        """Carry out N1 of 1CH; False when it will not: an unknown action, or a trip while it keeps power."""
        if action == _TRIP:
            if self.keeps_power:
                return False
            self.ordered_open = True
            self._open(operator)
        elif action == _CLOSE_ALLOWED:
            self.ordered_open = False
            self._operator = operator
        elif action == _CLOSE:
            self.ordered_open = False
            self._close(operator)
        elif action in (_ALARM, _ALARM_OFF):
            self.alarm = action == _ALARM
        elif action in (_KEEP_POWER, _KEEP_POWER_OFF):
            self.keeps_power = action == _KEEP_POWER
        else:
            return False
        return True

    def press_key(self) -> None:
        """Somebody presses the key on the meter: it closes if that is allowed."""
        if not self.ordered_open:
            self._close(self._operator)

    @property
    def word(self) -> int:
        """Its bits of status word 3."""
        bits = ((self.is_open, _OPEN), (self.ordered_open, _ORDERED_OPEN))
        more = ((self.alarm, _ALARMED), (self.keeps_power, _KEEPS_POWER))
        return sum(bit for state, bit in (*bits, *more) if state)

    def _open(self, operator: bytes) -> None:
        if not self.is_open:
            self.is_open = True
            self.on_open(operator)

    def _close(self, operator: bytes) -> None:
        if self.is_open:
            self.is_open = False
            self.on_close(operator)
