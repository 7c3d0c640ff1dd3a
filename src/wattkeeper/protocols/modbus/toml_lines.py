"""Which line of a TOML file each key stands on, which the standard library's parser does not tell."""

import re
from collections.abc import Iterator

__all__ = ["lines_of"]

_HEADER = re.compile(r"\s*\[(\[?)\s*([\w.-]+)\s*\]")
_KEY = re.compile(r"\s*([\w-]+|\"[^\"]+\")\s*=")


def lines_of(text: str) -> Iterator[tuple[str, int]]:
    """Where each key stands: `registers.voltage_l1`, `detect[0]`, `detect[0].address`."""
    section, numbers = "", dict[str, int]()
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            section = header[2]
            if header[1]:
                numbers[section] = numbers.get(section, -1) + 1
                section = f"{section}[{numbers[section]}]"
            yield section, number
        elif key := _KEY.match(line):
            name = key[1].strip('"')
            yield f"{section}.{name}" if section else name, number
