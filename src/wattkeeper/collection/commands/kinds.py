"""What a meter can be told, and the states that a command goes through."""

from enum import StrEnum
from typing import Final


class CommandKind(StrEnum):
    """One thing that a meter can be told to do (DL/T 645-2007 control codes 1CH and 14H)."""

    TRIP = "trip"
    """跳闸: open the relay."""
    CLOSE_ALLOWED = "close_allowed"
    """合闸允许: the customer may close the relay by the meter's key."""
    CLOSE = "close"
    """直接合闸: close the relay, whoever is at the wires."""
    ALARM_ON = "alarm_on"
    ALARM_OFF = "alarm_off"
    KEEP_POWER_ON = "keep_power_on"
    """保电: refuse to trip from now on."""
    KEEP_POWER_OFF = "keep_power_off"
    SET_CLOCK = "set_clock"
    SET_PARAMETER = "set_parameter"


BY_TWO: Final = frozenset({CommandKind.TRIP, CommandKind.CLOSE})
"""What cuts somebody off, or puts wires under voltage with nobody there to look: a second person must agree."""
STANDING: Final = frozenset({CommandKind.TRIP, CommandKind.CLOSE_ALLOWED})
"""What a standing order may allow beforehand: cutting off for debt, and putting back after payment."""
NEVER_IN_A_BATCH: Final = frozenset({CommandKind.SET_PARAMETER, CommandKind.CLOSE})
"""What is for one meter at a time: a wrong parameter, or wires under voltage, in a thousand places at once."""


class CommandState(StrEnum):
    """How far a command has come. What is in `OPEN` may still be sent, or may still turn out to have worked."""

    ASKED = "asked"
    """Waits for a second person."""
    APPROVED = "approved"
    QUEUED = "queued"
    """Its meter's link has taken it over."""
    SENDING = "sending"
    """Committed before a byte leaves: from here on the meter may have got it."""
    CONFIRMED = "confirmed"
    """The meter's own state shows it."""
    FAILED = "failed"
    """The meter refused, or its state shows that it did not act and, its time being over, will not."""
    EXPIRED = "expired"
    """Its time ran out before it was sent: nothing has left."""
    UNKNOWN = "unknown"
    """It may have been sent, and the meter's state could not be read since."""
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"


WAITING: Final = frozenset({CommandState.ASKED, CommandState.APPROVED, CommandState.QUEUED})
"""Nothing has left yet: it can be taken back, and it expires."""
TO_SEND: Final = frozenset({CommandState.APPROVED, CommandState.QUEUED})
OPEN: Final = WAITING | {CommandState.SENDING, CommandState.UNKNOWN}
ENDED: Final = frozenset(CommandState) - OPEN


class Outcome(StrEnum):
    """Why a command is in its state, for those that need a reason."""

    READ_BACK = "read_back"
    """The meter's state shows it, read after sending."""
    ALREADY_SO = "already_so"
    """The meter's state showed it before; nothing was sent."""
    REFUSED = "refused"
    """The meter answered with an error."""
    KEEPS_POWER = "keeps_power"
    """The meter is told to keep power, so that nothing was sent."""
    NOT_SHOWN = "not_shown"
    """Its state does not show it, and its time is over."""
    NO_ANSWER = "no_answer"
    LINK_DOWN = "link_down"
    SERVER_STOPPED = "server_stopped"
    """The server ended between the decision to send and the answer."""
    NO_DRIVER = "no_driver"
    """No driver gives this command to meters of this protocol."""
    BEFORE_IT = "before_it"
    """An earlier command to the same meter is not resolved yet."""
    TOO_LATE = "too_late"
    CLOCK_UNKNOWN = "clock_unknown"
    """The meter's clock could not be read, and without it the command has no expiry."""
    WANTS_AUTHENTICATION = "wants_authentication"
    """The meter takes commands only in ciphered form, which needs a security module."""
    NO_PASSWORD = "no_password"  # noqa: S105 - a reason, no secret
    """No meter password is set in this installation."""
