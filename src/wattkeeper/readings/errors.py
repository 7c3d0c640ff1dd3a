"""What can go wrong in the readings store, each a sentence for the person who has to act."""

import difflib
from collections.abc import Iterable

from wattkeeper.kernel.errors import WattkeeperError


class ReadingsError(WattkeeperError):
    """The readings store could not do what was asked."""


class UnknownQuantity(ReadingsError):
    """A key that is not in the quantity catalogue."""

    def __init__(self, key: str, known: Iterable[str]) -> None:
        self.key = key
        near = difflib.get_close_matches(key, list(known), n=3)
        super().__init__(
            f"There is no quantity {key!r} in the catalogue.",
            hint=f"Did you mean {', '.join(near)}?"
            if near
            else "wattkeeper.readings.quantities lists every key.",
        )


class BadReadings(ReadingsError):
    """A batch that cannot be stored as it is; none of it was."""


class StoreTooNew(ReadingsError):
    """The store was written by a newer version of the product."""


class StoreBusy(ReadingsError):
    """Another process owns the embedded store."""

    def __init__(self, location: str, process_id: int | None) -> None:
        self.process_id = process_id
        owner = f"process {process_id}" if process_id is not None else "another process"
        super().__init__(
            f"The readings store {location} is open in {owner}.",
            hint="Use the running server, or stop it first; an embedded store has one owner at a time.",
        )


class StoreDamaged(ReadingsError):
    """The store's catalogue cannot be opened."""


class StoreUnavailable(ReadingsError):
    """The catalogue's database does not answer, or the folder cannot be used."""


class StoreFull(ReadingsError):
    """The disk is full; the batch was not stored and may be given again."""


class BadMapping(ReadingsError):
    """What is said of a file's columns cannot be, or is not enough to read it."""


class FileUnreadable(ReadingsError):
    """A file is not what it should be, so that nothing in it can be read."""


class NothingImported(ReadingsError):
    """A file has errors, and was to be imported as a whole or not at all."""
