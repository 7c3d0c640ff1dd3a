"""Frames in words: one line for the bus monitor, every byte for the page of an exchange."""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from wattkeeper.links.traffic import Traffic
from wattkeeper.protocols.dlt645.anatomy import plain
from wattkeeper.protocols.dlt645.explain import Explanation, explain
from wattkeeper.protocols.dlt645.identifiers import lookup
from wattkeeper.web.language import Language

VALUES_SHOWN: Final = 3


@dataclass(frozen=True, slots=True)
class ShownPart:
    """Some octets of a frame and what they mean."""

    number: int
    octets: str
    label: str
    value: str


@dataclass(frozen=True, slots=True)
class ShownFrame:
    """A frame, byte by byte."""

    hex: str
    parts: tuple[ShownPart, ...]
    error: str | None


_numbers = itertools.count(1)


def shown(raw: bytes, say: Language) -> ShownFrame:
    """One frame explained; part numbers are unique on a page, so that pointing at one lights only its own."""
    explained = explain(raw)
    parts = tuple(
        ShownPart(
            next(_numbers), part.octets.hex(" ").upper(), say.choose(part.label_zh, part.label_en), part.value
        )
        for part in explained.parts
    )
    return ShownFrame(raw.hex(" ").upper(), parts, explained.error or explained.anatomy.problem or None)


@dataclass(frozen=True, slots=True)
class KeptExchange:
    """An exchange as the store keeps it."""

    meter_id: int | None
    began_at: datetime
    ended_at: datetime | None
    request: bytes
    reply: bytes
    outcome: str

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "KeptExchange":
        """From a row of the store."""
        return cls(
            meter_id=row["meter_id"],
            began_at=row["began_at"],
            ended_at=row["ended_at"],
            request=row["request"] or b"",
            reply=row["reply"] or b"",
            outcome=row["outcome"],
        )

    @property
    def milliseconds(self) -> int | None:
        """How long it took."""
        return (
            None if self.ended_at is None else round((self.ended_at - self.began_at).total_seconds() * 1000)
        )

    def request_frames(self, say: Language) -> list[ShownFrame]:
        """What was asked, frame by frame."""
        return [shown(raw, say) for raw in split(self.request)]

    def reply_frames(self, say: Language) -> list[ShownFrame]:
        """What was answered, frame by frame."""
        return [shown(raw, say) for raw in split(self.reply)]


def split(raw: bytes) -> Iterator[bytes]:
    """The frames in a row of bytes, each with what stood before it; what is none comes last, to be shown as it is."""
    rest = raw
    while rest:
        cut = next((end for end in _ends(rest)), len(rest))
        yield rest[:cut]
        rest = rest[cut:]


def _ends(raw: bytes) -> Iterator[int]:
    """Where a sound frame ends that begins at the first 68H, after any wake-up bytes."""
    start = len(raw) - len(raw.lstrip(b"\xfe"))
    header = 10
    if len(raw) >= start + header and raw[start] == 0x68:  # noqa: PLR2004 (the start octet)
        end = start + header + raw[start + 9] + 2
        if end <= len(raw):
            yield end


def summary_of(traffic: Traffic, say: Language) -> dict[str, str]:
    """One line of the bus monitor."""
    explained = explain(traffic.data)
    address, meaning = _line(explained, say)
    return {
        "time": f"{say.time(traffic.at)}.{traffic.at.microsecond // 1000:03d}",
        "link": traffic.link,
        "direction": traffic.direction,
        "hex": traffic.data.hex(" ").upper(),
        "address": address,
        "note": f"{meaning} ({traffic.note})" if traffic.note else meaning,
    }


def _line(explained: Explanation, say: Language) -> tuple[str, str]:
    """The address of a frame, and what it says in a line."""
    frame = explained.frame
    if frame is None:
        return "", say.text("not a whole frame: %(reason)s", reason=explained.error)
    identifier = explained.anatomy.identifier
    named = lookup(identifier) if identifier else None
    what = say.choose(named.name_zh, named.name_en) if named else identifier
    values = ", ".join(f"{plain(value)} {value.unit}".strip() for value in explained.values[:VALUES_SHOWN])
    parts = (frame.address, what, f"= {values}" if values and frame.from_meter else "")
    return frame.address, " ".join(part for part in parts if part)
