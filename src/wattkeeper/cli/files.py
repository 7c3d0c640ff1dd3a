"""Commands that move readings in and out of files.

Where a server owns the data folder they ask it; where none does they open the stores themselves, for as long as they run.
"""

import json as json_module
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO
from zoneinfo import ZoneInfo

import typer
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
)

from wattkeeper.cli.client import ServerRefused, ServerSilent, ask, running_server, streamed
from wattkeeper.cli.office import ERRORS_SHOWN, FileTrouble, import_registry
from wattkeeper.cli.options import DataDir, JsonFlag, WithDefault, settings_of
from wattkeeper.cli.output import chinese, console, errors, print_json, print_table
from wattkeeper.cli.stores import opened
from wattkeeper.kernel.ownership import Owner
from wattkeeper.readings.files.kinds import FileFormat, What

if TYPE_CHECKING:
    from wattkeeper.parts import Parts
    from wattkeeper.readings.files.importing import StagedFile
    from wattkeeper.registry.chosen import Wanted
    from wattkeeper.settings import Settings


imports = typer.Typer(
    cls=WithDefault, no_args_is_help=True, help="Enter meters, points and accounts, or readings, from files."
)
imports.command("meters")(import_registry)


class BadMoment(FileTrouble):
    """A date or time on the command line is none."""


class WrongCells(FileTrouble):
    """A file has cells, or lacks columns, that an import needs otherwise."""


def export(  # noqa: PLR0917 (options)
    what: Annotated[
        What, typer.Argument(help="What is stored of meters, or the energies of metering points.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.")],
    file_format: Annotated[
        FileFormat | None,
        typer.Option("--format", help="Left out: as the file's ending says.", show_default=False),
    ] = None,
    meters: Annotated[
        str | None, typer.Option("--meters", help="Addresses, parted by commas.", metavar="A,B")
    ] = None,
    points: Annotated[
        str | None, typer.Option("--points", help="Codes of metering points.", metavar="A,B")
    ] = None,
    areas: Annotated[
        str | None, typer.Option("--area", help="Codes of areas, with all that hangs below.", metavar="A,B")
    ] = None,
    quantities: Annotated[
        str | None, typer.Option("--quantity", help="Keys of the catalogue; left out: all.", metavar="A,B")
    ] = None,
    start: Annotated[
        str | None,
        typer.Option("--from", help="The first day or moment, in the site's time.", metavar="2026-10-01"),
    ] = None,
    end: Annotated[
        str | None,
        typer.Option("--to", help="The day or moment it ends before; left out: now.", metavar="2026-11-01"),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that exists.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Write readings, or the energies of metering points, to a file: of some meters or areas, or of all."""
    from wattkeeper.registry.chosen import Wanted

    if output.exists() and not force:
        raise FileTrouble(
            f"{output} exists already.", hint="Choose another name, or add --force to write over it."
        )
    wanted = Wanted(meters=_names(meters), points=_names(points), areas=_names(areas))
    asked = _Asked(
        what, wanted, _names(quantities), _moment(start), _moment(end), file_format or _by_ending(output)
    )
    settings = settings_of(data_dir=data_dir)
    owner = running_server(settings)
    rows = _export_there(owner, asked, output) if owner is not None else _export_here(settings, asked, output)
    console.print(f"Wrote {rows:,} {what.value} to {output}.", soft_wrap=True)


@dataclass(frozen=True)
class _Asked:
    """What the options say; moments without an offset are civil time of the site."""

    what: What
    wanted: "Wanted"
    quantities: tuple[str, ...]
    start: datetime | None
    end: datetime | None
    file_format: FileFormat


def _export_there(owner: Owner, asked: _Asked, output: Path) -> int:
    query = {
        "what": asked.what.value,
        "format": asked.file_format.value,
        "meter": list(asked.wanted.meters),
        "point": list(asked.wanted.points),
        "area": list(asked.wanted.areas),
        "quantity": list(asked.quantities),
        "start": None if asked.start is None else asked.start.isoformat(),
        "end": None if asked.end is None else asked.end.isoformat(),
    }
    given = {name: value for name, value in query.items() if value}
    with streamed(owner, "/readings/export", params=given) as answer, _bytes_shown() as show:
        _write(answer.iter_bytes(), output, show)
        return int(answer.headers["x-wattkeeper-rows"])


def _export_here(settings: "Settings", asked: _Asked, output: Path) -> int:
    from wattkeeper.readings.files.outgoing import ExportAsked, outgoing
    from wattkeeper.registry.repository import Registry
    from wattkeeper.registry.scope import EVERYTHING
    from wattkeeper.web.language import DEFAULT_ZONE, language
    from wattkeeper.web.queries import reading_files

    now = datetime.now(UTC)
    with opened(settings) as parts:
        with parts.database.read() as session:
            sites = Registry(session).sites()
        default = ZoneInfo(sites[0].zone) if sites else DEFAULT_ZONE
        zone = reading_files.export_zone(parts.database, EVERYTHING, asked.wanted, default)
        period = reading_files.export_period(asked.start, asked.end, zone=zone, now=now)
        wanted = ExportAsked(asked.what, asked.wanted, period, asked.quantities)
        with parts.database.read() as session:
            rows = outgoing(session, EVERYTHING, parts.store, wanted)
        reading_files.note_export(parts.database, wanted, asked.file_format, now=now)
        with _rows_shown("writing") as show:
            say = language("zh" if chinese() else "en")
            chunks = reading_files.export_chunks(rows.told(show), asked.file_format, zone, say, now=now)
            _write(chunks, output, lambda _: None)
        return rows.rows


def _write(chunks: Iterable[bytes], output: Path, show: Callable[[int], None]) -> None:
    """Write beside the name and rename at the end: a file that is there is whole."""
    part = output.with_name(f".{output.name}.part")
    try:
        with part.open("wb") as file:
            for chunk in chunks:
                file.write(chunk)
                show(len(chunk))
        part.replace(output)
    except OSError as error:
        raise FileTrouble(
            f"{output} cannot be written: {error.strerror}.", hint="Choose another place."
        ) from None
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def _bytes_shown() -> Iterator[Callable[[int], None]]:
    columns = (TextColumn("receiving"), DownloadColumn(), TimeElapsedColumn())
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as progress:
        task = progress.add_task("receiving", total=None)
        yield lambda received: progress.advance(task, received)


@contextmanager
def _rows_shown(doing: str) -> Iterator[Callable[[int, int], None]]:
    columns = (TextColumn(doing), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as progress:
        task = progress.add_task(doing)
        yield lambda done, total: progress.update(task, completed=done, total=total or None)


@imports.command("readings")
def import_readings(  # noqa: PLR0917 (options)
    file: Annotated[Path, typer.Argument(help="CSV, Excel, Parquet, Green Button or IEC 61968-9.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would happen.")] = False,
    skip_wrong: Annotated[
        bool, typer.Option("--skip-wrong", help="Leave wrong cells out, instead of importing nothing.")
    ] = False,
    columns: Annotated[
        list[str] | None,
        typer.Option(
            "--column",
            help="What a column is: time, clock, until, meter, quantity, unit, value or ignore. Can be repeated.",
            metavar="HEADING=ROLE",
        ),
    ] = None,
    quantity: Annotated[
        str | None, typer.Option("--quantity", help="What values are that do not say it.")
    ] = None,
    unit: Annotated[str | None, typer.Option("--unit", help="The unit of values that do not say it.")] = None,
    zone: Annotated[
        str | None, typer.Option("--zone", help="Of times without an offset; else the site's.")
    ] = None,
    meters: Annotated[
        list[str] | None,
        typer.Option(
            "--meter",
            help="Whose values those of a name in a Green Button or IEC file are. Can be repeated.",
            metavar="NAME=OURS",
        ),
    ] = None,
    dates: Annotated[
        str | None, typer.Option("--dates", help="How dates are written: ymd, dmy, mdy or epoch.")
    ] = None,
    decimal: Annotated[
        str | None, typer.Option("--decimal", help="The decimal sign: a point or a comma.")
    ] = None,
    data_dir: DataDir = None,
    json: JsonFlag = False,
) -> None:
    """Bring in readings from a file; what was said of its columns is remembered for the next one like it."""
    settings = settings_of(data_dir=data_dir)
    owner = running_server(settings)
    office = _There(owner) if owner is not None else _Here(settings)
    changes = {"quantity": quantity, "unit": unit, "zone": zone, "order": dates, "decimal": decimal}
    mapping = None
    if columns or any(value is not None for value in changes.values()):
        mapping = _changed(office.guess(file, zone), columns or [], changes)
    if meters:
        named = (text.rpartition("=") for text in meters)
        mapping = (mapping or {}) | {"meters": {theirs: ours for theirs, _, ours in named}}
    if dry_run:
        outcome = office.preview(file, mapping, zone)
    else:
        outcome = office.take_in(file, mapping, zone, skip_wrong=skip_wrong)
    if json:
        print_json(outcome)
    else:
        _print_import(outcome, dry_run=dry_run)
    if dry_run and outcome["wrong"]:
        raise WrongCells(
            f"{file.name} has {outcome['wrong']:,} wrong cells.",
            hint="Correct them, or import what is right with --skip-wrong.",
        )


class _There:
    """Import by the running server."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner

    def guess(self, file: Path, zone: str | None) -> dict[str, Any]:
        return self._sent("/readings/import/guess", file, {"zone": zone})

    def preview(self, file: Path, mapping: dict[str, Any] | None, zone: str | None) -> dict[str, Any]:
        return self._sent("/readings/import/preview", file, {"mapping": _as_text(mapping), "zone": zone})

    def take_in(
        self, file: Path, mapping: dict[str, Any] | None, zone: str | None, *, skip_wrong: bool
    ) -> dict[str, Any]:
        form = {
            "mapping": _as_text(mapping),
            "zone": zone,
            "wrong": "skip" if skip_wrong else "refuse",
            "progress": "true",
        }
        with (
            _opened(file) as content,
            streamed(
                self._owner,
                "/readings/import",
                method="POST",
                files={"file": (file.name, content)},
                data=_given(form),
            ) as answer,
            _doing_shown() as show,
        ):
            for line in answer.iter_lines():
                told = json_module.loads(line)
                if "problem" in told:
                    raise ServerRefused(told["problem"]["detail"], hint=told["problem"]["hint"])
                if "outcome" in told:
                    outcome: dict[str, Any] = told["outcome"]
                    return outcome
                show(told["doing"], told["done"], told["total"])
        raise ServerSilent("The server stopped before the import was through.", hint="Import the file again.")

    def _sent(self, path: str, file: Path, form: dict[str, str | None]) -> dict[str, Any]:
        with _opened(file) as content:
            files = {"file": (file.name, content)}
            answer: dict[str, Any] = ask(self._owner, "POST", path, files=files, data=_given(form)).json()
        return answer


class _Here:
    """Import into the stores themselves, as no server runs."""

    def __init__(self, settings: "Settings") -> None:
        self._settings = settings

    def guess(self, file: Path, zone: str | None) -> dict[str, Any]:
        from wattkeeper.readings.files.importing import guess
        from wattkeeper.web.api.reading_files import guess_answer

        with _opened(file), opened(self._settings) as parts:
            return guess_answer(guess(file, file.name, parts.database, zone=zone or _first_zone(parts)))

    def preview(self, file: Path, mapping: dict[str, Any] | None, zone: str | None) -> dict[str, Any]:
        from wattkeeper.web.api.reading_files import preview_answer

        with self._staged(file, mapping, zone) as (_, found):
            return preview_answer(found.preview)

    def take_in(
        self, file: Path, mapping: dict[str, Any] | None, zone: str | None, *, skip_wrong: bool
    ) -> dict[str, Any]:
        from wattkeeper.readings.files.importing import Broken
        from wattkeeper.web.api.reading_files import imported_answer

        now = datetime.now(UTC)
        with _doing_shown() as show, self._staged(file, mapping, zone, show) as (parts, found):
            broken = Broken.SKIP if skip_wrong else Broken.REFUSE
            done = found.take_in(parts.database, parts.store, broken=broken, now=now, progress=show)
            parts.intervals.derive_pending(now)
            return imported_answer(done)

    @contextmanager
    def _staged(
        self,
        file: Path,
        mapping: dict[str, Any] | None,
        zone: str | None,
        progress: Callable[[str, int, int | None], None] | None = None,
    ) -> "Iterator[tuple[Parts, StagedFile]]":
        from wattkeeper.readings.files.importing import staged
        from wattkeeper.registry.scope import EVERYTHING

        with (
            _opened(file),
            opened(self._settings) as parts,
            staged(
                file, file.name, parts.database, EVERYTHING,
                zone=zone or _first_zone(parts), mapping=mapping, progress=progress,
            ) as found,
        ):  # fmt: skip
            yield parts, found


def _first_zone(parts: "Parts") -> str:
    from wattkeeper.registry.repository import Registry
    from wattkeeper.web.language import DEFAULT_ZONE

    with parts.database.read() as session:
        sites = Registry(session).sites()
    return sites[0].zone if sites else DEFAULT_ZONE.key


@contextmanager
def _opened(file: Path) -> Iterator[BinaryIO]:
    try:
        content = file.open("rb")
    except OSError as error:
        raise FileTrouble(f"{file} cannot be read: {error.strerror}.", hint="Check the path.") from None
    with content:
        yield content


def _changed(
    guess: dict[str, Any], columns: list[str], changes: dict[str, str | None]
) -> dict[str, Any] | None:
    """The guessed mapping with what the options say otherwise."""
    mapping: dict[str, Any] | None = guess["mapping"]
    if mapping is None:
        return None
    mapping |= _given(changes)
    headings = [heading.lower() for heading in guess["headings"]]
    for text in columns:
        heading, _, role = text.rpartition("=")
        if heading.lower() not in headings:
            raise WrongCells(
                f"The file has no column {heading!r}.", hint=f"It has {', '.join(guess['headings'][:20])}."
            )
        mapping["columns"][headings.index(heading.lower())]["role"] = role
    return mapping


def _given(values: dict[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in values.items() if value is not None}


def _as_text(mapping: dict[str, Any] | None) -> str | None:
    return None if mapping is None else json_module.dumps(mapping)


def _print_import(outcome: dict[str, Any], *, dry_run: bool) -> None:
    if outcome["wrong"]:
        shown = outcome["errors"][:ERRORS_SHOWN]
        print_table(
            ["row", "column", "value", "what is wrong", "what to do"],
            [(e["row"], e["column"], e["value"], e["message"], e["hint"]) for e in shown],
            right=[0],
        )
        if outcome["wrong"] > len(shown):
            console.print(f"... and {outcome['wrong'] - len(shown):,} more (--json lists a thousand)")
    values = outcome["readings"] + outcome["intervals"]
    if dry_run:
        console.print(
            f"{values:,} values of {outcome['meters']:,} meters would be imported, {outcome['wrong']:,} cells are wrong.",
            soft_wrap=True,
        )
        return
    console.print(
        f"{outcome['stored']:,} values stored, {outcome['already_known']:,} known already, {outcome['outranked']:,} kept "
        f"beside the meter's own, {outcome['wrong']:,} wrong cells left out.",
        soft_wrap=True,
    )


@contextmanager
def _doing_shown() -> Iterator[Callable[[str, int, int | None], None]]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as progress:
        task = progress.add_task("reading", total=None)
        yield lambda doing, done, total: progress.update(task, description=doing, completed=done, total=total)


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.strip() for name in (text or "").split(",") if name.strip()))


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise BadMoment(
            f"{text!r} is no date or time.",
            hint="Write 2026-10-01, 2026-10-01T08:30 or 2026-10-01T08:30+08:00.",
        ) from None


def _by_ending(output: Path) -> FileFormat:
    try:
        return FileFormat(output.suffix.removeprefix(".").lower())
    except ValueError:
        raise FileTrouble(
            f"The ending of {output.name} says no format.",
            hint=f"Add --format, one of {', '.join(FileFormat)}.",
        ) from None
