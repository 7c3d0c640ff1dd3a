"""What a page costs at 10,000 meters with a year of quarter hours: server time, bytes, first paint, interactive.

Run ``python benchmarks/pages.py``; ``--meters 400 --days 40`` for a quick look. The data is built once and kept (about
twenty minutes and 1.5 GB for the default; `$WATTKEEPER_BENCH_DATA` says where). The application runs in a process of
its own and is asked over HTTP on loopback, signed in as an administrator.

- *server*: from the request to the last byte of the page, one request at a time, 100 of each page; those of pages with
  figures that are found out anew every ten seconds are spread over eleven.
- *CPU*: what a request costs the server's processor; on a busy machine the times above wait, and this does not.
- *kB*: all bytes of a first visit as they travel, headers included, until the page rests.
- *first paint*: the browser's first contentful paint, after the start of navigation.
- *interactive*: the end of the page's start: the document and console.js have run (DOMContentLoaded), the first paint is
  there, and the last task of more than 50 ms of the whole load has ended, charts included. The page rests when no
  request but the event stream is under way and no such task has run for 500 ms.

Paints and interactive are medians of several loads in a fresh browser context each, on two profiles: *fast* is this
machine as it is; *slow* has the CPU divided by four, 9 Mbit/s down, 3 Mbit/s up and 40 ms of latency a request.
"""

import argparse
import os
import sys

from playwright.sync_api import sync_playwright

from pages_browser import CHROMIUM, FAST, FLAGS, FRAMES_PER_S, FRAMES_S, SLOW, busy_share, loads
from pages_estate import Estate, folder
from pages_ledger import ledger_of
from pages_measured import (
    AIM_P50_MS,
    AIM_P99_MS,
    LIMIT_BUSY,
    LIMIT_INTERACTIVE_MS,
    LIMIT_KB,
    LIMIT_PAINT_MS,
    Measured,
    Served,
    served,
    server_times,
)  # fmt: skip

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
    ("bills, paid", "/bills?state=paid"),
    ("bill", "/bills/6"),
    ("payments", "/payments"),
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


def show(pages: list[Measured]) -> None:
    """The table, limits in its head."""
    head = (
        "page",
        "p50 ms",
        "p99 ms",
        "CPU ms",
        "kB",
        "paint fast",
        "inter. fast",
        "paint slow",
        "inter. slow",
    )
    limits = (
        "limit (server: aim)",
        AIM_P50_MS,
        AIM_P99_MS,
        "",
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
        cells = [f"{page.p50:.1f}", f"{page.p99:.1f}", f"{page.cpu_ms:.1f}"]
        cells.append(f"{page.kilobytes:.0f}" if page.kilobytes else "")
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
    if os.getloadavg()[0] > 0.5:
        print(
            f"other work goes on here (load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores) and is in every time below"
        )
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
