"""Commands about the archive of old months; they ask the server that runs, or open the stores themselves."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from typing import Annotated, Any, Protocol

import typer

from wattkeeper.cli.client import ask, running_server
from wattkeeper.cli.options import DataDir, JsonFlag, settings_of
from wattkeeper.cli.output import console, print_json, print_table
from wattkeeper.cli.stores import opened
from wattkeeper.kernel.errors import WattkeeperError
from wattkeeper.kernel.ownership import Owner

archive = typer.Typer(help="Old months of readings as Parquet files with checksums.", no_args_is_help=True)

DAMAGED = 1
Data = Annotated[
    list[str] | None,
    typer.Option(
        "--data",
        help="registers, instantaneous, intervals, superseded_readings, superseded_intervals or exchanges; several times.",
    ),
]
EVERYTHING = (
    "registers",
    "instantaneous",
    "intervals",
    "superseded_readings",
    "superseded_intervals",
    "exchanges",
)


class UnknownData(WattkeeperError):
    """A class of data that there is none of."""


class _Archive(Protocol):
    """What both ways to the archive can do; files are as the API tells them."""

    def files(self, *, check: bool) -> list[dict[str, Any]]: ...

    def months(self, data: str) -> list[str]: ...

    def create(self, data: str, month: str) -> dict[str, Any]: ...

    def restore(self, data: str, month: str) -> int: ...


@archive.command("create")
def create(
    data: Data = None,
    month: Annotated[
        list[str] | None, typer.Option("--month", help="A month such as 2026-03; several times.")
    ] = None,
    data_dir: DataDir = None,
    json: JsonFlag = False,
) -> None:
    """Write months to the archive; every month that is over unless --month names some. They stay in the store."""
    with _opened(data_dir) as archived:
        for name in _chosen(data):
            for wanted in month or archived.months(name):
                file = archived.create(name, wanted)
                if json:
                    print_json(file)
                else:
                    console.print(
                        f"{file['path']}: {file['rows']:,} rows, {file['bytes']:,} bytes", soft_wrap=True
                    )


@archive.command("list")
def list_files(
    check: Annotated[
        bool, typer.Option("--check", help="Read every file and compare it with its checksum.")
    ] = False,
    data_dir: DataDir = None,
    json: JsonFlag = False,
) -> None:
    """Say what the archive has; with --check, exit code 1 when a file is missing or was changed."""
    with _opened(data_dir) as archived:
        files = archived.files(check=check)
    if json:
        for file in files:
            print_json(file)
    elif files:
        sound = {True: "yes", False: "NO", None: "-"}
        rows = [
            (
                file["data"],
                file["month"],
                f"{file['rows']:,}",
                f"{file['bytes']:,}",
                sound[file["intact"]],
                file["path"],
            )
            for file in files
        ]
        print_table(["data", "month", "rows", "bytes", "intact", "file"], rows)
    else:
        console.print("The archive is empty. Write to it: wattkeeper archive create")
    if any(file["intact"] is False for file in files):
        raise typer.Exit(DAMAGED)


@archive.command("restore")
def restore(
    month: Annotated[list[str], typer.Argument(help="Months such as 2026-03.")],
    data: Data = None,
    data_dir: DataDir = None,
) -> None:
    """Bring months back into the store, from checked files only; retention leaves them alone for thirty days."""
    with _opened(data_dir) as archived:
        there = {(file["data"], file["month"]) for file in archived.files(check=False)}
        for wanted in month:
            for name in _chosen(data):
                if data or (name, wanted) in there:
                    console.print(f"{name} {wanted}: {archived.restore(name, wanted):,} rows came back")
            if not data and not any(of == wanted for _, of in there):
                console.print(f"The archive has nothing of {wanted}.")
                raise typer.Exit(DAMAGED)


def _chosen(data: Sequence[str] | None) -> Sequence[str]:
    if unknown := sorted(set(data or ()) - set(EVERYTHING)):
        raise UnknownData(
            f"There is no data called {unknown[0]}.", hint=f"There are: {', '.join(EVERYTHING)}."
        )
    return data or EVERYTHING


@contextmanager
def _opened(data_dir: Any) -> Iterator[_Archive]:
    settings = settings_of(data_dir=data_dir)
    owner = running_server(settings)
    if owner is not None:
        yield _Asked(owner)
        return
    with opened(settings) as parts:
        yield _Own(parts.keeper)


class _Asked:
    """The archive of a server that runs."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner

    def files(self, *, check: bool) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = ask(self._owner, "GET", "/archive", params={"check": check}).json()
        return found

    def months(self, data: str) -> list[str]:
        found: list[str] = ask(self._owner, "GET", "/archive/months", params={"data": data}).json()
        return found

    def create(self, data: str, month: str) -> dict[str, Any]:
        made: dict[str, Any] = ask(
            self._owner, "POST", "/archive", json={"data": data, "month": month}
        ).json()
        return made

    def restore(self, data: str, month: str) -> int:
        back = ask(self._owner, "POST", "/archive/restore", json={"data": data, "month": month}).json()
        return int(back["rows"])


class _Own:
    """The archive of stores that this command has opened."""

    def __init__(self, keeper: Any) -> None:
        self._keeper = keeper

    def files(self, *, check: bool) -> list[dict[str, Any]]:
        return [_told(file, intact=intact) for file, intact in self._keeper.files(check=check)]

    def months(self, data: str) -> list[str]:
        return [f"{month:%Y-%m}" for month in self._keeper.months(data, datetime.now(UTC))]

    def create(self, data: str, month: str) -> dict[str, Any]:
        return _told(self._keeper.create(data, _month(month), datetime.now(UTC)), intact=True)

    def restore(self, data: str, month: str) -> int:
        return int(self._keeper.restore(data, _month(month), datetime.now(UTC)))


def _month(text: str) -> date:
    from wattkeeper.readings.retention import month_of

    return month_of(text)


def _told(file: Any, *, intact: bool | None) -> dict[str, Any]:
    return {
        "data": file.kept,
        "month": f"{file.month:%Y-%m}",
        "path": file.path,
        "rows": file.rows,
        "bytes": file.bytes,
        "sha256": file.sha256,
        "written_at": file.written_at.isoformat(),
        "intact": intact,
    }
