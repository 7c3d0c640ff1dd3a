"""Commands about readings between a remote collector and its platform, at either end."""

from datetime import UTC, datetime, timedelta
from typing import Any

import typer

from wattkeeper.cli.client import ask, needed_server
from wattkeeper.cli.options import DataDir, JsonFlag
from wattkeeper.cli.output import console, print_json, print_table
from wattkeeper.kernel.ownership import Owner

_SHOWN = 20
"""Unknown meters that are listed; all are in the output of --json."""
TROUBLE = 1


def outbox(data_dir: DataDir = None, json: JsonFlag = False) -> None:
    """Say how this server gets on with sending what it reads to its platform; exit code 1 when it does not."""
    found = ask(_server(data_dir), "GET", "/outbox").json()
    if json:
        print_json(found)
    else:
        _show_outbox(found)
    if found["error"] is not None:
        raise typer.Exit(TROUBLE)


def collectors(data_dir: DataDir = None, json: JsonFlag = False) -> None:
    """List the remote collectors that deliver readings here, and the meters that nobody has registered."""
    found = ask(_server(data_dir), "GET", "/remote-collectors").json()
    if json:
        for item in found:
            print_json(item)
        return
    rows = [
        (item["name"], item["id"], item["last_at"][:19], f"{item['readings']:,}", str(len(item["unknown"])))
        for item in found
    ]
    print_table(["collector", "id", "heard last (UTC)", "readings", "unknown meters"], rows)
    for item in found:
        _show_unknown(item["unknown"], f"{item['name']} reads meters that are not registered here")


def _server(data_dir: DataDir) -> Owner:
    return needed_server(
        data_dir,
        without="No server runs on {folder}, so nothing is sent or taken.",
        hint="Start one: wattkeeper serve.",
    )


def _show_outbox(found: dict[str, Any]) -> None:
    console.print(
        f"To {found['url']} as collector {found['collector'] or '(not opened yet)'}", soft_wrap=True
    )
    waiting = f"{found['rows']:,} rows in {found['batches']:,} batches, {found['bytes']:,} bytes"
    oldest = f"; the oldest for {_since(found['oldest_at'])}" if found["oldest_at"] else ""
    console.print(f"  waiting: {waiting}{oldest}", soft_wrap=True)
    last = f"; acknowledged last {_since(found['acknowledged_at'])} ago" if found["acknowledged_at"] else ""
    console.print(f"  sent: {found['sent']:,} rows in {found['sent_bytes']:,} bytes{last}", soft_wrap=True)
    if found["error"] is not None:
        console.print(f"  trouble: {found['error']}", soft_wrap=True)
    _show_unknown(found["unknown"], "Meters that the platform does not know; their readings wait here")


def _show_unknown(meters: list[dict[str, str]], title: str) -> None:
    if not meters:
        return
    console.print(f"{title}: {len(meters):,}", soft_wrap=True)
    for meter in meters[:_SHOWN]:
        console.print(f"  {meter['protocol']} {meter['address']} on link {meter['link']}", soft_wrap=True)
    if len(meters) > _SHOWN:
        console.print(f"  and {len(meters) - _SHOWN:,} more", soft_wrap=True)


def _since(instant: str) -> str:
    passed = datetime.now(UTC) - datetime.fromisoformat(instant)
    return str(timedelta(seconds=max(0, round(passed.total_seconds()))))
