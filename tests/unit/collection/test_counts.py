"""Success is counted per link, meter and hour."""

from collections import Counter
from datetime import UTC, datetime, timedelta

from wattkeeper.collection.counts import ANSWER_BOUNDS_MS, Failure, HourKey, ReadStatistics

AT = datetime(2026, 3, 10, 4, 25, 7, tzinfo=UTC)
KEY = HourKey(AT.replace(minute=0, second=0), 1, 7, "dlt645-2007")
READ = {"link_id": 1, "meter_id": 7, "protocol": "dlt645-2007"}


def test_a_read_is_one_request_with_its_repetitions():
    statistics = ReadStatistics()
    statistics.count(AT, **READ, attempts=1)
    statistics.count(AT, **READ, attempts=3, strays=2)
    statistics.count(AT, **READ, attempts=1, failure=Failure.NO_REPLY, ended=False)
    statistics.count(AT, **READ, attempts=1, repeated=True)
    statistics.count(AT, **READ, attempts=1, failure=Failure.NO_REPLY)
    expected = Counter(attempts=7, reads=4, succeeded=3, first_time=1, strays=2, no_reply=1)
    assert +statistics.counts[KEY] == expected


def test_counts_that_cannot_be_written_are_not_lost():
    statistics = ReadStatistics()
    statistics.count(AT, **READ, attempts=1)
    taken = statistics.take()
    statistics.count(AT, **READ, attempts=1)
    statistics.give_back(taken)
    assert statistics.take()[KEY]["reads"] == 2
    assert statistics.counts == {}


def test_totals_grow_for_as_long_as_the_process_lives():
    statistics = ReadStatistics()
    statistics.count(AT, **READ, attempts=1, took=timedelta(milliseconds=100))
    statistics.take()
    statistics.count(AT, **READ, attempts=2, took=timedelta(milliseconds=101))
    statistics.count(AT, **READ, attempts=1, took=timedelta(seconds=31))
    statistics.count(AT, **READ, attempts=3, failure=Failure.GARBLED, took=timedelta(milliseconds=1))
    statistics.count(AT, **{**READ, "protocol": "modbus"}, attempts=1)
    total = statistics.totals[1, "dlt645-2007"]
    assert +total.counts == Counter(
        attempts=7, reads=4, succeeded=3, first_time=2, garbled=1, answer_ms=31_201
    )
    assert dict(zip((*ANSWER_BOUNDS_MS, None), total.answers, strict=True)) == dict.fromkeys(
        ANSWER_BOUNDS_MS, 0
    ) | {100: 1, 200: 1, None: 1}
    assert statistics.totals[1, "modbus"].answers[0] == 1
