"""A file's values on their way in: a DuckDB of their own on disk, where all is judged at once and set by set.

    raw     the file's cells as texts, by row
    cell    one value each: whose (as named), of what, when, how much
    wrong   what cannot be read or does not exist, by row and column

Nothing here knows the stores; `incoming` does.
"""

import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import duckdb
import pyarrow as pa

from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.readings.civil import utc_offsets
from wattkeeper.readings.files.headings import quantity_named
from wattkeeper.readings.files.mapping import Column, Mapping, Order, Role
from wattkeeper.readings.files.sheets import Sheet, columns_schema
from wattkeeper.readings.files.units import exponent_of
from wattkeeper.readings.quantities import QUANTITIES

CELL_SCHEMA: Final = pa.schema(
    [
        ("row", pa.int64()),
        ("col", pa.int32()),
        ("named", pa.string()),
        ("quantity", pa.string()),
        ("begun_at", pa.timestamp("us")),
        ("until", pa.timestamp("us")),
        ("value", pa.decimal128(18, 4)),
        ("rounded", pa.bool_()),
        ("status", pa.int32()),
    ]
)
"""A value: ``begun_at`` and ``until`` in UTC; ``until`` is null for a reading, and else ends the interval of an energy."""

WRONG_SCHEMA: Final = pa.schema(
    [("row", pa.int64()), ("col", pa.int32()), ("text", pa.string()), ("code", pa.string())]
)
_NUMBER: Final = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?"
_EXACT: Final = (
    "try_cast(try_cast(l.number AS DECIMAL(38,14))::VARCHAR || 'e' || m.exponent AS DECIMAL(38,14))"
)
"""A number in the catalogue's unit with all its digits; DuckDB takes 17 µs for it, so only where digits may be lost."""
_TIMES: Final = ("%H:%M:%S.%f", "%H:%M:%S", "%H:%M", "%H%M%S", "%H%M")
_DATES: Final = {
    Order.YEAR_FIRST: ("%Y-%m-%d", "%Y%m%d"),
    Order.DAY_FIRST: ("%d-%m-%Y",),
    Order.MONTH_FIRST: ("%m-%d-%Y",),
}
_OFFSET: Final = r"(Z|[+-][0-9]{2}:?[0-9]{2})$"
_EARLIEST, _LATEST = "TIMESTAMP '1999-12-31'", "TIMESTAMP '2100-01-02'"


class Stage:
    """Opens a database in a folder of its own, gone when it is closed."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="wattkeeper-import-")
        place = Path(self._folder.name)
        config: dict[str, Any] = {
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "temp_directory": str(place / "spill"),
        }
        self.cursor = duckdb.connect(str(place / "stage.duckdb"), config=config)
        for name, schema in (("cell", CELL_SCHEMA), ("wrong", WRONG_SCHEMA)):
            self.cursor.register("shape", schema.empty_table())
            self.cursor.execute(f"CREATE TABLE {name} AS FROM shape")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of everything."""
        self.cursor.close()
        self._folder.cleanup()

    def add(self, table: str, rows: pa.RecordBatch | pa.Table) -> None:
        """Add rows to a table, by the names of their columns."""
        self.cursor.register("more", rows)
        self.cursor.execute(f"INSERT INTO {table} BY NAME FROM more")

    def count(self, statement: str) -> int:
        """The number a statement gives."""
        return int(self.cursor.execute(statement).fetchall()[0][0] or 0)

    def texts(self, statement: str) -> list[str]:
        """The distinct texts of a statement's only column."""
        return [row[0] for row in self.cursor.execute(statement).fetchall() if row[0] is not None]


def load(stage: Stage, sheet: Sheet, progress: Callable[[int], None] | None = None) -> None:
    """Take in all rows of a sheet."""
    stage.cursor.register("shape", columns_schema(len(sheet.headings)).empty_table())
    stage.cursor.execute("CREATE OR REPLACE TABLE raw AS FROM shape")
    done = 0
    for batch in sheet.batches():
        stage.add("raw", batch)
        done += batch.num_rows
        if progress is not None:
            progress(done)
    blank = " AND ".join(f"trim(c{place}) = ''" for place in range(len(sheet.headings)))
    stage.cursor.execute(f"DELETE FROM raw WHERE {blank}")  # noqa: S608  built from the places of columns
    torn = [{"row": row, "col": None, "text": str(cells), "code": "torn"} for row, cells in sheet.torn]
    stage.cursor.register("more", pa.Table.from_pylist(torn, WRONG_SCHEMA))
    stage.cursor.execute("INSERT INTO wrong FROM more")


def read(stage: Stage, mapping: Mapping) -> None:
    """Make values of the rows, as a mapping says, and put down what cannot be read."""
    values = {place: column for place, column in enumerate(mapping.columns) if column.role is Role.VALUE}
    _times(stage, mapping)
    _long(stage, mapping, values)
    _meanings(stage, mapping, values)
    stage.cursor.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE parsed AS
        SELECT l.row, l.col, l.named, l.text, l.quantity_text, l.unit_text, m.quantity, m.exponent, t.begun_at, t.until,
               t.time_code, t.until_code,
               CASE WHEN NOT regexp_full_match(l.number, '{_NUMBER}') THEN NULL
                    WHEN l.number LIKE '%e%' THEN try_cast({_EXACT} AS DECIMAL(18,4))
                    ELSE try_cast(l.number || 'e' || m.exponent AS DECIMAL(18,4)) END AS value,
               CASE WHEN l.number LIKE '%e%' OR l.decimals > 4 + m.exponent THEN {_EXACT} END AS exact
        FROM long l
        JOIN moment t USING (row)
        LEFT JOIN meaning m ON m.col = l.col AND m.quantity_text = l.quantity_text AND m.unit_text = l.unit_text
        """  # noqa: S608  built from a constant
    )
    stage.cursor.execute(
        """
        INSERT INTO wrong
        SELECT DISTINCT row, col, text, code FROM (
            SELECT row, (CASE WHEN code IN ('time', 'gap', 'range') THEN $time WHEN code = 'quantity' THEN coalesce($quantity, col)
                        WHEN code = 'unit' THEN coalesce($unit, col) WHEN code = 'until' THEN $until ELSE col END)::INTEGER AS col,
                   CASE WHEN code IN ('time', 'gap', 'range') THEN time_text WHEN code = 'quantity' THEN quantity_text
                        WHEN code = 'until' THEN until_text WHEN code = 'unit' THEN unit_text ELSE text END AS text, code
            FROM (
                SELECT p.*, t.time_text, t.until_text,
                       CASE WHEN p.time_code IS NOT NULL THEN p.time_code
                            WHEN p.until_code IS NOT NULL OR p.until <= p.begun_at THEN 'until'
                            WHEN p.named = '' THEN 'unnamed'
                            WHEN p.quantity IS NULL THEN 'quantity' WHEN p.exponent IS NULL THEN 'unit'
                            WHEN p.value IS NULL THEN 'value' END AS code
                FROM parsed p JOIN moment t USING (row)
            ) WHERE code IS NOT NULL
        )
        """,
        {role.value: mapping.place(role) for role in (Role.TIME, Role.QUANTITY, Role.UNIT, Role.UNTIL)},
    )
    stage.cursor.execute(
        """
        INSERT INTO cell
        SELECT row, col, named, quantity, begun_at, until, value, coalesce(value <> exact, false), 0 FROM parsed
        WHERE time_code IS NULL AND until_code IS NULL AND (until IS NULL OR until > begun_at) AND named <> ''
          AND quantity IS NOT NULL AND exponent IS NOT NULL AND value IS NOT NULL
        """
    )


def _text(place: int | None) -> str:
    return "''" if place is None else f"trim(c{place})"


def _long(stage: Stage, mapping: Mapping, values: dict[int, Column]) -> None:
    """One row for each value that is there, with what its own row says of it."""
    names = ", ".join(f"c{place}" for place in values)
    info = [{"name": f"c{place}", "place": place, "meter": column.meter} for place, column in values.items()]
    stage.cursor.register("info", pa.Table.from_pylist(info))
    number = "replace(replace(v, ' ', ''), '''', '')"
    number = (
        f"replace(replace({number}, '.', ''), ',', '.')"
        if mapping.decimal == ","
        else f"replace({number}, ',', '')"
    )
    stage.cursor.execute(f"""
        CREATE OR REPLACE TEMP TABLE long AS
        SELECT row, place AS col, CASE WHEN meter <> '' THEN meter ELSE named END AS named, trim(v) AS text,
               lower({number}) AS number,
               CASE WHEN contains({number}, '.') THEN length({number}) - strpos({number}, '.') ELSE 0 END AS decimals,
               quantity_text, unit_text
        FROM (
            UNPIVOT (
                SELECT row, {_text(mapping.place(Role.METER))} AS named, {_text(mapping.place(Role.QUANTITY))} AS quantity_text,
                       {_text(mapping.place(Role.UNIT))} AS unit_text, {names}
                FROM raw
            ) ON {names} INTO NAME name VALUE v
        ) JOIN info USING (name)
        WHERE trim(v) <> ''
    """)  # noqa: S608  built from the places of columns


def _meanings(stage: Stage, mapping: Mapping, values: dict[int, Column]) -> None:
    """What each column's values are, for every quantity and unit that its rows name."""
    rows = []
    for place, quantity_text, unit_text in stage.cursor.execute(
        "SELECT DISTINCT col, quantity_text, unit_text FROM long"
    ).fetchall():
        column = values[place]
        key = quantity_named(quantity_text) if quantity_text else column.quantity or mapping.quantity
        unit = unit_text or column.unit or mapping.unit
        entry = QUANTITIES.get(key or "")
        exponent = None if entry is None else exponent_of(unit, entry.unit) if unit else 0
        rows.append((place, quantity_text, unit_text, key, exponent))
    schema = pa.schema(
        [("col", pa.int32()), ("quantity_text", pa.string()), ("unit_text", pa.string()), ("quantity", pa.string()), ("exponent", pa.int32())]
    )  # fmt: skip
    names = schema.names
    stage.cursor.register(
        "meaning", pa.Table.from_pylist([dict(zip(names, row, strict=True)) for row in rows], schema)
    )


def _times(stage: Stage, mapping: Mapping) -> None:
    """When each row is, in UTC; or why nobody can tell."""
    clock = mapping.place(Role.CLOCK)
    begin = _text(mapping.place(Role.TIME)) + ("" if clock is None else f" || ' ' || {_text(clock)}")
    end = mapping.place(Role.UNTIL)
    _moments(stage, "begun", begin, mapping)
    if end is None:
        stage.cursor.execute("""
            CREATE OR REPLACE TEMP TABLE moment AS
            SELECT row, text AS time_text, '' AS until_text, begun_at, code AS time_code, NULL::TIMESTAMP AS until,
                   NULL::VARCHAR AS until_code FROM begun
        """)
        return
    _moments(stage, "ended", _text(end), mapping)
    stage.cursor.execute("""
        CREATE OR REPLACE TEMP TABLE moment AS
        SELECT b.row, b.text AS time_text, e.text AS until_text, b.begun_at, b.code AS time_code, e.begun_at AS until,
               e.code AS until_code
        FROM begun b JOIN ended e USING (row)
    """)


def _moments(stage: Stage, table: str, text: str, mapping: Mapping) -> None:
    """Texts as instants: with their own offset, or as civil times of the mapping's zone."""
    # Each distinct text is understood once: a tick of a fleet has one time for all its meters.
    stage.cursor.execute(f"""
        CREATE OR REPLACE TEMP TABLE civil AS
        WITH texts AS (SELECT row, trim({text}) AS text FROM raw),
        plain AS (
            SELECT text, regexp_extract(text, '{_OFFSET}', 1) AS offset_text,
                   trim(regexp_replace(text, '{_OFFSET}', '')) AS plain
            FROM (SELECT DISTINCT text FROM texts)
        )
        SELECT t.row, t.text, p.offset_text, p.civil
        FROM texts t JOIN (SELECT text, offset_text, {_naive("plain", mapping.order)} AS civil FROM plain) p USING (text)
    """)  # noqa: S608  built from constants and places of columns
    _register_offsets(stage, mapping)
    aware = "offset_text <> ''" if mapping.order is not Order.EPOCH else "true"
    offset = """
        CASE WHEN offset_text IN ('', 'Z') THEN 0 ELSE
            (CASE WHEN offset_text[1] = '-' THEN -1 ELSE 1 END)
            * (offset_text[2:3]::INTEGER * 60 + right(offset_text, 2)::INTEGER) END"""
    # Of an hour that comes twice, the first time it stands in the file is the first one, and the second the second;
    # the other way round in a file that runs backwards.
    steps = stage.count(
        "SELECT sum(sign(epoch_us(civil) - epoch_us(before))) FROM (SELECT civil, lag(civil) OVER (ORDER BY row) AS before FROM civil)"
    )
    stage.cursor.execute(f"""
        CREATE OR REPLACE TEMP TABLE {table} AS
        WITH timed AS (
            SELECT c.row, c.text, c.civil, CASE WHEN {aware} THEN c.civil - to_minutes({offset}) END AS told FROM civil c
        ),
        matched AS (
            SELECT t.row, any_value(t.text) AS text, any_value(t.civil) AS civil, any_value(t.told) AS told,
                   min(t.civil - to_microseconds(o.offset_us)) AS earlier, max(t.civil - to_microseconds(o.offset_us)) AS later,
                   count(o.offset_us) AS ways
            FROM timed t LEFT JOIN civil_offset o ON t.told IS NULL AND t.civil >= o.since AND t.civil < o.until
            GROUP BY t.row
        ),
        doubled AS ({_occurrences(mapping, backwards=steps < 0)})
        SELECT m.row, m.text,
               CASE WHEN m.told IS NOT NULL THEN m.told WHEN d.later THEN m.later ELSE m.earlier END AS begun_at,
               CASE WHEN m.civil IS NULL THEN 'time' WHEN m.told IS NULL AND m.ways = 0 THEN 'gap'
                    WHEN m.civil < {_EARLIEST} OR m.civil >= {_LATEST} THEN 'range' END AS code
        FROM matched m LEFT JOIN doubled d USING (row)
    """)  # noqa: S608  built from constants and places of columns


def _occurrences(mapping: Mapping, *, backwards: bool) -> str:
    """For civil times that come twice, whether each row means the later one."""
    named = [_text(mapping.place(role)) for role in (Role.METER, Role.QUANTITY)]
    order = "DESC" if backwards else "ASC"
    return f"""
        SELECT m.row, row_number() OVER (PARTITION BY {", ".join(named)}, m.civil ORDER BY m.row {order}) > 1 AS later
        FROM matched m JOIN raw r ON r.row = m.row WHERE m.ways > 1
    """  # noqa: S608  built from constants and places of columns


def _naive(text: str, order: Order) -> str:
    """A text as a civil time, as SQL; 24:00 is the midnight after."""
    if order is Order.EPOCH:
        return f"""
            CASE WHEN regexp_full_match({text}, '[0-9]{{10}}') THEN make_timestamp({text}::BIGINT * 1000000)
                 WHEN regexp_full_match({text}, '[0-9]{{13}}') THEN make_timestamp({text}::BIGINT * 1000) END"""
    day = f"regexp_replace(split_part({text}, ' ', 1), '[/.年月]', '-', 'g')"
    clock = f"trim(substr({text}, length(split_part({text}, ' ', 1)) + 1))"
    spaced = f"trim(regexp_replace(regexp_replace({text}, '[T日]', ' '), ' +', ' ', 'g'))"
    formats = [f"{each} {clock_format}" for each in _DATES[order] for clock_format in _TIMES] + list(
        _DATES[order]
    )
    listed = ", ".join(f"'{each}'" for each in formats)
    day, clock = day.replace(text, spaced), clock.replace(text, spaced)
    midnight = f"regexp_full_match({clock}, '24:00(:00)?')"
    return f"""
        try_strptime(trim({day} || ' ' || CASE WHEN {midnight} THEN '00:00' ELSE {clock} END), [{listed}])
        + CASE WHEN {midnight} THEN INTERVAL 1 DAY ELSE INTERVAL 0 DAY END"""


def _register_offsets(stage: Stage, mapping: Mapping) -> None:
    """By which civil times of the zone clocks were how far from UTC, over all times of the file."""
    first, last = stage.cursor.execute(
        f"SELECT min(civil), max(civil) FROM civil WHERE civil >= {_EARLIEST} AND civil < {_LATEST}"  # noqa: S608
    ).fetchall()[0]
    rows = [] if first is None else _offsets(first, last, mapping)
    schema = pa.schema(
        [("since", pa.timestamp("us")), ("until", pa.timestamp("us")), ("offset_us", pa.int64())]
    )
    stage.cursor.register("civil_offset", pa.Table.from_pylist(rows, schema))


def _offsets(first: datetime, last: datetime, mapping: Mapping) -> list[dict[str, object]]:
    margin, epoch = timedelta(days=2), datetime(1970, 1, 1)  # noqa: DTZ001  civil times, told by hand
    period = TimeRange((first - margin).replace(tzinfo=UTC), (last + margin).replace(tzinfo=UTC))
    changes = utc_offsets(period, mapping.zone_info)
    ends = [since for since, _ in changes[1:]] + [int((last + 2 * margin - epoch).total_seconds() * 1e6)]
    return [
        {
            "since": epoch + timedelta(microseconds=since + offset),
            "until": epoch + timedelta(microseconds=end + offset),
            "offset_us": offset,
        }
        for (since, offset), end in zip(changes, ends, strict=True)
    ]
