"""IEC 61968-9 MeterReadings (namespace of 2011) as XML and as JSON of the same shape, written and read.

A meter or a metering point is the `Meter` of a `MeterReading`, by its address or code. Readings are `Readings`; energies
are `IntervalBlocks`, each reading stamped with the end of its interval. Types and qualities are named by their codes.
"""

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from wattkeeper.readings.errors import FileUnreadable
from wattkeeper.readings.files.espi import by_length, qualities
from wattkeeper.readings.files.kinds import What
from wattkeeper.readings.files.outgoing import Outgoing
from wattkeeper.readings.files.reading_types import (
    MINUTES,
    REGISTERS,
    Accumulation,
    Quality,
    ReadingType,
    iec_category,
    in_iec,
    quantity_of,
    reading_type,
    status_of,
)
from wattkeeper.readings.files.safe_xml import subtrees
from wattkeeper.readings.files.self_described import Value, WrongValue
from wattkeeper.readings.files.xml_text import glued, iso, runs, xml_text

NAMESPACE: Final = "http://iec.ch/TC57/2011/MeterReadings#"
_LARGEST_JSON: Final = 500_000_000
_KIND_ENERGY: Final = 12


def written_xml(rows: Outgoing) -> Iterator[bytes]:
    """The document, a batch at a time; an energy that is not known has no reading in it."""
    yield f'<?xml version="1.0" encoding="UTF-8"?>\n<MeterReadings xmlns="{NAMESPACE}">\n'.encode()
    for batch in rows.batches:
        yield "".join(
            _xml(name, kind, part, rows.what) for name, kind, part in _parts(batch, rows.what)
        ).encode()
    yield b"</MeterReadings>\n"


def written_json(rows: Outgoing) -> Iterator[bytes]:
    """The same as JSON: elements are members, repeated ones lists, the attribute `ref` a member."""
    yield b'{"MeterReadings":{"MeterReading":['
    between = ""
    for batch in rows.batches:
        for name, kind, part in _parts(batch, rows.what):
            yield (between + _json(name, kind, part, rows.what)).encode()
            between = ",\n"
    yield b"]}}\n"


def _parts(batch: pa.RecordBatch, what: What) -> Iterator[tuple[str, ReadingType, pa.RecordBatch]]:
    """What of a batch has one meter, one type and so one element."""
    for name, quantity, part in runs(batch, "point" if what is What.INTERVALS else "meter"):
        for minutes, same in by_length(part, what):
            kind = reading_type(quantity, minutes=minutes)
            if kind is not None:
                yield name, kind, same


def _codes(part: pa.RecordBatch, what: What) -> pa.Array:
    coded = pc.dictionary_encode(qualities(part, what))
    return pa.array([in_iec(Quality(int(code))) for code in coded.dictionary.to_pylist()], pa.string()).take(
        coded.indices
    )


def _xml(name: str, kind: ReadingType, part: pa.RecordBatch, what: What) -> str:
    interval = what is What.INTERVALS
    tag = "IntervalReadings" if interval else "Readings"
    stamp, amount = (part["end_at"], part["energy"]) if interval else (part["read_at"], part["value"])
    period: tuple[pa.Array | str, ...] = (
        (
            "<timePeriod><end>",
            iso(part["end_at"]),
            "</end><start>",
            iso(part["start_at"]),
            "</start></timePeriod>",
        )
        if interval
        else ()
    )
    type_text = f'<ReadingType ref="{kind.mrid}"/>'
    readings = glued(
        f"<{tag}><timeStamp>", iso(stamp), "</timeStamp><value>", amount.cast(pa.string()), "</value>",
        '<ReadingQualities><ReadingQualityType ref="', _codes(part, what), '"/></ReadingQualities>', *period,
        f"</{tag}>" if interval else f"{type_text}</{tag}>",
    )  # fmt: skip
    body = f"<IntervalBlocks>{readings}{type_text}</IntervalBlocks>" if interval else ""
    return (
        f"<MeterReading>{body}<Meter><mRID>{xml_text(name)}</mRID><Names><name>{xml_text(name)}</name></Names></Meter>"
        f"{'' if interval else readings}</MeterReading>\n"
    )


def _json(name: str, kind: ReadingType, part: pa.RecordBatch, what: What) -> str:
    interval = what is What.INTERVALS
    stamp, amount = (part["end_at"], part["energy"]) if interval else (part["read_at"], part["value"])
    type_text = f'"ReadingType":{{"ref":"{kind.mrid}"}}'
    period: tuple[pa.Array | str, ...] = (
        (',"timePeriod":{"start":"', iso(part["start_at"]), '","end":"', iso(part["end_at"]), '"}')
        if interval
        else ()
    )
    readings = glued(
        '{"timeStamp":"', iso(stamp), '","value":"', amount.cast(pa.string()),
        '","ReadingQualities":[{"ReadingQualityType":{"ref":"', _codes(part, what), '"}}]', *period,
        "}," if interval else f",{type_text}}},",
    ).rstrip(",")  # fmt: skip
    meter = f'"Meter":{{"mRID":{json.dumps(name)},"Names":[{{"name":{json.dumps(name)}}}]}}'
    if interval:
        return f'{{{meter},"IntervalBlocks":[{{{type_text},"IntervalReadings":[{readings}]}}]}}'
    return f'{{{meter},"Readings":[{readings}]}}'


# -- reading ------------------------------------------------------------------------------------------------------------


def xml_values(path: Path, name: str) -> Iterator[Value | WrongValue]:
    """The values of a document, also of one within a message with a header."""
    return _values(_plain(element) for element in subtrees(path, name, frozenset({"MeterReading"})))


def json_values(path: Path, name: str) -> Iterator[Value | WrongValue]:
    """The values of the same as JSON, with or without a message around it."""
    if path.stat().st_size > _LARGEST_JSON:
        raise FileUnreadable(
            f"{name} is JSON of more than {_LARGEST_JSON // 1_000_000} MB.",
            hint="Send it as XML, or in several files.",
        )
    try:
        content = json.loads(path.read_bytes(), parse_float=str, parse_int=str)
    except (ValueError, RecursionError) as error:
        raise FileUnreadable(f"{name} is no JSON: {error}.", hint="Was it received to its end?") from None
    readings = list(_found(content))
    if not readings:
        raise FileUnreadable(f"{name} has no MeterReading.", hint="It is JSON of the shape of IEC 61968-9.")
    return _values(iter(readings))


def _found(content: Any) -> Iterator[dict[str, Any]]:
    """The meter readings within a message, however it is wrapped."""
    while isinstance(content, dict):
        inner = content.get("MeterReading")
        if inner is not None:
            yield from (each for each in _listed(inner) if isinstance(each, dict))
            return
        content = next(
            (
                content[key]
                for key in ("MeterReadings", "Payload", "EventMessage", "ResponseMessage")
                if key in content
            ),
            None,
        )


def _plain(element: ET.Element) -> Any:
    """An element as JSON has it: its text, or its children by name, with `ref` among them."""
    if not len(element) and not element.attrib:
        return (element.text or "").strip()
    members: dict[str, Any] = dict(element.attrib)
    for child in element:
        members.setdefault(child.tag, []).append(_plain(child))
    if not len(element) and (element.text or "").strip():
        members.setdefault("ref", (element.text or "").strip())
    return members


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _first(value: Any) -> Any:
    return next(iter(_listed(value)), None)


def _text(members: Any, *path: str) -> str:
    for name in path:
        members = _first(members.get(name)) if isinstance(members, dict) else None
    return members.strip() if isinstance(members, str) else ""


def _values(readings: Iterator[Any]) -> Iterator[Value | WrongValue]:
    number = 0
    for reading in readings:
        owner = _owner(reading)
        blocks = [
            (block, _type(block))
            for block in _listed(reading.get("IntervalBlocks"))
            if isinstance(block, dict)
        ]
        for block, kind in blocks:
            for each in _listed(block.get("IntervalReadings")):
                number += 1
                yield _value(number, owner, kind, each)
        for each in _listed(reading.get("Readings")):
            number += 1
            yield _value(number, owner, _type(each), each)


def _owner(reading: dict[str, Any]) -> str:
    """Whose values they are: a name of the meter, else its mRID, else the same of the usage point."""
    return next(
        (
            text
            for of in ("Meter", "UsagePoint")
            for path in ((of, "Names", "name"), (of, "mRID"))
            if (text := _text(reading, *path))
        ),
        "",
    )


def _type(members: Any) -> str:
    """The code of a reading type, however it is given."""
    found = _first(members.get("ReadingType")) if isinstance(members, dict) else None
    if isinstance(found, str):
        return found
    return next(
        (text for path in (("ref",), ("mRID",), ("Names", "name")) if (text := _text(found, *path))), ""
    )


def _value(number: int, owner: str, type_text: str, members: Any) -> Value | WrongValue:
    kind = ReadingType.of_mrid(type_text)
    found = None if kind is None else quantity_of(kind)
    if kind is None or found is None:
        return WrongValue(number, type_text, "type")
    start, end = _moment(_text(members, "timePeriod", "start")), _moment(_text(members, "timePeriod", "end"))
    stamp = _moment(_text(members, "timeStamp")) or end
    if stamp is None:
        return WrongValue(number, _text(members, "timeStamp"), "time")
    try:
        amount = Decimal(_text(members, "value"))
    except InvalidOperation:
        return WrongValue(number, _text(members, "value"), "value")
    delta = (
        kind.kind == _KIND_ENERGY
        and kind.accumulation not in REGISTERS
        and kind.accumulation != Accumulation.NONE
    )
    until = None
    if delta:
        until = end or stamp
        stamp = start or until - timedelta(minutes=MINUTES.get(kind.measuring_period, 0))
    category = max((iec_category(code) for code in _qualities(members)), default=0)
    key, exponent = found
    return Value(number, owner, key, stamp, until, amount, exponent, status_of(category, interval=delta))


def _qualities(members: Any) -> list[str]:
    """The codes of what is known about a value; collection notes (category 4 and 1, 2) say nothing against it."""
    codes = [_quality(each) for each in _listed(members.get("ReadingQualities")) if isinstance(each, dict)]
    return [code for code in codes if re.fullmatch(r"\d+\.(0|3|5|6|7|8|9|10|11|12)\.\d+", code)]


def _quality(members: dict[str, Any]) -> str:
    found = _first(members.get("ReadingQualityType"))
    return found if isinstance(found, str) else _text(found, "ref") or _text(found, "mRID")


def _moment(text: str) -> datetime | None:
    """An instant in UTC without a zone; None of what is none, and of civil times that say no offset."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    try:
        return None if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)
    except OverflowError:
        return None
