"""Who may change a meter."""

from collections.abc import Mapping
from dataclasses import dataclass, field

_TRIES = 5  # wrong ones in a row before it listens no more
_LOCKED = 86_400.0  # and for how long, by its own clock [s]


@dataclass(slots=True)
class Passwords:
    """One password for each level; 00 is the highest, 09 the lowest."""

    by_level: dict[int, str]
    _wrong: int = field(default=0)
    _locked_until: float = field(default=0.0)

    @classmethod
    def of(cls, printed: Mapping[int, str]) -> "Passwords":
        """As a new meter has them: passwords as people write them, P2 P1 P0."""
        return cls(dict(printed))

    def allow(self, octets: bytes, *, level: int, now: float) -> bool:
        """Whether PA P0 P1 P2 open this level at this time of the meter's clock."""
        if now < self._locked_until:
            return False
        if octets[0] <= level and self.by_level.get(octets[0]) == octets[3:0:-1].hex():
            self._wrong = 0
            return True
        self._wrong += 1
        if self._wrong >= _TRIES:
            self._wrong = 0
            self._locked_until = now + _LOCKED
        return False

    def change(self, octets: bytes) -> None:
        """A new password: PA P0 P1 P2."""
        self.by_level[octets[0]] = octets[3:0:-1].hex()
