"""What can go wrong between wanting a value and having it: each says what happened, to whom, and what to do."""

from wattkeeper.kernel.errors import WattkeeperError


class CollectionError(WattkeeperError):
    """A reading could not be had; base of this room's errors."""


class CollectorStopped(CollectionError):
    """The collector is not running, so nothing can be read through it."""


class UnknownMeter(CollectionError):
    """The collector knows no such meter: it is not registered, or disabled, or has no enabled link."""


class AnotherCollects(CollectionError):
    """Another process reads the meters of this ledger database."""


class UnknownWord(CollectionError):
    """A word on the command line names no quantity and no group of quantities."""


class LastPlan(CollectionError):
    """The only reading plan there is cannot be deleted: at the next start there would be the usual ones again."""


class ReadFailed(CollectionError):
    """A meter was asked and gave no usable answer."""


class UnknownProtocol(CollectionError):
    """A protocol that a meter is not asked in here."""


class BadAddress(CollectionError):
    """A meter's address is not 12 digits."""


class LineDisturbed(CollectionError):
    """A line makes noise whatever is asked, so that nothing can be found on it."""
