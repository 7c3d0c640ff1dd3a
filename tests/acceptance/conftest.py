"""The product as a user starts it: its command in a process of its own."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

COMMAND = Path(sys.executable).with_name("wattkeeper")


def _environment(**changes: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WATTKEEPER_")}
    return {**kept, "LANG": "en_US.UTF-8", "COLUMNS": "160", "NO_COLOR": "1", "TERM": "dumb", **changes}


@pytest.fixture
def wattkeeper(tmp_path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run `wattkeeper <arguments>` in an empty folder, to its end."""

    def run(
        *arguments: object, stdin: str | None = None, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [COMMAND, *map(str, arguments)],
            cwd=tmp_path,
            env=_environment(**environment),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=110,
            check=False,
        )

    return run


class Running:
    """A server in its own process, and what it has printed."""

    def __init__(self, process: subprocess.Popen[str], output: Path) -> None:
        self.process = process
        self.output = output

    def said(self) -> str:
        return self.output.read_text(encoding="utf-8")

    def url(self, within: float = 120.0) -> str:
        return self.wait_for(r"https?://[\w.\[\]:]+:\d+", within)

    def wait_for(self, pattern: str, within: float) -> str:
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            if found := re.search(pattern, self.said()):
                return found.group()
            if self.process.poll() is not None:
                break
            time.sleep(0.1)
        pytest.fail(f"{pattern!r} was not printed; exit code {self.process.poll()}, output:\n{self.said()}")

    def interrupt(self, within: float = 20.0) -> int:
        """Ctrl-C, and the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(within)


@pytest.fixture
def start(tmp_path) -> Iterator[Callable[..., Running]]:
    """Start `wattkeeper <arguments>` and leave it running; whatever still runs at the end is killed."""
    with contextlib.ExitStack() as stack:

        def begin(*arguments: object, **environment: str) -> Running:
            output = tmp_path / f"output-{time.monotonic_ns()}.txt"
            file = stack.enter_context(output.open("w"))
            process = subprocess.Popen(
                [COMMAND, *map(str, arguments)],
                cwd=tmp_path,
                env=_environment(**environment),
                stdout=file,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
            stack.callback(_end, process)
            return Running(process, output)

        yield begin


def _end(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
