"""One process reads the meters of a ledger database, however many serve its pages."""

from collections.abc import Callable
from typing import Final

from wattkeeper.collection.errors import AnotherCollects
from wattkeeper.kernel.database import Database

_METERS: Final = 0x77617474_6D657472
"""The right to read the meters of a ledger database: "wattmetr"."""


def own_meters(database: Database) -> Callable[[], None]:
    """Be the one that reads the meters until what is returned is called; raises AnotherCollects.

    Two masters would talk into each other's requests on every line.
    """
    let_go = database.hold(_METERS)
    if let_go is None:
        raise AnotherCollects(
            "Another server reads the meters of this ledger database.",
            hint="Stop it first, or let this one serve pages only: WATTKEEPER_COLLECT=false.",
        )
    return let_go
