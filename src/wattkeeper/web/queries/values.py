"""Latest values of meters, as pages and the API show them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from wattkeeper.readings.quantities import QUANTITIES
from wattkeeper.web.queries.states import N_

if TYPE_CHECKING:
    import pyarrow as pa

    from wattkeeper.readings.store import ReadingsStore

ENERGY: Final = "active_energy_import"
POWER: Final = "active_power"
_PLACES: Final = {key: place for place, key in enumerate(QUANTITIES)}
_FIRST: Final = ("active_power", "power_factor", "frequency")


@dataclass(frozen=True, slots=True)
class Value:
    """One value as it was last read."""

    meter_id: int
    quantity: str
    value: Decimal
    read_at: datetime
    source: str
    status: int
    exchange_id: int | None

    @property
    def unit(self) -> str:
        """The unit of its quantity."""
        return QUANTITIES[self.quantity].unit if self.quantity in QUANTITIES else ""

    @property
    def obis(self) -> str:
        """The OBIS code of its quantity."""
        return QUANTITIES[self.quantity].obis if self.quantity in QUANTITIES else ""


def values_of(table: "pa.Table") -> list[Value]:
    """The rows of a table of readings."""
    return [_value(row) for row in table.to_pylist()]


def _value(row: Mapping[str, Any]) -> Value:
    return Value(
        meter_id=row["meter_id"],
        quantity=row["quantity"],
        value=row["value"],
        read_at=row["read_at"],
        source=row["source"],
        status=row["status"],
        exchange_id=row["exchange_id"],
    )


def latest_by_meter(
    store: "ReadingsStore", meter_ids: Iterable[int], quantities: Iterable[str]
) -> dict[tuple[int, str], Value]:
    """The newest value of each of these meters and quantities."""
    table = store.latest(meter_ids=list(meter_ids), quantities=list(quantities))
    return {(value.meter_id, value.quantity): value for value in values_of(table)}


def latest_of(store: "ReadingsStore", meter_id: int) -> list[Value]:
    """The newest value of every quantity of a meter, in the order of the catalogue."""
    values = values_of(store.latest(meter_ids=[meter_id]))
    return sorted(values, key=lambda value: _PLACES.get(value.quantity, len(_PLACES)))


PHASES: Final = ("l1", "l2", "l3")
PHASED: Final = {
    "voltage": N_("Voltage"),
    "current": N_("Current"),
    "active_power": N_("Active power"),
    "reactive_power": N_("Reactive power"),
    "apparent_power": N_("Apparent power"),
    "power_factor": N_("Power factor"),
    "phase_angle": N_("Phase angle"),
}


@dataclass(frozen=True, slots=True)
class PhaseRow:
    """One quantity of a meter of several phases: its name (a message), and its value in each phase and in all."""

    name: str
    unit: str
    values: tuple[Value | None, ...]
    total: Value | None


def phase_rows(values: Iterable[Value]) -> list[PhaseRow]:
    """What a meter says of each phase; nothing of one that measures a single phase."""
    known = {value.quantity: value for value in values}
    rows = []
    for key, name in PHASED.items():
        found = tuple(known.get(f"{key}_{phase}") for phase in PHASES)
        there = [value for value in found if value is not None]
        if len(there) > 1:
            rows.append(PhaseRow(name, there[0].unit, found, known.get(key)))
    return rows


def live_values(values: Iterable[Value]) -> list[Value]:
    """What moves: power first, then voltages, currents and the rest."""
    moving = [value for value in values if _kind(value.quantity) == "instantaneous"]
    return sorted(
        moving, key=lambda value: _FIRST.index(value.quantity) if value.quantity in _FIRST else len(_FIRST)
    )


def register_values(values: Iterable[Value]) -> list[Value]:
    """What counts: energies and demands."""
    return [value for value in values if _kind(value.quantity) in {"register", "demand"}]


def _kind(quantity: str) -> str:
    return QUANTITIES[quantity].kind if quantity in QUANTITIES else ""
