"""From the collector's store into its outbox: what was committed since, in the order of the commits.

The store is where a reading is safe; the outbox is fed from it. So nothing waits for the outbox: when that has no
room, the readings go on into the store, and into the outbox once it has.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import structlog

from wattkeeper.kernel.database import Database, in_parts
from wattkeeper.readings.recorded import Commit
from wattkeeper.readings.store import ReadingsStore
from wattkeeper.readings.transmission.batch import READINGS, encode
from wattkeeper.readings.transmission.frames import EXCHANGES, encode_exchanges
from wattkeeper.readings.transmission.identities import MeterIdentity
from wattkeeper.readings.transmission.outbox import Outbox, Outgoing
from wattkeeper.readings.transmission.repository import MeterNames

log = structlog.get_logger(__name__)

MOST_ROWS: Final = 50_000
"""Of one batch in the outbox: 20 to 400 kB."""
_MOST_COMMITS: Final = 10_000
_MOST_EXCHANGES: Final = 20_000
"""Of one batch; some 500 kB of frames."""


class Feed:
    """Reads on in the store from where the outbox says that it was fed up to."""

    def __init__(self, database: Database, store: ReadingsStore, *, frames: bool) -> None:
        self._database = database
        self._store = store
        self._frames = frames
        self._nothing_between = (0, 0)
        """Moments between which the store has commits, but nothing that was read from meters."""

    def feed(self, outbox: Outbox) -> int:
        """Append the next commits to the outbox, and return how many readings that were; 0: there are none.

        Raises:
            OutboxFull: there is no room; the same are appended another time.

        """
        after, newest = outbox.fed_to, self._store.recorded.newest()
        if newest <= after or self._nothing_between == (after, newest):
            return 0
        commits = self._store.recorded.commits(after=after, most=_MOST_COMMITS)
        if not commits:
            self._nothing_between = (after, newest)
            return 0
        until = _end_of_first(commits)
        readings = self._store.recorded.readings(after=after, until=until)
        outbox.append(list(self._batches(readings, before=after, until=until)))
        return int(readings.num_rows)

    def feed_again(self, outbox: Outbox, meters: Sequence[MeterIdentity]) -> None:
        """Append everything that was ever read from some meters: the platform did not know them before."""
        with self._database.read() as session:
            ids = MeterNames(session).ids(meters)
        readings = self._store.recorded.readings_of(ids.values())
        if readings.num_rows:
            mark = outbox.fed_to
            outbox.append(list(self._batches(readings, before=mark, until=mark)))

    def _batches(self, readings: pa.Table, *, before: int, until: int) -> Iterator[Outgoing]:
        """Only the last says that all were fed: as long as it is missing, they are fed again."""
        starts = range(0, max(1, readings.num_rows), MOST_ROWS)
        for start in starts:
            part = readings.slice(start, MOST_ROWS)
            if self._frames:
                yield from self._frames_of(part, before)
            names = self._names_of(part)
            table = _placed(part, "meter_id", list(names))
            table = table.filter(table["meter_id"].is_valid())
            if lost := part.num_rows - table.num_rows:
                log.error("readings not sent: their meters are not in the registry", readings=lost)
            payload = encode(table, list(names.values())).payload
            yield Outgoing(READINGS, table.num_rows, payload, until if start == starts[-1] else before)

    def _frames_of(self, readings: pa.Table, mark: int) -> Iterator[Outgoing]:
        ids = np.sort(pc.unique(readings["exchange_id"].drop_null()).to_numpy()).tolist()
        for part in in_parts(ids, _MOST_EXCHANGES):
            found = self._store.recorded.exchanges(part)
            if found.num_rows:
                yield self._frame_batch(found, mark)

    def _frame_batch(self, exchanges: pa.Table, mark: int) -> Outgoing:
        names = self._names_of(exchanges)
        with self._database.read() as session:
            links = MeterNames(session).link_codes(pc.unique(exchanges["link_id"].drop_null()).to_pylist())
        table = _placed(_placed(exchanges, "meter_id", list(names)), "link_id", list(links))
        payload = encode_exchanges(table, list(names.values()), list(links.values()))
        return Outgoing(EXCHANGES, table.num_rows, payload, mark)

    def _names_of(self, table: pa.Table) -> dict[int, MeterIdentity]:
        with self._database.read() as session:
            return MeterNames(session).of(pc.unique(table["meter_id"].drop_null()).to_pylist())


def _end_of_first(commits: Sequence[Commit]) -> int:
    """The moment of the last commit that goes into one batch with the first."""
    until, rows = commits[0].recorded_at, 0
    for commit in commits:
        rows += commit.rows
        if rows > MOST_ROWS:
            break
        until = commit.recorded_at
    return until


def _placed(table: pa.Table, column: str, ids: Sequence[int]) -> pa.Table:
    """The table with places in a list of ids where it had ids; null where one is not in it."""
    place = table.schema.get_field_index(column)
    found = pc.index_in(table[column], value_set=pa.array(ids, pa.int64())).cast(pa.int64())
    return table.set_column(place, table.schema.field(place), found)
