"""What the overview says: how much was used, what needs a person."""

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final, Generic, TypeVar
from zoneinfo import ZoneInfo

import pyarrow.compute as pc

from wattkeeper.billing.values import BillState
from wattkeeper.collection.values import MeterState, Presence
from wattkeeper.kernel.money import Money
from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.registry.repository import Registry
from wattkeeper.web.language import Language
from wattkeeper.web.queries.curves import IMPORT
from wattkeeper.web.queries.links import LinkLine, health_today, link_lines
from wattkeeper.web.queries.meters import meter_states
from wattkeeper.web.queries.periods import named_period
from wattkeeper.web.queries.states import Level
from wattkeeper.web.services import Services

T = TypeVar("T")

TASKS_SHOWN: Final = 8
FRESH: Final = timedelta(seconds=10)
LOOK_BACK: Final = timedelta(hours=1)
"""How far back the newest interval is looked for."""
OPEN_BILLS_COUNTED: Final = 1000


@dataclass(frozen=True, slots=True)
class Energies:
    """Energy of all points together [kWh]; None where nothing is known."""

    today: Decimal | None
    yesterday: Decimal | None
    day_before: Decimal | None
    month: Decimal | None
    last_month: Decimal | None


@dataclass(frozen=True, slots=True)
class Task:
    """Something a person should look at."""

    level: Level
    what: str
    why: str
    href: str
    since: datetime | None


@dataclass(frozen=True, slots=True)
class Overview:
    """The figures and tasks of one site at one moment."""

    collecting: bool
    meters: int
    answering: int
    silent_count: int
    today_kwh: Decimal | None
    yesterday_kwh: Decimal | None
    yesterday_change: str
    month_kwh: Decimal | None
    last_month_kwh: Decimal | None
    known_until: str | None
    reads: int
    success: float | None
    open_bills: int
    open_amount: str
    tasks: tuple[Task, ...]
    more_tasks: int
    links: tuple[LinkLine, ...]


class Remembered(Generic[T]):
    """A value that is costly to find out, kept for a few seconds for everybody who asks."""

    def __init__(self, find: Callable[[], T], clock: Callable[[], datetime]) -> None:
        self._find = find
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: tuple[datetime, T] | None = None

    def __call__(self) -> T:
        """The value, at most ten seconds old; one caller finds it out while the others wait."""
        with self._lock:
            now = self._clock()
            if self._kept is None or not timedelta(0) <= now - self._kept[0] < FRESH:
                self._kept = (now, self._find())
            return self._kept[1]


def energies(services: Services, zone: ZoneInfo) -> Energies:
    """The sums of the days that the overview shows."""
    now = services.clock()
    days = _energy_by_day(services, named_period("last-month", zone=zone, now=now).start, now, zone)
    today = now.astimezone(zone).date()
    this_month = {
        day: energy for day, energy in days.items() if (day.year, day.month) == (today.year, today.month)
    }
    before = {day: energy for day, energy in days.items() if day < today.replace(day=1)}
    return Energies(
        today=days.get(today),
        yesterday=days.get(today - timedelta(days=1)),
        day_before=days.get(today - timedelta(days=2)),
        month=_sum(this_month.values()),
        last_month=_sum(before.values()),
    )


def _energy_by_day(services: Services, start: datetime, end: datetime, zone: ZoneInfo) -> dict[date, Decimal]:
    table = services.store.energy_by_day(None, IMPORT, TimeRange(start, end), zone)
    sums = table.group_by("day").aggregate([("energy", "sum")])
    return dict(zip(sums["day"].to_pylist(), sums["energy_sum"].to_pylist(), strict=True))


def _sum(energies: Iterable[Decimal]) -> Decimal | None:
    known = list(energies)
    return sum(known, Decimal(0)) if known else None


def overview(services: Services, say: Language, sums: Energies) -> Overview:
    """Everything the overview shows."""
    health = health_today(services, say.zone)
    links = link_lines(services, say, health)
    states = meter_states(services)
    with services.database.read() as session:
        meters = Registry(session).counts().meters_enabled
    silent = sorted(
        (state for state in states.values() if state.presence is Presence.SILENT),
        key=lambda state: (state.since is None, state.since),
    )
    down = list(_link_tasks(links, say))
    shown = [*down, *_meter_tasks(services, silent[: max(0, TASKS_SHOWN - len(down))], say)][:TASKS_SHOWN]
    count, owed = _open_bills(services)
    return Overview(
        collecting=services.collector is not None,
        meters=meters,
        answering=sum(state.presence is Presence.ANSWERING for state in states.values()),
        silent_count=len(silent),
        today_kwh=sums.today,
        yesterday_kwh=sums.yesterday,
        yesterday_change=_change(sums, say),
        month_kwh=sums.month,
        last_month_kwh=sums.last_month,
        known_until=_known_until(services, say),
        reads=health.reads,
        success=health.success,
        open_bills=count,
        open_amount=" + ".join(say.money(amount) for amount in owed),
        tasks=tuple(shown),
        more_tasks=len(down) + len(silent) - len(shown),
        links=tuple(links),
    )


def _link_tasks(links: Iterable[LinkLine], say: Language) -> Iterator[Task]:
    for link in links:
        if link.level == "bad":
            what = say.text("Link %(name)s is down", name=link.name)
            yield Task("bad", what, link.error or "", f"/links/{link.code}", link.since)


def _meter_tasks(services: Services, silent: list[MeterState], say: Language) -> Iterator[Task]:
    with services.database.read() as session:
        registry = Registry(session)
        for state in silent:
            address = registry.get_meter(state.meter_id).address
            what = say.text("Meter %(address)s is silent", address=address)
            yield Task(
                "bad",
                what,
                state.last_failure or "",
                f"/meters/{state.meter_id}",
                state.last_success_at or state.since,
            )


def _change(sums: Energies, say: Language) -> str:
    if sums.yesterday is None or not sums.day_before:
        return ""
    change = (sums.yesterday - sums.day_before) / sums.day_before * 100
    sign = "+" if change > 0 else "−" if change < 0 else "±"
    return say.text("%(change)s%% against the day before", change=f"{sign}{say.number(abs(change), 1)}")


def _known_until(services: Services, say: Language) -> str | None:
    """Until when today's energy is known: the end of the latest interval."""
    now = services.clock()
    midnight = named_period("today", zone=say.zone, now=now).start
    if midnight >= now:
        return None
    table = services.store.intervals(quantity=IMPORT, period=TimeRange(max(midnight, now - LOOK_BACK), now))
    ends = table.filter(table["energy"].is_valid())["end_at"]
    newest = pc.max(ends).as_py()
    return say.time(newest)[:5] if newest else None


def _open_bills(services: Services) -> tuple[int, list[Money]]:
    """How many bills are open, and their sum per currency."""
    owed: dict[str, Money] = {}
    page = services.billing.bills(state=BillState.ISSUED, limit=OPEN_BILLS_COUNTED)
    for bill in page.items:
        currency = bill.total.currency
        owed[currency] = owed[currency] + bill.total if currency in owed else bill.total
    return len(page.items), list(owed.values())
