"""What can go wrong between a remote collector and the platform, each a sentence for the person who has to act."""

from wattkeeper.readings.errors import ReadingsError


class BadBatch(ReadingsError):
    """Bytes that are no batch, or a damaged one; nothing of it was taken."""


class UnknownBatchVersion(BadBatch):
    """A batch of a version that this program does not know."""


class BatchTooLarge(BadBatch):
    """More rows or bytes than a batch may have."""


class BaseUnknown(ReadingsError):
    """The batch says what changed since one that this receiver does not remember; it has to come self-contained."""


class OutboxFull(ReadingsError):
    """The outbox has no room: its bound is reached or its disk is full; what it holds already is safe."""


class OutboxUnusable(ReadingsError):
    """The outbox's folder cannot be read or written."""


class NothingForwarded(ReadingsError):
    """A server that is no remote collector was asked about its outbox."""

    def __init__(self) -> None:
        super().__init__(
            "This server sends its readings nowhere.",
            hint="Set forward_url and forward_token, and start again.",
        )
