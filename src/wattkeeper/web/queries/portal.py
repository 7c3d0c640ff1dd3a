"""The one door of the customer portal to the rooms below: what belongs to one customer, and nothing else.

Everything is reached from the customer: their accounts, the points of these for the half-open periods in which they
had them, the meters installed there in that time. Pages and the API hold an `OwnAccounts` and no services; an id that
is not the customer's is NotFound exactly like one that does not exist.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

from sqlalchemy import Select, select

from wattkeeper.billing.errors import UnknownBill
from wattkeeper.billing.lists import standing_bill
from wattkeeper.billing.models import Bill
from wattkeeper.billing.repository import BillingRepository
from wattkeeper.billing.running import Running
from wattkeeper.billing.tariff import Tariff
from wattkeeper.billing.values import (
    AssignedTariff,
    BillSummary,
    BillView,
    PaymentView,
    StatementRow,
)
from wattkeeper.collection.values import MeterState
from wattkeeper.kernel.money import Money
from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.registry.errors import NotFound
from wattkeeper.registry.models import Account, Meter
from wattkeeper.registry.repository import Registry
from wattkeeper.registry.values import AccountOfPoint, InstalledMeter
from wattkeeper.web.language import DEFAULT_ZONE
from wattkeeper.web.queries.values import ENERGY, Value, latest_by_meter
from wattkeeper.web.services import Services

_OPEN_BILLS: Final = 60


@dataclass(frozen=True, slots=True)
class OwnAccount:
    """An account of the customer, with the points it has or had, each for its period."""

    id: int
    code: str
    name: str
    address: str | None
    customer: str
    opened_at: datetime
    closed_at: datetime | None
    points: tuple[AccountOfPoint, ...]
    zone: ZoneInfo
    currency: str

    def open_at(self, instant: datetime) -> bool:
        """Whether the account is in use."""
        return TimeRange(self.opened_at, self.closed_at).contains(instant)

    @property
    def begin(self) -> datetime:
        """Since when there may be anything to see."""
        return min((point.period.start for point in self.points), default=self.opened_at)


@dataclass(frozen=True, slots=True)
class OwnMeter:
    """The meter at a point of the account now, and what it last said while the account had it."""

    address: str
    point_code: str
    point_name: str
    since: datetime
    ratio: Decimal
    enabled: bool
    state: MeterState | None
    reading: Value | None


@dataclass(frozen=True, slots=True)
class Dues:
    """What an account owes: its balance (negative: a credit), and what is open of which bill."""

    balance: Money
    open: Mapping[int, Money]
    """What is still to be paid of each open bill, oldest first; payments settle the oldest bill first."""
    due_at: datetime | None
    """When the first of them is due, where a bill says so."""


@dataclass(frozen=True, slots=True)
class OwnBills:
    """A page of bills, newest first; `after` continues it."""

    bills: tuple[BillSummary, ...]
    after: int | None


class OwnAccounts:
    """What one customer may see. Make it with `of`; every method takes ids and finds only the customer's."""

    def __init__(self, services: Services, accounts: tuple[OwnAccount, ...]) -> None:
        self._services = services
        self._by_id = {account.id: account for account in accounts}

    @classmethod
    def of(cls, services: Services, customer_id: int | None) -> "OwnAccounts":
        """The accounts of a customer, those in use first; a user without a customer has none."""
        if customer_id is None:
            return cls(services, ())
        now = services.clock()
        with services.database.read() as session:
            registry = Registry(session)
            wanted = select(Account).where(Account.customer_id == customer_id).order_by(Account.code)
            rows = session.scalars(wanted).all()
            name = registry.get_customer(customer_id).name if rows else ""
            found = [_own(registry, account, name) for account in rows]
        return cls(services, tuple(sorted(found, key=lambda account: not account.open_at(now))))

    @property
    def accounts(self) -> tuple[OwnAccount, ...]:
        """All of them."""
        return tuple(self._by_id.values())

    @property
    def now(self) -> datetime:
        """The present moment."""
        return self._services.clock()

    def account(self, account_id: int) -> OwnAccount:
        """One account, or NotFound."""
        if account_id not in self._by_id:
            raise NotFound("account", account_id)
        return self._by_id[account_id]

    # usage

    @contextmanager
    def running(self, account_id: int, window: TimeRange) -> Iterator[Running]:
        """What an account uses and what that costs; see `billing.running`, which keeps to the account's periods."""
        account = self.account(account_id)
        with self._services.billing.running(account.id, window=window) as running:
            yield running

    def meters(self, account_id: int) -> list[OwnMeter]:
        """The meters at the account's points now; what they said before the account had the point stays unsaid."""
        account, now = self.account(account_id), self.now
        held = {point.point_id: point for point in account.points if point.period.contains(now)}
        with self._services.database.read() as session:
            registry = Registry(session)
            installed = registry.installations(point_ids=list(held), period=TimeRange(now, None))
            current = [
                (item, registry.get_meter(item.meter_id)) for item in installed if item.period.contains(now)
            ]
        latest = latest_by_meter(self._services.store, [meter.id for _, meter in current], [ENERGY])
        return [
            self._meter(held[item.point_id], item, meter, latest.get((meter.id, ENERGY)))
            for item, meter in current
        ]

    def _meter(
        self, point: AccountOfPoint, installed: InstalledMeter, meter: Meter, reading: Value | None
    ) -> OwnMeter:
        both = point.period.intersection(installed.period)
        assert both is not None
        collector = self._services.collector
        return OwnMeter(
            address=meter.address,
            point_code=point.point_code,
            point_name=point.point_name,
            since=both.start,
            ratio=installed.ratio,
            enabled=meter.enabled,
            state=collector.meter_state(meter.id) if collector else None,
            reading=reading if reading and both.contains(reading.read_at) else None,
        )

    def tariffs(self, account_id: int) -> list[tuple[AssignedTariff, Tariff]]:
        """The account's tariffs, newest first."""
        billing = self._services.billing
        assigned = billing.assigned_tariffs(self.account(account_id).id)
        return [(item, billing.tariff(item.tariff_code)) for item in reversed(assigned)]

    # money

    def bills(self, account_id: int | None = None, *, after: int | None = None, limit: int = 24) -> OwnBills:
        """Bills of one account, or of all, newest first."""
        accounts = self.accounts if account_id is None else [self.account(account_id)]
        pages = [
            self._services.billing.bills(account_id=account.id, limit=limit, after=after)
            for account in accounts
        ]
        found = sorted((bill for page in pages for bill in page.items), key=lambda bill: -bill.id)
        more = len(found) > limit or any(page.next_after is not None for page in pages)
        shown = tuple(found[:limit])
        return OwnBills(shown, shown[-1].id if more and shown else None)

    def bill(self, bill_id: int) -> BillView:
        """One bill, or UnknownBill."""
        with self._services.database.read() as session:
            owner = session.scalar(select(Bill.account_id).where(Bill.id == bill_id))
        if owner not in self._by_id:
            raise UnknownBill(f"There is no bill {bill_id}.", hint="Look it up in the list of bills.")
        return self._services.billing.bill(bill_id)

    def bills_of_months(self, account_id: int, months: Sequence[TimeRange]) -> dict[TimeRange, Money]:
        """What the account was billed for each of these months, by all bills that begin in it and still stand."""
        account = self.account(account_id)
        sums: dict[TimeRange, Money] = {}
        with self._services.database.read() as session:
            live = BillingRepository(session).live_bills(
                account.id, TimeRange(months[0].start, months[-1].end)
            )
            for bill in live:
                month = next((month for month in months if month.contains(bill.period_start)), None)
                if month is not None:
                    total = Money(bill.total, bill.currency)
                    sums[month] = sums[month] + total if month in sums else total
        return sums

    def dues(self, account_id: int) -> Dues:
        """What the account owes, and of which bills."""
        account = self.account(account_id)
        balance = self._services.billing.balance(account.id)
        with self._services.database.read() as session:
            standing = [(row[0], row[1]) for row in session.execute(_standing_bills(account.id))]
            rest = _open_amounts(standing, BillingRepository(session).paid(account.id))
            wanted = select(Bill.due_at).where(
                Bill.id.in_(list(rest)[:_OPEN_BILLS]), Bill.due_at.is_not(None)
            )
            due = [at for at in session.scalars(wanted) if at is not None]
        amounts = {bill_id: Money(amount, account.currency) for bill_id, amount in rest.items()}
        return Dues(balance, amounts, min(due, default=None))

    def payments(self, account_id: int) -> list[PaymentView]:
        """What was received for the account, newest first."""
        return list(reversed(self._services.billing.payments(self.account(account_id).id)))

    def statement(self, account_id: int) -> list[StatementRow]:
        """The account's movements with the balance after each, newest first."""
        return list(reversed(self._services.billing.statement(self.account(account_id).id)))


def _standing_bills(account_id: int) -> Select[int, Decimal]:
    """The bills that are neither cancelled nor cancellations, in the order payments settle them."""
    wanted = select(Bill.id, Bill.total).where(Bill.account_id == account_id, *standing_bill())
    return wanted.order_by(Bill.issued_at, Bill.id)


def _open_amounts(bills: Sequence[tuple[int, Decimal]], paid: Decimal) -> dict[int, Decimal]:
    """What is left of each bill, when all that was paid settles the oldest first, as the state of bills is told."""
    left = paid
    rest: dict[int, Decimal] = {}
    for bill_id, total in bills:
        covered = max(Decimal(0), min(left, total)) if total > 0 else total
        left -= covered
        if total > covered:
            rest[bill_id] = total - covered
    return rest


def _own(registry: Registry, account: Account, customer: str) -> OwnAccount:
    points = tuple(registry.points_of_account(account.id))
    sites = registry.sites()
    site = (
        registry.get_site(registry.get_point(points[0].point_id).site_id)
        if points
        else next(iter(sites), None)
    )
    return OwnAccount(
        id=account.id,
        code=account.code,
        name=account.name,
        address=account.address,
        customer=customer,
        opened_at=account.opened_at,
        closed_at=account.closed_at,
        points=points,
        zone=ZoneInfo(site.zone) if site else DEFAULT_ZONE,
        currency=site.currency if site else "CNY",
    )
