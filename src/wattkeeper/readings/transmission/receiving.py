"""The platform's end: batches of remote collectors are stored, and only then acknowledged."""

import threading
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from wattkeeper.kernel.database import Database
from wattkeeper.readings.schemas import EXCHANGE_SCHEMA, READING_SCHEMA
from wattkeeper.readings.store import ReadingsStore
from wattkeeper.readings.transmission.base import EMPTY, Base
from wattkeeper.readings.transmission.batch import READINGS, decode
from wattkeeper.readings.transmission.container import kind_of
from wattkeeper.readings.transmission.frames import decode_exchanges
from wattkeeper.readings.transmission.identities import MeterIdentity
from wattkeeper.readings.transmission.repository import MeterNames, RemoteCollectors
from wattkeeper.readings.transmission.values import Delivery, Receipt, RemoteCollectorView

REMEMBERED: Final = 5_000_000
"""Last values kept in memory, some 100 bytes each; a collector whose are forgotten sends self-contained again."""


_Taken = tuple[int, int, Collection[MeterIdentity], Sequence[MeterIdentity]]
"""Rows that were stored, those of them that were new, and the meters that are known here and that are not."""


class BatchReceiver:
    """Takes in what remote collectors deliver; calls come from any thread, one collector's take turns.

    A delivery may come twice, when its acknowledgement was lost: the store drops what it knows. What comes late, behind
    newer deliveries of its run, is acknowledged and not stored again, or it would stand above what replaced it.
    """

    def __init__(self, database: Database, store: ReadingsStore) -> None:
        self._database = database
        self._store = store
        self._lock = threading.Lock()
        self._turns: dict[str, threading.Lock] = {}
        self._bases: OrderedDict[str, Base] = OrderedDict()

    def receive(self, payload: bytes, delivery: Delivery, *, now: datetime) -> Receipt:
        """Store a batch and acknowledge it.

        Raises:
            BadBatch: the bytes are no batch that can be read; nothing was stored.
            BaseUnknown: it says what changed since a batch that is not remembered here.
            BadReadings: it holds what no store takes.

        """
        with self._turn(delivery.collector):
            with self._database.read() as session:
                acknowledged = RemoteCollectors(session).acknowledged(delivery.collector, delivery.run)
            if delivery.last < acknowledged:
                return Receipt(acknowledged=acknowledged, rows=0, accepted=0, unknown=())
            take = self._readings if kind_of(payload) == READINGS else self._exchanges
            rows, accepted, known, unknown = take(payload, delivery, now)
            with self._database.write() as session:
                collectors = RemoteCollectors(session)
                collectors.delivered(delivery, readings=rows if take == self._readings else 0, now=now)
                collectors.forget_unknown(delivery.collector, known)
                collectors.note_unknown(delivery.collector, unknown, now=now)
            return Receipt(acknowledged=delivery.last, rows=rows, accepted=accepted, unknown=tuple(unknown))

    def known(self, meters: Collection[MeterIdentity]) -> list[MeterIdentity]:
        """Those of some meters that are registered here."""
        with self._database.read() as session:
            return sorted(MeterNames(session).ids(meters))

    def collectors(self) -> Sequence[RemoteCollectorView]:
        """Every remote collector, the one heard last first."""
        with self._database.read() as session:
            return RemoteCollectors(session).all()

    def _readings(self, payload: bytes, delivery: Delivery, now: datetime) -> _Taken:
        decoded = decode(payload, self._bases.get(delivery.collector, EMPTY))
        places = np.unique(decoded.readings["meter_id"].to_numpy())
        meters = [decoded.meters[place] for place in places.tolist()]
        with self._database.read() as session:
            ids = MeterNames(session).ids(meters)
        table = _with_ids(decoded.readings, READING_SCHEMA, "meter_id", decoded.meters, ids)
        table = table.filter(table["meter_id"].is_valid())
        accepted = self._store.append_readings(table, now).accepted
        self._remember(delivery.collector, decoded.base)
        return table.num_rows, accepted, ids.keys(), sorted(set(meters) - ids.keys())

    def _exchanges(self, payload: bytes, _: Delivery, __: datetime) -> _Taken:
        decoded = decode_exchanges(payload)
        with self._database.read() as session:
            names = MeterNames(session)
            ids, links = names.ids(decoded.meters), names.link_ids(decoded.links)
        belonging = decoded.exchanges["meter_id"].is_null()
        table = _with_ids(decoded.exchanges, EXCHANGE_SCHEMA, "meter_id", decoded.meters, ids)
        table = _with_ids(table, EXCHANGE_SCHEMA, "link_id", decoded.links, links)
        table = table.filter(pc.or_(belonging, table["meter_id"].is_valid()))
        accepted = self._store.recorded.append_new_exchanges(table)
        return table.num_rows, accepted, ids.keys(), sorted(set(decoded.meters) - ids.keys())

    def _turn(self, collector: str) -> threading.Lock:
        with self._lock:
            return self._turns.setdefault(collector, threading.Lock())

    def _remember(self, collector: str, base: Base) -> None:
        with self._lock:
            self._bases[collector] = base
            self._bases.move_to_end(collector)
            while sum(len(known.keys) for known in self._bases.values()) > REMEMBERED:
                self._bases.popitem(last=False)


def _with_ids(
    table: pa.Table, schema: pa.Schema, column: str, names: Sequence[Any], ids: Mapping[Any, int]
) -> pa.Table:
    """The table with the ids of this ledger where it had places in a list of names; null where there is none."""
    found = pa.array([ids.get(name) for name in names], pa.int64())
    place = schema.get_field_index(column)
    return table.set_column(place, schema.field(place), found.take(table[column].combine_chunks()))
