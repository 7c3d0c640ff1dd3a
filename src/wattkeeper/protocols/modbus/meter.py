"""The answering side: what a meter replies, given its registers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from wattkeeper.protocols.modbus.frames import Frame
from wattkeeper.protocols.modbus.lengths import pdu_fits
from wattkeeper.protocols.modbus.master import BROADCAST
from wattkeeper.protocols.modbus.requests import (
    FILE_REFERENCE,
    MEI_IDENTIFICATION,
    MOST_BITS,
    MOST_WORDS,
    READ_COILS,
    READ_DISCRETE,
    READ_FILE,
    READ_HOLDING,
    READ_IDENTIFICATION,
    READ_INPUT,
    WRITE_COIL,
    WRITE_COILS,
    WRITE_REGISTER,
    WRITE_REGISTERS,
    pack_bits,
    unpack_bits,
)

__all__ = ["ILLEGAL_ADDRESS", "ILLEGAL_FUNCTION", "ILLEGAL_VALUE", "MeterDevice", "MeterSide", "Refusal"]

ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE = 1, 2, 3
_MOST_OBJECTS = 244  # bytes of objects that one reply takes


class Refusal(Exception):
    """A device says no, with an exception code."""

    def __init__(self, code: int) -> None:
        super().__init__(f"exception {code:02X}")
        self.code = code


class MeterDevice(Protocol):
    """What a meter has. Every method may raise `Refusal`; addresses are as on the wire."""

    def read_words(self, function: int, address: int, count: int) -> bytes:
        """Holding (03) or input (04) registers, two bytes each."""

    def write_words(self, address: int, octets: bytes) -> None:
        """Take values for holding registers."""

    def read_bits(self, function: int, address: int, count: int) -> tuple[bool, ...]:
        """Coils (01) or discrete inputs (02)."""

    def write_bits(self, address: int, states: tuple[bool, ...]) -> None:
        """Switch coils."""

    def read_file(self, file: int, record: int, words: int) -> bytes:
        """Registers of a record of a file."""

    def identification(self) -> Mapping[int, str]:
        """Who it is: 0 maker, 1 product code, 2 revision; more by the standard's numbers."""


class MeterSide:
    """Turns requests into replies."""

    def __init__(self, device: MeterDevice) -> None:
        self._device = device
        self._functions = {
            **dict.fromkeys((READ_HOLDING, READ_INPUT), self._words),
            **dict.fromkeys((READ_COILS, READ_DISCRETE), self._bits),
            WRITE_COIL: self._write_coil,
            WRITE_REGISTER: self._write_register,
            WRITE_COILS: self._write_coils,
            WRITE_REGISTERS: self._write_registers,
            READ_FILE: self._file,
            READ_IDENTIFICATION: self._identification,
        }

    def answer(self, request: Frame) -> Frame | None:
        """The reply in the request's envelope; None to a broadcast on a serial line, which nobody answers."""
        function, body = request.function, request.body
        try:
            reply = Frame(request.unit, function, self._reply(function, body), request.transaction)
        except Refusal as refusal:
            reply = Frame(request.unit, function | 0x80, bytes((refusal.code,)), request.transaction)
        return None if request.unit == BROADCAST and request.transaction is None else reply

    def _reply(self, function: int, body: bytes) -> bytes:
        handler = self._functions.get(function)
        if handler is None:
            raise Refusal(ILLEGAL_FUNCTION)
        if not pdu_fits(function, body, side="request"):
            raise Refusal(ILLEGAL_VALUE)
        return handler(function, body)

    def _words(self, function: int, body: bytes) -> bytes:
        address, count = _range(body, MOST_WORDS)
        octets = self._device.read_words(function, address, count)
        return bytes((len(octets),)) + octets

    def _bits(self, function: int, body: bytes) -> bytes:
        address, count = _range(body, MOST_BITS)
        packed = pack_bits(self._device.read_bits(function, address, count))
        return bytes((len(packed),)) + packed

    def _write_coil(self, _: int, body: bytes) -> bytes:
        if body[2:] not in (b"\xff\0", b"\0\0"):
            raise Refusal(ILLEGAL_VALUE)
        self._device.write_bits(int.from_bytes(body[:2]), (body[2] == 0xFF,))  # noqa: PLR2004 - FF00 is on
        return body

    def _write_register(self, _: int, body: bytes) -> bytes:
        self._device.write_words(int.from_bytes(body[:2]), body[2:])
        return body

    def _write_coils(self, _: int, body: bytes) -> bytes:
        address, count = _range(body, MOST_BITS)
        if body[4] != (count + 7) // 8:
            raise Refusal(ILLEGAL_VALUE)
        self._device.write_bits(address, unpack_bits(body[5:], count))
        return body[:4]

    def _write_registers(self, _: int, body: bytes) -> bytes:
        address, count = _range(body, MOST_WORDS)
        if body[4] != 2 * count:
            raise Refusal(ILLEGAL_VALUE)
        self._device.write_words(address, body[5:])
        return body[:4]

    def _file(self, _: int, body: bytes) -> bytes:
        if len(body) < 8 or body[0] % 7:  # noqa: PLR2004 - a count, and 7 bytes a part
            raise Refusal(ILLEGAL_VALUE)
        reply = b""
        for at in range(1, len(body), 7):
            if body[at] != FILE_REFERENCE:
                raise Refusal(ILLEGAL_ADDRESS)
            file, record, words = (int.from_bytes(body[at + place : at + place + 2]) for place in (1, 3, 5))
            if len(reply) + 2 + 2 * words > 245:  # noqa: PLR2004 - the longest reply (section 6.14)
                raise Refusal(ILLEGAL_VALUE)
            octets = self._device.read_file(file, record, words)
            reply += bytes((len(octets) + 1, FILE_REFERENCE)) + octets
        return bytes((len(reply),)) + reply

    def _identification(self, _: int, body: bytes) -> bytes:
        """The objects from the one asked for on, as many as one frame takes (section 6.21)."""
        mei, way, first = body
        if mei != MEI_IDENTIFICATION or way not in (1, 2, 3, 4):
            raise Refusal(ILLEGAL_VALUE if mei == MEI_IDENTIFICATION else ILLEGAL_FUNCTION)
        objects = dict(sorted(self._device.identification().items()))
        wanted = [number for number in objects if number >= first]
        if way == 4:  # noqa: PLR2004 - one object
            if first not in objects:
                raise Refusal(ILLEGAL_ADDRESS)
            wanted = [first]
        told, size, following = b"", 0, 0
        for number in wanted:
            text = objects[number].encode("latin-1", "replace")[: _MOST_OBJECTS - 2]
            if len(told) + 2 + len(text) > _MOST_OBJECTS:
                following = number
                break
            told += bytes((number, len(text))) + text
            size += 1
        return bytes((mei, way, 0x83, 0xFF if following else 0, following, size)) + told


def _range(body: bytes, most: int) -> tuple[int, int]:
    address, count = int.from_bytes(body[:2]), int.from_bytes(body[2:4])
    if not 1 <= count <= most:
        raise Refusal(ILLEGAL_VALUE)
    if address + count > 0x10000:  # noqa: PLR2004 - addresses have 16 bits
        raise Refusal(ILLEGAL_ADDRESS)
    return address, count
