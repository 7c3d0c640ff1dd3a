"""A YAML or JSON document as texts with line numbers, so that an error can name its place.

Scalars stay the text that was written: 0.10 never passes through a float.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, NoReturn

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from wattkeeper.billing.errors import TariffError

_NOTHING = {"", "~", "null"}


@dataclass(frozen=True)
class Entry:
    """One value of a document and where it stands."""

    value: "str | dict[str, Entry] | list[Entry] | None"
    file: str
    line: int

    @classmethod
    def of_yaml(cls, text: str, *, file: Path | str) -> "Entry":
        """The document of a YAML text."""
        try:
            root = YAML(typ="safe", pure=True).compose(text)
        except MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            raise TariffError(
                f"this is not YAML: {error.problem}.",
                file=file,
                line=line,
                hint="Check quotes, colons and indents.",
            ) from error
        if root is None:
            raise TariffError(
                "the file is empty.", file=file, line=1, hint="Start from one of the shipped tariffs."
            )
        return _of_node(root, str(file))

    @classmethod
    def of_plain(cls, content: Any, *, file: str) -> "Entry":
        """The document of what `plain` gave; it has no lines."""
        if isinstance(content, dict):
            return cls({key: cls.of_plain(item, file=file) for key, item in content.items()}, file, 0)
        if isinstance(content, list):
            return cls([cls.of_plain(item, file=file) for item in content], file, 0)
        return cls(None if content is None else str(content), file, 0)

    def plain(self) -> Any:
        """The value as JSON, without lines."""
        if isinstance(self.value, dict):
            return {key: item.plain() for key, item in self.value.items()}
        if isinstance(self.value, list):
            return [item.plain() for item in self.value]
        return self.value

    def refuse(self, message: str, hint: str) -> NoReturn:
        """Raise TariffError here."""
        raise TariffError(message, file=self.file, line=self.line, hint=hint)

    # mappings
    def only(self, *known: str) -> None:
        """Refuse keys that mean nothing here: a misspelt price must not vanish."""
        for key, item in self.items():
            if key not in known:
                item.refuse(f"'{key}' means nothing here.", f"Write one of: {', '.join(known)}.")

    def items(self) -> Iterable[tuple[str, "Entry"]]:
        """The pairs of a mapping."""
        if not isinstance(self.value, dict):
            self.refuse("a mapping is expected here.", "Write `key: value` lines, indented.")
        return self.value.items()

    def get(self, key: str) -> "Entry | None":
        """The value of a key, None when it is absent or empty."""
        found = dict(self.items()).get(key)
        return None if found is None or found.value is None else found

    def need(self, key: str, hint: str) -> "Entry":
        """The value of a key that must be there."""
        if (found := self.get(key)) is None:
            self.refuse(f"'{key}' is missing.", hint)
        return found

    # sequences and scalars
    def __iter__(self) -> Iterator["Entry"]:
        if not isinstance(self.value, list):
            self.refuse("a list is expected here.", "Write [a, b] or one `- item` a line.")
        return iter(self.value)

    @property
    def is_list(self) -> bool:
        """Whether this is a list."""
        return isinstance(self.value, list)

    @property
    def is_mapping(self) -> bool:
        """Whether this is a mapping."""
        return isinstance(self.value, dict)

    def text(self) -> str:
        """A single text."""
        if not isinstance(self.value, str):
            self.refuse("a single value is expected here.", "Write one text or number.")
        return self.value

    def one_of(self, choices: Iterable[str]) -> str:
        """One of a few words."""
        allowed = list(choices)
        if (word := self.text()) not in allowed:
            self.refuse(f"'{word}' is not known here.", f"Write one of: {', '.join(allowed)}.")
        return word

    def decimal(self) -> Decimal:
        """A number, exactly as written."""
        try:
            number = Decimal(self.text())
        except InvalidOperation:
            self.refuse(f"'{self.text()}' is not a number.", "Write a plain decimal number such as 0.4883.")
        if not number.is_finite():
            self.refuse(f"'{self.text()}' is not a number.", "Write a plain decimal number such as 0.4883.")
        return number

    def integer(self, low: int, high: int) -> int:
        """A whole number within bounds."""
        text = self.text()
        if not re.fullmatch(r"\d{1,6}", text) or not low <= int(text) <= high:
            self.refuse(f"'{text}' is not a whole number from {low} to {high}.", "Correct the number.")
        return int(text)

    def day(self) -> date:
        """A civil date."""
        try:
            return date.fromisoformat(self.text())
        except ValueError:
            self.refuse(f"'{self.text()}' is not a date.", "Write it as 2024-07-01.")

    def months(self) -> frozenset[int]:
        """Months as "1-12", "5" or [1-2, 12]."""
        parts = [item.text() for item in self] if self.is_list else self.text().split(",")
        found: set[int] = set()
        for part in parts:
            match = re.fullmatch(r"\s*(\d{1,2})(?:-(\d{1,2}))?\s*", part)
            first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
            if not 1 <= first <= last <= 12:  # noqa: PLR2004 - months
                self.refuse(
                    f"'{part}' is not a month or a span of months.", "Write 7, 5-10, or [1-4, 11-12]."
                )
            found.update(range(first, last + 1))
        return frozenset(found)


def _of_node(node: Node, file: str) -> Entry:
    line = node.start_mark.line + 1
    if isinstance(node, MappingNode):
        found: dict[str, Entry] = {}
        for key, value in node.value:
            if key.value in found:
                place = Entry(None, file, key.start_mark.line + 1)
                place.refuse(f"'{key.value}' is written twice.", "Keep one of the two.")
            found[str(key.value)] = _of_node(value, file)
        return Entry(found, file, line)
    if isinstance(node, SequenceNode):
        return Entry([_of_node(item, file) for item in node.value], file, line)
    assert isinstance(node, ScalarNode)
    empty = node.style is None and node.value in _NOTHING
    return Entry(None if empty else str(node.value), file, line)
