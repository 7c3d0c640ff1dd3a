"""`wattkeeper clean`: a file of readings validated, estimated and explained; needs no server and no store."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from wattkeeper.cli.options import JsonFlag
from wattkeeper.cli.output import chinese, console, errors, print_json
from wattkeeper.readings.cleaning.kinds import Kind, Stamp

if TYPE_CHECKING:
    from wattkeeper.readings.cleaning.values import Cleaned


def clean(  # noqa: PLR0917 (options)
    file: Annotated[
        Path, typer.Argument(help="CSV, Excel or Parquet: time, meter, value; or one column per meter.")
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The result, .csv or .parquet.", show_default="FILE.clean.csv"),
    ] = None,
    zone: Annotated[
        str,
        typer.Option(
            "--zone",
            help="Zone of times without an offset; its country's holidays count.",
            metavar="Asia/Shanghai",
        ),
    ] = "UTC",
    kind: Annotated[
        Kind | None,
        typer.Option(
            "--values", help="What the values are; left out: found out, and told.", show_default=False
        ),
    ] = None,
    stamp: Annotated[
        Stamp | None,
        typer.Option("--stamp", help="Which end of its step a time names.", show_default="start"),
    ] = None,
    step: Annotated[
        int | None,
        typer.Option(
            "--step", help="Minutes from value to value; left out: the most frequent.", show_default=False
        ),
    ] = None,
    time: Annotated[str | None, typer.Option("--time", help="The column of times.", metavar="NAME")] = None,
    meter: Annotated[
        str | None, typer.Option("--meter", help="The column of meters.", metavar="NAME")
    ] = None,
    value: Annotated[
        list[str] | None,
        typer.Option("--value", help="A column of values; may be given again.", metavar="NAME"),
    ] = None,
    replace_suspect: Annotated[
        bool,
        typer.Option("--replace-suspect", help="Estimate what validation doubts, instead of only saying so."),
    ] = False,
    json: JsonFlag = False,
) -> None:
    """Clean a file of registers, energies or powers: find what is wrong, fill gaps, say how sure every value is."""
    from wattkeeper.readings.cleaning.cleaning import clean as cleaned_file
    from wattkeeper.readings.cleaning.report import report
    from wattkeeper.readings.cleaning.values import Choices
    from wattkeeper.readings.cleaning.writing import checked_output, write

    choices = Choices(_zone(zone), kind, stamp, step, time, meter, tuple(value or ()), replace_suspect)
    target = checked_output(file, output or file.with_name(f"{file.stem}.clean.csv"))
    with _shown() as progress:
        cleaned = cleaned_file(file, choices, progress)
        progress("writing", 0)
        write(cleaned.table, target, choices.zone)
    if json:
        print_json(_facts(cleaned, target))
        return
    for line in report(cleaned, choices.zone, chinese=chinese()):
        console.print(line, markup=False, soft_wrap=True)
    console.print(f"→ {target}", markup=False, soft_wrap=True)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        from wattkeeper.readings.cleaning.values import CleaningError

        raise CleaningError(
            f"There is no time zone {name!r}.", hint="Use an IANA name, such as Asia/Shanghai."
        ) from None


def _facts(cleaned: "Cleaned", target: Path) -> dict[str, object]:
    facts = cleaned.facts
    return {
        "file": facts.name,
        "output": str(target),
        "rows": facts.rows,
        "meters": len(cleaned.names),
        "values": facts.kind.value,
        "stamp": facts.stamp.value,
        "step_minutes": facts.step_minutes,
        "wrong_rows": facts.wrong,
        "repeated": facts.repeated,
        "contradicted": facts.contradicted,
        "off_grid": facts.off_grid,
        "gaps": facts.gap_count,
        "methods": facts.methods,
        "statuses": dict(Counter(cleaned.table["status"].to_pylist())),
        "findings": {code: count for code, (count, _) in facts.findings.items()},
    }


@contextmanager
def _shown() -> Iterator[Callable[[str, int], None]]:
    words = (
        {"reading": "读取", "estimating": "估计", "validating": "校验", "writing": "写出"}
        if chinese()
        else {}
    )
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as progress:
        task = progress.add_task("", total=None)

        def tell(doing: str, done: int) -> None:
            word = words.get(doing, doing)
            progress.update(task, description=f"{word} {done:,}" if done else word)

        yield tell
