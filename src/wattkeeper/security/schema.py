"""The audit is append-only, and the database itself sees to it: triggers for SQLite and PostgreSQL.

`Base.metadata.create_all` makes them with the tables; a migration copies `guard_statements(dialect_name)`.
"""

from wattkeeper.kernel.append_only import append_only_statements, guarded

APPEND_ONLY = ("audit_event", "audit_seal")


def guard_statements(dialect_name: str) -> list[str]:
    """The statements that create every trigger, for "sqlite" or "postgresql"."""
    return append_only_statements(dialect_name, APPEND_ONLY, function="audit_append_only")


guarded(APPEND_ONLY, guard_statements)
