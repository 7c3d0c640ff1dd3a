"""what validation finds, and the dated parameters of its rules

Revision ID: 0008
Revises: 0007
Create Date: 2026-11-27 07:31:00.000000
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _one_of(name: str, *values: str) -> sa.Enum:
    return sa.Enum(*values, name=name, native_enum=False, create_constraint=True, length=32)


def upgrade() -> None:
    op.create_table(
        "validation_finding",
        sa.Column("id", WHOLE, nullable=False),
        sa.Column("code", sa.String(), nullable=False),
        sa.Column("severity", _one_of("severity", "info", "warning", "critical"), nullable=False),
        sa.Column("meter_id", WHOLE, nullable=False),
        sa.Column("point_id", WHOLE, nullable=True),
        sa.Column("quantity", sa.String(), nullable=False),
        sa.Column("start_at", sa.BigInteger(), nullable=False),
        sa.Column("end_at", sa.BigInteger(), nullable=False),
        sa.Column("evidence", sa.Text(), nullable=False),
        sa.Column("ground", sa.String(), nullable=False),
        sa.Column(
            "state",
            _one_of("findingstate", "open", "accepted", "estimated", "edited", "cleared"),
            nullable=False,
        ),
        sa.Column("raised_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("decided_at", sa.BigInteger(), nullable=True),
        sa.Column("decided_by", sa.String(), nullable=True),
        sa.Column("note", sa.String(), nullable=True),
        sa.Column("edit_id", WHOLE, nullable=True),
        sa.CheckConstraint("end_at > start_at", name=op.f("ck_validation_finding_ends_after_start")),
        sa.CheckConstraint(
            "(state IN ('accepted', 'estimated', 'edited')) = (decided_at IS NOT NULL)",
            name=op.f("ck_validation_finding_decided"),
        ),
        sa.CheckConstraint(
            "(decided_at IS NULL) = (decided_by IS NULL)",
            name=op.f("ck_validation_finding_decided_by_somebody"),
        ),
        sa.ForeignKeyConstraint(
            ["meter_id"], ["meter.id"], name=op.f("fk_validation_finding_meter_id_meter")
        ),
        sa.ForeignKeyConstraint(
            ["point_id"], ["metering_point.id"], name=op.f("fk_validation_finding_point_id_metering_point")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_validation_finding")),
        sa.UniqueConstraint(
            "code",
            "meter_id",
            "quantity",
            "start_at",
            name=op.f("uq_validation_finding_code_meter_id_quantity_start_at"),
        ),
    )
    with op.batch_alter_table("validation_finding") as findings:
        for columns in (("state", "start_at", "id"), ("meter_id", "start_at"), ("start_at", "id")):
            findings.create_index(findings.f(f"ix_validation_finding_{'_'.join(columns)}"), list(columns))
    op.create_table(
        "validation_parameter",
        sa.Column("id", WHOLE, nullable=False),
        sa.Column("rule", sa.String(), nullable=False),
        sa.Column("point_kind", sa.String(), nullable=False),
        sa.Column("parameter", sa.String(), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.Column("valid_from", sa.BigInteger(), nullable=False),
        sa.Column("set_at", sa.BigInteger(), nullable=False),
        sa.Column("set_by", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_validation_parameter")),
        sa.UniqueConstraint(
            "rule",
            "point_kind",
            "parameter",
            "valid_from",
            name=op.f("uq_validation_parameter_rule_point_kind_parameter_valid_from"),
        ),
    )


def downgrade() -> None:
    op.drop_table("validation_parameter")
    op.drop_table("validation_finding")
