"""One run of the demo: the simulated district, the server that reads it, and its past coming in meanwhile."""

import asyncio
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, cast
from zoneinfo import ZoneInfo

from pydantic import SecretStr

from wattkeeper.app import Server
from wattkeeper.billing.service import BillingService
from wattkeeper.demo.books import Books, Habit, MonthAtOnce
from wattkeeper.demo.history import import_history, temporary_file
from wattkeeper.demo.masterdata import PORTAL_CUSTOMER, begin, register
from wattkeeper.demo.orders import METER_PASSWORD, give_orders
from wattkeeper.demo.people import register_people, sign_ins
from wattkeeper.demo.world import ZONE, DemoFailed, Remembered, neighbourhood, write_history
from wattkeeper.kernel.errors import WattkeeperError
from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.parts import Parts
from wattkeeper.readings.store import ReadingsStore
from wattkeeper.registry.repository import Registry
from wattkeeper.security.passwords import new_password
from wattkeeper.settings import Settings

BILLING_TRIES_SECONDS = 2.0
BILLING_PATIENCE = timedelta(minutes=5)
"""How long the demo waits for a meter's history before it leaves its account unbilled."""
_QUARTER_HOUR = timedelta(minutes=15)

HABITS = {
    PORTAL_CUSTOMER: Habit(months_late=1),
    "C-0005": Habit(months_late=1),
    "C-0010": Habit(months_late=2),
    "C-0016": Habit(ahead=Decimal(300)),
    "C-0023": Habit(months_late=2),
}
"""Those who do not pay every bill within days."""


class Demo:
    """One run of the demo over one data folder; `say` tells the person who started it what happens."""

    def __init__(self, settings: Settings, *, say: Callable[[str], None]) -> None:
        self._zone = ZoneInfo(ZONE)
        now = datetime.now(self._zone)
        self._last_month = _last_month(now.date(), self._zone)
        days = (now - self._last_month.start) // timedelta(days=1) + 1
        told = {"zone": ZONE, "history_days": days, "meter_password": SecretStr(METER_PASSWORD)}
        self.settings = settings.model_copy(update=told)
        self._say = say
        self._stopping = threading.Event()

    async def run(self) -> None:
        """Run until Ctrl-C or SIGTERM."""
        parts = await asyncio.to_thread(Parts.open, self.settings)
        try:
            self._say("Starting the simulated district ...")
            remembered = await asyncio.to_thread(_remembered, parts, datetime.now(self._zone).date())
            async with neighbourhood(remembered.today) as world:
                await asyncio.to_thread(_prepare, parts, world, remembered)
                await self._serve(parts, world, remembered)
        finally:
            await asyncio.to_thread(parts.close)

    async def _serve(self, parts: Parts, world: Mapping[str, Any], remembered: Remembered) -> None:
        def ready(url: str) -> None:
            meters = sum(len(link["meters"]) for link in world["links"])
            self._say(f"{meters} meters on {len(world['links'])} links are being read. Open  {url}")
            for line in sign_ins(remembered.password):
                self._say(line)
            self._say(
                "A year of history appears within a minute, and its bills in the minutes after. Ctrl-C stops."
            )

        past = asyncio.create_task(self._bring_past(parts, world, remembered))
        try:
            await Server(parts).run(ready=ready)
        finally:
            self._stopping.set()
            await past
            self._say(f"Stopped. The data is kept in {self.settings.data_dir}; the next start finds it.")

    async def _bring_past(self, parts: Parts, world: Mapping[str, Any], remembered: Remembered) -> None:
        """The registers from before the meters' own memory, then the bills of all months that are over."""
        try:
            await self._import(parts, remembered)
            await self._bill(parts, TimeRange(begin(world), self._last_month.end))
        except WattkeeperError as error:
            self._say(str(error))

    async def _import(self, parts: Parts, remembered: Remembered) -> None:
        """Take in what a predecessor read up to last month; from there on the meters are asked themselves."""
        start = self._last_month.start
        if remembered.imported_until is not None and remembered.imported_until >= start:
            return
        folder = self.settings.data_dir
        with temporary_file(folder) as place:
            file = Path(place, "history.parquet")
            # The quarter hour in which the meters take over is in both, so that the energy up to it is known.
            await write_history(file, today=remembered.today, until=start + _QUARTER_HOUR)
            await asyncio.to_thread(import_history, parts, file, stopping=self._stopping.is_set)
        if not self._stopping.is_set():
            await asyncio.to_thread(replace(remembered, imported_until=start).save, folder)

    async def _bill(self, parts: Parts, period: TimeRange) -> None:
        """Bill each account month by month, the newest as soon as its meters' history is there."""
        await asyncio.to_thread(parts.intervals.derive_pending, datetime.now(UTC))
        books = await asyncio.to_thread(self._books, parts, period)
        give_up = datetime.now(UTC) + BILLING_PATIENCE
        while not self._stopping.is_set():
            now = datetime.now(UTC)
            missing = await asyncio.to_thread(books.advance, now, stopping=self._stopping.is_set)
            if not missing or now > give_up:
                return
            await asyncio.to_thread(self._stopping.wait, BILLING_TRIES_SECONDS)

    def _books(self, parts: Parts, period: TimeRange) -> Books:
        with parts.database.read() as session:
            registry = Registry(session)
            habits = {
                account.id: HABITS.get(registry.get_customer(account.customer_id).code, Habit())
                for account in registry.accounts()
            }
        # Billing asks the store for nothing else, and for the same months as all other accounts.
        past = cast("ReadingsStore", MonthAtOnce(parts.store))
        closed = BillingService(parts.database, past, intervals=parts.intervals)
        return Books(parts.billing, closed, habits, period.months(self._zone), self._zone)


def _prepare(parts: Parts, world: Mapping[str, Any], remembered: Remembered) -> None:
    """All that must be there before the first page."""
    register(parts, world)
    register_people(parts, remembered.password)
    give_orders(parts)
    # Installations of a year ago are news to derivation. While there are no readings they cost nothing.
    parts.intervals.derive_pending(datetime.now(UTC))


def _remembered(parts: Parts, today: date) -> Remembered:
    """What an earlier start over this data left; on the first start, the world begins today."""
    folder = parts.settings.data_dir
    if (known := Remembered.load(folder)) is not None:
        return known
    with parts.database.read() as session:
        if Registry(session).links():
            raise DemoFailed(
                f"The data in {folder} is not of this version of the demo.",
                hint="Delete that folder, or choose another one with --data-dir.",
            )
    new = Remembered(today, new_password())
    new.save(folder)
    return new


def _last_month(today: date, zone: ZoneInfo) -> TimeRange:
    last_day = today.replace(day=1) - timedelta(days=1)
    return TimeRange.month(last_day.year, last_day.month, zone)
