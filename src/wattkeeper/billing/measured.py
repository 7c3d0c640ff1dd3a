"""What an account's metering points delivered during a bill's period: from intervals or from registers."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from wattkeeper.billing.errors import BillingRefused
from wattkeeper.billing.rating import Use
from wattkeeper.billing.registers import NEAR, TOTAL, microseconds, register_ends
from wattkeeper.billing.tariff import Tariff, Tou
from wattkeeper.billing.tou_clock import energy_by_tou, tou_pieces
from wattkeeper.billing.values import Basis, ReadingRow
from wattkeeper.kernel.calendars import Calendar
from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.readings.registers import UNIT
from wattkeeper.readings.schemas import IntervalStatus
from wattkeeper.readings.store import ReadingsStore
from wattkeeper.registry.values import AccountOfPoint, InstalledMeter

_DOUBTED = IntervalStatus.BACKWARDS | IntervalStatus.IMPLAUSIBLE
#: The longest grid: an interval that reaches into a stretch begins at most this much before it.
_LONGEST = timedelta(hours=1)
_HOUR = 3_600_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Rules:
    """When a period may be billed.

    No interval may be missing or doubted, and at most `estimated_limit` of the time may rest on estimated
    intervals; a bill with any is marked as estimated.
    """

    estimated_limit: Decimal = Decimal("0.5")


@dataclass(frozen=True, slots=True)
class PointMeter:
    """A metering point of the account, one of its meters, and the part of the bill's period they belong together."""

    point: AccountOfPoint
    meter: InstalledMeter
    meter_address: str
    period: TimeRange


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a stretch: for showing, never for billing. Gaps and doubted intervals are left out."""

    kwh: Decimal
    by_tou: tuple[tuple[str, Decimal], ...]
    """The same by period of the day; empty where the tariff has no clock."""
    covered: timedelta
    wanted: timedelta
    """The time that has an energy, and the time that should have one, both summed over the points."""
    estimated: bool

    @property
    def complete(self) -> bool:
        """Whether nothing is missing."""
        return self.covered == self.wanted


@dataclass(frozen=True, slots=True)
class _Point:
    """A point's intervals in order of time, in microseconds and units of 0.0001 kWh."""

    starts: np.ndarray
    ends: np.ndarray
    energy: np.ndarray
    known: np.ndarray
    status: np.ndarray


@dataclass(frozen=True, slots=True)
class _Taken:
    """Intervals with an energy, cut to a stretch, and how much of it is estimated."""

    starts: np.ndarray
    ends: np.ndarray
    energy: np.ndarray
    estimated_us: int


class Measurements:
    """The intervals and register readings of one account and period, read once."""

    def __init__(
        self,
        store: ReadingsStore,
        points: Sequence[AccountOfPoint],
        meters: Sequence[PointMeter],
        period: TimeRange,
        *,
        registers: Sequence[str],
    ) -> None:
        assert period.end is not None
        self._store = store
        self._points = points
        self._meters = meters
        self._period = period
        self._quantities = sorted({TOTAL, *registers})
        table = store.intervals(
            point_ids=sorted({point.point_id for point in points}),
            quantity=TOTAL,
            period=TimeRange(period.start - _LONGEST, period.end),
        )
        self._intervals = {point.point_id: _of_point(table, point.point_id) for point in points}

    @cached_property
    def _readings(self) -> pa.Table:
        """Registers around the period; asked for only where something rests on them."""
        return self._store.readings(
            meter_ids=sorted({item.meter.meter_id for item in self._meters}),
            quantities=self._quantities,
            period=TimeRange(
                self._period.start - NEAR, self._period.closed_end + NEAR + timedelta(microseconds=1)
            ),
        )

    def by_intervals(self, stretch: TimeRange, tariff: Tariff, calendar: Calendar, rules: Rules) -> Use:
        """The energy of a stretch from intervals, split by the civil hours of the tariff."""
        tou = tariff.version_at(stretch.start).tou
        totals = np.zeros(1 if tou is None else len(tou.periods), dtype=np.int64)
        whole_us = estimated_us = 0
        references: list[str] = []
        for point, part in self._parts(stretch):
            taken = self._taken(point, part)
            totals += self._split(taken, part, tariff, tou, calendar)
            whole_us += part.duration // timedelta(microseconds=1)
            estimated_us += taken.estimated_us
            references.append(f"intervals {point.point_code} {part} sha256 {_digest(taken)}")
        if Decimal(estimated_us) > rules.estimated_limit * whole_us:
            raise BillingRefused(
                f"Of the time from {stretch.start:%Y-%m-%d %H:%M} UTC, {Decimal(estimated_us) / whole_us:.0%} rests on estimated intervals.",
                reason="estimated_intervals",
                hint="Fetch the missing readings from the meter, or enter registers by hand.",
            )
        return Use(
            period=stretch,
            kwh=Decimal(int(totals.sum())) / UNIT,
            by_tou=_by_tou(tou, totals),
            basis=Basis.INTERVALS,
            references=tuple(references),
            estimated=estimated_us > 0,
        )

    def known(self, stretch: TimeRange, tariff: Tariff | None, calendar: Calendar) -> Known:
        """What is known of a stretch, by the hours of a tariff where there is one."""
        tou = None if tariff is None else tariff.version_at(stretch.start).tou
        totals = np.zeros(1 if tou is None else len(tou.periods), dtype=np.int64)
        wanted_us = covered_us = estimated_us = 0
        for point, part in self._parts(stretch):
            taken = self._cut_to(point, part)
            totals += (
                taken.energy.sum() if tariff is None else self._split(taken, part, tariff, tou, calendar)
            )
            wanted_us += part.duration // timedelta(microseconds=1)
            covered_us += int((taken.ends - taken.starts).sum())
            estimated_us += taken.estimated_us
        return Known(
            kwh=Decimal(int(totals.sum())) / UNIT,
            by_tou=_by_tou(tou, totals),
            covered=timedelta(microseconds=covered_us),
            wanted=timedelta(microseconds=wanted_us),
            estimated=estimated_us > 0,
        )

    def known_until(self, stretch: TimeRange) -> datetime | None:
        """Up to when a stretch is known of every point without a gap; None when not even its beginning is."""
        ends = [_first_gap(self._cut_to(point, part), part) for point, part in self._parts(stretch)]
        until = min((end for end in ends if end is not None), default=stretch.closed_end)
        return until if until > stretch.start and self._parts(stretch) else None

    def last_known(self, stretch: TimeRange) -> datetime | None:
        """Up to when something is known of every point, gaps before it or not; None when nothing is."""
        latest: list[datetime] = []
        for point, part in self._parts(stretch):
            taken = self._cut_to(point, part)
            if len(taken.ends):
                end = _EPOCH + timedelta(microseconds=int(taken.ends.max()))
                latest.append(end if end < part.closed_end else stretch.closed_end)
        return min(latest, default=None)

    def by_registers(self, stretch: TimeRange, tariff: Tariff) -> Use | None:
        """The energy of a stretch from registers at its ends; None where one of them is not known."""
        tou = tariff.version_at(stretch.start).tou
        total = Decimal(0)
        parts = {} if tou is None else {period.code: Decimal(0) for period in tou.periods}
        references: list[str] = []
        for item in self._meters:
            if (part := item.period.intersection(stretch)) is None:
                continue
            ends = register_ends(self._readings, item.meter, TOTAL, part)
            if ends.energy_kwh is None:
                return None
            total += ends.energy_kwh
            references += [
                f"reading {exchange}"
                for exchange in (ends.start_exchange_id, ends.end_exchange_id)
                if exchange
            ]
            if tou is not None and not self._add_tou(parts, ends.energy_kwh, item, part, tou):
                return None
        return Use(stretch, total, tuple(parts.items()), Basis.REGISTERS, tuple(references))

    def reading_rows(self) -> tuple[ReadingRow, ...]:
        """The readings table of the bill: each meter's total register, as it stands at the ends of its stretch."""
        rows = []
        for item in self._meters:
            ends = register_ends(self._readings, item.meter, TOTAL, item.period)
            rows.append(
                ReadingRow(
                    point_code=item.point.point_code, point_name=item.point.point_name,
                    meter_address=item.meter_address, quantity=TOTAL, period=item.period,
                    start=ends.start, end=ends.end, start_exchange_id=ends.start_exchange_id,
                    end_exchange_id=ends.end_exchange_id, ratio=item.meter.ratio, energy_kwh=ends.energy_kwh,
                )
            )  # fmt: skip
        return tuple(rows)

    def _parts(self, stretch: TimeRange) -> list[tuple[AccountOfPoint, TimeRange]]:
        """The points that belong to the account during a stretch, and for how much of it."""
        cut = [(point, point.period.intersection(stretch)) for point in self._points]
        return [(point, part) for point, part in cut if part is not None]

    def _split(
        self, taken: _Taken, part: TimeRange, tariff: Tariff, tou: Tou | None, calendar: Calendar
    ) -> np.ndarray:
        if tou is None:
            return np.array([taken.energy.sum()], dtype=np.int64)
        pieces = tou_pieces(tou, part, tariff.zone, calendar)
        return energy_by_tou(taken.starts, taken.ends, taken.energy, pieces, len(tou.periods))

    def _taken(self, point: AccountOfPoint, part: TimeRange) -> _Taken:
        """A point's intervals cut to a stretch; refuses gaps and doubted energy."""
        mine = self._intervals[point.point_id]
        inside = (mine.starts < microseconds(part.closed_end)) & (mine.ends > microseconds(part.start))
        doubted = inside & ~mine.known & ((mine.status & _DOUBTED.value) != 0)
        self._refuse_doubted(point, mine.starts[doubted])
        taken = self._cut_to(point, part)
        _refuse_gaps(point, part, taken.starts, taken.ends)
        return taken

    def _cut_to(self, point: AccountOfPoint, part: TimeRange) -> _Taken:
        """A point's intervals with an energy, cut to a stretch."""
        mine = self._intervals[point.point_id]
        low, high = microseconds(part.start), microseconds(part.closed_end)
        there = (mine.starts < high) & (mine.ends > low) & mine.known
        whole_starts, whole_ends = mine.starts[there], mine.ends[there]
        starts, ends = np.maximum(whole_starts, low), np.minimum(whole_ends, high)
        estimated = (mine.status[there] & IntervalStatus.ESTIMATED.value) != 0
        return _Taken(
            starts=starts,
            ends=ends,
            energy=_cut(mine.energy[there], whole_starts, whole_ends, starts, ends),
            estimated_us=int((ends - starts)[estimated].sum()),
        )

    def _refuse_doubted(self, point: AccountOfPoint, starts: np.ndarray) -> None:
        if len(starts):
            raise BillingRefused(
                f"Metering point {point.point_code} has {len(starts)} intervals whose registers ran backwards or beyond "
                f"its rated power, the first at {np.datetime64(int(starts[0]), 'us')} UTC.",
                reason="flagged_intervals",
                hint="If the register rolled over, enter the point's rated power, which confirms it; "
                "otherwise look at the readings around it and correct them with a reason.",
            )

    def _add_tou(
        self, parts: dict[str, Decimal], total: Decimal, item: PointMeter, part: TimeRange, tou: Tou
    ) -> bool:
        """Add one meter's time-of-use registers; what none of them counts goes to the rest. False: one is not known."""
        counted = Decimal(0)
        rest: str | None = None
        for period in tou.periods:
            if period.register == "rest":
                rest = period.code
                continue
            if period.register is None:
                return False
            ends = register_ends(self._readings, item.meter, period.register, part)
            if ends.energy_kwh is None:
                return False
            parts[period.code] += ends.energy_kwh
            counted += ends.energy_kwh
        if rest is not None:
            parts[rest] += total - counted
            return total >= counted
        return total == counted


def _of_point(table: pa.Table, point_id: int) -> _Point:
    mine = table.filter(pc.equal(table["point_id"], point_id))
    return _Point(
        starts=mine["start_at"].cast(pa.int64()).to_numpy(),
        ends=mine["end_at"].cast(pa.int64()).to_numpy(),
        energy=_units(mine["energy"]),
        known=mine["energy"].is_valid().to_numpy(),
        status=mine["status"].to_numpy(),
    )


def _by_tou(tou: Tou | None, totals: np.ndarray) -> tuple[tuple[str, Decimal], ...]:
    if tou is None:
        return ()
    return tuple(
        (period.code, Decimal(int(units)) / UNIT) for period, units in zip(tou.periods, totals, strict=True)
    )


def _first_gap(taken: _Taken, part: TimeRange) -> datetime | None:
    """Where the first stretch without an energy begins; None when there is none."""
    at = microseconds(part.start)
    expected = np.concatenate(([at], taken.ends))[: len(taken.starts)]
    late = np.flatnonzero(taken.starts > expected)
    if len(late):
        at = at if late[0] == 0 else int(taken.ends[late[0] - 1])
    elif len(taken.ends):
        at = int(taken.ends[-1])
    gap = _EPOCH + timedelta(microseconds=at)
    return gap if gap < part.closed_end else None


def _units(energy: pa.ChunkedArray) -> np.ndarray:
    """Energies as whole units of 0.0001 kWh; what is null counts nothing and is left out by the caller."""
    filled = pc.fill_null(energy, Decimal(0)).cast(pa.decimal128(18, 4))
    units = pc.multiply(filled, pa.scalar(Decimal(UNIT), pa.decimal128(5, 0))).cast(pa.int64())
    return np.asarray(units.to_numpy())


def _cut(
    energy: np.ndarray, starts: np.ndarray, ends: np.ndarray, low: np.ndarray, high: np.ndarray
) -> np.ndarray:
    """The share of each interval that lies in [low, high): shares of neighbouring stretches add up to the whole."""
    out = energy.copy()
    for row in np.flatnonzero((low > starts) | (high < ends)):
        units, start, width = int(energy[row]), int(starts[row]), int(ends[row] - starts[row])
        out[row] = units * (int(high[row]) - start) // width - units * (int(low[row]) - start) // width
    return out


def _refuse_gaps(point: AccountOfPoint, part: TimeRange, starts: np.ndarray, ends: np.ndarray) -> None:
    missing = part.duration // timedelta(microseconds=1) - int((ends - starts).sum())
    if missing > 0:
        raise BillingRefused(
            f"Metering point {point.point_code} has no intervals for {missing / _HOUR:.2f} hours of the period {part}.",
            reason="missing_intervals",
            hint="Fetch the missing readings from the meter; the bill can be made once they are in.",
        )


def _digest(taken: _Taken) -> str:
    digest = hashlib.sha256()
    for column in (taken.starts, taken.ends, taken.energy):
        digest.update(np.ascontiguousarray(column, dtype="<i8").tobytes())
    return digest.hexdigest()
