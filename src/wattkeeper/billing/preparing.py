"""From an account and a period to a bill that is not one yet; refuses, with a reason, what cannot be billed."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from importlib.metadata import version

from sqlalchemy.orm import Session

from wattkeeper.billing.errors import BillingRefused
from wattkeeper.billing.kept import Inputs, Part, used_in
from wattkeeper.billing.library import TariffLibrary
from wattkeeper.billing.measured import Measurements, PointMeter, Rules
from wattkeeper.billing.rating import Use
from wattkeeper.billing.repository import BillingRepository
from wattkeeper.billing.tariff import Tariff
from wattkeeper.billing.values import AssignedTariff, Basis, BillDraft, Party
from wattkeeper.kernel.calendars import Calendar
from wattkeeper.kernel.money import Money
from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.readings.store import ReadingsStore
from wattkeeper.registry.models import Account, Site
from wattkeeper.registry.repository import Registry
from wattkeeper.registry.values import AccountOfPoint

_TOO_EARLY = "Bill it when the period is over."


@dataclass(frozen=True)
class Prepared:
    """A draft, and the account's newest bill when it was made: a later one makes the draft stale."""

    draft: BillDraft
    newest_bill_id: int


class Preparation:
    """Prepares bills within one session that reads."""

    def __init__(
        self,
        session: Session,
        store: ReadingsStore,
        library: TariffLibrary,
        calendars: dict[str, Calendar],
        rules: Rules,
    ) -> None:
        self._registry = Registry(session)
        self._bills = BillingRepository(session)
        self._store = store
        self._library = library
        self._calendars = calendars
        self._rules = rules

    def prepare(self, account_id: int, *, period: TimeRange, now: datetime) -> Prepared:
        """The draft of an account's bill for the part of a period that the account and its tariffs cover."""
        account = self._registry.get_account(account_id)
        if period.end is None or period.end > now:
            raise BillingRefused(
                f"The period {period} is not over.", reason="period_not_over", hint=_TOO_EARLY
            )
        billed = self._billed_period(account, period)
        assigned = self._assigned(account, billed)
        billed = TimeRange(max(billed.start, assigned[0].period.start), billed.end)
        self._refuse_billed(account, billed)
        points, site = self._points(account, billed)
        newest = self._bills.newest_bill_id(account.id)
        inputs = self._inputs(account, site, assigned, points, billed)
        return Prepared(_draft(account.id, billed, inputs), newest)

    def _inputs(
        self, account: Account, site: Site, assigned: Sequence[AssignedTariff],
        points: Sequence[AccountOfPoint], billed: TimeRange,
    ) -> Inputs:  # fmt: skip
        tariffs = [self._library.get(item.tariff_code) for item in assigned]
        for tariff in tariffs:
            refuse_currency(tariff, site)
        measured = Measurements(
            self._store, points, self._meters(points, billed), billed, registers=registers_of(tariffs)
        )
        parts = tuple(
            self._part(account, item, tariff, measured, billed)
            for item, tariff in zip(assigned, tariffs, strict=True)
        )
        customer = self._registry.get_customer(account.customer_id)
        return Inputs(
            party=Party(
                account_code=account.code, account_name=account.name, account_address=account.address or "",
                customer_name=customer.name, site_name=site.name, zone=site.zone,
            ),
            calendar={"rules": _calendar_rules()},
            parts=parts,
            readings=measured.reading_rows(),
        )  # fmt: skip

    def _billed_period(self, account: Account, period: TimeRange) -> TimeRange:
        billed = period.intersection(TimeRange(account.opened_at, account.closed_at))
        if billed is None:
            raise BillingRefused(
                f"Account {account.code} was not open during {period}.",
                reason="account_closed",
                hint="Choose a period between its opening and its closing.",
            )
        return billed

    def _assigned(self, account: Account, billed: TimeRange) -> list[AssignedTariff]:
        assigned = self._bills.assignments(account.id, billed)
        gaps = billed.minus(*(item.period for item in assigned))
        # An account without a tariff before its first one is billed from that one on; any other gap is a mistake.
        first_gap_leads = bool(gaps) and bool(assigned) and gaps[0].end == assigned[0].period.start
        if not assigned or len(gaps) > int(first_gap_leads):
            raise BillingRefused(
                f"Account {account.code} has no tariff from {(gaps or [billed])[-1]}.",
                reason="no_tariff",
                hint="Assign a tariff for that period.",
            )
        return assigned

    def _refuse_billed(self, account: Account, billed: TimeRange) -> None:
        if live := self._bills.live_bills(account.id, billed):
            raise BillingRefused(
                f"Account {account.code} has bill {live[0].number} for this period.",
                reason="already_billed",
                hint="Cancel that bill first if it is wrong.",
            )

    def _points(self, account: Account, billed: TimeRange) -> tuple[list[AccountOfPoint], Site]:
        points = self._registry.points_of_account(account.id, billed)
        if not points:
            raise BillingRefused(
                f"Account {account.code} has no metering point during {billed}.",
                reason="no_points",
                hint="Assign it the metering points it pays for.",
            )
        return points, self._registry.get_site(self._registry.get_point(points[0].point_id).site_id)

    def _meters(self, points: Sequence[AccountOfPoint], billed: TimeRange) -> list[PointMeter]:
        found: list[PointMeter] = []
        for point in points:
            mine = point.period.intersection(billed)
            assert mine is not None
            for meter in self._registry.installations(point_ids=[point.point_id], period=mine):
                if (both := meter.period.intersection(mine)) is not None:
                    address = self._registry.get_meter(meter.meter_id).address
                    found.append(PointMeter(point, meter, address, both))
        return found

    def _part(
        self,
        account: Account,
        item: AssignedTariff,
        tariff: Tariff,
        measured: Measurements,
        billed: TimeRange,
    ) -> Part:
        stretch = item.period.intersection(billed)
        assert stretch is not None
        if stretch.minus(tariff.period):
            raise BillingRefused(
                f"The tariff {tariff.code} of account {account.code} is not in force for all of {stretch}.",
                reason="tariff_not_in_force",
                hint="Add the missing version to the tariff, or assign another.",
            )
        in_force = item.period.intersection(TimeRange(account.opened_at, account.closed_at))
        assert in_force is not None
        in_force = in_force.intersection(tariff.period) or in_force
        segments = tariff.segments(stretch)
        return Part(
            tariff=tariff,
            in_force=in_force,
            used_before=self._used_before(account, tariff, in_force, segments[0]),
            uses=tuple(self._use(segment, item, tariff, measured) for segment in segments),
        )

    def _use(self, segment: TimeRange, item: AssignedTariff, tariff: Tariff, measured: Measurements) -> Use:
        if item.basis is Basis.REGISTERS and (use := measured.by_registers(segment, tariff)) is not None:
            return use
        # No freeze stands at this instant: the intervals around it tell what it would have been.
        return measured.by_intervals(segment, tariff, self._calendar(tariff), self._rules)

    def _calendar(self, tariff: Tariff) -> Calendar:
        return self._calendars[tariff.calendar or ""]

    def _used_before(
        self, account: Account, tariff: Tariff, in_force: TimeRange, first: TimeRange
    ) -> dict[datetime, Decimal]:
        """The energy billed earlier in the tier cycle the bill begins in; refuses to skip an unbilled stretch of it."""
        tiers = tariff.version_at(first.start).tiers
        if tiers is None:
            return {}
        cycle = tiers.cycle_at(first.start, tariff.zone)
        begin = max(cycle.start, in_force.start)
        if begin >= first.start:
            return {cycle.start: Decimal(0)}
        before = TimeRange(begin, first.start)
        bills = self._bills.live_bills(account.id, before)
        gaps = before.minus(*(TimeRange(bill.period_start, bill.period_end) for bill in bills))
        unbilled = self._unbilled(account, gaps, begin)
        counted = TimeRange(begin, cycle.end)
        return {cycle.start: sum((used_in(bill.inputs, counted) for bill in bills), unbilled)}

    def _unbilled(self, account: Account, gaps: Sequence[TimeRange], begin: datetime) -> Decimal:
        """The energy that no bill tells [kWh]: none, because a bill does not skip any."""
        if gaps:
            raise BillingRefused(
                f"Account {account.code} is not billed for {gaps[0]}, and its tiers count from {begin:%Y-%m-%d} UTC.",
                reason="earlier_unbilled",
                hint="Bill the earlier period first, or let the tariff's assignment begin with this period.",
            )
        return Decimal(0)


@functools.cache
def _calendar_rules() -> str:
    """Where public holidays come from; asked once, because a package's metadata take as long as a query."""
    return f"holidays {version('holidays')}"


def _draft(account_id: int, billed: TimeRange, inputs: Inputs) -> BillDraft:
    rated = inputs.rated()
    last = inputs.parts[-1].tariff
    return BillDraft(
        account_id=account_id, period=billed, party=inputs.party, currency=last.currency, tariff_code=last.code,
        tariff_zh=last.name_zh, tariff_en=last.name_en, energy_kwh=inputs.energy_kwh,
        total=Money(rated.total, last.currency), lines=rated.lines, readings=inputs.readings,
        estimated=inputs.estimated, inputs=inputs.as_json(),
    )  # fmt: skip


def registers_of(tariffs: Sequence[Tariff]) -> list[str]:
    """The registers of the meter that count the periods of these tariffs."""
    clocks = [version.tou for tariff in tariffs for version in tariff.versions if version.tou is not None]
    named = {period.register for tou in clocks for period in tou.periods}
    return sorted(register for register in named if register is not None and register != "rest")


def refuse_currency(tariff: Tariff, site: Site) -> None:
    """Refuse a tariff in another currency than the site's."""
    if tariff.currency != site.currency:
        raise BillingRefused(
            f"The tariff {tariff.code} is in {tariff.currency}, but the site {site.name} in {site.currency}.",
            reason="mixed_currency",
            hint="Assign a tariff in the currency of the site.",
        )
