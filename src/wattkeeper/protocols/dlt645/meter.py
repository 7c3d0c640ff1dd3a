"""The answering side: what a meter does with the bytes it hears."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from wattkeeper.protocols.dlt645.frames import BROADCAST, WILDCARD, Frame, FrameReader, matches_address
from wattkeeper.protocols.dlt645.load_records import split_load_records

__all__ = ["AnsweringSide", "MeterDevice", "MeterSide", "clock_of"]

_FIRST_PIECE = 196  # 200 data bytes less the identifier
_NEXT_PIECE = 195  # less SEQ as well
_MAX_PIECES = 256
_SECURITY, _TIME, _WRITE_ADDRESS, _FREEZE = 0x03, 0x08, 0x15, 0x16
_FIRST_OF_2007, _OLD = 0x11, 1997
_ERR_OTHER, _ERR_NO_DATA, _ERR_PASSWORD = 0x01, 0x02, 0x04


class MeterDevice(Protocol):
    """What `MeterSide` needs to know of the device behind it."""

    @property
    def address(self) -> str:
        """The 12 digits of the meter's address."""

    def read(self, di: str, tail: bytes) -> bytes | Sequence[bytes] | None:
        """The data of an identifier (wire order, without 33H), None when there is no such identifier.

        `tail` is what the request carries after the identifier. A sequence says where the reply is to be cut into
        frames; bytes are cut at 200, load records between their blocks.
        """

    def set_time(self, at: datetime) -> None:
        """A broadcast time has come; whether to follow it (±5 min, once a day) is the device's decision."""

    def execute(self, function: int, body: bytes) -> bytes | int:
        """Any other command to this meter: the data of the normal reply, or the ERR bits of a refusal."""


class AnsweringSide:
    """Finds requests in what the line brings and answers them; subclasses say how."""

    def __init__(self, *, preamble: int = 4) -> None:
        self._preamble = preamble
        self._reader = FrameReader()

    def feed(self, chunk: bytes) -> list[bytes]:
        """The replies, in order, to the requests that `chunk` completes."""
        replies = []
        for event in self._reader.feed(chunk):
            if isinstance(event, Frame) and not event.from_meter:
                reply = self.answer(event)
                if reply is not None:
                    replies.append(reply.encode(self._preamble))
        return replies

    def restart(self) -> None:
        """The line was silent for longer than bytes of one frame may be apart (500 ms)."""
        self._reader.flush()

    def answer(self, request: Frame) -> Frame | None:
        """The reply to one request; None for silence."""
        raise NotImplementedError


class MeterSide(AnsweringSide):
    """Answers requests as DL/T 645-2007 asks of a meter; silent on damage and on what is for others."""

    def __init__(self, device: MeterDevice, *, preamble: int = 4) -> None:
        super().__init__(preamble=preamble)
        self._device = device
        self._pieces: dict[str, list[bytes]] = {}  # what is left of the last long reply, by identifier

    def answer(self, request: Frame) -> Frame | None:
        """The reply to one request; None for silence."""
        if request.address == BROADCAST:
            self._broadcast(request)
            return None
        if not matches_address(request.address, self._device.address):
            return None
        match request.function:
            case 0x11:
                reply: Frame | None = self._read(request)
            case 0x12:
                reply = self._read_next(request)
            case 0x13:
                reply = self._reply(request, bytes.fromhex(self._device.address)[::-1])
            case function if function < _FIRST_OF_2007 and function != _TIME and request.edition == _OLD:
                reply = None  # a number of 1997, reserved in 2007 (§5.2.4): it understands nothing
            case 0x08:  # to its own address: some meters follow it, none answers
                self._broadcast(request)
                reply = None
            case _:
                reply = self._execute(request)
        return reply

    def _broadcast(self, request: Frame) -> None:
        if request.function == _TIME:
            at = clock_of(request.body)
            if at is not None:
                self._device.set_time(at)
        elif request.function == _FREEZE:
            self._device.execute(request.function, request.body)

    def _read(self, request: Frame) -> Frame:
        di = request.body[3::-1].hex().upper()
        found = self._device.read(di, request.body[4:]) if len(request.body) >= 4 else None  # noqa: PLR2004
        self._pieces.clear()
        if found is None:
            return self._refuse(request, _ERR_NO_DATA)
        pieces = _cut(di, found) if isinstance(found, bytes) else list(found) or [b""]
        self._pieces[di] = pieces[:_MAX_PIECES]
        return self._reply(request, request.body[:4] + pieces[0], more=len(pieces) > 1)

    def _read_next(self, request: Frame) -> Frame:
        pieces = self._pieces.get(request.body[3::-1].hex().upper(), [])
        seq = request.body[4] if len(request.body) == 5 else 0  # noqa: PLR2004 - DI and SEQ
        if not 0 < seq < len(pieces):
            return self._refuse(request, _ERR_OTHER)
        body = request.body[:4] + pieces[seq] + bytes([seq])
        return self._reply(request, body, more=seq + 1 < len(pieces))

    def _execute(self, request: Frame) -> Frame | None:
        if request.address == WILDCARD and request.function != _WRITE_ADDRESS:
            return self._refuse(request, _ERR_PASSWORD)
        result = self._device.execute(request.function, request.body)
        if isinstance(result, bytes):
            return self._reply(request, result)
        # §7.1.5, §7.1.6: an address that cannot be written is answered by silence.
        return None if request.function == _WRITE_ADDRESS else self._refuse(request, result)

    def _reply(self, request: Frame, body: bytes, *, more: bool = False) -> Frame:
        return Frame(self._device.address, 0x80 | (0x20 if more else 0) | request.function, body)

    def _refuse(self, request: Frame, bits: int) -> Frame:
        size = 2 if request.function == _SECURITY else 1  # SERR instead of ERR
        return Frame(self._device.address, 0xC0 | request.function, bits.to_bytes(size, "little"))


def _cut(di: str, body: bytes) -> list[bytes]:
    """The pieces of a reply, each as long as a frame may carry."""
    if len(body) <= _NEXT_PIECE:
        return [body]
    units = split_load_records(body) if di.startswith("06") else []
    if not units or max(map(len, units)) > _NEXT_PIECE:
        rest = body[_FIRST_PIECE:]
        return [
            body[:_FIRST_PIECE],
            *(rest[at : at + _NEXT_PIECE] for at in range(0, len(rest), _NEXT_PIECE)),
        ]
    pieces = [b""]
    for unit in units:
        if len(pieces[-1]) + len(unit) > _NEXT_PIECE:
            pieces.append(b"")
        pieces[-1] += unit
    return pieces


def clock_of(body: bytes) -> datetime | None:
    """The time of an 08H frame, naive as a meter's clock is; None when it is none."""
    try:
        return datetime.strptime(body[::-1].hex(), "%y%m%d%H%M%S")  # noqa: DTZ007 - a meter's clock has no zone
    except ValueError:
        return None
