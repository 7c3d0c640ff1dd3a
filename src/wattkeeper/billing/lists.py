"""Billing's SQL for lists: accounts by what they owe, bills by what became of them, payments.

What became of a bill is nowhere kept: an account's payments settle its standing bills from the oldest on, so a bill is
paid when no bill up to it reaches further than all payments together.
"""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, Subquery, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased

from wattkeeper.billing.models import AccountTariff, Bill, BillTouched, LedgerAccount, Payment, Posting
from wattkeeper.billing.values import AccountFilter, BillFilter, BillState, PaymentFilter
from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.registry import keyset
from wattkeeper.registry.models import Account, Customer
from wattkeeper.registry.scope import Scope

_AnySelect = Select[*tuple[Any, ...]]


class Lists:
    """Pages of accounts, bills and payments within a scope, in the caller's transaction."""

    def __init__(self, session: Session, scope: Scope) -> None:
        self._session = session
        self._scope = scope

    # accounts
    def accounts(
        self, wanted: AccountFilter, *, now: datetime, limit: int, after: str | None
    ) -> tuple[Sequence[tuple[Account, str]], int, str | None]:
        """A page of accounts with their customers' names, how many there are, and the mark of the next page."""
        narrowed = self._narrowed(wanted, now)
        total = self._session.scalar(select(func.count()).select_from(narrowed.subquery())) or 0
        owed = _owed().subquery()
        key = {
            "code": Account.code.expression,
            "name": Account.name.expression,
            "balance": func.coalesce(owed.c.owed, Decimal(0)),
        }[wanted.sort]
        rows: _AnySelect = select(Account, Customer.name).join(Customer, Customer.id == Account.customer_id)
        if wanted.sort == "balance":
            rows = rows.outerjoin(owed, owed.c.account_id == Account.id)
        rows = keyset.page(
            rows.where(Account.id.in_(narrowed)), key, Account.id, descending=wanted.descending, after=after
        )
        found = self._session.execute(rows.limit(limit + 1)).all()
        shown = found[:limit]
        following = None
        if len(found) > limit:
            following = keyset.mark(shown[-1][-1], shown[-1][0].id)
        return [(row[0], row[1]) for row in shown], total, following

    def _narrowed(self, wanted: AccountFilter, now: datetime) -> Select[int]:
        found = select(Account.id).where(self._scope.has_account())
        if wanted.search:
            customers = select(Customer.id).where(Customer.name.icontains(wanted.search, autoescape=True))
            found = found.where(
                or_(
                    Account.code.icontains(wanted.search, autoescape=True),
                    Account.name.icontains(wanted.search, autoescape=True),
                    Account.customer_id.in_(customers),
                )
            )
        if wanted.kind is not None:
            found = found.where(Account.kind == wanted.kind)
        if wanted.customer_id is not None:
            found = found.where(Account.customer_id == wanted.customer_id)
        if wanted.owing:
            found = found.where(Account.id.in_(_owing()))
        if wanted.without_tariff:
            found = found.where(Account.closed_at.is_(None), Account.id.not_in(_with_tariff(now)))
        if wanted.unbilled is not None:
            found = found.where(*_without_bill(wanted.unbilled))
        return found

    def unbilled(self, month: TimeRange) -> int:
        """How many accounts open all that month lack its bill; 0 while nobody at all has been billed for it."""
        billed = (
            select(Bill.id).where(Bill.period_start == month.start, Bill.period_end == month.end).exists()
        )
        wanted = select(func.count()).select_from(Account)
        return (
            self._session.scalar(wanted.where(billed, self._scope.has_account(), *_without_bill(month))) or 0
        )

    def owed(self, account_ids: Collection[int]) -> dict[tuple[int, str], Decimal]:
        """What these accounts owe, by account and currency; those in which money never moved are left out."""
        wanted = _owed().add_columns(LedgerAccount.currency).group_by(LedgerAccount.currency)
        rows = self._session.execute(wanted.where(LedgerAccount.account_id.in_(account_ids)))
        return {(row[0], row[2]): row[1] for row in rows}

    def owed_by_customers(self, customer_ids: Collection[int]) -> dict[int, dict[str, Decimal]]:
        """What the accounts of each of these customers owe together, by currency."""
        wanted = (
            select(Account.customer_id, LedgerAccount.currency, func.sum(Posting.amount))
            .join(LedgerAccount, LedgerAccount.account_id == Account.id)
            .join(Posting, Posting.ledger_account_id == LedgerAccount.id)
            .where(Account.customer_id.in_(customer_ids), self._scope.has_account())
            .group_by(Account.customer_id, LedgerAccount.currency)
        )
        found: dict[int, dict[str, Decimal]] = {customer_id: {} for customer_id in customer_ids}
        for customer_id, currency, amount in self._session.execute(wanted):
            found[customer_id][currency] = amount
        return found

    def tariffs_at(self, account_ids: Collection[int], at: datetime) -> dict[int, str]:
        """The code of the tariff in force at an instant, per account that has one."""
        wanted = select(AccountTariff.account_id, AccountTariff.tariff_code).where(
            AccountTariff.account_id.in_(account_ids), *_in_force(at)
        )
        return {row[0]: row[1] for row in self._session.execute(wanted)}

    # bills
    def bills(self, wanted: BillFilter, *, limit: int, after: int | None) -> list[Bill]:
        """Bills and cancellations, newest first, before the id `after`."""
        rows = select(Bill).where(*_bills(wanted)).order_by(Bill.id.desc()).limit(limit)
        if not self._scope.everything:
            rows = rows.where(Bill.account_id.in_(select(Account.id).where(self._scope.has_account())))
        if after is not None:
            rows = rows.where(Bill.id < after)
        return list(self._session.scalars(rows))

    def open_bills(self) -> dict[str, tuple[int, Decimal]]:
        """How many bills are not paid, and what they come to, by currency."""
        wanted = select(Bill.currency, func.count(), func.sum(Bill.total)).where(*_in_state(BillState.ISSUED))
        if not self._scope.everything:
            wanted = wanted.where(Bill.account_id.in_(select(Account.id).where(self._scope.has_account())))
        return {row[0]: (row[1], row[2]) for row in self._session.execute(wanted.group_by(Bill.currency))}

    def settled(self, account_ids: Collection[int]) -> set[int]:
        """The bills of these accounts that payments reach to."""
        return set(self._session.scalars(_settled(account_ids)))

    # payments
    def payments(
        self, wanted: PaymentFilter, *, limit: int, after: int | None
    ) -> list[tuple[Payment, str, str]]:
        """Payments with the code and name of their account, newest first, before the id `after`."""
        rows = self._payments(wanted).add_columns(Account.code, Account.name)
        if after is not None:
            rows = rows.where(Payment.id < after)
        found = self._session.execute(rows.order_by(Payment.id.desc()).limit(limit))
        return [(row[0], row[1], row[2]) for row in found]

    def payments_together(self, wanted: PaymentFilter) -> tuple[int, dict[str, Decimal]]:
        """How many payments fit, and what they come to by currency."""
        sums = (
            self._payments(wanted)
            .with_only_columns(Payment.currency, func.count(), func.sum(Payment.amount))
            .group_by(Payment.currency)
        )
        rows = self._session.execute(sums).all()
        return sum(row[1] for row in rows), {row[0]: row[2] for row in rows}

    def _payments(self, wanted: PaymentFilter) -> Select[*tuple[Any, ...]]:
        rows: _AnySelect = (
            select(Payment)
            .join(Account, Account.id == Payment.account_id)
            .where(self._scope.has_account(), *_payments(wanted))
        )
        return rows


def _owed() -> _AnySelect:
    wanted: _AnySelect = (
        select(LedgerAccount.account_id, func.sum(Posting.amount).label("owed"))
        .join(Posting, Posting.ledger_account_id == LedgerAccount.id)
        .where(LedgerAccount.account_id.is_not(None))
        .group_by(LedgerAccount.account_id)
    )
    return wanted


def _owing() -> Select[int]:
    owed = _owed().subquery()
    wanted: Select[int] = select(owed.c.account_id).where(owed.c.owed > Decimal(0))
    return wanted


def _in_force(at: datetime) -> tuple[ColumnElement[bool], ...]:
    return (
        AccountTariff.valid_from <= at,
        or_(AccountTariff.valid_to.is_(None), AccountTariff.valid_to > at),
    )


def _with_tariff(at: datetime) -> Select[int]:
    return select(AccountTariff.account_id).where(*_in_force(at))


def _without_bill(month: TimeRange) -> tuple[ColumnElement[bool], ...]:
    """Accounts open all that month with no bill for it, or none that still stands."""
    assert month.end is not None
    standing = select(Bill.account_id).where(
        Bill.period_start < month.end, Bill.period_end > month.start, *standing_bill()
    )
    return (
        Account.opened_at <= month.start,
        or_(Account.closed_at.is_(None), Account.closed_at >= month.end),
        Account.id.not_in(standing),
    )


def standing_bill() -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """Of a statement over Bill: whether it is neither cancelled nor a cancellation."""
    # Written so that no index answers it: SQLite took the one of cancellations, which nearly every bill is in as null,
    # before that of the account, and read all bills: 40 ms at 10,000 of them.
    return func.coalesce(Bill.cancels_id, 0) == 0, ~_cancelled()


def _cancelled() -> ColumnElement[bool]:
    cancellation = aliased(Bill)
    return select(cancellation.id).where(cancellation.cancels_id == Bill.id).exists()


def _bills(wanted: BillFilter) -> list[ColumnElement[bool]]:
    conditions = [] if wanted.state is None else _in_state(wanted.state)
    if wanted.account_id is not None:
        conditions.append(Bill.account_id == wanted.account_id)
    if wanted.customer_id is not None:
        own = select(Account.id).where(Account.customer_id == wanted.customer_id)
        conditions.append(Bill.account_id.in_(own))
    if wanted.estimated:
        conditions.append(Bill.estimated.is_(True))
    if wanted.touched:
        conditions += [Bill.id.in_(select(BillTouched.bill_id)), *standing_bill()]
    if wanted.search:
        named = select(Account.id).where(
            or_(
                Account.code.icontains(wanted.search, autoescape=True),
                Account.name.icontains(wanted.search, autoescape=True),
            )
        )
        conditions.append(
            or_(Bill.number.icontains(wanted.search, autoescape=True), Bill.account_id.in_(named))
        )
    if wanted.period is not None:
        conditions.append(Bill.period_end > wanted.period.start)
        if wanted.period.end is not None:
            conditions.append(Bill.period_start < wanted.period.end)
    return conditions


def _in_state(state: BillState) -> list[ColumnElement[bool]]:
    match state:
        case BillState.CANCELLATION:
            return [Bill.id.in_(_cancellations("id"))]
        case BillState.CANCELLED:
            return [Bill.id.in_(_cancellations("cancels_id"))]
        case BillState.PAID:
            return [*standing_bill(), Bill.id.not_in(_open())]
        case BillState.ISSUED:
            return [Bill.id.in_(_open())]


def _cancellations(column: str) -> _AnySelect:
    """A column of the few bills that cancel another, from the index of what they cancel."""
    few = aliased(Bill)
    wanted: _AnySelect = select(getattr(few, column)).where(few.cancels_id.is_not(None))
    return wanted


_UP_TO_HERE: Final = (None, 0)
"""The frame of a window: from the first row to this one."""


def _settled(account_ids: Collection[int]) -> Select[int]:
    """The ids of the standing bills of some accounts that are paid."""
    reached, paid = _reached(lambda column: column.in_(account_ids))
    return select(reached.c.id).where(reached.c.farthest <= paid)


def _open() -> Select[int]:
    """The ids of all standing bills that are not paid.

    Only accounts that have not paid all they were ever asked for can have one. These are found by sums alone, and what
    lies behind each bill is then added up for their bills instead of for all.
    """
    short = _short_of_their_bills().cte("short")
    reached, paid = _reached(lambda column: column.in_(select(short.c.account_id)))
    return select(reached.c.id).where(reached.c.farthest > paid)


def _short_of_their_bills() -> _AnySelect:
    asked = aliased(Bill)
    paid = (
        select(func.coalesce(func.sum(Payment.amount), Decimal(0)))
        .where(Payment.account_id == asked.account_id)
        .scalar_subquery()
    )
    wanted: _AnySelect = (
        select(asked.account_id)
        .where(asked.total > Decimal(0))
        .group_by(asked.account_id)
        .having(func.sum(asked.total) > paid)
    )
    return wanted


def _reached(
    among: Callable[[InstrumentedAttribute[int]], ColumnElement[bool]],
) -> tuple[Subquery, ColumnElement[Decimal]]:
    """The standing bills of some accounts with how far each reaches, and what their accounts have paid."""
    reach = func.sum(Bill.total).over(
        partition_by=Bill.account_id, order_by=(Bill.issued_at, Bill.id), rows=_UP_TO_HERE
    )
    columns = Bill.id, Bill.account_id, Bill.issued_at
    bills = select(*columns, reach.label("reach")).where(*standing_bill(), among(Bill.account_id))
    reaching = bills.correlate(None).subquery()
    # The total of a bill may be negative; a bill behind one that is not reached stays open all the same.
    farthest = func.max(reaching.c.reach).over(
        partition_by=reaching.c.account_id, order_by=(reaching.c.issued_at, reaching.c.id), rows=_UP_TO_HERE
    )
    reached = select(reaching.c.id, reaching.c.account_id, farthest.label("farthest")).subquery()
    paid = (
        select(func.coalesce(func.sum(Payment.amount), Decimal(0)))
        .where(Payment.account_id == reached.c.account_id)
        .scalar_subquery()
    )
    return reached, paid


def _payments(wanted: PaymentFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.account_id is not None:
        conditions.append(Payment.account_id == wanted.account_id)
    if wanted.customer_id is not None:
        conditions.append(Account.customer_id == wanted.customer_id)
    if wanted.search:
        searched = (Payment.receipt, Account.code, Account.name)
        conditions.append(or_(*(column.icontains(wanted.search, autoescape=True) for column in searched)))
    if wanted.cashier:
        conditions.append(Payment.cashier.icontains(wanted.cashier, autoescape=True))
    if wanted.method is not None:
        conditions.append(Payment.method == wanted.method.value)
    if wanted.period is not None:
        conditions.append(Payment.received_at >= wanted.period.start)
        if wanted.period.end is not None:
            conditions.append(Payment.received_at < wanted.period.end)
    return conditions
