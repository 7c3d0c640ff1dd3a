"""The answering side of DL/T 645-1997: what a meter of that edition does with the bytes it hears."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from wattkeeper.protocols.dlt645.frames import BROADCAST, Frame, matches_address
from wattkeeper.protocols.dlt645.meter import AnsweringSide, clock_of

__all__ = ["MeterDevice1997", "MeterSide1997"]

_PIECE = 198  # 200 data bytes less the identifier
_READ, _READ_NEXT, _READ_AGAIN, _WRITE, _TIME, _WRITE_ADDRESS = 0x01, 0x02, 0x03, 0x04, 0x08, 0x0A
_KNOWN = frozenset((_READ, _READ_NEXT, _READ_AGAIN, _WRITE, _WRITE_ADDRESS, 0x0C, 0x0F, 0x10))
_ERR_IDENTIFIER = 0x02


class MeterDevice1997(Protocol):
    """What `MeterSide1997` needs to know of the device behind it."""

    @property
    def address(self) -> str:
        """The 12 digits of the meter's address."""

    def read_1997(self, di: str) -> bytes | None:
        """The data of an identifier (wire order, a block closed by AA), None when there is no such identifier."""

    def set_time(self, at: datetime) -> None:
        """A broadcast time has come; whether to follow it is the device's decision."""

    def execute_1997(self, function: int, body: bytes) -> bytes | int:
        """Any other command: the data of the normal reply, or the ERR bits of a refusal (those of 1997)."""


class MeterSide1997(AnsweringSide):
    """Answers requests as DL/T 645-1997 asks of a meter; silent on damage and on what is for others, or of 2007."""

    def __init__(self, device: MeterDevice1997, *, preamble: int = 4) -> None:
        super().__init__(preamble=preamble)
        self._device = device
        self._identifier = b""
        self._pieces: list[bytes] = []
        self._at = 0  # which piece was sent last

    def answer(self, request: Frame) -> Frame | None:
        """The reply to one request; None for silence. A read to 99..99 is answered, from the real address."""
        function = request.function
        if function == _TIME:
            at = clock_of(request.body)
            if at is not None and request.address in (BROADCAST, self._device.address):
                self._device.set_time(at)
            return None
        reads = (_READ, _READ_NEXT, _READ_AGAIN, _WRITE_ADDRESS)
        if request.address == BROADCAST:
            asked = function in reads
        else:
            asked = matches_address(request.address, self._device.address)
        if not asked or function not in _KNOWN:
            return None
        if function == _READ:
            return self._read(request)
        if function in (_READ_NEXT, _READ_AGAIN):
            return self._go_on(request)
        result = self._device.execute_1997(function, request.body)
        if isinstance(result, bytes):
            return self._reply(request, result)
        return None if function == _WRITE_ADDRESS else self._refuse(request, result)

    def _read(self, request: Frame) -> Frame:
        found = self._device.read_1997(request.body[1::-1].hex().upper()) if len(request.body) == 2 else None  # noqa: PLR2004
        self._identifier, self._at = request.body, 0
        if found is None:
            self._pieces = []
            return self._refuse(request, _ERR_IDENTIFIER)
        self._pieces = [found[at : at + _PIECE] for at in range(0, len(found), _PIECE)] or [b""]
        return self._piece(request)

    def _go_on(self, request: Frame) -> Frame:
        """02H sends the piece behind the last one, 03H the last one again."""
        at = self._at + (request.function == _READ_NEXT)
        if request.body != self._identifier or at >= len(self._pieces):
            return self._refuse(request, _ERR_IDENTIFIER)
        self._at = at
        return self._piece(request)

    def _piece(self, request: Frame) -> Frame:
        more = self._at + 1 < len(self._pieces)
        return self._reply(request, self._identifier + self._pieces[self._at], more=more)

    def _reply(self, request: Frame, body: bytes, *, more: bool = False) -> Frame:
        return Frame(self._device.address, 0x80 | (0x20 if more else 0) | request.function, body)

    def _refuse(self, request: Frame, bits: int) -> Frame:
        return Frame(self._device.address, 0xC0 | request.function, bytes([bits]))
