"""findings, notices and who is told

Revision ID: 0003
Revises: 0002
Create Date: 2026-11-26 11:59:19.839851
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "finding",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("code", sa.String(), nullable=False),
        sa.Column(
            "severity",
            sa.Enum(
                "info",
                "warning",
                "critical",
                name="severity",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column(
            "subject_kind",
            sa.Enum(
                "meter", "link", name="subjectkind", native_enum=False, create_constraint=True, length=32
            ),
            nullable=False,
        ),
        sa.Column("subject_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("raised_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("cleared_at", sa.BigInteger(), nullable=True),
        sa.Column("clear_reason", sa.String(), nullable=True),
        sa.Column("occurrences", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("evidence", sa.Text(), nullable=False),
        sa.Column("acknowledged_at", sa.BigInteger(), nullable=True),
        sa.Column("acknowledged_by", sa.String(), nullable=True),
        sa.Column("acknowledged_note", sa.String(), nullable=True),
        sa.CheckConstraint(
            "(acknowledged_at IS NULL) = (acknowledged_by IS NULL)",
            name=op.f("ck_finding_acknowledged_by_somebody"),
        ),
        sa.CheckConstraint(
            "(cleared_at IS NULL) = (clear_reason IS NULL)", name=op.f("ck_finding_cleared_for_a_reason")
        ),
        sa.CheckConstraint("cleared_at >= raised_at", name=op.f("ck_finding_cleared_later")),
        sa.CheckConstraint("occurrences >= 1", name=op.f("ck_finding_occurred")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_finding")),
    )
    with op.batch_alter_table("finding", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_finding_cleared_at"), ["cleared_at"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_finding_subject_kind_subject_id"), ["subject_kind", "subject_id"], unique=False
        )
        batch_op.create_index(
            "uq_finding_open",
            ["code", "subject_kind", "subject_id"],
            unique=True,
            sqlite_where=sa.text("cleared_at IS NULL"),
            postgresql_where=sa.text("cleared_at IS NULL"),
        )

    op.create_table(
        "notice",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("finding_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column(
            "kind",
            sa.Enum(
                "raised",
                "cleared",
                "test",
                name="noticekind",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("recipient", sa.String(), nullable=False),
        sa.Column(
            "language",
            sa.Enum("zh", "en", name="noticelanguage", native_enum=False, create_constraint=True, length=32),
            nullable=False,
        ),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("message_id", sa.String(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "queued",
                "sent",
                "failed",
                "given_up",
                name="noticestate",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("attempts", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("next_attempt_at", sa.BigInteger(), nullable=True),
        sa.Column("sent_at", sa.BigInteger(), nullable=True),
        sa.Column("proof", sa.String(), nullable=True),
        sa.Column("error", sa.String(), nullable=True),
        sa.CheckConstraint("(kind = 'test') = (finding_id IS NULL)", name=op.f("ck_notice_about_a_finding")),
        sa.CheckConstraint(
            "(state = 'queued') = (next_attempt_at IS NOT NULL)",
            name=op.f("ck_notice_queued_has_a_next_attempt"),
        ),
        sa.CheckConstraint("(state = 'sent') = (proof IS NOT NULL)", name=op.f("ck_notice_sent_has_proof")),
        sa.ForeignKeyConstraint(["finding_id"], ["finding.id"], name=op.f("fk_notice_finding_id_finding")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notice")),
        sa.UniqueConstraint(
            "finding_id",
            "kind",
            "channel",
            "recipient",
            name=op.f("uq_notice_finding_id_kind_channel_recipient"),
        ),
        sa.UniqueConstraint("message_id", name=op.f("uq_notice_message_id")),
    )
    with op.batch_alter_table("notice", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_notice_state_next_attempt_at"), ["state", "next_attempt_at"], unique=False
        )

    op.create_table(
        "notice_recipient",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("email", sa.String(), nullable=False),
        sa.Column(
            "language",
            sa.Enum("zh", "en", name="noticelanguage", native_enum=False, create_constraint=True, length=32),
            nullable=False,
        ),
        sa.Column(
            "minimum_severity",
            sa.Enum(
                "info",
                "warning",
                "critical",
                name="severity",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("site_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("area_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("length(email) BETWEEN 3 AND 254", name=op.f("ck_notice_recipient_email_length")),
        sa.CheckConstraint(
            "site_id IS NULL OR area_id IS NULL", name=op.f("ck_notice_recipient_a_site_or_an_area")
        ),
        sa.ForeignKeyConstraint(["area_id"], ["area.id"], name=op.f("fk_notice_recipient_area_id_area")),
        sa.ForeignKeyConstraint(["site_id"], ["site.id"], name=op.f("fk_notice_recipient_site_id_site")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notice_recipient")),
    )


def downgrade() -> None:
    op.drop_table("notice_recipient")
    with op.batch_alter_table("notice", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_notice_state_next_attempt_at"))

    op.drop_table("notice")
    with op.batch_alter_table("finding", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_finding_open",
            sqlite_where=sa.text("cleared_at IS NULL"),
            postgresql_where=sa.text("cleared_at IS NULL"),
        )
        batch_op.drop_index(batch_op.f("ix_finding_subject_kind_subject_id"))
        batch_op.drop_index(batch_op.f("ix_finding_cleared_at"))

    op.drop_table("finding")
