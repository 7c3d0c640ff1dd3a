"""What can go wrong in billing, each with a sentence for the person in front of it."""

from pathlib import Path

from wattkeeper.kernel.errors import WattkeeperError


class BillingError(WattkeeperError):
    """The base of every error of this room."""


class TariffError(BillingError):
    """A tariff file says something that cannot be billed; names the file, the line and the way out."""

    def __init__(self, message: str, *, file: Path | str, line: int, hint: str) -> None:
        super().__init__(f"{file}:{line}: {message}", hint=hint)
        self.file = str(file)
        self.line = line


class UnknownTariff(BillingError):
    """No tariff of this code is in the library."""


class BillingRefused(BillingError):
    """A period of an account cannot be billed as it stands; `reason` is a stable code for lists.

    Reasons: no_tariff, tariff_not_in_force, no_points, missing_intervals, flagged_intervals,
    estimated_intervals, already_billed, earlier_unbilled, account_closed, period_not_over, mixed_currency.
    """

    def __init__(self, message: str, *, reason: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.reason = reason


class UnknownBill(BillingError):
    """No bill has this id or number."""


class UnknownBillRun(BillingError):
    """No bill run has this id."""


class BillNotCancellable(BillingError):
    """The bill is cancelled already, or is itself a cancellation."""


class PaymentRefused(BillingError):
    """The payment contradicts its amount, its currency or an earlier use of its key."""


class UnbalancedTransaction(BillingError):
    """Postings of one transaction do not add up to zero, or are fewer than two."""


class DocumentError(BillingError):
    """A bill could not be set as a document."""
