"""Cases that a widely used open-source energy system gets wrong, each with the right answer worked out by hand."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from wattkeeper.kernel.database import Database
from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.readings.quantities import QUANTITIES
from wattkeeper.readings.schemas import IntervalStatus
from wattkeeper.readings.service import IntervalService
from wattkeeper.readings.store import ReadingsStore
from wattkeeper.registry.repository import Registry
from wattkeeper.registry.service import exchange_meter, install_meter

KEY = "active_energy_import"
QUARTER = timedelta(minutes=15)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
START = datetime(2026, 3, 1, 16, tzinfo=UTC)  # Monday 2 March 2026, 00:00 in Shanghai
NOW = START + 400 * DAY


class Place:
    """One point and meter in a zone, and its intervals."""

    def __init__(self, folder, batch, *, zone: str = "Asia/Shanghai", minutes: int = 15) -> None:
        self.batch, self.zone = batch, ZoneInfo(zone)
        self.database = Database(f"sqlite:///{folder / 'ledger.db'}")
        self.database.create_schema()
        self.store = ReadingsStore.open(folder / "readings")
        self.service = IntervalService(self.database, self.store)
        with self.database.write() as session:
            registry = Registry(session)
            site = registry.add_site(code="S", name="Site", zone=zone)
            link = registry.add_link(code="L", name="Link", url="tcp://127.0.0.1:2404")
            self.meters = [registry.add_meter(address=f"{n:012d}", link_id=link.id) for n in (1, 2)]
            point = registry.add_point(
                site_id=site.id, code="P", name="Point", rated_power_kw=Decimal(20), interval_minutes=minutes
            )
            session.flush()
            self.point, (self.meter, self.other) = point.id, (meter.id for meter in self.meters)

    def install(self, at: datetime, register: str = "0", ct: int = 1) -> None:
        with self.database.write() as session:
            install_meter(
                session, point_id=self.point, meter_id=self.meter, at=at, first_register=Decimal(register),
                ct_ratio=Decimal(ct),
            )  # fmt: skip

    def read(self, *rows: tuple[datetime, str | Decimal], meter: int | None = None) -> None:
        """Registers stamped by the meter, and the intervals brought up to date."""
        self.store.append_readings(
            self.batch(*((meter or self.meter, at, value, "meter") for at, value in rows)), NOW
        )
        self.service.derive_pending(NOW)

    def energies(self, first: datetime, last: datetime) -> list[tuple[datetime, Decimal, str]]:
        table = self.store.intervals(point_ids=[self.point], quantity=KEY, period=TimeRange(first, last))
        return [(row["start_at"], row["energy"], row["method"]) for row in table.to_pylist()]

    def day(self, day: date) -> tuple[Decimal, int]:
        """The energy of a civil day and how many intervals it has."""
        table = self.store.energy_by_day([self.point], KEY, TimeRange.day(day, self.zone), self.zone)
        return table["energy"][0].as_py(), table["intervals"][0].as_py()


@pytest.fixture
def place(tmp_path, batch, request):
    made = []

    def make(**options) -> Place:
        made.append(Place(tmp_path, batch, **options))
        return made[-1]

    yield make
    for one in made:
        one.store.close()
        one.database.dispose()


def hourly(first: datetime, hours: int, register: Decimal, kwh: str) -> list[tuple[datetime, Decimal]]:
    """A register each quarter hour that counts so much an hour."""
    return [(first + n * QUARTER, register + n * Decimal(kwh) / 4) for n in range(4 * hours + 1)]


def test_five_hours_without_readings_are_neither_zero_nor_a_lump(place):
    home = place()
    home.install(START - DAY, "76")
    home.read(
        *hourly(START - DAY, 24 + 10, Decimal(76), "1"), *hourly(START + 15 * HOUR, 9, Decimal(120), "1")
    )
    gap = home.energies(START + 10 * HOUR, START + 15 * HOUR)
    # 110 at 10:00, 120 at 15:00: 10 kWh in twenty quarter hours, none of them empty and none with all.
    assert len(gap) == 20
    assert sum(energy for _, energy, _ in gap) == Decimal(10)
    assert {energy for _, energy, _ in gap} == {Decimal("0.5")}
    assert {method for _, _, method in gap} <= {"linear", "profile"}
    by_hour = [sum(e for at, e, _ in gap if at - START - 10 * HOUR < (n + 1) * HOUR and at - START - 10 * HOUR >= n * HOUR) for n in range(5)]  # fmt: skip
    assert by_hour == [Decimal(2)] * 5


def test_readings_filled_in_a_week_later_land_where_they_belong(place):
    home = place()
    home.install(START, "100")
    whole = [(START + n * QUARTER, 100 + Decimal(n * n) / 100) for n in range(96)]
    home.read(*whole[:40], *whole[60:])
    known_then = home.store.intervals(point_ids=[home.point])
    home.read(*whole[40:60])  # the same registers arrive from the meter's memory
    told = home.energies(START, START + 95 * QUARTER)
    assert [energy for _, energy, _ in told] == [Decimal(2 * n + 1) / 100 for n in range(95)]
    assert {method for _, _, method in told} == {"measured"}
    # The gap's sum was right before, and what lay outside of it was not touched.
    assert sum(known_then["energy"].to_pylist()) == sum(energy for _, energy, _ in told)
    recorded = home.store.intervals(point_ids=[home.point])["recorded_at"].to_pylist()
    assert recorded[:39] + recorded[60:] == known_then["recorded_at"].to_pylist()[:39] + known_then["recorded_at"].to_pylist()[60:]  # fmt: skip


@pytest.mark.parametrize(("minutes", "slots_before"), [(15, 2), (30, 1)])
def test_a_price_period_from_half_past_eight_begins_with_the_interval_of_half_past_eight(
    place, minutes, slots_before
):
    home = place(minutes=minutes)
    home.install(START, "0")
    step = timedelta(minutes=minutes)
    slots = int(DAY / step)
    # 1 kWh a slot up to 08:30, then 3 kWh a slot.
    cheap = int((8 * HOUR + 30 * timedelta(minutes=1)) / step)
    home.read(*((START + n * step, Decimal(min(n, cheap) + 3 * max(0, n - cheap))) for n in range(slots + 1)))
    half_past = START + 8 * HOUR + timedelta(minutes=30)
    before = home.energies(half_past - HOUR / 2, half_past)
    behind = home.energies(half_past, half_past + HOUR / 2)
    assert [energy for _, energy, _ in before] == [Decimal(1)] * slots_before
    assert [energy for _, energy, _ in behind] == [Decimal(3)] * slots_before
    assert behind[0][0] == half_past


def test_the_first_hour_of_a_new_meter_counts_from_its_first_register(place):
    home = place()
    home.install(START + timedelta(minutes=10), "12345.6")
    home.read((START + HOUR, "12346.6"), (START + HOUR + QUARTER, "12346.9"))
    told = home.energies(START, START + 2 * HOUR)
    # Not 12,346.6 kWh, and not nothing: the meter hung for 50 of the 60 minutes and counted 1 kWh.
    assert sum(energy for at, energy, _ in told if at < START + HOUR) == Decimal(1)
    assert told[0][0] == START
    table = home.store.intervals(point_ids=[home.point], period=TimeRange(START, START + QUARTER))
    assert table["status"][0].as_py() & IntervalStatus.PARTIAL
    assert told[-1][1] == Decimal("0.3")


def test_the_interval_in_which_a_register_rolls_over_has_what_was_used(place):
    home = place()
    home.install(START, "999998")
    home.read((START, "999998"), (START + QUARTER, "999999.5"), (START + 2 * QUARTER, "0.75"), (START + 3 * QUARTER, "2"))  # fmt: skip
    assert [str(energy.normalize()) for _, energy, _ in home.energies(START, START + HOUR)] == [
        "1.5",
        "1.25",
        "1.25",
    ]


def test_a_meter_exchanged_at_seven_past_two_with_another_ratio_counts_each_side_with_its_own(place):
    home = place()
    home.install(START, "500", ct=10)
    noon = START + 14 * HOUR
    at = noon + timedelta(minutes=7)
    home.read((START, "500"), (noon - QUARTER, "505.5"), (noon, "506"))
    with home.database.write() as session:
        exchange_meter(
            session, point_id=home.point, new_meter_id=home.other, at=at, last_register=Decimal("506.2"),
            first_register=Decimal(7), ct_ratio=Decimal(20),
        )  # fmt: skip
    home.read((noon + QUARTER, "7.1"), (noon + 2 * QUARTER, "7.4"), meter=home.other)
    told = home.energies(noon - QUARTER, noon + 2 * QUARTER)
    # 0.5 x 10; then 0.2 x 10 up to 14:07 and 0.1 x 20 from then on; then 0.3 x 20.
    assert [energy for _, energy, _ in told] == [Decimal(5), Decimal(4), Decimal(6)]
    exchanged = home.store.intervals(point_ids=[home.point], period=TimeRange(noon, noon + QUARTER))
    assert exchanged["status"].to_pylist() == [IntervalStatus.EXCHANGED.value]


@pytest.mark.parametrize(
    ("day", "slots"), [(date(2026, 3, 29), 92), (date(2026, 3, 30), 96), (date(2026, 10, 25), 100)]
)
def test_days_of_a_clock_change_have_92_and_100_quarter_hours_and_all_their_energy(place, day, slots):
    home = place(zone="Europe/Berlin")
    period = TimeRange.day(day, home.zone)
    home.install(period.start - HOUR, "0")
    home.read(*((period.start + n * QUARTER, Decimal(1) + n * Decimal("0.25")) for n in range(-4, slots + 5)))
    assert home.day(day) == (slots * Decimal("0.25"), slots)


def test_a_meter_whose_clock_is_seven_minutes_slow_counts_at_the_true_time(place):
    home = place()
    home.install(START - DAY, "0")
    slow = timedelta(minutes=7)
    # The clock showed 23:53 when it was midnight; the value of a clock is what it showed.
    told_at = START - slow
    showed = Decimal(int((told_at - slow).timestamp()))
    assert QUANTITIES["clock"].unit == "s"
    home.store.append_readings(home.batch((home.meter, told_at, showed, "polled"), quantity="clock"), NOW)
    # 0.01 kWh a minute up to the true 02:00, then 0.1; each register is stamped seven minutes early.
    change = START + 2 * HOUR

    def register(at: datetime) -> Decimal:
        cheap, dear = (min(at, change) - START + DAY, max(at - change, timedelta()))
        return Decimal(100) + Decimal(cheap // MINUTE) / 100 + Decimal(dear // MINUTE) / 10

    true = [START + slow + n * QUARTER for n in range(-3, 20)]
    home.read(*((at - slow, register(at)) for at in true))
    energies = {at: energy for at, energy, _ in home.energies(START, change + HOUR)}
    # The registers of 01:52 and 02:07 lie 8 x 0.01 + 7 x 0.1 = 0.78 kWh apart, of which 8/15 fall before 02:00.
    assert energies[change - 2 * QUARTER] == Decimal("0.15")
    assert energies[change - QUARTER] == Decimal("0.07") + Decimal("0.416")
    assert energies[change] == Decimal("0.364") + Decimal("0.8")
    assert energies[change + QUARTER] == Decimal("1.5")
    # What lies between two stamps is estimated, and says so.
    assert {method for _, _, method in home.energies(START, change + HOUR)} == {"linear"}


def test_a_clock_found_slow_after_the_fact_moves_what_was_derived_before(place):
    home = place()
    home.install(START - DAY, "0")
    stamps = [START + n * QUARTER for n in range(9)]
    home.read(*((at, 10 + Decimal(n * n) / 10) for n, at in enumerate(stamps)))
    assert {method for _, _, method in home.energies(START, START + 2 * HOUR)} == {"measured"}
    told_at = START + 2 * HOUR
    home.store.append_readings(
        home.batch(
            (home.meter, told_at, Decimal(int(told_at.timestamp()) - 420), "polled"), quantity="clock"
        ),
        NOW,
    )
    home.service.derive_pending(NOW)
    told = home.energies(START + HOUR, START + 2 * HOUR)
    assert {method for _, _, method in told} == {"linear"}
    # The registers of 00:52, 01:07 and 01:22 are 10.9, 11.6 and 12.5: from 01:00 to 01:15 lie 7/15 of 0.7 and 8/15 of 0.9.
    assert told[0][1] == Decimal("0.8067")
