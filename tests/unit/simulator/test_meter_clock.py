import numpy as np

from wattkeeper.simulator.meter_clock import MeterClock

NOON = 20_000 * 86_400.0 + 43_200


def test_a_slow_clock_shows_less_and_records_later():
    clock = MeterClock(-420.0)
    assert clock.label(NOON) == NOON - 420
    assert clock.moments(np.array([NOON])).tolist() == [NOON + 420]


def test_a_broadcast_is_followed_within_five_minutes_once_a_day():
    clock = MeterClock(-299.0)
    assert clock.follow_broadcast(NOON, NOON)
    assert clock.label(NOON + 1) == NOON + 1
    assert not clock.follow_broadcast(NOON + 100, NOON + 60)
    assert clock.follow_broadcast(NOON + 86_400 + 10, NOON + 86_400)
    assert clock.label(NOON + 86_400) == NOON + 86_410


def test_a_clock_five_minutes_off_does_not_follow():
    clock = MeterClock(-300.0)
    assert not clock.follow_broadcast(NOON, NOON)
    assert clock.label(NOON) == NOON - 300


def test_what_was_recorded_before_the_clock_was_set_keeps_its_label():
    clock = MeterClock(-240.0)
    clock.follow_broadcast(NOON, NOON)
    before, after = NOON - 900.0, NOON + 900.0
    assert clock.moments(np.array([before, after])).tolist() == [before + 240, after]
