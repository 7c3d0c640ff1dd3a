"""Apply the versions in this folder to a ledger database, or write a new one from the models."""

from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from wattkeeper.kernel.database import Base, DatabaseError, SchemaTooNew

_HERE = Path(__file__).resolve().parent
_ADVISORY_LOCK = 0x77617474_6D696772  # "wattmigr": two servers that start together take turns


def upgrade(connection: Connection, *, scripts: Path | None = None) -> None:
    """Apply what is missing, all or nothing, in the connection's transaction."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
    config = _config(connection, scripts or _HERE)
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    unknown = set(MigrationContext.configure(connection).get_current_heads()) - known
    if unknown:
        raise SchemaTooNew(
            f"The ledger database was written by a newer version of Wattkeeper (revision {', '.join(sorted(unknown))}).",
            hint="Install that version or a later one, or restore a backup made before the upgrade. Nothing was changed.",
        )
    command.upgrade(config, "heads")
    if connection.dialect.name == "sqlite" and (
        broken := connection.execute(text("PRAGMA foreign_key_check")).all()
    ):
        raise DatabaseError(
            f"The upgrade would leave {len(broken)} rows that refer to nothing, the first in {broken[0][0]}; it was undone.",
            hint="Go back to the version before, and report this as a bug.",
        )


def new_revision(connection: Connection, message: str, *, revision: str, scripts: Path | None = None) -> None:
    """Write the version that brings the connected database to the imported models; for developers."""
    config = _config(connection, scripts or _HERE)
    command.revision(config, message, autogenerate=True, rev_id=revision)


def _config(connection: Connection, scripts: Path) -> Config:
    config = Config()
    config.set_main_option("script_location", str(scripts).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def difference(connection: Connection) -> list[object]:
    """What the imported models have and the connected database has not, or the other way round; for a test."""
    return list(
        compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), Base.metadata)
    )
