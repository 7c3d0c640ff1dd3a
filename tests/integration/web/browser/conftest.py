"""A real browser on a real server over the town: the machine's Chromium, driven by Playwright."""

import asyncio
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NoReturn

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from tests.integration.web.conftest import Town, add_user

from wattkeeper.security.rights import Role
from wattkeeper.web.access import COOKIE
from wattkeeper.web.application import create_application
from wattkeeper.web.server import ConsoleServer, build_server

REPOSITORY = Path(__file__).resolve().parents[4]
AXE = REPOSITORY / "web" / "node_modules" / "axe-core" / "axe.min.js"
FLAGS = [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    *(["--no-sandbox"] if os.geteuid() == 0 else []),
]
DESKTOP = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 844}
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def _absent(what: str) -> NoReturn:
    """Skip, except where these tests are meant to run, as in CI."""
    if os.environ.get("WATTKEEPER_BROWSER_REQUIRED"):
        pytest.fail(what)
    pytest.skip(what)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The machine's Chromium, for one module: while Playwright runs, its event loop stands in the way of others."""
    program = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if program is None:
        _absent("needs Chromium (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """A town of its own: what is done here in a browser is not for the other tests to find."""
    built = Town(tmp_path_factory.mktemp("browsed"))
    built.bill()
    yield built
    built.close()


@pytest.fixture(scope="session")
def administrator(town: Town) -> str:
    """The secret of an administrator's session in this town."""
    return add_user(town, "chief", Role.ADMINISTRATOR)


@pytest.fixture(scope="session")
def address(town) -> Iterator[str]:
    """The town's server on a port of its own."""
    server = build_server(create_application(town.services()), port=0)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{_port(server)}"
    server.should_exit = True
    thread.join(20)


def _port(server: ConsoleServer) -> int:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if server.started:
            return server.servers[0].sockets[0].getsockname()[1]
        time.sleep(0.02)
    pytest.fail("the server did not start")


@pytest.fixture
def visit(chromium: Browser, address: str) -> Iterator[Callable[..., Page]]:
    """Open pages as somebody: `visit(secret, language=..., theme=..., phone=...)`; no page may report an error.

    Errors of the browser's console include what the Content-Security-Policy refused and scripts that failed.
    """
    errors: list[str] = []
    with ExitStack() as stack:

        def opened(
            secret: str | None = None, *, language: str = "en", theme: str = "light", phone: bool = False
        ) -> Page:
            context = chromium.new_context(
                base_url=address,
                locale="zh-CN" if language == "zh" else "en-GB",
                viewport=PHONE if phone else DESKTOP,
                color_scheme=theme,
                has_touch=phone,
                accept_downloads=True,
            )
            stack.callback(context.close)
            _remember(context, address, lang=language, theme=theme, **({COOKIE: secret} if secret else {}))
            page = context.new_page()
            page.on(
                "console", lambda message: errors.append(message.text) if message.type == "error" else None
            )
            page.on("pageerror", lambda error: errors.append(str(error)))
            page.set_default_timeout(15_000)
            return page

        yield opened
    expected = (
        "401",
        "403",
        "404",
        "409",
        "422",
        "502",
        "503",
    )  # what a test asked for; its own assertions judge it
    unexpected = [text for text in errors if not any(f"status of {code}" in text for code in expected)]
    assert not unexpected


def _remember(context: BrowserContext, address: str, **cookies: str) -> None:
    context.add_cookies([{"name": name, "value": value, "url": address} for name, value in cookies.items()])


@pytest.fixture(scope="session")
def axe() -> str:
    """axe-core's source, as npm brought it for the bundle."""
    if not AXE.is_file():
        _absent("needs web/node_modules (npm ci in web/)")
    return AXE.read_text(encoding="utf-8")


@pytest.fixture
def serious(axe: str) -> Callable[[Page], list[str]]:
    """What axe finds serious or critical on a page, each as its rule with the first place."""

    def found(page: Page) -> list[str]:
        page.evaluate(axe)
        result = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        return [
            f"{issue['id']}: {issue['nodes'][0]['html'][:160]} ({len(issue['nodes'])} places)"
            for issue in result["violations"]
            if issue["impact"] in {"serious", "critical"}
        ]

    return found
