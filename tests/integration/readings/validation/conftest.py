"""A ledger, a store and the validation between them; meters are added as the tests need them."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest

from wattkeeper.kernel.database import Database
from wattkeeper.kernel.feed import ChangeFeed
from wattkeeper.readings.schemas import READING_SCHEMA
from wattkeeper.readings.service import IntervalService
from wattkeeper.readings.store import ReadingsStore
from wattkeeper.readings.validation.exceptions import ExceptionQueue
from wattkeeper.readings.validation.rulebook import RuleBook
from wattkeeper.readings.validation.service import TOPIC, ValidationService
from wattkeeper.readings.validation.values import FindingFilter
from wattkeeper.registry.models import PointKind
from wattkeeper.registry.repository import Registry
from wattkeeper.registry.service import install_meter

ZONE = ZoneInfo("Asia/Shanghai")
DAY = date(2026, 3, 10)
IMPORT = "active_energy_import"


def at(clock: str, day: int = 0) -> datetime:
    """An instant of the day the tests are about (or so many days after it), by the clock on the wall."""
    return datetime.combine(DAY + timedelta(days=day), time.fromisoformat(clock), ZONE).astimezone(UTC)


class World:
    """One site with as many metering points as are asked for."""

    def __init__(self, database: Database, store: ReadingsStore) -> None:
        self.database, self.store = database, store
        self.service = ValidationService(database, store)
        self.intervals = IntervalService(database, store)
        self.queue = ExceptionQueue(database)
        self.numbers = count(1)
        self.at = at
        with database.write() as session:
            registry = Registry(session)
            self.site = registry.add_site(code="S", name="Site", zone=ZONE.key).id
            self.link = registry.add_link(code="L", name="Link", url="tcp://127.0.0.1:2404").id

    def meter(
        self, *, since: datetime | None = None, kind: str = "household", rated: str | None = "10", **own: Any
    ) -> int:
        """A meter, installed at a point of its own; 10 kW, six digits and two decimals if nothing else is said."""
        with self.database.write() as session:
            registry, number = Registry(session), next(self.numbers)
            meter = registry.add_meter(
                address=f"{number:012d}", link_id=self.link, max_current_a=own.get("max_current")
            )
            point = registry.add_point(
                site_id=self.site,
                code=f"P{number}",
                name=f"Point {number}",
                kind=PointKind(kind),
                rated_power_kw=None if rated is None else Decimal(rated),
            )
            session.flush()
            install_meter(
                session,
                point_id=point.id,
                meter_id=meter.id,
                at=since or at("00:00", -60),
                first_register=Decimal(own.get("first", 0)),
                ct_ratio=Decimal(own.get("ct", 1)),
                pt_ratio=Decimal(own.get("pt", 1)),
            )
            return meter.id

    def meter_in_stock(self) -> int:
        """A meter that hangs nowhere yet."""
        with self.database.write() as session:
            return Registry(session).add_meter(address=f"{next(self.numbers):012d}", link_id=self.link).id

    def read(
        self,
        meter: int,
        rows: dict[str, str],
        quantity: str = IMPORT,
        *,
        day: int = 0,
        source: str = "meter",
        status: int = 0,
        exchange: int | None = None,
        now: datetime | None = None,
    ) -> None:
        """Store readings of (clock on the wall, value)."""
        table = [
            {
                "meter_id": meter,
                "quantity": quantity,
                "read_at": at(clock, day),
                "value": Decimal(value),
                "status": status,
                "source": source,
                "exchange_id": exchange,
            }
            for clock, value in rows.items()
        ]
        self.store.append_readings(pa.Table.from_pylist(table, READING_SCHEMA), now or at("23:00", day))

    def validate(self, now: datetime | None = None) -> None:
        self.service.validate_pending(now or at("23:00"))

    def found(self, meter: int, state: str = "open") -> list[tuple[str, str, str]]:
        """(code, quantity, start by the clock on the wall) of a meter's findings, in order of time."""
        return [
            (row.code, row.quantity, f"{row.period.start.astimezone(ZONE):%d %H:%M}")
            for row in self.rows(meter, state)
        ]

    def rows(self, meter: int, state: str = "open") -> list[Any]:
        page = self.queue.findings(FindingFilter(meter_id=meter, state=state), limit=500)  # type: ignore[arg-type]
        return sorted(page.rows, key=lambda row: (row.period.start, row.code, row.quantity))

    def evidence(self, meter: int, code: str) -> dict[str, Any]:
        (found,) = (row for row in self.rows(meter) if row.code == code)
        return dict(found.evidence)

    def events(self) -> list[Any]:
        """What the change feed told of validation since the last look."""
        feed = ChangeFeed()
        with self.database.write() as session:
            events = feed.read(session, "test", [TOPIC], 1000)
            for event in events:
                feed.advance(session, "test", event.sequence)
        return [event.payload for event in events]


def made(folder: Path) -> Iterator[World]:
    database = Database(f"sqlite:///{folder / 'ledger.db'}")
    database.create_schema()
    with ReadingsStore.open(folder / "readings") as store:
        yield World(database, store)
    database.dispose()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One for all tests of a module: each has meters of its own, and none is read all day long."""
    for one in made(tmp_path_factory.mktemp("validation")):
        RuleBook(one.database).set_parameter(
            "missing", "enabled", Decimal(0), valid_from=at("00:00", -90), now=at("00:00", -90)
        )
        yield one


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[World]:
    """One for tests about when things were recorded, and about days that are over."""
    yield from made(tmp_path)
