"""Commands about the server: run it, run the demo, ask how it does."""

import logging
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wattkeeper.cli.client import ask, running_server
from wattkeeper.cli.options import DataDir, JsonFlag, Port, settings_of
from wattkeeper.cli.output import console, print_json
from wattkeeper.kernel.ownership import find_owner

if TYPE_CHECKING:
    from wattkeeper.app import Server
    from wattkeeper.settings import Settings


def serve(data_dir: DataDir = None, port: Port = None) -> None:
    """Read the registered meters by plan and serve pages and API, until Ctrl-C."""
    settings = settings_of(data_dir=data_dir, port=port)
    configure_logs(settings)

    from wattkeeper.app import Server
    from wattkeeper.parts import Parts

    parts = Parts.open(settings)
    try:
        first_password = parts.security.users.first_administrator(now=datetime.now(UTC))
        _run(Server(parts), first_password)
    finally:
        parts.close()


def _run(server: "Server", first_password: str | None) -> None:
    import uvloop

    def ready(url: str) -> None:
        console.print(f"Wattkeeper is at [bold]{url}[/]  (Ctrl-C stops it)", soft_wrap=True)
        if first_password is not None:
            from wattkeeper.security.users import FIRST_LOGIN

            console.print(
                f"First sign-in: user [bold]{FIRST_LOGIN}[/], password [bold]{first_password}[/]. "
                "It is shown this once, and you will be asked for one of your own.",
                soft_wrap=True,
            )

    uvloop.run(server.run(ready=ready))


def demo(
    data_dir: Annotated[
        Path, typer.Option("--data-dir", help="Folder of the demo's data; delete it to start afresh.")
    ] = Path("data/demo"),
    port: Port = None,
) -> None:
    """Start a simulated neighbourhood of meters and Wattkeeper reading it, until Ctrl-C."""
    import uvloop

    from wattkeeper.demo import Demo

    settings = settings_of(data_dir=data_dir, port=port, live_seconds=10, log_level="warning")
    configure_logs(settings)
    uvloop.run(Demo(settings, say=lambda line: console.print(line, soft_wrap=True)).run())


def status(
    data_dir: DataDir = None,
    json: JsonFlag = False,
) -> None:
    """Say whether a server owns the data folder, where its pages are, and how collection does."""
    settings = settings_of(data_dir=data_dir)
    owner = find_owner(settings.data_dir)
    if owner is None:
        if json:
            print_json({"running": False})
        else:
            console.print(
                f"No server runs on {settings.data_dir}. Start one with: wattkeeper serve", soft_wrap=True
            )
        raise typer.Exit(code=3)  # LSB: "program is not running"
    server = running_server(settings) or owner
    overview = ask(server, "GET", "/overview").json()
    if json:
        print_json({"running": True, "pid": server.pid, "url": server.url, "overview": overview})
        return
    console.print(f"Running (process {server.pid}) at {server.url}", soft_wrap=True)
    for name, value in overview.items():
        if not isinstance(value, dict | list):
            console.print(f"  {name.replace('_', ' ')}: {value}")


def configure_logs(settings: "Settings") -> None:
    """Log lines on standard error, as `log_level` and `log_format` say."""
    import structlog

    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    machine = settings.log_format == "json"
    renderer = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if machine
        else structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *([structlog.processors.format_exc_info] if machine else []),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
    )
