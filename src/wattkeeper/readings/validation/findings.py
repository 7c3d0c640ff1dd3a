"""What the rules found beside what is known: raised, changed, cleared, and what a person decided left alone."""

import json
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pyarrow as pa

from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.readings.batches import microseconds
from wattkeeper.readings.validation.models import FindingState, ValidationFinding
from wattkeeper.readings.validation.repository import FindingRepository
from wattkeeper.readings.validation.windows import Days

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NAMED: Final = 500
"""Meters named in one event."""
_KEY: Final = ("code", "meter_id", "quantity", "start_at")
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Changed:
    """How many findings changed, and about which meters."""

    raised: int = 0
    updated: int = 0
    cleared: int = 0
    meters: frozenset[int] = field(default=frozenset())

    def __add__(self, other: "Changed") -> "Changed":
        return Changed(
            self.raised + other.raised,
            self.updated + other.updated,
            self.cleared + other.cleared,
            self.meters | other.meters,
        )

    def event(self) -> dict[str, Any]:
        """What the change feed tells: counts, and the meters where they are few enough to be named."""
        named = sorted(self.meters) if len(self.meters) <= _NAMED else None
        return {"raised": self.raised, "updated": self.updated, "cleared": self.cleared, "meters": named}


def apply(repository: FindingRepository, found: pa.Table, days: Days, now: datetime) -> Changed:
    """Make the findings about some days what was found about them (FINDING_SCHEMA), in the caller's transaction.

    What a person decided holds as long as the finding rests on the same ground; on another it is open again. What is no
    longer found is cleared; a decision stays.
    """
    period = TimeRange(_instant(min(day[1] for day in days)), _instant(max(day[2] for day in days)))
    judged = _by_meter(days)
    known = {
        (row.code, row.meter_id, row.quantity, row.start_at): row
        for row in repository.of_meters(judged, period)
        if any(start <= microseconds(row.start_at) < end for start, end in judged[row.meter_id])
    }
    raised: list[Row] = []
    updated: list[Row] = []
    meters: set[int] = set()
    for row in found.to_pylist():
        values = {name: row[name] for name in ("severity", "point_id", "end_at", "ground")}
        values["evidence"] = json.loads(row["evidence"])
        before = known.pop(tuple(row[name] for name in _KEY), None)
        if before is None:
            raised.append({name: row[name] for name in _KEY} | values | _open(now) | {"raised_at": now})
        elif _differs(before, values):
            raised_at = now if before.state is FindingState.CLEARED else before.raised_at
            updated.append({"id": before.id} | values | _open(now) | {"raised_at": raised_at})
        else:
            continue
        meters.add(row["meter_id"])
    gone = [row for row in known.values() if row.state is FindingState.OPEN]
    repository.add(raised)
    repository.change(updated)
    repository.change([{"id": row.id, "state": FindingState.CLEARED, "updated_at": now} for row in gone])
    return Changed(len(raised), len(updated), len(gone), frozenset(meters | {row.meter_id for row in gone}))


def _by_meter(days: Days) -> dict[int, list[tuple[int, int]]]:
    judged: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
    for meter, start, end in days:
        judged[meter].append((start, end))
    return judged


def _differs(before: ValidationFinding, values: Row) -> bool:
    """Whether a finding says something new: another ground, or, while nobody has decided, anything else."""
    if before.state is FindingState.CLEARED or before.ground != values["ground"]:
        return True
    return before.state is FindingState.OPEN and any(
        getattr(before, name) != value for name, value in values.items()
    )


def _open(now: datetime) -> Row:
    undecided = dict.fromkeys(("decided_at", "decided_by", "note", "edit_id"))
    return {"state": FindingState.OPEN, "updated_at": now} | undecided


def _instant(microseconds_utc: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds_utc)
