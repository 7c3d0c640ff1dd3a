"""Success over a period, told apart by link, protocol, meter and hour, for everybody and for whoever sees a part."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from wattkeeper.collection.counts import NO_METER, HourKey
from wattkeeper.collection.housekeeping import forget_old_counts
from wattkeeper.collection.models import LinkStatistic, ReadStatistic
from wattkeeper.collection.repository import CollectionRepository
from wattkeeper.collection.statistics import By, success
from wattkeeper.collection.values import SuccessRate
from wattkeeper.kernel.database import Database
from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.registry.repository import Registry
from wattkeeper.registry.scope import Scope
from wattkeeper.registry.service import install_meter

HOUR = datetime(2026, 3, 10, 4, 0, tzinfo=UTC)
LATER = HOUR + timedelta(hours=1)
DLT, MODBUS = "dlt645-2007", "modbus-rtu"
COUNTED = {
    HourKey(HOUR, 1, 1, DLT): Counter(
        attempts=4, reads=3, first_time=2, succeeded=2, no_reply=1, answer_ms=200
    ),
    HourKey(HOUR, 1, 2, MODBUS): Counter(attempts=1, reads=1, first_time=1, succeeded=1, answer_ms=60),
    HourKey(LATER, 1, 1, DLT): Counter(attempts=1, reads=1, first_time=1, succeeded=1, answer_ms=80),
    HourKey(LATER, 1, NO_METER, DLT): Counter(reads=2, link_down=2),
    HourKey(HOUR, 2, 3, DLT): Counter(attempts=3, reads=1, garbled=1, strays=1),
    HourKey(LATER, 2, NO_METER, DLT): Counter(reads=1, link_down=1),
}
BOTH_HOURS = TimeRange(HOUR + timedelta(minutes=59), LATER + timedelta(minutes=1))


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def database(request, tmp_path):
    """Link 1 with meters 1 (in site 1) and 2 (in site 2), link 2 with meter 3 (in site 2); counts of two hours."""
    sqlite = f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    opened = Database(sqlite if request.param == "sqlite" else request.getfixturevalue("postgres_database"))
    opened.create_schema()
    with opened.write() as session:
        registry = Registry(session)
        links = [
            registry.add_link(code=code, name=code, url=f"tcp://127.0.0.1:{number}")
            for number, code in ((1, "A"), (2, "B"))
        ]
        sites = [registry.add_site(code=code, name=code, zone="UTC") for code in ("near", "far")]
        for number, link, site, protocol in ((1, 0, 0, DLT), (2, 0, 1, MODBUS), (3, 1, 1, DLT)):
            meter = registry.add_meter(link_id=links[link].id, protocol=protocol, **named(protocol, number))
            point = registry.add_point(site_id=sites[site].id, code=f"P{number}", name="point")
            install_meter(session, meter_id=meter.id, point_id=point.id, at=HOUR - timedelta(days=1))
        CollectionRepository(session).add_counts(COUNTED)
    yield opened
    opened.dispose()


def named(protocol: str, number: int) -> dict[str, str]:
    """How meters of a protocol are addressed."""
    if protocol == MODBUS:
        return {"address": str(number), "model": "eastron-sdm630"}
    return {"address": f"{number:012d}"}


def told(database, *by: By, **filters) -> list[tuple]:
    """Each sum: what it is of, then attempts, reads, first time, succeeded and milliseconds."""
    with database.read() as session:
        found = success(session, BOTH_HOURS, by=by, **filters)
    return [
        (*(getattr(rate, name) for name in ("link_id", "protocol", "meter_id", "hour") if getattr(rate, name) is not None),
         rate.attempts, rate.reads, rate.first_time, rate.succeeded, rate.answer_ms)
        for rate in found
    ]  # fmt: skip


def test_success_is_told_apart_by_whatever_is_asked(database):
    assert told(database) == [(9, 9, 4, 4, 340)]
    assert told(database, By.LINK) == [(1, 6, 7, 4, 4, 340), (2, 3, 2, 0, 0, 0)]
    assert told(database, By.PROTOCOL) == [(DLT, 8, 8, 3, 3, 280), (MODBUS, 1, 1, 1, 1, 60)]
    assert told(database, By.METER) == [(1, 5, 4, 3, 3, 280), (2, 1, 1, 1, 1, 60), (3, 3, 1, 0, 0, 0)]
    assert told(database, By.HOUR, link_id=1) == [(HOUR, 5, 4, 3, 3, 260), (LATER, 1, 3, 1, 1, 80)]
    assert told(database, By.LINK, By.PROTOCOL, protocol=MODBUS) == [(1, MODBUS, 1, 1, 1, 1, 60)]
    assert told(database, By.METER, By.HOUR, meter_id=1) == [
        (1, HOUR, 4, 3, 2, 2, 200),
        (1, LATER, 1, 1, 1, 1, 80),
    ]
    assert told(database, By.LINK, By.METER, By.PROTOCOL, link_id=2) == [(2, DLT, 3, 3, 1, 0, 0, 0)]
    assert told(database, By.LINK, most=1) == [(1, 6, 7, 4, 4, 340)]


def test_outside_of_the_period_nothing_is_counted(database):
    with database.read() as session:
        assert success(session, TimeRange(LATER + timedelta(hours=1), None)) == []
        assert success(session, TimeRange(HOUR - timedelta(days=9), HOUR), by=[By.LINK]) == []
        [one] = success(
            session,
            TimeRange(HOUR - timedelta(days=9), HOUR + timedelta(seconds=1)),
            by=[By.PROTOCOL],
            link_id=2,
        )
    assert one == SuccessRate(
        link_id=None, meter_id=None, protocol=DLT, attempts=3, reads=1, first_time=0, succeeded=0, strays=1,
        answer_ms=0, failures={"garbled": 1},
    )  # fmt: skip


def test_whoever_sees_one_site_gets_its_meters_and_the_outages_of_their_links(database):
    near = Scope(sites=frozenset({1}))
    assert told(database, By.LINK, scope=near) == [(1, 5, 6, 3, 3, 280)]
    assert told(database, By.METER, scope=near) == [(1, 5, 4, 3, 3, 280)]
    assert told(database, By.PROTOCOL, scope=near) in (
        [(0, 2, 0, 0, 0), (DLT, 5, 4, 3, 3, 280)],  # SQLite puts what has no protocol first, PostgreSQL last
        [(DLT, 5, 4, 3, 3, 280), (0, 2, 0, 0, 0)],
    )
    assert told(database, By.LINK, scope=near, link_id=2) == []
    assert told(database, By.LINK, scope=Scope(sites=frozenset({9}))) == []


def test_retries_are_what_was_sent_beyond_the_first_time():
    counted = {"link_id": 1, "meter_id": None, "first_time": 0, "strays": 0, "answer_ms": 900, "succeeded": 3}
    rate = SuccessRate(**counted, attempts=9, reads=6, failures={"no_reply": 1, "link_down": 2})
    assert (rate.retries, rate.failed, rate.rate, rate.first_rate) == (5, 3, 0.5, 0.0)
    assert rate.mean_answer == timedelta(milliseconds=300)
    unended = SuccessRate(**counted, attempts=0, reads=3, failures={})
    assert unended.retries == 0


def test_the_sums_per_link_are_made_from_what_was_counted_before_them(empty_database, migrations_before):
    """Migration 0006: what stands per meter is added up, an outage under the protocol of most meters of its line."""
    empty_database.migrate(scripts=migrations_before("0006"))
    with empty_database.write() as session:
        link = Registry(session).add_link(code="A", name="A", url="tcp://127.0.0.1:1").id
        for number, protocol in enumerate((MODBUS, DLT, MODBUS), start=1):
            Registry(session).add_meter(link_id=link, protocol=protocol, **named(protocol, number))
        for meter, reads, down in ((1, 5, 0), (2, 3, 0), (3, 1, 0), (NO_METER, 2, 2)):
            session.add(ReadStatistic(hour=HOUR, link_id=link, meter_id=meter, reads=reads, link_down=down))
    empty_database.migrate()
    with empty_database.read() as session:
        rows = session.scalars(select(LinkStatistic).order_by(LinkStatistic.protocol))
        found = [(row.hour, row.link_id, row.protocol, row.reads, row.link_down) for row in rows]
    assert found == [(HOUR, link, DLT, 3, 0), (HOUR, link, MODBUS, 8, 2)]


def test_hours_are_forgotten_after_two_months_of_a_meter_and_two_years_of_a_link(database):
    def hours(table):
        with database.read() as session:
            return sorted(set(session.scalars(select(table.hour))))

    ages = [
        timedelta(days=1000),
        timedelta(days=731, hours=1),
        timedelta(days=731),
        timedelta(days=62, hours=1),
    ]
    past = [LATER - age for age in ages]
    with database.write() as session:
        repository = CollectionRepository(session)
        repository.add_counts({HourKey(hour, 1, 1, DLT): Counter(attempts=1, reads=1) for hour in past})
    assert forget_old_counts(database, LATER) == 4 + 2
    assert hours(ReadStatistic) == [HOUR, LATER]
    assert hours(LinkStatistic) == [*past[2:], HOUR, LATER]
    assert forget_old_counts(database, LATER) == 0
