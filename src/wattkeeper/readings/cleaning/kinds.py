"""What the values of a file are: names only, for whoever must not wait for libraries."""

from enum import StrEnum


class Kind(StrEnum):
    """What the values of a file are."""

    REGISTERS = "registers"
    """What a meter showed at each time."""
    ENERGIES = "energies"
    """The energy of the step that begins at each time."""
    POWER = "power"
    """The mean of the step that begins at each time, of a power or anything else that is no sum."""


class Stamp(StrEnum):
    """Which end of its step a time names."""

    START = "start"
    END = "end"
