"""Success is counted per link, meter and hour."""

from collections import Counter
from datetime import UTC, datetime

from wattkeeper.collection.counts import Failure, HourKey, ReadStatistics

AT = datetime(2026, 3, 10, 4, 25, 7, tzinfo=UTC)
KEY = HourKey(AT.replace(minute=0, second=0), 1, 7)


def test_a_read_is_one_request_with_its_repetitions():
    statistics = ReadStatistics()
    statistics.count(AT, link_id=1, meter_id=7, attempts=1)
    statistics.count(AT, link_id=1, meter_id=7, attempts=3, strays=2)
    statistics.count(AT, link_id=1, meter_id=7, attempts=1, failure=Failure.NO_REPLY, ended=False)
    statistics.count(AT, link_id=1, meter_id=7, attempts=1, repeated=True)
    statistics.count(AT, link_id=1, meter_id=7, attempts=1, failure=Failure.NO_REPLY)
    expected = Counter(attempts=7, reads=4, succeeded=3, first_time=1, strays=2, no_reply=1)
    assert +statistics.counts[KEY] == expected


def test_counts_that_cannot_be_written_are_not_lost():
    statistics = ReadStatistics()
    statistics.count(AT, link_id=1, meter_id=7, attempts=1)
    taken = statistics.take()
    statistics.count(AT, link_id=1, meter_id=7, attempts=1)
    statistics.give_back(taken)
    assert statistics.take()[KEY]["reads"] == 2
    assert statistics.counts == {}
