"""A small town with a past, built through the real services: what pages and the API are tested on."""

import asyncio
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest
from starlette.testclient import TestClient

from wattkeeper.billing.service import BillingService
from wattkeeper.billing.values import PaymentMethod
from wattkeeper.collection.commands.service import CommandService
from wattkeeper.collection.counts import Totals
from wattkeeper.collection.drivers import check_command
from wattkeeper.collection.errors import ReadFailed
from wattkeeper.collection.recordings import RecordingDesk
from wattkeeper.collection.values import LinkStatus, LiveReading, MeterState, Presence, SuccessRate
from wattkeeper.kernel.database import Database
from wattkeeper.kernel.hub import Hub
from wattkeeper.kernel.money import Money
from wattkeeper.kernel.severity import Severity
from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.monitoring.service import MonitoringService
from wattkeeper.protocols.dlt645.frames import Frame
from wattkeeper.protocols.dlt645.values import encode_value
from wattkeeper.readings.editing.service import ReadingEditing
from wattkeeper.readings.editing.trail import EditTrail
from wattkeeper.readings.retention import Keeper, Retention
from wattkeeper.readings.schemas import EXCHANGE_SCHEMA, READING_SCHEMA, new_exchange_id
from wattkeeper.readings.service import IntervalService
from wattkeeper.readings.store import ReadingsStore
from wattkeeper.readings.validation.exceptions import ExceptionQueue
from wattkeeper.readings.validation.models import FindingState, ValidationFinding
from wattkeeper.registry.models import AccountKind, AreaKind, PointKind
from wattkeeper.registry.repository import Registry
from wattkeeper.registry.service import assign_account, install_meter
from wattkeeper.security.rights import Role
from wattkeeper.security.service import SecurityService
from wattkeeper.security.values import UserWanted
from wattkeeper.web.access import COOKIE
from wattkeeper.web.application import create_application
from wattkeeper.web.services import Services

ZONE = ZoneInfo("Asia/Shanghai")
NOW = datetime(2026, 11, 22, 9, 37, 5, tzinfo=UTC)  # 17:37:05 in Shanghai
FIRST_DAY = date(2026, 10, 1)
HOUSEHOLDS, SHOPS = 19, 3
SILENT = "000000000107"
TRANSFORMED = 40
PASSWORD = "a quiet river in autumn"


@dataclass(frozen=True)
class Place:
    """One metering point to be."""

    number: int
    name: str
    customer: str
    kind: PointKind
    account_kind: AccountKind
    peak_kw: float
    tariff: str

    @property
    def address(self) -> str:
        return f"{100 + self.number:012d}"


def places() -> list[Place]:
    """24 points: 19 households, 3 shops, an office and a factory."""
    surnames = "陈林黄张李王吴刘蔡杨许郑谢洪郭邱曾廖赖"
    homes = [
        Place(n, f"{1 + n // 10}号楼{101 + n % 10 + 100 * (n // 5)}室", f"{surnames[n]}先生", PointKind.HOUSEHOLD,
              AccountKind.RESIDENTIAL, 1.2 + n % 5 * 0.4, "cn-zhejiang-residential" if n % 2 else "cn-jiangsu-residential-tou")
        for n in range(HOUSEHOLDS)
    ]  # fmt: skip
    shops = [
        Place(
            HOUSEHOLDS + n,
            name,
            name,
            PointKind.SHOP,
            AccountKind.COMMERCIAL,
            6.0 + 2 * n,
            "cn-sichuan-commercial-tou",
        )
        for n, name in enumerate(("便民超市", "老街面馆", "洗衣店"))
    ]
    n = HOUSEHOLDS + SHOPS
    return [
        *homes,
        *shops,
        Place(
            n,
            "物业办公室",
            "滨江物业",
            PointKind.OFFICE,
            AccountKind.COMMERCIAL,
            9.0,
            "cn-sichuan-commercial-tou",
        ),
        Place(
            n + 1,
            "华东精密机械厂",
            "华东精密机械厂",
            PointKind.FACTORY,
            AccountKind.INDUSTRIAL,
            180.0,
            "cn-sichuan-commercial-tou",
        ),
    ]


class StandInCollector:
    """A collector whose answers are known: one meter is silent, one link is down."""

    def __init__(self, town: "Town", hub: Hub) -> None:
        self._town = town
        self._hub = hub
        self.counted: dict[tuple[int, str], Totals] = {}
        self.asked: list[tuple[int, tuple[str, ...] | None]] = []

    async def read_now(self, meter_id: int, quantities: Sequence[str] | None = None) -> list[LiveReading]:
        self.asked.append((meter_id, tuple(quantities) if quantities else None))
        await asyncio.sleep(0)
        if meter_id == self._town.meters[SILENT]:
            raise ReadFailed(
                f"Meter {SILENT} did not answer in 3 attempts.", hint="Check its wiring and its supply."
            )
        reading = LiveReading(
            meter_id=meter_id, quantity="voltage_l1", value=Decimal("229.7"), unit="V", read_at=self._town.now,
            exchange_id=self._town.exchanges[meter_id],
        )  # fmt: skip
        self._hub.publish("reading", [reading])
        return [reading]

    def link_states(self) -> list[LinkStatus]:
        since = self._town.now - timedelta(hours=30)
        common = {
            "meters": 12,
            "waiting_live": 0,
            "waiting_due": 2,
            "waiting_commands": 0,
            "backfilling": 1,
            "since": since,
        }
        return [
            LinkStatus(link_id=self._town.links["north"], code="north", url="tcp://10.0.0.11:8001", connected=True, error=None, **common),
            LinkStatus(link_id=self._town.links["south"], code="south", url="serial:///dev/ttyUSB0?baud=2400&parity=even&stop=1&data=8", connected=True, error=None, **common),
            LinkStatus(link_id=self._town.links["works"], code="works", url="tcp://10.0.0.13:8001", connected=False,
                       error="tcp://10.0.0.13:8001 refused the connection.", **common),
        ]  # fmt: skip

    def presences(self) -> dict[int, Presence]:
        return {state.meter_id: state.presence for state in self.meter_states()}

    def meter_states(self) -> list[MeterState]:
        return [self._state(meter_id) for meter_id in self._town.meters.values()]

    def meter_state(self, meter_id: int) -> MeterState | None:
        return self._state(meter_id) if meter_id in self._town.meters.values() else None

    def totals(self) -> dict[tuple[int, str], Totals]:
        return self.counted

    readings_waiting = 17

    def health(
        self, period: TimeRange, *, meter_id: int | None = None, link_id: int | None = None
    ) -> list[SuccessRate]:
        del period
        rates = [self._rate(link, None, 4000, 3988) for link in self._town.links.values()]
        rates += [
            self._rate(self._town.links["north"], meter, 300, 0 if address == SILENT else 299)
            for address, meter in self._town.meters.items()
        ]
        return [
            rate
            for rate in rates
            if meter_id in {None, rate.meter_id} and (link_id is None or rate.link_id == link_id)
        ]

    @staticmethod
    def _rate(link_id: int, meter_id: int | None, reads: int, succeeded: int) -> SuccessRate:
        return SuccessRate(
            link_id=link_id, meter_id=meter_id, attempts=reads + 40, reads=reads, first_time=succeeded - 10 if succeeded else 0,
            succeeded=succeeded, strays=1, answer_ms=85 * succeeded, failures={"no_reply": reads - succeeded, "refused": 0, "garbled": 0, "link": 0},
        )  # fmt: skip

    def _state(self, meter_id: int) -> MeterState:
        silent = meter_id == self._town.meters[SILENT]
        now = self._town.now
        return MeterState(
            meter_id=meter_id, link_id=self._town.links["north"], presence=Presence.SILENT if silent else Presence.ANSWERING,
            since=now - timedelta(hours=5), failures_in_a_row=9 if silent else 0,
            last_success_at=now - (timedelta(hours=5) if silent else timedelta(seconds=20)),
            last_failure_at=now - timedelta(minutes=3) if silent else None,
            last_failure=f"Meter {SILENT} did not answer in 3 attempts." if silent else None, next_attempt_at=None, in_quarantine=False,
            clock_deviation=timedelta(seconds=-3.4), clock_read_at=now, unsupported=(),
        )  # fmt: skip


class Town:
    """Stores with a past, and the services over them."""

    def __init__(self, folder: Path, *, now: datetime = NOW, first_day: date = FIRST_DAY) -> None:
        self.now = now
        self.database = Database(f"sqlite:///{folder / 'ledger.sqlite'}")
        self.database.create_schema()
        self.store = ReadingsStore.open(folder / "readings")
        self.archive = folder / "archive"
        self.hub = Hub()
        self.intervals = IntervalService(self.database, self.store)
        self.editing = ReadingEditing(self.database, self.store)
        self.billing = BillingService(self.database, self.store)
        self.security = SecurityService(self.database)
        self.meters: dict[str, int] = {}
        self.points: dict[str, int] = {}
        self.accounts: dict[str, int] = {}
        self.links: dict[str, int] = {}
        self.exchanges: dict[int, int] = {}
        self.bills: list[int] = []
        self._start = datetime.combine(first_day, datetime.min.time(), ZONE).astimezone(UTC)
        self._register()
        self._measure()
        self.collector = StandInCollector(self, self.hub)
        self.monitoring = MonitoringService(self.database, self.hub, collector=self.collector)
        self.commands = CommandService(self.database, self.hub, check=check_command)
        self.recordings = RecordingDesk(folder / "recordings", self.hub)

    def services(self, *, collecting: bool = True) -> Services:
        """What the web room gets."""
        return Services(
            database=self.database, store=self.store, hub=self.hub, billing=self.billing, intervals=self.intervals,
            exceptions=ExceptionQueue(self.database), editing=self.editing, trail=EditTrail(self.database, self.store),
            keeper=Keeper(self.database, self.store, Retention(archive=self.archive)),
            security=self.security, monitoring=self.monitoring, commands=self.commands, recordings=self.recordings,
            collector=self.collector if collecting else None, clock=lambda: self.now,
            trusted_hosts=("localhost", "127.0.0.1", "[::1]", "testserver"),
        )  # fmt: skip

    def close(self) -> None:
        """Give the stores back."""
        self.store.close()
        self.database.dispose()

    def _register(self) -> None:
        with self.database.write() as session:
            registry = Registry(session)
            site = registry.add_site(code="riverside", name="滨江社区", zone=ZONE.key, currency="CNY")
            feeder = registry.add_area(site_id=site.id, code="F1", name="10kV 滨江线", kind=AreaKind.FEEDER)
            homes = registry.add_area(
                site_id=site.id, code="A1", name="1号公变台区", kind=AreaKind.AREA, parent_id=feeder.id
            )
            trade = registry.add_area(
                site_id=site.id, code="A2", name="2号公变台区", kind=AreaKind.AREA, parent_id=feeder.id
            )
            for code, name, url in (
                ("north", "北区集中", "tcp://10.0.0.11:8001"),
                ("south", "南区总线", "serial:///dev/ttyUSB0?baud=2400&parity=even&stop=1&data=8"),
                ("works", "厂区专线", "tcp://10.0.0.13:8001"),
            ):
                self.links[code] = registry.add_link(code=code, name=name, url=url).id
            for place in places():
                home = place.kind is PointKind.HOUSEHOLD
                link = self.links[
                    "works" if place.kind is PointKind.FACTORY else "north" if place.number < 14 else "south"
                ]
                meter = registry.add_meter(
                    address=place.address, link_id=link, model="DDZY" if home else "DTZY"
                )
                point = registry.add_point(
                    site_id=site.id, code=f"P{place.number:03d}", name=place.name, kind=place.kind,
                    area_id=homes.id if home else trade.id, rated_power_kw=Decimal(round(place.peak_kw * 4)),
                )  # fmt: skip
                install_meter(session, point_id=point.id, meter_id=meter.id, at=self._start,
                              ct_ratio=Decimal(TRANSFORMED if place.kind is PointKind.FACTORY else 1))  # fmt: skip
                customer = registry.add_customer(
                    code=f"C{place.number:03d}", name=place.customer, phone="13800000000"
                )
                account = registry.add_account(
                    customer_id=customer.id, code=f"33010000{place.number:03d}", name=place.name, opened_at=self._start,
                    kind=place.account_kind, address=f"滨江路 {place.number + 1} 号",
                )  # fmt: skip
                assign_account(session, point_id=point.id, account_id=account.id, at=self._start)
                self.meters[place.address] = meter.id
                self.points[place.address] = point.id
                self.accounts[place.address] = account.id

    def _measure(self) -> None:
        """Quarter-hourly registers stamped by the meter, one polled round of live values, and their frames."""
        slots = int((self.now - self._start) / timedelta(minutes=15)) + 1
        moments = np.datetime64(self._start.replace(tzinfo=None), "us") + np.arange(slots) * np.timedelta64(
            15, "m"
        )
        tables = [self._profile(place, moments) for place in places()]
        self.store.append_readings(pa.concat_tables(tables), self.now)
        live = [self._live(place, tables[place.number]) for place in places() if place.address != SILENT]
        self.store.append_readings(
            pa.Table.from_pylist(list(itertools.chain(*live)), READING_SCHEMA), self.now
        )
        self.intervals.derive_pending(self.now)

    def _profile(self, place: Place, moments: np.ndarray) -> pa.Table:
        energy = _quarter_energies(place, moments[:-1])
        if place.address == SILENT:
            moments, energy = moments[:-20], energy[:-20]
        registers = np.concatenate(([0], np.cumsum(energy)))
        count = len(moments)
        return pa.table(
            {
                "meter_id": pa.array(np.full(count, self.meters[place.address])),
                "quantity": pa.array(["active_energy_import"] * count),
                "read_at": pa.array(moments, pa.timestamp("us")).cast(pa.timestamp("us", tz="UTC")),
                "value": pa.array(
                    [Decimal(int(units)).scaleb(-2) for units in registers], pa.decimal128(18, 4)
                ),
                "status": pa.array(np.zeros(count, np.int32)),
                "source": pa.array(["meter"] * count),
                "exchange_id": pa.nulls(count, pa.int64()),
            },
            schema=READING_SCHEMA,
        )

    def _live(self, place: Place, profile: pa.Table) -> list[dict[str, object]]:
        meter = self.meters[place.address]
        register = profile["value"][-1].as_py().quantize(Decimal("0.01"))
        exchange = self.exchanges[meter] = new_exchange_id()
        self._keep(exchange, meter, place.address, "00010000", register)
        power = Decimal(str(round(0.2 + place.peak_kw * 0.3, 4)))
        values = {
            "active_energy_import": register, "voltage_l1": Decimal("230.4"), "current_l1": Decimal("4.251"),
            "active_power": power, "power_factor": Decimal("0.976"), "frequency": Decimal("50.01"),
            "active_demand_import_max": power * 2,
        }  # fmt: skip
        return [
            {"meter_id": meter, "quantity": key, "read_at": self.now - timedelta(seconds=20), "value": value, "status": 0,
             "source": "polled", "exchange_id": exchange}
            for key, value in values.items()
        ]  # fmt: skip

    def _keep(self, exchange: int, meter: int, address: str, di: str, value: Decimal) -> None:
        identifier = bytes.fromhex(di)[::-1]
        request = Frame(address, 0x11, identifier).encode()
        reply = Frame(address, 0x91, identifier + encode_value(di, value)).encode()
        began = self.now - timedelta(seconds=20)
        row = {"exchange_id": exchange, "link_id": self.links["north"], "meter_id": meter, "began_at": began,
               "ended_at": began + timedelta(milliseconds=84), "request": request, "reply": reply, "outcome": "ok"}  # fmt: skip
        self.store.append_exchanges(pa.Table.from_pylist([row], EXCHANGE_SCHEMA))

    def bill(self) -> None:
        """Assign tariffs, bill October, and take two payments."""
        october = TimeRange.month(2026, 10, ZONE)
        for place in places():
            account = self.accounts[place.address]
            self.billing.assign_tariff(
                account, tariff_code=place.tariff, valid_from=self._start, now=self.now
            )
            bill = self.billing.issue_bill(account, period=october, now=self.now)
            self.bills.append(bill.id)
            if place.number < 2:
                self.billing.record_payment(
                    account, amount=Money(bill.total.amount, "CNY"), method=PaymentMethod.CASH,
                    key=f"seed-payment-{place.number}", cashier="王敏", now=self.now,
                )  # fmt: skip


def _quarter_energies(place: Place, starts: np.ndarray) -> np.ndarray:
    """Energy per quarter hour in hundredths of kWh as the meter counts it: a base, a morning and an evening."""
    local = starts + np.timedelta64(8, "h")
    day = local.astype("datetime64[D]").astype(np.int64)
    hour = (local - local.astype("datetime64[D]")) / np.timedelta64(1, "h")
    if place.kind is PointKind.HOUSEHOLD:
        shape = 0.12 + 0.35 * np.exp(-(((hour - 7.5) / 1.2) ** 2)) + 0.9 * np.exp(-(((hour - 20) / 2.2) ** 2))
    else:
        shape = 0.1 + 0.85 * ((hour > 8) & (hour < 20)) * np.where((day + 3) % 7 < 5, 1.0, 0.35)
    noise = np.random.default_rng(place.number).uniform(0.7, 1.3, len(starts))
    ratio = TRANSFORMED if place.kind is PointKind.FACTORY else 1
    return np.rint(shape * noise * place.peak_kw / ratio / 4 * 100).astype(np.int64)


@pytest.fixture(scope="session")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """The town, built once: tests only add to it."""
    built = Town(tmp_path_factory.mktemp("town"))
    built.bill()
    yield built
    built.close()


FOUND_ON = datetime(2026, 11, 20, 16, tzinfo=UTC)
"""The first instant of 21 November in Shanghai."""


def finding(
    town: Town,
    code: str,
    severity: Severity,
    address: str,
    *,
    quantity: str,
    evidence: Mapping[str, object],
    day: datetime = FOUND_ON,
) -> int:
    """An open finding about a day, which begins at `day`; its id."""
    row = ValidationFinding(
        code=code, severity=severity, meter_id=town.meters[address], point_id=town.points[address], quantity=quantity, start_at=day,
        end_at=day + timedelta(days=1), evidence=evidence, ground="g", state=FindingState.OPEN, raised_at=town.now, updated_at=town.now,
    )  # fmt: skip
    with town.database.write() as session:
        session.add(row)
        session.flush()
        return row.id


SAME_ORIGIN = {"sec-fetch-site": "same-origin"}
"""What a browser says of a form on one of our own pages."""


def add_user(town: Town, login: str, role: Role, **wanted: object) -> str:
    """A user whose password need not be changed; its session's secret."""
    with town.database.write() as session:
        described = UserWanted(name=login.title(), role=role, **wanted)
        town.security.users.add_in(session, login, described, now=town.now, password=PASSWORD)
    return session_of(town, login)


def session_of(town: Town, login: str) -> str:
    """A new session of a user; its secret."""
    here = {"address": "203.0.113.9", "agent": "tests", "now": town.now}
    return town.security.sign_in.sign_in(login, PASSWORD, **here).secret


def signed_in(app: object, secret: str, *, language: str = "en") -> TestClient:
    """A browser with a session."""
    headers = SAME_ORIGIN | {"accept-language": language}
    return TestClient(app, headers=headers, cookies={COOKIE: secret})


@pytest.fixture(scope="session")
def administrator(town: Town) -> str:
    """The secret of an administrator's session."""
    return add_user(town, "chief", Role.ADMINISTRATOR)


@pytest.fixture(scope="session")
def browser(town: Town) -> Iterator[TestClient]:
    """A browser on the town's server, not signed in."""
    with TestClient(create_application(town.services())) as opened:
        yield opened


@pytest.fixture
def client(browser: TestClient, administrator: str) -> TestClient:
    """An administrator's browser, new and in Chinese."""
    return signed_in(browser.app, administrator, language="zh-CN")


@pytest.fixture
def english(browser: TestClient, administrator: str) -> TestClient:
    """Another one on the same server, in English."""
    return signed_in(browser.app, administrator)


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A server on the day it was installed, without a collector."""
    tmp_path = tmp_path_factory.mktemp("empty")
    database = Database(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    database.create_schema()
    with ReadingsStore.open(tmp_path / "readings") as store:
        hub = Hub()
        services = Services(
            database=database, store=store, hub=hub, monitoring=MonitoringService(database, hub), commands=CommandService(database, hub, check=check_command), recordings=RecordingDesk(tmp_path / "recordings", hub), billing=BillingService(database, store),
            intervals=IntervalService(database, store), exceptions=ExceptionQueue(database), editing=ReadingEditing(database, store), trail=EditTrail(database, store), keeper=Keeper(database, store, Retention()), security=SecurityService(database), trusted_hosts=("testserver",), clock=lambda: NOW,
        )  # fmt: skip
        with database.write() as session:
            wanted = UserWanted(name="Chief", role=Role.ADMINISTRATOR)
            services.security.users.add_in(session, "chief", wanted, now=NOW, password=PASSWORD)
        secret = services.security.sign_in.sign_in(
            "chief", PASSWORD, address="::1", agent="tests", now=NOW
        ).secret
        with signed_in(create_application(services), secret, language="zh-CN") as browser:
            yield browser
    database.dispose()
