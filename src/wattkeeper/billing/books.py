"""The books as lists and sums show them: what accounts owe and for how long, bills and payments by page."""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from sqlalchemy.orm import Session

from wattkeeper.billing.lists import Lists
from wattkeeper.billing.models import Payment
from wattkeeper.billing.repository import BillingRepository
from wattkeeper.billing.values import (
    AccountFilter,
    AccountPage,
    AccountRow,
    Ageing,
    BillFilter,
    BillPage,
    OpenBills,
    PaymentFilter,
    PaymentMethod,
    PaymentPage,
    PaymentRow,
)
from wattkeeper.billing.views import Views
from wattkeeper.kernel.database import Database
from wattkeeper.kernel.money import Money
from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.registry.errors import NotFound
from wattkeeper.registry.models import Account
from wattkeeper.registry.repository import Registry
from wattkeeper.registry.scope import EVERYTHING, Scope

NO_CURRENCY_KNOWN: Final = "CNY"
"""What an account is billed in before there is a site."""
_A_MONTH: Final = timedelta(days=30)


class Books:
    """Looks things up; each method is one transaction that writes nothing."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def bills(
        self, wanted: BillFilter, *, scope: Scope = EVERYTHING, limit: int = 50, after: int | None = None
    ) -> BillPage:
        """A page of bills, newest first; `after` is the `next_after` of the page before."""
        with self._database.read() as session:
            return Views(session).page(wanted, scope=scope, limit=limit, after=after)

    def accounts(
        self,
        wanted: AccountFilter,
        *,
        now: datetime,
        scope: Scope = EVERYTHING,
        limit: int = 50,
        after: str | None = None,
    ) -> AccountPage:
        """A page of accounts with the tariff in force now and what is owed."""
        with self._database.read() as session:
            lists = Lists(session, scope)
            found, total, following = lists.accounts(wanted, now=now, limit=limit, after=after)
            ids = [account.id for account, _ in found]
            owed, tariffs = _balances(session, ids), lists.tariffs_at(ids, now)
            rows = tuple(
                _account_row(account, customer, owed[account.id], tariffs.get(account.id))
                for account, customer in found
            )
            return AccountPage(rows, total, following)

    def open_bills(self, *, scope: Scope = EVERYTHING) -> OpenBills:
        """The bills nobody has paid yet, together."""
        with self._database.read() as session:
            found = Lists(session, scope).open_bills()
        sums = _sums({currency: amount for currency, (_, amount) in found.items()})
        return OpenBills(sum(count for count, _ in found.values()), sums)

    def unbilled(self, month: TimeRange, *, scope: Scope = EVERYTHING) -> int:
        """How many accounts open all that month lack its bill; 0 while nobody at all has been billed for it."""
        with self._database.read() as session:
            return Lists(session, scope).unbilled(month)

    def balances(self, account_ids: Collection[int]) -> dict[int, Money]:
        """What each of these accounts owes, in the currency it is billed in; negative is a credit."""
        with self._database.read() as session:
            return _balances(session, account_ids)

    def owed_by_customers(
        self, customer_ids: Collection[int], *, scope: Scope = EVERYTHING
    ) -> dict[int, tuple[Money, ...]]:
        """What the accounts of each of these customers owe together, one amount per currency."""
        with self._database.read() as session:
            owed = Lists(session, scope).owed_by_customers(customer_ids)
            nothing = Money.zero(_first_currency(session))
        return {customer_id: _sums(amounts) or (nothing,) for customer_id, amounts in owed.items()}

    def ageing(self, account_id: int, *, now: datetime) -> Ageing:
        """What an account owes by how long it has been due; payments settle the oldest bills first."""
        with self._database.read() as session:
            repository = BillingRepository(session)
            currency = _currencies(session, [account_id])[account_id]
            return aged(
                repository.live_in_order(account_id), repository.paid(account_id), currency=currency, now=now
            )

    def payments(
        self, wanted: PaymentFilter, *, scope: Scope = EVERYTHING, limit: int = 50, after: int | None = None
    ) -> PaymentPage:
        """A page of payments, newest first, and what all of the filter come to."""
        with self._database.read() as session:
            lists = Lists(session, scope)
            total, sums = lists.payments_together(wanted)
            found = lists.payments(wanted, limit=limit + 1, after=after)
        rows = tuple(_payment_row(*row) for row in found[:limit])
        following = rows[-1].id if len(found) > limit else None
        return PaymentPage(rows, total, _sums(sums), following)

    def payment(self, payment_id: int, *, scope: Scope = EVERYTHING) -> PaymentRow:
        """One payment, or NotFound."""
        with self._database.read() as session:
            payment = BillingRepository(session).payment(payment_id)
            if payment is None:
                raise NotFound("payment", payment_id)
            account = Registry(session, scope).get_account(payment.account_id)
            return _payment_row(payment, account.code, account.name)


def aged(
    bills: Collection[tuple[Decimal, datetime]], paid: Decimal, *, currency: str, now: datetime
) -> Ageing:
    """The open parts of bills, given with the moment each is due from, oldest first."""
    parts = {"not_due": Decimal(0), "days_30": Decimal(0), "days_60": Decimal(0), "older": Decimal(0)}
    left = paid
    for total, due_at in bills:
        settled = min(total, left)  # a negative bill adds to what is left
        left -= settled
        parts[_age(due_at, now)] += total - settled
    return Ageing(
        **{key: Money(amount, currency) for key, amount in parts.items()}, credit=Money(left, currency)
    )


def _age(due_at: datetime, now: datetime) -> str:
    late = now - due_at
    if late <= timedelta(0):
        return "not_due"
    if late <= _A_MONTH:
        return "days_30"
    return "days_60" if late <= 2 * _A_MONTH else "older"


def _balances(session: Session, account_ids: Collection[int]) -> dict[int, Money]:
    currencies = _currencies(session, account_ids)
    owed = Lists(session, EVERYTHING).owed(account_ids)
    return {
        account_id: Money(owed.get((account_id, currency), Decimal(0)), currency)
        for account_id, currency in currencies.items()
    }


def _currencies(session: Session, account_ids: Collection[int]) -> dict[int, str]:
    """The currency that each account is billed in: that of its first point's site, else of the first site."""
    registry = Registry(session)
    first = _first_currency(session)
    known = registry.currencies_of_accounts(account_ids) if len(registry.sites()) > 1 else {}
    return {account_id: known.get(account_id, first) for account_id in account_ids}


def _first_currency(session: Session) -> str:
    sites = Registry(session).sites()
    return sites[0].currency if sites else NO_CURRENCY_KNOWN


def _sums(amounts: Mapping[str, Decimal]) -> tuple[Money, ...]:
    return tuple(Money(amount, currency) for currency, amount in sorted(amounts.items()))


def _account_row(account: Account, customer: str, balance: Money, tariff: str | None) -> AccountRow:
    return AccountRow(
        id=account.id, code=account.code, name=account.name, kind=account.kind, address=account.address,
        customer_id=account.customer_id, customer_name=customer, opened_at=account.opened_at,
        closed_at=account.closed_at, tariff_code=tariff, balance=balance,
    )  # fmt: skip


def _payment_row(payment: Payment, account_code: str, account_name: str) -> PaymentRow:
    return PaymentRow(
        id=payment.id, receipt=payment.receipt, account_id=payment.account_id, account_code=account_code,
        account_name=account_name, amount=Money(payment.amount, payment.currency),
        method=PaymentMethod(payment.method), received_at=payment.received_at, cashier=payment.cashier,
    )  # fmt: skip
