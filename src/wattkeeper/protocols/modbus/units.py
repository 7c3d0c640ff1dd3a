"""Units as makers use them in registers, and what they are in others of the same kind."""

from __future__ import annotations

from decimal import Decimal
from types import MappingProxyType

__all__ = ["UNITS", "factor"]

_KINDS: dict[str, dict[str, int | Decimal]] = {
    "active energy": {"Wh": 1, "kWh": 10**3, "MWh": 10**6, "GWh": 10**9},
    "reactive energy": {"varh": 1, "kvarh": 10**3, "Mvarh": 10**6},
    "apparent energy": {"VAh": 1, "kVAh": 10**3, "MVAh": 10**6},
    "active power": {"W": 1, "kW": 10**3, "MW": 10**6},
    "reactive power": {"var": 1, "kvar": 10**3, "Mvar": 10**6},
    "apparent power": {"VA": 1, "kVA": 10**3, "MVA": 10**6},
    "voltage": {"mV": Decimal("0.001"), "V": 1, "kV": 10**3},
    "current": {"mA": Decimal("0.001"), "A": 1, "kA": 10**3},
    "frequency": {"mHz": Decimal("0.001"), "Hz": 1},
    "angle": {"°": 1},
    "temperature": {"°C": 1},
    "time": {"s": 1, "min": 60, "h": 3600},
    "number": {"": 1},
    "share": {"%": 1},
}
UNITS = MappingProxyType(
    {unit: (kind, Decimal(size)) for kind, units in _KINDS.items() for unit, size in units.items()}
)
"""Each unit's kind and size; units of one kind can be told in each other."""


def factor(unit: str, wanted: str) -> Decimal | None:
    """What a value in `unit` is multiplied with to be in `wanted`; None when they are of different kinds.

    >>> factor("Wh", "kWh"), factor("W", "kvar")
    (Decimal('0.001'), None)
    """
    kind, size = UNITS[unit]
    other, other_size = UNITS[wanted]
    return size / other_size if kind == other else None
