"""The classes of data that have an age of their own: what each is in the store's tables."""

from dataclasses import dataclass
from typing import Final

from wattkeeper.readings.quantities import QUANTITIES
from wattkeeper.readings.schemas import EXCHANGE_SCHEMA
from wattkeeper.readings.versions import INTERVALS, READINGS


@dataclass(frozen=True, slots=True)
class DataClass:
    """One class of data that has an age at which it may be let go of."""

    name: str
    table: str
    columns: tuple[str, ...]
    time: str
    condition: str = "true"
    """Which rows of the table, as SQL."""
    keys: tuple[str, ...] = ()
    """What a row of a table of winners has once; empty where rows are only told apart as a whole."""
    superseded: str = ""
    """Where a winner goes whose key has another one by now."""
    sort: str = ""


def _of_kinds(*kinds: str) -> str:
    keys = ", ".join(f"'{key}'" for key, entry in QUANTITIES.items() if entry.kind in kinds)
    return f"quantity IN ({keys})"


_READING = tuple(READINGS.stored.split(", "))
_INTERVAL = tuple(INTERVALS.stored.split(", "))


def _readings(name: str, *kinds: str) -> DataClass:
    return DataClass(
        name=name,
        table=READINGS.name,
        columns=_READING,
        time=READINGS.time,
        condition=_of_kinds(*kinds),
        keys=READINGS.key_columns,
        superseded=READINGS.superseded,
        sort="quantity, meter_id, read_at",
    )


CLASSES: Final = {
    one.name: one
    for one in (
        _readings("registers", "register", "demand"),
        _readings("instantaneous", "instantaneous", "moment"),
        DataClass(
            name="intervals",
            table=INTERVALS.name,
            columns=_INTERVAL,
            time=INTERVALS.time,
            keys=INTERVALS.key_columns,
            superseded=INTERVALS.superseded,
            sort="quantity, point_id, start_at",
        ),
        DataClass(
            name="superseded_readings",
            table=READINGS.superseded,
            columns=(*_READING, "superseded_at"),
            time=READINGS.time,
            sort="quantity, meter_id, read_at, recorded_at",
        ),
        DataClass(
            name="superseded_intervals",
            table=INTERVALS.superseded,
            columns=(*_INTERVAL, "superseded_at"),
            time=INTERVALS.time,
            sort="quantity, point_id, start_at, recorded_at",
        ),
        DataClass(
            name="exchanges",
            table="exchange",
            columns=tuple(EXCHANGE_SCHEMA.names),
            time="began_at",
            sort="exchange_id",
        ),
    )
}
"""Every class by its name."""
