"""Run a world: ``python -m wattkeeper.simulator FILE.toml``.

Prints one line of JSON when every port is open (links with URLs, meters with addresses), then runs
until SIGINT or SIGTERM. With ``--while-stdin`` it also ends when its standard input does, so that it
never outlives the program that started it.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
from pathlib import Path

from wattkeeper.simulator.world import DEMO_WORLD, Neighbourhood, WorldError, WorldPlan

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
    parser = argparse.ArgumentParser(
        prog="python -m wattkeeper.simulator", description="Run a simulated neighbourhood."
    )
    parser.add_argument(
        "file", type=Path, nargs="?", default=DEMO_WORLD, help="the world's TOML file (default: the demo)"
    )
    parser.add_argument("--while-stdin", action="store_true", help="end when the standard input ends")
    options = parser.parse_args()
    try:
        run(live(WorldPlan.from_file(options.file), while_stdin=options.while_stdin))
    except WorldError as error:
        print(error, file=sys.stderr)  # noqa: T201 -- for the person who started it
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
