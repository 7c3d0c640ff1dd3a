"""The side of the instrument transformers that a meter's values are of: without the tables, for `wattkeeper read`."""

from enum import StrEnum


class Shows(StrEnum):
    """Whether a meter's register counts what flows through it or, by its own setting, what flows in the mains."""

    PRIMARY = "primary"
    SECONDARY = "secondary"
