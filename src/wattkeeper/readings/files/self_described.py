"""Files that say themselves what they have: their values on the way to the stage."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from itertools import islice
from typing import Final

import pyarrow as pa

from wattkeeper.readings.files.staging import CELL_SCHEMA, WRONG_SCHEMA, Stage

_AT_ONCE: Final = 50_000
_FOUR: Final = Decimal("0.0001")
_LIMIT: Final = Decimal(10) ** 14


@dataclass(frozen=True, slots=True)
class Value:
    """One value: ``begun_at`` and ``until`` in UTC without a zone; ``until`` is None for a reading."""

    number: int
    named: str
    quantity: str
    begun_at: datetime
    until: datetime | None
    amount: Decimal
    exponent: int
    """By which power of ten the amount is multiplied to be in the catalogue's unit."""
    status: int


@dataclass(frozen=True, slots=True)
class WrongValue:
    """A value that cannot be taken in: its place in the file, what stands there, and why."""

    number: int
    text: str
    code: str


def stage_values(stage: Stage, values: Iterable[Value | WrongValue], names: dict[str, str]) -> int:
    """Stage the values of a file, some at a time; how many there were. ``names`` says who is meant by whom."""
    waiting = iter(values)
    total = 0
    while part := list(islice(waiting, _AT_ONCE)):
        total += len(part)
        judged = [_judged(value) if isinstance(value, Value) else value for value in part]
        cells = [_cell(value, names) for value in judged if isinstance(value, Value)]
        wrong = [
            {"row": value.number, "col": None, "text": value.text, "code": value.code}
            for value in judged
            if isinstance(value, WrongValue)
        ]
        stage.add("cell", pa.Table.from_pylist(cells, CELL_SCHEMA))
        stage.add("wrong", pa.Table.from_pylist(wrong, WRONG_SCHEMA))
    return total


def _judged(value: Value) -> Value | WrongValue:
    if not value.named:
        return WrongValue(value.number, "", "unnamed")
    if not datetime(1999, 12, 31) <= value.begun_at < datetime(2100, 1, 2):  # noqa: DTZ001
        return WrongValue(value.number, str(value.begun_at), "range")
    if value.until is not None and value.until <= value.begun_at:
        return WrongValue(value.number, str(value.until), "until")
    try:
        fits = abs(value.amount.scaleb(value.exponent)) < _LIMIT
    except InvalidOperation:
        fits = False
    return value if fits else WrongValue(value.number, str(value.amount), "value")


def _cell(value: Value, names: dict[str, str]) -> dict[str, object]:
    exact = value.amount.scaleb(value.exponent)
    rounded = exact.quantize(_FOUR, rounding=ROUND_HALF_UP)
    return {
        "row": value.number, "col": None, "named": names.get(value.named, value.named), "quantity": value.quantity,
        "begun_at": value.begun_at, "until": value.until, "value": rounded, "rounded": rounded != exact, "status": value.status,
    }  # fmt: skip
