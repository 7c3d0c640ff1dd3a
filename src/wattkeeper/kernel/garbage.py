"""Pauses of the garbage collector, which stop every thread: a server keeps them short and rare."""

import gc
from typing import Final

_THRESHOLDS: Final = (2_000, 20, 100)
"""New objects, then runs over the young, then over the middle-aged, until the next older ones are looked through.

Python's own (700, 10, 10) look through everything that lives thirty times while 16,000 meters are read once, some 50 ms
each time, and find next to nothing: what the collector leaves behind is no ring and goes by itself.
"""


def keep_pauses_short() -> None:
    """Take what lives now out of the garbage collector's sight, for as long as the process lives, and let it look rarely.

    To be called once, when everything that stays is loaded: garbage is collected before, or it would stay too.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
