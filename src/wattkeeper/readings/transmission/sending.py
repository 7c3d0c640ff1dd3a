"""What a collector sends next, and what the platform's answer means for its outbox; no network in here."""

import json
import os
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import pyarrow as pa

from wattkeeper.readings.transmission.base import EMPTY, Base
from wattkeeper.readings.transmission.batch import READINGS, decode, encode
from wattkeeper.readings.transmission.identities import MeterIdentity
from wattkeeper.readings.transmission.outbox import Outbox
from wattkeeper.readings.transmission.segments import Record, sync_folder

MOST_ROWS: Final = 100_000
MOST_BYTES: Final = 900_000
"""Of one shipment: below the megabyte that reverse proxies let pass unless they are told otherwise."""


class Shipment(NamedTuple):
    """What travels in one request."""

    run: bytes
    last: int
    """The sequence of its last batch."""
    rows: int
    payload: bytes
    base: Base | None
    """What both ends know once it is acknowledged; None where that does not change."""


class UnknownMeters:
    """The meters that the platform did not know: on the disk before their batches are dropped from the outbox."""

    def __init__(self, path: Path) -> None:
        self._path = path
        listed = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
        self.meters = frozenset(MeterIdentity(*meter) for meter in listed)

    def add(self, meters: Collection[MeterIdentity]) -> None:
        """Remember more; where all are known to be unknown, nothing is written."""
        self._keep(self.meters | frozenset(meters))

    def remove(self, meters: Collection[MeterIdentity]) -> None:
        """Forget those that the platform knows now."""
        self._keep(self.meters - frozenset(meters))

    def _keep(self, meters: frozenset[MeterIdentity]) -> None:
        if meters == self.meters:
            return
        beginning = self._path.with_suffix(".new")
        with beginning.open("w", encoding="utf-8") as file:
            json.dump(sorted(meters), file, ensure_ascii=False)
            file.flush()
            os.fsync(file.fileno())
        beginning.replace(self._path)
        sync_folder(self._path.parent)
        self.meters = meters


class Sender:
    """Makes shipments of what waits in an outbox, each against what the platform acknowledged before."""

    def __init__(self, outbox: Outbox, unknown: UnknownMeters) -> None:
        self._outbox = outbox
        self._unknown = unknown
        self._base = EMPTY

    def next(self) -> Shipment | None:
        """What is to be sent now; None when nothing waits. The same again until it is acknowledged, or more."""
        records = self._outbox.next(most_rows=MOST_ROWS, most_bytes=MOST_BYTES)
        if not records:
            return None
        if records[0].kind != READINGS:
            (first, *_) = records  # frames gain nothing from one another
            return Shipment(first.run, first.sequence, first.rows, first.payload, None)
        readings, meters = _joined(records)
        encoded = encode(readings, meters, self._base)
        return Shipment(
            records[0].run, records[-1].sequence, readings.num_rows, encoded.payload, encoded.base
        )

    def acknowledged(self, shipment: Shipment, *, upto: int, unknown: Sequence[MeterIdentity]) -> None:
        """Drop what the platform has; what it does not take is written down first."""
        self._unknown.add(unknown)
        self._outbox.acknowledge(upto)
        if shipment.base is not None:
            self._base = shipment.base

    def base_lost(self) -> bool:
        """Send self-contained from here on; False when that was so already."""
        had, self._base = self._base, EMPTY
        return had is not EMPTY


def _joined(records: Sequence[Record]) -> tuple[pa.Table, list[MeterIdentity]]:
    """The readings of some batches in one table, each meter at one place."""
    tables, places = [], dict[MeterIdentity, int]()
    for record in records:
        decoded = decode(record.payload)
        stands = pa.array([places.setdefault(meter, len(places)) for meter in decoded.meters], pa.int64())
        column = stands.take(decoded.readings["meter_id"].combine_chunks())
        tables.append(decoded.readings.set_column(0, decoded.readings.schema.field(0), column))
    return pa.concat_tables(tables), list(places)
