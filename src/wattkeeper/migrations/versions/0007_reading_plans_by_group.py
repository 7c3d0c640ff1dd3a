"""reading plans by group

A plan covered every meter, or those listed. It may now cover what hangs below a site or an area, on a link, or is of a
protocol or model: whatever of these is said. Plans that are there keep the meters they have.

Revision ID: 0007
Revises: 0006
Create Date: 2026-11-27 07:30:00.000000
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

PLACES = ("site", "area", "link")
WORDS = ("protocol", "model")


def upgrade() -> None:
    whole = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    with op.batch_alter_table("reading_plan") as plans:
        plans.add_column(sa.Column("listed", sa.Boolean(), nullable=False, server_default=sa.false()))
        for place in PLACES:
            plans.add_column(sa.Column(f"{place}_id", whole, nullable=True))
            plans.create_foreign_key(
                op.f(f"fk_reading_plan_{place}_id_{place}"), place, [f"{place}_id"], ["id"]
            )
        for word in WORDS:
            plans.add_column(sa.Column(word, sa.String(), nullable=True))
    op.execute("UPDATE reading_plan SET listed = NOT all_meters")
    with op.batch_alter_table("reading_plan") as plans:
        plans.alter_column("listed", server_default=None)
        plans.drop_column("all_meters")
        plans.create_check_constraint(
            op.f("ck_reading_plan_listed_or_fitting"),
            "NOT listed OR (site_id IS NULL AND area_id IS NULL AND link_id IS NULL"
            " AND protocol IS NULL AND model IS NULL)",
        )


def downgrade() -> None:
    with op.batch_alter_table("reading_plan") as plans:
        plans.add_column(sa.Column("all_meters", sa.Boolean(), nullable=False, server_default=sa.true()))
    op.execute("UPDATE reading_plan SET all_meters = NOT listed")
    with op.batch_alter_table("reading_plan") as plans:
        plans.alter_column("all_meters", server_default=None)
        plans.drop_constraint(op.f("ck_reading_plan_listed_or_fitting"), type_="check")
        for place in PLACES:
            plans.drop_constraint(op.f(f"fk_reading_plan_{place}_id_{place}"), type_="foreignkey")
        for column in ("listed", *(f"{place}_id" for place in PLACES), *WORDS):
            plans.drop_column(column)
