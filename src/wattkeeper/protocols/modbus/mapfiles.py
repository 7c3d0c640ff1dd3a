"""Register maps read from TOML: everything that is wrong is told at once, with file, line, key and what would be right."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, cast

from wattkeeper.protocols.modbus.coalescing import Limits, Span
from wattkeeper.protocols.modbus.errors import MapError
from wattkeeper.protocols.modbus.maps import Addressing, Detection, Register, RegisterMap, wire_address
from wattkeeper.protocols.modbus.requests import MOST_WORDS, READ_HOLDING, READ_INPUT
from wattkeeper.protocols.modbus.toml_lines import lines_of
from wattkeeper.protocols.modbus.units import UNITS
from wattkeeper.protocols.modbus.values import ORDERS, TYPES, Order, Type

__all__ = ["load_folder", "load_map", "shipped_maps"]

_DEFAULTS = ("function", "type", "order", "scale", "unit", "words", "not_available")
_TOP = {
    *("name", "maker", "models", "source", "shows", "addressing", "extends", "largest_request", "read_over"),
    *("forbidden", "unverified", "registers", "details", "detect", *_DEFAULTS),
}
_REGISTER = {*_DEFAULTS, "address", "coding"}
_DETECT = {*_REGISTER, "equals", "from", "to"}
_ADDRESSINGS = ("wire", "number", "modicon")
_SHOWS = ("primary", "secondary")
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,63}")
_TYPE_LIMIT = "type-limit"


@cache
def shipped_maps() -> Mapping[str, RegisterMap]:
    """The maps that come with the package, by name."""
    folder = files("wattkeeper.protocols.modbus") / "maps"
    sources = {
        entry.name: entry.read_text(encoding="utf-8")
        for entry in folder.iterdir()
        if entry.name.endswith(".toml")
    }
    found = [_parse(text, file, {}) for file, text in sorted(sources.items())]
    return {each.name: each for each in found}


def load_folder(folder: Path, known: Mapping[str, RegisterMap]) -> dict[str, RegisterMap]:
    """The maps of a folder beside those that are known, which they replace by name; `MapError` tells all problems."""
    maps, problems = dict(known), []
    for path in sorted(folder.glob("*.toml")):
        try:
            loaded = load_map(path, known)
        except MapError as error:
            problems += error.problems
        else:
            maps[loaded.name] = loaded
    if problems:
        raise MapError(problems)
    return maps


def load_map(path: Path, known: Mapping[str, RegisterMap] | None = None) -> RegisterMap:
    """The map in a file; `known` are the maps that it may extend."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise MapError([f"There is no file {path}."]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise MapError([f"{path} cannot be read: {error}."]) from None
    return _parse(text, str(path), shipped_maps() if known is None else known)


def _parse(text: str, file: str, known: Mapping[str, RegisterMap]) -> RegisterMap:
    try:
        described = tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        place = re.search(r" \(at line (\d+).*\)$", str(error))
        line = f", line {place[1]}" if place else ""
        reason = str(error)[: place.start()] if place else str(error)
        raise MapError([f"{file}{line}: this is not TOML: {reason}."]) from None
    return _MapReader(described, file, dict(lines_of(text)), known).read()


class _MapReader:
    """One file being read; collects problems until the end."""

    def __init__(
        self, described: dict[str, Any], file: str, lines: dict[str, int], known: Mapping[str, RegisterMap]
    ) -> None:
        self._file = file
        self._lines = lines
        self._known = known
        self._problems: list[str] = []
        self._top = described
        self._base: RegisterMap | None = None

    def read(self) -> RegisterMap:
        self._unknown_keys(self._top, _TOP, "")
        self._base = self._extended()
        addressing = cast(
            "Addressing",
            self._choice("addressing", _ADDRESSINGS, self._base.addressing if self._base else None),
        )
        name = self._text("name", "")
        if name and not _NAME.fullmatch(name):
            self._problem(
                "name", f"{name!r} is not a name: small letters, digits, - and ., such as maker-model"
            )
        registers = self._table("registers", addressing)
        details = self._table("details", addressing)
        detection = tuple(self._detections(addressing))
        if self._base is not None:
            order = self._top.get("order")
            registers = _merged(_reordered(self._base.registers, order), registers)
            details = _merged(_reordered(self._base.details, order), details)
            detection = detection or self._base.detection
        if not registers and not self._problems:
            self._problem("registers", "there is no register; write [registers] and a line for each")
        self._overlaps((*registers, *details))
        limits = self._limits(addressing)
        found = RegisterMap(
            name=name,
            maker=self._text("maker", self._base.maker if self._base else ""),
            models=self._texts("models", self._base.models if self._base else ()),
            source=self._text("source", self._base.source if self._base else ""),
            shows="secondary"
            if self._choice("shows", _SHOWS, self._base.shows if self._base else None) == "secondary"
            else "primary",
            addressing=addressing,
            registers=registers,
            details=details,
            detection=detection,
            limits=limits,
            unverified=self._texts("unverified", self._base.unverified if self._base else ()),
            file=self._file,
            lines=self._lines,
        )
        if self._problems:
            raise MapError(self._problems)
        return found

    # -- what stands at the top

    def _extended(self) -> RegisterMap | None:
        """The map that this one changes in some points."""
        name = self._top.get("extends")
        if name is None:
            return None
        if name not in self._known:
            self._problem("extends", f"there is no map {name!r}{_near(str(name), self._known)}")
        return self._known.get(name)

    def _choice(self, key: str, allowed: tuple[str, ...], inherited: str | None) -> str:
        value = self._top.get(key, inherited)
        if value in allowed:
            return str(value)
        if value is None:
            meaning = {
                "addressing": '"wire" when the maker counts from 0 (or prints addresses in hexadecimal as they are sent), '
                '"number" when from 1, "modicon" for 40001 and 30001',
                "shows": '"primary" when its values include the ratios of its transformers (or it has none), else "secondary"',
            }[key]
            self._problem(key, f"it is missing; write {key} = {meaning}")
        else:
            self._problem(key, f"{value!r} is none of {', '.join(allowed)}")
        return allowed[0]

    def _text(self, key: str, inherited: str) -> str:
        value = self._top.get(key, inherited)
        if not isinstance(value, str) or not value.strip():
            self._problem(key, f'it is missing or no text; write {key} = "..."')
            return ""
        return value.strip()

    def _texts(self, key: str, inherited: tuple[str, ...]) -> tuple[str, ...]:
        value = self._top.get(key, list(inherited))
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            self._problem(key, f'write a list of texts, {key} = ["...", "..."]')
            return ()
        return tuple(value)

    def _limits(self, addressing: Addressing) -> Limits:
        base = self._base.limits if self._base else Limits()
        largest = self._whole("largest_request", base.largest, 1, MOST_WORDS)
        read_over = self._whole("read_over", base.read_over, 0, MOST_WORDS)
        forbidden = list(base.forbidden)
        ranges = self._top.get("forbidden", [])
        if not isinstance(ranges, list) or not all(_is_pair(each) for each in ranges):
            self._problem("forbidden", "write pairs of first and last address, forbidden = [[100, 119]]")
            ranges = []
        for first, last in ranges:
            try:
                (start, told), (end, _) = wire_address(addressing, first), wire_address(addressing, last)
            except ValueError as error:
                self._problem("forbidden", str(error))
                continue
            functions = (READ_HOLDING, READ_INPUT) if told is None else (told,)
            forbidden += [Span(function, start, end + 1) for function in functions]
        return Limits(largest, read_over, tuple(forbidden))

    def _whole(self, key: str, inherited: int, least: int, most: int) -> int:
        value = self._top.get(key, inherited)
        if isinstance(value, int) and least <= value <= most:
            return value
        self._problem(key, f"{value!r} is no number from {least} to {most}")
        return inherited

    # -- registers

    def _table(self, section: str, addressing: Addressing) -> tuple[Register, ...]:
        table = self._top.get(section, {})
        if not isinstance(table, dict):
            self._problem(section, f"write a table, [{section}], with a line for each register")
            return ()
        found = [self._register(f"{section}.{key}", key, entry, addressing) for key, entry in table.items()]
        return tuple(register for register in found if register is not None)

    def _detections(self, addressing: Addressing) -> Iterator[Detection]:
        for number, entry in enumerate(self._top.get("detect", [])):
            place = f"detect[{number}]"
            register = self._register(place, "detection", entry, addressing, allowed=_DETECT)
            if register is None:
                continue
            equals = entry.get("equals", [])
            bounds = (entry.get("from"), entry.get("to"))
            if bool(equals) == (None not in bounds):
                self._problem(
                    place, "say what is expected: equals = [1648, 1649], or from = 1648 and to = 1653"
                )
                continue
            yield Detection(
                register,
                tuple(each if isinstance(each, str) else Decimal(each) for each in equals),
                *(None if bound is None else Decimal(bound) for bound in bounds),
            )

    def _register(
        self, place: str, key: str, entry: Any, addressing: Addressing, *, allowed: set[str] = _REGISTER
    ) -> Register | None:
        if not isinstance(entry, dict):
            self._problem(place, 'write { address = 0, unit = "V" } behind it')
            return None
        before = len(self._problems)
        self._unknown_keys(entry, allowed, place)
        kind = self._entry(entry, "type")
        if kind not in TYPES:
            self._problem(place, _missing("type", kind, TYPES))
            return None
        words = TYPES[kind] or self._entry(entry, "words")
        if not (isinstance(words, int) and 1 <= words <= MOST_WORDS):
            self._problem(place, f"type = {kind!r} needs words, the number of registers: words = 8")
            return None
        span = self._span(entry, place, words, addressing)
        order = self._entry(entry, "order") or "ABCD"
        if order not in ORDERS:
            self._problem(place, _missing("order", order, ORDERS))
        unit = self._entry(entry, "unit") or ""
        if unit not in UNITS:
            self._problem(place, f"{unit!r} is no unit that is known{_near(str(unit), UNITS)}")
        if entry.get("coding") not in (None, "four-quadrant"):
            self._problem(place, f"{entry['coding']!r} is no coding; there is four-quadrant")
        scale = self._scale(entry, place)
        absent = self._absent(entry, place, cast("Type", kind), words)
        if span is None or len(self._problems) > before:
            return None
        return Register(
            key,
            span,
            cast("Type", kind),
            cast("Order", order),
            scale,
            unit,
            absent,
            four_quadrants="coding" in entry,
        )

    def _entry(self, entry: dict[str, Any], key: str) -> Any:
        """A register's own value, or the file's default."""
        return entry.get(key, self._top.get(key))

    def _span(self, entry: dict[str, Any], place: str, words: int, addressing: Addressing) -> Span | None:
        address = entry.get("address")
        if not isinstance(address, int):
            self._problem(place, "it has no address; write address = 0 (0x0000 for hexadecimal)")
            return None
        try:
            start, told = wire_address(addressing, address)
        except ValueError as error:
            self._problem(place, f"address {address}: {error}")
            return None
        function = entry.get("function", told or self._top.get("function", READ_HOLDING))
        if function not in (READ_HOLDING, READ_INPUT):
            self._problem(place, f"{function!r} reads no registers; function = 3 (holding) or 4 (input)")
            return None
        if told is not None and function != told:
            self._problem(
                place, f"address {address} is of function {told}, and function = {function} is given"
            )
        if start + words > 0x10000:  # noqa: PLR2004 - addresses have 16 bits
            self._problem(place, f"its {words} registers from {address} on go beyond the last address")
            return None
        return Span(function, start, start + words)

    def _scale(self, entry: dict[str, Any], place: str) -> Decimal:
        value = entry.get("scale", self._top.get("scale", 1))
        try:
            scale = Decimal(str(value))
        except InvalidOperation:
            scale = Decimal(0)
        if not scale.is_finite() or scale == 0:
            self._problem(place, f"scale = {value!r} is no number but 0; write scale = 0.1")
            return Decimal(1)
        return scale

    def _absent(self, entry: dict[str, Any], place: str, kind: Type, words: int) -> frozenset[bytes]:
        """The bytes that mean "no value"."""
        value = entry.get("not_available", self._top.get("not_available", []))
        if value == _TYPE_LIMIT:
            ones = b"\xff" * (2 * words)
            if kind == "string" or kind.startswith("float"):
                return frozenset()
            return frozenset({b"\x7f" + ones[1:] if kind.startswith("int") else ones})
        given = value if isinstance(value, list) else [value]
        size = 2 * words
        if not all(isinstance(each, int) and 0 <= each < 1 << 8 * size for each in given):
            self._problem(
                place,
                f'not_available = {value!r}: write "{_TYPE_LIMIT}", or the register\'s content, as [0xFFFF]',
            )
            return frozenset()
        return frozenset(each.to_bytes(size) for each in given)

    def _overlaps(self, registers: tuple[Register, ...]) -> None:
        """Two values that share registers are most often a slip in an address or a type."""
        before: Register | None = None
        for register in sorted(registers, key=lambda each: each.span):
            if before is not None and before.span != register.span and _touch(before.span, register.span):
                key = f"registers.{register.key}"
                place = key if key in self._lines else f"details.{register.key}"
                self._problem(
                    place, f"its registers {register.span.key} overlap {before.key} ({before.span.key})"
                )
            before = register

    # -- problems

    def _unknown_keys(self, table: Mapping[str, Any], allowed: set[str], place: str) -> None:
        for key in table:
            if key not in allowed:
                where = f"{place}.{key}" if place else key
                self._problem(where, f"there is no entry {key!r}{_near(key, allowed)}")

    def _problem(self, key: str, what: str) -> None:
        line = self._lines.get(key) or self._lines.get(key.rpartition(".")[0])
        self._problems.append(f"{self._file}{f', line {line}' if line else ''}: {key}: {what}.")


def _reordered(registers: tuple[Register, ...], order: Order | None) -> tuple[Register, ...]:
    """Inherited registers in the order that the extending map says: a setting that meters of one kind may differ in."""
    if order not in ORDERS:
        return registers
    return tuple(
        each if each.words == 1 or each.kind == "string" else replace(each, order=order) for each in registers
    )


def _merged(base: tuple[Register, ...], own: tuple[Register, ...]) -> tuple[Register, ...]:
    return tuple(({each.key: each for each in base} | {each.key: each for each in own}).values())


def _touch(one: Span, other: Span) -> bool:
    return one.function == other.function and other.start < one.end


def _is_pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(isinstance(each, int) for each in value)  # noqa: PLR2004


def _missing(key: str, value: Any, allowed: Mapping[str, Any] | tuple[str, ...]) -> str:
    if value is None:
        return f"it has no {key}; write it here or once at the top: one of {', '.join(allowed)}"
    return f"{value!r} is no {key}{_near(str(value), allowed)}; there are {', '.join(allowed)}"


def _near(word: str, known: Any) -> str:
    found = get_close_matches(word, list(known), n=1)
    return f"; is {found[0]!r} meant?" if found else ""
