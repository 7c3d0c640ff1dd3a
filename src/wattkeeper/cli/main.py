"""The commands, put together, and what becomes of their errors."""

import sys
from typing import Annotated

import typer

from wattkeeper import __version__
from wattkeeper.cli import archive, cleaning, commands, field, files, modbus, office, people, remote, server
from wattkeeper.cli.output import USER_ERRORS, print_error

app = typer.Typer(
    name="wattkeeper",
    help="Wattkeeper (电管家): reads electricity meters, keeps their data, bills it and explains it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

AT_THE_METER = "At the meter (needs no server)"
BY_ITSELF = "With a file (needs no meter and no server)"
THE_SERVER = "The server"
THE_OFFICE = "Master data and bills"
THE_METERS = "Commands to meters"
PEOPLE = "Users and the audit"

app.command("scan", rich_help_panel=AT_THE_METER)(field.scan)
app.command("read", rich_help_panel=AT_THE_METER)(field.read)
app.command("monitor", rich_help_panel=AT_THE_METER)(field.monitor)
app.command("replay", rich_help_panel=AT_THE_METER)(field.replay)
app.command("decode", rich_help_panel=AT_THE_METER)(field.decode)
app.add_typer(modbus.modbus, name="modbus", rich_help_panel=AT_THE_METER)
app.command("clean", rich_help_panel=BY_ITSELF)(cleaning.clean)
app.command("demo", rich_help_panel=THE_SERVER)(server.demo)
app.command("serve", rich_help_panel=THE_SERVER)(server.serve)
app.command("status", rich_help_panel=THE_SERVER)(server.status)
app.command("outbox", rich_help_panel=THE_SERVER)(remote.outbox)
app.command("collectors", rich_help_panel=THE_SERVER)(remote.collectors)
app.add_typer(archive.archive, name="archive", rich_help_panel=THE_SERVER)
app.command("template", rich_help_panel=THE_OFFICE)(office.template)
app.add_typer(files.imports, name="import", rich_help_panel=THE_OFFICE)
app.command("export", rich_help_panel=THE_OFFICE)(files.export)
app.command("bill", rich_help_panel=THE_OFFICE)(office.bill)
app.add_typer(commands.command, name="command", rich_help_panel=THE_METERS)
app.add_typer(people.user, name="user", rich_help_panel=PEOPLE)
app.add_typer(people.audit, name="audit", rich_help_panel=PEOPLE)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"wattkeeper {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Wattkeeper (电管家): reads electricity meters, keeps their data, bills it and explains it."""


def main() -> None:
    """Run the command line: exit code 0 done, 1 a stated error, 2 wrong usage."""
    try:
        app()
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output left (`| head`): nothing more to say
    except USER_ERRORS as error:
        print_error(error)
        sys.exit(1)
