"""Write the next migration of the ledger database from the models.

    uv run python tools/new_migration.py 0002 "what changes and why"

Compares the tables that the existing migrations make with the models, and writes the difference under
`src/wattkeeper/migrations/versions/`. Triggers are not seen by that comparison: the statements of
`billing.schema.guard_statements` are copied into the first migration, and whoever changes them writes the new ones
into a migration by hand (a test compares what a migrated database has with what the models make).
"""

import pprint
import sys
import tempfile
from pathlib import Path

import wattkeeper.app  # noqa: F401 (it imports every room, which is what makes their tables known)
from wattkeeper.billing.schema import guard_statements
from wattkeeper.kernel.database import Database
from wattkeeper.migrations.runner import new_revision

VERSIONS = Path(__file__).resolve().parent.parent / "src" / "wattkeeper" / "migrations" / "versions"


def main() -> None:
    """Write one migration."""
    revision, message = sys.argv[1:]
    first = not any(VERSIONS.glob("*.py"))
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{folder}/ledger.sqlite")
        if not first:
            database.migrate()
        with database.write() as session:
            new_revision(session.connection(), message, revision=revision)
        database.dispose()
    path = next(VERSIONS.glob(f"{revision}_*.py"))
    if first:
        path.write_text(_with_guards(path.read_text(encoding="utf-8")), encoding="utf-8")
    print(path)


def _with_guards(script: str) -> str:
    """The first migration with the triggers as they are today, word for word."""
    guards = {name: guard_statements(name) for name in ("sqlite", "postgresql")}
    written = "GUARDS = " + pprint.pformat(guards, width=110, sort_dicts=False)
    run = "\n    for statement in GUARDS[op.get_bind().dialect.name]:\n        op.get_bind().exec_driver_sql(statement)\n"
    before, upgrade, downgrade = script.partition("def upgrade()")[0], *_functions(script)
    return f"{before}{written}\n\n\n{upgrade.rstrip()}\n{run}\n\n{downgrade}"


def _functions(script: str) -> tuple[str, str]:
    start, middle = script.index("def upgrade()"), script.index("def downgrade()")
    return script[start:middle], script[middle:]


if __name__ == "__main__":
    main()
