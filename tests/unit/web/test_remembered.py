"""What is costly to find out is found out once, and nobody waits for it while others look."""

import threading
from datetime import UTC, datetime, timedelta

import pytest

from wattkeeper.web.queries.overview import FRESH, WHILE_FINDING, Remembered

START = datetime(2026, 11, 22, tzinfo=UTC)


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self):
        self.now = START

    def __call__(self):
        return self.now


class Finder:
    """Counts how often something was found out; can be held, and can fail."""

    def __init__(self):
        self.found = 0
        self.go_on = threading.Event()
        self.go_on.set()
        self.fails = False

    def __call__(self):
        assert self.go_on.wait(5)
        if self.fails:
            raise OSError("the store is gone")
        self.found += 1
        return self.found


def settled(remembered):
    """Wait until nothing is being found out."""
    with remembered._finding:
        pass


def test_a_fresh_value_is_not_found_out_again():
    find, clock = Finder(), Clock()
    remembered = Remembered(find, clock)
    assert [remembered(), remembered()] == [1, 1]
    clock.now += FRESH - timedelta(seconds=1)
    assert remembered() == 1


def test_nobody_waits_while_an_older_one_can_be_shown():
    find, clock = Finder(), Clock()
    remembered = Remembered(find, clock)
    remembered()
    clock.now += FRESH
    find.go_on.clear()
    assert [remembered(), remembered(), remembered()] == [1, 1, 1]
    find.go_on.set()
    settled(remembered)
    assert (remembered(), find.found) == (2, 2)


def test_after_a_long_silence_whoever_comes_waits_for_what_is_true_now():
    find, clock = Finder(), Clock()
    remembered = Remembered(find, clock)
    remembered()
    clock.now += WHILE_FINDING
    assert remembered() == 2


def test_a_failure_aside_is_told_to_the_next_who_asks():
    find, clock = Finder(), Clock()
    remembered = Remembered(find, clock)
    remembered()
    clock.now += FRESH
    find.fails = True
    assert remembered() == 1
    settled(remembered)
    with pytest.raises(OSError, match="the store is gone"):
        remembered()


def test_a_clock_that_was_set_back_does_not_freeze_the_value():
    find, clock = Finder(), Clock()
    remembered = Remembered(find, clock)
    remembered()
    clock.now -= timedelta(days=1)
    assert remembered() == 2
