"""Modbus meters: find the register map that fits, read by it, and check one's own."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from wattkeeper.cli.options import JsonFlag
from wattkeeper.cli.output import chinese, console, errors, print_json, print_table
from wattkeeper.collection.drivers.modbus_maps import known_maps, map_named, read_map
from wattkeeper.collection.modbus_fieldwork import Fit, RegisterValue, identify, probe, read_registers
from wattkeeper.kernel.errors import WattkeeperError
from wattkeeper.protocols.modbus.coalescing import coalesce, whole
from wattkeeper.protocols.modbus.maps import RegisterMap

modbus = typer.Typer(
    no_args_is_help=True,
    help="Modbus meters: which register map fits, read by it, check your own.",
)

Url = Annotated[
    str,
    typer.Argument(
        metavar="URL",
        help="Where the meter is: serial:///dev/ttyUSB0?baud=9600&parity=none, or tcp://host:502.",
    ),
]
Unit = Annotated[int, typer.Option("--unit", help="The meter's Modbus address, 1 to 247.")]
Rtu = Annotated[
    bool,
    typer.Option(
        "--rtu", help="RTU frames over TCP, through a transparent gateway; a serial line has them anyway."
    ),
]
MapDir = Annotated[
    Path | None,
    typer.Option(
        "--map-dir",
        envvar="WATTKEEPER_MODBUS_MAPS",
        help="Folder of your own maps, beside those that are shipped.",
    ),
]


class NoMapFits(WattkeeperError):
    """A meter answers, and no map makes sense of it."""


@modbus.command("probe")
def probe_meter(
    url: Url, unit: Unit = 1, rtu: Rtu = False, map_dir: MapDir = None, json: JsonFlag = False
) -> None:
    """Try every register map on a meter, and say which fits and why."""
    maps = known_maps(map_dir)
    with errors.status("trying maps") as status:
        fits = asyncio.run(probe(url, unit, maps.values(), rtu=rtu, progress=status.update))
        said = asyncio.run(identify(url, unit, rtu=rtu))
    if json:
        for fit in fits:
            print_json(
                {
                    "map": fit.map.name,
                    "verdict": fit.verdict,
                    "evidence": fit.evidence,
                    "reasons": fit.reasons,
                }
            )
    else:
        _print_fits(fits, said)
    if fits[0].verdict == "no":
        raise NoMapFits(
            f"Unit {unit} on {url} answers, and none of {len(fits)} maps fits.",
            hint="Write a map from the maker's table: docs/howto/add-a-modbus-meter.md, ten minutes.",
        )


@modbus.command("read")
def read_meter(  # noqa: PLR0917 - options of a command
    url: Url,
    register_map: Annotated[
        str, typer.Option("--map", help="Name of a map, or a map file of your own.", metavar="MAP")
    ],
    unit: Unit = 1,
    rtu: Rtu = False,
    map_dir: MapDir = None,
    details: Annotated[
        bool,
        typer.Option("--details", help="Also what is not collected: serial number, settings, distortion."),
    ] = False,
    json: JsonFlag = False,
) -> None:
    """Read a meter by a register map: values with units."""
    found = _map(register_map, map_dir)
    values = asyncio.run(read_registers(url, unit, found, rtu=rtu, details=details))
    if json:
        for value in values:
            told = None if value.value is None else str(value.value)
            print_json(
                {
                    "unit_id": unit,
                    "quantity": value.key,
                    "value": told,
                    "unit": value.unit,
                    "read_at": value.read_at.isoformat(),
                }
            )
        return
    _print_values(values)


@modbus.command("maps")
def show_maps(
    name: Annotated[
        str | None, typer.Argument(help="The map to show whole; without it all are listed.")
    ] = None,
    map_dir: MapDir = None,
    json: JsonFlag = False,
) -> None:
    """List the register maps, or show one."""
    if name is not None:
        _show(_map(name, map_dir), json=json)
        return
    maps = known_maps(map_dir).values()
    if json:
        for each in maps:
            print_json(
                {
                    "map": each.name,
                    "maker": each.maker,
                    "models": each.models,
                    "quantities": len(each.registers),
                }
            )
        return
    rows = [(each.name, each.maker, ", ".join(each.models), len(each.registers), each.shows) for each in maps]
    print_table(["map", "maker", "models", "quantities", "shows"], rows, right=[3])


@modbus.command("check")
def check_map(
    file: Annotated[Path, typer.Argument(help="The map, a TOML file.")], json: JsonFlag = False
) -> None:
    """Check a register map of your own; every problem is told with its line."""
    _show(read_map(file), json=json)


def _map(name: str, folder: Path | None) -> RegisterMap:
    """A map by its name, or the one in a file."""
    return read_map(Path(name)) if name.endswith(".toml") else map_named(name, known_maps(folder))


def _show(found: RegisterMap, *, json: bool) -> None:
    registers = [*found.registers, *found.details]
    requests = coalesce([register.span for register in found.registers], found.limits)
    if json:
        print_json(
            {
                "map": found.name,
                "maker": found.maker,
                "models": found.models,
                "source": found.source,
                "shows": found.shows,
                "unverified": found.unverified,
                "requests": [whole(group).key for group in requests],
                "registers": [
                    {
                        "key": register.key,
                        "function": register.span.function,
                        "wire_address": register.span.start,
                        "words": register.words,
                        "type": register.kind,
                        "order": register.order,
                        "scale": str(register.scale),
                        "unit": register.unit,
                    }
                    for register in registers
                ],
            }
        )
        return
    console.print(f"[bold]{found.name}[/bold]  {found.maker} {', '.join(found.models)}")
    console.print(f"source: {found.source}", soft_wrap=True, markup=False)
    for note in found.unverified:
        console.print(f"not verified: {note}", soft_wrap=True, markup=False)
    side = (
        "primary values, ratios included"
        if found.shows == "primary"
        else "secondary values; ratios are set at installation"
    )
    console.print(f"shows {side}; {len(found.registers)} quantities in {len(requests)} requests")
    rows = [
        (
            register.key,
            register.span.function,
            found.printed_address(register),
            f"{register.span.start} ({register.span.start:04X}H)",
            register.kind,
            register.order if register.words > 1 and register.kind != "string" else "",
            "" if register.scale == 1 else register.scale,
            register.unit,
        )
        for register in registers
    ]
    print_table(
        ["quantity", "fc", "printed", "on the wire", "type", "order", "scale", "unit"], rows, right=[1, 2, 3]
    )


def _print_fits(fits: list[Fit], said: Mapping[int, str]) -> None:
    if said:
        console.print(f"It says of itself: {', '.join(said.values())}", markup=False)
    words = {"fits": "适合", "possible": "可能", "no": "否"} if chinese() else {}
    rows = [
        (fit.map.name, words.get(fit.verdict, fit.verdict), "; ".join(fit.reasons[:3]))
        for fit in fits
        if not _is_refused(fit)
    ]
    print_table(["表", "适合", "原因"] if chinese() else ["map", "fits", "why"], rows)
    if others := [fit.map.name for fit in fits if _is_refused(fit)]:
        said_no = "寄存器不符" if chinese() else "its registers are not those of"
        console.print(f"{said_no}: {', '.join(others)}", markup=False, style="dim")
    if fits[0].verdict != "no":
        console.print(f"\n{fits[0].map.name}:", markup=False)
        _print_values(list(fits[0].values))


def _is_refused(fit: Fit) -> bool:
    """Whether nothing of a map could be read at all: such maps are named together."""
    return fit.verdict == "no" and not fit.values


def _print_values(values: list[RegisterValue]) -> None:
    zh = chinese()
    rows = [
        (
            value.name_zh if zh else value.name_en,
            "-" if value.value is None else value.value,
            value.unit,
            value.key,
            value.address,
        )
        for value in values
    ]
    headings = (
        ["量", "值", "单位", "键", "寄存器"] if zh else ["quantity", "value", "unit", "key", "register"]
    )
    print_table(headings, rows, right=[1, 4])
