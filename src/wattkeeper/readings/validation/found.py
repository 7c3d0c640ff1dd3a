"""From rows that a rule objects to, to findings: one per reading, or one per day, with evidence and ground."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import numpy as np
import pyarrow as pa

from wattkeeper.readings.quantities import QUANTITIES
from wattkeeper.readings.registers import UNIT, Flags, Integers
from wattkeeper.readings.schemas import INSTANT, SOURCES
from wattkeeper.readings.validation.facts import Floats, MeterFacts
from wattkeeper.readings.validation.parameters import Parameters
from wattkeeper.readings.validation.rules import RULES
from wattkeeper.readings.validation.table import NONE, Readings

FINDING_SCHEMA: Final = pa.schema(
    [
        ("code", pa.string()),
        ("severity", pa.string()),
        ("meter_id", pa.int64()),
        ("point_id", pa.int64()),
        ("quantity", pa.string()),
        ("start_at", INSTANT),
        ("end_at", INSTANT),
        ("evidence", pa.string()),
        ("ground", pa.string()),
    ]
)
"""What `check` answers with: ``evidence`` is JSON, decimals and instants in it are texts."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND_US: Final = 1_000_000
Figures = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Hits:
    """Readings that a rule objects to.

    ``rows`` are their positions, in order. ``beside`` has, for each, the readings it was compared with. ``figures`` are
    numbers about each: float arrays in the unit their name ends with, int arrays of instants where it ends with ``_at``.
    ``worst`` says how bad each is; the worst of a day stands in its evidence.
    """

    rows: Integers
    beside: Sequence[Integers] = ()
    figures: Mapping[str, Integers | Floats] = field(default_factory=dict)
    limit: str | None = None
    """The parameter that was exceeded."""
    daily: bool = True
    worst: Integers | Floats | None = None
    also: Integers | None = None
    """What the ground holds beside the readings themselves."""

    def only(self, keep: Flags) -> "Hits":
        """Some of them."""
        return Hits(
            self.rows[keep],
            tuple(rows[keep] for rows in self.beside),
            {name: values[keep] for name, values in self.figures.items()},
            self.limit,
            self.daily,
            None if self.worst is None else self.worst[keep],
            None if self.also is None else self.also[keep],
        )


@dataclass(frozen=True, slots=True)
class DayFinding:
    """What a rule found about a day without any reading to point at."""

    fact: MeterFacts
    quantity: str
    start: int
    end: int
    """The civil day [µs since 1970 UTC]."""
    figures: Figures
    ground: Figures
    """What is the same as long as the finding is."""
    limit: str | None = None


Found = Hits | DayFinding


def findings(code: str, found: Iterable[Found], readings: Readings) -> Iterator[dict[str, Any]]:
    """The rows of FINDING_SCHEMA for what one rule found."""
    for one in found:
        if isinstance(one, DayFinding):
            yield _of_day(code, one, readings.parameters)
        else:
            yield from _of_hits(code, one, readings)


def _of_day(code: str, found: DayFinding, parameters: Parameters) -> dict[str, Any]:
    evidence = {name: _plain(name, value) for name, value in found.figures.items()}
    evidence |= _limit(code, found.limit, parameters, found.fact.kind, found.start)
    ground = {name: _plain(name, value) for name, value in found.ground.items()}
    digest = _digest(json.dumps(ground, sort_keys=True).encode())
    return _row(code, found.fact, found.quantity, (found.start, found.end), (evidence, digest))


def _of_hits(code: str, hits: Hits, readings: Readings) -> Iterator[dict[str, Any]]:
    enabled = readings.number(code, "enabled", hits.rows) > 0
    hits = hits.only(enabled & readings.judged[hits.rows])
    if len(hits.rows):
        yield from (_daily if hits.daily else _single)(code, hits, readings)


def _single(code: str, hits: Hits, readings: Readings) -> Iterator[dict[str, Any]]:
    for place, row in enumerate(hits.rows.tolist()):
        shown = sorted({row, *_neighbours(hits, place)}, key=lambda r: (readings.code[r], r))
        evidence = {"readings": [_reading(readings, r) for r in shown]}
        evidence |= _figures(hits, place) | _limit_of(code, hits, readings, row)
        at = int(readings.at[row])
        ground = _ground(readings, np.array(shown), None if hits.also is None else hits.also[[place]])
        yield _row(
            code, readings.fact_of(row), readings.key_of(row), (at, at + _SECOND_US), (evidence, ground)
        )


def _daily(code: str, hits: Hits, readings: Readings) -> Iterator[dict[str, Any]]:
    cells = readings.cell[hits.rows]
    heads = np.flatnonzero(np.diff(cells, prepend=-1) != 0)
    for begin, end in zip(heads.tolist(), [*heads[1:].tolist(), len(cells)], strict=True):
        worst = begin if hits.worst is None else begin + int(np.argmax(hits.worst[begin:end]))
        places = sorted({begin, worst, end - 1})
        shown = sorted({r for p in places for r in (int(hits.rows[p]), *_neighbours(hits, p))})
        row = int(hits.rows[worst])
        evidence: dict[str, Any] = {
            "readings": [_reading(readings, r) for r in shown],
            "count": end - begin,
            "first_at": _instant(int(readings.at[hits.rows[begin]])),
            "last_at": _instant(int(readings.at[hits.rows[end - 1]])),
        }
        evidence |= _figures(hits, worst) | _limit_of(code, hits, readings, row)
        fact = readings.facts.rows[int(readings.fact[row])]
        start = max(int(readings.day_start[row]), int(readings.facts.start[readings.fact[row]]))
        stop = min(int(readings.day_end[row]), int(readings.facts.end[readings.fact[row]]))
        period = (start, max(stop, start + _SECOND_US))
        also = None if hits.also is None else hits.also[begin:end]
        ground = _ground(readings, hits.rows[begin:end], also)
        yield _row(code, fact, readings.key_of(row), period, (evidence, ground))


def _row(
    code: str, fact: MeterFacts, quantity: str, period: tuple[int, int], rests_on: tuple[Figures, str]
) -> dict[str, Any]:
    evidence, ground = rests_on
    return {
        "code": code,
        "severity": RULES[code].severity.value,
        "meter_id": fact.meter_id,
        "point_id": fact.point_id,
        "quantity": quantity,
        "start_at": period[0],
        "end_at": period[1],
        "evidence": json.dumps(evidence, ensure_ascii=False, sort_keys=True, separators=(",", ":")),
        "ground": ground,
    }


def _neighbours(hits: Hits, place: int) -> list[int]:
    return [int(rows[place]) for rows in hits.beside if rows[place] != NONE]


def _figures(hits: Hits, place: int) -> dict[str, Any]:
    return {name: _plain(name, values[place]) for name, values in hits.figures.items()}


def _limit_of(code: str, hits: Hits, readings: Readings, row: int) -> dict[str, Any]:
    kind, day = readings.fact_of(row).kind, int(readings.day_start[row])
    return _limit(code, hits.limit, readings.parameters, kind, day)


def _limit(code: str, key: str | None, parameters: Parameters, kind: str, day: int) -> dict[str, Any]:
    """The limit used, its unit, and since when it holds: null for the default of the rule."""
    if key is None:
        return {}
    used = parameters.used(code, key, kind, day)
    since = None if used.since is None else used.since.isoformat()
    return {"limit": {"parameter": key, "value": f"{used.value:f}", "unit": used.unit, "since": since}}


def _reading(readings: Readings, row: int) -> dict[str, Any]:
    """One reading as a person finds it again: its exchange leads to its frame."""
    key = readings.key_of(row)
    shown: dict[str, Any] = {
        "quantity": key,
        "read_at": _instant(int(readings.at[row])),
        "value": _decimal(int(readings.value[row])),
        "unit": QUANTITIES[key].unit,
        "source": SOURCES[int(readings.source[row])],
    }
    if readings.exchange[row] != NONE:
        shown["exchange_id"] = str(readings.exchange[row])  # 64 bits do not fit a JSON number
    if readings.status[row]:
        shown["status"] = int(readings.status[row])
    return shown


def _ground(readings: Readings, rows: Integers, also: Integers | None) -> str:
    keys = ",".join(readings.keys[code] for code in np.unique(readings.code[rows]))
    columns = [readings.at[rows], readings.value[rows], *([] if also is None else [also])]
    return _digest(keys.encode() + b"".join(column.tobytes() for column in columns))


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=12).hexdigest()


def _plain(name: str, value: Any) -> Any:
    """A figure as JSON: instants and decimals are texts, counts are numbers."""
    match value:
        case list():
            return [_plain(name, item) for item in value]
        case dict():
            return {key: _plain(key, item) for key, item in value.items()}
        case str() | None | bool():
            return value
    if name.endswith("_at"):
        return _instant(int(value))
    return int(value) if isinstance(value, int | np.integer) else _decimal(round(float(value) * UNIT))


def _decimal(store_units: int) -> str:
    text = f"{Decimal(store_units).scaleb(-4):f}"
    return text.rstrip("0").rstrip(".")


def _instant(microseconds_utc: int) -> str:
    return (_EPOCH + timedelta(microseconds=microseconds_utc)).isoformat()


def in_a_row(rows: Integers, hit: Flags, groups: Integers, needed: Floats) -> Flags:
    """Of rows in order, those hit that stand among at least so many neighbours of their group that are hit too."""
    broken = np.diff(groups, prepend=-1) != 0
    number = np.cumsum(broken | (np.diff(hit.astype(np.int8), prepend=-1) != 0)) - 1
    length = np.bincount(number, minlength=len(rows) and int(number[-1]) + 1)
    lasting: Flags = hit & (length[number] >= needed)
    return lasting


def enough(rows: Integers, hit: Flags, groups: Integers, needed: Floats) -> Flags:
    """Of rows in order, those hit whose group has at least so many that are."""
    if not len(rows):
        return hit
    numbers = np.cumsum(np.diff(groups, prepend=-1) != 0) - 1
    count = np.bincount(numbers, weights=hit, minlength=int(numbers[-1]) + 1)
    often: Flags = hit & (count[numbers] >= needed)
    return often
