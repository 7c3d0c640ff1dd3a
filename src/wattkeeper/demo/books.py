"""A year of bills and payments: each account's bills month by month, and what its customer pays of them and when."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc

from wattkeeper.billing.errors import BillingError
from wattkeeper.billing.service import BillingService
from wattkeeper.billing.values import BillSummary, BillView, PaymentMethod
from wattkeeper.kernel.money import Money
from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.readings.store import ReadingsStore

_ISSUED_AT = time(8, 30)  # on the first of the next month
_DUE_DAYS = 20
_PAYING_DAYS = 9
_COUNTER_OPENS = time(9, 0)
_OPEN_MINUTES = 480
_MOST_BILLS = 1000


@dataclass(frozen=True, slots=True)
class Habit:
    """How a customer pays.

    Attributes:
        months_late: pays a bill only when so many later ones have been issued.
        ahead: pays so much more than the first bill. [yuan]

    """

    months_late: int = 0
    ahead: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class _Step:
    """What is to happen once for an account and a month: its bill is issued, or paid."""

    at: datetime
    account_id: int
    month: TimeRange
    pays: bool


class MonthAtOnce:
    """The readings store for bills of a closed month: asked once for everybody, and not again for each account."""

    def __init__(self, store: ReadingsStore) -> None:
        self._store = store
        self._intervals: tuple[tuple[str, TimeRange], pa.Table] | None = None
        self._readings: tuple[tuple[tuple[str, ...], TimeRange], pa.Table] | None = None

    def intervals(self, *, point_ids: Sequence[int], quantity: str, period: TimeRange) -> pa.Table:
        """As the store's."""
        if self._intervals is None or self._intervals[0] != (quantity, period):
            self._intervals = (quantity, period), self._store.intervals(quantity=quantity, period=period)
        return _only(self._intervals[1], "point_id", point_ids)

    def readings(self, *, meter_ids: Sequence[int], quantities: Sequence[str], period: TimeRange) -> pa.Table:
        """As the store's."""
        key = tuple(quantities), period
        if self._readings is None or self._readings[0] != key:
            self._readings = key, self._store.readings(quantities=quantities, period=period)
        return _only(self._readings[1], "meter_id", meter_ids)


def _only(table: pa.Table, column: str, ids: Sequence[int]) -> pa.Table:
    return table.filter(pc.is_in(table[column], value_set=pa.array(ids, pa.int64())))


class Books:
    """What is still to be billed and paid, in order of time; all of it may be tried again, and happens once.

    Args:
        billing: of the product; bills the newest month, whose readings may still be coming in.
        closed: bills the months before it, of which everything is known.
        habits: of every account.
        months: what is billed, each when the one before it is.
        zone: of the civil times at which bills are issued and paid.

    """

    def __init__(
        self,
        billing: BillingService,
        closed: BillingService,
        habits: Mapping[int, Habit],
        months: Sequence[TimeRange],
        zone: ZoneInfo,
    ) -> None:
        self._billing = billing
        self._closed = closed
        self._habits = habits
        self._zone = zone
        self._months = list(months)
        self._bills: dict[tuple[int, datetime], BillSummary | BillView] = {}
        self._steps = sorted(
            (step for account_id in habits for step in self._to_do(account_id)),
            key=lambda step: (step.at, step.account_id),
        )

    def advance(self, now: datetime, *, stopping: Callable[[], bool] = lambda: False) -> bool:
        """Take every step that is due and possible; whether some that are due were not."""
        stuck: set[int] = set()
        left = []
        for step in self._steps:
            due = step.at <= now or (not step.pays and step.month.closed_end <= now)
            if not due or stopping() or step.account_id in stuck:
                left.append(step)
            elif not self._take(step, min(step.at, now)):
                stuck.add(step.account_id)
                left.append(step)
        self._steps = left
        return bool(stuck)

    def _to_do(self, account_id: int) -> list[_Step]:
        """An account's steps, without those that an earlier run took."""
        for bill in self._billing.bills(account_id=account_id, limit=_MOST_BILLS).items:
            self._bills.setdefault((account_id, bill.period.start), bill)
        paid = {payment.received_at for payment in self._billing.payments(account_id)}
        late = self._habits[account_id].months_late
        steps = []
        for number, month in enumerate(self._months):
            if (account_id, month.start) not in self._bills:
                steps.append(_Step(self._issued_at(month), account_id, month, pays=False))
            if number + late < len(self._months):
                at = self._paid_at(self._months[number + late], account_id, number)
                if at not in paid:
                    steps.append(_Step(at, account_id, month, pays=True))
        return steps

    def _take(self, step: _Step, at: datetime) -> bool:
        """Take a step; False where the readings for it are not there yet."""
        if step.pays:
            self._pay(step)
            return True
        try:
            newest = step.month == self._months[-1]
            if newest and self._is_estimated(step, at):
                return False  # what is missing is still being fetched from the meter
            billing = self._billing if newest else self._closed
            due_at = self._civil(step.month, _DUE_DAYS, time())
            bill = billing.issue_bill(step.account_id, period=step.month, now=at, due_at=due_at)
        except BillingError:
            return False
        self._bills[step.account_id, step.month.start] = bill
        return True

    def _is_estimated(self, step: _Step, at: datetime) -> bool:
        return self._billing.prepare_bill(step.account_id, period=step.month, now=at).estimated

    def _pay(self, step: _Step) -> None:
        """The bill's total at the counter, unless a person's payment or cancellation left less to pay."""
        bill = self._bills[step.account_id, step.month.start]
        habit = self._habits[step.account_id]
        ahead = habit.ahead if step.month == self._months[0] else Decimal(0)
        owed = self._billing.balance(step.account_id)
        if bill.total.amount <= 0 or (not habit.ahead and owed < bill.total):
            return
        self._billing.record_payment(
            step.account_id,
            amount=bill.total + Money(ahead, bill.total.currency),
            method=PaymentMethod.CARD if step.account_id % 3 else PaymentMethod.CASH,
            key=f"demo-{bill.number}",
            cashier="clerk",
            now=step.at,
        )

    def _issued_at(self, month: TimeRange) -> datetime:
        return self._civil(month, 0, _ISSUED_AT)

    def _paid_at(self, month: TimeRange, account_id: int, number: int) -> datetime:
        """Some day and minute after the bill of a month; each customer has others."""
        chance = account_id * 7919 + number * 104_729
        opened = self._civil(month, 1 + chance % _PAYING_DAYS, _COUNTER_OPENS)
        return opened + timedelta(minutes=chance % _OPEN_MINUTES)

    def _civil(self, month: TimeRange, days: int, of_day: time) -> datetime:
        """A time so many days after the end of a month."""
        first = month.closed_end.astimezone(self._zone).date()
        return datetime.combine(first + timedelta(days=days), of_day, self._zone)
