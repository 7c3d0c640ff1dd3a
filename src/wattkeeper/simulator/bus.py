"""Several meters on one half-duplex line."""

import random
from collections.abc import Iterable
from itertools import zip_longest

from wattkeeper.protocols.dlt645.frames import BROADCAST, Frame
from wattkeeper.protocols.dlt645.meter import AnsweringSide, MeterSide
from wattkeeper.protocols.dlt645.meter_1997 import MeterSide1997
from wattkeeper.simulator.device import VirtualMeter
from wattkeeper.simulator.faults import Emission
from wattkeeper.simulator.modbus import VirtualModbusMeter

PREAMBLE = 4
"""FEH before a reply, as most meters send them."""
_IDLE = 0xFF
_CHECKSUM = -2
_READDRESSING = (0x04, 0x0A, 0x14, 0x15)  # writes, which may change an address


class VirtualBus:
    """Meters in parallel on two wires: each hears everything and answers for itself only.

    Args:
        meters: who hangs on it; two may share an address when one replaces the other.
        modbus: meters on the same wires that speak Modbus RTU.
        echo: the adapter hears what the master says and hands it back.
        seed: of the faults.

    """

    def __init__(
        self,
        meters: Iterable[VirtualMeter],
        *,
        modbus: Iterable[VirtualModbusMeter] = (),
        echo: bool = False,
        seed: int = 1,
    ) -> None:
        self.meters = list(meters)
        self.modbus = list(modbus)
        self.echo = echo
        self._sides = [(meter, _side(meter)) for meter in self.meters]
        self._by_address: dict[str, list[tuple[VirtualMeter, AnsweringSide]]] = {}
        self._index()
        self._dice = random.Random(seed)  # noqa: S311 -- faults have to repeat, not to be secret

    def _index(self) -> None:
        self._by_address.clear()
        for meter, side in self._sides:
            self._by_address.setdefault(meter.address, []).append((meter, side))

    def answers(self, request: Frame, *, baud: int | None = None) -> list[Emission]:
        """What is heard after a request; nothing when nobody is meant, or whoever is meant is dead.

        ``baud`` is the line's speed, where it has one: a meter told to use another one (17H) hears nothing. [bit/s]
        """
        everyone = request.address == BROADCAST or "A" in request.address
        asked = self._sides if everyone else self._by_address.get(request.address, [])
        replies = []
        for meter, side in asked:
            if (
                meter.is_present
                and not meter.is_silent
                and meter.orders.baud in (None, baud or meter.orders.baud)
            ):
                reply = side.answer(request)
                if reply is not None:
                    replies.append((meter, reply.encode(PREAMBLE)))
        if request.function in _READDRESSING:
            self._index()
        if not replies:
            return []
        if len(replies) > 1:
            return [Emission(0.0, _collision([reply for _, reply in replies]))]
        [(meter, octets)] = replies
        return meter.faults.apply(octets, self._dice)


def _side(meter: VirtualMeter) -> AnsweringSide:
    return MeterSide1997(meter) if meter.spec.edition == 1997 else MeterSide(meter)  # noqa: PLR2004


def _collision(replies: list[bytes]) -> bytes:
    """What two wires make of several voices: a 0 wins over a 1, and no sound frame comes out."""
    heard = bytearray(replies[0])
    for reply in replies[1:]:
        heard = bytearray(one & other for one, other in zip_longest(heard, reply, fillvalue=_IDLE))
    if sum(heard[PREAMBLE:_CHECKSUM]) & 0xFF == heard[_CHECKSUM]:
        heard[_CHECKSUM] ^= _IDLE
    return bytes(heard)
