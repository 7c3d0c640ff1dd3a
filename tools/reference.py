"""Write the reference pages that the code itself knows: settings, command line, quantities, rules, roles, drivers, maps.

uv run python tools/reference.py           # write docs/reference/{settings,cli,quantities,validation-rules,...}.md
uv run python tools/reference.py --check   # fail when they are not what the code says
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
import typer.main
from ruamel.yaml import YAML

from wattkeeper.cli.main import application
from wattkeeper.protocols.modbus.coalescing import coalesce
from wattkeeper.protocols.modbus.mapfiles import shipped_maps
from wattkeeper.readings.quantities import QUANTITIES
from wattkeeper.readings.validation.rules import RULES, Parameter
from wattkeeper.security.rights import ROLE_RIGHTS, WHOLE, Right
from wattkeeper.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs" / "reference"
DRIVERS = ROOT / "src" / "wattkeeper" / "collection" / "drivers"
WRITTEN = "<!-- Written by tools/reference.py from the code; edit there. -->"


def settings_page() -> str:
    """Every setting: name, environment variable, default, meaning."""
    lines = [
        "# Settings",
        "",
        WRITTEN,
        "",
        "Last wins: the default, `wattkeeper.toml` in the working folder (or the file that `WATTKEEPER_CONFIG` names),",
        "the environment variable, the command-line option. An unknown name or an unusable value stops the start with a",
        "sentence that says where it was set.",
        "",
        "```toml",
        "# wattkeeper.toml",
        'data_dir = "/var/lib/wattkeeper"',
        "port = 8645",
        'language = "en"',
        "```",
        "",
        "| setting | environment | default | meaning |",
        "|---|---|---|---|",
    ]
    for name, field in Settings.model_fields.items():
        default = f"`{field.default}`" if field.default is not None and str(field.default) else "none"
        lines.append(f"| `{name}` | `WATTKEEPER_{name.upper()}` | {default} | {field.description} |")
    return "\n".join([*lines, ""])


def roles_page() -> str:
    """What each role may do."""
    lines = [
        "# Roles and rights",
        "",
        WRITTEN,
        "",
        "A user has one role, and may be limited to sites and areas with all that hangs below. A limited user has the",
        "rights of the role over what is theirs; those marked *whole* concern the whole installation and are then out of",
        "reach. A token has some of its owner's rights, never `users.manage` or `tokens.own`.",
        "",
        f"| right | {' | '.join(role.value for role in ROLE_RIGHTS)} | whole |",
        f"|---|{'---|' * len(ROLE_RIGHTS)}---|",
    ]
    for right in Right:
        marks = " | ".join("yes" if right in rights else "" for rights in ROLE_RIGHTS.values())
        lines.append(f"| `{right.value}` | {marks} | {'yes' if right in WHOLE else ''} |")
    return "\n".join([*lines, ""])


def cli_page() -> str:
    """Every command's own help."""
    root = typer.main.get_command(application())
    context = typer.Context(root, info_name="wattkeeper")
    lines = [
        "# Command line",
        "",
        WRITTEN,
        "",
        "Exit codes: 0 done, 1 a stated error, 2 wrong usage, 3 no server runs (`status`),",
        "130 interrupted.",
        "",
    ]
    for name, command in _commands(root, context):
        inner = typer.Context(command, info_name=f"wattkeeper {name}")
        lines += [f"## wattkeeper {name}", "", (command.help or "").strip(), "", "| | |", "|---|---|"]
        for parameter in command.get_params(inner):
            record = parameter.get_help_record(inner)
            if record is not None:
                lines.append(f"| `{record[0]}` | {record[1]} |".replace("|`", "| `"))
            else:
                lines.append(
                    f"| `{(parameter.name or '').upper()}` | {getattr(parameter, 'help', '') or ''} |"
                )
        lines.append("")
    return "\n".join(lines)


def _commands(group: Any, context: Any, before: str = "") -> Iterator[tuple[str, Any]]:
    """Every command with its whole name, those of groups among them."""
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if hasattr(command, "list_commands"):
            yield from _commands(command, typer.Context(command, info_name=name), f"{before}{name} ")
        else:
            yield f"{before}{name}", command


def quantities_page() -> str:
    """Every quantity: key, OBIS code, unit, names."""
    lines = [
        "# Quantities",
        "",
        WRITTEN,
        "",
        "What is measured, under one name for the whole system. Drivers translate their protocol's identifiers to these",
        "keys. OBIS codes are those of IEC 62056-6-1. Import is energy taken from the grid.",
        "",
        "| key | OBIS | unit | kind | 名称 | name |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| `{q.key}` | {q.obis} | {q.unit} | {q.kind} | {q.name_zh} | {q.name_en} |"
        for q in QUANTITIES.values()
    ]
    return "\n".join([*lines, ""])


def rules_page() -> str:
    """Every rule of validation: what it says, how much it matters, its parameters and where it comes from."""
    lines = [
        "# Rules of validation",
        "",
        WRITTEN,
        "",
        "What may be wrong with readings, one rule each. Every rule has the parameter `enabled` (1) beside those listed. A",
        "parameter is set for a class of metering point, or for all, from an instant on, by an administrator:",
        "`POST /api/v1/validation/rules/{code}/parameters`. How they work together:",
        "[cleaning](../explanation/cleaning.md).",
        "",
        "| rule | severity | 名称 | name | what it says | parameters | source |",
        "|---|---|---|---|---|---|---|",
    ]
    for rule in RULES.values():
        numbers = "; ".join(
            _parameter(parameter) for parameter in rule.parameters if parameter.key != "enabled"
        )
        lines.append(
            f"| `{rule.code}` | {rule.severity} | {rule.name_zh} | {rule.name_en} | {rule.about_en} | {numbers} | {rule.source} |"
        )
    return "\n".join([*lines, ""])


def _parameter(parameter: Parameter) -> str:
    value = f"`{parameter.key}` {parameter.default}{f' {parameter.unit}' if parameter.unit else ''}"
    others = ", ".join(f"{kind} {own}" for kind, own in parameter.by_kind.items())
    return f"{value} ({others})" if others else value


def drivers_page() -> str:
    """Every driver's quality file: what is done, what is not, and what it was checked against."""
    lines = [
        "# Meter drivers",
        "",
        WRITTEN.replace("from the code", "from the quality files beside the drivers"),
        "",
        "How far each driver goes: *done*, *todo*, or *exempt* for a reason, and which implementations and material that are",
        "not ours it is checked against.",
        "",
    ]
    yaml = YAML(typ="safe")
    for path in sorted(DRIVERS.glob("*.quality.yaml")):
        quality = yaml.load(path.read_text(encoding="utf-8"))
        lines += [f"## {quality['driver']}", "", "| rule | status | |", "|---|---|---|"]
        lines += [
            f"| {name.replace('_', ' ')} | {rule['status']} | {rule['comment']} |"
            for name, rule in quality["rules"].items()
        ]
        lines += ["", "Checked against:", ""]
        lines += [f"- {check['what']} (`{check['test']}`)" for check in quality["checked_against"]]
        lines.append("")
    return "\n".join(lines)


def modbus_maps_page() -> str:
    """Every shipped register map: whose it is, where it is from, what is unverified, every register."""
    maps = shipped_maps().values()
    lines = [
        "# Shipped Modbus register maps",
        "",
        WRITTEN,
        "",
        "`wattkeeper modbus probe` finds the one that fits a meter; [Add a Modbus meter](../howto/add-a-modbus-meter.md)",
        "says how to write another. They were put together from the named public sources and checked against simulated",
        "meters; none was tried on a real meter by us. Addresses are as on the wire: a table that counts from 1 prints one more.",
        "",
        "| map | maker | models | quantities | requests | shows |",
        "|---|---|---|---|---|---|",
    ]
    for each in maps:
        requests = len(coalesce([register.span for register in each.registers], each.limits))
        row = (
            f"[{each.name}](#{each.name})",
            each.maker,
            ", ".join(each.models),
            len(each.registers),
            requests,
            each.shows,
        )
        lines.append(f"| {' | '.join(map(str, row))} |")
    for each in maps:
        lines += [
            "",
            f"## {each.name}",
            "",
            f"{each.maker} {', '.join(each.models)}. Source: {each.source}.",
            "",
        ]
        lines += [f"- not verified: {note}" for note in each.unverified] + [""] * bool(each.unverified)
        lines += [
            "| quantity or detail | function | address | type | order | scale | unit |",
            "|---|---|---|---|---|---|---|",
        ]
        for register in (*each.registers, *each.details):
            order = register.order if register.words > 1 and register.kind != "string" else ""
            detail = "" if register in each.registers else " (detail)"
            span = register.span
            lines.append(
                f"| `{register.key}`{detail} | {span.function:02d} | {span.start} (0x{span.start:04X}) | {register.kind} "
                f"| {order} | {register.scale} | {register.unit} |"
            )
    return "\n".join([*lines, ""])


def main() -> int:
    """Write the pages, or with `--check` compare them."""
    os.environ["COLUMNS"] = "200"
    pages = {
        "settings.md": settings_page(),
        "cli.md": cli_page(),
        "quantities.md": quantities_page(),
        "roles.md": roles_page(),
        "validation-rules.md": rules_page(),
        "drivers.md": drivers_page(),
        "modbus-maps.md": modbus_maps_page(),
    }
    stale = [name for name, text in pages.items() if not _same(FOLDER / name, text)]
    if "--check" in sys.argv:
        if stale:
            sys.stderr.write(
                f"docs/reference: {', '.join(stale)} differ from the code; run tools/reference.py\n"
            )
        return 1 if stale else 0
    for name in stale:
        (FOLDER / name).write_text(pages[name], encoding="utf-8")
    return 0


def _same(path: Path, text: str) -> bool:
    return path.exists() and path.read_text(encoding="utf-8") == text


if __name__ == "__main__":
    sys.exit(main())
