"""What was asked of an edit and every step of it are append-only, and the database itself sees to it.

`Base.metadata.create_all` makes the triggers with the tables; a migration copies `guard_statements(dialect_name)`.
"""

from wattkeeper.kernel.append_only import append_only_statements, guarded

APPEND_ONLY = ("reading_edit_step", "reading_edit_value")


def guard_statements(dialect_name: str) -> list[str]:
    """The statements that create every trigger, for "sqlite" or "postgresql"."""
    return append_only_statements(dialect_name, APPEND_ONLY, function="reading_edit_append_only")


guarded(APPEND_ONLY, guard_statements)
