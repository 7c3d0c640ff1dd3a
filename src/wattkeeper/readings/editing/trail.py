"""Looking at edits: what each changed, value by value, and every version one value ever had."""

from datetime import datetime
from typing import Any

import pyarrow as pa

from wattkeeper.kernel.database import Database
from wattkeeper.readings.editing.repository import EditRepository
from wattkeeper.readings.editing.values import DiffRow, EditKind, EditView, ValueThen, VersionView
from wattkeeper.readings.store import ReadingsStore
from wattkeeper.registry.scope import EVERYTHING, Scope


class EditTrail:
    """Questions over the two stores; changes nothing."""

    def __init__(self, database: Database, store: ReadingsStore) -> None:
        self._database = database
        self._store = store

    def diff(
        self, edit_id: int, *, scope: Scope = EVERYTHING, after: int = 0, limit: int = 1000
    ) -> tuple[list[DiffRow], int | None]:
        """The values of an edit before and after, in order of owner, quantity and time.

        Also returns what to give as ``after`` for the next ones, None at the end. Raises UnknownEdit.
        """
        with self._database.read() as session:
            edits = EditRepository(session, scope)
            edit = edits.view(edit_id)
            wanted = edits.wanted(edit, after=after, limit=limit + 1)
        more, wanted = wanted.num_rows > limit, wanted.slice(0, limit)
        if not wanted.num_rows:
            return [], None
        table = edit.kind.table
        keys = wanted.select(["owner_id", "quantity", "at"]).rename_columns(
            [table.owner, "quantity", table.time]
        )
        now = self._values(edit.kind, self._store.corrections.values(table, keys))
        before = now
        if edit.applied_at is not None:
            then = self._store.corrections.values(table, keys, as_known_before=edit.applied_at)
            before = self._values(edit.kind, then)
        rows = [
            DiffRow(
                owner_id=row["owner_id"],
                quantity=row["quantity"],
                at=row["at"],
                wanted=row["value"],
                before=before.get((row["owner_id"], row["quantity"], row["at"])),
                now=now.get((row["owner_id"], row["quantity"], row["at"])),
            )
            for row in wanted.to_pylist()
        ]
        return rows, wanted["id"][-1].as_py() if more else None

    def history(self, kind: EditKind, owner_id: int, quantity: str, at: datetime) -> list[VersionView]:
        """Every version of one value, the current one first, with who edited it and why."""
        rows = self._store.corrections.history(kind.table, (owner_id, quantity, at)).to_pylist()
        ids = {row[name] for row in rows for name in ("edit_id", "undone_id")} - {None}
        with self._database.read() as session:
            edits = EditRepository(session).by_id(ids)
        return [_version(kind, row, edits) for row in rows]

    @staticmethod
    def _values(kind: EditKind, found: pa.Table) -> dict[tuple[int, str, datetime], ValueThen]:
        table = kind.table
        return {
            (row[table.owner], row["quantity"], row[table.time]): ValueThen(
                value=row[table.amount],
                status=row["status"],
                source=row[table.ranked_by],
                recorded_at=row["recorded_at"],
            )
            for row in found.to_pylist()
        }


def _version(kind: EditKind, row: dict[str, Any], edits: dict[int, EditView]) -> VersionView:
    table = kind.table
    return VersionView(
        value=row[table.amount],
        status=row["status"],
        source=row[table.ranked_by],
        exchange_id=row.get("exchange_id"),
        recorded_at=row["recorded_at"],
        superseded_at=row["superseded_at"],
        edit=edits.get(row["edit_id"]),
        undone=edits.get(row["undone_id"]),
    )
