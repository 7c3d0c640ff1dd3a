"""commands, how long answers take, windows of plans

Revision ID: 0005
Revises: 0004
Create Date: 2026-11-26 20:41:54.707699
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

GUARDS = {
    "sqlite": [
        "CREATE TRIGGER IF NOT EXISTS command_step_no_update BEFORE UPDATE ON command_step BEGIN SELECT "
        "RAISE(ABORT, 'command_step is append-only'); END",
        "CREATE TRIGGER IF NOT EXISTS command_step_no_delete BEFORE DELETE ON command_step BEGIN SELECT "
        "RAISE(ABORT, 'command_step is append-only'); END",
    ],
    "postgresql": [
        "CREATE OR REPLACE FUNCTION command_append_only() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "RAISE EXCEPTION USING MESSAGE = TG_TABLE_NAME || ' is append-only'; END $$",
        "CREATE OR REPLACE TRIGGER command_step_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON "
        "command_step FOR EACH STATEMENT EXECUTE FUNCTION command_append_only()",
    ],
}


def upgrade() -> None:
    op.create_table(
        "meter_control",
        sa.Column("meter_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("relay_open", sa.Boolean(), nullable=True),
        sa.Column("close_allowed", sa.Boolean(), nullable=True),
        sa.Column("keep_power", sa.Boolean(), nullable=True),
        sa.Column("alarm", sa.Boolean(), nullable=True),
        sa.Column("read_at", sa.BigInteger(), nullable=False),
        sa.Column("exchange_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.ForeignKeyConstraint(
            ["meter_id"], ["meter.id"], name=op.f("fk_meter_control_meter_id_meter"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("meter_id", name=op.f("pk_meter_control")),
    )
    op.create_table(
        "standing_order",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "trip",
                "close_allowed",
                "close",
                "alarm_on",
                "alarm_off",
                "keep_power_on",
                "keep_power_off",
                "set_clock",
                "set_parameter",
                name="commandkind",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("site_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("area_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("daily_cap", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("asked_by", sa.String(), nullable=False),
        sa.Column("asked_by_user_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("approved_by", sa.String(), nullable=True),
        sa.Column("approved_by_user_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("approved_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_by", sa.String(), nullable=True),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "(approved_at IS NULL) = (approved_by IS NULL)",
            name=op.f("ck_standing_order_approved_by_somebody"),
        ),
        sa.CheckConstraint(
            "(ended_at IS NULL) = (ended_by IS NULL)", name=op.f("ck_standing_order_ended_by_somebody")
        ),
        sa.CheckConstraint("daily_cap >= 1", name=op.f("ck_standing_order_cap_positive")),
        sa.CheckConstraint("expires_at > asked_at", name=op.f("ck_standing_order_expires_later")),
        sa.ForeignKeyConstraint(["area_id"], ["area.id"], name=op.f("fk_standing_order_area_id_area")),
        sa.ForeignKeyConstraint(["site_id"], ["site.id"], name=op.f("fk_standing_order_site_id_site")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_standing_order")),
    )
    op.create_table(
        "command_batch",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "trip",
                "close_allowed",
                "close",
                "alarm_on",
                "alarm_off",
                "keep_power_on",
                "keep_power_off",
                "set_clock",
                "set_parameter",
                name="commandkind",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("argument", sa.Text(), nullable=True),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("asked_by", sa.String(), nullable=False),
        sa.Column("asked_by_user_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("standing_order_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column(
            "decision",
            sa.Enum(
                "asked",
                "approved",
                "queued",
                "sending",
                "confirmed",
                "failed",
                "expired",
                "unknown",
                "rejected",
                "withdrawn",
                name="commandstate",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=True,
        ),
        sa.Column("decided_by", sa.String(), nullable=True),
        sa.Column("decided_by_user_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("decided_at", sa.BigInteger(), nullable=True),
        sa.Column("decision_note", sa.String(), nullable=True),
        sa.CheckConstraint(
            "(decided_at IS NULL) = (decision IS NULL)", name=op.f("ck_command_batch_decided_once")
        ),
        sa.CheckConstraint("expires_at > asked_at", name=op.f("ck_command_batch_expires_later")),
        sa.ForeignKeyConstraint(
            ["standing_order_id"],
            ["standing_order.id"],
            name=op.f("fk_command_batch_standing_order_id_standing_order"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_command_batch")),
    )
    with op.batch_alter_table("command_batch", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_command_batch_asked_at"), ["asked_at"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_command_batch_standing_order_id"), ["standing_order_id"], unique=False
        )

    op.create_table(
        "command",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("batch_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("meter_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "asked",
                "approved",
                "queued",
                "sending",
                "confirmed",
                "failed",
                "expired",
                "unknown",
                "rejected",
                "withdrawn",
                name="commandstate",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column(
            "outcome",
            sa.Enum(
                "read_back",
                "already_so",
                "refused",
                "keeps_power",
                "not_shown",
                "no_answer",
                "link_down",
                "server_stopped",
                "no_driver",
                "before_it",
                "too_late",
                "clock_unknown",
                "wants_authentication",
                "no_password",
                name="outcome",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=True,
        ),
        sa.Column("detail", sa.String(), nullable=True),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.Column("sent_at", sa.BigInteger(), nullable=True),
        sa.Column("meter_expires_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("state <> 'expired' OR sent_at IS NULL", name=op.f("ck_command_expired_unsent")),
        sa.CheckConstraint(
            "state NOT IN ('sending', 'unknown') OR sent_at IS NOT NULL",
            name=op.f("ck_command_sent_before_it_may_have_worked"),
        ),
        sa.ForeignKeyConstraint(
            ["batch_id"], ["command_batch.id"], name=op.f("fk_command_batch_id_command_batch")
        ),
        sa.ForeignKeyConstraint(["meter_id"], ["meter.id"], name=op.f("fk_command_meter_id_meter")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_command")),
        sa.UniqueConstraint("batch_id", "meter_id", name=op.f("uq_command_batch_id_meter_id")),
    )
    with op.batch_alter_table("command", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_command_meter_id_id"), ["meter_id", "id"], unique=False)
        batch_op.create_index(batch_op.f("ix_command_state"), ["state"], unique=False)

    op.create_table(
        "command_step",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("command_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "asked",
                "approved",
                "queued",
                "sending",
                "confirmed",
                "failed",
                "expired",
                "unknown",
                "rejected",
                "withdrawn",
                name="commandstate",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column(
            "outcome",
            sa.Enum(
                "read_back",
                "already_so",
                "refused",
                "keeps_power",
                "not_shown",
                "no_answer",
                "link_down",
                "server_stopped",
                "no_driver",
                "before_it",
                "too_late",
                "clock_unknown",
                "wants_authentication",
                "no_password",
                name="outcome",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=True,
        ),
        sa.Column("detail", sa.String(), nullable=True),
        sa.Column("exchange_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.ForeignKeyConstraint(
            ["command_id"], ["command.id"], name=op.f("fk_command_step_command_id_command")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_command_step")),
    )
    with op.batch_alter_table("command_step", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_command_step_command_id_id"), ["command_id", "id"], unique=False)

    with op.batch_alter_table("meter_progress", schema=None) as batch_op:
        batch_op.add_column(sa.Column("speaks", sa.String(), nullable=True))
        batch_op.add_column(sa.Column("quarantined_until", sa.BigInteger(), nullable=True))

    with op.batch_alter_table("read_statistic", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column(
                "answer_ms",
                sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
                server_default="0",
                nullable=False,
            )
        )

    with op.batch_alter_table("reading_plan", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("window_from", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True)
        )
        batch_op.add_column(
            sa.Column("window_until", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True)
        )
        batch_op.create_check_constraint(
            op.f("ck_reading_plan_window_whole"), "(window_from IS NULL) = (window_until IS NULL)"
        )

    for statement in GUARDS[op.get_bind().dialect.name]:
        op.get_bind().exec_driver_sql(statement)


def downgrade() -> None:
    with op.batch_alter_table("reading_plan", schema=None) as batch_op:
        batch_op.drop_constraint(op.f("ck_reading_plan_window_whole"))
        batch_op.drop_column("window_until")
        batch_op.drop_column("window_from")

    with op.batch_alter_table("read_statistic", schema=None) as batch_op:
        batch_op.drop_column("answer_ms")

    with op.batch_alter_table("meter_progress", schema=None) as batch_op:
        batch_op.drop_column("quarantined_until")
        batch_op.drop_column("speaks")

    with op.batch_alter_table("command_step", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_command_step_command_id_id"))

    op.drop_table("command_step")
    with op.batch_alter_table("command", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_command_state"))
        batch_op.drop_index(batch_op.f("ix_command_meter_id_id"))

    op.drop_table("command")
    with op.batch_alter_table("command_batch", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_command_batch_standing_order_id"))
        batch_op.drop_index(batch_op.f("ix_command_batch_asked_at"))

    op.drop_table("command_batch")
    op.drop_table("standing_order")
    op.drop_table("meter_control")
