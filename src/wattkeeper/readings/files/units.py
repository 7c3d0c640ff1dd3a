"""Units as files write them, as powers of ten of the catalogue's."""

import re
from typing import Final

from wattkeeper.readings.quantities import Unit

_PREFIXES: Final = {"": 0, "k": 3, "K": 3, "M": 6, "G": 9, "m": -3}
_BASES: Final = ("Wh", "varh", "VAh", "W", "var", "VA", "V", "A")
_WRITTEN: Final = re.compile(rf"([kKMGm]?)({'|'.join(_BASES)})", re.IGNORECASE)
_CHINESE: Final[dict[str, tuple[str, int]]] = {
    "度": ("Wh", 3), "万度": ("Wh", 7), "千瓦时": ("Wh", 3), "兆瓦时": ("Wh", 6), "瓦时": ("Wh", 0),
    "万千瓦时": ("Wh", 7), "万kWh": ("Wh", 7), "千乏时": ("varh", 3), "伏": ("V", 0), "千伏": ("V", 3),
    "安": ("A", 0), "瓦": ("W", 0), "千瓦": ("W", 3), "兆瓦": ("W", 6), "千乏": ("var", 3), "千伏安": ("VA", 3),
}  # fmt: skip
_PLAIN: Final[dict[str, str]] = {
    "hz": "Hz", "赫": "Hz", "°": "°", "deg": "°", "°c": "°C", "℃": "°C", "s": "s", "min": "min", "": "",
}  # fmt: skip


def parsed_unit(text: str) -> tuple[str, int] | None:
    """A unit as its base and the power of ten before it; None for what is no unit."""
    written = text.strip()
    if written in _CHINESE:
        return _CHINESE[written]
    if written.lower() in _PLAIN:
        return _PLAIN[written.lower()], 0
    found = _WRITTEN.fullmatch(written)
    if found is None:
        return None
    prefix, base = found[1], next(each for each in _BASES if each.lower() == found[2].lower())
    if prefix.lower() == "m" and base not in {"V", "A"} and written == written.lower():
        return None  # mwh: milli or mega? nobody can tell
    if prefix == "M" and base in {"V", "A"} and written == written.upper():
        return None  # MA: mega or milli?
    return base, _PREFIXES[prefix]


def exponent_of(text: str, unit: Unit) -> int | None:
    """By which power of ten values in this unit are multiplied to be in the catalogue's; None where they cannot be."""
    written, wanted = parsed_unit(text), parsed_unit(unit)
    if written is None or wanted is None or written[0] != wanted[0]:
        return None
    return written[1] - wanted[1]
