"""What the collector keeps in the ledger database, in both of its sizes."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from wattkeeper.collection.counts import NO_METER, HourKey
from wattkeeper.collection.fleet import Memory
from wattkeeper.collection.repository import CollectionRepository
from wattkeeper.kernel.database import Database
from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.registry.repository import Registry

HOUR = datetime(2026, 3, 10, 4, 0, tzinfo=UTC)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def database(request, tmp_path):
    """A ledger with the link A and its meters 1 and 2."""
    sqlite = f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    database = Database(sqlite if request.param == "sqlite" else request.getfixturevalue("postgres_database"))
    database.create_schema()
    with database.write() as session:
        registry = Registry(session)
        link = registry.add_link(code="A", name="A", url="tcp://127.0.0.1:1")
        for number in (1, 2):
            registry.add_meter(address=f"{number:012d}", link_id=link.id)
    yield database
    database.dispose()


def test_counts_of_an_hour_add_up_per_meter_and_per_link(database):
    for _ in range(2):
        with database.write() as session:
            CollectionRepository(session).add_counts(
                {
                    HourKey(HOUR, 1, 1, "dlt645-2007"): Counter(
                        attempts=3, reads=2, succeeded=1, first_time=1, no_reply=1
                    ),
                    HourKey(HOUR, 1, 2, "dlt645-2007"): Counter(
                        attempts=1, reads=1, succeeded=1, first_time=1, strays=1
                    ),
                    HourKey(HOUR, 1, NO_METER, "dlt645-2007"): Counter(reads=1, link_down=1),
                }
            )
    period = TimeRange(HOUR + timedelta(minutes=59), None)
    with database.read() as session:
        repository = CollectionRepository(session)
        meters = repository.success_by_meter(period)
        [link] = repository.success_by_link(period, link_id=1)
        assert repository.success_by_meter(TimeRange(HOUR + timedelta(hours=1), None)) == []
    assert [(rate.meter_id, rate.attempts, rate.reads, rate.rate) for rate in meters] == [
        (1, 6, 4, 0.5),
        (2, 2, 2, 1.0),
    ]
    assert (link.reads, link.succeeded, link.strays) == (8, 4, 2)
    assert link.failures == {"no_reply": 2, "link_down": 2}


def test_what_was_learned_about_a_meter_is_there_after_a_restart(database):
    later = HOUR + timedelta(hours=1)
    with database.write() as session:
        repository = CollectionRepository(session)
        repository.save_backfilled({1: HOUR})
        repository.save_clocks({1: (timedelta(seconds=-1.5), HOUR)})
        repository.save_backfilled({1: later})
        repository.save_refused([(2, "0201FF00", HOUR), (2, "02010200", HOUR)])
        repository.save_refused([(2, "02010200", later)])
        repository.forget_refused(before=later)
    with database.read() as session:
        assert CollectionRepository(session).memories() == {
            1: Memory(backfilled_until=later, clock_deviation=timedelta(seconds=-1.5), clock_read_at=HOUR),
            2: Memory(refused={"02010200": later}),
        }


def test_the_fleet_is_what_is_enabled(database):
    with database.write() as session:
        Registry(session).add_link(code="B", name="B", url="tcp://127.0.0.1:2", enabled=False)
    with database.read() as session:
        fleet = CollectionRepository(session).fleet(now=HOUR, zone="Asia/Shanghai")
    assert {
        link.code: sorted(meter.address for meter in link.meters.values()) for link in fleet.links.values()
    } == {"A": ["000000000001", "000000000002"]}
