"""A number that survives: two slots of one small file, written in turn, so that one is always whole.

The file is made once at its full length: a new number takes no room, so it can be kept on a full disk too.
"""

import os
import struct
import zlib
from pathlib import Path
from typing import Final

_VALUES: Final = struct.Struct("<QQ")
"""A count of writes and the number; behind them their CRC-32."""
_CRC: Final = struct.Struct("<I")
_SLOT_BYTES: Final = 4096
"""Slots are a block apart: a torn write of one cannot reach the other."""


class KeptNumber:
    """One number in one file; 0 at first."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            _made_whole(path)
        self._descriptor = os.open(path, os.O_RDWR)
        self._count, self.value = max(self._slot(0), self._slot(1))

    def keep(self, value: int) -> None:
        """Put another number on the disk."""
        packed = _VALUES.pack(self._count + 1, value)
        os.pwrite(self._descriptor, packed + _checked(packed), (self._count + 1) % 2 * _SLOT_BYTES)
        os.fsync(self._descriptor)
        self._count, self.value = self._count + 1, value

    def close(self) -> None:
        """Give the file back."""
        os.close(self._descriptor)

    def _slot(self, place: int) -> tuple[int, int]:
        found = os.pread(self._descriptor, _VALUES.size + _CRC.size, place * _SLOT_BYTES)
        packed, told = found[: _VALUES.size], found[_VALUES.size :]
        return _VALUES.unpack(packed) if told == _checked(packed) else (0, 0)


def _checked(packed: bytes) -> bytes:
    return _CRC.pack(zlib.crc32(packed))


def _made_whole(path: Path) -> None:
    """The file at its full length or not at all."""
    beginning = path.with_suffix(".new")
    with beginning.open("wb") as file:
        file.write(bytes(2 * _SLOT_BYTES))
        file.flush()
        os.fsync(file.fileno())
    beginning.replace(path)
