"""What somebody asks to be changed, checked before it is written down: whole columns at a time."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from wattkeeper.kernel.timerange import TimeRange, slot_starts
from wattkeeper.readings.editing.errors import BadEdit
from wattkeeper.readings.quantities import quantity as catalogue_entry
from wattkeeper.readings.schemas import INSTANT

MOST_VALUES: Final = 50_000
"""In one edit: a year of quarter hours, and some."""
MOST_REASON: Final = 500
_LARGEST: Final = Decimal(10) ** 14
_MARGIN: Final = timedelta(days=2)


def checked_reason(reason: str) -> str:
    """A reason that says something; raises BadEdit."""
    if not (stripped := reason.strip()):
        raise BadEdit("An edit needs a reason.", hint="Say why: it is kept with the value.")
    if len(stripped) > MOST_REASON:
        raise BadEdit(f"A reason has at most {MOST_REASON} characters, and this one {len(stripped)}.")
    return stripped


def checked_values(wanted: pa.Table, schema: pa.Schema, now: datetime) -> pa.Table:
    """The values as columns owner_id, quantity, at and value, each key once and in order; raises BadEdit.

    ``schema`` says what they come as: READING_EDIT_SCHEMA or INTERVAL_EDIT_SCHEMA.
    """
    try:
        table = wanted.select(schema.names).cast(schema)
    except (KeyError, pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise BadEdit(
            f"What is to be changed cannot be read: {error}.",
            hint=f"It has the columns {', '.join(schema.names)}; values have up to 14 digits and four decimals.",
        ) from error
    table = table.rename_columns(["owner_id", "quantity", "at", "value"])
    if not table.num_rows:
        raise BadEdit("The edit changes nothing: it has no value.", hint="Give at least one.")
    if table.num_rows > MOST_VALUES:
        raise BadEdit(
            f"{table.num_rows:,} values are more than one edit takes ({MOST_VALUES:,}).",
            hint="Divide the period: each part can then be looked at, too.",
        )
    if any(column.null_count for column in table.columns):
        raise BadEdit("A value of the edit is not complete.", hint="Say of what, when and how much.")
    _check_amounts(table)
    _check_once(table)
    if pc.max(table["at"]).as_py() > now:
        raise BadEdit("The edit reaches into the future.", hint="What has not been cannot be corrected.")
    order = [("owner_id", "ascending"), ("quantity", "ascending"), ("at", "ascending")]
    return table.sort_by(order)


def with_ends(table: pa.Table, grids: Mapping[int, tuple[int, str]], now: datetime) -> pa.Table:
    """Intervals with ``end_at``, which the grid of their point says; raises BadEdit for what is off the grid.

    ``grids`` has the minutes of a slot and the zone of every point.
    """
    for quantity in pc.unique(table["quantity"]).to_pylist():
        if not catalogue_entry(quantity).is_energy:
            raise BadEdit(f"{quantity} is no energy, so it has no intervals.")
    owners = table["owner_id"].to_numpy()
    starts = table["at"].cast(pa.int64()).to_numpy()
    ends = np.zeros_like(starts)
    for grid in sorted(set(grids.values())):
        mine = np.isin(owners, [point_id for point_id, of in grids.items() if of == grid])
        ends[mine] = _slot_ends(owners[mine], starts[mine], minutes=grid[0], zone=ZoneInfo(grid[1]))
    column = pa.array(ends, pa.int64()).cast(INSTANT)
    if pc.max(column).as_py() > now:
        raise BadEdit("The edit reaches into the future.", hint="What has not been cannot be corrected.")
    return table.add_column(3, "end_at", column)


def _slot_ends(owners: Any, starts: Any, *, minutes: int, zone: ZoneInfo) -> Any:
    """The end [µs] of the slot that begins at each start."""
    wide = TimeRange(_instant(int(starts.min())) - _MARGIN, _instant(int(starts.max())) + _MARGIN)
    grid = slot_starts(wide, timedelta(minutes=minutes), zone).astype(np.int64)
    place = np.searchsorted(grid, starts)
    off = grid[place] != starts
    if off.any():
        at = _instant(int(starts[off][0])).astimezone(zone)
        raise BadEdit(
            f"No interval of metering point {owners[off][0]} begins at {at:%Y-%m-%d %H:%M:%S}.",
            hint=f"Its intervals are of {minutes} minutes, from midnight on.",
        )
    return grid[place + 1]


def _check_amounts(table: pa.Table) -> None:
    if pc.any(pc.greater_equal(pc.abs(table["value"]), _LARGEST)).as_py():
        raise BadEdit("A value of the edit has more than 14 digits before the point.")
    for quantity in pc.unique(table["quantity"]).to_pylist():
        entry = catalogue_entry(quantity)
        if not entry.is_energy or entry.counts_both_ways:
            continue
        of_it = pc.equal(table["quantity"], quantity)
        if pc.any(pc.and_(of_it, pc.less(table["value"], 0))).as_py():
            raise BadEdit(
                f"{quantity} counts one way, and a value of the edit is below zero.",
                hint="Energy the other way has a quantity of its own.",
            )


def _check_once(table: pa.Table) -> None:
    counted = table.group_by(["owner_id", "quantity", "at"]).aggregate([([], "count_all")])
    twice = counted.filter(pc.greater(counted["count_all"], 1))
    if twice.num_rows:
        row = twice.slice(0, 1).to_pylist()[0]
        raise BadEdit(
            f"The edit says twice what {row['quantity']} of {row['owner_id']} was at {row['at']:%Y-%m-%d %H:%M:%S} UTC."
        )


def _instant(microseconds_utc: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds_utc)
