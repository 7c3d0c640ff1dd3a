"""Numbers as a meter sends them: packed BCD, low byte first, written apart from the codec under test."""

from datetime import datetime

import numpy as np
import numpy.typing as npt

_PAIR = np.array([16 * (pair // 10) + pair % 10 for pair in range(100)], dtype=np.uint8)
SIGN = 0x80


def bcd(value: int, size: int, *, signed: bool = False) -> bytes:
    """``value`` in ``size`` bytes, its high digits lost as a register loses them.

    >>> bcd(12345678, 4).hex(" ")
    '78 56 34 12'
    >>> bcd(-15, 3, signed=True).hex(" ")
    '15 00 80'
    """
    digits = f"{abs(value):0{2 * size}d}"[-2 * size :]
    octets = bytearray.fromhex(digits)
    octets.reverse()
    if signed and value < 0:
        octets[-1] |= SIGN
    return bytes(octets)


def bcd_columns(values: npt.NDArray[np.int64], size: int, *, signed: bool = False) -> npt.NDArray[np.uint8]:
    """The same for many values at once: one row of ``size`` bytes for each."""
    rest = np.abs(values)
    columns = np.empty((len(values), size), dtype=np.uint8)
    for place in range(size):
        rest, pair = np.divmod(rest, 100)
        columns[:, place] = _PAIR[pair]
    if signed:
        columns[values < 0, -1] |= SIGN
    return columns


def low_first(digits: str) -> bytes:
    """Digits written highest first, low byte first."""
    return bytes.fromhex(digits)[::-1]


def minutes(at: datetime) -> bytes:
    """The mm hh DD MM YY of a time."""
    return low_first(f"{at:%y%m%d%H%M}")
