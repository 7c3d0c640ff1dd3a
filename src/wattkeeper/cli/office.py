"""Commands about master data and bills.

Where a server owns the data folder they ask it; where none does they open the stores themselves, for as long as they run.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from wattkeeper.cli.client import ask, running_server
from wattkeeper.cli.options import DataDir, JsonFlag, settings_of
from wattkeeper.cli.output import chinese, console, errors, print_json, print_table
from wattkeeper.cli.stores import opened
from wattkeeper.kernel.errors import WattkeeperError
from wattkeeper.kernel.ownership import Owner

if TYPE_CHECKING:
    from wattkeeper.settings import Settings

POLL_SECONDS = 0.3
UNFINISHED = frozenset({"queued", "running"})
ERRORS_SHOWN = 50


class FileTrouble(WattkeeperError):
    """A file cannot be read or written."""


class NothingImported(WattkeeperError):
    """The file has wrong cells."""


class BillRunFailed(WattkeeperError):
    """A bill run came to a stop before its end."""


def template(
    file: Annotated[Path, typer.Argument(help="The Excel file to write.")] = Path("meters.xlsx"),
    force: Annotated[bool, typer.Option("--force", help="Write over a file that exists.")] = False,
) -> None:
    """Write an Excel file to fill in with your meters."""
    from wattkeeper.registry import importing

    if file.exists() and not force:
        raise FileTrouble(
            f"{file} exists already.", hint="Choose another name, or add --force to write over it."
        )
    try:
        file.write_bytes(importing.template("zh" if chinese() else "en"))
    except OSError as error:
        raise FileTrouble(
            f"{file} cannot be written: {error.strerror}.", hint="Choose another place."
        ) from None
    console.print(f"Wrote {file}. Fill it in, then: wattkeeper import {file} --dry-run", soft_wrap=True)


def import_registry(
    file: Annotated[
        Path, typer.Argument(help="An Excel file as `template` writes it, or a CSV with its headings.")
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would happen.")] = False,
    update: Annotated[
        bool, typer.Option("--update", help="Change what exists already, instead of leaving it as it is.")
    ] = False,
    data_dir: DataDir = None,
    json: JsonFlag = False,
) -> None:
    """Enter meters, points and accounts from a file: all of it, or none when a cell is wrong."""
    try:
        content = file.read_bytes()
    except OSError as error:
        raise FileTrouble(f"{file} cannot be read: {error.strerror}.", hint="Check the path.") from None
    settings = settings_of(data_dir=data_dir)
    existing = "update" if update else "skip"
    owner = running_server(settings)
    if owner is not None:
        outcome = _import_there(owner, content, file.name, existing=existing, dry_run=dry_run)
    else:
        outcome = _import_here(settings, content, file.name, existing=existing, dry_run=dry_run)
    if json:
        print_json(outcome)
    else:
        _print_import(outcome, dry_run=dry_run)
    if outcome["errors"]:
        raise NothingImported(
            f"{file.name} has {len(outcome['errors'])} wrong cells, so nothing was imported.",
            hint="Correct them and import the file again.",
        )


def _import_there(owner: Owner, content: bytes, name: str, *, existing: str, dry_run: bool) -> dict[str, Any]:
    def send(path: str) -> dict[str, Any]:
        files = {"file": (name, content)}
        answer: dict[str, Any] = ask(owner, "POST", path, files=files, data={"existing": existing}).json()
        return answer

    looked = send("/import/preview")
    return looked if dry_run or looked["errors"] else send("/import/apply")


def _import_here(
    settings: "Settings", content: bytes, name: str, *, existing: str, dry_run: bool
) -> dict[str, Any]:
    from wattkeeper.collection.drivers.modbus_maps import known_maps, side_of_maps
    from wattkeeper.registry import importing
    from wattkeeper.web.api.imports import import_answer

    side_of = side_of_maps(known_maps(settings.modbus_maps))
    with opened(settings) as parts:
        chosen = importing.ExistingRows(existing)
        with parts.database.read() as session:
            looked = importing.preview(session, content, name, existing=chosen, side_of=side_of)
        apply = not dry_run and not looked.errors
        if apply:
            with parts.database.write() as session:
                looked = importing.apply(
                    session, content, name, existing=chosen, side_of=side_of, now=datetime.now(UTC)
                )
    return import_answer(looked, applied=apply).model_dump(mode="json")


def _print_import(outcome: Mapping[str, Any], *, dry_run: bool) -> None:
    wrong = outcome["errors"]
    if wrong:
        rows = [
            (e["row"], e["column"], e["value"], e["message"], e.get("hint") or "")
            for e in wrong[:ERRORS_SHOWN]
        ]
        print_table(["row", "column", "value", "what is wrong", "what to do"], rows, right=[0])
        if len(wrong) > ERRORS_SHOWN:
            console.print(f"... and {len(wrong) - ERRORS_SHOWN} more (--json lists all)")
        return
    if outcome["ignored"]:
        console.print(
            f"Columns that mean nothing here, left out: {', '.join(outcome['ignored'])}", soft_wrap=True
        )
    would = "would be " if dry_run else ""
    console.print(
        f"{outcome['created']} rows {would}new, {outcome['updated']} {would}changed, {outcome['skipped']} {would}left as they were."
    )


def bill(
    month: Annotated[str, typer.Option("--month", help="The finished month, such as 2026-10.")],
    tariff: Annotated[
        str | None,
        typer.Option(
            "--tariff",
            help="First give this tariff, from that month on, to every account that has none.",
            metavar="CODE",
        ),
    ] = None,
    data_dir: DataDir = None,
    json: JsonFlag = False,
) -> None:
    """Bill every account for a month; lists those that could not be billed, and why."""
    settings = settings_of(data_dir=data_dir)
    owner = running_server(settings)
    outcome = _bill_there(owner, month, tariff) if owner is not None else _bill_here(settings, month, tariff)
    if outcome["state"] != "finished":
        raise BillRunFailed(
            f"Bill run {outcome['id']} {outcome['state']}: {outcome['error']}",
            hint="Bills made so far stand; run it again to go on.",
        )
    if json:
        print_json(outcome)
        return
    console.print(
        f"{outcome['billed']} accounts billed for {month}, {outcome['estimated']} of them on estimated energy."
    )
    if outcome["exceptions"]:
        console.print(f"{len(outcome['exceptions'])} could not be billed:")
        print_table(
            ["account", "why"], [(each["account_code"], each["message"]) for each in outcome["exceptions"]]
        )


def _bill_there(owner: Owner, month: str, tariff: str | None) -> dict[str, Any]:
    if tariff is not None:
        ask(owner, "POST", "/tariff-assignments", json={"tariff": tariff, "month": month})
    run: dict[str, Any] = ask(owner, "POST", "/bill-runs", json={"month": month}).json()
    with _progress() as show:
        while run["state"] in UNFINISHED:
            show(run["progress"], run["total"])
            time.sleep(POLL_SECONDS)
            run = ask(owner, "GET", f"/bill-runs/{run['id']}").json()
    return run


def _bill_here(settings: "Settings", month: str, tariff: str | None) -> dict[str, Any]:
    from wattkeeper.web.api.runs import bill_run_answer, finished_month

    def clock() -> datetime:
        return datetime.now(UTC)

    now = clock()
    with opened(settings) as parts:
        period = finished_month(month, parts.database, now=now)
        if tariff is not None:
            parts.billing.assign_where_none(tariff, valid_from=period.start, now=now)
        job_id = parts.billing.start_bill_run(period, now=now)
        while (run := parts.billing.bill_run(job_id)).state in UNFINISHED:
            # None: another worker has it, or had it and was killed. Its lease is over within a minute.
            if parts.billing.work_bill_run(owner=f"command {os.getpid()}", clock=clock) is None:
                time.sleep(POLL_SECONDS)
        return bill_run_answer(run).model_dump(mode="json")


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    columns = (TextColumn("billing"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as progress:
        task = progress.add_task("billing")
        yield lambda done, total: progress.update(task, completed=done, total=total or None)
