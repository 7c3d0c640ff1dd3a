"""Versioned tables: nothing is overwritten, and a current query still reads winners only.

Each table is two: the winners, one row a key, and beside them what was replaced or never won, with the moment it
stopped counting (``superseded_at``). What was known at a moment is then the winners recorded by it, and those
superseded since. No query ever has to choose between versions.

Only an edit can be taken back: the best of the versions beside it is then written once more, as a new winner. A reading
that had no other version is gone, which its row among the superseded tells; an interval says that it was withdrawn.
"""

from dataclasses import dataclass

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from wattkeeper.readings.schemas import (
    INTERVAL_SCHEMA,
    METHODS,
    READING_SCHEMA,
    SOURCES,
    Appended,
    IntervalStatus,
)


@dataclass(frozen=True, slots=True)
class VersionedTable:
    """The shape of one versioned table."""

    name: str
    schema: pa.Schema
    owner: str
    """The column that says whose value it is; with ``quantity`` and ``time`` the key."""
    time: str
    amount: str
    """The column with the value itself."""
    ranked_by: str
    ranks: tuple[str, ...]
    """Values of ``ranked_by``; a later one outranks an earlier one when ``rank_levels`` differ."""
    rank_levels: tuple[int, ...]
    same: tuple[str, ...]
    """Columns that make a row a repeat when they are equal too."""
    absent: tuple[tuple[str, str], ...] = ()
    """What a winner says, as SQL by column, when its edit is taken back and there is nothing else; empty: no winner."""

    @property
    def superseded(self) -> str:
        """The table of what was replaced."""
        return f"{self.name}_superseded"

    @property
    def key_columns(self) -> tuple[str, str, str]:
        """The columns that a value has once each: whose, of what, when."""
        return self.owner, "quantity", self.time

    @property
    def keys(self) -> str:
        """The key columns, as SQL."""
        return ", ".join(self.key_columns)

    @property
    def columns(self) -> str:
        """The appended columns, as SQL."""
        return ", ".join(self.schema.names)

    @property
    def stored(self) -> str:
        """The columns of a winner, as SQL; a store that was upgraded has them in another order."""
        return f"{self.columns}, recorded_at"

    def rank(self, row: str) -> str:
        """The rank of a row of the alias ``row``, as SQL."""
        cases = " ".join(
            f"WHEN '{value}' THEN {level}" for value, level in zip(self.ranks, self.rank_levels, strict=True)
        )
        return f"CASE {row}.{self.ranked_by} {cases} END"


READINGS = VersionedTable(
    name="reading",
    schema=READING_SCHEMA,
    owner="meter_id",
    time="read_at",
    amount="value",
    ranked_by="source",
    ranks=SOURCES,
    rank_levels=(0, 1, 2, 3),
    same=("value", "status"),
)

_METHOD_LEVELS = {"imported": 0, "edited": 2}
"""Whatever is derived last stands, but for a person's edit; a file's energies give way to all that is derived."""

INTERVALS = VersionedTable(
    name="interval",
    schema=INTERVAL_SCHEMA,
    owner="point_id",
    time="start_at",
    amount="energy",
    ranked_by="method",
    ranks=METHODS,
    rank_levels=tuple(_METHOD_LEVELS.get(method, 1) for method in METHODS),
    same=("end_at", "energy", "status", "method", "error"),
    absent=(
        ("energy", "NULL"),
        ("status", str(IntervalStatus.WITHDRAWN.value)),
        ("method", "'none'"),
        ("error", "NULL"),
    ),
)


def distinct_keys(batch: pa.Table, table: VersionedTable) -> bool:
    """Whether surely no two rows share a key; a false alarm only costs the slower path."""
    if batch.num_rows < 2:  # noqa: PLR2004  one row cannot repeat
        return True
    codes = batch["quantity"].combine_chunks().dictionary_encode().indices
    mixed = _numbers(batch[table.owner]) * np.uint64(0x9E3779B97F4A7C15)
    mixed ^= codes.to_numpy(zero_copy_only=False).astype(np.uint64) * np.uint64(0xC2B2AE3D27D4EB4F)
    mixed ^= _numbers(batch[table.time].cast(pa.int64())) * np.uint64(0x165667B19E3779F9)
    mixed.sort()
    return not bool((mixed[1:] == mixed[:-1]).any())


def _numbers(column: pa.ChunkedArray) -> npt.NDArray[np.uint64]:
    return column.to_numpy().view(np.uint64).copy()  # type: ignore[no-any-return]


def bounds(batch: pa.Table, table: VersionedTable) -> tuple[int, int]:
    """The first and last instant of a batch, in microseconds since 1970 UTC."""
    times = batch[table.time].cast(pa.int64()).to_numpy()
    return int(times.min()), int(times.max())


def store(
    cursor: duckdb.DuckDBPyConnection,
    table: VersionedTable,
    batch: pa.Table,
    *,
    recorded_at: int,
    fresh: bool,
    restate: bool = False,
) -> Appended:
    """Write a batch inside the caller's transaction.

    ``fresh`` says that the batch is later than everything stored and has no key twice, so that nothing can match.
    ``restate`` stores what repeats the current value as a version of its own.
    ``recorded_at`` is in microseconds since 1970 UTC.
    """
    cursor.register("batch", batch)
    if not fresh:
        first, last = bounds(batch, table)
        _stage(cursor, table, first=first, last=last, restate=restate)
        counts = cursor.execute("SELECT verdict, count(*) FROM temp.staged GROUP BY verdict").fetchall()
        verdicts: dict[str, int] = {str(verdict): int(count) for verdict, count in counts}
        if set(verdicts) - {"new"}:
            return _apply(cursor, table, recorded_at=recorded_at, first=first, last=last)
    cursor.execute(
        f"INSERT INTO lake.{table.name} ({table.stored}) SELECT {table.columns}, make_timestamptz(?) FROM batch",  # noqa: S608
        [recorded_at],
    )
    return Appended(accepted=batch.num_rows, repeated=0, superseding=0)


def _slice(table: VersionedTable, row: str, first: int, last: int) -> str:
    """A batch is matched against no more than its own slice of time."""
    return f"{row}.{table.time} BETWEEN make_timestamptz({first}) AND make_timestamptz({last})"


def _stage(
    cursor: duckdb.DuckDBPyConnection, table: VersionedTable, *, first: int, last: int, restate: bool
) -> None:
    """Give each row of the batch its verdict beside the current value of its key.

    Within the batch the highest rank wins, and among equals the later row. A row equal to the current value is
    a repeat unless its source ranks higher: then it takes the place, or a lower source could later undo it.
    """
    same = " AND ".join(f"b.{column} IS NOT DISTINCT FROM c.{column}" for column in table.same)
    repeated = "false" if restate else f"{same} AND b.level <= c.level"
    key_equal = _equal_keys(table, "b", "c")
    cursor.execute(f"""
        CREATE OR REPLACE TEMP TABLE staged AS
        WITH numbered AS (SELECT *, row_number() OVER () AS line FROM batch),
        b AS (
            SELECT *, {table.rank("numbered")} AS level,
                   row_number() OVER (PARTITION BY {table.keys} ORDER BY {table.rank("numbered")} DESC, line DESC) AS place
            FROM numbered
        ),
        c AS (
            SELECT r.*, {table.rank("r")} AS level
            FROM lake.{table.name} r SEMI JOIN batch ON {_equal_keys(table, "batch", "r")}
            WHERE {_slice(table, "r", first, last)}
        )
        SELECT b.*,
            CASE
                WHEN b.place > 1 THEN 'within'
                WHEN c.level IS NULL THEN 'new'
                WHEN {repeated} THEN 'repeat'
                WHEN b.level < c.level THEN 'outranked'
                ELSE 'supersede'
            END AS verdict
        FROM b LEFT JOIN c ON {key_equal}
    """)  # noqa: S608


def _apply(
    cursor: duckdb.DuckDBPyConnection, table: VersionedTable, *, recorded_at: int, first: int, last: int
) -> Appended:
    """Carry out the verdicts: first what is replaced moves aside, then the winners are written."""
    cursor.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE lesser AS
        SELECT s.* FROM temp.staged s
        WHERE s.verdict IN ('within', 'outranked') AND NOT {_known_lesser(table, first, last)}
        """  # noqa: S608
    )
    replaced = "(FROM temp.staged WHERE verdict = 'supersede')"
    moved = _set_aside(cursor, table, replaced, recorded_at=recorded_at, first=first, last=last)
    outranked = cursor.execute(
        f"""
        INSERT INTO lake.{table.superseded} ({table.stored}, superseded_at)
        SELECT {table.columns}, make_timestamptz({recorded_at}), make_timestamptz({recorded_at}) FROM temp.lesser
        """  # noqa: S608
    ).fetchall()[0][0]
    accepted = cursor.execute(
        f"""
        INSERT INTO lake.{table.name} ({table.stored})
        SELECT {table.columns}, make_timestamptz({recorded_at}) FROM temp.staged WHERE verdict IN ('new', 'supersede')
        """  # noqa: S608
    ).fetchall()[0][0]
    total = cursor.execute("SELECT count(*) FROM temp.staged").fetchall()[0][0]
    return Appended(
        accepted=accepted,
        repeated=total - accepted - outranked,
        superseding=moved,
        outranked=int(outranked),
    )


def _set_aside(
    cursor: duckdb.DuckDBPyConnection,
    table: VersionedTable,
    keys: str,
    *,
    recorded_at: int,
    first: int,
    last: int,
) -> int:
    """Move the winners of some keys, given as a table in SQL, among the superseded; returns how many."""
    moved = cursor.execute(
        f"""
        INSERT INTO lake.{table.superseded} ({table.stored}, superseded_at)
        SELECT {table.stored}, make_timestamptz({recorded_at}) FROM lake.{table.name} r
        SEMI JOIN {keys} s ON {_equal_keys(table, "s", "r")}
        WHERE {_slice(table, "r", first, last)}
        """  # noqa: S608
    ).fetchall()[0][0]
    if moved:
        cursor.execute(
            f"""
            DELETE FROM lake.{table.name} AS r USING {keys} s
            WHERE {_equal_keys(table, "s", "r")} AND {_slice(table, "r", first, last)}
            """  # noqa: S608
        )
    return int(moved)


def _known_lesser(table: VersionedTable, first: int, last: int) -> str:
    """Whether a row that does not win says only what is known already.

    Either it repeats the winner of its own batch or the newest version of its rank that lies beside the winner.
    """
    same_as = " AND ".join(f"k.{column} IS NOT DISTINCT FROM s.{column}" for column in table.same)
    newest = ", ".join(table.same)
    return f"""(
        EXISTS (
            SELECT 1 FROM temp.staged k
            WHERE {_equal_keys(table, "k", "s")} AND k.place < s.place AND {same_as}
        )
        OR EXISTS (
            SELECT 1 FROM (
                SELECT {table.keys}, {table.rank("o")} AS level,
                       unnest(max_by(struct_pack({_packed(newest)}), recorded_at))
                FROM lake.{table.superseded} o
                WHERE {_slice(table, "o", first, last)}
                GROUP BY {table.keys}, level
            ) k
            WHERE {_equal_keys(table, "k", "s")} AND k.level = s.level AND {same_as}
        )
    )"""  # noqa: S608


def take_back(
    cursor: duckdb.DuckDBPyConnection,
    table: VersionedTable,
    keys: pa.Table,
    *,
    edit_id: int,
    recorded_at: int,
) -> None:
    """Let what an edit covered stand again, inside the caller's transaction.

    Of all versions of a key those do not count that an edit wrote which was taken back, or that are copies made when
    one was; of the others the best becomes the winner once more. Where that says what the winner says, because another
    edit covers this one, nothing changes.
    """
    cursor.register("batch", keys)
    first, last = bounds(keys, table)
    differs = " OR ".join(
        f"w.{column} IS DISTINCT FROM b.{column}" for column in dict.fromkeys((*table.same, table.ranked_by))
    )
    cursor.execute(f"""
        CREATE OR REPLACE TEMP TABLE restored AS
        WITH w AS (
            SELECT {table.stored} FROM lake.{table.name} r SEMI JOIN batch ON {_equal_keys(table, "batch", "r")}
            WHERE {_slice(table, "r", first, last)} AND r.{table.ranked_by} = 'edited'
        ),
        b AS (
            SELECT * FROM ({_counting(table, edit_id, first=first, last=last)})
            QUALIFY row_number() OVER (
                PARTITION BY {table.keys} ORDER BY level DESC, recorded_at DESC, superseded_at DESC
            ) = 1
        )
        SELECT {", ".join(f"{'w' if column in table.key_columns else 'b'}.{column}" for column in table.schema.names)},
               b.level IS NOT NULL AS stands
        FROM w LEFT JOIN b ON {_equal_keys(table, "w", "b")}
        WHERE b.level IS NULL OR {differs}
    """)  # noqa: S608
    _set_aside(cursor, table, "temp.restored", recorded_at=recorded_at, first=first, last=last)
    cursor.execute(
        f"""
        INSERT INTO lake.{table.name} ({table.stored})
        SELECT {table.columns}, make_timestamptz({recorded_at}) FROM temp.restored WHERE stands
        """  # noqa: S608
    )


def _counting(table: VersionedTable, edit_id: int, *, first: int, last: int) -> str:
    """The versions of the keys of ``w`` that count once an edit is taken back, as SQL."""
    absent = dict(table.absent)
    said = ", ".join(absent.get(column, column) for column in table.schema.names)
    nothing = f"UNION ALL SELECT {said}, recorded_at, NULL, -1 FROM w" if absent else ""  # noqa: S608  our own names
    return f"""
        WITH undone AS (
            SELECT edit_id FROM lake.edit WHERE act = 'undone' AND about = '{table.name}'
            UNION ALL SELECT {edit_id}
        ),
        ended AS (
            SELECT recorded_at FROM lake.edit
            WHERE about = '{table.name}' AND (act = 'undone' OR edit_id IN (FROM undone))
        ),
        versions AS (
            SELECT {table.stored}, TIMESTAMPTZ 'infinity' AS superseded_at, {table.rank("w")} AS level FROM w
            UNION ALL
            SELECT {table.stored}, superseded_at, {table.rank("o")} FROM lake.{table.superseded} o
            SEMI JOIN w ON {_equal_keys(table, "w", "o")} WHERE {_slice(table, "o", first, last)}
        )
        SELECT * FROM versions
        WHERE NOT ({table.ranked_by} = 'edited' AND recorded_at IN (FROM ended))
        {nothing}
    """  # noqa: S608


def _packed(columns: str) -> str:
    return ", ".join(f"{column} := {column}" for column in columns.split(", "))


def _equal_keys(table: VersionedTable, left: str, right: str) -> str:
    return " AND ".join(f"{left}.{key} = {right}.{key}" for key in table.key_columns)
