"""Double entry: every movement of money is a sealed transaction, and a balance is the replay of postings."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from uuid import uuid4

from sqlalchemy import func, insert, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from wattkeeper.billing.errors import UnbalancedTransaction
from wattkeeper.billing.models import LedgerAccount, LedgerTransaction, Posting
from wattkeeper.billing.values import StatementRow
from wattkeeper.kernel.money import Money

_FEWEST = 2


class Ledger:
    """The books, in the caller's transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def receivable(self, account_id: int, currency: str) -> int:
        """The ledger account of what a customer's account owes."""
        return self._account(f"receivable:{account_id}:{currency}", "receivable", currency, account_id)

    def own(self, kind: str, currency: str) -> int:
        """One of the utility's own ledger accounts: revenue, cash or bank."""
        return self._account(f"{kind}:{currency}", kind, currency, None)

    def post(self, entries: Mapping[int, Decimal], *, kind: str, reference: str, at: datetime) -> str:
        """Write and seal a transaction of entries by ledger account (debit positive); returns its id.

        The database checks again what is checked here, so that nobody can write past this method.
        """
        if len(entries) < _FEWEST or sum(entries.values(), Decimal(0)):
            raise UnbalancedTransaction(
                f"The postings of {reference} do not balance, or are fewer than two.",
                hint="Nothing was written; this is a fault of the program, so please report it.",
            )
        transaction = uuid4().hex
        rows = [
            {"transaction_id": transaction, "ledger_account_id": account, "amount": amount}
            for account, amount in entries.items()
        ]
        self._session.flush()
        self._session.execute(insert(Posting), rows)
        seal = {"id": transaction, "kind": kind, "reference": reference, "occurred_at": at}
        self._session.execute(insert(LedgerTransaction), [seal])
        return transaction

    def balance(self, account_id: int, currency: str) -> Money:
        """What a customer's account owes: the sum of its receivable postings; negative is a credit."""
        wanted = (
            select(func.sum(Posting.amount))
            .join(LedgerAccount, LedgerAccount.id == Posting.ledger_account_id)
            .where(LedgerAccount.account_id == account_id, LedgerAccount.currency == currency)
        )
        return Money(self._session.scalar(wanted) or Decimal(0), currency)

    def statement(self, account_id: int, currency: str) -> list[StatementRow]:
        """The movements of a customer's account in the order they were posted, with the balance after each."""
        wanted = (
            select(LedgerTransaction, Posting.amount)
            .join(Posting, Posting.transaction_id == LedgerTransaction.id)
            .join(LedgerAccount, LedgerAccount.id == Posting.ledger_account_id)
            .where(LedgerAccount.account_id == account_id, LedgerAccount.currency == currency)
            .order_by(Posting.id)
        )
        rows: list[StatementRow] = []
        balance = Money.zero(currency)
        for transaction, amount in self._session.execute(wanted):
            moved = Money(amount, currency)
            balance = balance + moved
            rows.append(
                StatementRow(transaction.occurred_at, transaction.kind, transaction.reference, moved, balance)
            )
        return rows

    def _account(self, code: str, kind: str, currency: str, account_id: int | None) -> int:
        known = self._session.scalar(select(LedgerAccount.id).where(LedgerAccount.code == code))
        if known is not None:
            return known
        # Two first postings at once on PostgreSQL: both want to open the account, and one of them does.
        row = {"code": code, "kind": kind, "currency": currency, "account_id": account_id}
        if self._session.get_bind().dialect.name == "postgresql":
            self._session.execute(postgresql.insert(LedgerAccount).values(row).on_conflict_do_nothing())
        else:
            self._session.execute(sqlite.insert(LedgerAccount).values(row).on_conflict_do_nothing())
        return self._session.scalars(select(LedgerAccount.id).where(LedgerAccount.code == code)).one()
