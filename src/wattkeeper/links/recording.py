"""Traffic of a link as a file: recorded on demand, shown again, and replayed as a test.

A recording is text in UTF-8 with one JSON object a line. The first says what it is::

    {"format": "wattkeeper-recording", "version": 1, "link": "bus-1", "began_at": "2026-11-26T08:00:00.000000+00:00"}

each other is a chunk of bytes as it passed, in the order of time::

    {"at": "2026-11-26T08:00:00.120000+00:00", "dir": "tx", "hex": "fefefefe6861…16"}
    {"at": "2026-11-26T08:00:00.204000+00:00", "dir": "rx", "hex": "6861…16", "note": "unasked"}

`dir` is `tx` from us and `rx` to us, `note` what the bus made of it: `echo` or `unasked`. A program that knows more may
add members; whoever reads leaves what they do not know. A last line that was cut off by a crash is left out.
"""

import binascii
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from wattkeeper.kernel.errors import WattkeeperError
from wattkeeper.links.traffic import Traffic

FORMAT: Final = "wattkeeper-recording"
VERSION: Final = 1
SUFFIX: Final = ".jsonl"
_DIRECTIONS: Final[dict[str, Literal["tx", "rx"]]] = {"tx": "tx", "rx": "rx"}


class BadRecording(WattkeeperError):
    """A file is no recording, or a line of it cannot be read."""


@dataclass(frozen=True, slots=True)
class Recording:
    """What passed on one link, in the order of time."""

    link: str
    began_at: datetime
    chunks: tuple[Traffic, ...]


def head_line(link: str, began_at: datetime, *, by: str = "") -> str:
    """The first line of a recording, with its end; `by` is who asked for it."""
    told = {"format": FORMAT, "version": VERSION, "link": link, "began_at": _text(began_at)}
    return _line(told | ({"by": by} if by else {}))


def chunk_line(chunk: Traffic) -> str:
    """The line of a chunk, with its end."""
    told = {"at": _text(chunk.at), "dir": chunk.direction, "hex": chunk.data.hex()}
    return _line(told | ({"note": chunk.note} if chunk.note else {}))


def written(recording: Recording) -> str:
    r"""The whole file.

    >>> from datetime import UTC
    >>> at = datetime(2026, 11, 26, 8, tzinfo=UTC)
    >>> found = Recording("bus-1", at, (Traffic("bus-1", at, "tx", b"\x68"),))
    >>> parse(written(found).splitlines()) == found
    True
    """
    return head_line(recording.link, recording.began_at) + "".join(map(chunk_line, recording.chunks))


def parse(lines: Iterable[str]) -> Recording:
    """Read a recording; BadRecording names the line that cannot be read."""
    head: dict[str, Any] | None = None
    text = ""
    chunks: list[Traffic] = []
    broken: BadRecording | None = None
    for number, text in enumerate(lines, start=1):
        if not text.strip():
            continue
        if broken is not None:  # it was not the last line, so no crash has cut it off
            raise broken
        if head is None:
            head = _head(text)
            continue
        try:
            chunks.append(_chunk(text, link=head["link"]))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            broken = BadRecording(
                f"Line {number} of the recording cannot be read: {_why(error)}.",
                hint="A line is a JSON object with `at`, `dir` (tx or rx) and `hex`.",
            )
    if head is None:
        raise BadRecording("The recording is empty.", hint="Its first line says what it is.")
    if broken is not None and not _is_cut(text):
        raise broken
    return Recording(head["link"], head["began_at"], tuple(chunks))


def _head(text: str) -> dict[str, Any]:
    try:
        told = json.loads(text)
        known = told["format"] == FORMAT and told["version"] == VERSION
        link, began_at = str(told["link"]), _instant(told["began_at"])
    except (ValueError, KeyError, TypeError):
        known = False
    if not known:
        raise BadRecording(
            "This is no recording of a link.",
            hint=f'Its first line says "format": "{FORMAT}", "version": {VERSION}.',
        )
    return {"link": link, "began_at": began_at}


def _chunk(text: str, *, link: str) -> Traffic:
    told = json.loads(text)
    data = binascii.unhexlify(told["hex"])
    if not data:
        raise ValueError("it has no bytes")
    note = told.get("note")
    return Traffic(
        link, _instant(told["at"]), _DIRECTIONS[told["dir"]], data, None if note is None else str(note)
    )


def _is_cut(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return True
    return False


def _instant(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError(f"{text} has no time zone")
    return found


def _why(error: Exception) -> str:
    return f"it lacks or misnames {error}" if isinstance(error, KeyError) else str(error)


def _line(told: dict[str, Any]) -> str:
    return json.dumps(told, ensure_ascii=False) + "\n"


def _text(at: datetime) -> str:
    return at.isoformat(timespec="microseconds")
