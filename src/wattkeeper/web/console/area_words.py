"""Areas in words, and as choices of a form."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from wattkeeper.web.queries.areas import AreaLine
from wattkeeper.web.queries.states import N_

KINDS: Final = {
    "site": N_("Site"),
    "feeder": N_("Feeder"),
    "area": N_("Transformer area"),
    "box": N_("Meter box"),
    "none": N_("No area"),
}


@dataclass(frozen=True, slots=True)
class Choice:
    """A place in a list of choices, set in by its depth; `key` is of a site `site-1`, of an area `area-1`."""

    key: str
    id: int | None
    site_id: int
    name: str


def choices(lines: Sequence[AreaLine]) -> list[Choice]:
    """Every site and area of a tree."""
    return [
        Choice(
            key=f"site-{line.site_id}" if line.id is None else f"area-{line.id}",
            id=line.id,
            site_id=line.site_id,
            name="\u2003" * line.depth + line.name,
        )
        for root in lines
        for line in root.listed
        if line.kind != "none"
    ]
