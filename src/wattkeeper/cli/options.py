"""Options that several commands take."""

from pathlib import Path
from typing import Annotated

import typer

DataDir = Annotated[
    Path | None, typer.Option("--data-dir", help="Folder of everything kept.", show_default="data")
]
Port = Annotated[
    int | None, typer.Option("--port", help="TCP port of the pages; 0 takes a free one.", show_default="8645")
]
JsonFlag = Annotated[bool, typer.Option("--json", help="For machines: one JSON object per line.")]
