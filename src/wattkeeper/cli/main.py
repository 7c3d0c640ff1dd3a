"""The commands, put together, and what becomes of their errors."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from typing import Annotated, NamedTuple

import typer

from wattkeeper import __version__
from wattkeeper.cli.output import USER_ERRORS, print_error

AT_THE_METER = "At the meter (needs no server)"
BY_ITSELF = "With a file (needs no meter and no server)"
THE_SERVER = "The server"
THE_OFFICE = "Master data and bills"
THE_METERS = "Commands to meters"
PEOPLE = "Users and the audit"


class Place(NamedTuple):
    """Where a command, or a group of commands, is written, and the panel of the help it stands in."""

    module: str
    attribute: str
    panel: str


COMMANDS: Mapping[str, Place] = {
    "scan": Place("field", "scan", AT_THE_METER),
    "read": Place("field", "read", AT_THE_METER),
    "monitor": Place("field", "monitor", AT_THE_METER),
    "replay": Place("field", "replay", AT_THE_METER),
    "decode": Place("field", "decode", AT_THE_METER),
    "modbus": Place("modbus", "modbus", AT_THE_METER),
    "clean": Place("cleaning", "clean", BY_ITSELF),
    "demo": Place("server", "demo", THE_SERVER),
    "serve": Place("server", "serve", THE_SERVER),
    "status": Place("server", "status", THE_SERVER),
    "outbox": Place("remote", "outbox", THE_SERVER),
    "collectors": Place("remote", "collectors", THE_SERVER),
    "archive": Place("archive", "archive", THE_SERVER),
    "template": Place("office", "template", THE_OFFICE),
    "import": Place("files", "imports", THE_OFFICE),
    "export": Place("files", "export", THE_OFFICE),
    "bill": Place("office", "bill", THE_OFFICE),
    "command": Place("commands", "command", THE_METERS),
    "user": Place("people", "user", PEOPLE),
    "audit": Place("people", "audit", PEOPLE),
}
"""Names, not imports: a command waits for the libraries it uses, and for no others."""


def application(names: Iterable[str] = COMMANDS) -> typer.Typer:
    """The command line with the named commands, all when none are named; imports their modules only."""
    app = typer.Typer(
        name="wattkeeper",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(options)
    for name in names:
        place = COMMANDS[name]
        found = getattr(import_module(f"wattkeeper.cli.{place.module}"), place.attribute)
        if isinstance(found, typer.Typer):
            app.add_typer(found, name=name, rich_help_panel=place.panel)
        else:
            app.command(name, rich_help_panel=place.panel)(found)
    return app


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"wattkeeper {__version__}")
        raise typer.Exit


def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Wattkeeper (电管家): reads electricity meters, keeps their data, bills it and explains it."""


def _needed(arguments: Sequence[str]) -> Iterable[str]:
    """The commands to import: the one asked for; all for the help, a misspelt name and the shell's completion."""
    match arguments:
        case ["--version", *_]:
            return ()
        case [name, *_] if name in COMMANDS:
            return (name,)
    return COMMANDS


def main() -> None:
    """Run the command line: exit code 0 done, 1 a stated error, 2 wrong usage."""
    try:
        application(_needed(sys.argv[1:]))()
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output left (`| head`): nothing more to say
    except USER_ERRORS as error:
        print_error(error)
        sys.exit(1)
