"""Readings as a batch: what a remote collector sends to the platform, in one to five bytes a reading.

Sans I/O: `encode` makes bytes of a table, `decode` a table of bytes. A batch is self-contained, or says what changed
since a base: the values that the receiver has acknowledged before, known to both by the checksum of the batch that
made it. docs/reference/batch-format.md is the specification.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa

from wattkeeper.readings.intervals import decimals
from wattkeeper.readings.schemas import INSTANT, READING_SCHEMA
from wattkeeper.readings.transmission.base import EMPTY, MOST_QUANTITIES, Base, Named
from wattkeeper.readings.transmission.container import (
    NO_BASE,
    Columns,
    Head,
    Opened,
    opened,
    placed,
    steps,
    unstepped,
)
from wattkeeper.readings.transmission.errors import BadBatch, BaseUnknown
from wattkeeper.readings.transmission.identities import MeterIdentity, pack_meters, unpack_meters
from wattkeeper.readings.transmission.numbers import Integers
from wattkeeper.readings.transmission.ranges import LOW_END, instants, put_together, taken_apart, within

READINGS: Final = 1
"""The kind of a batch of readings."""
_MOST_UNITS: Final = 10**18
_TWO_ORDERS_UP_TO: Final = 20_000
"""Rows up to which both orders are tried; a batch of more is a load record's, which is smallest by meter."""


class Encoded(NamedTuple):
    """A batch, and the base it makes once the receiver has acknowledged it."""

    payload: bytes
    base: Base


class Decoded(NamedTuple):
    """Readings that arrived, and the base they make."""

    readings: pa.Table
    """READING_SCHEMA, but ``meter_id`` is a place in ``meters``."""
    meters: tuple[MeterIdentity, ...]
    base: Base


@dataclass(frozen=True, slots=True)
class _Rows:
    """The columns of a batch as whole numbers, one entry a row."""

    meter: Integers
    quantity: Integers
    read_at: Integers
    units: Integers
    status: Integers
    source: Integers
    exchange: Integers
    traced: Integers
    """1 where ``exchange`` counts, 0 where the reading has none."""

    @property
    def keys(self) -> Integers:
        return self.meter * MOST_QUANTITIES + self.quantity

    def taken(self, order: Integers) -> "_Rows":
        return _Rows(*(getattr(self, name)[order] for name in self.__slots__))


def encode(readings: pa.Table, meters: Sequence[MeterIdentity], base: Base = EMPTY) -> Encoded:
    """A batch of readings (READING_SCHEMA, but ``meter_id`` is a place in ``meters``), at most a million rows.

    Of two readings of one meter, quantity and instant the later row stays the later one; else the order of rows
    is the format's own.
    """
    quantity, source = _Coded.of(readings["quantity"]), _Coded.of(readings["source"])
    named, meter_places = _named(readings["meter_id"].to_numpy(), meters, quantity.words, base)
    rows = _numbers(readings, meter_places, quantity.places_in(named.quantities), source.places)
    orders = [np.lexsort((rows.quantity, rows.read_at, rows.meter))]
    if readings.num_rows <= _TWO_ORDERS_UP_TO:
        orders.append(np.lexsort((rows.quantity, rows.meter, rows.read_at)))
    tried = [(_packed(ordered, base), ordered) for ordered in map(rows.taken, orders)]
    columns, sent = min(tried, key=lambda one: one[0].size)
    pack_meters(columns, named.meters[len(base.meters) :])
    columns.words("quantities", named.quantities[len(base.quantities) :])
    columns.words("sources", source.words)
    payload = columns.sealed(Head(READINGS, readings.num_rows, base.checksum))
    return Encoded(payload, base.after(payload[-len(NO_BASE) :], named, sent.keys, sent.units))


def decode(payload: bytes, base: Base = EMPTY) -> Decoded:
    """The readings of a batch.

    Raises:
        BadBatch: the bytes are no such batch, are damaged or cut off, or say too much; see its subclasses.
        BaseUnknown: it says what changed since another base.

    """
    batch = opened(payload, READINGS)
    if batch.head.base == NO_BASE:
        base = EMPTY
    elif batch.head.base != base.checksum:
        raise BaseUnknown(
            "A batch says what changed since one that is not remembered here.", hint="Send it self-contained."
        )
    named = Named(
        base.meters + tuple(unpack_meters(batch)), base.quantities + tuple(batch.words("quantities"))
    )
    if len(named.quantities) > MOST_QUANTITIES:
        raise BadBatch("A batch names more quantities than there can be.")
    sources = batch.words("sources")
    rows = _unpacked(batch, named, len(sources), base)
    behind = base.after(batch.checksum, named, rows.keys, rows.units)
    return Decoded(_table(rows, named, sources), named.meters, behind)


# -- between tables and whole numbers -------------------------------------------------------------------------------


class _Coded(NamedTuple):
    """A column of texts as a list of those there are, and where in it each row stands."""

    words: list[str]
    places: Integers

    @classmethod
    def of(cls, column: pa.ChunkedArray) -> "_Coded":
        coded = column.combine_chunks().dictionary_encode()
        return cls(coded.dictionary.to_pylist(), coded.indices.to_numpy().astype(np.int64))

    def places_in(self, words: Sequence[str]) -> Integers:
        """Where each row stands in another list, which has all of them."""
        at = {word: place for place, word in enumerate(words)}
        found: Integers = np.array([at[word] for word in self.words], np.int64)[self.places]
        return found


def _named(
    meter: Integers, meters: Sequence[MeterIdentity], quantities: Sequence[str], base: Base
) -> tuple[Named, Integers]:
    """What the rows will point to, and where each of ``meters`` stands in it (-1: no row is of it)."""
    used = np.unique(meter).tolist()
    places = {known: place for place, known in enumerate(base.meters)}
    fresh = sorted({meters[place] for place in used} - places.keys())
    places |= {new: len(places) + place for place, new in enumerate(fresh)}
    stands = np.full(len(meters), -1, np.int64)
    stands[used] = [places[meters[place]] for place in used]
    more = sorted(set(quantities) - set(base.quantities))
    return Named(base.meters + tuple(fresh), base.quantities + tuple(more)), stands


def _numbers(readings: pa.Table, meter_places: Integers, quantity: Integers, source: Integers) -> _Rows:
    exchange = readings["exchange_id"]
    return _Rows(
        meter=meter_places[readings["meter_id"].to_numpy()],
        quantity=quantity,
        read_at=readings["read_at"].cast(pa.int64()).to_numpy(),
        units=units_of(readings["value"]),
        status=readings["status"].to_numpy().astype(np.int64),
        source=source,
        exchange=exchange.fill_null(0).to_numpy(),
        traced=exchange.is_valid().to_numpy().astype(np.int64),
    )


def units_of(values: pa.ChunkedArray) -> Integers:
    """DECIMAL(18,4) as whole units of 0.0001, without a Python object for each; nothing may be null."""
    array = values.combine_chunks()
    words = np.frombuffer(array.buffers()[1], "<i8") if len(array) else np.empty(0, np.int64)
    return words[2 * array.offset : 2 * (array.offset + len(array)) : 2].astype(np.int64)


def _table(rows: _Rows, named: Named, sources: Sequence[str]) -> pa.Table:
    columns = [
        pa.array(rows.meter),
        pa.array(named.quantities, pa.string()).take(pa.array(rows.quantity)),
        pa.array(rows.read_at).cast(INSTANT),
        decimals(rows.units),
        pa.array(rows.status.astype(np.int32)),
        pa.array(sources, pa.string()).take(pa.array(rows.source)),
        pa.array(rows.exchange, mask=rows.traced == 0),
    ]
    return pa.table(columns, schema=READING_SCHEMA)


# -- between whole numbers and packed columns -----------------------------------------------------------------------


def _packed(rows: _Rows, base: Base) -> Columns:
    columns = Columns()
    columns.numbers("meter", steps(rows.meter))
    columns.numbers("quantity", rows.quantity)
    first = rows.read_at[:1]
    columns.numbers("first_read_at", first)
    columns.numbers("read_at", np.diff(rows.read_at, prepend=first))
    _pack_values(columns, rows, base)
    columns.numbers("status", rows.status)
    columns.numbers("source", rows.source)
    columns.numbers("traced", rows.traced)
    return columns | _packed_exchanges(rows)


def _packed_exchanges(rows: _Rows) -> Columns:
    """The ids of exchanges, from one to the next or from the reading's instant, whichever is smaller."""
    traced = rows.traced == 1
    milliseconds, low = taken_apart(rows.exchange[traced])
    lag = milliseconds - rows.read_at[traced] // 1000
    choices = (
        Columns().numbers("exchange_step", steps(milliseconds)),
        Columns().numbers("exchange_lag", steps(lag)),
        Columns().numbers("exchange_delay", lag),
    )
    return min(choices, key=lambda tried: tried.size).numbers("exchange_low", low)


def _pack_values(columns: Columns, rows: _Rows, base: Base) -> None:
    """Each value less the one before it of the same key: in the batch, else in the base, else its quantity's least."""
    runs = _Runs(rows.keys, base)
    origin = _per_quantity(rows, runs.fresh, rows.units, np.minimum)
    increments = runs.increments(rows.units, origin[rows.quantity])
    step = np.maximum(_per_quantity(rows, np.ones(len(increments), bool), np.abs(increments), np.gcd), 1)
    increments //= step[rows.quantity]
    columns.numbers("value_origin", origin).numbers("value_step", step)
    columns.numbers("value_first", increments[runs.fresh])
    columns.numbers("value_change", increments[~runs.fresh])


def _per_quantity(rows: _Rows, chosen: np.ndarray, values: Integers, reduce: np.ufunc) -> Integers:
    """One number for each quantity, reduced from the chosen rows; 0 where none is chosen."""
    count = int(rows.quantity.max()) + 1 if len(rows.quantity) else 0
    found = np.zeros(count, np.int64)
    places = rows.quantity[chosen]
    order = np.argsort(places, kind="stable")
    present, first = np.unique(places[order], return_index=True)
    if len(present):
        found[present] = reduce.reduceat(values[chosen][order], first)
    return found


class _Runs:
    """The rows of each key in their order, one key behind the other."""

    def __init__(self, keys: Integers, base: Base) -> None:
        self.order = np.argsort(keys, kind="stable")
        ordered = keys[self.order]
        begins = np.ones(len(keys), bool)
        begins[1:] = ordered[1:] != ordered[:-1]
        self.begins = begins
        self.before = np.zeros(len(keys), np.int64)
        """Of each run's first row, in the order of runs: what the base says; else 0."""
        known = np.zeros(len(keys), bool)
        self.before[begins], known[begins] = base.value_of(ordered[begins])
        self.fresh = np.zeros(len(keys), bool)
        """By row, as they stand in the batch: the first of a key that the base does not know."""
        self.fresh[self.order] = begins & ~known

    def increments(self, values: Integers, origin: Integers) -> Integers:
        """By row: what is added to the value before it; wraps where numbers do."""
        ordered = values[self.order]
        previous = np.roll(ordered, 1)
        previous[self.begins] = self.before[self.begins]
        found = np.empty(len(values), np.int64)
        found[self.order] = ordered - previous
        found[self.fresh] = values[self.fresh] - origin[self.fresh]
        return found

    def values(self, increments: Integers, origin: Integers) -> Integers:
        """What `increments` was made of."""
        added = increments.copy()
        added[self.fresh] += origin[self.fresh]
        ordered = added[self.order]
        ordered[self.begins] += self.before[self.begins]
        total = np.cumsum(ordered, dtype=np.int64)
        starts = np.flatnonzero(self.begins)
        carried = np.concatenate([np.zeros(1, np.int64), total])[starts]
        total -= np.repeat(carried, np.diff(np.append(starts, len(total))))
        found = np.empty(len(total), np.int64)
        found[self.order] = total
        return found


def _unpacked(batch: Opened, named: Named, sources: int, base: Base) -> _Rows:
    count = batch.head.rows
    meter = placed(unstepped(batch.numbers("meter", count)), len(named.meters), "meter")
    quantity = batch.below("quantity", count, len(named.quantities))
    read_at = unstepped(batch.numbers("read_at", count))
    if count:
        read_at = instants(read_at + batch.numbers("first_read_at", 1))
    traced = batch.below("traced", count, 2)
    units = _unpack_values(batch, meter * MOST_QUANTITIES + quantity, quantity, base)
    within(units, -_MOST_UNITS + 1, _MOST_UNITS, "A value")
    status = within(batch.numbers("status", count), 0, 1 << 31, "A status")
    exchange = np.zeros(count, np.int64)
    exchange[traced == 1] = _unpack_exchanges(batch, read_at[traced == 1])
    source = batch.below("source", count, sources)
    return _Rows(meter, quantity, read_at, units, status, source, exchange, traced)


def _unpack_values(batch: Opened, keys: Integers, quantity: Integers, base: Base) -> Integers:
    runs = _Runs(keys, base)
    fresh = int(runs.fresh.sum())
    increments = np.empty(len(keys), np.int64)
    increments[runs.fresh] = batch.numbers("value_first", fresh)
    increments[~runs.fresh] = batch.numbers("value_change", len(keys) - fresh)
    quantities = int(quantity.max()) + 1 if len(quantity) else 0
    increments *= batch.numbers("value_step", quantities)[quantity]
    return runs.values(increments, batch.numbers("value_origin", quantities)[quantity])


def _unpack_exchanges(batch: Opened, read_at: Integers) -> Integers:
    count = len(read_at)
    if "exchange_step" in batch:
        milliseconds = unstepped(batch.numbers("exchange_step", count))
    else:
        stepped = "exchange_lag" in batch
        lag = batch.numbers("exchange_lag" if stepped else "exchange_delay", count)
        milliseconds = (unstepped(lag) if stepped else lag) + read_at // 1000
    return put_together(milliseconds, batch.below("exchange_low", count, LOW_END))
