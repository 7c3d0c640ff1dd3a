"""bills whose readings were corrected after they were issued

Revision ID: 0011
Revises: 0010
Create Date: 2026-11-27 07:58:00.000000
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "bill_touched",
        sa.Column("bill_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("start_at", sa.BigInteger(), nullable=False),
        sa.Column("end_at", sa.BigInteger(), nullable=False),
        sa.Column("heard_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("end_at > start_at", name=op.f("ck_bill_touched_period")),
        sa.ForeignKeyConstraint(["bill_id"], ["bill.id"], name=op.f("fk_bill_touched_bill_id_bill")),
        sa.PrimaryKeyConstraint("bill_id", name=op.f("pk_bill_touched")),
    )


def downgrade() -> None:
    op.drop_table("bill_touched")
