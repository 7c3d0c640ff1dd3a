"""Frames in words: one line for the bus monitor, every byte for the page of an exchange."""

import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from wattkeeper.collection.heard import HeardFrame
from wattkeeper.protocols.dlt645.anatomy import plain
from wattkeeper.protocols.dlt645.explain import Explanation, Part, explain
from wattkeeper.protocols.dlt645.identifiers import lookup
from wattkeeper.protocols.dlt645.status import describe_bits
from wattkeeper.protocols.modbus.explain import explain as explain_modbus
from wattkeeper.protocols.modbus.requests import function_name
from wattkeeper.registry.errors import NotFound
from wattkeeper.web.language import Language
from wattkeeper.web.queries import within
from wattkeeper.web.queries.states import N_
from wattkeeper.web.queries.values import latest_of
from wattkeeper.web.services import Services

VALUES_SHOWN: Final = 3
_MODBUS_SAID: Final = ("address", "count", "value", "registers", "exception", "bits", "objects")


@dataclass(frozen=True, slots=True)
class ShownPart:
    """Some octets of a frame and what they mean; `sought` where they are what the visitor came for."""

    number: int
    octets: str
    label: str
    value: str
    sought: bool = False


@dataclass(frozen=True, slots=True)
class ShownFrame:
    """A frame, byte by byte."""

    hex: str
    size: int
    what: str
    parts: tuple[ShownPart, ...]
    error: str | None

    @property
    def sought(self) -> bool:
        """Whether it holds what the visitor came for."""
        return any(part.sought for part in self.parts)


_numbers = itertools.count(1)
# The protocol room marks the parts of a frame by their English labels; these are the ones told apart here.
_CONTROL, _CHECKSUM, _END = "control", "checksum", "end"
_RECORD, _RECORDED_AT = "start of load record", "recorded at"
_WRONG = re.compile(r"wrong, (?P<octet>[0-9A-F]{2}) expected")
_FOLLOWS = "more follows"


def shown(raw: bytes, say: Language, *, recorded_at: str | None = None) -> ShownFrame:
    """One frame explained; part numbers are unique on a page, so that pointing at one lights only its own.

    `recorded_at` is the stamp YYMMDDhhmm of the load record the visitor came for.
    """
    explained = explain(raw)
    sought = _record_parts(explained, recorded_at)
    parts = tuple(
        ShownPart(next(_numbers), part.octets.hex(" ").upper(), *_told(part, say), place in sought)
        for place, part in enumerate(explained.parts)
    )
    error = problem_of(explained, say) if explained.error else explained.anatomy.problem
    if explained.anatomy.problem and say.code == "zh":
        error = say.text(PIECE) if explained.anatomy.problem == PIECE else say.text(UNREADABLE)
    _, what = _line(explained, say)
    return ShownFrame(raw.hex(" ").upper(), len(raw), what, parts, error or None)


PIECE: Final = N_("a piece of a longer reply")
UNREADABLE: Final = N_("these data cannot be read as values")


def _record_parts(explained: Explanation, recorded_at: str | None) -> range:
    """The places of the parts that make up one load record; none when it is not in this frame."""
    if recorded_at is None:
        return range(0)
    starts = [place for place, part in enumerate(explained.parts) if part.label_en == _RECORD]
    for start, end in itertools.zip_longest(starts, starts[1:]):
        ending = end or next(
            (place for place, part in enumerate(explained.parts) if part.label_en == _CHECKSUM),
            len(explained.parts),
        )
        record = explained.parts[start:ending]
        if any(part.label_en.startswith(_RECORDED_AT) and part.value == recorded_at for part in record):
            return range(start, ending)
    return range(0)


def _told(part: Part, say: Language) -> tuple[str, str]:
    """What a part is, and what it says, in the visitor's language."""
    label = say.choose(part.label_zh, part.label_en)
    named = lookup(part.value[:8]) if len(part.octets) == 4 else None  # noqa: PLR2004 (octets of an identifier)
    if part.label_en == "identifier" and named:
        return label, f"{part.value[:8]} {say.choose(named.name_zh, named.name_en)}"
    if say.code != "zh":
        return label, part.value
    if part.label_en == _CONTROL:
        label, _, value = part.label_zh.partition(" ")
        return label, value + (say.text(", more follows") if _FOLLOWS in part.value else "")
    if part.label_en in {_CHECKSUM, _END}:
        return label, _judged(part.value, say)
    if part.label_en.startswith("data ("):
        return part.label_zh.partition("(")[0], part.value
    return label, _bits_told(part)


def _judged(value: str, say: Language) -> str:
    if wrong := _WRONG.fullmatch(value):
        return say.text("wrong, %(octet)s expected", octet=wrong["octet"])
    return say.text("correct") if value else ""


def _bits_told(part: Part) -> str:
    """The set bits of a status word by their Chinese names."""
    text, bracket, rest = part.value.partition(" (")
    if not text.startswith("0x") or not bracket:
        return part.value
    names = {item.en: item.zh for word in STATUS_WORDS for item in describe_bits(word, 0)}
    said = "；".join(names.get(name, name) for name in rest.removesuffix(")").split("; "))
    return f"{text}（{said}）"


STATUS_WORDS: Final = tuple(f"0400050{number}" for number in range(1, 8))


def problem_of(explained: Explanation, say: Language) -> str:
    """Why octets are no sound frame, told by the part that is wrong."""
    if say.code != "zh":
        return explained.error
    for part in explained.parts:
        wrong = _WRONG.fullmatch(part.value)
        if wrong and part.label_en == _CHECKSUM:
            octets = part.octets.hex().upper()
            return say.text(
                "the checksum is %(found)s, %(right)s expected", found=octets, right=wrong["octet"]
            )
        if wrong:
            return say.text("it does not end with 16")
    if not any(part.label_en == _CONTROL for part in explained.parts):
        return say.text("it has no frame header")
    if any(part.label_en == _END for part in explained.parts):
        return say.text("other octets stand before or after it")
    return say.text("it is cut off")


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

    def reply_frames(self, say: Language, *, recorded_at: str | None = None) -> list[ShownFrame]:
        """What was answered, frame by frame; `recorded_at` marks one load record."""
        return [shown(raw, say, recorded_at=recorded_at) for raw in split(self.reply)]


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


NOTES: Final = {"unasked": N_("unasked"), "echo": N_("echo")}


def kept_exchange(services: Services, exchange_id: int) -> KeptExchange:
    """A kept exchange of a meter that whoever asks may see; NotFound for any other."""
    found = services.store.exchange(exchange_id)
    if found is None:
        raise NotFound("exchange", exchange_id)
    kept = KeptExchange.of(found)
    allowed = within.meter_ids(services)
    if allowed is not None and kept.meter_id not in allowed:
        raise NotFound("exchange", exchange_id)
    return kept


def kept_exchanges(
    services: Services, meter_id: int, *, since: datetime, most: int
) -> list[tuple[int, KeptExchange]]:
    """The newest exchanges with a meter, newest first; of one long silent, that of its last value."""
    rows = services.store.exchanges_of(meter_id, since=since, most=most).to_pylist()
    if not rows:
        ids = [value.exchange_id for value in latest_of(services.store, meter_id) if value.exchange_id]
        found = services.store.exchange(max(ids)) if ids else None
        rows = [found] if found else []
    return [(row["exchange_id"], KeptExchange.of(row)) for row in rows]


def summary_of(heard: HeardFrame, say: Language) -> dict[str, Any]:
    """One line of the bus monitor."""
    address, meaning = (
        _modbus_line(heard, say) if heard.protocol == "modbus" else _line(explain(heard.raw), say)
    )
    return {
        "time": f"{say.time(heard.at)}.{heard.at.microsecond // 1000:03d}",
        "at": heard.at.isoformat(timespec="microseconds"),
        "gap": None if heard.gap is None else round(heard.gap.total_seconds() * 1000, 1),
        "link": heard.link,
        "direction": heard.direction,
        "hex": heard.raw.hex(" ").upper(),
        "address": address,
        "check": heard.check,
        "mark": heard.note,
        "note": f"{meaning} ({say.text(NOTES.get(heard.note, heard.note))})" if heard.note else meaning,
    }


def _modbus_line(heard: HeardFrame, say: Language) -> tuple[str, str]:
    """The unit of a Modbus frame, and what it says in a line."""
    explained = explain_modbus(heard.raw)
    frame = explained.frame
    if frame is None:
        return "", say.text("Modbus, but: %(reason)s", reason=explained.error)
    told = [
        f"{say.choose(part.label_zh, part.label_en)} {part.value}"
        for part in explained.parts
        if part.label_en in _MODBUS_SAID
    ]
    name_en, name_zh = function_name(frame.function)
    unit = say.text("unit %(unit)s", unit=frame.unit)
    return str(frame.unit), " ".join([unit, say.choose(name_zh, name_en), say.listed(told)]).rstrip()


def _line(explained: Explanation, say: Language) -> tuple[str, str]:
    """The address of a frame, and what it says in a line."""
    frame = explained.frame
    if frame is None:
        return "", say.text("not a whole frame: %(reason)s", reason=problem_of(explained, say))
    identifier = explained.anatomy.identifier
    named = lookup(identifier) if identifier else None
    what = say.choose(named.name_zh, named.name_en) if named else identifier
    known = [value for value in explained.values if value.value is not None]
    values = ", ".join(f"{plain(value)} {value.unit}".strip() for value in known[:VALUES_SHOWN])
    values += ", …" if len(known) > VALUES_SHOWN else ""
    parts = (frame.address, what, f"= {values}" if values and frame.from_meter else "")
    return frame.address, " ".join(part for part in parts if part)
