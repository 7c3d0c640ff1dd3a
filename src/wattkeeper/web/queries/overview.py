"""What the overview says: how much was used, what needs a person."""

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Final, Generic, TypeVar
from zoneinfo import ZoneInfo

from wattkeeper.collection.values import MeterState, Presence, SuccessRate
from wattkeeper.kernel.money import Money
from wattkeeper.kernel.timerange import TimeRange, start_of_day
from wattkeeper.monitoring import words
from wattkeeper.monitoring.models import SubjectKind
from wattkeeper.registry.scope import Scope
from wattkeeper.web.language import Language
from wattkeeper.web.queries import within
from wattkeeper.web.queries.alarms import LEVELS
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
WHILE_FINDING: Final = timedelta(minutes=1)
"""Up to this age what is kept is shown while it is found out anew; after a longer silence whoever comes waits."""
LOOK_BACK: Final = timedelta(hours=1)
"""How far back the newest interval is looked for."""


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
    asked: int
    """Meters that are read: one taken off its point keeps its record and is asked no more."""
    answering: int
    silent: int
    unasked: int
    troubled: tuple[tuple[MeterState, SuccessRate | None], ...]
    """The meters that need a look, most urgent first, with their success today."""
    health: Health
    """Of the links."""


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
    asked: int
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
    alarms: int
    """Tasks that are alarms nobody has acknowledged, those not shown counted too."""
    others: int
    """Tasks that are no alarms: a meter that answers unsteadily, accounts without a bill, a decision to take."""
    links: tuple[LinkLine, ...]
    """Those in trouble first."""
    more_links: int


class Remembered(Generic[T]):
    """A value that is costly to find out, kept for a few seconds for everybody who asks."""

    def __init__(self, find: Callable[[], T], clock: Callable[[], datetime]) -> None:
        self._find = find
        self._clock = clock
        self._finding = threading.Lock()
        self._kept: tuple[datetime, T] | None = None

    def __call__(self) -> T:
        """The value: at most ten seconds old, or the one before while a new one is being found out."""
        kept = self._kept
        if kept is not None and self._younger(kept, FRESH):
            return kept[1]
        if kept is not None and self._younger(kept, WHILE_FINDING):
            if self._finding.acquire(blocking=False):
                threading.Thread(target=self._find_aside, name="figures", daemon=True).start()
            return kept[1]
        with self._finding:
            if self._kept is None or not self._younger(self._kept, FRESH):
                self._kept = (self._clock(), self._find())
            return self._kept[1]

    def _find_aside(self) -> None:
        """In a thread of its own; when it fails, whoever asks next finds out and hears why."""
        try:
            self._kept = (self._clock(), self._find())
        except Exception:  # noqa: BLE001 (whatever it is, the next caller meets it)
            self._kept = None
        finally:
            self._finding.release()

    def _younger(self, kept: tuple[datetime, T], age: timedelta) -> bool:
        return timedelta(0) <= self._clock() - kept[0] < age


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
    today = now.astimezone(zone).date()
    days = _energy_of_days(services, today, zone)
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
    opened = services.billing.books.open_bills(scope=services.scope)
    states, health = within.meter_states(services), health_today(services, zone)
    presences = Counter(state.presence for state in states)
    return Figures(
        energies=energies(services, zone),
        known_until=_known_until(services, zone),
        open_bills=opened.count,
        owed=opened.total,
        unbilled=unbilled_accounts(services, last_month),
        unbilled_month=last_month.start,
        asked=len(states),
        answering=presences[Presence.ANSWERING],
        silent=presences[Presence.SILENT],
        unasked=presences[Presence.UNKNOWN],
        troubled=tuple(_troubled(states, health)),
        health=Health(tuple(rate for rate in health.rates if rate.meter_id is None)),
    )


def _energy_of_days(services: Services, today: date, zone: ZoneInfo) -> dict[date, Decimal]:
    """From the beginning of last month to the end of today."""
    last_month = (today.replace(day=1) - timedelta(days=1)).replace(day=1)
    period = TimeRange(start_of_day(last_month, zone), start_of_day(today + timedelta(days=1), zone))
    table = services.store.energy_of_days(within.point_ids(services), IMPORT, period, zone)
    return dict(zip(table["day"].to_pylist(), table["energy"].to_pylist(), strict=True))


def _sum(energies: Iterable[Decimal]) -> Decimal | None:
    known = list(energies)
    return sum(known, Decimal(0)) if known else None


def overview(
    services: Services,
    say: Language,
    known: Figures,
    *,
    decisions: Sequence[Task] = (),
    accounts: bool = True,
) -> Overview:
    """Everything the overview shows; `decisions` wait for whoever looks, who may see `accounts` or not."""
    health = known.health
    links = link_lines(services, say, health)
    with services.database.read() as session:
        meters = services.registry(session).counts().meters_enabled
    watched = services.monitoring.open_subjects(scope=services.scope)
    unwatched = [link for link in links if (SubjectKind.LINK, link.id) not in watched]
    troubled = [item for item in known.troubled if not _has_alarm(item[0], watched)]
    alarms = list(_alarm_tasks(services, say))
    unbilled = _account_tasks(known, say) if accounts else ()
    tasks = [*decisions, *alarms, *_link_tasks(unwatched, say), *unbilled]
    shown = [*tasks, *_meter_tasks(services, troubled[: max(0, TASKS_SHOWN - len(tasks))], say)]
    waiting = services.monitoring.counts(services.scope).unacknowledged
    sums = known.energies
    return Overview(
        collecting=services.collector is not None,
        meters=meters,
        asked=known.asked,
        answering=known.answering,
        silent_count=known.silent,
        unasked=known.unasked,
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
        more_tasks=max(0, waiting - len(alarms)) + len(tasks) + len(troubled) - len(shown),
        alarms=waiting,
        others=len(tasks) - len(alarms) + len(troubled),
        links=tuple(sorted(links, key=_worst_first)[:LINKS_SHOWN]),
        more_links=max(0, len(links) - LINKS_SHOWN),
    )


def _worst_first(link: LinkLine) -> tuple[bool, float]:
    return (link.level != "bad", 1.0 if link.success is None else round(link.success, 2))


def _alarm_tasks(services: Services, say: Language) -> Iterator[Task]:
    """Alarms that nobody has acknowledged, the most urgent first."""
    for finding in services.monitoring.most_urgent(scope=services.scope, limit=TASKS_SHOWN):
        what, why = words.sentence_of(finding, say.code), words.advice_of(finding.code, say.code)
        yield Task(LEVELS[finding.severity], what, why, f"/alarms/{finding.id}", finding.raised_at)


def _has_alarm(state: MeterState, watched: AbstractSet[tuple[SubjectKind, int]]) -> bool:
    """Whether a meter, or the link it hangs on, has an alarm of its own."""
    return (SubjectKind.METER, state.meter_id) in watched or (SubjectKind.LINK, state.link_id) in watched


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


def _troubled(
    states: Sequence[MeterState], health: Health
) -> Iterator[tuple[MeterState, SuccessRate | None]]:
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
    return ((state, rates.get(state.meter_id)) for state in silent + rest)


def _clock_off(state: MeterState) -> bool:
    return state.clock_deviation is not None and abs(state.clock_deviation) >= CLOCK_OFF


def _meter_tasks(
    services: Services, troubled: Sequence[tuple[MeterState, SuccessRate | None]], say: Language
) -> Iterator[Task]:
    with services.database.read() as session:
        registry = services.registry(session)
        names = {state.meter_id: registry.get_meter(state.meter_id).address for state, _ in troubled}
    for state, rate in troubled:
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
    period = TimeRange(max(midnight, now - LOOK_BACK), now)
    return services.store.known_until(within.point_ids(services), IMPORT, period)
