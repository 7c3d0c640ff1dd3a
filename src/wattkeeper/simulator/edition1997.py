"""A meter of DL/T 645-1997: the same counters and clock under the identifiers and in the digits of that edition."""

from collections.abc import Callable, Sequence

from wattkeeper.simulator.bcd import bcd

Read = Callable[[str, bytes], bytes | Sequence[bytes] | None]
_TARIFFS = 4
_PERIODS = {0: "00", 4: "01", 8: "02"}  # present, last month, the month before: settlements of 2007
_ACTIVE = {"1": "01", "2": "02"}  # DI0 high digit to DI2 of 2007
_REACTIVE = {"1": "03", "2": "04", "3": "05", "4": "08", "5": "06", "6": "07"}
_PARAMETERS = {
    "C010": "04000101",
    "C011": "04000102",
    "C030": "04000409",
    "C031": "0400040A",
    "C032": "04000402",
}
_VARIABLES = {
    "1": ("01", 10, 2),
    "2": ("02", 10, 2),
    "3": ("03", 1, 3),
    "4": ("04", 100, 2),
    "5": ("06", 1, 2),
}
_AND_TOTAL = ("3", "4", "5")
_PHASES = 3

_NO_OPERATOR = bytes(4)
_WRITE, _WRITE_ADDRESS = 0x04, 0x0A
_UNKNOWN = 0x00


def read_1997(di: str, read: Read) -> bytes | None:
    """What a meter of 1997 says, from what it says in 2007; None when it knows no such identifier."""
    if di in _PARAMETERS:
        return _octets(read(_PARAMETERS[di], b""))
    if di[0] in "9AB" and int(di[1], 16) & 0b10 == 0 and int(di[1], 16) // 4 * 4 in _PERIODS:
        return _block(di, read)
    if di.startswith("B6"):
        return _variable(di, read)
    return None


def in_words_of_2007(function: int, body: bytes) -> tuple[int, bytes]:
    """A command of 1997 as one of 2007; an unknown one is one that 2007 does not know either."""
    if function == _WRITE_ADDRESS:
        return 0x15, body
    if function == _WRITE and len(body) >= 6:  # noqa: PLR2004 -- DI and PA to P2
        di = _PARAMETERS.get(body[1::-1].hex().upper(), "00000000")
        return 0x14, bytes.fromhex(di)[::-1] + body[2:6] + _NO_OPERATOR + body[6:]
    return _UNKNOWN, body


def _block(di: str, read: Read) -> bytes | None:
    if di[3] != "F":
        return _one(di, read)
    items = [_one(f"{di[:3]}{tariff:X}", read) for tariff in range(_TARIFFS + 1)]
    return None if None in items else b"".join(item or b"" for item in items) + b"\xaa"


def _one(di: str, read: Read) -> bytes | None:
    """An energy, a demand, or the time of one."""
    kinds = _REACTIVE if int(di[1], 16) & 1 else _ACTIVE
    kind, tariff = kinds.get(di[2]), int(di[3], 16)
    if kind is None or tariff > _TARIFFS:
        return None
    settlement = _PERIODS[int(di[1], 16) // 4 * 4]
    family = "00" if di[0] == "9" else "01"
    found = _octets(read(f"{family}{kind}{tariff:02X}{settlement}", b""))
    if found is None or di[0] == "9":
        return found
    return found[:3] if di[0] == "A" else found[3:7]


def _variable(di: str, read: Read) -> bytes | None:
    """B6: fewer digits than in 2007, and 0 where a phase is absent."""
    found = _VARIABLES.get(di[2])
    if found is None:
        return None
    kind, divisor, size = found
    if di[3] == "F" and di[2] in _AND_TOTAL:
        return None  # the edition has blocks of voltages and currents only
    first = 0 if di[2] in _AND_TOTAL else 1
    asked = range(first, _PHASES + 1) if di[3] == "F" else (int(di[3], 16),)
    items = []
    for phase in asked:
        told = _octets(read(f"02{kind}{phase:02X}00", b"")) if first <= phase <= _PHASES else None
        if told is None:
            return None
        items.append(_fewer_digits(told, divisor, size))
    return b"".join(items) + (b"\xaa" if di[3] == "F" else b"")


def _fewer_digits(told: bytes, divisor: int, size: int) -> bytes:
    digits = told[::-1].hex()
    if not digits.strip("f"):
        return bytes(size)
    sign = 8 if int(digits[0], 16) >= 8 else 0  # noqa: PLR2004 -- the sign bit of 2007; powers of 1997 have none
    return bcd(round(int(f"{int(digits[0], 16) - sign}{digits[1:]}") / divisor), size)


def _octets(told: bytes | Sequence[bytes] | None) -> bytes | None:
    return told if told is None or isinstance(told, bytes) else b"".join(told)
