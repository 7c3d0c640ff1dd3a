"""Staged values on their way into the stores: whose they are, what is wrong with them, and taking them in."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import pyarrow as pa
from sqlalchemy.orm import Session

from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.readings.files.staging import Stage
from wattkeeper.readings.quantities import QUANTITIES
from wattkeeper.readings.schemas import INSTANT, INTERVAL_SCHEMA, READING_SCHEMA, Appended
from wattkeeper.readings.store import ReadingsStore
from wattkeeper.registry.chosen import meter_ids_by_address, point_ids_by_code
from wattkeeper.registry.repository import Registry
from wattkeeper.registry.scope import Scope

ERRORS_KEPT: Final = 1_000
CAUSES_KEPT: Final = 50
ADDRESS_DIGITS: Final = 12
"""A spreadsheet takes the zeros from the front of a DL/T 645 address."""
_ALWAYS: Final = TimeRange(datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC))
_BATCH_ROWS: Final = 500_000
_NOTHING: Final = Appended(accepted=0, repeated=0, superseding=0)

PROBLEMS: Final[dict[str, tuple[str, str]]] = {
    "torn": ("This row has another number of cells than the headings.", "Put quotes around texts that have a separator in them."),
    "time": ("This is no date and time.", "Write 2026-11-01 00:15, or say in the mapping how dates are written."),
    "gap": ("This time never was: the clocks went forward over it.", "Choose the zone the file is written in, or add offsets to its times."),
    "range": ("This time is not within the years 2000 to 2099.", "Correct it, or say in the mapping how dates are written."),
    "until": ("This is no end of an interval: it is no time, or not after the start.", "Correct it."),
    "unnamed": ("Nothing says which meter this is of.", "Fill in the meter's address or the metering point's code."),
    "unknown": ("There is no such meter and no such metering point.", "Import the meter first, or correct the name."),
    "several": ("Several meters have this address.", "Name the metering point instead."),
    "nowhere": ("At that time the meter hung at no metering point, or no meter at the point.", "Enter the installation first, or leave the row out."),
    "quantity": ("This is no quantity of the catalogue.", "Use a key, an OBIS code or a name of docs/reference/quantities.md."),
    "unit": ("This unit does not fit the quantity.", "Use a unit such as Wh, kWh or MWh for an energy."),
    "value": ("This is no number that can be stored.", "Numbers have up to 14 digits and four decimals; check the decimal sign."),
    "kind": ("Only energies have intervals.", "Leave out the column of ends, or choose an energy."),
    "type": ("The file's own type of reading has no quantity in the catalogue.", "See docs/reference/readings-files.md for those that have."),
}  # fmt: skip
"""What is wrong with a cell, and what to do, by code."""


@dataclass(frozen=True, slots=True)
class WrongCell:
    """A cell that cannot be taken in; ``column`` is its heading."""

    row: int
    column: str
    text: str
    code: str


@dataclass(frozen=True, slots=True)
class Cause:
    """The same thing wrong in many rows."""

    code: str
    column: str
    text: str
    rows: int


@dataclass(frozen=True, slots=True)
class Looked:
    """What is in a file, and what of it can be taken in."""

    readings: int
    intervals: int
    meters: int
    quantities: tuple[str, ...]
    first: datetime | None
    last: datetime | None
    rounded: int
    """Values that had more than four decimals."""
    repeated: int
    """Values for a moment that the file has another value for; the later row counts."""
    wrong: int
    """Wrong cells in all; ``errors`` has the first of them."""
    errors: tuple[WrongCell, ...]
    causes: tuple[Cause, ...]


NOTHING_LOOKED: Final = Looked(0, 0, 0, (), None, None, 0, 0, 0, (), ())


def resolve(stage: Stage, session: Session, scope: Scope, *, named_in: int | None) -> None:
    """Find whose the values are, among the meters and points within the scope; what is nobody's is wrong.

    ``named_in`` is the column of names, where there is one.
    """
    names = stage.texts("SELECT DISTINCT named FROM cell")
    owners, spans = _owners(names, session, scope)
    stage.cursor.register("owner", owners)
    stage.cursor.register("span", spans)
    energies = ", ".join(f"'{key}'" for key, entry in QUANTITIES.items() if entry.is_energy)
    stage.cursor.execute(f"""
        CREATE OR REPLACE TABLE resolved AS
        SELECT c.*, CASE WHEN c.until IS NULL THEN coalesce(o.meter_id, s.meter_id) END AS meter_id,
               CASE WHEN c.until IS NOT NULL THEN coalesce(o.point_id, s.point_id) END AS point_id,
               CASE WHEN o.code <> '' THEN o.code
                    WHEN c.until IS NOT NULL AND c.quantity NOT IN ({energies}) THEN 'kind'
                    WHEN coalesce(CASE WHEN c.until IS NULL THEN o.meter_id ELSE o.point_id END,
                                  CASE WHEN c.until IS NULL THEN s.meter_id ELSE s.point_id END) IS NULL THEN 'nowhere' END AS code
        FROM cell c JOIN owner o ON o.named = c.named
        LEFT JOIN span s ON s.named = c.named AND c.begun_at >= s.since AND c.begun_at < s.until
    """)  # noqa: S608  built from the catalogue's keys
    stage.cursor.execute(
        "INSERT INTO wrong SELECT DISTINCT row, coalesce($named_in, col)::INTEGER, named, code FROM resolved WHERE code IS NOT NULL",
        {"named_in": named_in},
    )


def look(stage: Stage, headings: tuple[str, ...]) -> Looked:
    """What there is, once names are resolved."""
    found = stage.cursor.execute("""
        SELECT count(*) FILTER (until IS NULL), count(*) FILTER (until IS NOT NULL),
               count(DISTINCT named), min(begun_at), max(coalesce(until, begun_at)), count(*) FILTER (rounded)
        FROM resolved WHERE code IS NULL
    """).fetchall()[0]
    readings, intervals, meters, first, last, rounded = found
    repeated = stage.count("""
        SELECT coalesce(sum(times - 1), 0) FROM (
            SELECT count(*) AS times FROM resolved WHERE code IS NULL
            GROUP BY meter_id, point_id, quantity, begun_at HAVING count(DISTINCT value) > 1
        )
    """)
    return Looked(
        readings=readings,
        intervals=intervals,
        meters=meters,
        quantities=tuple(
            stage.texts("SELECT DISTINCT quantity FROM resolved WHERE code IS NULL ORDER BY quantity")
        ),
        first=None if first is None else first.replace(tzinfo=UTC),
        last=None if last is None else last.replace(tzinfo=UTC),
        rounded=rounded,
        repeated=repeated,
        wrong=stage.count("SELECT count(*) FROM wrong"),
        errors=tuple(
            WrongCell(row, _heading(headings, place), text, code)
            for row, place, text, code in stage.cursor.execute(
                f"SELECT row, col, coalesce(text, ''), code FROM wrong ORDER BY row, col LIMIT {ERRORS_KEPT}"  # noqa: S608
            ).fetchall()
        ),
        causes=tuple(
            Cause(code, _heading(headings, place), text, rows)
            for code, place, text, rows in stage.cursor.execute(
                f"""
                SELECT code, col, coalesce(text, ''), count(*) AS rows FROM wrong
                GROUP BY ALL ORDER BY rows DESC, code, col, 3 LIMIT {CAUSES_KEPT}
                """  # noqa: S608
            ).fetchall()
        ),
    )


def take_in(
    stage: Stage, store: ReadingsStore, now: datetime, progress: Callable[[int, int], None] | None = None
) -> Appended:
    """Append all that is right to the stores, some at a time; the same again is dropped as repeats."""
    total = stage.count("SELECT count(*) FROM resolved WHERE code IS NULL")
    outcome, done = _NOTHING, 0
    for statement, schema, append in (
        (_READINGS, READING_SCHEMA, store.append_readings),
        (_INTERVALS, INTERVAL_SCHEMA, store.append_intervals),
    ):
        for batch in _batches(stage, statement, schema):
            outcome += append(batch, now)
            done += batch.num_rows
            if progress is not None:
                progress(done, total)
    return outcome


_READINGS: Final = """
    SELECT meter_id, quantity, begun_at AS read_at, value, status, 'imported' AS source, NULL::BIGINT AS exchange_id
    FROM resolved WHERE code IS NULL AND until IS NULL ORDER BY begun_at, meter_id, quantity, row
"""
_INTERVALS: Final = """
    SELECT point_id, quantity, begun_at AS start_at, until AS end_at, value AS energy, status, 'imported' AS method,
           NULL::DECIMAL(18,4) AS error
    FROM resolved WHERE code IS NULL AND until IS NOT NULL ORDER BY begun_at, point_id, quantity, row
"""


def _batches(stage: Stage, statement: str, schema: pa.Schema) -> Iterator[pa.Table]:
    plain = pa.schema([pa.field(f.name, pa.timestamp("us") if f.type == INSTANT else f.type) for f in schema])
    reader = stage.cursor.cursor().execute(statement).to_arrow_reader(_BATCH_ROWS)
    for batch in reader:
        yield pa.Table.from_batches([batch]).select(schema.names).cast(plain).cast(schema)


def _owners(names: list[str], session: Session, scope: Scope) -> tuple[pa.Table, pa.Table]:
    """Each name with its meter or its point, and when which meter hung at which point."""
    padded = {name: name.zfill(ADDRESS_DIGITS) for name in names if name.isdecimal()}
    by_address = meter_ids_by_address(session, scope, {*names, *padded.values()})
    by_code = point_ids_by_code(session, scope, names)
    meters = {name: by_address.get(name) or by_address.get(padded.get(name, "")) or [] for name in names}
    owners = []
    for name in names:
        found, point = meters[name], by_code.get(name)
        code = "several" if len(found) > 1 else "unknown" if not found and point is None else ""
        meter = found[0] if len(found) == 1 else None
        owners.append((name, meter, None if found else point, code))
    registry = Registry(session, scope)
    name_of_meter = {meter: name for name, meter, _, code in owners if meter is not None and not code}
    name_of_point = {point: name for name, _, point, code in owners if point is not None and not code}
    spans = [
        (name_of_meter[meter], meter, point, span)
        for point, meter, span in registry.spans(meter_ids=name_of_meter, period=_ALWAYS)
    ] + [
        (name_of_point[point], meter, point, span)
        for point, meter, span in registry.spans(point_ids=name_of_point, period=_ALWAYS)
    ]
    return (
        _table(owners, ("named", pa.string()), ("meter_id", pa.int64()), ("point_id", pa.int64()), ("code", pa.string())),
        _table(
            [(name, meter, point, _plain(span.start), _plain(span.closed_end)) for name, meter, point, span in spans],
            ("named", pa.string()), ("meter_id", pa.int64()), ("point_id", pa.int64()),
            ("since", pa.timestamp("us")), ("until", pa.timestamp("us")),
        ),
    )  # fmt: skip


def _table(rows: Sequence[tuple[object, ...]], *columns: tuple[str, pa.DataType]) -> pa.Table:
    schema = pa.schema(columns)
    parts = zip(*rows, strict=True) if rows else ((),) * len(columns)
    return pa.table(
        [pa.array(part, field.type) for part, field in zip(parts, schema, strict=True)], schema=schema
    )


def _plain(instant: datetime) -> datetime:
    return instant.astimezone(UTC).replace(tzinfo=None)


def _heading(headings: tuple[str, ...], place: int | None) -> str:
    return headings[place] if place is not None and place < len(headings) else ""
