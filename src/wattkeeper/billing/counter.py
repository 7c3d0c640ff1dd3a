"""The counter: money taken in cash or by card, with a receipt, once per key."""

from datetime import datetime

from wattkeeper.billing.errors import PaymentRefused
from wattkeeper.billing.ledger import Ledger
from wattkeeper.billing.models import Payment
from wattkeeper.billing.repository import BillingRepository
from wattkeeper.billing.values import PaymentMethod, PaymentView
from wattkeeper.kernel.database import Database
from wattkeeper.kernel.money import Money
from wattkeeper.registry.repository import Registry
from wattkeeper.security.audit import record

_MOST_DIGITS = 2
_MOST_KEY = 100
#: Cash goes to the till, cards to the bank.
_WHERE = {PaymentMethod.CASH: "cash", PaymentMethod.CARD: "bank"}


class Counter:
    """Records payments."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(
        self,
        account_id: int,
        *,
        amount: Money,
        method: PaymentMethod,
        key: str,
        cashier: str,
        now: datetime,
        currency: str,
    ) -> PaymentView:
        """Post a payment, or give the receipt of the same payment recorded under this key before."""
        _refuse_bad(amount, key, currency)
        with self._database.write() as session:
            bills = BillingRepository(session)
            bills.lock(account_id)
            if (known := bills.payment_by_key(key)) is not None:
                if (known.account_id, known.amount, known.method) != (
                    account_id,
                    amount.amount,
                    method.value,
                ):
                    raise PaymentRefused(
                        f"The key {key} was used for another payment, receipt {known.receipt}.",
                        hint="Use a new key for each payment.",
                    )
                return _view(known, repeated=True)
            account = Registry(session).get_account(account_id)
            ledger = Ledger(session)
            entries = {
                ledger.own(_WHERE[method], currency): amount.amount,
                ledger.receivable(account_id, currency): -amount.amount,
            }
            transaction = ledger.post(entries, kind="payment", reference=key, at=now)
            payment = Payment(
                receipt=f"R{now:%Y%m%d}-{transaction[:10].upper()}", idempotency_key=key, account_id=account_id,
                amount=amount.amount, currency=currency, method=method.value, cashier=cashier, received_at=now,
                transaction_id=transaction,
            )  # fmt: skip
            taken = _view(bills.add_payment(payment), repeated=False)
            after = {
                "account": account.code,
                "amount": amount.amount,
                "currency": currency,
                "method": method.value,
            }
            record(
                session,
                "payment.record",
                now=now,
                subject=("payment", taken.id),
                name=taken.receipt,
                after=after,
            )
            return taken

    def payments(self, account_id: int) -> list[PaymentView]:
        """An account's payments, oldest first."""
        with self._database.read() as session:
            Registry(session).get_account(account_id)
            return [
                _view(payment, repeated=False) for payment in BillingRepository(session).payments(account_id)
            ]


def _refuse_bad(amount: Money, key: str, currency: str) -> None:
    if amount.currency != currency:
        raise PaymentRefused(
            f"The account is billed in {currency}, not in {amount.currency}.", hint="Change the money first."
        )
    if amount.amount <= 0 or amount.rounded(_MOST_DIGITS) != amount:
        raise PaymentRefused(
            f"{amount} cannot be paid over a counter.", hint="Enter an amount above zero, to the cent."
        )
    if not 0 < len(key) <= _MOST_KEY:
        raise PaymentRefused(
            f"A payment's key has 1 to {_MOST_KEY} characters.", hint="Use a random identifier."
        )


def _view(payment: Payment, *, repeated: bool) -> PaymentView:
    return PaymentView(
        id=payment.id, receipt=payment.receipt, account_id=payment.account_id,
        amount=Money(payment.amount, payment.currency), method=PaymentMethod(payment.method),
        received_at=payment.received_at, cashier=payment.cashier, repeated=repeated,
    )  # fmt: skip
