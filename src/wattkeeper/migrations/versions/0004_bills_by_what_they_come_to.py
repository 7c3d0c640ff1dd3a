"""bills by what they come to

Whether a bill is paid is added up from all bills of its account. An index that has all it takes is read instead of the
bills themselves, which keep their inputs and are thousands of bytes each.

Revision ID: 0004
Revises: 0003
Create Date: 2026-11-26 13:20:00.000000
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "ix_bill_settling", "bill", ["account_id", "issued_at", "id", "total", "cancels_id"], unique=False
    )
