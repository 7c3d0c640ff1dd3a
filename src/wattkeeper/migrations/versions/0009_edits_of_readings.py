"""edits of readings

What people want readings and intervals to be, value by value, and every step to it.

Revision ID: 0009
Revises: 0008
Create Date: 2026-11-27 07:40:55.872898
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

GUARDS = {
    "sqlite": [
        "CREATE TRIGGER IF NOT EXISTS reading_edit_step_no_update BEFORE UPDATE ON reading_edit_step "
        "BEGIN SELECT RAISE(ABORT, 'reading_edit_step is append-only'); END",
        "CREATE TRIGGER IF NOT EXISTS reading_edit_step_no_delete BEFORE DELETE ON reading_edit_step "
        "BEGIN SELECT RAISE(ABORT, 'reading_edit_step is append-only'); END",
        "CREATE TRIGGER IF NOT EXISTS reading_edit_value_no_update BEFORE UPDATE ON reading_edit_value "
        "BEGIN SELECT RAISE(ABORT, 'reading_edit_value is append-only'); END",
        "CREATE TRIGGER IF NOT EXISTS reading_edit_value_no_delete BEFORE DELETE ON reading_edit_value "
        "BEGIN SELECT RAISE(ABORT, 'reading_edit_value is append-only'); END",
    ],
    "postgresql": [
        "CREATE OR REPLACE FUNCTION reading_edit_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION USING MESSAGE = TG_TABLE_NAME || ' is append-only'; END $$",
        "CREATE OR REPLACE TRIGGER reading_edit_step_append_only BEFORE UPDATE OR DELETE OR TRUNCATE "
        "ON reading_edit_step FOR EACH STATEMENT EXECUTE FUNCTION reading_edit_append_only()",
        "CREATE OR REPLACE TRIGGER reading_edit_value_append_only BEFORE UPDATE OR DELETE OR "
        "TRUNCATE ON reading_edit_value FOR EACH STATEMENT EXECUTE FUNCTION "
        "reading_edit_append_only()",
    ],
}


def upgrade() -> None:
    op.create_table(
        "reading_edit",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "reading", "interval", name="editkind", native_enum=False, create_constraint=True, length=32
            ),
            nullable=False,
        ),
        sa.Column(
            "state",
            sa.Enum(
                "proposed",
                "refused",
                "withdrawn",
                "approved",
                "applied",
                "undo_proposed",
                "undo_approved",
                "undone",
                name="editstate",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("first_at", sa.BigInteger(), nullable=False),
        sa.Column("last_at", sa.BigInteger(), nullable=False),
        sa.Column("proposed_by", sa.String(), nullable=False),
        sa.Column("proposed_by_user_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("proposed_at", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.Column("applied_at", sa.BigInteger(), nullable=True),
        sa.Column("undone_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("first_at <= last_at", name=op.f("ck_reading_edit_first_before_last")),
        sa.CheckConstraint("number >= 1", name=op.f("ck_reading_edit_changes_something")),
        sa.CheckConstraint(
            "undone_at IS NULL OR applied_at IS NOT NULL", name=op.f("ck_reading_edit_applied_before_undone")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reading_edit")),
    )
    with op.batch_alter_table("reading_edit", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_reading_edit_state_id"), ["state", "id"], unique=False)

    op.create_table(
        "reading_edit_step",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("edit_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "proposed",
                "refused",
                "withdrawn",
                "approved",
                "applied",
                "undo_proposed",
                "undo_approved",
                "undone",
                name="editstate",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("by_user_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("note", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ["edit_id"], ["reading_edit.id"], name=op.f("fk_reading_edit_step_edit_id_reading_edit")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reading_edit_step")),
    )
    with op.batch_alter_table("reading_edit_step", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_reading_edit_step_edit_id_id"), ["edit_id", "id"], unique=False)

    op.create_table(
        "reading_edit_value",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("edit_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("meter_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("point_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("quantity", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("end_at", sa.BigInteger(), nullable=True),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "(meter_id IS NULL) <> (point_id IS NULL)",
            name=op.f("ck_reading_edit_value_of_a_meter_or_a_point"),
        ),
        sa.CheckConstraint(
            "(point_id IS NULL) = (end_at IS NULL)", name=op.f("ck_reading_edit_value_an_interval_ends")
        ),
        sa.ForeignKeyConstraint(
            ["edit_id"], ["reading_edit.id"], name=op.f("fk_reading_edit_value_edit_id_reading_edit")
        ),
        sa.ForeignKeyConstraint(
            ["meter_id"], ["meter.id"], name=op.f("fk_reading_edit_value_meter_id_meter")
        ),
        sa.ForeignKeyConstraint(
            ["point_id"], ["metering_point.id"], name=op.f("fk_reading_edit_value_point_id_metering_point")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reading_edit_value")),
        sa.UniqueConstraint(
            "edit_id",
            "meter_id",
            "quantity",
            "at",
            name=op.f("uq_reading_edit_value_edit_id_meter_id_quantity_at"),
        ),
        sa.UniqueConstraint(
            "edit_id",
            "point_id",
            "quantity",
            "at",
            name=op.f("uq_reading_edit_value_edit_id_point_id_quantity_at"),
        ),
    )
    with op.batch_alter_table("reading_edit_value", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_reading_edit_value_meter_id_edit_id"), ["meter_id", "edit_id"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_reading_edit_value_point_id_edit_id"), ["point_id", "edit_id"], unique=False
        )

    for statement in GUARDS[op.get_bind().dialect.name]:
        op.get_bind().exec_driver_sql(statement)


def downgrade() -> None:
    with op.batch_alter_table("reading_edit_value", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_reading_edit_value_point_id_edit_id"))
        batch_op.drop_index(batch_op.f("ix_reading_edit_value_meter_id_edit_id"))

    op.drop_table("reading_edit_value")
    with op.batch_alter_table("reading_edit_step", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_reading_edit_step_edit_id_id"))

    op.drop_table("reading_edit_step")
    with op.batch_alter_table("reading_edit", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_reading_edit_state_id"))

    op.drop_table("reading_edit")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION reading_edit_append_only()")
