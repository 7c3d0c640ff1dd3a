"""Frames of Modbus, on a serial line (RTU) and over TCP (MBAP), and how to find them in a stream of bytes.

RTU: unit, function, data, CRC low, CRC high (MODBUS over Serial Line V1.02, section 2.5.1). TCP: transaction,
protocol 0, length, unit, function, data (MODBUS Messaging on TCP/IP V1.0b, section 3.1.3). RTU over TCP is RTU.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from wattkeeper.protocols.modbus.crc import crc16
from wattkeeper.protocols.modbus.errors import FrameError, RequestError
from wattkeeper.protocols.modbus.lengths import SHORTEST, Side, rtu_length

__all__ = ["MAX_PDU", "BrokenFrame", "Frame", "Framing", "RtuReader", "TcpReader", "reader_of"]

Framing = Literal["rtu", "tcp"]
MAX_PDU = 253
"""Function and data (Application Protocol V1.1b3, section 4.1)."""
MAX_RTU = 256
_MBAP = 7  # transaction, protocol, length, unit
_ERROR = 0x80

_new_tuple = tuple.__new__


class Frame(NamedTuple):
    """One frame without its envelope; a named tuple, as a collector makes tens of thousands a second."""

    unit: int
    """The meter's address on its line: 1 to 247; 0 is a broadcast."""
    function: int
    """Function code; D7 set in an exception reply."""
    body: bytes = b""
    """What follows the function code."""
    transaction: int | None = None
    """The number that pairs reply and request over TCP; None on a serial line."""

    @property
    def is_exception(self) -> bool:
        """Whether a meter refuses with it (D7 of the function)."""
        return self.function & _ERROR != 0

    def encode(self) -> bytes:
        """The bytes on the wire: RTU without a transaction, TCP with one."""
        if not (0 <= self.unit <= 0xFF and 0 <= self.function <= 0xFF):  # noqa: PLR2004 - one byte
            raise RequestError(f"Unit {self.unit} and function {self.function} are bytes, 0 to 255.")
        if len(self.body) >= MAX_PDU:
            raise RequestError(f"A frame carries at most {MAX_PDU - 1} data bytes, not {len(self.body)}.")
        head = bytes((self.unit, self.function))
        if self.transaction is None:
            raw = head + self.body
            return raw + crc16(raw).to_bytes(2, "little")
        length = len(self.body) + 2
        return b"%b\0\0%b%b%b" % (self.transaction.to_bytes(2), length.to_bytes(2), head, self.body)

    @classmethod
    def decode_rtu(cls, raw: bytes) -> Frame:
        r"""The one RTU frame that `raw` is; `FrameError` says what is wrong with it.

        >>> Frame.decode_rtu(bytes.fromhex("010404436633341B38"))
        Frame(unit=1, function=4, body=b'\x04Cf34', transaction=None)
        """
        if len(raw) < SHORTEST:
            raise FrameError(f"length {len(raw)}, the shortest frame has {SHORTEST}", raw=raw)
        if len(raw) > MAX_RTU:
            raise FrameError(f"length {len(raw)}, the longest frame has {MAX_RTU}", raw=raw)
        problem = _crc_problem(raw)
        if problem:
            raise FrameError(problem, raw=raw)
        return _rtu_frame(raw, 0, len(raw))

    @classmethod
    def decode_tcp(cls, raw: bytes) -> Frame:
        """The one TCP frame that `raw` is; `FrameError` says what is wrong with it."""
        problem = _mbap_problem(raw)
        if not problem and len(raw) != (whole := 6 + int.from_bytes(raw[4:6])):
            problem = f"{len(raw)} bytes, its length field says {whole}"
        if problem:
            raise FrameError(problem, raw=raw)
        return _tcp_frame(raw, 0, len(raw))

    def __str__(self) -> str:
        """A line for the log: `unit 1 fc 04 [00 00 00 02]`."""
        return f"unit {self.unit} fc {self.function:02X} [{self.body.hex(' ').upper()}]"


class BrokenFrame(NamedTuple):
    """Bytes between sound frames; for the bus monitor."""

    raw: bytes
    reason: str

    def __str__(self) -> str:
        """A line for the log."""
        return f"broken: {self.reason} [{self.raw.hex(' ').upper()}]"


def _rtu_frame(buffer: bytes, start: int, end: int) -> Frame:
    # tuple.__new__ skips the named tuple's own argument handling.
    return _new_tuple(Frame, (buffer[start], buffer[start + 1], buffer[start + 2 : end - 2], None))


def _tcp_frame(buffer: bytes, start: int, end: int) -> Frame:
    transaction = buffer[start] << 8 | buffer[start + 1]
    return _new_tuple(Frame, (buffer[start + 6], buffer[start + 7], buffer[start + 8 : end], transaction))


def _crc_problem(raw: bytes) -> str:
    if crc16(raw) == 0:
        return ""
    expected = crc16(raw[:-2]).to_bytes(2, "little")
    return f"CRC {raw[-2:].hex().upper()}, {expected.hex().upper()} expected"


def _mbap_problem(raw: bytes) -> str:
    """What keeps `raw` from beginning with an MBAP header; empty when nothing does, as far as there are bytes."""
    if raw[2:4] != b"\0\0"[: max(0, len(raw) - 2)]:
        return f"protocol {raw[2:4].hex().upper()}, not 0000"
    if len(raw) > _MBAP and not 2 <= int.from_bytes(raw[4:6]) <= MAX_PDU + 1:  # noqa: PLR2004 - unit, function
        return f"length field {int.from_bytes(raw[4:6])}, 2 to {MAX_PDU + 1} allowed"
    return "" if len(raw) > _MBAP else f"length {len(raw)}, the shortest frame has {_MBAP + 1}"


class RtuReader:
    """Finds RTU frames by their length and CRC, however the stream is cut and whatever surrounds them.

    Gateways and operating systems tear the silences that end a frame on the wire, so the length is told from the
    function code instead. Of all places where a frame could begin, the one whose frame is complete *and sound* first
    wins; what lies before it is reported as broken. The buffer never holds more than one longest frame between calls.
    """

    def __init__(self, side: Side = "reply") -> None:
        """`side`: whose frames are looked for; `both` for a monitor."""
        self.side = side
        self._buffer = b""
        self._judged = 0  # frames that would end at or before this are known to be none

    def feed(self, chunk: bytes) -> list[Frame | BrokenFrame]:
        """Everything that `chunk` completes, in the order of the stream."""
        buffer = self._buffer + chunk if self._buffer else bytes(chunk)
        # The usual case, one clean reply in one piece.
        if not self._judged and len(buffer) in rtu_length(buffer, 0, self.side) and crc16(buffer) == 0:
            self._buffer = b""
            return [_rtu_frame(buffer, 0, len(buffer))]
        return self._search(buffer)

    def flush(self) -> list[Frame | BrokenFrame]:
        """The line went silent: report what is in the buffer, if anything, and forget it."""
        buffer, self._buffer, self._judged = self._buffer, b"", 0
        return [BrokenFrame(buffer, self._diagnosis(buffer))] if buffer else []

    def _search(self, buffer: bytes) -> list[Frame | BrokenFrame]:
        events: list[Frame | BrokenFrame] = []
        floor = 0
        for end, start in self._candidates(buffer):
            if start >= floor and crc16(buffer[start:end]) == 0:
                if start > floor:
                    noise = buffer[floor:start]
                    events.append(BrokenFrame(noise, self._diagnosis(noise)))
                events.append(_rtu_frame(buffer, start, end))
                floor = end
        keep = max(floor, len(buffer) - MAX_RTU)
        if keep > floor:
            noise = buffer[floor:keep]
            events.append(BrokenFrame(noise, self._diagnosis(noise)))
        self._buffer = buffer[keep:]
        self._judged = len(self._buffer)
        return events

    def _candidates(self, buffer: bytes) -> list[tuple[int, int]]:
        """End and start of what could be frames and was not judged before, by their ends."""
        size, judged, side = len(buffer), self._judged, self.side
        return sorted(
            (start + length, start)
            for start in range(size - SHORTEST + 1)
            for length in rtu_length(buffer, start, side)
            if judged < start + length <= size
        )

    def _diagnosis(self, noise: bytes) -> str:
        lengths = rtu_length(noise, 0, self.side)
        if not lengths:
            return "no frame begins here"
        length = max((each for each in lengths if each <= len(noise)), default=0)
        if length:
            return _crc_problem(noise[:length]) or "not a frame of this conversation"
        return f"silence after {len(noise)} of {min(lengths)} bytes"


class TcpReader:
    """Finds TCP frames by the length in their header; a header that cannot be one costs a byte."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, chunk: bytes) -> list[Frame | BrokenFrame]:
        """Everything that `chunk` completes, in the order of the stream."""
        buffer = self._buffer + chunk if self._buffer else bytes(chunk)
        events: list[Frame | BrokenFrame] = []
        at, size = 0, len(buffer)
        while size - at > _MBAP:
            length = buffer[at + 4] << 8 | buffer[at + 5]
            if buffer[at + 2] or buffer[at + 3] or not 2 <= length <= MAX_PDU + 1:  # noqa: PLR2004
                start, at = at, self._next_header(buffer, at + 1)
                problem = _mbap_problem(buffer[start : start + _MBAP + 1])
                events.append(BrokenFrame(buffer[start:at], problem))
                continue
            if size - at < 6 + length:
                break
            events.append(_tcp_frame(buffer, at, at + 6 + length))
            at += 6 + length
        self._buffer = buffer[at:]
        return events

    def flush(self) -> list[Frame | BrokenFrame]:
        """Report the half frame in the buffer, if any, and forget it."""
        buffer, self._buffer = self._buffer, b""
        return [BrokenFrame(buffer, f"the frame ends after {len(buffer)} bytes")] if buffer else []

    @staticmethod
    def _next_header(buffer: bytes, at: int) -> int:
        """Where a header may begin, at or after `at`; the end less a header's length when nowhere yet."""
        while len(buffer) - at > _MBAP and _mbap_problem(buffer[at : at + _MBAP + 1]):
            at += 1
        return at


def reader_of(framing: Framing, side: Side = "reply") -> RtuReader | TcpReader:
    """The reader of a framing."""
    return RtuReader(side) if framing == "rtu" else TcpReader()
