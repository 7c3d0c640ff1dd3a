"""Run a world: ``python -m wattkeeper.simulator FILE.toml``.

Prints one line of JSON when every port is open (links with URLs, meters with addresses), then runs
until SIGINT or SIGTERM. With ``--while-stdin`` it also ends when its standard input does, so that it
never outlives the program that started it. With ``--history`` it runs nothing: it writes what the
meters recorded to a Parquet file, and ends.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
from datetime import UTC, date, datetime
from pathlib import Path

from wattkeeper.simulator.history import write_history
from wattkeeper.simulator.plans import DEMO_WORLD, WorldError, WorldPlan
from wattkeeper.simulator.world import Neighbourhood

if sys.platform == "win32":
    from asyncio import run
else:
    from uvloop import run


async def live(plan: WorldPlan, *, while_stdin: bool = False) -> None:
    """Run until told to stop."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with Neighbourhood(plan) as world:
        print(json.dumps(world.describe(), ensure_ascii=False), flush=True)  # noqa: T201 -- the line that was promised
        if while_stdin:
            loop.add_reader(sys.stdin.fileno(), _stop_at_end, stop)
        await stop.wait()


def _stop_at_end(stop: asyncio.Event) -> None:
    if not os.read(sys.stdin.fileno(), 4096):
        asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
        stop.set()


def main() -> int:
    """Read the command line and run; 2 when the world cannot be built."""
    options = _parser().parse_args()
    try:
        plan = WorldPlan.from_file(options.file, today=options.today)
        if options.history is not None:
            write_history(Neighbourhood(plan), options.history, until=options.until)
        else:
            run(live(plan, while_stdin=options.while_stdin))
    except (WorldError, OSError) as error:
        print(error, file=sys.stderr)  # noqa: T201 -- for the person who started it
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    now = datetime.now(UTC)
    parser = argparse.ArgumentParser(
        prog="python -m wattkeeper.simulator", description="Run a simulated neighbourhood."
    )
    parser.add_argument(
        "file", type=Path, nargs="?", default=DEMO_WORLD, help="the world's TOML file (default: the demo)"
    )
    parser.add_argument(
        "--today", type=date.fromisoformat, default=now.astimezone().date(),
        help="the day that its relative times count from (default: today)",
    )  # fmt: skip
    parser.add_argument("--while-stdin", action="store_true", help="end when the standard input ends")
    parser.add_argument(
        "--history", type=Path, help="write what the meters recorded to this Parquet file instead of running"
    )
    parser.add_argument(
        "--until",
        type=_instant,
        default=now,
        help="the end of that history, like 2026-03-01T00:00+08:00 (default: now)",
    )
    return parser


def _instant(text: str) -> datetime:
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError("no offset from UTC")
    return instant


if __name__ == "__main__":
    sys.exit(main())
