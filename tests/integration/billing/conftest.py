"""A village with hourly registers for two months, on real stores, billed by the real service."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest

from wattkeeper.billing import models as billing_models
from wattkeeper.billing.service import BillingService
from wattkeeper.billing.values import Basis
from wattkeeper.kernel.database import Database
from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.readings import models as readings_models
from wattkeeper.readings.schemas import READING_SCHEMA
from wattkeeper.readings.service import IntervalService
from wattkeeper.readings.store import ReadingsStore
from wattkeeper.registry.repository import Registry
from wattkeeper.registry.service import assign_account, install_meter

assert billing_models  # the schema is that of the rooms imported
assert readings_models
SHANGHAI = ZoneInfo("Asia/Shanghai")
OCTOBER = TimeRange.month(2026, 10, SHANGHAI)
NOVEMBER = TimeRange.month(2026, 11, SHANGHAI)
START = OCTOBER.start
NOW = datetime(2026, 12, 1, 8, tzinfo=UTC)


@dataclass
class Village:
    """Accounts of one point each, opened on 1 October, and the service that bills them."""

    database: Database
    store: ReadingsStore
    billing: BillingService
    site: int
    link: int
    customer: int

    def account(
        self,
        code,
        *,
        kwh_per_hour="0.5",
        ratio=1,
        tariff="cn-single-price",
        hours=1464,
        skip=(),
        basis=Basis.INTERVALS,
        first="100",
    ):
        """An account whose meter counted a steady load from 1 October; readings of the hours in `skip` are lost."""
        with self.database.write() as session:
            registry = Registry(session)
            meter = registry.add_meter(address=f"{len(code)}{code[1:]:0>11}", link_id=self.link).id
            point = registry.add_point(
                site_id=self.site, code=f"P-{code}", name=f"{code}号表", interval_minutes=60
            ).id
            account = registry.add_account(
                customer_id=self.customer,
                code=code,
                name=f"户{code}",
                opened_at=START,
                address="文三路 88 号",
            ).id
            install_meter(
                session,
                point_id=point,
                meter_id=meter,
                at=START,
                first_register=Decimal(first),
                ct_ratio=Decimal(ratio),
            )
            assign_account(session, point_id=point, account_id=account, at=START)
        if hours:
            wanted = [hour for hour in range(hours + 1) if hour not in skip]
            self.read(meter, Decimal(first), Decimal(kwh_per_hour), wanted)
        if tariff is not None:
            self.billing.assign_tariff(account, tariff_code=tariff, valid_from=START, now=NOW, basis=basis)
        return account

    def read(self, meter, first, step, hours):
        """Hourly registers; the peak register counts 08 to 21 o'clock, local time."""
        rows = []
        for hour in hours:
            at = START + timedelta(hours=hour)
            days, rest = divmod(hour, 24)
            peak_hours = 13 * days + min(max(rest - 8, 0), 13)
            for quantity, counted in (
                ("active_energy_import", hour),
                ("active_energy_import_t2", peak_hours),
            ):
                value = (first if quantity == "active_energy_import" else 0) + step * counted
                rows.append(
                    {
                        "meter_id": meter,
                        "quantity": quantity,
                        "read_at": at,
                        "value": Decimal(value),
                        "status": 0,
                        "source": "meter",
                        "exchange_id": hour + 1,
                    }
                )
        self.store.append_readings(pa.Table.from_pylist(rows, schema=READING_SCHEMA), NOW)
        IntervalService(self.database, self.store).derive_pending(NOW)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def ledger_url(request, tmp_path):
    if request.param == "postgresql":
        return request.getfixturevalue("postgres_database")
    return f"sqlite:///{tmp_path / 'ledger.db'}"


@pytest.fixture
def store(tmp_path) -> Iterator[ReadingsStore]:
    with ReadingsStore.open(tmp_path / "readings") as opened:
        yield opened


@pytest.fixture
def village(ledger_url, store) -> Iterator[Village]:
    database = Database(ledger_url)
    database.create_schema()
    with database.write() as session:
        registry = Registry(session)
        site = registry.add_site(code="HZ", name="翠苑小区", zone="Asia/Shanghai").id
        link = registry.add_link(code="BUS", name="1号总线", url="tcp://127.0.0.1:1").id
        customer = registry.add_customer(code="C1", name="王小明").id
    yield Village(database, store, BillingService(database, store), site, link, customer)
    database.dispose()


@pytest.fixture
def months():
    return OCTOBER, NOVEMBER


@pytest.fixture
def now():
    return NOW
