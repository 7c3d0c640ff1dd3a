"""The columns of a table that leaves the console as a file: one description for CSV and for Excel alike.

What a cell holds is plain and exact: a decimal, a civil moment in the site's zone, a text. How it looks is the file's.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Generic, Literal, TypeVar

from wattkeeper.kernel.money import Money
from wattkeeper.web.language import Language
from wattkeeper.web.queries.states import N_

Row = TypeVar("Row")
Kind = Literal["text", "number", "money", "percent", "moment", "date"]
Cell = str | int | Decimal | datetime | date | None
"""A moment is a naive civil one: spreadsheets know no zones, so the heading names it."""


@dataclass(frozen=True)
class Column(Generic[Row]):
    """One column: its heading, and what stands in a row."""

    label: str
    """A message of the catalogue."""
    value: Callable[[Row], object]
    """A text, an int, a Decimal, a Money, an aware datetime, a date, or None for an empty cell."""
    kind: Kind = "text"
    unit: str = ""
    """What a number counts; money takes the sites' currency, a moment its zone."""
    decimals: int = 0
    """How many a number shows in a sheet; the cell keeps all it has."""

    def heading(self, say: Language) -> str:
        """The heading with its unit."""
        units = {"percent": "%", "moment": say.zone.key}
        unit = units.get(self.kind, self.unit)
        text = say.text(self.label)
        return f"{text} ({unit})" if unit else text

    def cell(self, row: Row, say: Language) -> Cell:
        """What stands in a row."""
        return plain(self.value(row), say, day=self.kind == "date")


def plain(value: object, say: Language, *, day: bool = False) -> Cell:
    """A value as a cell keeps it: exact, and in the site's time."""
    if isinstance(value, Money):
        return value.amount
    if isinstance(value, float):
        return Decimal(repr(value))  # the digits that the float shows, not the tail it hides
    if isinstance(value, datetime):
        civil = value.astimezone(say.zone)
        return civil.date() if day else civil.replace(microsecond=0, tzinfo=None)
    if isinstance(value, date | int | Decimal) or value is None:
        return value
    return str(value)


def with_currency(columns: Sequence[Column[Any]], currencies: Iterable[str]) -> tuple[Column[Any], ...]:
    """Money says of which currency it is: in its heading where there is one, in a column of its own among several."""
    known = sorted(set(currencies))
    last = max((place for place, column in enumerate(columns) if column.kind == "money"), default=None)
    if last is None:
        return tuple(columns)
    if len(known) == 1:
        return tuple(
            replace(column, unit=known[0]) if column.kind == "money" else column for column in columns
        )
    value = columns[last].value
    currency: Column[Any] = Column(N_("Currency"), lambda row: _currency(value(row)))
    return (*columns[: last + 1], currency, *columns[last + 1 :])


def _currency(value: object) -> str | None:
    return value.currency if isinstance(value, Money) else None
