"""Commands that move readings in and out of files.

Where a server owns the data folder they ask it; where none does they open the stores themselves, for as long as they run.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
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

from wattkeeper.cli.client import running_server, streamed
from wattkeeper.cli.office import FileTrouble
from wattkeeper.cli.options import DataDir
from wattkeeper.cli.output import chinese, console, errors
from wattkeeper.cli.stores import opened
from wattkeeper.kernel.ownership import Owner
from wattkeeper.readings.files.kinds import FileFormat, What
from wattkeeper.settings import Settings, load_settings

if TYPE_CHECKING:
    from wattkeeper.registry.chosen import Wanted


class BadMoment(FileTrouble):
    """A date or time on the command line is none."""


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
    settings = load_settings(data_dir=data_dir)
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


def _export_here(settings: Settings, asked: _Asked, output: Path) -> int:
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
            chunks = reading_files.export_chunks(rows.told(show), asked.file_format, zone, say)
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
