"""What billing hands to the rooms above it: frozen, complete, free of sessions."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Literal

from wattkeeper.kernel.money import Money
from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.registry.models import AccountKind


class Basis(StrEnum):
    """Where the billed energy of an account comes from."""

    INTERVALS = "intervals"
    REGISTERS = "registers"


class BillState(StrEnum):
    """What became of a bill; derived from the ledger, never stored.

    A cancelled bill is followed by a cancellation, which reverses it line by line.
    """

    ISSUED = "issued"
    PAID = "paid"
    CANCELLED = "cancelled"
    CANCELLATION = "cancellation"


class PaymentMethod(StrEnum):
    """How money came over the counter."""

    CASH = "cash"
    CARD = "card"


@dataclass(frozen=True, slots=True)
class AssignedTariff:
    """An account's tariff for a half-open period."""

    id: int
    account_id: int
    tariff_code: str
    period: TimeRange
    basis: Basis


@dataclass(frozen=True, slots=True)
class ReadingRow:
    """One register of a bill's readings table, as it was when the bill was made.

    Registers are in the meter's own unit, `energy_kwh` is (end - start) x ratio, rollover included; both
    are None where no reading stands at that end (the energy then rests on intervals alone).
    """

    point_code: str
    point_name: str
    meter_address: str
    quantity: str
    period: TimeRange
    start: Decimal | None
    end: Decimal | None
    start_exchange_id: int | None
    end_exchange_id: int | None
    ratio: Decimal
    energy_kwh: Decimal | None


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a bill; it explains itself.

    `quantity` is in kWh for energy and surcharges, in months for fixed charges; `price` is per unit of it.
    `tier` counts from 1, `tou` is a code of the tariff. `rule_zh` and `rule_en` say why this price.
    """

    position: int
    component: str
    kind: str
    label_zh: str
    label_en: str
    period: TimeRange
    tier: int | None
    tou: str | None
    tou_zh: str | None
    tou_en: str | None
    quantity: Decimal
    unit: str
    price: Decimal
    amount: Decimal
    rule_zh: str
    rule_en: str
    references: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Party:
    """Who is billed, and where, as it stood when the bill was made."""

    account_code: str
    account_name: str
    account_address: str
    customer_name: str
    site_name: str
    zone: str


@dataclass(frozen=True, slots=True)
class BillDraft:
    """A bill that is not one yet: everything but number, postings and id."""

    account_id: int
    period: TimeRange
    party: Party
    currency: str
    tariff_code: str
    tariff_zh: str
    tariff_en: str
    energy_kwh: Decimal
    total: Money
    lines: tuple[Line, ...]
    readings: tuple[ReadingRow, ...]
    estimated: bool
    inputs: dict[str, Any]


@dataclass(frozen=True, slots=True)
class BillView:
    """An issued bill, or the cancellation of one.

    `previous_balance` is what the account owed just before this bill (negative: a credit);
    `previous_balance + total` is what it owed just after. `verification` is printed in the QR code.
    """

    id: int
    number: str
    account_id: int
    period: TimeRange
    issued_at: datetime
    due_at: datetime | None
    state: BillState
    cancels_id: int | None
    cancelled_by_id: int | None
    replaces_id: int | None
    reason: str | None
    party: Party
    tariff_code: str
    tariff_zh: str
    tariff_en: str
    energy_kwh: Decimal
    total: Money
    previous_balance: Money
    estimated: bool
    lines: tuple[Line, ...]
    readings: tuple[ReadingRow, ...]
    inputs: dict[str, Any]
    verification: str


@dataclass(frozen=True, slots=True)
class BillSummary:
    """One row of a list of bills."""

    id: int
    number: str
    account_id: int
    account_code: str
    account_name: str
    period: TimeRange
    issued_at: datetime
    due_at: datetime | None
    energy_kwh: Decimal
    total: Money
    state: BillState
    estimated: bool


@dataclass(frozen=True, slots=True)
class BillPage:
    """Newest first; `next_after` continues the list, None ends it."""

    items: tuple[BillSummary, ...]
    next_after: int | None


@dataclass(frozen=True, slots=True)
class OpenBills:
    """The bills that are not paid: how many, and what they come to, one amount per currency."""

    count: int
    total: tuple[Money, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BillFilter:
    """What a list of bills is narrowed to; `search` is a part of the number, or of the account's code or name."""

    search: str = ""
    state: BillState | None = None
    period: TimeRange | None = None
    """Bills whose period shares an instant with this one."""
    estimated: bool = False
    touched: bool = False
    """Standing bills whose readings were corrected after they were issued."""
    account_id: int | None = None
    customer_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountFilter:
    """What a list of accounts is narrowed to; `search` is a part of the code, the name or the customer's name."""

    search: str = ""
    kind: AccountKind | None = None
    owing: bool = False
    without_tariff: bool = False
    """Only open accounts that have no tariff now."""
    unbilled: TimeRange | None = None
    """Only accounts that were open all that month and lack its bill."""
    customer_id: int | None = None
    sort: Literal["code", "name", "balance"] = "code"
    descending: bool = False


@dataclass(frozen=True, slots=True)
class AccountRow:
    """One row of a list of accounts: who pays, by which tariff now, and what is owed (negative: a credit)."""

    id: int
    code: str
    name: str
    kind: AccountKind
    address: str | None
    customer_id: int
    customer_name: str
    opened_at: datetime
    closed_at: datetime | None
    tariff_code: str | None
    balance: Money


@dataclass(frozen=True, slots=True)
class AccountPage:
    """A page of accounts; `after` asks for the next one and is None on the last."""

    rows: tuple[AccountRow, ...]
    total: int
    after: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentFilter:
    """What a list of payments is narrowed to; `search` is a part of the receipt, or of the account's code or name."""

    search: str = ""
    cashier: str = ""
    method: PaymentMethod | None = None
    period: TimeRange | None = None
    account_id: int | None = None
    customer_id: int | None = None


@dataclass(frozen=True, slots=True)
class PaymentRow:
    """One row of a list of payments."""

    id: int
    receipt: str
    account_id: int
    account_code: str
    account_name: str
    amount: Money
    method: PaymentMethod
    received_at: datetime
    cashier: str


@dataclass(frozen=True, slots=True)
class PaymentPage:
    """A page of payments, newest first, and what all that fit the filter come to, by currency."""

    rows: tuple[PaymentRow, ...]
    total: int
    sums: tuple[Money, ...]
    next_after: int | None


@dataclass(frozen=True, slots=True)
class Ageing:
    """What an account owes, by how long it has been due; `credit` is what was paid beyond its bills."""

    not_due: Money
    days_30: Money
    """Due for up to 30 days."""
    days_60: Money
    """Due for 31 to 60 days."""
    older: Money
    credit: Money


@dataclass(frozen=True, slots=True)
class AssignmentPreview:
    """What a new tariff from an instant on would change; `ends` is the assignment that it ends there."""

    account_id: int
    tariff_code: str
    valid_from: datetime
    ends: AssignedTariff | None


@dataclass(frozen=True, slots=True)
class Recomputed:
    """A bill computed again from nothing but its kept inputs."""

    bill_id: int
    total: Money
    lines: tuple[Line, ...]
    matches: bool


@dataclass(frozen=True, slots=True)
class PaymentView:
    """Money received over the counter; `repeated` when its key had been used for the same payment before."""

    id: int
    receipt: str
    account_id: int
    amount: Money
    method: PaymentMethod
    received_at: datetime
    cashier: str
    repeated: bool


@dataclass(frozen=True, slots=True)
class StatementRow:
    """One movement of an account, oldest first, with the balance after it (positive: the customer owes)."""

    at: datetime
    kind: str
    reference: str
    amount: Money
    balance: Money


@dataclass(frozen=True, slots=True)
class RunException:
    """An account a bill run did not bill, and why (a reason code of BillingRefused and its sentence)."""

    account_id: int
    account_code: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class BillRunView:
    """How far a bill run is."""

    job_id: int
    period: TimeRange
    state: str
    progress: int
    total: int
    billed: int
    estimated: int
    exceptions: tuple[RunException, ...]
    error: str | None
    """Why the run failed, if it did."""


@dataclass(frozen=True, slots=True)
class BillRunLine:
    """One row of the list of bill runs."""

    job_id: int
    period: TimeRange
    state: str
    progress: int
    total: int
    billed: int
    estimated: int
    excepted: int
    """How many accounts it did not bill."""
    error: str | None


@dataclass(frozen=True, slots=True)
class BillRunPage:
    """A page of bill runs, newest first; `next_after` asks for the next one."""

    rows: tuple[BillRunLine, ...]
    next_after: int | None
