"""What a server has loaded is not looked through again and again."""

import gc

import pytest

from wattkeeper.kernel.garbage import keep_pauses_short


class Ring:
    """Something that only the garbage collector can take away."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def as_before():
    thresholds = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)


def rings():
    return sum(type(one) is Ring for one in gc.get_objects())


def test_what_lives_is_out_of_sight_garbage_is_gone_and_later_garbage_is_found():
    stays = Ring()
    Ring()
    keep_pauses_short()
    assert (gc.get_freeze_count() > 0, rings()) == (True, 0)
    gc.unfreeze()
    assert rings() == 1, "only the one that is used was kept"
    keep_pauses_short()
    Ring()
    assert rings() == 1
    gc.collect()
    assert rings() == 0
    assert stays.itself is stays
