"""Intervals follow the readings and the registry: new, late and corrected, across exchanges and crashes."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from wattkeeper.kernel.database import Database
from wattkeeper.kernel.feed import ChangeFeed
from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.readings.intervals import derive_intervals, register_energy
from wattkeeper.readings.schemas import IntervalStatus
from wattkeeper.readings.service import TOPIC, IntervalService
from wattkeeper.readings.store import ReadingsStore
from wattkeeper.registry.models import MeteringPoint
from wattkeeper.registry.repository import Registry
from wattkeeper.registry.service import exchange_meter, install_meter
from wattkeeper.registry.sides import Shows

T0 = datetime(2026, 1, 5, 6, 0, tzinfo=UTC)  # 14:00 in Shanghai
INSTALLED = T0 - timedelta(days=3)
NOW = T0 + timedelta(days=20)
SHANGHAI = ZoneInfo("Asia/Shanghai")


def after(minutes: float) -> datetime:
    return T0 + timedelta(minutes=minutes)


class World:
    """One metering point, two meters of which the first is installed, and the service between the two stores."""

    def __init__(self, database: Database, store: ReadingsStore, batch) -> None:
        self.database, self.store, self.batch = database, store, batch
        self.service = IntervalService(database, store)
        with database.write() as session:
            registry = Registry(session)
            site = registry.add_site(code="S", name="Site", zone="Asia/Shanghai")
            link = registry.add_link(code="L", name="Link", url="tcp://127.0.0.1:2404")
            meters = [registry.add_meter(address=f"{n:012d}", link_id=link.id) for n in (1, 2)]
            point = registry.add_point(site_id=site.id, code="P", name="Point", rated_power_kw=Decimal(10))
            session.flush()
            self.point, self.old, self.new = point.id, meters[0].id, meters[1].id
            install_meter(
                session, point_id=point.id, meter_id=self.old, at=INSTALLED, first_register=Decimal(90)
            )

    def read(self, *rows: tuple, meter: int | None = None, at: datetime = NOW) -> None:
        """Readings of (minutes since T0, value) or (minutes, value, source), stamped by the meter if not said."""
        self.store.append_readings(
            self.batch(
                *((meter or self.old, after(m), value, *(source or ("meter",))) for m, value, *source in rows)
            ),
            at,
        )

    def derive(self) -> int:
        return self.service.derive_pending(NOW)

    def told(self, first: float = 0, last: float = 100_000) -> list[tuple[float, str | None, IntervalStatus]]:
        """(minutes since T0, energy, status) from ``first`` minutes on."""
        table = self.store.intervals(point_ids=[self.point], period=TimeRange(after(first), after(last)))
        return [
            (
                (row["start_at"] - T0) / timedelta(minutes=1),
                None if row["energy"] is None else str(row["energy"].normalize() + 0),
                IntervalStatus(row["status"]),
            )
            for row in table.to_pylist()
        ]

    def events(self) -> list[tuple[float, float]]:
        """The changed periods told since the last look, in minutes since T0."""
        feed = ChangeFeed()
        with self.database.write() as session:
            events = feed.read(session, "test", [TOPIC], 100)
            for event in events:
                assert event.payload["point_id"] == self.point
                feed.advance(session, "test", event.sequence)
        ends = [(event.payload["start"], event.payload["end"]) for event in events]
        return [
            tuple((datetime.fromisoformat(end) - T0) / timedelta(minutes=1) for end in pair) for pair in ends
        ]


@pytest.fixture
def world(tmp_path, batch):
    database = Database(f"sqlite:///{tmp_path / 'ledger.db'}")
    database.create_schema()
    with ReadingsStore.open(tmp_path / "readings") as store:
        yield World(database, store, batch)
    database.dispose()


OK, ESTIMATED = IntervalStatus.OK, IntervalStatus.ESTIMATED


def test_new_readings_become_intervals_and_one_event(world):
    world.read((0, "100"), (15, "101"), (30, "101.5"))
    assert world.derive() > 0
    assert world.told() == [(0, "1", OK), (15, "0.5", OK)]
    assert world.events() == [(-3 * 24 * 60, 30)]
    assert world.derive() == 0
    assert world.events() == []


def test_the_energy_since_the_installation_is_the_register_difference(world):
    world.read((0, "100"))
    world.derive()
    table = world.store.intervals(point_ids=[world.point])
    assert sum(table["energy"].to_pylist()) == Decimal(10)
    assert set(table["method"].to_pylist()) == {"linear"}


def test_the_next_reading_derives_only_what_is_new(world):
    world.read(*((15.0 * n, str(100 + n)) for n in range(10)))
    world.derive()
    world.events()
    world.read((150, "110"))
    assert world.derive() == 1
    assert world.events() == [(135, 150)]


def test_a_late_batch_repairs_the_gap_it_fills_a_week_later(world):
    world.read(*((15.0 * n, str(100 + n)) for n in range(5)), (360, "124"), (375, "125"), (390, "126"))
    world.derive()
    assert world.told(60, 120) == [(15.0 * n, "1", ESTIMATED) for n in range(4, 8)]
    before = world.store.intervals(point_ids=[world.point]).num_rows
    known_at = datetime.fromisoformat("2026-01-25T12:00:00+00:00")
    world.events()
    world.read((75, "104.5"), (90, "107"), at=NOW + timedelta(days=7))
    world.service.derive_pending(NOW + timedelta(days=7))
    assert world.told(60, 105) == [(60, "0.5", OK), (75, "2.5", OK), (90, "0.9444", ESTIMATED)]
    assert world.events() == [(60, 360)]
    assert world.store.intervals(point_ids=[world.point]).num_rows == before
    total = sum(world.store.intervals(period=TimeRange(T0, after(390)))["energy"].to_pylist())
    assert total == Decimal(26)
    past = world.store.intervals(period=TimeRange(after(60), after(75)), as_known_at=known_at)
    assert past["energy"].to_pylist() == [Decimal(1)]


def test_a_corrected_reading_rederives_both_intervals_it_bounds(world):
    world.read(*((15.0 * n, str(100 + n)) for n in range(6)))
    world.derive()
    world.events()
    world.read((30, "102.4", "edited"))
    assert world.derive() == 2
    edited = IntervalStatus.EDITED
    assert world.told(0, 75) == [
        (0, "1", OK),
        (15, "1.4", edited),
        (30, "0.6", edited),
        (45, "1", OK),
        (60, "1", OK),
    ]
    assert world.events() == [(15, 45)]


def test_a_wrong_reading_is_bridged_as_soon_as_the_next_one_shows_it(world):
    world.read((0, "100"), (15, "101"), (30, "5"))
    world.derive()
    assert world.told() == [(0, "1", OK), (15, None, IntervalStatus.BACKWARDS)]
    world.read((45, "103"))
    world.derive()
    assert world.told() == [(0, "1", OK), (15, "1", ESTIMATED), (30, "1", ESTIMATED)]


def exchange_at_14_07(world: World) -> None:
    with world.database.write() as session:
        exchange_meter(
            session,
            point_id=world.point,
            new_meter_id=world.new,
            at=after(7),
            last_register=Decimal("100.5"),
            first_register=Decimal(5),
            ct_ratio=Decimal(3),
        )


EXCHANGED = [(0, "1.25", IntervalStatus.EXCHANGED), (15, "3", OK)]  # 0.5 + 0.25 x 3, then 1 x 3


def test_an_exchange_counts_each_side_with_its_ratio(world):
    exchange_at_14_07(world)
    world.read((-15, "99"), (0, "100"))
    world.read((15, "5.25"), (30, "6.25"), meter=world.new)
    world.derive()
    assert world.told() == EXCHANGED


def test_an_exchange_whose_meters_come_in_one_after_the_other_counts_both_sides(world):
    exchange_at_14_07(world)
    world.read((0, "100"))
    world.derive()
    assert world.told() == []  # what the new meter counted from 14:07 on is not known yet
    world.read((15, "5.25"), (30, "6.25"), meter=world.new)
    world.derive()
    assert world.told() == EXCHANGED
    world.read((-15, "99"))
    world.derive()
    assert world.told() == EXCHANGED


def test_an_exchange_entered_after_the_readings_gives_the_same(world):
    world.read((-15, "99"), (0, "100"), (15, "100.5"), (30, "100.5"))
    world.read((15, "5.25"), (30, "6.25"), meter=world.new)
    world.derive()
    assert world.told() == [(0, "0.5", OK), (15, "0", OK)]
    exchange_at_14_07(world)
    world.derive()
    assert world.told() == EXCHANGED
    world.events()
    assert world.derive() == 0


def test_what_the_readings_no_longer_support_is_withdrawn(world):
    world.read((0, "100"), (15, "101"), (30, "102"), (45, "103"))
    world.derive()
    with world.database.write() as session:
        exchange_meter(
            session, point_id=world.point, new_meter_id=world.new, at=after(30), last_register=Decimal(102)
        )
    world.derive()
    assert world.told() == [(0, "1", OK), (15, "1", OK)]


def test_readings_of_a_meter_that_hangs_nowhere_wait_for_its_installation(world):
    world.read((0, "7"), (15, "8"), meter=world.new)
    assert world.derive() == 0
    with world.database.write() as session:
        exchange_meter(
            session,
            point_id=world.point,
            new_meter_id=world.new,
            at=after(0),
            last_register=Decimal(100),
            first_register=Decimal(7),
        )
    world.derive()
    assert world.told() == [(0, "1", OK)]


def test_a_longer_grid_entered_later_is_derived_again(world):
    world.read((0, "100"), (15, "101"), (30, "102.5"), (45, "103"), (60, "104"))
    world.derive()
    with world.database.write() as session:
        Registry(session).get_point(world.point).interval_minutes = 30
    world.derive()
    assert world.told() == [(0, "2.5", OK), (30, "1.5", OK)]
    assert world.derive() == 0


def test_a_meter_that_turns_out_to_show_secondary_values_is_derived_again(world):
    with world.database.write() as session:
        registry = Registry(session)
        registry.get_meter(world.old).shows = Shows.PRIMARY
        registry.installed_now(world.point).ct_ratio = Decimal(40)
    world.read((0, "100"), (15, "101"))
    world.derive()
    assert world.told() == [(0, "1", OK)]
    with world.database.write() as session:
        Registry(session).get_meter(world.old).shows = Shows.SECONDARY
        Registry(session).get_point(world.point).rated_power_kw = Decimal(400)
    world.derive()
    assert world.told() == [(0, "40", OK)]


def test_a_rollover_is_confirmed_once_the_rated_power_and_the_digits_are_known(world):
    with world.database.write() as session:
        Registry(session).get_point(world.point).rated_power_kw = None
    world.read((-15, "999998.5"), (0, "999999.5"), (15, "0.5"), (30, "1.5"))
    world.derive()
    assert world.told() == [(0, None, IntervalStatus.BACKWARDS), (15, "1", OK)]
    with world.database.write() as session:
        Registry(session).get_point(world.point).rated_power_kw = Decimal(10)
    world.derive()
    assert world.told() == [(0, "1", IntervalStatus.ROLLOVER), (15, "1", OK)]
    with world.database.write() as session:
        Registry(session).get_meter(world.old).register_digits = 8
    world.derive()
    assert world.told() == [(0, None, IntervalStatus.BACKWARDS), (15, "1", OK)]


class Crash(Exception):
    """The process ends here."""


@pytest.mark.parametrize("where", ["changed_meters", "append_intervals", "changed_intervals"])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_crash_at_any_step_loses_no_interval_and_no_event(world, monkeypatch, where, moment):
    world.read((0, "100"), (15, "101"))
    real = getattr(world.store, where)

    def crash(*given):
        if moment == "after":
            real(*given)
        raise Crash

    with monkeypatch.context() as patched:
        patched.setattr(world.store, where, crash)
        with pytest.raises(Crash):
            world.derive()
    assert world.events() == []
    IntervalService(world.database, world.store).derive_pending(NOW)
    assert world.told() == [(0, "1", OK)]
    assert world.events() == [(-3 * 24 * 60, 15)]


def test_reading_by_reading_gives_what_deriving_at_once_gives(world):
    """Out of order, with gaps, polls beside the boundary, a wrong reading and a correction."""
    rows = [
        (15.0 * n + (n % 3) * 0.3, f"{100 + n * n / 100:.2f}", "polled")
        for n in range(40)
        if n % 7 not in (3, 4)
    ]
    rows[10] = (rows[10][0], "55", "polled")
    late = rows[5:15:2]
    for part in (
        [r for r in rows if r not in late][:12],
        [r for r in rows if r not in late][12:],
        late,
        [(60, "100.2", "edited")],
    ):
        world.read(*part)
        world.derive()
    with world.database.read() as session:
        installed = Registry(session).installations(point_ids=[world.point])
    at_once = derive_intervals(world.store.readings(), installed, TimeRange(INSTALLED, NOW))
    assert world.store.intervals().drop_columns("recorded_at").to_pylist() == at_once.to_pylist()


def test_daily_energy_is_what_the_registers_at_midnight_say(world):
    midnight = datetime(2026, 1, 5, 16, tzinfo=UTC)
    offset = (midnight - T0) / timedelta(minutes=1)
    world.read(*((offset + 15 * n, f"{100 + n * 0.37:.2f}") for n in range(97) if n % 5 != 3))
    world.derive()
    days = world.store.energy_by_day(
        [world.point],
        "active_energy_import",
        TimeRange.day(midnight.astimezone(SHANGHAI).date(), SHANGHAI),
        SHANGHAI,
    )
    with world.database.read() as session:
        (installed,) = Registry(session).installations(point_ids=[world.point])
    bracket = register_energy(Decimal(100), Decimal("135.52"), installed)
    assert days.select(["energy", "intervals", "without_energy"]).to_pylist() == [
        {"energy": bracket, "intervals": 96, "without_energy": 0}
    ]


def a_month_of_a_home(world, days: float = 30) -> None:
    """Registers each quarter hour: 0.1 kWh in each, 0.5 from 18:00 to 22:00 in Shanghai."""
    value, rows = Decimal(100), []
    for slot in range(int(days * 96) + 1):
        rows.append((15.0 * slot, str(value)))
        hour = after(15 * slot).astimezone(SHANGHAI).hour
        value += Decimal("0.5") if 18 <= hour < 22 else Decimal("0.1")
    world.read(*rows)


def register_at(days: float) -> Decimal:
    """What that home's register shows so many days after T0."""
    evenings = sum(18 <= after(15 * slot).astimezone(SHANGHAI).hour < 22 for slot in range(int(days * 96)))
    return 100 + Decimal("0.1") * int(days * 96) + Decimal("0.4") * evenings


def methods(world, first: float, last: float) -> set[str]:
    period = TimeRange(after(first * 1440), after(last * 1440))
    return set(world.store.intervals(point_ids=[world.point], period=period)["method"].to_pylist())


def test_a_five_day_outage_is_filled_as_the_home_used_to_use(world):
    a_month_of_a_home(world)
    world.derive()
    world.read((35 * 1440.0, str(register_at(35))), (35 * 1440.0 + 15, str(register_at(35) + Decimal("0.1"))))
    world.derive()
    assert methods(world, 30, 35) == {"profile"}
    table = world.store.intervals(
        point_ids=[world.point], period=TimeRange(after(30 * 1440), after(35 * 1440))
    )
    assert sum(table["energy"].to_pylist()) == register_at(35) - register_at(30)
    evening = [r["energy"] for r in table.to_pylist() if r["start_at"].astimezone(SHANGHAI).hour == 20]
    assert all(abs(energy - Decimal("0.5")) < Decimal("0.02") for energy in evening)
    assert None not in table["error"].to_pylist()


def test_months_in_one_batch_are_estimated_as_they_would_have_been_day_by_day(world, tmp_path, batch):
    """What a gap rests on was there before it: how the readings came in makes no difference."""
    a_month_of_a_home(world)
    behind = [(35 * 1440.0 + 15 * n, str(register_at(35) + Decimal("0.1") * n)) for n in range(8)]
    for row in (None, *behind):
        if row:
            world.read(row)
        world.derive()
    step_by_step = world.store.intervals().drop_columns("recorded_at").to_pylist()
    other = Database(f"sqlite:///{tmp_path / 'other.db'}")
    other.create_schema()
    with ReadingsStore.open(tmp_path / "other") as store:
        at_once = World(other, store, batch)
        a_month_of_a_home(at_once)
        at_once.read(*behind)
        at_once.derive()
        assert store.intervals().drop_columns("recorded_at").to_pylist() == step_by_step
    other.dispose()


def test_what_came_after_a_gap_does_not_change_it_when_it_is_derived_again(world):
    a_month_of_a_home(world)
    gap = [(35 * 1440.0 + 15 * n, str(register_at(35) + Decimal("0.1") * n)) for n in range(2)]
    world.read(*gap)
    world.derive()
    period = TimeRange(after(30 * 1440), after(35 * 1440))
    before = world.store.intervals(period=period)
    # Ten more days of quite another use, then the very same derivation: the point's rated power is entered.
    later = [(36 * 1440.0 + 15 * n, str(register_at(36) + 2 * n)) for n in range(960)]
    world.read(*later)
    world.derive()
    with world.database.write() as session:
        session.get(MeteringPoint, world.point).rated_power_kw = Decimal(11)
    world.derive()
    assert world.store.intervals(period=period).equals(before)


def test_a_late_reading_inside_a_gap_is_kept_to_and_the_rest_estimated_anew(world):
    a_month_of_a_home(world)
    world.read((35 * 1440.0, str(register_at(35))))
    world.derive()
    world.events()
    read = {
        30: register_at(30),
        33: register_at(33) + 1,
        33 + 1 / 96: register_at(33) + 2,
        35: register_at(35),
    }
    world.read(*((days * 1440.0, str(read[days])) for days in (33, 33 + 1 / 96)))
    world.derive()
    for first, last in ((30, 33), (33 + 1 / 96, 35)):
        period = TimeRange(after(first * 1440), after(last * 1440))
        table = world.store.intervals(point_ids=[world.point], period=period)
        assert sum(table["energy"].to_pylist()) == read[last] - read[first]
        assert set(table["method"].to_pylist()) == {"profile"}
    assert methods(world, 0, 29) == {"measured"}
    assert [(round(start / 1440), round(end / 1440)) for start, end in world.events()] == [(30, 35)]
