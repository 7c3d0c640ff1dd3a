"""What people write into forms, understood or refused with a sentence."""

from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Annotated, Final
from zoneinfo import ZoneInfo

from fastapi import Form, Path

from wattkeeper.web.problems import BadRequest

Id = Annotated[int, Path(ge=1, le=2**53)]
Line = Annotated[str, Form(max_length=200)]
"""One line of text; what it may hold, the room that keeps it knows."""
Month = Annotated[str, Form(max_length=7)]
Moment = Annotated[str, Form(max_length=25)]
Key = Annotated[str, Form(min_length=8, max_length=100)]
"""Made with the form, so that a second click does nothing."""
_EARLIEST: Final = 1970


def amount_of(text: str) -> Decimal:
    """An amount of money in whole cents."""
    try:
        amount = Decimal(text)
        if amount.is_finite() and amount == amount.quantize(Decimal("0.01")):
            return amount
    except InvalidOperation:
        pass
    raise BadRequest(f"{text!r} is not an amount in whole cents.", hint="Write it as 132.06.")


def moment_of(text: str, zone: ZoneInfo) -> datetime:
    """A civil moment of the site, as forms write it: 2026-11-22T17:00."""
    try:
        moment = datetime.fromisoformat(text)
        if moment.year > _EARLIEST:
            return moment if moment.tzinfo else moment.replace(tzinfo=zone)
    except ValueError:
        pass
    raise BadRequest(f"{text!r} is not a date and time.", hint="Write it as 2026-11-22T17:00.")
