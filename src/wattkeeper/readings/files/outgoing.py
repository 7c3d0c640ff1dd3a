"""What leaves as a file: stored readings or intervals with the names people know, in batches."""

import enum
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy.orm import Session

from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.readings.choosing import energy_members, sample_members
from wattkeeper.readings.files.kinds import What
from wattkeeper.readings.quantities import QUANTITIES
from wattkeeper.readings.quantities import quantity as catalogue_entry
from wattkeeper.readings.schemas import ENERGY, INSTANT, IntervalStatus, ReadingStatus
from wattkeeper.readings.store import ReadingsStore
from wattkeeper.readings.streams import Selection
from wattkeeper.registry.chosen import Wanted, choose, names_of_meters, names_of_points
from wattkeeper.registry.repository import Registry
from wattkeeper.registry.scope import Scope

Progress = Callable[[int, int], None]
"""Called with how many rows are written, and how many there are."""


READING_ROWS: Final = pa.schema(
    [
        ("meter", pa.string()),
        ("quantity", pa.string()),
        ("unit", pa.string()),
        ("read_at", INSTANT),
        ("value", ENERGY),
        ("status", pa.string()),
        ("source", pa.string()),
        ("recorded_at", INSTANT),
    ]
)
"""A reading as the meter showed it: no ratio is applied. ``status`` names what is against it, parted by a bar."""

INTERVAL_ROWS: Final = pa.schema(
    [
        ("point", pa.string()),
        ("quantity", pa.string()),
        ("unit", pa.string()),
        ("start_at", INSTANT),
        ("end_at", INSTANT),
        ("energy", ENERGY),
        ("error", ENERGY),
        ("status", pa.string()),
        ("method", pa.string()),
        ("recorded_at", INSTANT),
    ]
)
"""The energy of a metering point, ratio applied; ``error`` is the half-width of an estimate's 90 % band."""


@dataclass(frozen=True)
class ExportAsked:
    """What somebody wants as a file; with nothing named, all that they may see."""

    what: What
    wanted: Wanted
    period: TimeRange
    quantities: tuple[str, ...] = ()
    as_known_at: datetime | None = None


@dataclass(frozen=True)
class Outgoing:
    """The rows of an export, to be gone through once."""

    what: What
    schema: pa.Schema
    rows: int
    batches: Iterator[pa.RecordBatch]

    def told(self, progress: Progress) -> "Outgoing":
        """The same, telling how far it is."""

        def batches() -> Iterator[pa.RecordBatch]:
            done = 0
            for batch in self.batches:
                yield batch
                done += batch.num_rows
                progress(done, self.rows)

        return replace(self, batches=batches())


def outgoing(session: Session, scope: Scope, store: ReadingsStore, asked: ExportAsked) -> Outgoing:
    """The rows of an export; the ledger is asked now, the store while somebody takes them."""
    for key in asked.quantities:
        catalogue_entry(key)
    wanted = _selection(session, scope, asked)
    if asked.what is What.READINGS:
        counts = store.count_readings(wanted)
        names = names_of_meters(session, counts)
        found = (_reading_rows(batch, names) for batch in store.stream_readings(wanted, counts))
        return Outgoing(asked.what, READING_ROWS, sum(counts.values()), found)
    counts = store.count_intervals(wanted)
    names = names_of_points(session, counts)
    found = (_interval_rows(batch, names) for batch in store.stream_intervals(wanted, counts))
    return Outgoing(asked.what, INTERVAL_ROWS, sum(counts.values()), found)


def _selection(session: Session, scope: Scope, asked: ExportAsked) -> Selection:
    quantities = asked.quantities or None
    if asked.wanted.nothing and scope.everything:
        return Selection(None, quantities, asked.period, asked.as_known_at)
    wanted = asked.wanted
    if wanted.nothing:
        wanted = Wanted(area_ids=tuple(sorted(scope.areas)), site_ids=tuple(sorted(scope.sites)))
    build = sample_members if asked.what is What.READINGS else energy_members
    membership = build(Registry(session, scope), choose(session, scope, wanted), asked.period, together=True)
    return Selection(membership.members, quantities, asked.period, asked.as_known_at)


def _reading_rows(batch: pa.RecordBatch, names: dict[int, str]) -> pa.RecordBatch:
    columns = [
        _named(batch["meter_id"], names),
        batch["quantity"],
        _units(batch["quantity"]),
        batch["read_at"],
        batch["value"],
        _words(batch["status"], ReadingStatus),
        batch["source"],
        batch["recorded_at"],
    ]
    return pa.record_batch(columns, schema=READING_ROWS)


def _interval_rows(batch: pa.RecordBatch, names: dict[int, str]) -> pa.RecordBatch:
    columns = [
        _named(batch["point_id"], names),
        batch["quantity"],
        _units(batch["quantity"]),
        batch["start_at"],
        batch["end_at"],
        batch["energy"],
        batch["error"],
        _words(batch["status"], IntervalStatus),
        batch["method"],
        batch["recorded_at"],
    ]
    return pa.record_batch(columns, schema=INTERVAL_ROWS)


def _named(ids: pa.Array, names: dict[int, str]) -> pa.Array:
    """Ids as the names people know; one that the registry forgot keeps its number."""
    return _mapped(ids, lambda key: names.get(key, f"#{key}"))


def _units(quantities: pa.Array) -> pa.Array:
    return _mapped(quantities, lambda key: QUANTITIES[key].unit)


def _words(status: pa.Array, flags: type[enum.IntFlag]) -> pa.Array:
    """What is known about a value: the names of its flags, or nothing."""
    return _mapped(status, lambda value: "|".join((flag.name or "").lower() for flag in flags(value)))


def _mapped(column: pa.Array, word: Callable[[Any], str]) -> pa.Array:
    """Each distinct value looked up once."""
    coded = pc.dictionary_encode(column)
    return pa.array([word(key) for key in coded.dictionary.to_pylist()], pa.string()).take(coded.indices)
