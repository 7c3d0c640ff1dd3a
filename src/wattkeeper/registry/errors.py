"""What can be wrong with master data, said to the person who enters it."""

from datetime import datetime
from decimal import Decimal

from wattkeeper.kernel.errors import WattkeeperError


class RegistryError(WattkeeperError):
    """Master data that cannot be kept as given."""


class NotFound(RegistryError):
    """There is no such thing."""

    def __init__(self, kind: str, key: object) -> None:
        super().__init__(f"There is no {kind} {key}.", hint=f"Look it up in the list of {kind}s.")
        self.kind = kind
        self.key = key


class AlreadyExists(RegistryError):
    """Another one has this code or address."""

    def __init__(self, kind: str, key: str) -> None:
        super().__init__(f"There is a {kind} {key} already.", hint="Change that one, or choose another code.")
        self.kind = kind
        self.key = key


class BadValue(RegistryError):
    """A value that cannot be right; ``field`` names it."""

    def __init__(self, field: str, message: str, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.field = field


class RecordedOtherwise(BadValue):
    """What is said of a thing is not what is on record of it."""


class PeriodTaken(RegistryError):
    """A point has another meter or account, or a meter hangs elsewhere, in the period that was asked for."""

    def __init__(self, what: str, *, held_by: str, since: datetime, until: datetime | None) -> None:
        to = "still" if until is None else f"until {until:%Y-%m-%d %H:%M} UTC"
        super().__init__(
            f"{what} is taken by {held_by}, since {since:%Y-%m-%d %H:%M} UTC and {to}.",
            hint="End that first, or choose a later time; for another meter at the same point use the meter exchange.",
        )
        self.since = since
        self.until = until


class InstalledElsewhere(RegistryError):
    """A meter hangs at a point at that time, or later; ``since`` and ``until`` are told as they come, in the site's time."""

    def __init__(self, address: str, *, point: str, since: datetime, until: datetime | None) -> None:
        to = "still" if until is None else f"until {until:%Y-%m-%d %H:%M}"
        super().__init__(
            f"Meter {address} is installed at metering point {point}, since {since:%Y-%m-%d %H:%M} and {to}.",
            hint="Compare the address with the meter's label, or record an exchange at that metering point first.",
        )


class NothingInstalled(RegistryError):
    """The point has no meter, or no account, that could be taken away at that time."""


class RegisterOutOfRange(RegistryError):
    """A register reading that the meter's display cannot show."""

    def __init__(self, value: Decimal, *, address: str, digits: int, decimals: int) -> None:
        super().__init__(
            f"Meter {address} shows {digits} digits and {decimals} decimals, so its register cannot read {value:f}.",
            hint="Read the display again, or correct the meter's number of digits first.",
        )
        self.value = value
