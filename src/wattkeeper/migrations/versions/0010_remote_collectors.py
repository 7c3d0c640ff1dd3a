"""remote collectors, how far each is acknowledged, and the meters they read that nobody has registered

Revision ID: 0010
Revises: 0009
Create Date: 2026-11-27 07:50:00.000000
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    whole = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "remote_collector",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("first_at", sa.BigInteger(), nullable=False),
        sa.Column("last_at", sa.BigInteger(), nullable=False),
        sa.Column("readings", whole, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_remote_collector")),
    )
    op.create_table(
        "remote_run",
        sa.Column("collector_id", sa.String(), nullable=False),
        sa.Column("run", sa.String(), nullable=False),
        sa.Column("acknowledged", whole, nullable=False),
        sa.Column("last_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("acknowledged >= 0", name=op.f("ck_remote_run_not_negative")),
        sa.ForeignKeyConstraint(
            ["collector_id"],
            ["remote_collector.id"],
            name=op.f("fk_remote_run_collector_id_remote_collector"),
        ),
        sa.PrimaryKeyConstraint("collector_id", "run", name=op.f("pk_remote_run")),
    )
    op.create_table(
        "unknown_remote_meter",
        sa.Column("collector_id", sa.String(), nullable=False),
        sa.Column("protocol", sa.String(), nullable=False),
        sa.Column("link", sa.String(), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("first_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["collector_id"],
            ["remote_collector.id"],
            name=op.f("fk_unknown_remote_meter_collector_id_remote_collector"),
        ),
        sa.PrimaryKeyConstraint(
            "collector_id", "protocol", "link", "address", name=op.f("pk_unknown_remote_meter")
        ),
    )


def downgrade() -> None:
    op.drop_table("unknown_remote_meter")
    op.drop_table("remote_run")
    op.drop_table("remote_collector")
