"""What the overview says: how much was used, what needs a person."""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Final, Generic, TypeVar
from zoneinfo import ZoneInfo

import pyarrow.compute as pc

from wattkeeper.billing.values import BillState
from wattkeeper.collection.values import MeterState, Presence
from wattkeeper.kernel.money import Money
from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.registry.scope import Scope
from wattkeeper.web.language import Language
from wattkeeper.web.queries import within
from wattkeeper.web.queries.curves import IMPORT
from wattkeeper.web.queries.links import Health, LinkLine, health_today, link_lines
from wattkeeper.web.queries.money import unbilled_accounts
from wattkeeper.web.queries.periods import named_period
from wattkeeper.web.queries.states import Level
from wattkeeper.web.sayings import LINK_DOWN, failure_said
from wattkeeper.web.services import Services

T = TypeVar("T")

TASKS_SHOWN: Final = 8
LINKS_SHOWN: Final = 10
UNSTEADY_BELOW: Final = 0.95
"""Share of today's reads below which a meter that answers now and then needs a look."""
READS_TO_JUDGE: Final = 8
CLOCK_OFF: Final = timedelta(minutes=1)
WEEK: Final = timedelta(days=7)
FRESH: Final = timedelta(seconds=10)
LOOK_BACK: Final = timedelta(hours=1)
"""How far back the newest interval is looked for."""
OPEN_BILLS_COUNTED: Final = 1000


@dataclass(frozen=True, slots=True)
class Energies:
    """Energy of all points together [kWh]; None where nothing is known."""

    today: Decimal | None
    yesterday: Decimal | None
    week_before: Decimal | None
    """Of the day a week before yesterday: a Sunday is compared with a Sunday."""
    month: Decimal | None
    last_month: Decimal | None


@dataclass(frozen=True, slots=True)
class Figures:
    """What costs the same however few look, so it is found out once for everybody (`Remembered`)."""

    energies: Energies
    known_until: datetime | None
    open_bills: int
    owed: tuple[Money, ...]
    unbilled: int
    unbilled_month: datetime
    states: tuple[MeterState, ...]
    health: Health


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
    unasked: int
    backfilling: int
    """Meters whose past is still being fetched."""
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
    """Those in trouble first."""
    more_links: int


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


class RememberedByScope:
    """The figures of each part of the network that somebody looks at, each found out once for all who may see it."""

    def __init__(self, find: Callable[[Services], Figures], clock: Callable[[], datetime]) -> None:
        self._find = find
        self._clock = clock
        self._lock = threading.Lock()
        self._by_scope: dict[Scope, Remembered[Figures]] = {}

    def __call__(self, services: Services) -> Figures:
        """The figures of what `services` may show."""
        with self._lock:
            remembered = self._by_scope.setdefault(
                services.scope, Remembered(lambda: self._find(services), self._clock)
            )
        return remembered()


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
        week_before=days.get(today - timedelta(days=1) - WEEK),
        month=_sum(this_month.values()),
        last_month=_sum(before.values()),
    )


def figures(services: Services, zone: ZoneInfo) -> Figures:
    """Everything about the whole fleet that the overview shows."""
    last_month = named_period("last-month", zone=zone, now=services.clock())
    count, owed = _open_bills(services)
    return Figures(
        energies=energies(services, zone),
        known_until=_known_until(services, zone),
        open_bills=count,
        owed=tuple(owed),
        unbilled=unbilled_accounts(services, last_month),
        unbilled_month=last_month.start,
        states=within.meter_states(services),
        health=health_today(services, zone),
    )


def _energy_by_day(services: Services, start: datetime, end: datetime, zone: ZoneInfo) -> dict[date, Decimal]:
    table = services.store.energy_by_day(within.point_ids(services), IMPORT, TimeRange(start, end), zone)
    sums = table.group_by("day").aggregate([("energy", "sum")])
    return dict(zip(sums["day"].to_pylist(), sums["energy_sum"].to_pylist(), strict=True))


def _sum(energies: Iterable[Decimal]) -> Decimal | None:
    known = list(energies)
    return sum(known, Decimal(0)) if known else None


def overview(services: Services, say: Language, known: Figures) -> Overview:
    """Everything the overview shows."""
    health = known.health
    links = link_lines(services, say, health)
    with services.database.read() as session:
        meters = services.registry(session).counts().meters_enabled
    silent = [state for state in known.states if state.presence is Presence.SILENT]
    tasks = [*_link_tasks(links, say), *_account_tasks(known, say)]
    troubled = _troubled(known.states, health)
    shown = [*tasks, *_meter_tasks(services, troubled[: max(0, TASKS_SHOWN - len(tasks))], health, say)]
    sums = known.energies
    return Overview(
        collecting=services.collector is not None,
        meters=meters,
        answering=sum(state.presence is Presence.ANSWERING for state in known.states),
        silent_count=len(silent),
        unasked=sum(state.presence is Presence.UNKNOWN for state in known.states),
        backfilling=sum(link.backfilling or 0 for link in links),
        today_kwh=sums.today,
        yesterday_kwh=sums.yesterday,
        yesterday_change=_change(sums, say),
        month_kwh=sums.month,
        last_month_kwh=sums.last_month,
        known_until=say.time(known.known_until)[:5] if known.known_until else None,
        reads=health.reads,
        success=health.success,
        open_bills=known.open_bills,
        open_amount=" + ".join(say.money(amount) for amount in known.owed),
        tasks=tuple(sorted(shown, key=lambda task: task.level != "bad")),
        more_tasks=len(tasks) + len(troubled) - len(shown),
        links=tuple(sorted(links, key=_worst_first)[:LINKS_SHOWN]),
        more_links=max(0, len(links) - LINKS_SHOWN),
    )


def _worst_first(link: LinkLine) -> tuple[bool, float]:
    return (link.level != "bad", 1.0 if link.success is None else round(link.success, 2))


def _link_tasks(links: Iterable[LinkLine], say: Language) -> Iterator[Task]:
    for link in links:
        if link.level == "bad":
            what = say.text("Link %(name)s is down", name=link.name)
            yield Task("bad", what, say.text(LINK_DOWN), f"/links/{link.code}", link.since)


def _account_tasks(known: Figures, say: Language) -> Iterator[Task]:
    if known.unbilled:
        month = say.month(known.unbilled_month)
        what = say.text(
            "Accounts without a bill for %(month)s: %(n)s", n=say.number(known.unbilled), month=month
        )
        why = say.text("Their readings are incomplete, or nobody has issued the bill yet.")
        code = f"{known.unbilled_month.astimezone(say.zone):%Y-%m}"
        yield Task("warn", what, why, f"/accounts?unbilled={code}", None)


def _troubled(states: Sequence[MeterState], health: Health) -> list[MeterState]:
    """Silent meters, longest first; then those that answer badly or whose clock is off."""
    rates = {rate.meter_id: rate for rate in health.rates if rate.meter_id is not None}

    def unsteady(state: MeterState) -> bool:
        rate = rates.get(state.meter_id)
        judged = rate is not None and rate.reads >= READS_TO_JUDGE and rate.succeeded
        return bool(judged and (rate.rate or 0) < UNSTEADY_BELOW) if rate else False

    silent = [state for state in states if state.presence is Presence.SILENT and not unsteady(state)]
    silent.sort(key=lambda state: state.last_success_at or state.since or datetime.max.replace(tzinfo=UTC))
    listed = {state.meter_id for state in silent}
    rest = [
        state for state in states if state.meter_id not in listed and (unsteady(state) or _clock_off(state))
    ]
    return silent + rest


def _clock_off(state: MeterState) -> bool:
    return state.clock_deviation is not None and abs(state.clock_deviation) >= CLOCK_OFF


def _meter_tasks(
    services: Services, troubled: Sequence[MeterState], health: Health, say: Language
) -> Iterator[Task]:
    with services.database.read() as session:
        registry = services.registry(session)
        names = {state.meter_id: registry.get_meter(state.meter_id).address for state in troubled}
    for state in troubled:
        rate = health.of_meter(state.meter_id)
        why = failure_said(rate.failures, say) if rate else ""
        share = rate.rate if rate else None
        if rate and share and rate.reads >= READS_TO_JUDGE and share < UNSTEADY_BELOW:
            level: Level = "warn"
            what = say.text("Meter %(address)s answers unsteadily", address=names[state.meter_id])
            why = say.text("%(share)s of today's reads succeed.", share=say.percent(share)) + (
                ("" if say.code == "zh" else " ") + why
            )
        elif state.presence is Presence.SILENT:
            level = "bad"
            what = say.text("Meter %(address)s is silent", address=names[state.meter_id])
        else:
            level, why = (
                "warn",
                say.text("Its load records and tariff periods are off by as much. Set its clock."),
            )
            what = clock_told(state.clock_deviation, names[state.meter_id], say)
        since = (state.last_success_at or state.since) if level == "bad" else None
        yield Task(level, what, why, f"/meters/{state.meter_id}", since)


def clock_told(deviation: timedelta | None, address: str, say: Language) -> str:
    """How far a meter's clock is off."""
    seconds = deviation.total_seconds() if deviation else 0.0
    minutes = say.number(Decimal(str(abs(seconds) / 60)), 1)
    if seconds > 0:
        return say.text("The clock of meter %(address)s is %(n)s min fast", address=address, n=minutes)
    return say.text("The clock of meter %(address)s is %(n)s min slow", address=address, n=minutes)


def _change(sums: Energies, say: Language) -> str:
    if sums.yesterday is None or not sums.week_before:
        return ""
    change = (sums.yesterday - sums.week_before) / sums.week_before * 100
    sign = "+" if change > 0 else "−" if change < 0 else "±"
    return say.text("%(change)s%% against a week earlier", change=f"{sign}{say.number(abs(change), 1)}")


def _known_until(services: Services, zone: ZoneInfo) -> datetime | None:
    """Until when today's energy is known: the end of the latest interval."""
    now = services.clock()
    midnight = named_period("today", zone=zone, now=now).start
    if midnight >= now:
        return None
    table = services.store.intervals(
        point_ids=within.point_ids(services),
        quantity=IMPORT,
        period=TimeRange(max(midnight, now - LOOK_BACK), now),
    )
    ends = table.filter(table["energy"].is_valid())["end_at"]
    newest: datetime | None = pc.max(ends).as_py()
    return newest


def _open_bills(services: Services) -> tuple[int, list[Money]]:
    """How many bills are open, and their sum per currency."""
    owed: dict[str, Money] = {}
    page = services.billing.bills(state=BillState.ISSUED, scope=services.scope, limit=OPEN_BILLS_COUNTED)
    for bill in page.items:
        currency = bill.total.currency
        owed[currency] = owed[currency] + bill.total if currency in owed else bill.total
    return len(page.items), list(owed.values())
