"""What transmission tells other rooms: frozen values."""

from dataclasses import dataclass
from datetime import datetime

from wattkeeper.readings.transmission.identities import MeterIdentity


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """Whose a batch is, and its name there."""

    collector: str
    """The outbox's own id, 16 hexadecimal digits."""
    name: str
    """What people call the collector: the name of its token."""
    run: str
    last: int
    """The sequence of the last batch of the outbox in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What became of a delivery."""

    acknowledged: int
    """The run's batches up to this sequence are stored here."""
    rows: int
    accepted: int
    """Rows that are now the current value of their key; of exchanges, those that were not here yet."""
    unknown: tuple[MeterIdentity, ...]
    """Meters that are not registered here: their rows were not taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteCollectorView:
    """A remote collector as the platform sees it."""

    id: str
    name: str
    first_at: datetime
    last_at: datetime
    readings: int
    unknown: tuple[MeterIdentity, ...]
    """Meters it reads that are not registered here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardStatus:
    """How a remote collector gets on with sending."""

    url: str
    collector: str | None
    """Its id; None until its outbox was opened."""
    batches: int
    """Batches in the outbox that the platform has not acknowledged."""
    rows: int
    """Readings, and exchanges where frames travel, in them."""
    bytes: int
    oldest_at: datetime | None
    """When the oldest of them was recorded here."""
    sent: int
    """Readings and exchanges acknowledged since this process began."""
    sent_bytes: int
    """What these took on the way."""
    acknowledged_at: datetime | None
    """When the platform acknowledged last."""
    error: str | None
    """Why it cannot be sent, or put into the outbox, at the moment."""
    unknown: tuple[MeterIdentity, ...]
    """Meters that the platform does not know; their readings wait in the store here."""
