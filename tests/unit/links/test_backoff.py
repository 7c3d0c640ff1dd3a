import pytest

from wattkeeper.links.backoff import Backoff


def test_the_first_loss_is_mended_at_once_and_the_next_ones_ever_later_up_to_the_cap():
    backoff = Backoff(first=0.5, cap=4.0)
    waits = []
    for at in range(7):
        backoff.opened(float(at))
        waits.append(backoff.lost(float(at)))
    assert waits == [0.0, 0.5, 1.0, 2.0, 4.0, 4.0, 4.0]


def test_a_port_that_does_not_open_is_not_tried_at_once():
    backoff = Backoff(first=0.5, cap=4.0)
    assert [backoff.failed(0.0) for _ in range(5)] == [0.5, 1.0, 2.0, 4.0, 4.0]
    assert backoff.remaining(1.0) == 3.0
    assert backoff.remaining(5.0) == 0.0


def test_a_link_that_held_is_forgiven_its_past():
    backoff = Backoff(first=0.5, cap=4.0)
    for _ in range(6):
        backoff.failed(0.0)
    backoff.opened(100.0)
    assert backoff.lost(104.0) == 0.0


def test_a_link_that_did_not_hold_is_not():
    backoff = Backoff(first=0.5, cap=4.0)
    for _ in range(6):
        backoff.failed(0.0)
    backoff.opened(100.0)
    assert backoff.lost(103.9) == 4.0


@pytest.mark.parametrize("failures", [100, 5000])
def test_years_of_failures_do_not_overflow(failures):
    backoff = Backoff()
    for _ in range(failures):
        wait = backoff.failed(0.0)
    assert wait == 30.0
