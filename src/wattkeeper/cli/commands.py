"""Commands to meters, for who owns the data folder: asked of the server that reads the meters, over its socket.

Agreeing, as the second person, is not among them: that needs somebody who signed in with a password of their own.
"""

from typing import Annotated, Any

import typer

from wattkeeper.cli.client import ask as ask_server
from wattkeeper.cli.client import needed_server
from wattkeeper.cli.options import DataDir, JsonFlag
from wattkeeper.cli.output import console, print_json, print_table
from wattkeeper.kernel.ownership import Owner

PAGE = 500
command = typer.Typer(
    no_args_is_help=True, help="Commands to meters: list, show, ask, withdraw. Approving is for the console."
)
Number = Annotated[int, typer.Argument(help="The number of what was asked, as `list` shows it.", min=1)]


@command.command("list")
def list_batches(
    waiting: Annotated[bool, typer.Option("--waiting", help="Only what waits for a second person.")] = False,
    limit: Annotated[int, typer.Option("--limit", help="How many, newest first.", min=1, max=500)] = 20,
    data_dir: DataDir = None,
    json: JsonFlag = False,
) -> None:
    """Show what meters were told, newest first."""
    asked = {"waiting": waiting, "limit": limit}
    batches = ask_server(_server(data_dir), "GET", "/command-batches", params=asked).json()["items"]
    if json:
        for item in batches:
            print_json(item)
        return
    rows = [
        (item["id"], item["kind"], _counts(item), item["reason"], item["asked_by"], item["asked_at"][:16])
        for item in batches
    ]
    print_table(["number", "command", "meters", "reason", "asked by", "asked at (UTC)"], rows, right=[0])


@command.command("show")
def show(number: Number, data_dir: DataDir = None, json: JsonFlag = False) -> None:
    """Show what became of each meter."""
    server = _server(data_dir)
    batch = ask_server(server, "GET", f"/command-batches/{number}").json()
    results = _results(server, number)
    if json:
        print_json(batch | {"commands": results})
        return
    _say(batch)
    rows = [
        (item["address"], item["state"], item["outcome"] or "", item["detail"] or "", item["changed_at"][:19])
        for item in results
    ]
    print_table(["meter", "state", "outcome", "in detail", "since (UTC)"], rows)


@command.command("ask")
def ask(
    kind: Annotated[
        str,
        typer.Argument(
            help="trip, close_allowed, close, alarm_on, alarm_off, keep_power_on, keep_power_off, set_clock "
            "or set_parameter."
        ),
    ],
    addresses: Annotated[list[str], typer.Argument(help="Addresses of meters.")],
    *,
    reason: Annotated[str, typer.Option("--reason", help="Why; it is kept with the command.")],
    identifier: Annotated[
        str | None, typer.Option("--identifier", help="Which parameter, such as 04000108.")
    ] = None,
    value: Annotated[str | None, typer.Option("--value", help="What it is to hold, as it is read.")] = None,
    standing_order: Annotated[
        int | None, typer.Option("--standing-order", help="Number of a standing order to ask it under.")
    ] = None,
    data_dir: DataDir = None,
    json: JsonFlag = False,
) -> None:
    """Ask for a command; a trip takes two persons who are signed in, and is asked on the console."""
    wanted: dict[str, Any] = {"kind": kind, "addresses": addresses, "reason": reason}
    if identifier is not None or value is not None:
        wanted["argument"] = {"identifier": identifier or "", "value": value or ""}
    if standing_order is not None:
        wanted["standing_order_id"] = standing_order
    batch = ask_server(_server(data_dir), "POST", "/command-batches", json=wanted).json()
    if json:
        print_json(batch)
    else:
        _say(batch)


@command.command("withdraw")
def withdraw(
    number: Number,
    note: Annotated[str, typer.Option("--note", help="Why; kept with the command.")] = "",
    data_dir: DataDir = None,
    json: JsonFlag = False,
) -> None:
    """Take back what has not been sent yet."""
    path = f"/command-batches/{number}/withdraw"
    batch = ask_server(_server(data_dir), "POST", path, json={"note": note}).json()
    if json:
        print_json(batch)
    else:
        _say(batch)


def _server(data_dir: DataDir) -> Owner:
    """The server of the data folder: only what reads meters can tell them anything."""
    return needed_server(
        data_dir,
        without="No server reads the meters of {folder}.",
        hint="Start it: wattkeeper serve. Meters are told by the server that reads them.",
    )


def _results(server: Owner, number: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    asked: dict[str, Any] = {"limit": PAGE}
    while True:
        page = ask_server(server, "GET", f"/command-batches/{number}/commands", params=asked).json()
        found += page["items"]
        if page["next"] is None:
            return found
        asked["after"] = page["next"]


def _say(batch: dict[str, Any]) -> None:
    console.print(
        f"{batch['id']}: {batch['kind']}, {_counts(batch)}. Asked by {batch['asked_by']}: {batch['reason']}",
        soft_wrap=True,
    )
    if batch["waits_for_decision"]:
        console.print(
            f"It waits for a second person: somebody else approves it on the console, /commands/{batch['id']}.",
            soft_wrap=True,
        )


def _counts(batch: dict[str, Any]) -> str:
    return ", ".join(f"{count} {state}" for state, count in batch["counts"].items())
