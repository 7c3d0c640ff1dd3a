"""A silent meter is asked ever more rarely, and forgiven at once."""

from datetime import UTC, datetime, timedelta

from wattkeeper.collection.health import MeterHealth, back_off
from wattkeeper.collection.values import CollectorOptions, Presence

NOW = datetime(2026, 3, 10, 4, 0, tzinfo=UTC)
OPTIONS = CollectorOptions(silent_after=3, first_back_off_seconds=30, longest_back_off_seconds=900)


def test_pauses_double_up_to_the_longest():
    assert [back_off(n, options=OPTIONS).total_seconds() for n in range(7)] == [
        30,
        60,
        120,
        240,
        480,
        900,
        900,
    ]
    assert back_off(10**6, options=OPTIONS) == timedelta(seconds=900)


def test_several_failures_in_a_row_make_a_meter_silent():
    health = MeterHealth()
    changed = [health.failed(NOW, why="no answer", options=OPTIONS) for _ in range(4)]
    assert changed == [True, False, True, False]  # failing, and silent with the third
    assert health.presence is Presence.SILENT
    assert health.next_attempt_at == NOW + timedelta(seconds=60)
    assert not health.may_be_asked(NOW)
    assert health.may_be_asked(NOW + timedelta(seconds=60))


def test_one_answer_forgets_every_failure():
    health = MeterHealth()
    for _ in range(9):
        health.failed(NOW, why="no answer", options=OPTIONS)
    assert health.answered(NOW)
    assert (health.failures_in_a_row, health.next_attempt_at, health.since) == (0, None, NOW)
    health.failed(NOW, why="no answer", options=OPTIONS)
    assert health.presence is Presence.FAILING
    assert health.may_be_asked(NOW)
