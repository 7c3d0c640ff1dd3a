"""Green Button: an Atom feed of ESPI resources (NAESB REQ.21, schema 4.0), written and read as a stream.

A metering point is a UsagePoint titled with its code, a meter likewise with its address; each of their quantities is a
MeterReading with a ReadingType and IntervalBlocks. Energies of intervals are `deltaData`; a reading is an interval of
no length with the accumulation of its kind. Values are whole numbers: of tenths of a watt hour, or of millionths.
"""

import uuid
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc

from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.readings.civil import utc_offsets
from wattkeeper.readings.files.kinds import What
from wattkeeper.readings.files.outgoing import Outgoing
from wattkeeper.readings.files.reading_types import (
    REGISTERS,
    Accumulation,
    Quality,
    ReadingType,
    quality_of_interval,
    quality_of_reading,
    quantity_of,
    reading_type,
    status_of,
)
from wattkeeper.readings.files.safe_xml import subtrees
from wattkeeper.readings.files.self_described import Value, WrongValue
from wattkeeper.readings.files.xml_text import glued, runs, seconds, xml_text

_NAMESPACE: Final = uuid.UUID("6e1f5f0c-6f0a-4d4c-9f62-3c4a4d1c7a21")
"""Of our own entries' ids, so that the same resource has the same id in every file."""
_MICRO: Final = -6
_TENTH: Final = -1
_NO_RULE: Final = "FFFFFFFF"


def written(rows: Outgoing, zone: ZoneInfo, *, now: datetime) -> Iterator[bytes]:
    """The feed, a batch at a time; an energy that is not known has no reading in it."""
    updated = f"{now.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    owner = "point" if rows.what is What.INTERVALS else "meter"
    yield _head(updated, zone, now).encode()
    points: set[str] = set()
    series: set[tuple[str, str]] = set()
    blocks = 0
    for batch in rows.batches:
        text = []
        for name, quantity, part in runs(batch, owner):
            if name not in points:
                points.add(name)
                text.append(_usage_point(name, updated))
            for minutes, same in by_length(part, rows.what):
                kind = reading_type(quantity, minutes=minutes)
                if kind is None:
                    continue
                key = f"{quantity}-{minutes}" if minutes else quantity
                if (name, key) not in series:
                    series.add((name, key))
                    text.append(_meter_reading(name, key, quantity, kind, minutes, updated))
                blocks += 1
                text.append(_block(name, key, blocks, same, rows.what, kind, updated))
        yield "".join(text).encode()
    yield b"</feed>\n"


def by_length(part: pa.RecordBatch, what: What) -> Iterator[tuple[int | None, pa.RecordBatch]]:
    """The parts whose intervals are equally long [min]; readings have no length."""
    if what is What.READINGS:
        yield None, part
        return
    known = part.filter(part["energy"].is_valid())
    lengths = pc.divide(
        pc.subtract(known["end_at"].cast(pa.int64()), known["start_at"].cast(pa.int64())), 60_000_000
    )
    for minutes in pc.unique(lengths).to_pylist():
        yield minutes, known.filter(pc.equal(lengths, minutes))


def _entry(kind: str, href: str, up: str, title: str, content: str, updated: str, related: str = "") -> str:  # noqa: PLR0917
    return (
        f"<entry><id>urn:uuid:{uuid.uuid5(_NAMESPACE, href)}</id>"
        f'<link rel="self" href="{href}" type="espi-entry/{kind}"/><link rel="up" href="{up}" type="espi-feed/{kind}"/>{related}'
        f"<title>{xml_text(title)}</title><content>{content}</content>"
        f"<published>{updated}</published><updated>{updated}</updated></entry>\n"
    )


def _head(updated: str, zone: ZoneInfo, now: datetime) -> str:
    offset, dst, start, end = local_time(zone, now)
    content = (
        f'<espi:LocalTimeParameters xmlns:espi="http://naesb.org/espi"><espi:dstEndRule>{end}</espi:dstEndRule>'
        f"<espi:dstOffset>{dst}</espi:dstOffset><espi:dstStartRule>{start}</espi:dstStartRule>"
        f"<espi:tzOffset>{offset}</espi:tzOffset></espi:LocalTimeParameters>"
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<feed xmlns="http://www.w3.org/2005/Atom">'
        f"<id>urn:uuid:{uuid.uuid5(_NAMESPACE, updated)}</id><title>Wattkeeper</title><updated>{updated}</updated>\n"
        + _entry(
            "LocalTimeParameters", "LocalTimeParameters/1", "LocalTimeParameters", zone.key, content, updated
        )
    )


def _place(name: str) -> str:
    """The address of a usage point within the feed."""
    return f"UsagePoint/{uuid.uuid5(_NAMESPACE, name)}"


def _usage_point(name: str, updated: str) -> str:
    content = (
        '<espi:UsagePoint xmlns:espi="http://naesb.org/espi"><espi:ServiceCategory><espi:kind>0</espi:kind>'
        "</espi:ServiceCategory></espi:UsagePoint>"
    )
    related = (
        f'<link rel="related" href="{_place(name)}/MeterReading" type="espi-feed/MeterReading"/>'
        '<link rel="related" href="LocalTimeParameters/1" type="espi-entry/LocalTimeParameters"/>'
    )
    return _entry("UsagePoint", _place(name), "UsagePoint", name, content, updated, related)


def _meter_reading(  # noqa: PLR0917
    name: str, key: str, quantity: str, kind: ReadingType, minutes: int | None, updated: str
) -> str:
    here = f"{_place(name)}/MeterReading/{key}"
    type_href = f"ReadingType/{uuid.uuid5(_NAMESPACE, f'{name} {key}')}"
    related = (
        f'<link rel="related" href="{here}/IntervalBlock" type="espi-feed/IntervalBlock"/>'
        f'<link rel="related" href="{type_href}" type="espi-entry/ReadingType"/>'
    )
    fields = {
        "accumulationBehaviour": int(kind.accumulation), "commodity": kind.commodity, "dataQualifier": kind.aggregate,
        "flowDirection": kind.flow, "intervalLength": (minutes or 0) * 60, "kind": kind.kind, "phase": kind.phase,
        "powerOfTenMultiplier": _multiplier(kind), "timeAttribute": 0, "tou": kind.tou, "uom": kind.unit,
    }  # fmt: skip
    body = "".join(f"<espi:{name}>{value}</espi:{name}>" for name, value in fields.items())
    return _entry(
        "MeterReading", here, f"{_place(name)}/MeterReading", quantity, '<espi:MeterReading xmlns:espi="http://naesb.org/espi"/>', updated, related,
    ) + _entry(
        "ReadingType", type_href, "ReadingType", quantity, f'<espi:ReadingType xmlns:espi="http://naesb.org/espi">{body}</espi:ReadingType>', updated,
    )  # fmt: skip


def _multiplier(kind: ReadingType) -> int:
    """Of the whole numbers we write: four decimals of a kilo unit are tenths of the unit."""
    return _TENTH if kind.multiplier == 3 else _MICRO  # noqa: PLR2004


def _block(  # noqa: PLR0917
    name: str, key: str, number: int, part: pa.RecordBatch, what: What, kind: ReadingType, updated: str
) -> str:
    start, end, amount = (
        ("start_at", "end_at", "energy") if what is What.INTERVALS else ("read_at", "read_at", "value")
    )
    factor = Decimal(10) ** (kind.multiplier - _multiplier(kind))
    exact = pc.multiply(part[amount], pa.scalar(factor, pa.decimal128(12, 0)))
    values = pc.replace_substring_regex(exact.cast(pa.string()), r"\.0*$", "")
    begun, ended = part[start].cast(pa.int64()), part[end].cast(pa.int64())
    lengths = pc.divide(pc.subtract(ended, begun), 1_000_000).cast(pa.string())
    span = pc.min_max(begun).as_py(), pc.max(ended).as_py()
    readings = glued(
        "<espi:IntervalReading><espi:ReadingQuality><espi:quality>", qualities(part, what),
        "</espi:quality></espi:ReadingQuality><espi:timePeriod><espi:duration>", lengths, "</espi:duration><espi:start>",
        seconds(part[start]), "</espi:start></espi:timePeriod><espi:value>", values, "</espi:value></espi:IntervalReading>",
    )  # fmt: skip
    first = span[0]["min"] // 1_000_000
    content = (
        '<espi:IntervalBlock xmlns:espi="http://naesb.org/espi"><espi:interval>'
        f"<espi:duration>{span[1] // 1_000_000 - first}</espi:duration><espi:start>{first}</espi:start></espi:interval>"
        f"{readings}</espi:IntervalBlock>"
    )
    up = f"{_place(name)}/MeterReading/{key}/IntervalBlock"
    return _entry("IntervalBlock", f"{up}/{number}", up, "", content, updated)


def qualities(part: pa.RecordBatch, what: What) -> pa.Array:
    """The code of each row's quality, as texts; each distinct ground is looked up once."""
    by = "method" if what is What.INTERVALS else "source"
    judge = quality_of_interval if what is What.INTERVALS else quality_of_reading
    grounds = pc.binary_join_element_wise(part[by], part["status"], ":")
    coded = pc.dictionary_encode(grounds)
    codes = []
    for ground in coded.dictionary.to_pylist():
        word, _, flags = ground.partition(":")
        codes.append(str(int(judge(word, _flags(flags, what)))))
    return pa.array(codes, pa.string()).take(coded.indices)


def _flags(words: str, what: What) -> int:
    """The flags that `outgoing` has told as words."""
    if what is What.INTERVALS:
        return 1 if "estimated" in words.split("|") else 0
    return int(bool(words))


def local_time(zone: ZoneInfo, now: datetime) -> tuple[int, int, str, str]:
    """A zone's offset [s], how far its clocks go forward [s], and the rules by which they do and go back, coded."""
    year = now.astimezone(zone).year
    period = TimeRange(datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC))
    offsets = utc_offsets(period, zone)
    standard = min(offset for _, offset in offsets)
    if len(offsets) != 3:  # noqa: PLR2004 (out and back within the year)
        return offsets[-1][1] // 1_000_000, 0, _NO_RULE, _NO_RULE
    rules = [_rule(since, offsets[number][1]) for number, (since, _) in enumerate(offsets[1:])]
    forward = 0 if offsets[1][1] > offsets[0][1] else 1
    dst = (max(offset for _, offset in offsets) - standard) // 1_000_000
    return standard // 1_000_000, dst, rules[forward], rules[1 - forward]


def _rule(since: int, offset_before: int) -> str:
    """A change of clocks as ESPI codes it: month, which weekday of it, hour, second of the hour."""
    civil = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=since + offset_before)
    last = (civil + timedelta(days=7)).month != civil.month
    occurrence = 7 if last else (civil.day - 1) // 7 + 2
    code = civil.month << 28 | occurrence << 25 | civil.isoweekday() << 17 | civil.hour << 12
    return f"{code | civil.minute * 60 + civil.second:08X}"


# -- reading ------------------------------------------------------------------------------------------------------------


@dataclass
class _Feed:
    """What a feed says of its resources, by their addresses."""

    titles: dict[str, str] = field(default_factory=dict)
    types: dict[str, tuple[ReadingType, int]] = field(default_factory=dict)
    """With their length [s]."""
    type_of: dict[str, str] = field(default_factory=dict)
    """Of each meter reading, the address of its type."""


def values(path: Path, name: str) -> Iterator[Value | WrongValue]:
    """The values of a feed: gone through twice, since types may stand after what they are of."""
    feed = _feed(path, name)
    number = 0
    for entry in subtrees(path, name, frozenset({"entry"})):
        for block in entry.iter("IntervalBlock"):
            where = _meter_reading_of(entry)
            kind = _type(feed, where)
            owner = _owner(feed, where)
            for reading in block.iter("IntervalReading"):
                number += 1
                yield _value(number, owner, kind, reading)


def _feed(path: Path, name: str) -> _Feed:
    feed = _Feed()
    for entry in subtrees(path, name, frozenset({"entry"})):
        own = _link(entry, "self")
        if entry.find("./content/UsagePoint") is not None:
            feed.titles[own] = (entry.findtext("title") or "").strip()
        if entry.find("./content/MeterReading") is not None:
            related = [href for href in _links(entry, "related") if "/ReadingType/" in f"/{href}"]
            if related:
                feed.type_of[own] = related[0]
        found = entry.find("./content//ReadingType")
        if found is not None:
            feed.types[own] = _reading_type(found)
    return feed


def _reading_type(found: ET.Element) -> tuple[ReadingType, int]:
    def number(tag: str) -> int:
        text = (found.findtext(tag) or "0").strip()
        return int(text) if text.lstrip("-").isdecimal() else 0

    kind = ReadingType(
        accumulation=number("accumulationBehaviour"), flow=number("flowDirection"), commodity=number("commodity"),
        kind=number("kind"), unit=number("uom"), multiplier=number("powerOfTenMultiplier"), phase=number("phase"),
        tou=number("tou"), aggregate=number("dataQualifier") if number("dataQualifier") == 8 else 0,  # noqa: PLR2004
    )  # fmt: skip
    return kind, number("intervalLength")


def _links(entry: ET.Element, rel: str) -> list[str]:
    return [link.get("href", "").rstrip("/") for link in entry.findall("link") if link.get("rel") == rel]


def _link(entry: ET.Element, rel: str) -> str:
    return next(iter(_links(entry, rel)), "")


def _meter_reading_of(entry: ET.Element) -> str:
    """The address of the meter reading that a block belongs to."""
    for href in (_link(entry, "up"), _link(entry, "self")):
        before, mark, _ = f"{href}/".rpartition("/IntervalBlock/")
        if mark:
            return before
    return ""


def _type(feed: _Feed, where: str) -> tuple[ReadingType, int] | None:
    """The type of a meter reading: the one it names, one within it, or the only one there is."""
    found = feed.types.get(feed.type_of.get(where, "")) or feed.types.get(where)
    if found is None and len(feed.types) == 1:
        return next(iter(feed.types.values()))
    return found


def _owner(feed: _Feed, where: str) -> str:
    place = f"{where}/".rpartition("/MeterReading/")[0]
    title = feed.titles.get(place)
    if title is None and len(feed.titles) == 1:
        title = next(iter(feed.titles.values()))
    return title or place.rpartition("/")[2]


def _value(
    number: int, owner: str, typed: tuple[ReadingType, int] | None, reading: ET.Element
) -> Value | WrongValue:
    kind = None if typed is None else typed[0]
    found = None if kind is None else quantity_of(kind)
    if typed is None or kind is None or found is None:
        return WrongValue(number, "" if kind is None else kind.mrid, "type")
    try:
        start = int(reading.findtext("./timePeriod/start") or "")
        length = int(reading.findtext("./timePeriod/duration") or typed[1])
        begun = datetime(1970, 1, 1) + timedelta(seconds=start)  # noqa: DTZ001  UTC, as the store's naive columns have it
        amount = Decimal(reading.findtext("value") or "")
    except (ValueError, InvalidOperation, OverflowError):
        return WrongValue(number, "".join(reading.itertext()).strip()[:80], "value")
    quality = reading.findtext("./ReadingQuality/quality") or "0"
    code = int(quality) if quality.isdecimal() else int(Quality.QUESTIONABLE)
    delta = kind.accumulation == Accumulation.DELTA or (
        kind.accumulation not in REGISTERS and kind.kind == 12 and length > 0  # noqa: PLR2004 (an energy)
    )
    key, exponent = found
    until = begun + timedelta(seconds=length) if delta else None
    if not delta and length and kind.accumulation in REGISTERS:
        begun += timedelta(seconds=length)  # a register is told as it stood at the end of its period
    return Value(number, owner, key, begun, until, amount, exponent, status_of(code, interval=delta))
