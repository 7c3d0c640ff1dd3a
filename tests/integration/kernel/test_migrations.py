"""A ledger database is brought to this version, once; one from a newer version is left alone."""

import shutil
from importlib import import_module
from pathlib import Path

import pytest
from sqlalchemy import inspect, text
from sqlalchemy.exc import DBAPIError

import wattkeeper.migrations
from wattkeeper.kernel.database import Base, Database, DatabaseError, SchemaTooNew
from wattkeeper.migrations.runner import difference, new_revision
from wattkeeper.registry.errors import RegistryError
from wattkeeper.registry.repository import Registry


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    """Our migration folder with one version that makes every table, written on SQLite from the models."""
    folder = tmp_path / "migrations"
    shutil.copytree(
        Path(wattkeeper.migrations.__file__).parent,
        folder,
        ignore=shutil.ignore_patterns("versions", "__pycache__"),
    )
    (folder / "versions").mkdir()
    scratch = Database("sqlite://")
    with scratch.write() as session:
        new_revision(session.connection(), "first", revision="0001", scripts=folder)
    scratch.dispose()
    return folder


def tables(database) -> set[str]:
    with database.read() as session:
        return set(inspect(session.connection()).get_table_names())


def test_migrating_from_nothing_makes_exactly_the_tables_of_the_models(empty_database, scripts):
    empty_database.migrate(scripts=scripts)
    assert tables(empty_database) == set(Base.metadata.tables) | {"alembic_version"}
    with empty_database.read() as session:
        assert difference(session.connection()) == []


def test_the_versions_that_are_delivered_make_exactly_the_tables_of_every_room(empty_database):
    for room in (
        "registry",
        "security",
        "collection",
        "collection.commands",
        "readings",
        "readings.transmission",
        "readings.validation",
        "readings.editing",
        "billing",
        "monitoring",
    ):
        import_module(f"wattkeeper.{room}.models")
    for table in ("jobs", "feed", "idempotency"):
        import_module(f"wattkeeper.kernel.{table}")
    empty_database.migrate()
    empty_database.migrate()
    with empty_database.read() as session:
        assert difference(session.connection()) == []


def test_migrating_again_changes_nothing(empty_database, scripts):
    empty_database.migrate(scripts=scripts)
    before = tables(empty_database)
    empty_database.migrate(scripts=scripts)
    assert tables(empty_database) == before


def test_a_version_file_depends_on_no_code_of_today(scripts):
    (version,) = (scripts / "versions").glob("*.py")
    assert "wattkeeper" not in version.read_text()


def test_a_database_of_a_newer_version_is_refused_and_left_alone(empty_database, scripts):
    empty_database.migrate(scripts=scripts)
    with empty_database.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SchemaTooNew, match="9999") as refused:
        empty_database.migrate(scripts=scripts)
    assert "restore a backup" in str(refused.value)
    with empty_database.read() as session:
        assert session.scalars(text("SELECT version_num FROM alembic_version")).all() == ["9999"]


def test_a_version_that_breaks_off_leaves_nothing_behind(empty_database, scripts):
    (version,) = (scripts / "versions").glob("*.py")
    version.write_text(
        version.read_text().replace("def downgrade", "    raise RuntimeError('power cut')\n\n\ndef downgrade")
    )
    with pytest.raises(RuntimeError, match="power cut"):
        empty_database.migrate(scripts=scripts)
    assert tables(empty_database) == set()


SECOND = """
import sqlalchemy as sa
from alembic import op

revision, down_revision = "0002", "0001"
branch_labels = depends_on = None


def upgrade():
    with op.batch_alter_table("site") as site:
        site.alter_column("name", type_=sa.String(200), existing_type=sa.String(), existing_nullable=False)
    {more}
"""


@pytest.fixture
def with_rows(empty_database, scripts):
    """A database of the first version in which a point refers to a site."""
    empty_database.migrate(scripts=scripts)
    with empty_database.write() as session:
        registry = Registry(session)
        site = registry.add_site(code="S", name="site", zone="UTC")
        registry.add_point(site_id=site.id, code="P", name="point")
    return empty_database


def test_a_table_is_replaced_without_losing_the_rows_that_refer_to_it(with_rows, scripts):
    (scripts / "versions" / "0002.py").write_text(SECOND.format(more="pass"))
    with_rows.migrate(scripts=scripts)
    with with_rows.write() as session:
        registry = Registry(session)
        assert registry.get_point(1).site_id == registry.site_by_code("S").id
        with pytest.raises(RegistryError):
            registry.add_point(site_id=99, code="Q", name="foreign keys are checked again")


def test_a_version_that_would_orphan_rows_is_undone(with_rows, scripts):
    (scripts / "versions" / "0002.py").write_text(SECOND.format(more="op.execute('DELETE FROM site')"))
    with pytest.raises((DatabaseError, DBAPIError)):
        with_rows.migrate(scripts=scripts)
    with with_rows.read() as session:
        assert session.scalars(text("SELECT version_num FROM alembic_version")).all() == ["0001"]
        assert Registry(session).get_site(1).code == "S"
