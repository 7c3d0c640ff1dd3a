"""What was asked of an edit and every step of it are append-only, and the database itself sees to it.

`Base.metadata.create_all` makes the triggers with the tables; a migration copies `guard_statements(dialect_name)`.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, MetaData, Table, event

from wattkeeper.kernel.append_only import append_only_statements
from wattkeeper.kernel.database import Base

APPEND_ONLY = ("reading_edit_step", "reading_edit_value")


def guard_statements(dialect_name: str) -> list[str]:
    """The statements that create every trigger, for "sqlite" or "postgresql"."""
    return append_only_statements(dialect_name, APPEND_ONLY, function="reading_edit_append_only")


@event.listens_for(Base.metadata, "after_create")
def _create_guards(
    _target: MetaData, connection: Connection, *, tables: Sequence[Table], **_options: Any
) -> None:
    if any(table.name in APPEND_ONLY for table in tables):
        for statement in guard_statements(connection.dialect.name):
            connection.exec_driver_sql(statement)
