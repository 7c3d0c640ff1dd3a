"""Billing's tables. All but the tariff assignments are append-only: see `schema.py` for the triggers."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from wattkeeper.billing import schema  # noqa: F401 - its triggers are created with these tables
from wattkeeper.kernel import jobs  # noqa: F401 - foreign keys refer to its table, and to the registry's
from wattkeeper.kernel.columns import Json, ScaledDecimal
from wattkeeper.kernel.database import Base
from wattkeeper.registry import models as registry_models  # noqa: F401

#: Line amounts keep parts of a fen, because a tariff may round only the total.
LINE_DIGITS = 6
#: No currency in use has more minor digits than this.
MONEY_DIGITS = 4


class AccountTariff(Base):
    """Which tariff an account is billed by, and since when."""

    __tablename__ = "account_tariff"
    __table_args__ = (
        CheckConstraint("valid_to IS NULL OR valid_to > valid_from", name="period"),
        CheckConstraint("basis IN ('intervals', 'registers')", name="basis"),
        UniqueConstraint("account_id", "valid_from"),
        Index(
            "uq_account_tariff_open",
            "account_id",
            unique=True,
            sqlite_where=text("valid_to IS NULL"),
            postgresql_where=text("valid_to IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"), index=True)
    tariff_code: Mapped[str] = mapped_column(String(64))
    basis: Mapped[str] = mapped_column(String(16), default="intervals")
    valid_from: Mapped[datetime] = mapped_column()
    valid_to: Mapped[datetime | None] = mapped_column()
    recorded_at: Mapped[datetime] = mapped_column()


class Bill(Base):
    """A bill, or (`cancels_id`) the reversal of one. Never edited; its state is derived."""

    __tablename__ = "bill"
    __table_args__ = (
        CheckConstraint("period_end > period_start", name="period"),
        CheckConstraint("(total = 0) = (transaction_id IS NULL)", name="posted_unless_zero"),
        UniqueConstraint("account_id", "period_start", "revision"),
        UniqueConstraint("cancels_id"),
        Index("ix_bill_account_period", "account_id", "period_start"),
        # All that it takes to add up which bills are paid; a bill itself is thousands of bytes of inputs.
        Index("ix_bill_settling", "account_id", "issued_at", "id", "total", "cancels_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[str] = mapped_column(String(80), unique=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"))
    period_start: Mapped[datetime] = mapped_column()
    period_end: Mapped[datetime] = mapped_column()
    revision: Mapped[int]
    cancels_id: Mapped[int | None] = mapped_column(ForeignKey("bill.id"))
    replaces_id: Mapped[int | None] = mapped_column(ForeignKey("bill.id"))
    reason: Mapped[str | None] = mapped_column(String(500))
    tariff_code: Mapped[str] = mapped_column(String(64))
    currency: Mapped[str] = mapped_column(String(3))
    energy_kwh: Mapped[Decimal] = mapped_column(ScaledDecimal(4))
    total: Mapped[Decimal] = mapped_column(ScaledDecimal(MONEY_DIGITS))
    previous_balance: Mapped[Decimal] = mapped_column(ScaledDecimal(MONEY_DIGITS))
    estimated: Mapped[bool]
    issued_at: Mapped[datetime] = mapped_column(index=True)
    due_at: Mapped[datetime | None] = mapped_column()
    transaction_id: Mapped[str | None] = mapped_column(ForeignKey("ledger_transaction.id"), unique=True)
    verification: Mapped[str] = mapped_column(String(32))
    line_count: Mapped[int]
    inputs: Mapped[dict[str, Any]] = mapped_column(Json)


class BillLine(Base):
    """One line of a bill, in the order printed."""

    __tablename__ = "bill_line"

    bill_id: Mapped[int] = mapped_column(ForeignKey("bill.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    component: Mapped[str] = mapped_column(String(64))
    kind: Mapped[str] = mapped_column(String(16))
    label_zh: Mapped[str] = mapped_column(String(100))
    label_en: Mapped[str] = mapped_column(String(100))
    period_start: Mapped[datetime] = mapped_column()
    period_end: Mapped[datetime] = mapped_column()
    tier: Mapped[int | None]
    tou: Mapped[str | None] = mapped_column(String(32))
    tou_zh: Mapped[str | None] = mapped_column(String(32))
    tou_en: Mapped[str | None] = mapped_column(String(32))
    quantity: Mapped[Decimal] = mapped_column(ScaledDecimal(LINE_DIGITS))
    unit: Mapped[str] = mapped_column(String(16))
    price: Mapped[Decimal] = mapped_column(ScaledDecimal(8))
    amount: Mapped[Decimal] = mapped_column(ScaledDecimal(LINE_DIGITS))
    rule_zh: Mapped[str] = mapped_column(String(500))
    rule_en: Mapped[str] = mapped_column(String(500))
    references: Mapped[list[str]] = mapped_column(Json)


class LedgerAccount(Base):
    """A place money is counted: a customer's receivable, revenue, cash in hand, money in the bank."""

    __tablename__ = "ledger_account"
    __table_args__ = (
        CheckConstraint("kind IN ('receivable', 'revenue', 'cash', 'bank')", name="kind"),
        UniqueConstraint("account_id", "currency"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(String(80), unique=True)
    kind: Mapped[str] = mapped_column(String(16))
    account_id: Mapped[int | None] = mapped_column(ForeignKey("account.id"))
    currency: Mapped[str] = mapped_column(String(3))


class LedgerTransaction(Base):
    """The seal on a set of postings: the database accepts it only over two or more that add up to zero.

    It is written after its postings; from then on the database refuses further ones.
    """

    __tablename__ = "ledger_transaction"
    __table_args__ = (CheckConstraint("kind IN ('bill', 'cancellation', 'payment')", name="kind"),)

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    reference: Mapped[str] = mapped_column(String(80))
    occurred_at: Mapped[datetime] = mapped_column(index=True)


class Posting(Base):
    """One entry: positive is debit, negative is credit, in the ledger account's currency."""

    __tablename__ = "posting"
    __table_args__ = (CheckConstraint("amount <> 0", name="amount"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    transaction_id: Mapped[str] = mapped_column(
        ForeignKey("ledger_transaction.id", deferrable=True, initially="DEFERRED"), index=True
    )
    ledger_account_id: Mapped[int] = mapped_column(ForeignKey("ledger_account.id"), index=True)
    amount: Mapped[Decimal] = mapped_column(ScaledDecimal(MONEY_DIGITS))


class Payment(Base):
    """Money received at a counter, once per key."""

    __tablename__ = "payment"
    __table_args__ = (
        CheckConstraint("amount > 0", name="amount"),
        CheckConstraint("method IN ('cash', 'card')", name="method"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    receipt: Mapped[str] = mapped_column(String(40), unique=True)
    idempotency_key: Mapped[str] = mapped_column(String(100), unique=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"), index=True)
    amount: Mapped[Decimal] = mapped_column(ScaledDecimal(MONEY_DIGITS))
    currency: Mapped[str] = mapped_column(String(3))
    method: Mapped[str] = mapped_column(String(16))
    cashier: Mapped[str] = mapped_column(String(100))
    received_at: Mapped[datetime] = mapped_column(index=True)
    transaction_id: Mapped[str] = mapped_column(ForeignKey("ledger_transaction.id"), unique=True)


class BillRunException(Base):
    """An account that a bill run did not bill."""

    __tablename__ = "bill_run_exception"

    job_id: Mapped[int] = mapped_column(ForeignKey("job.id"), primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"), primary_key=True)
    reason: Mapped[str] = mapped_column(String(32))
    message: Mapped[str]


class BillTouched(Base):
    """A bill whose readings were corrected, or came late, after it was issued; the bill itself never changes."""

    __tablename__ = "bill_touched"
    __table_args__ = (CheckConstraint("end_at > start_at", name="period"),)

    bill_id: Mapped[int] = mapped_column(ForeignKey("bill.id"), primary_key=True, autoincrement=False)
    start_at: Mapped[datetime]
    end_at: Mapped[datetime]
    """Of the intervals that are otherwise now."""
    heard_at: Mapped[datetime]
    """When that was last heard of."""
