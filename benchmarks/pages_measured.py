"""The application while it is measured, and what was measured of a page."""

import contextlib
import http.client
import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from pages_estate import Estate

REQUESTS = 100
SPREAD_S = {"/": 11.0, "/links": 11.0, "/api/v1/overview": 11.0}
LIMIT_KB, LIMIT_PAINT_MS, LIMIT_INTERACTIVE_MS, LIMIT_BUSY = 500, 1200, 3000, 0.25
AIM_P50_MS, AIM_P99_MS = 50, 200


@dataclass(frozen=True)
class Served:
    """The running application."""

    url: str
    cookie: str
    process: subprocess.Popen[str]

    def pass_frames(self, rate: int, seconds: int) -> None:
        """Let frames pass on the hub from now on."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"frames {rate} {seconds}\n")
        self.process.stdin.flush()


@dataclass
class Measured:
    """What was measured of one page."""

    name: str
    path: str
    status: int = 0
    server_ms: list[float] = field(default_factory=list)
    cpu_ms: float = 0
    """What a request costs the server's processor, whatever else the machine does."""
    kilobytes: float = 0
    paint_ms: dict[str, float] = field(default_factory=dict)
    interactive_ms: dict[str, float] = field(default_factory=dict)

    @property
    def p50(self) -> float:
        """Median of the server's time."""
        return statistics.median(self.server_ms)

    @property
    def p99(self) -> float:
        """The time that one request of a hundred takes longer than."""
        return sorted(self.server_ms)[max(0, math.ceil(len(self.server_ms) * 0.99) - 1)]

    def broken(self) -> list[str]:
        """The limits this page does not keep."""
        limits = [
            (f"{self.kilobytes:.0f} kB, limit {LIMIT_KB}", self.kilobytes > LIMIT_KB),
            (f"first paint slow {self.paint_ms.get('slow', 0):.0f} ms, limit {LIMIT_PAINT_MS}",
             self.paint_ms.get("slow", 0) > LIMIT_PAINT_MS),
            (f"interactive slow {self.interactive_ms.get('slow', 0):.0f} ms, limit {LIMIT_INTERACTIVE_MS}",
             self.interactive_ms.get("slow", 0) > LIMIT_INTERACTIVE_MS),
            (f"p50 {self.p50:.0f} ms, aim {AIM_P50_MS}", self.p50 > AIM_P50_MS),
            (f"p99 {self.p99:.0f} ms, aim {AIM_P99_MS}", self.p99 > AIM_P99_MS),
        ]  # fmt: skip
        return [told for told, exceeded in limits if exceeded]


@contextlib.contextmanager
def served(estate: Estate) -> Iterator[Served]:
    """The application in a process of its own, until the block ends."""
    program = [sys.executable, str(Path(__file__).with_name("pages_server.py"))]
    program += ["--meters", str(estate.meters), "--days", str(estate.days)]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            started = json.loads(process.stdout.readline())
            yield Served(started["url"], started["cookie"], process)
        finally:
            process.stdin.close()
            process.wait(30)


def server_times(site: Served, page: Measured) -> None:
    """Ask for a page again and again over one connection."""
    connection = http.client.HTTPConnection(urlsplit(site.url).netloc, timeout=120)
    headers = {
        "cookie": site.cookie,
        "accept-encoding": "gzip",
        "accept": "text/html",
        "accept-language": "zh-CN",
    }

    def ask() -> float:
        began = time.perf_counter()
        connection.request("GET", page.path, headers=headers)
        answer = connection.getresponse()
        answer.read()
        page.status = answer.status
        return (time.perf_counter() - began) * 1000

    for _ in range(3):
        ask()
    if page.status == 200:
        worked = _worked_s(site.process.pid)
        began, pause = time.perf_counter(), SPREAD_S.get(page.path, 0.0) / REQUESTS
        for number in range(REQUESTS):
            time.sleep(max(0.0, began + number * pause - time.perf_counter()))
            page.server_ms.append(ask())
        page.cpu_ms = (_worked_s(site.process.pid) - worked) * 1000 / REQUESTS
    connection.close()


def _worked_s(pid: int) -> float:
    """Processor time of a process so far, all its threads together (proc(5): utime and stime)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
