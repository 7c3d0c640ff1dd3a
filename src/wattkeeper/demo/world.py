"""The simulated district: a process of its own, and the day from which its times count."""

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, Self

from wattkeeper.kernel.errors import WattkeeperError
from wattkeeper.simulator.plans import DEMO_WORLD

ZONE = "Asia/Shanghai"
"""Where the district is; the simulator knows it as UTC+8."""
_FILE = "demo.json"
_LONGEST_LINE = 2**20


class DemoFailed(WattkeeperError):
    """The demo cannot go on."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """What the next start of the demo over the same data must know, so that it is the same world.

    Attributes:
        today: the day from which the world's times count, that of the first start.
        password: of its sign-ins, which every start prints.
        imported_until: how far the past came from the predecessor's file; None before it did.

    """

    today: date
    password: str
    imported_until: datetime | None = None

    @classmethod
    def load(cls, folder: Path) -> Self | None:
        """What an earlier start left in the data folder."""
        try:
            kept = json.loads((folder / _FILE).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        until = kept["imported_until"]
        return cls(
            today=date.fromisoformat(kept["today"]),
            password=kept["password"],
            imported_until=None if until is None else datetime.fromisoformat(until),
        )

    def save(self, folder: Path) -> None:
        """Leave it there, whole or not at all, and for nobody else's eyes."""
        unfinished = folder / f"{_FILE}.new"
        unfinished.touch(mode=0o600)
        unfinished.write_text(json.dumps(asdict(self), default=str), encoding="utf-8")
        unfinished.replace(folder / _FILE)


@contextlib.asynccontextmanager
async def neighbourhood(today: date) -> AsyncIterator[dict[str, Any]]:
    """The simulator in a process of its own: it ends with us, however we end, and not by the Ctrl-C meant for us."""
    process = await _simulator(today, "--while-stdin", stdin=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    try:
        line = await process.stdout.readline()
        if not line:
            raise DemoFailed("The simulated district did not start; its own words are above.")
        yield json.loads(line)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def write_history(path: Path, *, today: date, until: datetime) -> None:
    """Have a predecessor's file of the district's registers written, up to an instant."""
    process = await _simulator(today, "--history", str(path), "--until", until.isoformat())
    try:
        code = await process.wait()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    if code:
        raise DemoFailed("The past of the simulated district could not be written; why is said above.")


async def _simulator(today: date, *arguments: str, stdin: int | None = None) -> asyncio.subprocess.Process:
    command = (sys.executable, "-m", "wattkeeper.simulator", str(DEMO_WORLD), "--today", today.isoformat())
    return await asyncio.create_subprocess_exec(
        *(*command, *arguments),
        stdin=stdin,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
        limit=_LONGEST_LINE,
    )
