"""What is known of the meters whose readings are judged: of each installation one row, as columns."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from wattkeeper.kernel.timerange import TimeRange, start_of_day
from wattkeeper.readings.batches import microseconds
from wattkeeper.readings.registers import FOREVER, UNIT, Flags, Integers
from wattkeeper.readings.validation.models import ANY_KIND

Floats = npt.NDArray[np.float64]

UTC_ZONE = ZoneInfo("UTC")
_EPOCH_PERIOD = TimeRange(datetime.fromisoformat("1970-01-01T00:00:00+00:00"), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterFacts:
    """A meter at a metering point for a period. What is not known keeps the rules that need it silent."""

    meter_id: int
    point_id: int | None = None
    kind: str = ANY_KIND
    """The class of the metering point."""
    period: TimeRange = _EPOCH_PERIOD
    ct_ratio: Decimal = Decimal(1)
    pt_ratio: Decimal = Decimal(1)
    primary: bool = False
    """Whether the meter shows primary values by its own setting; else the ratios turn what it shows into them."""
    register_digits: int | None = None
    register_decimals: int = 2
    first_register: Decimal | None = None
    """The register noted when the meter was put up [kWh], and when it was taken down."""
    last_register: Decimal | None = None
    rated_power_kw: Decimal | None = None
    max_current_a: Decimal | None = None
    interval_minutes: int | None = None
    zone: ZoneInfo = UTC_ZONE
    paid: tuple[TimeRange, ...] | None = None
    """When an open account paid for the point; None where none ever did, and nobody can tell a vacancy."""


class FactColumns:
    """The facts in order of meter and start, as columns; numbers in units of the store where they are compared."""

    def __init__(self, facts: Sequence[MeterFacts]) -> None:
        self.rows = sorted(facts, key=lambda fact: (fact.meter_id, fact.period.start))
        self.meter = np.array([fact.meter_id for fact in self.rows], np.int64)
        self.start = np.array([microseconds(fact.period.start) for fact in self.rows], np.int64)
        self.end = np.array([_end(fact.period) for fact in self.rows], np.int64)

    def of_readings(self, meter: Integers, at: Integers) -> Integers:
        """The row of each reading; -1 where its meter was not installed. Both ends of an installation belong to it."""
        if not self.rows:
            return np.full(len(meter), -1, np.int64)
        meters, first = np.unique(self.meter, return_index=True)
        last = np.append(first[1:], len(self.rows)) - 1
        known = np.searchsorted(meters, meter)
        known_here = known < len(meters)
        known = np.minimum(known, len(meters) - 1)
        found = np.where(known_here & (meters[known] == meter), first[known], -1)
        more = int((last - first).max(initial=0))
        for _ in range(more):  # as often as one meter was installed again
            following = np.minimum(found + 1, len(self.rows) - 1)
            later = (found >= 0) & (self.meter[following] == meter) & (self.start[following] <= at)
            found = np.where(later, following, found)
        inside = (found >= 0) & (self.start[found] <= at) & (at <= self.end[found])
        return np.where(inside, found, -1)

    @functools.cached_property
    def ratio(self) -> Floats:
        """What turns a value of the meter into a primary one."""
        return self._floats(lambda fact: 1 if fact.primary else fact.ct_ratio * fact.pt_ratio)

    @functools.cached_property
    def capacity(self) -> Floats:
        """What the register counts before it starts again from zero [store units]; nan where it is not known."""
        return (
            self._floats(lambda fact: None if fact.register_digits is None else 10**fact.register_digits)
            * UNIT
        )

    @functools.cached_property
    def digit(self) -> Floats:
        """The register's last digit [store units]."""
        return self._floats(lambda fact: UNIT / 10**fact.register_decimals)

    @functools.cached_property
    def rated(self) -> Floats:
        """The rated power [kW]; nan where it is not known."""
        return self._floats(lambda fact: fact.rated_power_kw)

    @functools.cached_property
    def max_current(self) -> Floats:
        """The largest current as the meter shows it [A]; nan where it is not known.

        A meter's own maximum is of what flows through it; one that shows primary values multiplies that by its CT ratio.
        """
        return self._floats(
            lambda fact: (
                None
                if fact.max_current_a is None
                else fact.max_current_a * (fact.ct_ratio if fact.primary else 1)
            )
        )

    @functools.cached_property
    def direct_voltage(self) -> Flags:
        """Whether voltages are those of the low-voltage network: behind a transformer the nominal is not known."""
        return np.array([fact.pt_ratio == 1 for fact in self.rows], np.bool_)

    @functools.cached_property
    def step(self) -> Integers:
        """The grid of the point [µs]; 0 where it is not known."""
        return np.array([(fact.interval_minutes or 0) * 60_000_000 for fact in self.rows], np.int64)

    @functools.cached_property
    def kind(self) -> npt.NDArray[np.str_]:
        """The class of each point."""
        return np.array([fact.kind for fact in self.rows], np.str_)

    @functools.cached_property
    def noted_first(self) -> Floats:
        """The register noted at the start [store units]; nan where none was."""
        return self._floats(lambda fact: fact.first_register) * UNIT

    @functools.cached_property
    def noted_last(self) -> Floats:
        """The register noted at the end [store units]; nan where none was."""
        return self._floats(lambda fact: fact.last_register) * UNIT

    def vacant(self, row: Integers, at: Integers) -> Flags:
        """Whether nobody paid for the point at an instant, though somebody had."""
        vacant = np.array([fact.paid is not None for fact in self.rows], np.bool_)[row]
        for number in np.unique(row[vacant]):  # a point changes hands a few times in its life
            of = np.flatnonzero(row == number)
            for period in self.rows[int(number)].paid or ():
                paid = (at[of] >= microseconds(period.start)) & (at[of] <= _end(period))
                vacant[of[paid]] = False
        return vacant

    def days(self, row: Integers, at: Integers) -> tuple[Integers, Integers]:
        """The civil day of each instant in the zone of its point: its first instant and the next day's."""
        start, end = np.zeros(len(at), np.int64), np.zeros(len(at), np.int64)
        zones = [fact.zone.key for fact in self.rows]
        names, codes = np.unique(np.array(zones, np.str_), return_inverse=True)
        for code, name in enumerate(names):
            of = np.flatnonzero(codes[row] == code)
            if not len(of):
                continue
            midnights = civil_midnights(int(at[of].min()), int(at[of].max()), ZoneInfo(str(name)))
            place = np.searchsorted(midnights, at[of], "right") - 1
            start[of], end[of] = midnights[place], midnights[place + 1]
        return start, end

    def _floats(self, number: Callable[[MeterFacts], Decimal | float | None]) -> Floats:
        values = [number(fact) for fact in self.rows]
        return np.array([np.nan if value is None else float(value) for value in values], np.float64)


@functools.lru_cache(maxsize=256)
def civil_midnights(first: int, last: int, zone: ZoneInfo) -> Integers:
    """The midnights [µs since 1970 UTC] from that of the day of ``first`` to the one after the day of ``last``."""
    day = datetime.fromtimestamp(first // 1_000_000, zone).date()
    midnights = [microseconds(start_of_day(day, zone))]
    while midnights[-1] <= last:
        day += timedelta(days=1)
        midnights.append(microseconds(start_of_day(day, zone)))
    found = np.array(midnights, np.int64)
    found.flags.writeable = False  # many callers share it
    return found


def _end(period: TimeRange) -> int:
    return FOREVER if period.end is None else microseconds(period.end)
