"""What the collector learns goes to the ledger database now and then, in a thread: counts, clocks and refusals."""

import asyncio
from collections import Counter
from datetime import datetime, timedelta

import structlog

from wattkeeper.collection.counts import HourKey
from wattkeeper.collection.reader import Records
from wattkeeper.collection.repository import CollectionRepository
from wattkeeper.kernel.database import Database

log = structlog.get_logger(__name__)


class Notes:
    """Writes down what workers left in their records; what cannot be written is kept for the next time."""

    def __init__(self, database: Database, records: Records) -> None:
        self._database = database
        self._records = records
        self._turn = asyncio.Lock()
        self._writing: set[asyncio.Future[None]] = set()

    async def save(self) -> None:
        """Write down everything learned since the last time.

        A caller who is cancelled leaves the writing to its end: its thread cannot be stopped, and the next one, which
        may be the last before the database is closed, waits for it.
        """
        writing = asyncio.ensure_future(self._save())
        self._writing.add(writing)
        writing.add_done_callback(self._writing.discard)
        await asyncio.shield(writing)

    async def _save(self) -> None:
        async with self._turn:
            await self._write_what_was_learned()

    async def _write_what_was_learned(self) -> None:
        records = self._records
        counts = records.statistics.take()
        clocks, records.clocks = records.clocks, {}
        refusals, records.refusals = records.refusals, []
        quarantines, records.quarantines = records.quarantines, {}
        editions, records.editions = records.editions, {}
        if not (counts or clocks or refusals or quarantines or editions):
            return
        try:
            await asyncio.to_thread(self._write, counts, clocks, refusals, quarantines, editions)
        except Exception as error:  # noqa: BLE001 - whatever it is, nothing is forgotten and it is said
            log.error("the notes wait: the ledger database failed", error=str(error))  # noqa: TRY400 - a sentence will do
            records.statistics.give_back(counts)
            records.clocks = clocks | records.clocks
            records.refusals = refusals + records.refusals
            records.quarantines = quarantines | records.quarantines
            records.editions = editions | records.editions

    def save_backfilled(self, reached: dict[int, datetime]) -> None:
        """Write down how far load records have been fetched; called in a thread, after the readings are committed."""
        with self._database.write() as session:
            CollectionRepository(session).save_backfilled(reached)

    def _write(
        self,
        counts: dict[HourKey, Counter[str]],
        clocks: dict[int, tuple[timedelta, datetime]],
        refusals: list[tuple[int, str, datetime]],
        quarantines: dict[int, datetime | None],
        editions: dict[int, str],
    ) -> None:
        with self._database.write() as session:
            repository = CollectionRepository(session)
            repository.add_counts(counts)
            repository.save_clocks(clocks)
            repository.save_refused(refusals)
            repository.save_quarantines(quarantines)
            repository.save_editions(editions)
