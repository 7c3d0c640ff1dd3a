"""What an account uses and what that costs while no bill says so yet: the arithmetic of the bill, kept nowhere.

A stretch is rated as if it were billed now: with the account's own tariffs, and with tiers that go on from what was
used before it. What of that no bill covers is counted as measured. Readings are read once, for a window; every stretch
within it can then be asked for.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cached_property
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from wattkeeper.billing.errors import BillingRefused
from wattkeeper.billing.kept import rated
from wattkeeper.billing.library import TariffLibrary
from wattkeeper.billing.measured import Known, Measurements, Rules
from wattkeeper.billing.preparing import Preparation, refuse_currency, registers_of
from wattkeeper.billing.rating import Use, rate
from wattkeeper.billing.registers import TOTAL
from wattkeeper.billing.tariff import Kind, Tariff
from wattkeeper.billing.values import AssignedTariff, Line
from wattkeeper.kernel.calendars import Calendar
from wattkeeper.kernel.money import Money
from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.readings.store import ReadingsStore
from wattkeeper.registry.models import Account

_NO_CLOCK = Calendar(None)


@dataclass(frozen=True, slots=True)
class Cost:
    """What a stretch costs by the rules of the bill; `period` is the part of it that account and tariffs cover."""

    period: TimeRange
    kwh: Decimal
    total: Money
    lines: tuple[Line, ...]
    estimated: bool


@dataclass(frozen=True, slots=True)
class Slot:
    """A part of a period: the energy known of it, and what that costs where nothing is missing.

    `cost` is exact, unrounded and without charges per month: the slots of a month add up to what its energy costs.
    """

    period: TimeRange
    known: Known | None
    """None where the account has no metering point."""
    cost: Decimal | None


class Running(Preparation):
    """An account within a window of time, in one session that reads."""

    def __init__(
        self,
        session: Session,
        store: ReadingsStore,
        library: TariffLibrary,
        calendars: dict[str, Calendar],
        rules: Rules,
        *,
        account_id: int,
        window: TimeRange,
    ) -> None:
        super().__init__(session, store, library, calendars, rules)
        self.window = window
        self._account = self._registry.get_account(account_id)
        self._held = self._registry.points_of_account(account_id, window)
        self._items = self._bills.assignments(account_id, window)
        self._before: dict[TimeRange, dict[datetime, Decimal]] = {}

    @cached_property
    def _measured(self) -> Measurements:
        tariffs = [tariff for _, tariff in self.tariffs]
        meters = self._meters(self._held, self.window)
        return Measurements(self._store, self._held, meters, self.window, registers=registers_of(tariffs))

    @cached_property
    def tariffs(self) -> tuple[tuple[AssignedTariff, Tariff], ...]:
        """The account's tariffs within the window, in order of time."""
        return tuple((item, self._library.get(item.tariff_code)) for item in self._items)

    @property
    def divisible(self) -> bool:
        """Whether each kWh has a price of its own.

        Not where tier and period of the day decide together: the bill then shares each tier among the periods of the
        whole month, so what a day's energy costs is open until the month is over.
        """
        components = (
            c for _, tariff in self.tariffs for version in tariff.versions for c in version.components
        )
        return not any(component.by_tier and component.by_tou for component in components)

    def known(self, stretch: TimeRange) -> Known | None:
        """What is known of a stretch; None where the account has no metering point."""
        if not self._held:
            return None
        tariff = next(
            (t for _, t in self._in_force(TimeRange(stretch.start, stretch.start + timedelta.resolution))),
            None,
        )
        calendar = _NO_CLOCK if tariff is None else self._calendar(tariff)
        known = self._measured.known(stretch, tariff, calendar)
        return known if known.wanted else None

    def known_until(self, stretch: TimeRange) -> datetime | None:
        """Up to when a stretch is known without a gap; None when not even its beginning is."""
        return self._measured.known_until(stretch) if self._held else None

    def last_known(self, stretch: TimeRange) -> datetime | None:
        """Up to when something is known of every point of the account, gaps before it or not."""
        return self._measured.last_known(stretch) if self._held else None

    def cost(self, stretch: TimeRange) -> Cost:
        """What the bill of a stretch would be, were it over now; or BillingRefused with the reason."""
        billed = self._billed_period(self._account, stretch)
        assigned = self._assigned(self._account, billed)
        billed = TimeRange(max(billed.start, assigned[0].period.start), billed.end)
        _, site = self._points(self._account, billed)
        tariffs = [self._library.get(item.tariff_code) for item in assigned]
        for tariff in tariffs:
            refuse_currency(tariff, site)
        parts = tuple(
            self._part(self._account, item, tariff, self._measured, billed)
            for item, tariff in zip(assigned, tariffs, strict=True)
        )
        result = rated(parts)
        uses = [use for part in parts for use in part.uses]
        return Cost(
            period=billed,
            kwh=sum((use.kwh for use in uses), Decimal(0)),
            total=Money(result.total, site.currency),
            lines=result.lines,
            estimated=any(use.estimated for use in uses),
        )

    def slots(self, slots: Sequence[TimeRange], zone: ZoneInfo) -> list[Slot]:
        """Neighbouring slots, oldest first; the window must reach back to the start of the first one's month."""
        whole = TimeRange(slots[0].start, slots[-1].end)
        until = self.last_known(whole)
        costs: dict[TimeRange, Decimal] = {}
        if until is not None and self.divisible:
            first = whole.start.astimezone(zone)
            begin = TimeRange.month(first.year, first.month, zone).start
            lead = [TimeRange(begin, whole.start)] if begin < whole.start else []
            for month in TimeRange(begin, until).months(zone):
                for item, tariff in self._in_force(month):
                    costs |= self._costs(item, tariff, month, [*lead, *slots])
        return [self._slot(slot, costs, until) for slot in slots]

    def _slot(self, slot: TimeRange, costs: Mapping[TimeRange, Decimal], until: datetime | None) -> Slot:
        known = self.known(slot)
        mine = slot.intersection(TimeRange(self._account.opened_at, self._account.closed_at))
        if known is None or mine is None or until is None or until <= mine.start:
            return Slot(slot, known, None)
        mine = TimeRange(mine.start, min(mine.closed_end, until))
        inside = [(piece, cost) for piece, cost in costs.items() if piece.overlaps(mine)]
        rated_for = sum((piece.duration for piece, _ in inside), timedelta())
        cost = sum((cost for _, cost in inside), Decimal(0)) if rated_for == mine.duration else None
        return Slot(slot, known, cost)

    def _costs(
        self, item: AssignedTariff, tariff: Tariff, month: TimeRange, slots: Sequence[TimeRange]
    ) -> dict[TimeRange, Decimal]:
        """The cost of each piece of the slots that one tariff rates in a month, tiers filling in order of time."""
        stretch, in_force = (
            self._stretch(item, tariff, month),
            self._stretch(item, tariff, TimeRange(item.period.start, None)),
        )
        if stretch is None or in_force is None:
            return {}
        pieces = [
            piece for slot in slots if (cut := slot.intersection(stretch)) for piece in tariff.segments(cut)
        ]
        uses = list(self._uses(item, tariff, pieces))
        if not uses:
            return {}
        result = rate(
            tariff,
            uses,
            in_force=in_force,
            used_before=self._used_before(self._account, tariff, in_force, pieces[0]),
        )
        costs = {use.period: Decimal(0) for use in uses}
        for line in result.lines:
            if line.kind != Kind.FIXED:
                costs[line.period] += line.price * line.quantity
        return costs

    def _uses(self, item: AssignedTariff, tariff: Tariff, pieces: Sequence[TimeRange]) -> Iterator[Use]:
        """The pieces of which everything is known; with tiers, those up to the first gap: it hides which tier is next."""
        for piece in pieces:
            try:
                yield self._use(piece, item, tariff, self._measured)
            except BillingRefused:
                if tariff.version_at(piece.start).tiers is not None:
                    return

    def _in_force(self, stretch: TimeRange) -> list[tuple[AssignedTariff, Tariff]]:
        """The tariffs that rate some of a stretch."""
        return [(item, tariff) for item, tariff in self.tariffs if self._stretch(item, tariff, stretch)]

    def _stretch(self, item: AssignedTariff, tariff: Tariff, stretch: TimeRange) -> TimeRange | None:
        """The part of a stretch in which the account is open and this tariff assigned and in force."""
        found: TimeRange | None = stretch
        for limit in (
            item.period,
            tariff.period,
            TimeRange(self._account.opened_at, self._account.closed_at),
        ):
            found = None if found is None else found.intersection(limit)
        return found

    def _used_before(
        self, account: Account, tariff: Tariff, in_force: TimeRange, first: TimeRange
    ) -> dict[datetime, Decimal]:
        """As for a bill; asked once per beginning."""
        key = TimeRange(first.start, in_force.end)
        if key not in self._before:
            self._before[key] = super()._used_before(account, tariff, in_force, first)
        return self._before[key]

    def _unbilled(self, account: Account, gaps: Sequence[TimeRange], begin: datetime) -> Decimal:
        """The energy measured in what no bill covers [kWh], as far as it is known."""
        del begin
        return sum((self._energy(account, gap) for gap in gaps), Decimal(0))

    def _energy(self, account: Account, gap: TimeRange) -> Decimal:
        inside = gap.intersection(self.window)
        known = self.known(inside) if inside else None
        total = Decimal(0) if known is None else known.kwh
        outside = gap.minus(self.window)
        for point in self._registry.points_of_account(account.id, gap) if outside else ():
            for piece in outside:
                if part := piece.intersection(point.period):
                    days = self._store.energy_by_day([point.point_id], TOTAL, part, _UTC)
                    total += sum(days["energy"].to_pylist(), Decimal(0))
        return total


_UTC = ZoneInfo("UTC")
