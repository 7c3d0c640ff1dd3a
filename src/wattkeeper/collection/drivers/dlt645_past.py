"""DL/T 645-2007: what its meters remember themselves, from which gaps are filled."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

from wattkeeper.collection.civil import resolve, resolve_sequence, stamp_to_ask
from wattkeeper.collection.drivers.base import Measured, Request
from wattkeeper.collection.drivers.dlt645 import IDENTIFIERS, ReadingsInTurn
from wattkeeper.protocols.dlt645.master import LoadRecordExchange, ReadExchange
from wattkeeper.protocols.dlt645.values import Value

PROFILE_CLASS = "0604"
"""Load record class 4: forward and reverse active, combined reactive 1 and 2 energy (appendix B)."""
EARLIEST, FROM_TIME, LATEST = "0000", "0001", "0002"
"""DI1 and DI0 of a load record: which of its records are asked for."""
PROFILE_QUANTITIES = (
    "active_energy_import",
    "active_energy_export",
    "reactive_energy_combined1",
    "reactive_energy_combined2",
)
_PROFILED = {IDENTIFIERS[quantity]: quantity for quantity in PROFILE_QUANTITIES}
MOST_RECORDS = 99
"""The number of blocks in a request is one BCD byte."""
FREEZES = 62
"""Daily freezes that a meter keeps at most, 01H to 3EH (State Grid supplement to table A.6)."""
_FREEZE_TIME, _FREEZE_IMPORT = "050600", "050601"
_FROZEN: Final = {
    "total": "active_energy_import",
    "t1": "active_energy_import_t1",
    "t2": "active_energy_import_t2",
    "t3": "active_energy_import_t3",
    "t4": "active_energy_import_t4",
}
_DAY = timedelta(days=1)


class LoadRecordRequest:
    """Some records of the load record, class 4 (energies)."""

    quantities = PROFILE_QUANTITIES
    parts: Sequence[Request] = ()

    def __init__(
        self, address: str, way: str, *, zone: ZoneInfo, start: datetime | None = None, count: int = 1
    ) -> None:
        stamp = None if start is None else stamp_to_ask(start, zone)
        self.key = PROFILE_CLASS + way
        self.exchange = LoadRecordExchange(address, self.key, start=stamp, count=count)
        self._zone = zone

    def measured(self, at: datetime) -> list[Measured]:  # noqa: ARG002 - the stamps are the meter's own
        """Every value with the meter's own stamp in UTC.

        A record of an hour that the site's clock jumped over has no instant and is left out: the meter's clock
        does not follow the site's, and its other stamps would collide with this one. Its bytes stay in the trace.
        """
        records = self.exchange.records
        instants = resolve_sequence([record.recorded_at for record in records], self._zone)
        return [
            Measured(quantity, item.value, stamped_at=instant, doubtful=record.marked_wrong)
            for record, instant in zip(records, instants, strict=True)
            if instant is not None
            for item in record.values
            if isinstance(item.value, Decimal) and (quantity := _PROFILED.get(item.identifier)) is not None
        ]


class LoadRecords:
    """The load record: a record for each slot of the metering point's grid."""

    key = PROFILE_CLASS + LATEST

    def step(self, slot: timedelta) -> timedelta:
        """The grid of the metering point is taken for the period of the load record."""
        return slot

    def phase(self, zone: ZoneInfo, now: datetime) -> timedelta:  # noqa: ARG002 - slots divide the hour
        """On the hour in every zone."""
        return timedelta()

    def since(
        self,
        address: str,
        start: datetime,
        *,
        count: int,
        zone: ZoneInfo,
        now: datetime,  # noqa: ARG002 - its records are found by their stamp
    ) -> LoadRecordRequest:
        """Up to `count` (99 at most) records from `start` on."""
        return LoadRecordRequest(address, FROM_TIME, zone=zone, start=start, count=min(count, MOST_RECORDS))

    def earliest(self, address: str, *, zone: ZoneInfo) -> LoadRecordRequest:
        """The oldest record that the meter still has."""
        return LoadRecordRequest(address, EARLIEST, zone=zone)

    def latest(self, address: str, *, zone: ZoneInfo) -> LoadRecordRequest:
        """The newest record."""
        return LoadRecordRequest(address, LATEST, zone=zone)


class FreezeRequest:
    """One daily freeze: when it was taken, and the energy with its tariffs."""

    quantities = tuple(_FROZEN.values())
    parts: Sequence[Request] = ()

    def __init__(self, address: str, number: int, *, zone: ZoneInfo) -> None:
        """`number`: 1 for the last freeze, up to 62."""
        self.key = f"{_FREEZE_TIME}{number:02X}"
        self.exchange = FreezeExchange(address, number)
        self._zone = zone

    def measured(self, at: datetime) -> list[Measured]:
        """Its values at the moment it was taken; none of a freeze that was not taken yet."""
        taken = self.exchange.taken
        instant = None if taken is None else resolve(taken, self._zone, near=at)
        if instant is None:
            return []
        return [
            Measured(_FROZEN[item.part], item.value, stamped_at=instant)
            for item in self.exchange.values
            if item.part in _FROZEN and isinstance(item.value, Decimal)
        ]


class FreezeExchange(ReadingsInTurn):
    """The time of a freeze, then its energies; one that was never taken is not asked further."""

    def __init__(self, address: str, number: int) -> None:
        self._time = ReadExchange(address, f"{_FREEZE_TIME}{number:02X}")
        self._energy = ReadExchange(address, f"{_FREEZE_IMPORT}{number:02X}")
        super().__init__([self._time, self._energy])

    @property
    def taken(self) -> datetime | None:
        """When the freeze was taken, by the meter's clock (naive); None: it was not."""
        told = self._time.values[0].value
        return told if isinstance(told, datetime) else None

    @property
    def values(self) -> Sequence[Value]:
        """The total and the tariffs."""
        return self._energy.values

    def _goes_on(self) -> bool:
        return self.taken is not None


class DailyFreezes:
    """The daily freezes: the registers at each midnight, for meters without a load record."""

    key = f"{_FREEZE_TIME}01"

    def step(self, slot: timedelta) -> timedelta:  # noqa: ARG002 - a day has one freeze whatever the grid
        """A day."""
        return _DAY

    def phase(self, zone: ZoneInfo, now: datetime) -> timedelta:
        """Civil midnight, as it lies now: where clocks change, half of the year's freezes lie an hour beside it."""
        midnight = now.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
        return timedelta(seconds=midnight.timestamp() % _DAY.total_seconds())

    def since(
        self,
        address: str,
        start: datetime,
        *,
        count: int,  # noqa: ARG002 - each freeze has an identifier of its own
        zone: ZoneInfo,
        now: datetime,
    ) -> FreezeRequest:
        """The freeze of the civil day that begins at `start`; the oldest there can be, for days before it."""
        days = (now.astimezone(zone).date() - start.astimezone(zone).date()).days
        return FreezeRequest(address, min(max(days + 1, 1), FREEZES), zone=zone)

    def earliest(self, address: str, *, zone: ZoneInfo) -> FreezeRequest:
        """The oldest freeze there can be."""
        return FreezeRequest(address, FREEZES, zone=zone)

    def latest(self, address: str, *, zone: ZoneInfo) -> FreezeRequest:
        """The last freeze."""
        return FreezeRequest(address, 1, zone=zone)
