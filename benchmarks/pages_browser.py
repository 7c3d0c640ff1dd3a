"""Real loads of a page in headless Chromium, and the work of the live monitor; see `pages` for what is measured how."""

import shutil
import statistics
import time
from dataclasses import dataclass
from typing import Any

from playwright.sync_api import Browser, CDPSession, Page

from pages_measured import Measured, Served

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
