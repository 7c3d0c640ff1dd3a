"""What becomes of the rows of an import."""

import enum
from dataclasses import dataclass, field
from typing import Any

from wattkeeper.registry.errors import BadValue
from wattkeeper.registry.import_table import CellError
from wattkeeper.registry.models import (
    Account,
    AccountPoint,
    Area,
    Customer,
    Installation,
    Link,
    Meter,
    MeteringPoint,
)


class ExistingRows(enum.StrEnum):
    """What to do with what a row names and the registry has already."""

    SKIP = "skip"
    UPDATE = "update"


class RowAction(enum.StrEnum):
    """What the import does with a row."""

    CREATE = "create"
    UPDATE = "update"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class PlannedRow:
    """One row of the file and what becomes of it."""

    number: int
    action: RowAction
    address: str
    point_code: str
    account_code: str | None


@dataclass(slots=True)
class Plan:
    """Everything an import would add, in the order in which it has to be added, and what is wrong."""

    rows: list[PlannedRow] = field(default_factory=list)
    errors: list[CellError] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
    areas: list[Area] = field(default_factory=list)
    customers: list[Customer] = field(default_factory=list)
    meters: list[Meter] = field(default_factory=list)
    points: list[MeteringPoint] = field(default_factory=list)
    accounts: list[Account] = field(default_factory=list)
    installations: list[Installation] = field(default_factory=list)
    assignments: list[AccountPoint] = field(default_factory=list)
    areas_of_points: list[tuple[MeteringPoint, Area]] = field(default_factory=list)


def needed(values: dict[str, Any], column: str, why: str) -> Any:
    """A cell that a row cannot do without; raises BadValue that says why."""
    if column not in values:
        raise BadValue(column, f"This cell must be filled in. {why}", hint="Fill in the cell.")
    return values[column]
