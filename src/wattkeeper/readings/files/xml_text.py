"""Columns as XML or JSON text, whole batches at a time."""

from collections.abc import Iterator
from itertools import pairwise
from xml.sax.saxutils import escape

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def glued(*parts: pa.Array | str) -> str:
    """A text for each row, all of them together."""
    rows = next(len(part) for part in parts if isinstance(part, pa.Array))
    columns = [
        pa.repeat(pa.scalar(part, pa.string()), rows) if isinstance(part, str) else part for part in parts
    ]
    lines = pc.binary_join_element_wise(*columns, "")
    return "".join(lines.to_pylist())


def seconds(instants: pa.Array) -> pa.Array:
    """Seconds since 1970, as texts."""
    return pc.divide(instants.cast(pa.int64()), 1_000_000).cast(pa.string())


def iso(instants: pa.Array) -> pa.Array:
    """ISO 8601 in UTC, as texts."""
    plain = instants.cast(pa.timestamp("us"))
    whole = (
        pc.all(pc.equal(pc.microsecond(plain), 0)).as_py()
        and pc.all(pc.equal(pc.millisecond(plain), 0)).as_py()
    )
    return pc.strftime(plain.cast(pa.timestamp("s")) if whole else plain, format="%Y-%m-%dT%H:%M:%SZ")


def runs(batch: pa.RecordBatch, owner: str) -> Iterator[tuple[str, str, pa.RecordBatch]]:
    """The parts of a batch that have one owner and one quantity, in order."""
    if not batch.num_rows:
        return
    keys = [pc.dictionary_encode(batch[name]).indices.to_numpy() for name in (owner, "quantity")]
    changed = np.zeros(batch.num_rows, dtype=bool)
    for key in keys:
        changed[1:] |= key[1:] != key[:-1]
    for first, last in pairwise([0, *np.flatnonzero(changed).tolist(), batch.num_rows]):
        part = batch.slice(first, last - first)
        yield part[owner][0].as_py(), part["quantity"][0].as_py(), part


def xml_text(text: str) -> str:
    """A text that may stand in XML."""
    return escape("".join(character for character in text if character >= " " or character in "\t\n"))
