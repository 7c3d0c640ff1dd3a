"""Exact amounts of a currency."""

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Self

from wattkeeper.kernel.errors import WattkeeperError


class CurrencyMismatch(WattkeeperError, TypeError):
    """Amounts of two currencies were combined or compared."""


@dataclass(frozen=True, slots=True)
class Money:
    """An exact amount of one currency (ISO 4217 code). It is rounded only where ``rounded`` says so."""

    amount: Decimal
    currency: str

    def __post_init__(self) -> None:
        amount: object = self.amount  # a float would come in unseen by a caller without types
        if not isinstance(amount, Decimal) or not amount.is_finite():
            raise TypeError(f"An amount of money is a finite Decimal, not {amount!r}.")
        if len(self.currency) != 3 or not (self.currency.isascii() and self.currency.isupper()):  # noqa: PLR2004 - ISO 4217
            raise ValueError(
                f"A currency is a code of three capital letters (ISO 4217), not {self.currency!r}."
            )

    @classmethod
    def zero(cls, currency: str) -> Self:
        """Nothing, of a currency; the start of a sum: ``sum(amounts, Money.zero("CNY"))``."""
        return cls(Decimal(0), currency)

    def rounded(self, places: int = 2, rounding: str = ROUND_HALF_UP) -> "Money":
        """The amount at ``places`` decimals; half a fen goes up, away from zero, unless told otherwise."""
        return Money(self.amount.quantize(Decimal(1).scaleb(-places), rounding=rounding), self.currency)

    def __add__(self, other: "Money") -> "Money":
        return Money(self.amount + self._same(other), self.currency)

    def __sub__(self, other: "Money") -> "Money":
        return Money(self.amount - self._same(other), self.currency)

    def __neg__(self) -> "Money":
        return Money(-self.amount, self.currency)

    def __mul__(self, factor: Decimal | int) -> "Money":
        if isinstance(factor, bool) or not isinstance(factor, Decimal | int):
            return NotImplemented
        return Money(self.amount * factor, self.currency)

    __rmul__ = __mul__

    def __lt__(self, other: "Money") -> bool:
        return self.amount < self._same(other)

    def __le__(self, other: "Money") -> bool:
        return self.amount <= self._same(other)

    def __gt__(self, other: "Money") -> bool:
        return self.amount > self._same(other)

    def __ge__(self, other: "Money") -> bool:
        return self.amount >= self._same(other)

    def __bool__(self) -> bool:
        return bool(self.amount)

    def __str__(self) -> str:
        return f"{self.amount:f} {self.currency}"

    def _same(self, other: "Money") -> Decimal:
        if not isinstance(other, Money):
            raise TypeError(f"Money goes with money, not with {other!r}.")
        if other.currency != self.currency:
            raise CurrencyMismatch(f"{self} and {other} are of two currencies and cannot be combined.")
        return other.amount
