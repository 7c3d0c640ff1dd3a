"""What goes wrong about alarms and notices."""

from wattkeeper.kernel.errors import WattkeeperError


class MonitoringError(WattkeeperError):
    """Something about findings, recipients or notices."""


class UnknownFinding(MonitoringError):
    """There is no such alarm, or it lies out of scope."""

    def __init__(self, finding_id: int) -> None:
        super().__init__(f"There is no alarm {finding_id}.")


class AlreadyAcknowledged(MonitoringError):
    """Somebody has acknowledged this alarm before."""

    def __init__(self, finding_id: int, by: str) -> None:
        super().__init__(f"The alarm {finding_id} was acknowledged by {by} already.")


class UnknownRecipient(MonitoringError):
    """There is no such recipient of notices."""

    def __init__(self, recipient_id: int) -> None:
        super().__init__(f"There is no recipient {recipient_id}.")


class RecipientRefused(MonitoringError):
    """A recipient cannot be added like that."""


class RecipientExists(MonitoringError):
    """The same address is told of the same part of the network already."""


class MailNotSetUp(MonitoringError):
    """No mail server is named in the settings."""


class BadCursor(MonitoringError):
    """A cursor that no list of ours has given out."""
