"""What the columns of a table of readings mean: guessed from headings and some rows, changeable, and rememberable."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from wattkeeper.readings.errors import BadMapping
from wattkeeper.readings.files.headings import NAMES, quantity_named, split_unit
from wattkeeper.readings.quantities import quantity as catalogue_entry

_NUMBER: Final = re.compile(r"[+-]?[\d.,' ]*\d[\d.,]*([eE][+-]?\d+)?")
_MOST_NUMBERS: Final = 0.5
_YEAR_FIRST: Final = re.compile(r"\s*\d{4}[-/.年]?\d{1,2}")
_DAY_OR_MONTH_FIRST: Final = re.compile(r"\s*(\d{1,2})([-/.])(\d{1,2})\2\d{4}")
_EPOCH: Final = re.compile(r"\d{10}(\d{3})?")


class Role(StrEnum):
    """What a column is for."""

    IGNORE = "ignore"
    TIME = "time"
    CLOCK = "clock"
    """The time of day, where ``time`` has the date only."""
    UNTIL = "until"
    """The end of an interval that ``time`` begins: values are then energies of metering points."""
    METER = "meter"
    """A meter's address or a metering point's code."""
    QUANTITY = "quantity"
    UNIT = "unit"
    VALUE = "value"


class Order(StrEnum):
    """How dates are written."""

    YEAR_FIRST = "ymd"
    DAY_FIRST = "dmy"
    MONTH_FIRST = "mdy"
    EPOCH = "epoch"
    """Seconds or milliseconds since 1970 UTC."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the file; a value column may say by itself whose and which values it has, and in what unit."""

    role: Role
    meter: str = ""
    quantity: str = ""
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Mapping:
    """What a file's columns mean, in their order, and what holds for all of them.

    ``quantity`` and ``unit`` are those of values that say none themselves. Times without an offset are civil times of
    ``zone``.
    """

    columns: tuple[Column, ...]
    zone: str
    order: Order = Order.YEAR_FIRST
    decimal: str = "."
    quantity: str = "active_energy_import"
    unit: str = ""
    ambiguous_dates: bool = False
    """Days and months could be the other way round, by all that was seen."""

    @property
    def zone_info(self) -> ZoneInfo:
        """The zone of civil times."""
        try:
            return ZoneInfo(self.zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise BadMapping(
                f"There is no time zone {self.zone!r}.", hint="Use an IANA name, such as Asia/Shanghai."
            ) from None

    def place(self, role: Role) -> int | None:
        """Where the column of a role is."""
        return next((place for place, column in enumerate(self.columns) if column.role is role), None)

    def checked(self) -> Self:
        """Itself, or BadMapping saying what it lacks."""
        _ = self.zone_info
        for role in (Role.TIME, Role.VALUE):
            if self.place(role) is None:
                raise BadMapping(
                    f"No column of the file is known to be its {role.value}.",
                    hint=f"Say which column is the {role.value}.",
                )
        for role in set(Role) - {Role.IGNORE, Role.VALUE}:
            if sum(column.role is role for column in self.columns) > 1:
                raise BadMapping(f"Two columns are the {role.value}.", hint="Leave one of them out.")
        named = self.place(Role.METER) is not None
        if not named and not all(c.meter for c in self.columns if c.role is Role.VALUE):
            raise BadMapping(
                "Nothing says which meter the values are of.",
                hint="Choose the column of meters, or name the meter of each column of values.",
            )
        for key in {self.quantity, *(column.quantity for column in self.columns)} - {""}:
            catalogue_entry(key)
        if self.place(Role.QUANTITY) is None and not all(
            column.quantity or self.quantity for column in self.columns if column.role is Role.VALUE
        ):
            raise BadMapping("Nothing says what the values are.", hint="Choose a quantity for all of them.")
        if self.decimal not in {".", ","}:
            raise BadMapping(f"{self.decimal!r} is no decimal sign.", hint="Use a point or a comma.")
        return self

    def as_json(self) -> dict[str, Any]:
        """As it is kept and sent."""
        return {
            "columns": [
                {name: value for name, value in (("role", c.role.value), ("meter", c.meter), ("quantity", c.quantity), ("unit", c.unit)) if value}
                for c in self.columns
            ],
            "zone": self.zone, "order": self.order.value, "decimal": self.decimal, "quantity": self.quantity, "unit": self.unit,
        }  # fmt: skip

    @classmethod
    def from_json(cls, kept: Any, *, columns: int) -> Self:
        """As `as_json` gave it, for a file of so many columns; BadMapping when it does not fit."""
        try:
            found = cls(
                columns=tuple(
                    Column(Role(c["role"]), str(c.get("meter", "")), str(c.get("quantity", "")), str(c.get("unit", "")))
                    for c in kept["columns"]
                ),
                zone=str(kept["zone"]), order=Order(kept.get("order", "ymd")), decimal=str(kept.get("decimal", ".")),
                quantity=str(kept.get("quantity", "")), unit=str(kept.get("unit", "")),
            )  # fmt: skip
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BadMapping(
                f"The mapping cannot be understood: {error}.",
                hint="See docs/reference/readings-files.md for how it is written.",
            ) from None
        if len(found.columns) != columns:
            raise BadMapping(
                f"The mapping has {len(found.columns)} columns and the file {columns}.",
                hint="Look at the file's headings again.",
            )
        return found


def fingerprint(headings: Sequence[str]) -> str:
    """What files of the same make have in common: their headings, whatever their case and spacing."""
    written = "\x1f".join(re.sub(r"\s+", " ", heading).strip().lower() for heading in headings)
    return hashlib.sha256(written.encode()).hexdigest()


def detected(headings: Sequence[str], rows: Sequence[Sequence[str]], *, zone: str) -> Mapping:
    """The likeliest meaning of a file, from its headings and its first rows."""
    columns = [_by_heading(heading) for heading in headings]
    if not any(column.role is Role.VALUE for column in columns):
        columns = [_as_value(column, headings[n], _cells(rows, n)) for n, column in enumerate(columns)]
    columns = _once(columns)
    times = _cells(rows, next((n for n, c in enumerate(columns) if c.role is Role.TIME), -1))
    values = [cell for n, c in enumerate(columns) if c.role is Role.VALUE for cell in _cells(rows, n)]
    order, ambiguous = _order(times)
    return Mapping(
        columns=tuple(columns),
        zone=zone,
        order=order,
        decimal=_decimal(values),
        ambiguous_dates=ambiguous,
    )


def _cells(rows: Sequence[Sequence[str]], place: int) -> list[str]:
    return [row[place].strip() for row in rows if 0 <= place < len(row) and row[place].strip()]


def _by_heading(heading: str) -> Column:
    name, unit = split_unit(heading)
    role = NAMES.get(name.lower())
    return Column(Role(role), unit=unit if role == "value" else "") if role else Column(Role.IGNORE)


def _as_value(column: Column, heading: str, cells: Sequence[str]) -> Column:
    """A column without a known heading holds values when most of its cells are numbers: of a quantity, or of a meter."""
    if column.role is not Role.IGNORE or heading.strip().lower() in NAMES or not heading.strip():
        return column
    numbers = sum(bool(_NUMBER.fullmatch(cell)) for cell in cells)
    if cells and numbers / len(cells) < _MOST_NUMBERS:
        return column
    name, unit = split_unit(heading)
    quantity = quantity_named(name)
    if quantity is not None:
        return Column(Role.VALUE, quantity=quantity, unit=unit)
    return Column(Role.VALUE, meter=name, unit=unit)


def _once(columns: Sequence[Column]) -> list[Column]:
    """Of two columns for one thing the first counts; a date and a time of day are two things."""
    seen: set[Role] = set()
    kept = []
    for column in columns:
        role = column.role
        if role is Role.TIME and role in seen and Role.CLOCK not in seen:
            role = Role.CLOCK
        elif role in seen and role is not Role.VALUE:
            role = Role.IGNORE
        seen.add(role)
        kept.append(replace(column, role=role))
    return kept


def _order(times: Sequence[str]) -> tuple[Order, bool]:
    if times and all(_EPOCH.fullmatch(cell) for cell in times):
        return Order.EPOCH, False
    found = [match for cell in times if (match := _DAY_OR_MONTH_FIRST.match(cell))]
    if not found or any(_YEAR_FIRST.match(cell) for cell in times):
        return Order.YEAR_FIRST, False
    months = 12
    if any(int(match[1]) > months for match in found):
        return Order.DAY_FIRST, False
    if any(int(match[3]) > months for match in found):
        return Order.MONTH_FIRST, False
    return (Order.MONTH_FIRST if found[0][2] == "/" else Order.DAY_FIRST), True


def _decimal(cells: Sequence[str]) -> str:
    """A comma when numbers have one where no thousands could be parted, or after a point."""
    commas = sum(bool(re.search(r"\.\d{3},\d|^[^,.]*,(\d{1,2}|\d{4,})$", cell)) for cell in cells)
    points = sum(bool(re.search(r",\d{3}\.\d|^[^,.]*\.\d+$", cell)) for cell in cells)
    return "," if commas > points else "."
