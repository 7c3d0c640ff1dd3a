"""What a meter writes down about what was done to it: family 0330, and trips and closings 1D, 1E."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from wattkeeper.simulator.bcd import bcd

PROGRAMMED, METER_CLEARED, DEMANDS_CLEARED, EVENTS_CLEARED, CLOCK_SET = (
    f"0330{number:02X}" for number in range(5)
)
TRIPPED, CLOSED = "1D0001", "1E0001"
_LASTING = (METER_CLEARED, EVENTS_CLEARED)  # what nobody can clear
_KEPT = {TRIPPED: 1, CLOSED: 1}  # records; of the others 10
_COUNTS = {"1D000001": TRIPPED, "1E000001": CLOSED}


@dataclass(slots=True)
class Journal:
    """Records by kind, the newest first, and how many there ever were."""

    _records: dict[str, deque[bytes]] = field(default_factory=dict)
    _counts: dict[str, int] = field(default_factory=dict)

    def add(self, kind: str, parts: Iterable[bytes]) -> None:
        """Write down one event; ``parts`` are its fields in wire order."""
        records = self._records.setdefault(kind, deque(maxlen=_KEPT.get(kind, 10)))
        records.appendleft(b"".join(parts))
        self._counts[kind] = self._counts.get(kind, 0) + 1

    def read(self, di: str) -> bytes | None:
        """A count, or the record so many events back; None when there is none."""
        if di in _COUNTS or (di.startswith("0330") and di[6:] == "00"):
            return bcd(self._counts.get(_COUNTS.get(di, di[:6]), 0), 3)
        records = self._records.get(di[:6], ())
        back = int(di[6:], 16)
        return records[back - 1] if 1 <= back <= len(records) else None

    def clear(self, di: str) -> None:
        """Forget the events of an identifier (its last byte FF), or all with FFFFFFFF."""
        for kind in [kind for kind in self._records if di in ("FFFFFFFF", f"{kind}FF")]:
            if kind not in _LASTING:
                del self._records[kind], self._counts[kind]
