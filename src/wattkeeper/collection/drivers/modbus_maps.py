"""The register maps of this installation: the shipped ones and those of the user's folder, held to the catalogue."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path

from wattkeeper.collection.errors import CollectionError
from wattkeeper.protocols.modbus.errors import MapError
from wattkeeper.protocols.modbus.mapfiles import load_folder, load_map, shipped_maps
from wattkeeper.protocols.modbus.maps import RegisterMap
from wattkeeper.protocols.modbus.units import factor
from wattkeeper.readings.quantities import QUANTITIES
from wattkeeper.registry.errors import BadValue
from wattkeeper.registry.rules import SideOf
from wattkeeper.registry.sides import Shows

__all__ = ["BadMap", "UnknownMap", "known_maps", "map_named", "read_map", "side_of_maps"]


class BadMap(CollectionError):
    """A register map cannot be used; every problem stands on a line of its own."""


class UnknownMap(CollectionError):
    """A meter's model names no register map."""


def known_maps(folder: Path | None = None) -> Mapping[str, RegisterMap]:
    """Every map by its name; those of the folder come before shipped ones of the same name. Raises BadMap."""
    if folder is None:
        return shipped_maps()
    if not folder.is_dir():
        raise BadMap(f"There is no folder {folder} of register maps.", hint="Make it, or name another one.")
    try:
        maps = load_folder(folder, shipped_maps())
    except MapError as error:
        raise _bad(error.problems) from None
    problems = [
        problem for each in maps.values() if each.file.startswith(str(folder)) for problem in _strange(each)
    ]
    if problems:
        raise _bad(problems)
    return maps


def read_map(path: Path) -> RegisterMap:
    """The map in a file, with every check that there is. Raises BadMap."""
    try:
        found = load_map(path)
    except MapError as error:
        raise _bad(error.problems) from None
    if problems := list(_strange(found)):
        raise _bad(problems)
    return found


def map_named(name: str, maps: Mapping[str, RegisterMap]) -> RegisterMap:
    """The map of a name; UnknownMap tells the nearest one."""
    if name in maps:
        return maps[name]
    near = get_close_matches(name, list(maps), n=1, cutoff=0.4)
    meant = f" Did you mean {near[0]}?" if near else ""
    what = (
        f"There is no register map {name!r}." if name else "A Modbus meter needs a register map as its model."
    )
    raise UnknownMap(
        f"{what}{meant}", hint="`wattkeeper modbus maps` lists them; `wattkeeper modbus probe` finds one."
    )


def side_of_maps(maps: Mapping[str, RegisterMap]) -> SideOf:
    """What the registry is told of models: a Modbus meter's is a map, and shows what the map says."""

    def side_of(protocol: str, model: str) -> Shows | None:
        if not protocol.startswith("modbus"):
            return None
        try:
            return Shows(map_named(model, maps).shows)
        except UnknownMap as error:
            raise BadValue("model", error.message, hint=error.hint) from None

    return side_of


def _strange(found: RegisterMap) -> Iterable[str]:
    """What the catalogue of quantities says against a map."""
    for register in found.registers:
        entry = QUANTITIES.get(register.key)
        line = found.lines.get(f"registers.{register.key}")
        place = f"{found.file}{f', line {line}' if line else ''}: registers.{register.key}"
        if entry is None:
            near = get_close_matches(register.key, list(QUANTITIES), n=1)
            meant = f"is {near[0]!r} meant? Else" if near else "it"
            yield f"{place}: the catalogue has no such quantity; {meant} it belongs under [details].".replace(
                "it it", "it"
            )
        elif factor(register.unit, entry.unit) is None:
            given = f"unit {register.unit!r}" if register.unit else "no unit"
            yield f"{place}: {given}; {register.key} is told in {entry.unit!r} or what can be turned into it."


def _bad(problems: list[str]) -> BadMap:
    return BadMap("\n".join(problems), hint="docs/howto/add-a-modbus-meter.md says how a map is written.")
