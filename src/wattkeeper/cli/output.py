"""How the command line speaks: tables for people, JSON for machines, errors as sentences."""

import json
import os
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from wattkeeper.kernel.errors import WattkeeperError
from wattkeeper.protocols.dlt645 import Dlt645Error
from wattkeeper.protocols.modbus import ModbusError

console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)

USER_ERRORS = (WattkeeperError, Dlt645Error, ModbusError)
"""What a user's input, a link or a meter can cause; anything else is a bug and may show its traceback."""


def print_error(error: BaseException) -> None:
    """Say what went wrong and, where we know, what to do next."""
    errors.print(
        Text.assemble(("error: ", "bold red"), getattr(error, "message", str(error))), soft_wrap=True
    )
    hint = getattr(error, "hint", None)
    if hint:
        errors.print(Text.assemble(("hint: ", "bold"), hint), soft_wrap=True)


def print_json(value: Any) -> None:
    """One JSON document on one line; what JSON does not know (Decimal, datetime) as a string."""
    print(json.dumps(value, ensure_ascii=False, default=str), flush=True)  # noqa: T201 (output for machines)


def print_table(headings: Sequence[str], rows: Iterable[Sequence[Any]], *, right: Iterable[int] = ()) -> None:
    """A table; the columns at the indices `right` are numbers."""
    numbers = set(right)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for index, heading in enumerate(headings):
        table.add_column(heading, justify="right" if index in numbers else "left", overflow="fold")
    for row in rows:
        table.add_row(*("" if cell is None else Text(str(cell)) for cell in row))
    console.print(table)


def chinese() -> bool:
    """Whether names are shown in Chinese: as WATTKEEPER_LANGUAGE says, else as the terminal's locale does."""
    chosen = os.environ.get("WATTKEEPER_LANGUAGE")
    locale = os.environ.get("LC_ALL") or os.environ.get("LC_MESSAGES") or os.environ.get("LANG") or ""
    return (chosen or locale).startswith("zh")
