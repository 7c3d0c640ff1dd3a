"""Keeping the findings what the readings say: new, late, corrected and missing readings, and changed parameters.

The unit of work is a meter's civil day, judged whole with what surrounds it, so that what is found depends on what is
stored and never on the order it came in. A run judges the days that readings or intervals touched since the last one,
those of open findings whose parameters were changed, and each day that is over.
"""

import threading
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
from sqlalchemy.orm import Session

from wattkeeper.kernel.database import Database
from wattkeeper.kernel.feed import ChangeFeed
from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.readings.batches import microseconds
from wattkeeper.readings.registers import FOREVER
from wattkeeper.readings.repository import DerivationRepository
from wattkeeper.readings.store import ReadingsStore
from wattkeeper.readings.validation.checking import Context, check
from wattkeeper.readings.validation.facts import FactColumns, MeterFacts, civil_midnights
from wattkeeper.readings.validation.findings import Changed, apply
from wattkeeper.readings.validation.parameters import Parameters
from wattkeeper.readings.validation.repository import FactRepository, FindingRepository, ParameterRepository
from wattkeeper.readings.validation.stamps import HISTORY_US
from wattkeeper.readings.validation.table import HOUR_US
from wattkeeper.readings.validation.windows import Days

TOPIC: Final = "validation.changed"

_READINGS: Final = "validation.readings"
_INTERVALS: Final = "validation.intervals"
_PARAMETERS: Final = "validation.parameters"
_OVER: Final = "validation.days {}"
"""The end of the last civil day that was looked at for what is missing, by zone."""
_MOST_DAYS_OVER: Final = 31
"""Days looked at in one run after the server was down."""
_WEIGHT: Final = 3_000
"""Meter-days in one part of the work, each run of days counting a week of history: some millions of readings."""
_LONGEST: Final = 62
"""Days of one meter in one part."""
_DAY: Final = timedelta(days=1)
_DAY_US: Final = 24 * HOUR_US
Touched = tuple[int, int, int]
"""Meter, first and last instant [µs since 1970 UTC], both included."""


class ValidationService:
    """Validates what was appended since it last did; every step may be repeated.

    Findings and the event that tells of them are committed together, part by part, and the cursors after all parts: a
    crash anywhere only makes the next run judge some days again, and find what is there already.
    """

    def __init__(self, database: Database, store: ReadingsStore) -> None:
        self._database = database
        self._store = store
        self._feed = ChangeFeed()
        self._lock = threading.Lock()

    def validate_pending(self, now: datetime) -> Changed:
        """Bring the findings up to date; returns how many were raised, changed and cleared."""
        with self._lock:
            with self._database.read() as session:
                progress = DerivationRepository(session)
                positions = {name: progress.position(name) for name in (_READINGS, _INTERVALS, _PARAMETERS)}
                values = ParameterRepository(session).all()
                parameters = Parameters(values)
                over = self._days_over(session, parameters, now)
            changes, read = self._store.changed_meters(positions[_READINGS])
            meters, first, last = self._store.windows.touched(changes)
            touched: list[Touched] = list(zip(meters.tolist(), first.tolist(), last.tolist(), strict=True))
            intervals, derived = self._store.changed_intervals(positions[_INTERVALS])
            touched += self._of_points(intervals, now)
            newest = max((value.id for value in values), default=0)
            touched += self._of_parameters({v.rule for v in values if v.id > positions[_PARAMETERS]})
            touched += [
                one for zone, days in over.items() for day in days for one in self._lacking(zone, day)
            ]
            changed = Changed()
            for facts, days in self._parts(touched):
                changed += self._judge(facts, days, parameters, now)
            reached = {_READINGS: read, _INTERVALS: derived, _PARAMETERS: newest}
            reached |= {_OVER.format(zone): microseconds(days[-1].closed_end) for zone, days in over.items()}
            self._advance(positions, reached)
            return changed

    # -- what is to be judged ----------------------------------------------------------------------------------------

    def _days_over(
        self, session: Session, parameters: Parameters, now: datetime
    ) -> dict[str, list[TimeRange]]:
        """The civil days of each zone for which nothing more is waited for, and which were not looked at yet.

        A zone that was never looked at begins with yesterday: older days are judged with the readings they have.
        """
        over: dict[str, list[TimeRange]] = {}
        progress = DerivationRepository(session)
        grace = timedelta(hours=float(parameters.largest("missing", "grace_hours")))
        for name in FactRepository(session).zones():
            zone = ZoneInfo(name)
            done = progress.position(_OVER.format(name))
            today = now.astimezone(zone).date()
            days = [TimeRange.day(today - back * _DAY, zone) for back in range(_MOST_DAYS_OVER, 0, -1)]
            days = [d for d in days if d.closed_end + grace <= now and microseconds(d.closed_end) > done]
            if days:
                over[name] = days if done else days[-1:]
        return over

    def _lacking(self, zone: str, day: TimeRange) -> list[Touched]:
        """The meters that lack a reading of a day that is over, or that were exchanged on it."""
        with self._database.read() as session:
            installed = FactRepository(session).on_grid(zone, day)
        first, last = microseconds(day.start), microseconds(day.closed_end)
        grids = {meter: minutes * 60_000_000 for meter, minutes, _ in installed}
        lacking = self._store.windows.incomplete(
            list(grids.items()), first, last, heard_since=first - HISTORY_US
        )
        chosen = lacking | {meter for meter, _, exchanged in installed if exchanged}
        return [(meter, first, last - 1) for meter in sorted(chosen)]

    def _of_points(self, intervals: pa.Table, now: datetime) -> list[Touched]:
        """Changed intervals, as the meters they came from; today is still in the making and is judged with its readings."""
        if not intervals.num_rows:
            return []
        points, starts, ends = (
            intervals[name].cast("int64").to_pylist() for name in ("point_id", "start_at", "end_at")
        )
        with self._database.read() as session:
            installed = FactRepository(session).meters_of_points(set(points))
        at_point: defaultdict[int, list[tuple[int, int, int]]] = defaultdict(list)
        for point, meter, valid_from, valid_to in installed:
            end = FOREVER if valid_to is None else microseconds(valid_to)
            at_point[point].append((meter, microseconds(valid_from), end))
        yesterday = microseconds(now - _DAY)
        return [
            (meter, max(start, begun), min(end - 1, ended, yesterday))
            for point, start, end in zip(points, starts, ends, strict=True)
            for meter, begun, ended in at_point[point]
            if max(start, begun) <= min(end - 1, ended, yesterday)
        ]

    def _of_parameters(self, rules: Collection[str]) -> list[Touched]:
        """The days of open findings of rules whose parameters were set."""
        if not rules:
            return []
        with self._database.read() as session:
            found = FindingRepository(session).open_of(rules)
        return [(meter, microseconds(start), microseconds(start)) for meter, start in found]

    def _parts(self, touched: Sequence[Touched]) -> Iterator[tuple[list[MeterFacts], Days]]:
        """The touched days, whole and merged, with the facts of their meters, in parts that fit memory."""
        meters = sorted({meter for meter, _, _ in touched})
        with self._database.read() as session:
            facts = FactRepository(session).of_meters(meters)
        of_meter: defaultdict[int, list[MeterFacts]] = defaultdict(list)
        for fact in facts:
            of_meter[fact.meter_id].append(fact)
        part: list[Touched] = []
        weight = 0
        for run in _runs([one for one in touched if one[0] in of_meter], of_meter):
            own = (run[2] - run[1]) // _DAY_US + 7
            if part and weight + own > _WEIGHT:
                yield _facts_of(part, of_meter), part
                part, weight = [], 0
            part.append(run)
            weight += own
        if part:
            yield _facts_of(part, of_meter), part

    # -- what comes of it ------------------------------------------------------------------------------------------

    def _judge(self, facts: list[MeterFacts], days: Days, parameters: Parameters, now: datetime) -> Changed:
        """Judge some days, and commit what changed together with the event that tells of it."""
        readings = self._store.windows.readings(days)
        points = {fact.point_id for fact in facts if fact.point_id is not None}
        period = min(day[1] for day in days), max(day[2] for day in days)
        intervals = self._store.windows.intervals(points, *period)
        context = Context(facts=facts, parameters=parameters, days=days, intervals=intervals, now=now)
        found = check(readings, context)
        with self._database.write() as session:
            changed = apply(FindingRepository(session), found, days, now)
            if changed.meters:
                self._feed.append(session, TOPIC, changed.event())
        return changed

    def _advance(self, positions: dict[str, int], reached: dict[str, int]) -> None:
        moved = {name: position for name, position in reached.items() if position > positions.get(name, 0)}
        if moved:
            with self._database.write() as session:
                progress = DerivationRepository(session)
                for name, position in moved.items():
                    progress.advance(name, position)


def _facts_of(part: Sequence[Touched], of_meter: Mapping[int, list[MeterFacts]]) -> list[MeterFacts]:
    return [fact for meter in sorted({run[0] for run in part}) for fact in of_meter[meter]]


def _runs(touched: Sequence[Touched], of_meter: Mapping[int, list[MeterFacts]]) -> Iterator[Touched]:
    """Whole civil days, merged for each meter to runs (half-open), in the zone it was last installed in."""
    if not touched:
        return
    meter, first, last = np.array(sorted(set(touched)), np.int64).T
    columns = FactColumns([of_meter[number][-1] for number in dict.fromkeys(meter.tolist())])
    row = np.searchsorted(columns.meter, meter)
    starts, ends = columns.days(row, first)[0], columns.days(row, last)[1]
    run = meter[0], starts[0], ends[0]
    for place in range(1, len(meter)):
        if meter[place] == run[0] and starts[place] <= run[2]:
            run = run[0], run[1], max(run[2], ends[place])
        else:
            yield from _pieces(run, of_meter)
            run = meter[place], starts[place], ends[place]
    yield from _pieces(run, of_meter)


def _pieces(run: Touched, of_meter: Mapping[int, list[MeterFacts]]) -> Iterator[Touched]:
    """A run in pieces of at most _LONGEST days."""
    meter, start, end = (int(part) for part in run)
    midnights = civil_midnights(start, end - 1, of_meter[meter][-1].zone).tolist()
    edges = [*midnights[:-1:_LONGEST], midnights[-1]]
    for first, last in pairwise(edges):
        yield meter, first, last
