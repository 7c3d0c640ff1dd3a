"""The stores of a data folder that no server owns, opened by a command for as long as it runs."""

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wattkeeper.parts import Parts
    from wattkeeper.settings import Settings


@contextmanager
def opened(settings: "Settings") -> Iterator["Parts"]:
    """The parts of the folder; what is done meanwhile is done by the operating system's user."""
    from wattkeeper.parts import Parts
    from wattkeeper.security.acting import acting
    from wattkeeper.security.values import local_administrator

    parts = Parts.open(settings)
    try:
        with acting(local_administrator(getpass.getuser()).actor("local")):
            yield parts
    finally:
        parts.close()
