"""Billing's use cases. `now` always comes in; every method is one transaction and may run in a thread."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from wattkeeper.billing.tariff import Tariff
from wattkeeper.billing.values import (
    AssignedTariff,
    Basis,
    BillDraft,
    BillPage,
    BillRunView,
    BillState,
    BillView,
    PaymentMethod,
    PaymentView,
    Recomputed,
    StatementRow,
)
from wattkeeper.kernel.database import Database
from wattkeeper.kernel.money import Money
from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.readings.store import ReadingsStore


class BillingService:
    """Tariffs, bills, payments and balances of accounts."""

    def __init__(self, database: Database, store: ReadingsStore) -> None: ...

    # tariffs
    def tariffs(self) -> list[Tariff]: ...
    def tariff(self, code: str) -> Tariff: ...
    def assign_tariff(
        self,
        account_id: int,
        *,
        tariff_code: str,
        valid_from: datetime,
        now: datetime,
        valid_to: datetime | None = None,
        basis: Basis = Basis.INTERVALS,
    ) -> AssignedTariff: ...
    def assigned_tariffs(self, account_id: int) -> list[AssignedTariff]: ...
    # bills
    def prepare_bill(self, account_id: int, *, period: TimeRange, now: datetime) -> BillDraft: ...
    def issue_bill(
        self, account_id: int, *, period: TimeRange, now: datetime, due_at: datetime | None = None
    ) -> BillView: ...
    def cancel_bill(self, bill_id: int, *, reason: str, now: datetime) -> BillView: ...
    def recompute(self, bill_id: int) -> Recomputed: ...
    def bill(self, bill_id: int) -> BillView: ...
    def bill_by_number(self, number: str) -> BillView: ...
    def bills(
        self,
        *,
        account_id: int | None = None,
        period: TimeRange | None = None,
        state: BillState | None = None,
        limit: int = 50,
        after: int | None = None,
    ) -> BillPage: ...
    # money
    def record_payment(
        self, account_id: int, *, amount: Money, method: PaymentMethod, key: str, cashier: str, now: datetime
    ) -> PaymentView: ...
    def payments(self, account_id: int) -> list[PaymentView]: ...
    def balance(self, account_id: int) -> Money:
        """What the account owes; negative is a credit."""

    def statement(self, account_id: int) -> list[StatementRow]: ...
    # runs
    def start_bill_run(
        self, period: TimeRange, *, now: datetime, account_ids: Sequence[int] | None = None
    ) -> int: ...
    def work_bill_run(self, *, owner: str, now: datetime) -> BillRunView | None:
        """Claim the next bill run waiting or orphaned and bill its accounts to the end."""

    def bill_run(self, job_id: int) -> BillRunView: ...
