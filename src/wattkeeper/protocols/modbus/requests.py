"""The data of each request, checked against what the standard allows (Application Protocol V1.1b3, section 6)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from wattkeeper.protocols.modbus.errors import RequestError

__all__ = [
    "MOST_BITS",
    "MOST_WORDS",
    "READ_COILS",
    "READ_DISCRETE",
    "READ_FILE",
    "READ_HOLDING",
    "READ_IDENTIFICATION",
    "READ_INPUT",
    "WRITE_COIL",
    "WRITE_COILS",
    "WRITE_REGISTER",
    "WRITE_REGISTERS",
    "FilePart",
    "function_name",
]

READ_COILS, READ_DISCRETE, READ_HOLDING, READ_INPUT = 0x01, 0x02, 0x03, 0x04
WRITE_COIL, WRITE_REGISTER, WRITE_COILS, WRITE_REGISTERS = 0x05, 0x06, 0x0F, 0x10
READ_FILE, READ_IDENTIFICATION = 0x14, 0x2B
MEI_IDENTIFICATION = 0x0E
FILE_REFERENCE = 6
MOST_BITS = 2000
MOST_WORDS = 125
_MOST_BITS_WRITTEN = 1968
_MOST_WORDS_WRITTEN = 123
_ADDRESSES = 0x10000
_MOST_FILE_WORDS = 122  # a reply has 245 bytes at most, 2 of them the part's own head

_NAMES = {
    READ_COILS: ("read coils", "读线圈"),
    READ_DISCRETE: ("read discrete inputs", "读离散输入"),
    READ_HOLDING: ("read holding registers", "读保持寄存器"),
    READ_INPUT: ("read input registers", "读输入寄存器"),
    WRITE_COIL: ("write single coil", "写单个线圈"),
    WRITE_REGISTER: ("write single register", "写单个寄存器"),
    0x07: ("read exception status", "读异常状态"),
    0x08: ("diagnostics", "诊断"),
    0x0B: ("get comm event counter", "读通信事件计数"),
    0x0C: ("get comm event log", "读通信事件记录"),
    WRITE_COILS: ("write multiple coils", "写多个线圈"),
    WRITE_REGISTERS: ("write multiple registers", "写多个寄存器"),
    0x11: ("report server id", "报告从站标识"),
    READ_FILE: ("read file record", "读文件记录"),
    0x15: ("write file record", "写文件记录"),
    0x16: ("mask write register", "屏蔽写寄存器"),
    0x17: ("read/write multiple registers", "读写多个寄存器"),
    0x18: ("read FIFO queue", "读FIFO队列"),
    READ_IDENTIFICATION: ("read device identification", "读设备标识"),
}


def function_name(function: int) -> tuple[str, str]:
    """A function's name in English and Chinese; D7 (an exception) is left aside.

    >>> function_name(0x83)[0]
    'read holding registers'
    """
    return _NAMES.get(function & 0x7F, ("unknown function", "未知功能码"))


class FilePart(NamedTuple):
    """Some registers of one record of a file (14H)."""

    file: int
    record: int
    words: int


def read(function: int, address: int, count: int) -> bytes:
    """Data of 01 to 04: `count` bits or registers from `address` (as on the wire, beginning at 0) on."""
    most = MOST_BITS if function in (READ_COILS, READ_DISCRETE) else MOST_WORDS
    _check_range(address, count, most)
    return address.to_bytes(2) + count.to_bytes(2)


def write_coil(address: int, *, on: bool) -> bytes:
    """Data of 05."""
    _check_range(address, 1, 1)
    return address.to_bytes(2) + (b"\xff\0" if on else b"\0\0")


def write_register(address: int, value: int) -> bytes:
    """Data of 06."""
    _check_range(address, 1, 1)
    return address.to_bytes(2) + _word(value)


def write_coils(address: int, states: Sequence[bool]) -> bytes:
    """Data of 0FH."""
    _check_range(address, len(states), _MOST_BITS_WRITTEN)
    packed = pack_bits(states)
    return address.to_bytes(2) + len(states).to_bytes(2) + bytes((len(packed),)) + packed


def write_registers(address: int, values: Sequence[int]) -> bytes:
    """Data of 10H."""
    _check_range(address, len(values), _MOST_WORDS_WRITTEN)
    words = b"".join(map(_word, values))
    return address.to_bytes(2) + len(values).to_bytes(2) + bytes((len(words),)) + words


def read_file(parts: Sequence[FilePart]) -> bytes:
    """Data of 14H."""
    if not parts or sum(part.words + 1 for part in parts) > _MOST_FILE_WORDS + 1:
        raise RequestError(f"A reply to 14H carries 1 to {_MOST_FILE_WORDS} registers of files.")
    for part in parts:
        if not (1 <= part.file < _ADDRESSES and 0 <= part.record <= 9999 and part.words > 0):  # noqa: PLR2004
            raise RequestError(f"{part} is no part of a file: file 1 to 65535, record 0 to 9999.")
    told = b"".join(
        b"%c%b%b%b" % (FILE_REFERENCE, part.file.to_bytes(2), part.record.to_bytes(2), part.words.to_bytes(2))
        for part in parts
    )
    return bytes((len(told),)) + told


def pack_bits(states: Sequence[bool]) -> bytes:
    """Bits in bytes, the first in D0 of the first byte (section 6.1).

    >>> pack_bits([True, False, True, True, False, False, True, True, True]).hex()
    'cd01'
    """
    number = sum(1 << place for place, state in enumerate(states) if state)
    return number.to_bytes((len(states) + 7) // 8, "little")


def unpack_bits(octets: bytes, count: int) -> tuple[bool, ...]:
    """The first `count` bits of bytes."""
    number = int.from_bytes(octets, "little")
    return tuple(bool(number >> place & 1) for place in range(count))


def _check_range(address: int, count: int, most: int) -> None:
    if not 1 <= count <= most:
        raise RequestError(f"One request carries 1 to {most}, not {count}.")
    if not 0 <= address <= _ADDRESSES - count:
        raise RequestError(f"{count} from address {address} on leave the addresses 0 to 65535.")


def _word(value: int) -> bytes:
    if not 0 <= value < _ADDRESSES:
        raise RequestError(f"{value} is no register value, 0 to 65535.")
    return value.to_bytes(2)
