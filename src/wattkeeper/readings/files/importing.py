"""Import of readings from a file: look first, then all of it, or what of it is right.

A file is staged once, judged as a whole, and taken in in batches, each of which the store keeps whole or not at all. A
file that was stopped half way may be imported again: what is in already is dropped as a repeat.
"""

import codecs
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from sqlalchemy.orm import Session

from wattkeeper.kernel.database import Database
from wattkeeper.readings.errors import BadMapping, FileUnreadable, NothingImported
from wattkeeper.readings.files import espi, iec61968, incoming, staging
from wattkeeper.readings.files.incoming import Looked
from wattkeeper.readings.files.mapping import Mapping, Role, detected, fingerprint
from wattkeeper.readings.files.repository import FileMappings
from wattkeeper.readings.files.safe_xml import root_name
from wattkeeper.readings.files.self_described import Value, WrongValue, stage_values
from wattkeeper.readings.files.sheets import Sheet, open_sheet
from wattkeeper.readings.files.staging import Stage
from wattkeeper.readings.schemas import Appended
from wattkeeper.readings.store import ReadingsStore
from wattkeeper.registry.scope import Scope
from wattkeeper.security.acting import current_actor
from wattkeeper.security.audit import record

Progress = Callable[[str, int, int | None], None]
"""Called with what is being done (``reading``, ``storing``), how far it is, and how far it goes where that is known."""

SAMPLE_SHOWN: Final = 8


class Broken(StrEnum):
    """What becomes of a file that has wrong cells."""

    REFUSE = "refuse"
    """Nothing of it is taken in."""
    SKIP = "skip"
    """The wrong cells are left out, all else is taken in."""


@dataclass(frozen=True)
class Preview:
    """What a file is taken to be, and what is in it. Nothing was written."""

    name: str
    headings: tuple[str, ...]
    sample: tuple[tuple[str, ...], ...]
    mapping: Mapping | None
    """None for formats that say themselves what they have."""
    remembered: bool
    """Whether it is that of the last file with these headings."""
    rows: int
    looked: Looked


@dataclass(frozen=True)
class Imported:
    """What became of a file."""

    preview: Preview
    stored: Appended


class StagedFile:
    """A file that was looked at, with its values staged."""

    def __init__(self, stage: Stage, preview: Preview) -> None:
        self._stage = stage
        self.preview = preview

    def take_in(
        self,
        database: Database,
        store: ReadingsStore,
        *,
        broken: Broken,
        now: datetime,
        progress: Progress | None = None,
    ) -> Imported:
        """Put the import on record and remember the mapping, then store what is right.

        Raises:
            NothingImported: there are wrong cells, and nothing is to be taken in then.

        """
        looked = self.preview.looked
        if looked.wrong and broken is Broken.REFUSE:
            first = looked.errors[0]
            raise NothingImported(
                f"{self.preview.name} has {looked.wrong:,} wrong cells, so nothing was imported. "
                f"The first is row {first.row}, {first.column or 'the whole row'}: {incoming.PROBLEMS[first.code][0]}",
                hint="Correct them, or import what is right and leave the rest out.",
            )
        # On record before the first value is stored: nothing comes in without it, whatever happens on the way.
        with database.write() as session:
            self._note(session, now)
        told = None if progress is None else lambda done, total: progress("storing", done, total)
        return Imported(self.preview, incoming.take_in(self._stage, store, now, told))

    def _note(self, session: Session, now: datetime) -> None:
        preview, looked = self.preview, self.preview.looked
        if preview.mapping is not None:
            FileMappings(session).remember(
                fingerprint(preview.headings),
                preview.mapping.as_json(),
                name=preview.name,
                now=now,
                by=current_actor().name,
            )
        after = {"readings": looked.readings, "intervals": looked.intervals, "wrong": looked.wrong}
        record(
            session,
            "readings.import",
            now=now,
            subject=("file", preview.name),
            name=preview.name,
            after=after,
        )


@contextmanager
def staged(
    path: Path,
    name: str,
    database: Database,
    scope: Scope,
    *,
    zone: str,
    mapping: Any | None = None,
    progress: Progress | None = None,
) -> Iterator[StagedFile]:
    """Look at a file: as a mapping says (`Mapping.as_json`), else as the last file with these headings, else as guessed.

    ``zone`` is that of civil times, until a mapping says another.

    Raises:
        FileUnreadable: it is no file that can be read.
        BadMapping: what is known of its columns is not enough.
        UnknownQuantity: the mapping names a quantity that is none.

    """
    described = _self_described(path, name)
    if described is not None:
        with _described(name, described, database, scope, _names(mapping)) as found:
            yield found
        return
    sheet = open_sheet(path, name)
    with database.read() as session:
        chosen, remembered = _mapping(sheet, session, zone, mapping)
    told = None if progress is None else lambda done: progress("reading", done, None)
    with Stage() as stage:
        staging.load(stage, sheet, told)
        rows = stage.count("SELECT count(*) FROM raw") + len(sheet.torn)
        staging.read(stage, chosen.checked())
        with database.read() as session:
            incoming.resolve(stage, session, scope, named_in=chosen.place(Role.METER))
        looked = incoming.look(stage, sheet.headings)
        yield StagedFile(
            stage,
            Preview(name, sheet.headings, sheet.sample[:SAMPLE_SHOWN], chosen, remembered, rows, looked),
        )


@contextmanager
def _described(
    name: str,
    values: Iterator[Value | WrongValue],
    database: Database,
    scope: Scope,
    names: dict[str, str],
) -> Iterator[StagedFile]:
    """A file of a format that says itself what it has; ``names`` says who of ours its meters and points are."""
    with Stage() as stage:
        rows = stage_values(stage, values, names)
        with database.read() as session:
            incoming.resolve(stage, session, scope, named_in=None)
        yield StagedFile(stage, Preview(name, (), (), None, False, rows, incoming.look(stage, ())))  # noqa: FBT003


def _self_described(path: Path, name: str) -> Iterator[Value | WrongValue] | None:
    """The values of Green Button and IEC 61968-9 files; None of other files."""
    with path.open("rb") as file:
        start = file.read(1 << 12).lstrip(codecs.BOM_UTF8).lstrip()
    if start.startswith(b"{"):
        return iec61968.json_values(path, name)
    if not start.startswith(b"<"):
        return None
    root = root_name(path)
    if root == "feed":
        return espi.values(path, name)
    if root is not None and (
        root.startswith("MeterReadings") or root.endswith(("Message", "MeterReadings", "Envelope"))
    ):
        return iec61968.xml_values(path, name)
    raise FileUnreadable(
        f"{name} is XML of a kind that is not known here{f' ({root})' if root else ''}.",
        hint="Green Button feeds and IEC 61968-9 MeterReadings are.",
    )


def _names(mapping: Any | None) -> dict[str, str]:
    """Who of ours is meant by the names of a file that says itself what it has."""
    names = mapping.get("meters", {}) if isinstance(mapping, dict) else {}
    if not isinstance(names, dict):
        raise BadMapping(
            "The meters of a mapping are names in the file, each with ours.",
            hint='{"meters": {"Front": "P-1"}}',
        )
    return {str(theirs): str(ours) for theirs, ours in names.items()}


def guess(path: Path, name: str, database: Database, *, zone: str) -> Preview:
    """The mapping a file would be read by, and its first rows: for a file whose mapping is not complete yet."""
    if _self_described(path, name) is not None:
        return Preview(name, (), (), None, False, 0, incoming.NOTHING_LOOKED)  # noqa: FBT003
    sheet = open_sheet(path, name)
    with database.read() as session:
        chosen, remembered = _mapping(sheet, session, zone, None)
    return Preview(
        name, sheet.headings, sheet.sample[:SAMPLE_SHOWN], chosen, remembered, 0, incoming.NOTHING_LOOKED
    )


def _mapping(sheet: Sheet, session: Session, zone: str, given: Any | None) -> tuple[Mapping, bool]:
    if given is not None:
        return Mapping.from_json(given, columns=len(sheet.headings)), False
    kept = FileMappings(session).of(fingerprint(sheet.headings))
    if kept is not None:
        return Mapping.from_json(kept, columns=len(sheet.headings)), True
    return detected(sheet.headings, sheet.sample, zone=zone), False
