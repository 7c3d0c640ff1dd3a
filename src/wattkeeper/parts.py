"""The open stores of one data folder, and what works on them: what a command needs that meets no server."""

import contextlib
from dataclasses import dataclass
from datetime import timedelta
from typing import Self

from wattkeeper.billing.library import TariffLibrary
from wattkeeper.billing.service import BillingService
from wattkeeper.kernel.database import Database
from wattkeeper.kernel.ownership import FolderLock
from wattkeeper.readings.editing.service import ReadingEditing
from wattkeeper.readings.retention import Keeper, Retention
from wattkeeper.readings.service import IntervalService
from wattkeeper.readings.store import ReadingsStore
from wattkeeper.readings.validation.service import ValidationService
from wattkeeper.registry.repository import Registry
from wattkeeper.security.service import SecurityService
from wattkeeper.settings import Settings


@dataclass(frozen=True)
class Parts:
    """The open stores of one data folder, and what works on them without a network."""

    settings: Settings
    lock: FolderLock
    database: Database
    store: ReadingsStore
    intervals: IntervalService
    validation: ValidationService
    editing: ReadingEditing
    keeper: Keeper
    billing: BillingService
    security: SecurityService

    @classmethod
    def open(cls, settings: Settings) -> Self:
        """Own the data folder and open both stores, bringing the ledger database to this version.

        Raises:
            WattkeeperError: the folder is in use, or a store is unusable or from a newer version.

        """
        lock = FolderLock.acquire(settings.data_dir)
        with contextlib.ExitStack() as undo:
            undo.callback(lock.release)
            database = Database(settings.ledger)
            undo.callback(database.dispose)
            database.migrate()
            _ensure_site(database, settings)
            library = TariffLibrary.open(settings.data_dir / "tariffs")
            store = _open_store(settings)
            undo.callback(store.close)
            intervals = IntervalService(database, store)
            parts = cls(
                settings=settings,
                lock=lock,
                database=database,
                store=store,
                intervals=intervals,
                validation=ValidationService(database, store),
                editing=ReadingEditing(database, store),
                keeper=Keeper(database, store, _retention(settings)),
                billing=BillingService(database, store, intervals=intervals, library=library),
                security=SecurityService(database),
            )
            undo.pop_all()  # nothing failed: the stores stay open until `close`
        return parts

    def close(self) -> None:
        """Close both stores, then give the folder up."""
        self.store.close()
        self.database.dispose()
        self.lock.release()


def _ensure_site(database: Database, settings: Settings) -> None:
    """A new ledger gets its first site, so that an import has somewhere to go."""
    with database.write() as session:
        registry = Registry(session)
        if not registry.sites():
            registry.add_site(
                code="main", name="主站点 Main site", zone=settings.zone, currency=settings.currency
            )


def _open_store(settings: Settings) -> ReadingsStore:
    if not settings.readings_url:
        return ReadingsStore.open(settings.data_dir / "readings")
    data_path = settings.readings_path or settings.data_dir / "readings"
    return ReadingsStore.open(settings.readings_url, data_path=data_path)


def _retention(settings: Settings) -> Retention:
    """Ages by class of data; 0 days mean for ever."""
    days = {
        "registers": settings.keep_registers_days,
        "instantaneous": settings.keep_instantaneous_days,
        "intervals": settings.keep_intervals_days,
        "superseded_readings": settings.keep_superseded_days,
        "superseded_intervals": settings.keep_superseded_days,
        "exchanges": settings.keep_exchanges_days,
    }
    keep = {name: timedelta(days=age) for name, age in days.items() if age}
    return Retention(keep=keep, archive=settings.archive_dir)
