"""Exchanges as a batch of their own: the frames in which the readings came, so that each can still be traced to them.

They are ten times as many bytes as the readings, and may travel later or not at all.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa

from wattkeeper.readings.schemas import EXCHANGE_SCHEMA, INSTANT
from wattkeeper.readings.transmission.container import (
    NO_BASE,
    Columns,
    Head,
    Opened,
    opened,
    steps,
    unstepped,
)
from wattkeeper.readings.transmission.errors import BadBatch
from wattkeeper.readings.transmission.identities import MeterIdentity, pack_meters, unpack_meters
from wattkeeper.readings.transmission.numbers import Integers
from wattkeeper.readings.transmission.ranges import LOW_END, instants, put_together, taken_apart

EXCHANGES: Final = 2
"""The kind of a batch of exchanges."""
_LONGEST_FRAME: Final = 1 << 16


class DecodedExchanges(NamedTuple):
    """Exchanges that arrived."""

    exchanges: pa.Table
    """EXCHANGE_SCHEMA, but ``meter_id`` is a place in ``meters`` and ``link_id`` one in ``links``."""
    meters: tuple[MeterIdentity, ...]
    links: tuple[str, ...]


def encode_exchanges(exchanges: pa.Table, meters: Sequence[MeterIdentity], links: Sequence[str]) -> bytes:
    """A batch of exchanges, given as `DecodedExchanges` gives them back; their order becomes that of their ids."""
    table = exchanges.sort_by("exchange_id").combine_chunks()
    columns = Columns()
    milliseconds, low = taken_apart(table["exchange_id"].to_numpy())
    columns.numbers("exchange_step", steps(milliseconds)).numbers("exchange_low", low)
    columns.numbers("meter", _numbers(table["meter_id"])).numbers("link", _numbers(table["link_id"]))
    began, ended = _instants(table["began_at"]), _instants(table["ended_at"].fill_null(0))
    columns.numbers("began_at", steps(began - milliseconds * 1000))
    answered = table["ended_at"].is_valid().to_numpy()
    columns.numbers("ended", answered.astype(np.int64)).numbers("lasted", (ended - began)[answered])
    for name in ("request", "reply"):
        _pack_frames(columns, name, table[name])
    outcome = table["outcome"].combine_chunks().dictionary_encode()
    columns.words("outcomes", outcome.dictionary.to_pylist())
    columns.numbers("outcome", outcome.indices.to_numpy().astype(np.int64))
    pack_meters(columns, meters)
    columns.words("link_codes", links)
    return columns.sealed(Head(EXCHANGES, table.num_rows, NO_BASE))


def decode_exchanges(payload: bytes) -> DecodedExchanges:
    """The exchanges of a batch; BadBatch or one of its subclasses when the bytes are no such batch."""
    batch = opened(payload, EXCHANGES)
    count = batch.head.rows
    meters, links, outcomes = unpack_meters(batch), batch.words("link_codes"), batch.words("outcomes")
    low = batch.below("exchange_low", count, LOW_END)
    milliseconds = unstepped(batch.numbers("exchange_step", count))
    began = instants(unstepped(batch.numbers("began_at", count)) + milliseconds * 1000)
    answered = batch.below("ended", count, 2) == 1
    ended = began.copy()
    ended[answered] += batch.numbers("lasted", int(answered.sum()))
    columns = [
        pa.array(put_together(milliseconds, low)),
        _ids(batch, "link", len(links)),
        _ids(batch, "meter", len(meters)),
        pa.array(began).cast(INSTANT),
        pa.array(instants(ended), mask=~answered).cast(INSTANT),
        _unpack_frames(batch, "request"),
        _unpack_frames(batch, "reply"),
        pa.array(outcomes, pa.string()).take(pa.array(batch.below("outcome", count, len(outcomes)))),
    ]
    return DecodedExchanges(pa.table(columns, schema=EXCHANGE_SCHEMA), tuple(meters), tuple(links))


def _numbers(column: pa.ChunkedArray) -> Integers:
    """Places, one higher; 0 stands for none."""
    found: Integers = column.fill_null(-1).to_numpy() + 1
    return found


def _ids(batch: Opened, name: str, limit: int) -> pa.Array:
    places = batch.below(name, batch.head.rows, limit + 1) - 1
    return pa.array(places, mask=places < 0)


def _instants(column: pa.ChunkedArray) -> Integers:
    found: Integers = column.cast(pa.int64()).to_numpy()
    return found


def _pack_frames(columns: Columns, name: str, frames: pa.ChunkedArray) -> None:
    """Frames of one length side by side, their first bytes before their second: most places hardly differ."""
    array = frames.combine_chunks()
    lengths = _lengths(array)
    columns.numbers(f"{name}_length", lengths)
    begins = np.frombuffer(array.buffers()[1], np.int32)[array.offset :][: len(array)].astype(np.int64)
    octets = np.frombuffer(array.buffers()[2] or b"", np.uint8)
    parts = []
    for length in np.unique(lengths[lengths > 1]).tolist():
        first = begins[lengths == length]
        parts.append(octets[first[:, None] + np.arange(length - 1)].T.tobytes())
    columns.text(name, b"".join(parts))


def _lengths(frames: pa.Array) -> Integers:
    """How many bytes each has, one more; 0 stands for no frame at all."""
    offsets = np.frombuffer(frames.buffers()[1], np.int32)[frames.offset :][: len(frames) + 1]
    found: Integers = np.diff(offsets).astype(np.int64) + 1
    return np.where(frames.is_valid().to_numpy(zero_copy_only=False), found, 0)


def _unpack_frames(batch: Opened, name: str) -> pa.Array:
    count = batch.head.rows
    lengths = batch.below(f"{name}_length", count, _LONGEST_FRAME)
    sizes = np.maximum(lengths - 1, 0)
    source = np.frombuffer(batch.text(name), np.uint8)
    if int(sizes.sum()) != len(source):
        raise BadBatch(
            f"The column {name} of a batch has {len(source):,} bytes; {int(sizes.sum()):,} are expected."
        )
    ends = np.cumsum(sizes)
    octets = np.empty(len(source), np.uint8)
    taken = 0
    for length in np.unique(sizes[sizes > 0]).tolist():
        first = (ends - sizes)[sizes == length]
        part = source[taken : taken + length * len(first)].reshape(length, len(first))
        octets[first[:, None] + np.arange(length)] = part.T
        taken += length * len(first)
    offsets = np.concatenate([np.zeros(1, np.int64), ends]).astype(np.int32)
    validity = np.packbits(lengths > 0, bitorder="little").tobytes()
    buffers = [pa.py_buffer(validity), pa.py_buffer(offsets.tobytes()), pa.py_buffer(octets.tobytes())]
    return pa.Array.from_buffers(pa.binary(), count, buffers)
