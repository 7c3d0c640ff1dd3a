"""A month of a real home, through the whole thread: meter, frames over TCP, store, intervals, bill.

The home is an Australian one of 2013 (Smart-Grid Smart-City, half-hourly kWh); a simulated meter in Shanghai counts
what it used, and remembers it as a DL/T 645 meter does. Nothing is polled in that month: the collector comes when
it is over, and fetches it from the meter's load record.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
import pytest

from wattkeeper.billing.service import BillingService
from wattkeeper.billing.values import BillView
from wattkeeper.collection.clock import ManualClock
from wattkeeper.collection.engine import Collector
from wattkeeper.collection.values import CollectorOptions
from wattkeeper.kernel.database import Database
from wattkeeper.kernel.hub import Hub
from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.readings.service import IntervalService
from wattkeeper.readings.store import ReadingsStore
from wattkeeper.registry.models import PointKind
from wattkeeper.registry.repository import Registry
from wattkeeper.registry.service import assign_account, install_meter
from wattkeeper.simulator.loads import ColumnLoad
from wattkeeper.simulator.world import Neighbourhood, WorldPlan

SHANGHAI = ZoneInfo("Asia/Shanghai")
JUNE = TimeRange.month(2013, 6, SHANGHAI)
ADDRESS = "000020130601"
HALF_HOURS = 30 * 48
RESOLUTION = Decimal("0.01")
"""What the last digit of the meter's register is worth. [kWh]"""


@dataclass(frozen=True, slots=True)
class Home:
    """Everything there is at the end of the month."""

    database: Database
    store: ReadingsStore
    site_id: int
    point_id: int
    meter_id: int
    month: TimeRange
    now: datetime
    source_kwh: tuple[Decimal, ...]
    """What the home used in each half hour. [kWh]"""


@pytest.fixture(scope="module")
def source_kwh(shared: Path) -> tuple[Decimal, ...]:
    """The first home whose June 2013 has every half hour. [kWh]"""
    rows = duckdb.execute(
        """
        WITH june AS (FROM read_parquet(?) WHERE ts_local >= '2013-06-01' AND ts_local < '2013-07-01'),
        whole AS (SELECT customer_id FROM june GROUP BY ALL HAVING count(*) = ? AND count(DISTINCT ts_local) = ?)
        SELECT kwh::DECIMAL(9, 3) FROM june WHERE customer_id = (SELECT min(customer_id) FROM whole) ORDER BY ts_local
        """,
        [str(shared / "data" / "sgsc_50hh_30min_raw.parquet"), HALF_HOURS, HALF_HOURS],
    ).fetchall()
    assert len(rows) == HALF_HOURS
    return tuple(row[0] for row in rows)


def register_home(database: Database, url: str) -> tuple[int, int, int]:
    """The home's master data: ids of its site, metering point and meter."""
    with database.write() as session:
        registry = Registry(session)
        site = registry.add_site(code="street", name="A street", zone=SHANGHAI.key)
        point = registry.add_point(site_id=site.id, code="home", name="A home", kind=PointKind.HOUSEHOLD)
        link = registry.add_link(code="bus", name="The bus", url=url)
        meter = registry.add_meter(address=ADDRESS, link_id=link.id)
        install_meter(session, point_id=point.id, meter_id=meter.id, at=JUNE.start)
        return site.id, point.id, meter.id


@contextlib.asynccontextmanager
async def simulated_meter(kwh: tuple[Decimal, ...], clock: ManualClock) -> AsyncIterator[str]:
    """A meter that counted the month, behind a TCP socket; gives its URL."""
    quarters_to_june = (datetime(2013, 6, 1) - datetime(1970, 1, 1)) // timedelta(minutes=15)  # noqa: DTZ001 - civil
    load = ColumnLoad([float(value) for value in kwh], first_slot=quarters_to_june, slots_per_step=2)
    world = {
        "installed": date(2013, 6, 1),
        "links": [{"code": "bus", "meters": [{"address": ADDRESS, "point": "home"}]}],
    }
    async with Neighbourhood(WorldPlan.from_mapping(world), clock=clock, loads={ADDRESS: load}) as street:
        yield street.url("bus")


async def collect(collector: Collector, meter_id: int, *, until: datetime) -> None:
    """Run the collector until the meter's past is committed up to an instant."""
    await collector.start()
    try:
        async with asyncio.timeout(60):
            while not await collected(collector, meter_id, until=until):  # noqa: ASYNC110 - no event tells it
                await asyncio.sleep(0.05)
    finally:
        await collector.stop()


async def collected(collector: Collector, meter_id: int, *, until: datetime) -> bool:
    """Whether the meter's load record is fetched up to an instant and stored."""
    reached = collector.backfilled_until(meter_id)
    return reached is not None and reached >= until and collector.is_idle and await collector.flush()


@pytest.fixture
async def home(tmp_path: Path, source_kwh: tuple[Decimal, ...]) -> AsyncIterator[Home]:
    """The month, collected and derived."""
    assert JUNE.end is not None
    now = JUNE.end + timedelta(hours=2)
    clock = ManualClock(now)
    database = Database(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    database.create_schema()
    with ReadingsStore.open(tmp_path / "readings") as store:
        async with simulated_meter(source_kwh, clock) as url:
            site_id, point_id, meter_id = register_home(database, url)
            collector = Collector(
                database, store, Hub(), options=CollectorOptions(history_days=40), clock=clock
            )
            await collect(collector, meter_id, until=JUNE.end)
        IntervalService(database, store).derive_pending(now)
        yield Home(database, store, site_id, point_id, meter_id, JUNE, now, source_kwh)
    database.dispose()


async def test_the_kwh_are_those_of_the_source_to_the_registers_resolution(home: Home):
    intervals = home.store.intervals(
        point_ids=[home.point_id], quantity="active_energy_import", period=home.month
    ).sort_by("start_at")
    energies = intervals["energy"].to_pylist()
    assert len(energies) == 30 * 96
    assert intervals["method"].unique().to_pylist() == ["measured"]
    assert set(intervals["status"].to_pylist()) == {0}
    assert abs(sum(energies) - sum(home.source_kwh)) < RESOLUTION
    halves = [first + second for first, second in zip(energies[::2], energies[1::2], strict=True)]
    worst = max(abs(half - used) for half, used in zip(halves, home.source_kwh, strict=True))
    assert worst < RESOLUTION  # no half hour is off by a digit, so none can be in another's place


async def test_every_day_adds_up(home: Home):
    days = home.store.energy_by_day(
        point_ids=[home.point_id], quantity="active_energy_import", period=home.month, zone=SHANGHAI
    ).to_pylist()
    assert [row["day"] for row in days] == [date(2013, 6, day) for day in range(1, 31)]
    for number, row in enumerate(days):
        used = sum(home.source_kwh[48 * number : 48 * (number + 1)])
        assert abs(row["energy"] - used) < RESOLUTION, row["day"]


async def test_a_quarter_hour_can_be_traced_to_the_meters_own_frame(home: Home):
    noon = datetime(2013, 6, 15, 4, 0, tzinfo=UTC)
    [reading] = home.store.readings(
        meter_ids=[home.meter_id],
        quantities=["active_energy_import"],
        period=TimeRange(noon, noon + timedelta(seconds=1)),
    ).to_pylist()
    reply = home.store.exchange(reading["exchange_id"])["reply"]
    assert reading["source"] == "meter"
    shown = f"{int(reading['value'] * 100):08d}"
    unmasked = bytes((octet - 0x33) % 256 for octet in reply)
    assert bytes.fromhex(shown)[::-1] in unmasked  # BCD, low byte first, 33H added to each byte


def billed(home: Home) -> BillView:
    """The bill of the month, by the time-of-use tariff of Shanghai, for an account that begins with it."""
    with home.database.write() as session:
        registry = Registry(session)
        customer = registry.add_customer(code="C1", name="王小明")
        account_id = registry.add_account(
            customer_id=customer.id, code="H1", name="A home", opened_at=home.month.start
        ).id
        assign_account(session, point_id=home.point_id, account_id=account_id, at=home.month.start)
    billing = BillingService(home.database, home.store)
    billing.assign_tariff(
        account_id, tariff_code="cn-shanghai-residential-tou", valid_from=home.month.start, now=home.now
    )
    bill = billing.issue_bill(account_id, period=home.month, now=home.now)
    assert billing.recompute(bill.id).matches
    assert billing.balance(account_id) == bill.total
    return bill


async def test_the_billed_kwh_are_those_of_the_source_to_the_registers_resolution(home: Home):
    bill = billed(home)
    peak = [used for half, used in enumerate(home.source_kwh) if 12 <= half % 48 < 44]  # 06:00 to 22:00
    used = {"peak": sum(peak), "valley": sum(home.source_kwh) - sum(peak)}
    [row] = bill.readings
    assert (row.meter_address, bill.estimated) == (ADDRESS, False)
    assert row.end - row.start == row.energy_kwh == bill.energy_kwh  # the meter's own registers at both ends
    assert abs(bill.energy_kwh - sum(home.source_kwh)) < RESOLUTION
    lines = {line.tou: line for line in bill.lines}
    assert {line.tier for line in bill.lines} == {1}
    prices = {"peak": Decimal("0.617"), "valley": Decimal("0.307")}
    changes = 2 * 30 * RESOLUTION  # each change between peak and valley is seen to a digit of the register
    for tou, price in prices.items():
        assert abs(lines[tou].quantity - used[tou]) < changes
        assert lines[tou].amount == (lines[tou].quantity * price).quantize(RESOLUTION, ROUND_HALF_UP)
    assert sum(line.quantity for line in bill.lines) == bill.energy_kwh
    assert bill.total.amount == sum(line.amount for line in bill.lines)
