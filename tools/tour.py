"""Take the pictures of the guided tour: start the demo, sign in as each role, photograph the pages.

    uv run python tools/tour.py            # writes docs/tour/{en,zh}/*.png
    uv run python tools/tour.py --url http://127.0.0.1:8645 --password ...   # of a demo that runs already

Needs the machine's Chromium (Debian: apt-get install chromium fonts-noto-cjk). A demo of its own keeps its data in a
temporary folder and is given a few minutes for its year of history and bills.
"""

import argparse
import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

PICTURES = Path(__file__).resolve().parent.parent / "docs" / "tour"
DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
HISTORY_SECONDS = 150
LOCALES = {"en": "en-GB", "zh": "zh-CN"}


@dataclass(frozen=True)
class Stop:
    """One picture: who looks at which page, and what is clicked first to get there."""

    name: str
    who: str
    path: str
    follow: str | None = None
    """A CSS selector of the link that leads on from `path`."""
    scroll_to: str | None = None
    dark: bool = False
    phone: bool = False


STOPS = (
    Stop("overview", "operator", "/"),
    Stop("alarms", "operator", "/alarms"),
    Stop("meters", "operator", "/meters"),
    Stop("meter", "operator", "/meters?search=202502000003", follow="td a[href^='/meters/']"),
    Stop(
        "heat-map",
        "operator",
        "/meters?search=202502000003",
        follow="td a[href^='/meters/']",
        scroll_to="#heat",
    ),
    Stop("areas", "operator", "/areas"),
    Stop("link", "operator", "/links", follow="td a[href^='/links/']", dark=True),
    Stop("account", "clerk", "/accounts", follow="td a[href^='/accounts/']"),
    Stop("bill", "clerk", "/bills", follow="td a[href^='/bills/']"),
    Stop("audit", "admin", "/audit"),
    Stop("portal", "customer", "/portal", phone=True),
    Stop("portal-usage", "customer", "/portal/usage", phone=True, dark=True),
)


def main() -> int:
    """Take every picture in both languages."""
    asked = argparse.ArgumentParser(description="Take the pictures of the guided tour.")
    asked.add_argument("--url", help="a demo that runs already")
    asked.add_argument("--password", help="the one that demo printed")
    given = asked.parse_args()
    program = next(
        (
            found
            for name in ("chromium", "chromium-browser", "google-chrome")
            if (found := shutil.which(name))
        ),
        None,
    )
    if program is None:
        print(
            "There is no Chromium on this machine (Debian: apt-get install chromium fonts-noto-cjk).",
            file=sys.stderr,
        )
        return 1
    flags = ["--no-sandbox"] if os.geteuid() == 0 else []
    running = contextlib.nullcontext((given.url, given.password)) if given.url else demo()
    with running as (address, password), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--disable-gpu", *flags])
        for language in LOCALES:
            for stop in STOPS:
                photograph(browser, address, stop, language=language, password=password)
        browser.close()
    return 0


@contextlib.contextmanager
def demo() -> Iterator[tuple[str, str]]:
    """A demo over a folder of its own, once its history has had time to come in; its address and password."""
    with tempfile.TemporaryDirectory(prefix="wattkeeper-tour-") as folder:
        program = Path(sys.executable).with_name("wattkeeper")
        command = [program, "demo", "--data-dir", f"{folder}/demo", "--port", "0"]
        with Path(folder, "output").open("w+") as output:
            process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
            try:
                yield _printed(Path(folder, "output"))
            finally:
                process.terminate()
                process.wait(30)


def _printed(output: Path) -> tuple[str, str]:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        found = re.search(r"(http://[\d.]+:\d+).*password\s+(\S+)", output.read_text(), re.DOTALL)
        if found:
            print(f"{found[1]}: waiting {HISTORY_SECONDS} s for a year of history")
            time.sleep(HISTORY_SECONDS)
            return found[1], found[2]
        time.sleep(0.5)
    raise SystemExit(output.read_text())


def photograph(browser: Browser, address: str, stop: Stop, *, language: str, password: str) -> None:
    """One picture."""
    context = browser.new_context(
        base_url=address,
        locale=LOCALES[language],
        viewport=PHONE if stop.phone else DESKTOP,
        device_scale_factor=2 if stop.phone else 1,
        color_scheme="dark" if stop.dark else "light",
    )
    page = context.new_page()
    _sign_in(page, stop.who, password)
    page.goto(stop.path)
    if stop.follow:
        page.locator(stop.follow).first.click()
    page.wait_for_load_state("load")
    page.wait_for_timeout(2500)  # charts and what is loaded behind the page
    if stop.scroll_to:
        page.locator(stop.scroll_to).scroll_into_view_if_needed()
        page.wait_for_timeout(1500)
    target = PICTURES / language / f"{stop.name}.png"
    target.parent.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=target)
    print(target.relative_to(PICTURES.parent.parent))
    context.close()


def _sign_in(page: Page, login: str, password: str) -> None:
    page.goto("/sign-in")
    page.locator("#login").fill(login)
    page.locator("#password").fill(password)
    page.locator("main button").click()
    page.wait_for_url(lambda url: "/sign-in" not in url)


if __name__ == "__main__":
    sys.exit(main())
