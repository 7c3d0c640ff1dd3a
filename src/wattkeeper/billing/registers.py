"""Registers at the ends of a billed stretch, and the energy between them.

Ratio and rollover are applied where intervals get theirs, in `wattkeeper.readings.registers`; nothing multiplies here.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.readings.registers import UNIT, Group, collect
from wattkeeper.registry.values import InstalledMeter

TOTAL = "active_energy_import"
#: A reading this near an end of a period is the register at that end, as for intervals.
NEAR = timedelta(seconds=30)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Ends:
    """A register at both ends [kWh as shown], the exchanges that read it, and the energy between [kWh, ratio applied].

    `energy_kwh` is None where an end is not known or the register ran backwards or beyond all rating.
    """

    start: Decimal | None
    end: Decimal | None
    start_exchange_id: int | None
    end_exchange_id: int | None
    energy_kwh: Decimal | None


def register_ends(readings: pa.Table, meter: InstalledMeter, quantity: str, period: TimeRange) -> Ends:
    """The register of a quantity at the ends of a closed period that lies within the installation."""
    assert period.end is not None
    mine = readings.filter(
        pc.and_(pc.equal(readings["meter_id"], meter.meter_id), pc.equal(readings["quantity"], quantity))
    )
    at = mine["read_at"].cast(pa.int64()).to_numpy()
    start = _shown(mine, at, period.start) or _noted(meter, quantity, period.start)
    end = _shown(mine, at, period.end) or _noted(meter, quantity, period.end)
    return Ends(
        start=None if start is None else start[0],
        end=None if end is None else end[0],
        start_exchange_id=None if start is None else start[1],
        end_exchange_id=None if end is None else end[1],
        energy_kwh=_energy(mine, meter, quantity, period),
    )


def microseconds(instant: datetime) -> int:
    """Microseconds since 1970 UTC."""
    return int(np.datetime64(instant.replace(tzinfo=None), "us").astype(np.int64))


def _shown(mine: pa.Table, at: np.ndarray, instant: datetime) -> tuple[Decimal, int | None] | None:
    row = _nearest(at, instant)
    return None if row is None else (mine["value"][row].as_py(), mine["exchange_id"][row].as_py())


def _noted(meter: InstalledMeter, quantity: str, instant: datetime) -> tuple[Decimal, int | None] | None:
    """The register written down when the meter was put up or taken down at this very moment."""
    if quantity != TOTAL:
        return None
    if instant == meter.period.start:
        return meter.first_register, None
    if instant == meter.period.end and meter.last_register is not None:
        return meter.last_register, None
    return None


def _energy(mine: pa.Table, meter: InstalledMeter, quantity: str, period: TimeRange) -> Decimal | None:
    assert period.end is not None
    trusted = collect(mine, [Group(meter, quantity)])
    first, last = _nearest(trusted.at, period.start), _nearest(trusted.at, period.end)
    if first is None or last is None:
        return None
    doubted = (trusted.backwards[last] - trusted.backwards[first]) + (
        trusted.implausible[last] - trusted.implausible[first]
    )
    return None if doubted else Decimal(int(trusted.energy[last] - trusted.energy[first])) / UNIT


def _nearest(at: np.ndarray, instant: datetime) -> int | None:
    if not len(at):
        return None
    distance = np.abs(at - microseconds(instant))
    row = int(distance.argmin())
    return row if distance[row] <= NEAR // _MICROSECOND else None
