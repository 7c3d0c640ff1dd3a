"""Sums of days in memory are at every moment those of the stored intervals."""

import random
from collections import Counter, defaultdict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest

from wattkeeper.kernel.timerange import TimeRange, start_of_day
from wattkeeper.readings import days
from wattkeeper.readings.schemas import INTERVAL_SCHEMA, IntervalStatus
from wattkeeper.readings.versions import INTERVALS

ENERGY = "active_energy_import"
BERLIN = ZoneInfo("Europe/Berlin")
SHANGHAI = ZoneInfo("Asia/Shanghai")
QUARTER = timedelta(minutes=15)
MARCH = TimeRange.month(2026, 3, BERLIN)  # the clocks change on the 29th
WHOLE = TimeRange(MARCH.start - timedelta(days=40), MARCH.closed_end + timedelta(days=35))


@pytest.fixture(autouse=True)
def no_shortcut_for_few_points(monkeypatch):
    monkeypatch.setattr(days, "_FEW", 0)


def intervals(*rows):
    """Intervals of ``(point_id, start_at, energy)`` or ``(point_id, start_at, energy, status)``."""
    return pa.Table.from_pylist(
        [
            {"point_id": point, "quantity": ENERGY, "start_at": start, "end_at": start + QUARTER,
             "energy": None if energy is None else Decimal(energy), "status": int(status[0]) if status else 0,
             "method": "none" if energy is None else "measured"}
            for point, start, energy, *status in rows
        ],
        schema=INTERVAL_SCHEMA,
    )  # fmt: skip


def ground_of(row) -> str:
    """What an interval's energy rests on."""
    if row["energy"] is None:
        return "without"
    return ("measured", "estimated", "edited", "estimated")[row["status"] & 3]


def told(store, point_ids, period):
    return [
        tuple(row.values()) for row in store.energy_of_days(point_ids, ENERGY, period, BERLIN).to_pylist()
    ]


def added_up(store, point_ids, period):
    """The same from the stored intervals, one by one."""
    energy, count = defaultdict(Decimal), defaultdict(Counter)
    for row in store.intervals(point_ids=point_ids, quantity=ENERGY, period=period).to_pylist():
        day = row["start_at"].astimezone(BERLIN).date()
        energy[day] += row["energy"] or 0
        count[day] += Counter(("all", ground_of(row)))
    return [
        (day, energy[day], *(count[day][kind] for kind in ("all", "estimated", "edited", "without")))
        for day in sorted(energy)
    ]


def test_a_late_value_of_a_past_day_changes_its_sum_and_no_other(store):
    first, second = MARCH.start, MARCH.start + timedelta(days=1)
    store.append_intervals(intervals((1, first, "1.5"), (2, first, "2"), (1, second, "4")), second)
    before = told(store, None, MARCH)
    assert [row[:3] for row in before] == [
        (first.astimezone(BERLIN).date(), Decimal("3.5"), 2),
        (second.astimezone(BERLIN).date(), Decimal(4), 1),
    ]
    late = intervals(
        (1, first, "1.25", IntervalStatus.ESTIMATED), (1, first + QUARTER, None, IntervalStatus.IMPLAUSIBLE)
    )
    store.append_intervals(late, second + timedelta(days=9))
    assert told(store, None, MARCH) == [(before[0][0], Decimal("3.25"), 3, 1, 0, 1), before[1]]


def test_an_interval_that_is_withdrawn_leaves_no_day_behind(store):
    store.append_intervals(intervals((1, MARCH.start, "1.5")), MARCH.start)
    assert len(told(store, None, MARCH)) == 1
    store.append_intervals(intervals((1, MARCH.start, None, IntervalStatus.WITHDRAWN)), MARCH.closed_end)
    assert told(store, None, MARCH) == []


def test_a_day_of_a_clock_change_has_its_25_and_23_hours(store):
    october = TimeRange.month(2026, 10, BERLIN)
    for month in (MARCH, october):
        starts = [slot.start for slot in month.slots(QUARTER, BERLIN)]
        store.append_intervals(intervals(*((1, start, "0.25") for start in starts)), month.closed_end)
        lengths = {row[0].day: row[2] for row in told(store, None, month)}
        assert (lengths[29], lengths[25]) == ((92, 96) if month is MARCH else (96, 100))


def test_a_period_that_cuts_days_gets_what_lies_within(store):
    starts = [slot.start for slot in MARCH.slots(QUARTER, BERLIN)]
    store.append_intervals(intervals(*((1, start, "0.25") for start in starts)), MARCH.closed_end)
    cut = TimeRange(MARCH.start + timedelta(hours=6), MARCH.closed_end - timedelta(hours=5))
    for period in (cut, TimeRange(cut.start, cut.start + timedelta(hours=1))):
        assert told(store, [1], period) == added_up(store, [1], period)


class Chance:
    """Whatever can happen to intervals, at random: new and late ones, withdrawals, edits and their undoing."""

    def __init__(self, store, seed: int) -> None:
        self.store, self.random = store, random.Random(seed)
        self.starts = [WHOLE.start + QUARTER * self.random.randrange(100 * 96) for _ in range(60)]
        self.edits: dict[int, pa.Table] = {}
        self.step = 0

    def now(self) -> datetime:
        self.step += 1
        return datetime(2026, 6, 1, tzinfo=UTC) + self.step * timedelta(hours=1)

    def appended(self) -> None:
        statuses = [
            IntervalStatus.OK,
            IntervalStatus.ESTIMATED,
            IntervalStatus.IMPLAUSIBLE,
            IntervalStatus.WITHDRAWN,
        ]
        rows = {}
        for _ in range(self.random.randrange(1, 30)):
            status = self.random.choice(statuses)
            energy = None if status >= IntervalStatus.IMPLAUSIBLE else f"{self.random.randrange(90_000)}e-4"
            rows[self.random.randrange(1, 4), self.random.choice(self.starts)] = (energy, status)
        self.store.append_intervals(intervals(*((*key, *value) for key, value in rows.items())), self.now())

    def edited(self) -> None:
        keys = {(self.random.randrange(1, 4), self.random.choice(self.starts)) for _ in range(8)}
        rows = intervals(
            *((*key, f"{self.random.randrange(90)}", IntervalStatus.EDITED) for key in sorted(keys))
        )
        method = rows.schema.get_field_index("method")
        edit = len(self.edits) + 1
        self.edits[edit] = rows.set_column(method, "method", pa.repeat("edited", rows.num_rows))
        self.store.corrections.apply(edit, INTERVALS, self.edits[edit], self.now())

    def undone(self) -> None:
        if self.edits:
            edit = self.random.choice(list(self.edits))
            self.store.corrections.take_back(edit, INTERVALS, self.edits[edit], self.now())

    def tidied(self) -> None:
        self.store.maintain(datetime(2026, 9, 2, tzinfo=UTC), keep_snapshots=timedelta(0))


def told_by_point(store, first: date, last: date, zone):
    found = store.energy_of_points(None, ENERGY, (first, last), zone).to_pylist()
    counted = ("energy", "intervals", "estimated", "edited", "without_energy")
    return {row["point_id"]: [row[name] for name in counted] for row in found}


def added_up_by_point(store, first: date, last: date, zone):
    """The same from the stored intervals, one by one."""
    period = TimeRange(start_of_day(first, zone), start_of_day(last + timedelta(days=1), zone))
    totals = {}
    for row in store.intervals(quantity=ENERGY, period=period).to_pylist():
        total = totals.setdefault(row["point_id"], [0, 0, 0, 0, 0])
        total[0] += row["energy"] or 0
        total[1] += 1
        ground = ground_of(row)
        if ground != "measured":
            total[("estimated", "edited", "without").index(ground) + 2] += 1
    return totals


@pytest.mark.parametrize(
    "seed", [*range(2), *(pytest.param(n, marks=pytest.mark.slow) for n in range(2, 20))]
)
def test_sums_of_days_and_months_are_those_of_the_intervals_whatever_happened(store, seed):
    """In a zone with daylight saving and one without, asked now and then, so that several changes come at once."""
    chance = Chance(store, seed)
    for step in range(30):
        happens = [chance.appended, chance.appended, chance.edited, chance.undone, chance.tidied]
        chance.random.choices(happens, weights=[4, 2, 3, 2, 0.4])[0]()
        if step % 3 == 0 or step == 29:
            period = chance.random.choice([WHOLE, MARCH, TimeRange(MARCH.start, WHOLE.closed_end)])
            points = chance.random.choice([None, [1, 3]])
            assert told(store, points, period) == added_up(store, points, period)
            for zone in (BERLIN, SHANGHAI):
                for first, last in (
                    (date(2026, 3, 1), date(2026, 3, 31)),
                    (date(2026, 2, 20), date(2026, 4, 9)),
                ):
                    assert told_by_point(store, first, last, zone) == added_up_by_point(
                        store, first, last, zone
                    )


def test_months_beyond_those_kept_are_read_anew_and_right(store, monkeypatch):
    monkeypatch.setattr(days, "_MONTHS_KEPT", 1)
    store.append_intervals(intervals((1, WHOLE.start, "1"), (1, MARCH.start, "2")), MARCH.start)
    for _ in range(2):
        assert told(store, None, WHOLE) == added_up(store, None, WHOLE)
        store.append_intervals(intervals((1, WHOLE.start, "3"), (2, MARCH.start, "5")), MARCH.closed_end)


def test_the_sums_of_points_are_those_of_their_intervals(store):
    starts = [slot.start for slot in MARCH.slots(timedelta(hours=6), BERLIN)]
    rows = [(point, start, f"{point}.25") for point in (1, 2, 3) for start in starts]
    store.append_intervals(intervals(*rows), MARCH.closed_end)
    first, last = date(2026, 3, 28), date(2026, 3, 29)
    period = TimeRange(TimeRange.day(first, BERLIN).start, TimeRange.day(last, BERLIN).end)
    for points in (None, [1, 3]):
        expected = Counter()
        for row in store.intervals(point_ids=points, quantity=ENERGY, period=period).to_pylist():
            expected[row["point_id"]] += row["energy"]
        found = store.energy_of_points(points, ENERGY, (first, last), BERLIN).to_pylist()
        assert {row["point_id"]: row["energy"] for row in found} == dict(expected)


def test_the_sums_of_places_are_those_of_their_points_and_of_no_other(store):
    starts = [slot.start for slot in MARCH.slots(timedelta(hours=6), BERLIN)]
    rows = [(point, start, f"{point}.25") for point in (1, 2, 3) for start in starts]
    edited = [(2, MARCH.start, "9", IntervalStatus.EDITED)]
    store.append_intervals(intervals(*rows), MARCH.closed_end)
    store.append_intervals(intervals(*edited), MARCH.closed_end)
    places = pa.table({"point_id": pa.array([1, 2, 4]), "place": pa.array([70, 70, 80])})
    first, second = date(2026, 3, 1), date(2026, 3, 2)
    found = store.energy_of_places(places, ENERGY, (first, second), BERLIN).sort_by("day").to_pylist()
    assert [tuple(row.values()) for row in found] == [
        (70, first, 4 * Decimal("1.25") + 9 + 3 * Decimal("2.25"), 8, 0, 1, 0),
        (70, second, 4 * Decimal("3.5"), 8, 0, 0, 0),
    ]
