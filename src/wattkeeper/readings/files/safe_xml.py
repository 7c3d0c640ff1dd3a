"""XML from strangers: read as a stream, some elements at a time, and without any of what makes XML dangerous.

A document type brings entities, and these bombs and the contents of our own files (XXE): a file that has one is refused.
"""

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from xml.parsers import expat

from wattkeeper.readings.errors import FileUnreadable

_CHUNK: Final = 1 << 18
_DEEPEST: Final = 60
_LONGEST: Final = 200_000_000
"""Characters in one element that is looked at as a whole."""


def subtrees(path: Path, name: str, tags: frozenset[str]) -> Iterator[ET.Element]:
    """The outermost elements of these names, whole and one after another; names are without their namespace.

    Raises:
        FileUnreadable: it is not well-formed, or has a document type.

    """
    reader = _Reader(name, tags)
    with path.open("rb") as file:
        try:
            while chunk := file.read(_CHUNK):
                reader.parser.Parse(chunk, False)  # noqa: FBT003 (its own signature)
                yield from reader.taken()
            reader.parser.Parse(b"", True)  # noqa: FBT003
        except expat.ExpatError as error:
            raise FileUnreadable(
                f"{name} is not well-formed XML: {error}.", hint="Was it received to its end?"
            ) from None
    yield from reader.taken()


def root_name(path: Path) -> str | None:
    """The name of a file's outermost element, without its namespace; None when it is no XML."""
    found: list[str] = []
    parser = expat.ParserCreate(namespace_separator="}")
    parser.StartElementHandler = lambda tag, _: found.append(tag.rpartition("}")[2])
    with path.open("rb") as file:
        try:
            while not found and (chunk := file.read(1 << 12)):
                parser.Parse(chunk, False)  # noqa: FBT003
        except expat.ExpatError:
            return found[0] if found else None
    return found[0] if found else None


class _Reader:
    """Builds the wanted elements and lets all others go."""

    def __init__(self, name: str, tags: frozenset[str]) -> None:
        self._name, self._tags = name, tags
        self._depth = 0
        self._length = 0
        self._builder: ET.TreeBuilder | None = None
        self._inside = 0
        self._done: list[ET.Element] = []
        self.parser = expat.ParserCreate(namespace_separator="}")
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text
        self.parser.StartDoctypeDeclHandler = self._doctype

    def taken(self) -> Iterator[ET.Element]:
        """What is complete since the last time."""
        done, self._done = self._done, []
        yield from done

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise FileUnreadable(f"{self._name} nests its elements more than {_DEEPEST} deep.")
        local = tag.rpartition("}")[2]
        if self._builder is None and local in self._tags:
            self._builder, self._inside, self._length = ET.TreeBuilder(), 0, 0
        if self._builder is not None:
            self._inside += 1
            self._builder.start(local, attributes)

    def _text(self, text: str) -> None:
        if self._builder is not None:
            self._length += len(text)
            if self._length > _LONGEST:
                raise FileUnreadable(f"{self._name} has an element that is too long to be looked at.")
            self._builder.data(text)

    def _end(self, tag: str) -> None:
        self._depth -= 1
        if self._builder is None:
            return
        self._builder.end(tag.rpartition("}")[2])
        self._inside -= 1
        if not self._inside:
            self._done.append(self._builder.close())
            self._builder = None

    def _doctype(self, *_: object) -> None:
        raise FileUnreadable(
            f"{self._name} has a document type (DOCTYPE), which could make us read other files.",
            hint="Have it written without one; no format of readings needs it.",
        )
