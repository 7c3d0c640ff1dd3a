"""The ledger database of the estate of `pages_estate`: master data, success counts, bills and payments.

It is quick to build (minutes), so it is built again when the tables of the code change.
"""

import hashlib
import shutil
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from sqlalchemy import insert
from sqlalchemy.orm import Session

import wattkeeper
from pages_bills import account_kind, bill
from pages_estate import KINDS, METERS_A_LINK, NOW, ZONE, Estate, building, folder, readings_of
from wattkeeper.collection.models import ReadStatistic
from wattkeeper.collection.repository import CollectionRepository
from wattkeeper.collection.values import CollectorOptions
from wattkeeper.kernel.database import Database
from wattkeeper.kernel.timerange import start_of_day
from wattkeeper.readings.lake import Lake
from wattkeeper.readings.layout import newest
from wattkeeper.readings.repository import DerivationRepository
from wattkeeper.readings.store import ReadingsStore
from wattkeeper.registry.models import (
    Account,
    AccountPoint,
    AreaKind,
    Customer,
    Installation,
    Link,
    Meter,
    MeteringPoint,
    PointKind,
)
from wattkeeper.registry.repository import Registry

FEEDERS, AREAS, BOXES = 4, 40, 160
SURNAMES = "陈林黄张李王吴刘蔡杨许郑谢洪郭邱曾廖赖周徐孙马朱胡"


def ledger_of(estate: Estate) -> Path:
    """The file of the ledger database, built now if it is not there yet or the tables have changed."""
    place = folder(estate) / f"ledger-{_tables()}.sqlite"
    readings = readings_of(estate)
    with building(estate):
        if not place.exists():
            growing = place.with_suffix(".growing")
            for old in folder(estate).glob("ledger-*"):
                old.unlink()
            _build(estate, readings, growing)
            growing.rename(place)
    return place


def _tables() -> str:
    """What the code's tables are: a digest of the migrations and of this file."""
    scripts = sorted(Path(wattkeeper.__file__).parent.glob("migrations/versions/*.py"))
    digest = hashlib.sha256(
        b"".join(file.read_bytes() for file in [*scripts, *Path(__file__).parent.glob("pages_[bl]*.py")])
    )
    return digest.hexdigest()[:12]


def _build(estate: Estate, readings: Path, place: Path) -> None:
    print(f"building the ledger database of {estate.meters:,} meters …", flush=True)
    began = time.perf_counter()
    database = Database(f"sqlite:///{place}")
    database.migrate()
    lake = Lake.embedded(readings)
    store = ReadingsStore(lake)
    try:
        with database.write() as session:
            _register(session, estate)
        with database.write() as session:
            _derived(session, lake)
            _count_reads(session, estate)
            CollectionRepository(session).ensure_default_plans(CollectorOptions())
        print(f"  registered after {time.perf_counter() - began:,.0f} s", flush=True)
        bill(estate, database, store)
    finally:
        store.close()
        database.dispose()
    print(
        f"  built in {time.perf_counter() - began:,.0f} s, {place.stat().st_size / 1e6:,.0f} MB", flush=True
    )


def _register(session: Session, estate: Estate) -> None:
    """The site with its tree of areas, the links, and for each meter its point, customer and account."""
    registry = Registry(session)
    site = registry.add_site(code="main", name="滨江供电所", zone=ZONE.key)
    boxes = list(_areas(registry, site.id))
    registry.add_all(
        [
            Link(code=f"L{n + 1:03d}", name=f"{n // 8 + 1}号集中器第{n % 8 + 1}路", url=f"tcp://10.1.{n // 250}.{n % 250 + 1}:8001")
            for n in range(estate.links)
        ]
    )  # fmt: skip
    numbers = range(estate.meters)
    registry.add_all([_meter(n, estate) for n in numbers])
    registry.add_all([_point(n, estate, site.id, boxes[n * len(boxes) // estate.meters]) for n in numbers])
    registry.add_all(
        [Customer(code=f"C{n + 1:05d}", name=_customer(n, estate), phone="13800000000") for n in numbers]
    )
    registry.add_all([_account(n, estate) for n in numbers])
    registry.add_all(
        [
            Installation(
                point_id=n + 1, meter_id=n + 1, valid_from=estate.start, ct_ratio=Decimal(estate.ratio(n))
            )
            for n in numbers
        ]
    )
    registry.add_all(
        [AccountPoint(point_id=n + 1, account_id=n + 1, valid_from=estate.start) for n in numbers]
    )


def _areas(registry: Registry, site_id: int) -> Iterator[int]:
    """Feeders, areas and boxes; gives the ids of the boxes."""
    feeders = [
        registry.add_area(site_id=site_id, code=f"F{n + 1}", name=f"10kV 滨江{n + 1}线", kind=AreaKind.FEEDER)
        for n in range(FEEDERS)
    ]
    areas = [
        registry.add_area(site_id=site_id, code=f"A{n + 1:02d}", name=f"{n + 1}号公变台区", kind=AreaKind.AREA,
                          parent_id=feeders[n % FEEDERS].id)
        for n in range(AREAS)
    ]  # fmt: skip
    for n in range(BOXES):
        area = areas[n % AREAS]
        yield registry.add_area(
            site_id=site_id, code=f"B{n + 1:03d}", name=f"{n + 1}号表箱", kind=AreaKind.BOX, parent_id=area.id
        ).id


def _meter(number: int, estate: Estate) -> Meter:
    model = "DDZY" if KINDS[estate.kind(number)][0] is PointKind.HOUSEHOLD else "DTZY"
    return Meter(address=Estate.address(number), link_id=number // METERS_A_LINK + 1, model=model)


def _point(number: int, estate: Estate, site_id: int, area_id: int) -> MeteringPoint:
    rated = Decimal(round(estate.peak_kw(number) * 4))
    return MeteringPoint(site_id=site_id, area_id=area_id, code=f"P{number + 1:05d}", name=_place(number, estate),
                         kind=KINDS[estate.kind(number)][0], rated_power_kw=rated)  # fmt: skip


def _place(number: int, estate: Estate) -> str:
    kind = KINDS[estate.kind(number)][0]
    if kind is PointKind.HOUSEHOLD:
        return f"{number // 100 + 1}号楼{number % 100 // 10 + 1}单元{(number % 10 + 1) * 100 + 1}室"
    names = {PointKind.SHOP: "商铺", PointKind.OFFICE: "写字间", PointKind.STREET_LIGHT: "路灯", PointKind.FACTORY: "厂房"}  # fmt: skip
    return f"{names[kind]}{number + 1}号"


def _customer(number: int, estate: Estate) -> str:
    surname = SURNAMES[number % len(SURNAMES)]
    home = KINDS[estate.kind(number)][0] is PointKind.HOUSEHOLD
    return f"{surname}{'先生' if number % 2 else '女士'}" if home else f"{surname}记{number + 1}商行"


def _account(number: int, estate: Estate) -> Account:
    return Account(customer_id=number + 1, code=f"3301{number + 1:08d}", name=_place(number, estate), kind=account_kind(number, estate),
                   address=f"滨江路 {number + 1} 号", opened_at=estate.start)  # fmt: skip


def _derived(session: Session, lake: Lake) -> None:
    """The intervals are there, so derivation goes on from here instead of from the beginning."""
    progress = DerivationRepository(session)
    with lake.reading() as cursor:
        progress.advance("readings", newest(cursor, lake, "reading", "recorded_at"))
        progress.advance("intervals", newest(cursor, lake, "interval", "recorded_at"))
    progress.remember(progress.moved_installations())


def _count_reads(session: Session, estate: Estate) -> None:
    """Today's hourly success: sixty reads a meter and hour, most of them at the first attempt."""
    hour, end = start_of_day(NOW.astimezone(ZONE).date(), ZONE), NOW
    while hour < end:
        rows = [_counts(n, estate, hour) for n in range(estate.meters)]
        session.execute(insert(ReadStatistic), rows)
        hour += timedelta(hours=1)


def _counts(number: int, estate: Estate, hour: datetime) -> dict[str, Any]:
    lost = 60 if estate.silent(number) else 12 if number % 500 == 7 else number % 97 == 0
    return {
        "hour": hour, "link_id": number // METERS_A_LINK + 1, "meter_id": number + 1, "attempts": 62 + lost, "reads": 60,
        "first_time": max(0, 58 - lost), "succeeded": 60 - lost, "no_reply": int(lost),
    }  # fmt: skip


def copy_of(estate: Estate, place: Path) -> None:
    """A data folder to serve and write to: the ledger copied, the Parquet files linked, since none is ever changed."""
    readings, kept = place / "readings", readings_of(estate)
    shutil.copytree(kept, readings, copy_function=_linked)
    shutil.copyfile(ledger_of(estate), place / "ledger.sqlite")


def _linked(source: str, target: str) -> None:
    if source.endswith(".parquet"):
        Path(target).hardlink_to(source)
    else:
        shutil.copyfile(source, target)
