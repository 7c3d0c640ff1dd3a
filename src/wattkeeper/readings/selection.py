"""Which rows a query wants, as SQL conditions that DuckLake can prune files by."""

from collections.abc import Iterable
from datetime import datetime

from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.readings.batches import microseconds
from wattkeeper.readings.quantities import quantity as catalogue_entry
from wattkeeper.readings.versions import VersionedTable


def chosen_ids(column: str, ids: Iterable[int] | None) -> str:
    """The rows of these owners; None means all."""
    if ids is None:
        return "true"
    wanted = sorted({int(identifier) for identifier in ids})
    if not wanted:
        return "false"
    # The bounds prune files and row groups also where the list is too long for it.
    listed = ", ".join(map(str, wanted))
    return f"{column} BETWEEN {wanted[0]} AND {wanted[-1]} AND {column} IN ({listed})"


def chosen_quantities(column: str, keys: Iterable[str] | None) -> str:
    """The rows of these quantities, None meaning all; an unknown key raises UnknownQuantity."""
    if keys is None:
        return "true"
    listed = ", ".join(f"'{catalogue_entry(key).key}'" for key in sorted(set(keys)))
    return f"{column} IN ({listed})" if listed else "false"


def within(column: str, period: TimeRange | None) -> str:
    """The rows whose instant lies in a half-open period; None means always."""
    if period is None:
        return "true"
    condition = f"{column} >= {instant(microseconds(period.start))}"
    return (
        condition if period.end is None else f"{condition} AND {column} < {instant(microseconds(period.end))}"
    )


def instant(microseconds_utc: int) -> str:
    """An instant as a SQL constant."""
    return f"make_timestamptz({microseconds_utc})"


def known(table: VersionedTable, condition: str, as_known_at: datetime | None) -> str:
    """The rows of the current state, or of what was known at a moment, as SQL."""
    if as_known_at is None:
        return f"SELECT {table.stored} FROM lake.{table.name} WHERE {condition}"  # noqa: S608  built from checked parts
    moment = instant(microseconds(as_known_at))
    return f"""
        SELECT {table.stored} FROM lake.{table.name} WHERE {condition} AND recorded_at <= {moment}
        UNION ALL
        SELECT {table.stored} FROM lake.{table.superseded}
        WHERE {condition} AND recorded_at <= {moment} AND superseded_at > {moment}
    """  # noqa: S608  built from checked parts
