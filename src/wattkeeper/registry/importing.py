"""Import master data from Excel or CSV: look first, then all of it or nothing.

``preview`` shows what every row would do and every cell that is wrong. ``apply`` makes the same plan again in its own
transaction, so that what changed between the two cannot slip in, and refuses the whole file for a single error.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy.orm import Session

from wattkeeper.kernel.feed import ChangeFeed
from wattkeeper.registry import import_table
from wattkeeper.registry.errors import RegistryError
from wattkeeper.registry.import_plan import Planner
from wattkeeper.registry.import_rows import ExistingRows, Plan, PlannedRow, RowAction
from wattkeeper.registry.import_table import CellError, Table, read_table
from wattkeeper.registry.repository import Registry
from wattkeeper.registry.rules import SideOf, any_side
from wattkeeper.registry.service import INSTALLATION_CHANGED
from wattkeeper.security.audit import record

__all__ = ["CellError", "ExistingRows", "ImportPreview", "ImportRefused", "PlannedRow", "RowAction"]


@dataclass(frozen=True, slots=True)
class ImportPreview:
    """What an import does, or would do. ``ignored`` are headings of the file that mean nothing to us."""

    rows: tuple[PlannedRow, ...]
    errors: tuple[CellError, ...]
    ignored: tuple[str, ...]

    def count(self, action: RowAction) -> int:
        """How many rows have this fate."""
        return sum(row.action is action for row in self.rows)


class ImportRefused(RegistryError):
    """The file has errors, so nothing of it was imported; ``errors`` lists every one."""

    def __init__(self, name: str, errors: tuple[CellError, ...]) -> None:
        first = errors[0]
        super().__init__(
            f"{name} has {len(errors)} wrong cells, so nothing was imported. "
            f"The first is row {first.row}, {first.column}: {first.message}",
            hint="Correct them and import the file again.",
        )
        self.errors = errors


def template(language: Literal["zh", "en"] = "zh") -> bytes:
    """The Excel file to fill in."""
    return import_table.template(language)


def preview(
    session: Session,
    content: bytes,
    name: str,
    *,
    existing: ExistingRows = ExistingRows.SKIP,
    side_of: SideOf = any_side,
) -> ImportPreview:
    """What importing the file would do; changes nothing. ``session`` is a ``read()`` one."""
    table = read_table(content, name)
    with session.no_autoflush:
        plan = Planner(Registry(session, side_of=side_of), existing=existing).plan(table)
    session.rollback()  # the plan has touched objects of the session; none of that is kept
    return _preview(plan, table)


def apply(
    session: Session,
    content: bytes,
    name: str,
    *,
    now: datetime,
    existing: ExistingRows = ExistingRows.SKIP,
    side_of: SideOf = any_side,
) -> ImportPreview:
    """Import the file in the caller's ``write()`` transaction, or raise ImportRefused and leave everything as it is."""
    table = read_table(content, name)
    with session.no_autoflush:
        plan = Planner(Registry(session, side_of=side_of), existing=existing).plan(table)
    if plan.errors:
        raise ImportRefused(name, tuple(plan.errors))
    _carry_out(session, plan)
    done = _preview(plan, table)
    counts = {f"rows_{action.value}": done.count(action) for action in RowAction}
    record(session, "registry.import", now=now, subject=("file", name), name=name, after=counts)
    return done


def _carry_out(session: Session, plan: Plan) -> None:
    registry = Registry(session)
    registry.add_all(plan.links)
    registry.add_all(plan.areas)
    for point, area in plan.areas_of_points:
        point.area_id = area.id
    for entities in (
        plan.customers,
        plan.points,
        plan.meters,
        plan.accounts,
        plan.installations,
        plan.assignments,
    ):
        registry.add_all(entities)
    ChangeFeed().extend(
        session,
        INSTALLATION_CHANGED,
        (
            {"point_id": row.point_id, "meter_id": row.meter_id, "start": row.valid_from, "end": None}
            for row in plan.installations
        ),
    )


def _preview(plan: Plan, table: Table) -> ImportPreview:
    return ImportPreview(tuple(plan.rows), tuple(plan.errors), table.ignored)
