"""Areas in words, and as choices of a form."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from wattkeeper.web.console.meters import area_choices
from wattkeeper.web.language import Language
from wattkeeper.web.queries.areas import AreaLine
from wattkeeper.web.queries.states import N_
from wattkeeper.web.services import Services

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


def place_choices(services: Services, say: Language, *, plain: bool = False) -> list[tuple[str, str]]:
    """Everywhere, then every site and area: as `""`, `site:3`, `area:7`; `plain` without the indentation of the tree."""
    found = [("", say.text("everywhere"))]
    with services.database.read() as session:
        registry = services.registry(session)
        for site in registry.sites():
            found.append((f"site:{site.id}", site.name))
            areas = area_choices(registry.area_tree(site.id), 0 if plain else 1)
            found += [(f"area:{area.id}", area.name.strip() if plain else area.name) for area in areas]
    return found
