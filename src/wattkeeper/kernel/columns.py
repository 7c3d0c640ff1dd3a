"""Column types that keep instants and decimals exact in every database.

SQLite has no exact numeric and forgets time zones, so both are integers in the database.
"""

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, Dialect, Integer, Text
from sqlalchemy.types import TypeDecorator

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

BigId = BigInteger().with_variant(Integer(), "sqlite")
"""64-bit in every database; SQLite numbers rows by itself only when the type is called INTEGER."""


class Instant(TypeDecorator[datetime]):
    """An aware datetime, stored as whole microseconds since 1970 UTC and read back in UTC."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:  # noqa: ARG002 - SQLAlchemy's signature
        """Encode, refusing a datetime without a zone."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"An instant needs a time zone, and {value!r} has none.")
        return (value - _EPOCH) // _MICROSECOND

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - SQLAlchemy's signature
        """Decode."""
        return None if value is None else _EPOCH + value * _MICROSECOND


class ScaledDecimal(TypeDecorator[Decimal]):
    """A Decimal stored as an integer of ``10**-scale`` units.

    A value that does not fit exactly is refused: rounding happens where the domain names it, never on the way in.
    """

    impl = BigInteger
    cache_ok = True

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.scale = scale

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> int | None:  # noqa: ARG002 - SQLAlchemy's signature
        """Encode, refusing what has more decimals than the column or more digits than 64 bits."""
        if value is None:
            return None
        whole = int(value.scaleb(self.scale)) if value.is_finite() else 0
        if Decimal(whole).scaleb(-self.scale) != value or not -(2**63) <= whole < 2**63:
            raise ValueError(f"{value} does not fit a column of {self.scale} decimals in 64 bits.")
        return whole

    def process_result_value(self, value: int | None, dialect: Dialect) -> Decimal | None:  # noqa: ARG002 - SQLAlchemy's signature
        """Decode, with exactly ``scale`` decimals."""
        return None if value is None else Decimal(value).scaleb(-self.scale)


class Json(TypeDecorator[Any]):
    """Any JSON value as text. Decimals become strings, and instants and dates ISO 8601; they come back as such."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:  # noqa: ARG002 - SQLAlchemy's signature
        """Encode; keys are sorted, so that equal values are equal texts."""
        if value is None:
            return None
        return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=_as_json)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:  # noqa: ARG002 - SQLAlchemy's signature
        """Decode."""
        return None if value is None else json.loads(value)


def _as_json(value: Any) -> str:
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime | date):
        return value.isoformat()
    raise TypeError(f"{value!r} has no form in JSON.")
