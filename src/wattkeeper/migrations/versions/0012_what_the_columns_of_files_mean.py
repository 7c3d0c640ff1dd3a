"""what the columns of files of readings mean

As it was said at the last import of a file with the same headings.

Revision ID: 0012
Revises: 0011
Create Date: 2026-11-27 08:10:00.000000
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "file_mapping",
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("mapping", sa.Text(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=False),
        sa.Column("used_by", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("fingerprint", name=op.f("pk_file_mapping")),
    )


def downgrade() -> None:
    op.drop_table("file_mapping")
