"""Commands at the meter: find, read, listen, explain. None needs a server or a store."""

import asyncio
import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from wattkeeper.cli.options import JsonFlag
from wattkeeper.cli.output import chinese, console, errors, print_error, print_json, print_table
from wattkeeper.collection import fieldwork
from wattkeeper.collection.drivers.dlt645 import quantity_of
from wattkeeper.kernel.errors import WattkeeperError
from wattkeeper.links import recording
from wattkeeper.links.traffic import Traffic
from wattkeeper.protocols.dlt645.explain import Explanation, explain
from wattkeeper.protocols.modbus import explain as modbus

LinkOption = Annotated[
    str,
    typer.Option(
        "--link",
        help="Where the meters are: serial:///dev/ttyUSB0, serial:///dev/ttyUSB0?baud=9600, or tcp://host:port.",
        metavar="URL",
    ),
]


class NothingFound(WattkeeperError):
    """A scan heard no meter."""


class CannotRecord(WattkeeperError):
    """The file of a recording cannot be made."""


class NoFrame(WattkeeperError):
    """There is nothing to decode."""


def scan(
    link: LinkOption,
    baud: Annotated[
        list[int] | None, typer.Option("--baud", help="Try only this baud rate; may be repeated.")
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Find the meters on a link, and their baud rate."""
    with _progress(quiet=json) as say:
        found = asyncio.run(fieldwork.scan(link, bauds=baud or fieldwork.BAUDS, progress=say))
    if not found:
        raise NothingFound(
            f"No meter answered on {link}.",
            hint="Check A and B of the RS-485 pair (try them swapped), the meter's supply, and that nothing else uses the line.",
        )
    if json:
        for meter in found:
            print_json(
                {"address": meter.address, "protocol": meter.protocol, "baud": meter.baud, "link": meter.url}
            )
        return
    rows = [(meter.address, meter.protocol, meter.baud or "-", meter.url) for meter in found]
    print_table(["meter", "protocol", "baud", "link"], rows, right=[2])


def read(
    link: LinkOption,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            help="energy, power, voltage, current ... or quantity keys such as active_energy_import_t1."
        ),
    ] = None,
    meter: Annotated[
        str | None,
        typer.Option("--meter", help="The meter's 12 digits; without it the only meter there is asked."),
    ] = None,
    protocol: Annotated[
        str,
        typer.Option(
            "--protocol",
            help="dlt645-2007 or dlt645-1997 asks in that edition only; dlt645 finds out which the meter speaks.",
        ),
    ] = fieldwork.PROTOCOL_OF_EITHER,
    json: JsonFlag = False,
) -> None:
    """Read a meter now: values with units."""
    asked = tuple(words or ("energy",))
    values = asyncio.run(fieldwork.read_meter(link, address=meter, words=asked, protocol=protocol))
    if json:
        for value in values:
            print_json(
                {
                    "meter": value.address,
                    "quantity": value.quantity,
                    "value": str(value.value),
                    "unit": value.unit,
                    "read_at": value.read_at.isoformat(),
                }
            )
        return
    zh = chinese()
    rows = [
        (value.name_zh if zh else value.name_en, value.value, value.unit, value.quantity) for value in values
    ]
    print_table(["量", "值", "单位", "键"] if zh else ["quantity", "value", "unit", "key"], rows, right=[1])


def monitor(
    link: LinkOption,
    record: Annotated[
        Path | None,
        typer.Option(
            "--record", help="Write what passes to this new file, for `wattkeeper replay`.", dir_okay=False
        ),
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Show the frames on a link as they pass, without sending; Ctrl-C ends."""
    with contextlib.ExitStack() as stack:
        tap = None if record is None else stack.enter_context(_recorder(record, link))
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(_monitor(link, tap=tap, json=json))


@contextlib.contextmanager
def _recorder(path: Path, link: str) -> Iterator[Callable[[Traffic], None]]:
    """What writes each chunk to a new file at once; an existing one is somebody's work."""
    try:
        file = path.open("x", encoding="utf-8", buffering=1)
    except FileExistsError:
        raise CannotRecord(f"{path} exists already.", hint="Name a new file.") from None
    except OSError as error:
        raise CannotRecord(
            f"{path} cannot be written: {error.strerror}.", hint="Name another file."
        ) from None
    with file:
        file.write(recording.head_line(link, datetime.now(UTC)))

        def keep(chunk: Traffic) -> None:
            file.write(recording.chunk_line(chunk))

        yield keep


async def _monitor(link: str, *, tap: Callable[[Traffic], None] | None, json: bool) -> None:
    if not json:
        errors.print(f"Listening on {link}; Ctrl-C ends.", style="dim")
    async for heard in fieldwork.monitor(link, tap=tap):
        _print_heard(heard, json=json)


def replay(
    file: Annotated[Path, typer.Argument(help="A recording, of this command line or of the console.")],
    wrong: Annotated[bool, typer.Option("--wrong", help="Only what is no sound frame.")] = False,
    json: JsonFlag = False,
) -> None:
    """Show a recording frame by frame, as it passed; exit code 1 if a frame was broken."""
    try:
        with file.open(encoding="utf-8") as lines:
            found = recording.parse(lines)
    except (OSError, UnicodeDecodeError) as error:
        raise recording.BadRecording(f"{file} cannot be read: {error}.", hint="Name a recording.") from None
    broken = False
    for heard in fieldwork.heard_again(found.chunks):
        broken = broken or not heard.valid
        if not (wrong and heard.valid):
            _print_heard(heard, json=json)
    if broken:
        raise typer.Exit(code=1)


def _print_heard(heard: fieldwork.HeardFrame, *, json: bool) -> None:
    summary = fieldwork.summary_of(heard)
    if json:
        print_json(
            {
                "at": heard.at.isoformat(),
                "direction": heard.direction,
                "valid": heard.valid,
                "check": heard.check,
                "note": heard.note,
                "gap_ms": None if heard.gap is None else round(heard.gap.total_seconds() * 1000, 1),
                "raw": heard.raw.hex(),
                "summary": summary,
            }
        )
        return
    when = heard.at.astimezone().strftime("%H:%M:%S.%f")[:-3]
    gap = "" if heard.gap is None else f"+{heard.gap.total_seconds() * 1000:.0f} ms"
    way = {"tx": ">", "rx": "<"}[heard.direction]
    note = f" ({heard.note})" if heard.note else ""
    console.print(
        Text.assemble((when, "dim"), f" {way} ", (heard.raw.hex(" ").upper(), "cyan"), (f"  {gap}", "dim")),
        soft_wrap=True,
    )
    console.print(Text(f"               {summary}{note}", style="" if heard.valid else "red"), soft_wrap=True)


def decode(
    frames: Annotated[
        list[str] | None,
        typer.Argument(help="Frames in hexadecimal, spaces allowed within quotes; - reads one per line."),
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Explain DL/T 645 and Modbus frames byte by byte, right or broken; exit code 1 if one was broken."""
    broken = False
    for text in _frames(frames):
        try:
            raw = _octets(text)
        except NoFrame as error:
            broken = True
            if json:
                print_json({"valid": False, "error": error.message})
            else:
                print_error(error)
            continue
        explanation = _explained(raw)
        broken = broken or not explanation.valid
        if json:
            print_json(
                explanation.as_json(quantity_of=quantity_of)
                if isinstance(explanation, Explanation)
                else explanation.as_json()
            )
        else:
            _print_explanation(explanation)
    if broken:
        raise typer.Exit(code=1)


def _explained(raw: bytes) -> Explanation | modbus.Explanation:
    """By the protocol in which the bytes are a frame, or else most nearly one."""
    found = explain(raw)
    if found.valid:
        return found
    other = modbus.explain(raw)
    return other if other.valid or modbus.looks_like_modbus(raw) else found


def _frames(arguments: list[str] | None) -> Iterator[str]:
    """The frames named on the command line, `-` standing for the lines of standard input."""
    if not arguments:
        raise NoFrame(
            "There is no frame to decode.", hint="Give it in hexadecimal, or - to read a frame per line."
        )
    for argument in arguments:
        yield from (line for line in _lines() if line.strip()) if argument == "-" else (argument,)


def _lines() -> Iterable[str]:
    return (line.rstrip("\n") for line in sys.stdin)


def _octets(text: str) -> bytes:
    """The bytes that `text` writes in hexadecimal, however they are set apart."""
    digits = "".join(
        text.replace("0x", "").replace("0X", "").translate(str.maketrans("", "", " \t,:-_\r")).split()
    )
    try:
        return bytes.fromhex(digits)
    except ValueError:
        wrong = next((character for character in digits if character not in "0123456789abcdefABCDEF"), None)
        reason = (
            f"{wrong!r} is no hexadecimal digit" if wrong else f"{len(digits)} digits are not whole bytes"
        )
        raise NoFrame(
            f"{text[:60]!r} is not hexadecimal: {reason}.", hint="Write two digits a byte, as in 68 61 01."
        ) from None


def _print_explanation(explanation: Explanation | modbus.Explanation) -> None:
    zh = chinese()
    rows = [
        (part.offset, part.octets.hex(" ").upper(), part.label_zh if zh else part.label_en, part.value)
        for part in explanation.parts
    ]
    print_table(
        ["位置", "字节", "含义", "值"] if zh else ["at", "bytes", "meaning", "value"], rows, right=[0]
    )
    if not explanation.valid:
        errors.print(Text.assemble(("broken: ", "bold red"), str(explanation.error)), soft_wrap=True)
    console.print()


@contextlib.contextmanager
def _progress(*, quiet: bool) -> Iterator[fieldwork.Progress]:
    """A line on the terminal that says what is being tried."""
    if quiet or not errors.is_terminal:
        yield lambda _text: None
        return
    with errors.status("scanning") as status:
        yield lambda text: status.update(Text(text))
