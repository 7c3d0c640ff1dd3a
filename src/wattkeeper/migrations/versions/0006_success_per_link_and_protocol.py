"""success per link and protocol

Success counts were kept per meter only; a month of a large fleet is then ten million rows to add up. The sums per link
and protocol are kept beside them as they come in. What was counted so far is added up here, by the protocol that each
meter has now; the outages of a link, which stand under no meter, by the protocol of most of its meters.

Revision ID: 0006
Revises: 0005
Create Date: 2026-11-26 21:00:00.000000
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

COUNTED = (
    "attempts",
    "reads",
    "first_time",
    "succeeded",
    "strays",
    "no_reply",
    "refused",
    "unsupported",
    "garbled",
    "link_down",
    "answer_ms",
)


def upgrade() -> None:
    whole = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "link_statistic",
        sa.Column("hour", sa.BigInteger(), nullable=False),
        sa.Column("link_id", whole, nullable=False),
        sa.Column("protocol", sa.String(), nullable=False),
        *(sa.Column(name, whole, nullable=False) for name in COUNTED[:-1]),
        sa.Column(COUNTED[-1], whole, server_default="0", nullable=False),
        sa.ForeignKeyConstraint(
            ["link_id"], ["link.id"], name=op.f("fk_link_statistic_link_id_link"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("hour", "link_id", "protocol", name=op.f("pk_link_statistic")),
    )
    names = ", ".join(COUNTED)
    sums = ", ".join(f"SUM(counted.{name})" for name in COUNTED)
    op.execute(
        f"""
        INSERT INTO link_statistic (hour, link_id, protocol, {names})
        SELECT counted.hour, counted.link_id, COALESCE(meter.protocol, usual.protocol, 'unknown'), {sums}
        FROM read_statistic AS counted
        LEFT JOIN meter ON meter.id = counted.meter_id
        LEFT JOIN (
            SELECT link_id, protocol, ROW_NUMBER() OVER (PARTITION BY link_id ORDER BY COUNT(*) DESC, protocol) AS place
            FROM meter GROUP BY link_id, protocol
        ) AS usual ON usual.link_id = counted.link_id AND usual.place = 1
        GROUP BY 1, 2, 3
        """  # noqa: S608 (names of this module)
    )


def downgrade() -> None:
    op.drop_table("link_statistic")
