"""Tables whose rows are never changed or removed: the database itself refuses it, whoever writes.

Each room with such tables has a `schema.py` that says which, and gives its statements to `guarded`; a migration copies them.
"""

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection, MetaData, Table, event

from wattkeeper.kernel.database import Base


def guarded(tables: Sequence[str], statements: Callable[[str], list[str]]) -> None:
    """Let `Base.metadata.create_all` execute the statements of its dialect when it has made any of the tables."""
    names = frozenset(tables)

    def create_guards(
        _target: MetaData, connection: Connection, *, tables: Sequence[Table], **_options: Any
    ) -> None:
        if any(table.name in names for table in tables):
            for statement in statements(connection.dialect.name):
                connection.exec_driver_sql(statement)

    event.listen(Base.metadata, "after_create", create_guards)


def append_only_statements(dialect_name: str, tables: Sequence[str], *, function: str) -> list[str]:
    """The statements that guard the tables, for "sqlite" or "postgresql"; they can be executed again without harm.

    `function` is the name of the trigger function on PostgreSQL, one per room.
    """
    if dialect_name == "sqlite":
        return [
            f"CREATE TRIGGER IF NOT EXISTS {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            for table in tables
            for verb in ("UPDATE", "DELETE")
        ]
    refuse = (
        f"CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "RAISE EXCEPTION USING MESSAGE = TG_TABLE_NAME || ' is append-only'; END $$"
    )
    return [
        refuse,
        *(
            f"CREATE OR REPLACE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            f"FOR EACH STATEMENT EXECUTE FUNCTION {function}()"
            for table in tables
        ),
    ]
