"""Options that several commands take."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

if TYPE_CHECKING:
    from wattkeeper.settings import Settings

DataDir = Annotated[
    Path | None, typer.Option("--data-dir", help="Folder of everything kept.", show_default="data")
]
Port = Annotated[
    int | None, typer.Option("--port", help="TCP port of the pages; 0 takes a free one.", show_default="8645")
]
JsonFlag = Annotated[bool, typer.Option("--json", help="For machines: one JSON object per line.")]


def settings_of(**options: Any) -> "Settings":
    """The settings with what the options say; the help of a command does not wait for their library.

    Raises:
        SettingsError: see load_settings.

    """
    from wattkeeper.settings import load_settings

    return load_settings(**options)


class WithDefault(TyperGroup):
    """A group in which `meters` need not be said: `wattkeeper import meters.xlsx` imports meters."""

    DEFAULT = "meters"

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the default in front of what names none of the commands."""
        if args and args[0] not in {*self.commands, "--help", "-h"}:
            args = [self.DEFAULT, *args]
        return super().parse_args(ctx, args)
