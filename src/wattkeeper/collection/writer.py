"""From the workers to the store: readings gather in memory for a moment and are committed in batches, in a thread.

Nothing is acknowledged before it is stored: how far a load record has been fetched is written down only after the
readings fetched are committed. When the store fails, the batch is kept and tried again.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

import pyarrow as pa
import structlog

from wattkeeper.collection.values import CollectorOptions
from wattkeeper.readings.errors import BadReadings
from wattkeeper.readings.schemas import EXCHANGE_SCHEMA, READING_SCHEMA
from wattkeeper.readings.store import ReadingsStore

log = structlog.get_logger(__name__)

POLLED = "polled"
STAMPED = "meter"
_LONGEST_PAUSE = 30.0
_ATTEMPTS_AT_STOP = 3
_AT_ONCE = 1000
"""Rows turned into columns in one go, about a millisecond."""
_BACKLOG = 10
"""Batches in memory at which work that can wait (the past) does wait."""
_MOST = 50
"""Batches in memory at which plans wait too: a million readings by default, some 300 MB."""


class ReadingRow(NamedTuple):
    """One row of READING_SCHEMA."""

    meter_id: int
    quantity: str
    read_at: datetime
    value: Decimal
    status: int
    source: str
    exchange_id: int


class ExchangeRow(NamedTuple):
    """One row of EXCHANGE_SCHEMA."""

    exchange_id: int
    link_id: int
    meter_id: int
    began_at: datetime
    ended_at: datetime
    request: bytes
    reply: bytes
    outcome: str


class _Columns:
    """Rows in columns: so many of them as objects of their own would be a burden to the garbage collector."""

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema
        self._columns: list[list[Any]] = [[] for _ in schema.names]

    def __len__(self) -> int:
        return len(self._columns[0])

    def add(self, row: tuple[Any, ...]) -> None:
        """Take a row; its values stand in the order of the schema."""
        for column, value in zip(self._columns, row, strict=True):
            column.append(value)

    def row(self, number: int) -> dict[str, Any]:
        """One row by the names of its columns."""
        return {name: column[number] for name, column in zip(self._schema.names, self._columns, strict=True)}

    def table(self, first: int, last: int) -> pa.Table:
        """Some rows, a part at a time: Arrow keeps the interpreter to itself while it takes Python's objects in."""
        parts = [self._part(begin, min(begin + _AT_ONCE, last)) for begin in range(first, last, _AT_ONCE)]
        return pa.Table.from_batches(parts, schema=self._schema)

    def _part(self, first: int, last: int) -> pa.RecordBatch:
        arrays = [
            pa.array(column[first:last], kind)
            for column, kind in zip(self._columns, self._schema.types, strict=True)
        ]
        return pa.RecordBatch.from_arrays(arrays, schema=self._schema)


@dataclass(slots=True)
class _Batch:
    readings: _Columns = field(default_factory=lambda: _Columns(READING_SCHEMA))
    exchanges: _Columns = field(default_factory=lambda: _Columns(EXCHANGE_SCHEMA))
    backfilled: dict[int, datetime] = field(default_factory=dict)
    stored: bool = False
    """The readings are committed; something behind them failed."""


class ReadingWriter:
    """Gathers rows from the event loop and commits them in a thread.

    Args:
        store: where they go.
        now: the clock, for `recorded_at`.
        save_backfilled: writes down how far load records were fetched; called in the thread after the commit.
        options: how long and how many rows to gather.

    """

    def __init__(
        self,
        store: ReadingsStore,
        *,
        now: Callable[[], datetime],
        save_backfilled: Callable[[dict[int, datetime]], None],
        options: CollectorOptions,
    ) -> None:
        self._store = store
        self._now = now
        self._save_backfilled = save_backfilled
        self._options = options
        self._gathering = _Batch()
        self._committing: _Batch | None = None
        self._full = asyncio.Event()
        self._turn = asyncio.Lock()
        self._closing = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._commits: set[asyncio.Task[bool]] = set()
        self.error: str | None = None
        """Why the last commit failed; None when it did not."""
        self.committed = 0
        """Readings handed to the store so far."""

    @property
    def waiting(self) -> int:
        """Readings that are in memory only."""
        committing = 0 if self._committing is None else len(self._committing.readings)
        return len(self._gathering.readings) + committing

    @property
    def is_behind(self) -> bool:
        """Whether so much waits that the past should not be fetched for now."""
        return self.waiting > _BACKLOG * self._options.commit_rows

    @property
    def is_full(self) -> bool:
        """Whether so much waits that nothing should be read by plan: the meters' own memory outlasts ours."""
        return self.waiting > _MOST * self._options.commit_rows

    def add(self, exchange: ExchangeRow, readings: Iterable[ReadingRow] = ()) -> None:
        """Gather an exchange and what was read in it."""
        self._gathering.exchanges.add(exchange)
        for reading in readings:
            self._gathering.readings.add(reading)
        if len(self._gathering.readings) >= self._options.commit_rows:
            self._full.set()

    def backfilled(self, meter_id: int, until: datetime) -> None:
        """Note, behind all that was added before, that a meter's past is fetched up to an instant."""
        self._gathering.backfilled[meter_id] = until

    def start(self) -> None:
        """Begin to commit."""
        self._closing.clear()
        self._task = asyncio.create_task(self._run(), name="collector: store")

    async def stop(self) -> None:
        """Commit what is left; what cannot be committed even now is said, with its number."""
        self._closing.set()
        self._full.set()
        if self._task is not None:
            await self._task  # never cancelled: whether a running commit succeeded must be known
            self._task = None
        for attempt in range(_ATTEMPTS_AT_STOP):
            if await self.flush():
                return
            await asyncio.sleep(0.1 * 2**attempt)
        log.error("readings lost: the store failed until the end", readings=self.waiting, error=self.error)

    async def flush(self) -> bool:
        """Commit all that was added before this call; False when the store failed and the rows are kept."""
        kept = self._committing is not None
        done = await self._commit_next()
        return done and (not kept or await self._commit_next())

    async def _run(self) -> None:
        pause = 0.0
        while not self._closing.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._full.wait(), self._options.commit_seconds)
            done = await self._commit_next()
            pause = 0.0 if done else min(max(1.0, 2 * pause), _LONGEST_PAUSE)
            if pause:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._closing.wait(), pause)

    async def _commit_next(self) -> bool:
        """Commit the batch that failed before, or else what has been gathered.

        A caller who is cancelled leaves the commit to its end: its thread cannot be stopped, and a second one
        beside it would store the same batch again.
        """
        commit = asyncio.create_task(self._commit_batch())
        self._commits.add(commit)
        commit.add_done_callback(self._commits.discard)
        return await asyncio.shield(commit)

    async def _commit_batch(self) -> bool:
        async with self._turn:
            if self._committing is None:
                self._committing, self._gathering = self._gathering, _Batch()
                self._full.clear()
            batch = self._committing
            if not (batch.exchanges or batch.readings or batch.backfilled):
                self._committing = None
                return True
            try:
                await asyncio.to_thread(self._commit, batch)
            except Exception as error:  # noqa: BLE001 - whatever it is, the readings are kept and it is said
                if self.error is None:
                    log.error(  # noqa: TRY400 - a sentence will do
                        "readings wait: the store failed", readings=self.waiting, error=str(error)
                    )
                self.error = str(error)
                return False
            if self.error is not None:
                log.info("the store works again", readings=len(batch.readings))
            self.committed += len(batch.readings)
            self.error = self._committing = None
            return True

    def _commit(self, batch: _Batch) -> None:
        """In a thread: each part once, also when a later part fails and the batch comes again."""
        if batch.exchanges:
            self._store.append_exchanges(batch.exchanges.table(0, len(batch.exchanges)))
            batch.exchanges = _Columns(EXCHANGE_SCHEMA)
        if batch.readings and not batch.stored:
            self._store_sound(batch.readings, 0, len(batch.readings))
            batch.stored = True
        if batch.backfilled:
            self._save_backfilled(batch.backfilled)
            batch.backfilled = {}

    def _store_sound(self, rows: _Columns, first: int, last: int) -> None:
        """Store all but the rows that the store will never take: one of those must not hold up the others for ever.

        A refused row is said; the frames it came from are stored with their exchange.
        """
        try:
            self._store.append_readings(rows.table(first, last), self._now())
        except (BadReadings, pa.ArrowInvalid) as error:
            if last - first == 1:
                log.error("reading refused", row=rows.row(first), error=str(error))  # noqa: TRY400 - a sentence will do
                return
            middle = (first + last) // 2
            self._store_sound(rows, first, middle)
            self._store_sound(rows, middle, last)
