"""What a page costs at 10,000 meters with a year of quarter hours: server time, bytes, first paint, interactive.

Run ``python benchmarks/pages.py``; ``--meters 400 --days 40`` for a quick look. The data is built once and kept (about
twenty minutes and 1.5 GB for the default; `$WATTKEEPER_BENCH_DATA` says where). The application runs in a process of
its own and is asked over HTTP on loopback, signed in as an administrator.

- *server*: from the request to the last byte of the page, one request at a time, at least 100 of each page spread over
  eleven seconds, so that whatever is found out anew every ten seconds is among them.
- *kB*: all bytes of a first visit as they travel, headers included, until the page rests.
- *first paint*: the browser's first contentful paint, after the start of navigation.
- *interactive*: the end of the page's start: the document and console.js have run (DOMContentLoaded), the first paint is
  there, and the last task of more than 50 ms of the whole load has ended, charts included. The page rests when no
  request but the event stream is under way and no such task has run for 500 ms.

Paints and interactive are medians of several loads in a fresh browser context each, on two profiles: *fast* is this
machine as it is; *slow* has the CPU divided by four, 9 Mbit/s down, 3 Mbit/s up and 40 ms of latency a request.
"""

import argparse
import contextlib
import http.client
import json
import math
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, CDPSession, Page, sync_playwright

from pages_estate import Estate, folder
from pages_ledger import ledger_of

PAGES = (
    ("overview", "/"),
    ("meters", "/meters"),
    ("meters, search", "/meters?search=3%E5%8F%B7%E6%A5%BC2%E5%8D%95%E5%85%83"),
    ("meters, silent", "/meters?state=silent"),
    ("meters, answering", "/meters?state=answering"),
    ("meters, an area", "/meters?area=9&sort=point_name"),
    ("meter", "/meters/6"),
    ("meter, month", "/meters/6?span=month"),
    ("areas", "/areas"),
    ("area", "/areas/9"),
    ("links", "/links"),
    ("link", "/links/L002"),
    ("bills", "/bills"),
    ("bills, open", "/bills?state=issued"),
    ("bills, cancelled", "/bills?state=cancelled"),
    ("bill", "/bills/6"),
    ("accounts", "/accounts"),
    ("accounts, search", "/accounts?search=%E9%99%88"),
    ("account", "/accounts/6"),
    ("customers", "/customers"),
    ("customer", "/customers/6"),
    ("alarms", "/alarms"),
    ("notices", "/notices"),
    ("jobs", "/jobs"),
    ("tariffs", "/tariffs"),
    ("import", "/import"),
    ("frames", "/frames"),
    ("users", "/users"),
    ("tokens", "/tokens"),
    ("audit", "/audit"),
    ("search", "/search?q=3%E5%8F%B7%E6%A5%BC"),
    ("portal", "/portal"),
    ("API reference", "/api"),
)
DATA = (
    ("energy, this month", "/api/v1/load-curve?period=month"),
    ("energy, last month", "/api/v1/load-curve?period=last-month"),
    ("energy, the year", "/api/v1/load-curve?period=year&resolution=month"),
    ("a point's day", "/api/v1/points/6/load-curve?period=today"),
    ("a point's month", "/api/v1/points/6/load-curve?period=last-month&resolution=hour"),
    ("overview", "/api/v1/overview"),
    ("meters", "/api/v1/meters"),
)
"""What pages fetch when they are there, and what a program asks for."""
REQUESTS, SPREAD_S = 100, 11.0
LIMIT_KB, LIMIT_PAINT_MS, LIMIT_INTERACTIVE_MS, LIMIT_BUSY = 500, 1200, 3000, 0.25
AIM_P50_MS, AIM_P99_MS = 50, 200
REST_S = 0.5
LOAD_MAX_S = 30
FRAMES_PER_S, FRAMES_S = 100, 20
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
OBSERVE = """
window.longTasks = []
new PerformanceObserver(list => longTasks.push(...list.getEntries().map(task => task.startTime + task.duration)))
  .observe({ type: 'longtask', buffered: true })
"""
TIMES = """() => ({
  paint: performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null,
  ready: performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd,
  long: Math.max(0, ...longTasks), now: performance.now(),
})"""


@dataclass(frozen=True)
class Profile:
    """How good the visitor's machine and network are."""

    name: str
    cpu: float
    megabits: float
    latency_ms: float


FAST, SLOW = Profile("fast", 1, -1, 0), Profile("slow", 4, 9, 40)


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
    """Ask for a page again and again over one connection, at an even pace."""
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
        began = time.perf_counter()
        for number in range(REQUESTS):
            time.sleep(max(0.0, began + number * SPREAD_S / REQUESTS - time.perf_counter()))
            page.server_ms.append(ask())
    connection.close()


class Visit:
    """One load of a page in a fresh context, watched through the DevTools protocol."""

    def __init__(self, browser: Browser, site: Served, profile: Profile) -> None:
        self._context = browser.new_context(locale="zh-CN", viewport={"width": 1280, "height": 900})
        name, _, value = site.cookie.partition("=")
        self._context.add_cookies([{"name": name, "value": value, "url": site.url}])
        self.page: Page = self._context.new_page()
        self.page.add_init_script(OBSERVE)
        self.devtools: CDPSession = self._context.new_cdp_session(self.page)
        self._open: set[str] = set()
        self._last = time.perf_counter()
        self.bytes = 0
        self._watch(profile)

    def _watch(self, profile: Profile) -> None:
        self.devtools.send("Network.enable")
        down = profile.megabits * 1e6 / 8 if profile.megabits > 0 else -1
        up = down / 3 if down > 0 else -1
        self.devtools.send(
            "Network.emulateNetworkConditions",
            {
                "offline": False,
                "latency": profile.latency_ms,
                "downloadThroughput": down,
                "uploadThroughput": up,
            },
        )
        self.devtools.send("Emulation.setCPUThrottlingRate", {"rate": profile.cpu})
        self.devtools.on("Network.requestWillBeSent", self._sent)
        self.devtools.on("Network.loadingFinished", self._finished)
        self.devtools.on("Network.loadingFailed", self._finished)

    def _sent(self, event: dict[str, Any]) -> None:
        if event.get("type") != "EventSource":
            self._open.add(event["requestId"])

    def _finished(self, event: dict[str, Any]) -> None:
        self.bytes += event.get("encodedDataLength", 0)
        self._open.discard(event["requestId"])
        self._last = time.perf_counter()

    def load(self, url: str) -> dict[str, float]:
        """Open the address and wait until the page rests; its times [ms]."""
        began = time.perf_counter()
        self.page.goto(url, wait_until="domcontentloaded")
        while True:
            self.page.wait_for_timeout(100)
            if time.perf_counter() - began > LOAD_MAX_S:
                raise TimeoutError(f"{url} did not come to rest in {LOAD_MAX_S} s")
            if self._open or time.perf_counter() - self._last < REST_S:
                continue
            times: dict[str, float] = self.page.evaluate(TIMES)
            if times["paint"] is not None and times["now"] - times["long"] >= REST_S * 1000:
                return times

    def close(self) -> None:
        """Forget everything."""
        self._context.close()


def loads(browser: Browser, site: Served, page: Measured, profile: Profile, times: int) -> None:
    """Load a page a few times and keep the medians."""
    found, sizes = [], []
    for _ in range(times):
        visit = Visit(browser, site, profile)
        try:
            found.append(visit.load(site.url + page.path))
            sizes.append(visit.bytes / 1000)
        finally:
            visit.close()
    page.kilobytes = max(page.kilobytes, statistics.median(sizes))
    page.paint_ms[profile.name] = statistics.median(one["paint"] for one in found)
    page.interactive_ms[profile.name] = statistics.median(
        max(one["ready"], one["paint"], one["long"]) for one in found
    )


def busy_share(browser: Browser, site: Served, profile: Profile) -> tuple[float, int]:
    """Share of the time that the page's main thread works while frames pass, and how many of them it counted."""
    visit = Visit(browser, site, profile)
    try:
        visit.load(site.url + "/links")
        visit.page.wait_for_timeout(2000)
        visit.devtools.send("Performance.enable")
        before, began = _task_seconds(visit.devtools), time.perf_counter()
        site.pass_frames(FRAMES_PER_S, FRAMES_S)
        visit.page.wait_for_timeout(FRAMES_S * 1000)
        share = (_task_seconds(visit.devtools) - before) / (time.perf_counter() - began)
        visit.page.wait_for_timeout(1000)
        counted = "".join(filter(str.isdigit, visit.page.inner_text("[data-count]")))
        return share, int(counted or 0)
    finally:
        visit.close()


def _task_seconds(devtools: CDPSession) -> float:
    metrics = devtools.send("Performance.getMetrics")["metrics"]
    return next(float(one["value"]) for one in metrics if one["name"] == "TaskDuration")


def show(pages: list[Measured]) -> None:
    """The table, limits in its head."""
    head = ("page", "p50 ms", "p99 ms", "kB", "paint fast", "inter. fast", "paint slow", "inter. slow")
    limits = (
        "limit (server: aim)",
        AIM_P50_MS,
        AIM_P99_MS,
        LIMIT_KB,
        "",
        "",
        LIMIT_PAINT_MS,
        LIMIT_INTERACTIVE_MS,
    )
    for row in (head, limits):
        print(f"{row[0]:<22}" + "".join(f"{cell:>12}" for cell in row[1:]))
    for page in pages:
        if page.status != 200:
            print(f"{page.name:<22}  not there: {page.path} answers {page.status}")
            continue
        cells = [f"{page.p50:.1f}", f"{page.p99:.1f}", f"{page.kilobytes:.0f}" if page.kilobytes else ""]
        cells += [
            f"{times[profile.name]:.0f}" if profile.name in times else ""
            for profile in (FAST, SLOW)
            for times in (page.paint_ms, page.interactive_ms)
        ]
        print(
            f"{page.name:<22}" + "".join(f"{cell:>12}" for cell in cells) + ("  *" if page.broken() else "")
        )
    broken = [f"{page.name}: {told}" for page in pages if page.status == 200 for told in page.broken()]
    print("limits and aims not kept: " + ("; ".join(broken) or "none"), flush=True)


def chosen_pages(only: str) -> list[Measured]:
    """The pages whose name begins with what was asked for; all by default."""
    return [Measured(name, path) for name, path in PAGES if name.startswith(only)]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--meters", type=int, default=10_000)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument(
        "--loads", type=int, default=5, help="loads of each page on each profile; 0: no browser"
    )
    parser.add_argument("--only", default="", help="pages whose name begins with this")
    chosen = parser.parse_args()
    estate = Estate(chosen.meters, chosen.days)
    ledger_of(estate)
    print(f"{estate.meters:,} meters, quarter hours of {estate.days} days, in {folder(estate)}", flush=True)
    if chosen.loads and CHROMIUM is None:
        print("no Chromium on this machine: `apt-get install chromium`", file=sys.stderr)
        return 1
    pages = chosen_pages(chosen.only)
    with served(estate) as site:
        for page in pages:
            server_times(site, page)
        if chosen.loads:
            in_the_browser(site, pages, chosen.loads)
        else:
            show(pages)
        data = [Measured(name, path) for name, path in DATA] if not chosen.only else []
        for answer in data:
            server_times(site, answer)
        if data:
            print("\nwhat pages fetch, and the API:")
            show(data)
    return 0


def in_the_browser(site: Served, pages: list[Measured], times: int) -> None:
    """All that needs a browser, and the table."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        for page in pages:
            for profile in (FAST, SLOW):
                if page.status == 200:
                    loads(browser, site, page, profile, times)
        show(pages)
        for profile in (FAST, SLOW):
            share, counted = busy_share(browser, site, profile)
            print(
                f"live monitor on the {profile.name} profile, {FRAMES_PER_S} frames/s for {FRAMES_S} s: main thread busy "
                f"{share:.1%} (limit {LIMIT_BUSY:.0%}{', not kept' if share > LIMIT_BUSY else ''}); {counted:,} frames shown",
                flush=True,
            )
        browser.close()


if __name__ == "__main__":
    sys.exit(main())
