"""The words people use for groups of quantities, on the command line and elsewhere."""

import difflib
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from wattkeeper.collection.drivers.base import CLOCK
from wattkeeper.collection.errors import UnknownWord
from wattkeeper.readings.quantities import QUANTITIES

_TARIFFS = ("", "_t1", "_t2", "_t3", "_t4")
_PHASES = ("_l1", "_l2", "_l3")


def _each(key: str, endings: Iterable[str]) -> tuple[str, ...]:
    return tuple(key + ending for ending in endings)


WORDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "energy": (*_each("active_energy_import", _TARIFFS), "active_energy_export"),
        "reactive_energy": ("reactive_energy_combined1", "reactive_energy_combined2"),
        "power": _each("active_power", ("", *_PHASES)),
        "reactive_power": _each("reactive_power", ("", *_PHASES)),
        "apparent_power": _each("apparent_power", ("", *_PHASES)),
        "voltage": _each("voltage", _PHASES),
        "current": _each("current", _PHASES),
        "power_factor": _each("power_factor", ("", *_PHASES)),
        "frequency": ("frequency",),
        "demand": ("active_demand_import_max", "active_demand_import_max_occurred_at"),
        "clock": (CLOCK,),
    }
)
"""Group of quantities by its English word."""

_CHINESE: Mapping[str, str] = MappingProxyType(
    {
        "电量": "energy",
        "电能": "energy",
        "无功电量": "reactive_energy",
        "功率": "power",
        "无功功率": "reactive_power",
        "视在功率": "apparent_power",
        "电压": "voltage",
        "电流": "current",
        "功率因数": "power_factor",
        "频率": "frequency",
        "需量": "demand",
        "时钟": "clock",
    }
)


def quantities_of(words: Iterable[str]) -> list[str]:
    """The quantity keys that words stand for, each once, in their order.

    Raises UnknownWord with the words there are and the nearest one.

    >>> quantities_of(["voltage", "active_power", "voltage_l1"])
    ['voltage_l1', 'voltage_l2', 'voltage_l3', 'active_power']
    """
    keys: dict[str, None] = {}
    for word in words:
        keys.update(dict.fromkeys(_keys(word)))
    return list(keys)


def _keys(word: str) -> tuple[str, ...]:
    name = word.strip().lower().replace("-", "_")
    name = _CHINESE.get(name, name)
    if name in WORDS:
        return WORDS[name]
    if name in QUANTITIES:
        return (name,)
    near = difflib.get_close_matches(name, [*WORDS, *_CHINESE, *QUANTITIES], n=1)
    meant = f" Did you mean {near[0]}?" if near else ""
    raise UnknownWord(
        f"{word!r} is no quantity.{meant}",
        hint=f"Say {', '.join(WORDS)}, or the key of a quantity such as active_energy_import_t1.",
    )
