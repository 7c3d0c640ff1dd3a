"""What can keep a command from being asked or decided: each says what, for which meter, and what to do."""

from wattkeeper.collection.errors import CollectionError


class CommandError(CollectionError):
    """A command cannot be asked or decided; base of this folder's errors."""


class BadCommand(CommandError):
    """What is asked makes no sense: no meters, no reason, a parameter that cannot be written."""


class NotOptedIn(CommandError):
    """Closing without anybody at the meter is switched off in this installation."""


class KeepsPower(CommandError):
    """The meter is told to keep power: it must not be tripped."""


class SecondPersonNeeded(CommandError):
    """Who asked cannot also be the one who agrees."""


class UnknownCommand(CommandError):
    """There is no such command, or it is out of reach for whoever asks."""


class TooLate(CommandError):
    """The command has gone too far for that: sent, ended or decided already."""


class StandingOrderRefuses(CommandError):
    """The standing order does not cover this: another kind, another area, expired, not approved, or its cap reached."""
