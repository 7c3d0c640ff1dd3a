"""What can keep an edit from being asked or decided: each says what, of which meter or point, and what to do."""

from wattkeeper.readings.errors import ReadingsError


class EditError(ReadingsError):
    """An edit cannot be asked or decided; base of this folder's errors."""


class BadEdit(EditError):
    """What is asked makes no sense: no values, no reason, a value that cannot be, a moment off the grid."""


class UnknownEdit(EditError):
    """There is no such edit, or it is out of reach for whoever asks."""


class SecondReaderNeeded(EditError):
    """Who asked for an edit, or for its undoing, cannot also be the one who agrees."""


class EditDecided(EditError):
    """The edit has gone too far for that: decided, carried out or taken back already."""
