"""first tables

Revision ID: 0001
Revises:
Create Date: 2026-11-22 18:29:34.418202
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


GUARDS = {
    "sqlite": [
        "CREATE TRIGGER IF NOT EXISTS bill_no_update BEFORE UPDATE ON bill BEGIN SELECT RAISE(ABORT, "
        "'bill is append-only'); END",
        "CREATE TRIGGER IF NOT EXISTS bill_no_delete BEFORE DELETE ON bill BEGIN SELECT RAISE(ABORT, "
        "'bill is append-only'); END",
        "CREATE TRIGGER IF NOT EXISTS bill_line_no_update BEFORE UPDATE ON bill_line BEGIN SELECT "
        "RAISE(ABORT, 'bill_line is append-only'); END",
        "CREATE TRIGGER IF NOT EXISTS bill_line_no_delete BEFORE DELETE ON bill_line BEGIN SELECT "
        "RAISE(ABORT, 'bill_line is append-only'); END",
        "CREATE TRIGGER IF NOT EXISTS ledger_account_no_update BEFORE UPDATE ON ledger_account BEGIN "
        "SELECT RAISE(ABORT, 'ledger_account is append-only'); END",
        "CREATE TRIGGER IF NOT EXISTS ledger_account_no_delete BEFORE DELETE ON ledger_account BEGIN "
        "SELECT RAISE(ABORT, 'ledger_account is append-only'); END",
        "CREATE TRIGGER IF NOT EXISTS ledger_transaction_no_update BEFORE UPDATE ON ledger_transaction "
        "BEGIN SELECT RAISE(ABORT, 'ledger_transaction is append-only'); END",
        "CREATE TRIGGER IF NOT EXISTS ledger_transaction_no_delete BEFORE DELETE ON ledger_transaction "
        "BEGIN SELECT RAISE(ABORT, 'ledger_transaction is append-only'); END",
        "CREATE TRIGGER IF NOT EXISTS posting_no_update BEFORE UPDATE ON posting BEGIN SELECT "
        "RAISE(ABORT, 'posting is append-only'); END",
        "CREATE TRIGGER IF NOT EXISTS posting_no_delete BEFORE DELETE ON posting BEGIN SELECT "
        "RAISE(ABORT, 'posting is append-only'); END",
        "CREATE TRIGGER IF NOT EXISTS payment_no_update BEFORE UPDATE ON payment BEGIN SELECT "
        "RAISE(ABORT, 'payment is append-only'); END",
        "CREATE TRIGGER IF NOT EXISTS payment_no_delete BEFORE DELETE ON payment BEGIN SELECT "
        "RAISE(ABORT, 'payment is append-only'); END",
        "CREATE TRIGGER IF NOT EXISTS bill_is_the_only_live_one BEFORE INSERT ON bill WHEN EXISTS "
        "(SELECT 1 FROM bill b\n"
        " WHERE NEW.cancels_id IS NULL AND b.account_id = NEW.account_id AND b.cancels_id IS NULL\n"
        "   AND b.period_start < NEW.period_end AND NEW.period_start < b.period_end\n"
        "   AND NOT EXISTS (SELECT 1 FROM bill c WHERE c.cancels_id = b.id)) BEGIN SELECT RAISE(ABORT, "
        "'the account has a live bill for this period'); END",
        "CREATE TRIGGER IF NOT EXISTS ledger_transaction_balances BEFORE INSERT ON ledger_transaction "
        "WHEN EXISTS (SELECT 1 FROM (\n"
        "  SELECT count(*) AS entries, coalesce(sum(p.amount), 0) AS balance, count(DISTINCT a.currency) "
        "AS currencies\n"
        "    FROM posting p JOIN ledger_account a ON a.id = p.ledger_account_id WHERE p.transaction_id = "
        "NEW.id\n"
        "  ) t WHERE t.entries < 2 OR t.balance <> 0 OR t.currencies <> 1) BEGIN SELECT RAISE(ABORT, "
        "'postings of a transaction must be two or more of one currency and add up to zero'); END",
        "CREATE TRIGGER IF NOT EXISTS posting_is_not_late BEFORE INSERT ON posting WHEN EXISTS (SELECT 1 "
        "FROM ledger_transaction t WHERE t.id = NEW.transaction_id) BEGIN SELECT RAISE(ABORT, 'the "
        "transaction is sealed and takes no further posting'); END",
        "CREATE TRIGGER IF NOT EXISTS bill_line_is_announced BEFORE INSERT ON bill_line WHEN EXISTS "
        "(SELECT 1 FROM bill b WHERE b.id = NEW.bill_id\n"
        "   AND (NEW.position < 1 OR NEW.position > b.line_count)) BEGIN SELECT RAISE(ABORT, 'the bill "
        "has no such line'); END",
    ],
    "postgresql": [
        "CREATE OR REPLACE FUNCTION billing_append_only() RETURNS trigger LANGUAGE plpgsql AS $$ "
        "BEGIN RAISE EXCEPTION USING MESSAGE = TG_TABLE_NAME || ' is append-only'; END $$",
        "CREATE OR REPLACE TRIGGER bill_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON bill FOR "
        "EACH STATEMENT EXECUTE FUNCTION billing_append_only()",
        "CREATE OR REPLACE TRIGGER bill_line_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON "
        "bill_line FOR EACH STATEMENT EXECUTE FUNCTION billing_append_only()",
        "CREATE OR REPLACE TRIGGER ledger_account_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON "
        "ledger_account FOR EACH STATEMENT EXECUTE FUNCTION billing_append_only()",
        "CREATE OR REPLACE TRIGGER ledger_transaction_append_only BEFORE UPDATE OR DELETE OR "
        "TRUNCATE ON ledger_transaction FOR EACH STATEMENT EXECUTE FUNCTION billing_append_only()",
        "CREATE OR REPLACE TRIGGER posting_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON "
        "posting FOR EACH STATEMENT EXECUTE FUNCTION billing_append_only()",
        "CREATE OR REPLACE TRIGGER payment_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON "
        "payment FOR EACH STATEMENT EXECUTE FUNCTION billing_append_only()",
        "CREATE OR REPLACE FUNCTION bill_is_the_only_live_one() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN PERFORM 1 FROM account WHERE id = NEW.account_id FOR UPDATE; IF EXISTS (SELECT 1 "
        "FROM bill b\n"
        " WHERE NEW.cancels_id IS NULL AND b.account_id = NEW.account_id AND b.cancels_id IS NULL\n"
        "   AND b.period_start < NEW.period_end AND NEW.period_start < b.period_end\n"
        "   AND NOT EXISTS (SELECT 1 FROM bill c WHERE c.cancels_id = b.id)) THEN RAISE EXCEPTION "
        "'the account has a live bill for this period'; END IF; RETURN NEW; END $$",
        "CREATE OR REPLACE TRIGGER bill_is_the_only_live_one BEFORE INSERT ON bill FOR EACH ROW "
        "EXECUTE FUNCTION bill_is_the_only_live_one()",
        "CREATE OR REPLACE FUNCTION ledger_transaction_balances() RETURNS trigger LANGUAGE plpgsql "
        "AS $$ BEGIN IF EXISTS (SELECT 1 FROM (\n"
        "  SELECT count(*) AS entries, coalesce(sum(p.amount), 0) AS balance, count(DISTINCT "
        "a.currency) AS currencies\n"
        "    FROM posting p JOIN ledger_account a ON a.id = p.ledger_account_id WHERE "
        "p.transaction_id = NEW.id\n"
        "  ) t WHERE t.entries < 2 OR t.balance <> 0 OR t.currencies <> 1) THEN RAISE EXCEPTION "
        "'postings of a transaction must be two or more of one currency and add up to zero'; END IF; "
        "RETURN NEW; END $$",
        "CREATE OR REPLACE TRIGGER ledger_transaction_balances BEFORE INSERT ON ledger_transaction "
        "FOR EACH ROW EXECUTE FUNCTION ledger_transaction_balances()",
        "CREATE OR REPLACE FUNCTION posting_is_not_late() RETURNS trigger LANGUAGE plpgsql AS $$ "
        "BEGIN IF EXISTS (SELECT 1 FROM ledger_transaction t WHERE t.id = NEW.transaction_id) THEN "
        "RAISE EXCEPTION 'the transaction is sealed and takes no further posting'; END IF; RETURN "
        "NEW; END $$",
        "CREATE OR REPLACE TRIGGER posting_is_not_late BEFORE INSERT ON posting FOR EACH ROW EXECUTE "
        "FUNCTION posting_is_not_late()",
        "CREATE OR REPLACE FUNCTION bill_line_is_announced() RETURNS trigger LANGUAGE plpgsql AS $$ "
        "BEGIN IF EXISTS (SELECT 1 FROM bill b WHERE b.id = NEW.bill_id\n"
        "   AND (NEW.position < 1 OR NEW.position > b.line_count)) THEN RAISE EXCEPTION 'the bill "
        "has no such line'; END IF; RETURN NEW; END $$",
        "CREATE OR REPLACE TRIGGER bill_line_is_announced BEFORE INSERT ON bill_line FOR EACH ROW "
        "EXECUTE FUNCTION bill_line_is_announced()",
    ],
}


def upgrade() -> None:
    # ### commands auto generated by Alembic - please adjust! ###
    op.create_table(
        "customer",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("code", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("phone", sa.String(), nullable=True),
        sa.Column("email", sa.String(), nullable=True),
        sa.Column("address", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_customer")),
        sa.UniqueConstraint("code", name=op.f("uq_customer_code")),
    )
    with op.batch_alter_table("customer", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_customer_name"), ["name"], unique=False)

    op.create_table(
        "derivation_cursor",
        sa.Column("stream", sa.String(), nullable=False),
        sa.Column("position", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.PrimaryKeyConstraint("stream", name=op.f("pk_derivation_cursor")),
    )
    op.create_table(
        "derived_installation",
        sa.Column(
            "installation_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("point_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("meter_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("valid_from", sa.BigInteger(), nullable=False),
        sa.Column("valid_to", sa.BigInteger(), nullable=True),
        sa.Column("ct_ratio", sa.BigInteger(), nullable=False),
        sa.Column("pt_ratio", sa.BigInteger(), nullable=False),
        sa.Column("first_register", sa.BigInteger(), nullable=False),
        sa.Column("last_register", sa.BigInteger(), nullable=True),
        sa.Column("register_digits", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("register_decimals", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column(
            "shows",
            sa.Enum(
                "primary", "secondary", name="shows", native_enum=False, create_constraint=True, length=32
            ),
            nullable=False,
        ),
        sa.Column("interval_minutes", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("rated_power_kw", sa.BigInteger(), nullable=True),
        sa.Column("zone", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("installation_id", name=op.f("pk_derived_installation")),
    )
    op.create_table(
        "feed_cursor",
        sa.Column("consumer", sa.String(), nullable=False),
        sa.Column("sequence", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.CheckConstraint("sequence >= 0", name=op.f("ck_feed_cursor_not_negative")),
        sa.PrimaryKeyConstraint("consumer", name=op.f("pk_feed_cursor")),
    )
    op.create_table(
        "feed_event",
        sa.Column("sequence", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("topic", sa.String(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_feed_event")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("feed_event", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_feed_event_topic_sequence"), ["topic", "sequence"], unique=False)

    op.create_table(
        "job",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("args", sa.Text(), nullable=False),
        sa.Column("cursor", sa.Text(), nullable=True),
        sa.Column("progress", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("total", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("owner", sa.String(), nullable=True),
        sa.Column("lease_until", sa.BigInteger(), nullable=True),
        sa.Column("attempt", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "queued",
                "running",
                "finished",
                "failed",
                name="jobstate",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("error", sa.String(), nullable=True),
        sa.Column("enqueued_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("(state = 'failed') = (error IS NOT NULL)", name=op.f("ck_job_error_when_failed")),
        sa.CheckConstraint(
            "(state = 'running') = (lease_until IS NOT NULL)", name=op.f("ck_job_leased_while_running")
        ),
        sa.CheckConstraint(
            "(state = 'running') = (owner IS NOT NULL)", name=op.f("ck_job_owned_while_running")
        ),
        sa.CheckConstraint("progress >= 0", name=op.f("ck_job_progress_not_negative")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_job")),
        sa.UniqueConstraint("key", name=op.f("uq_job_key")),
    )
    with op.batch_alter_table("job", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_job_state_kind_id"), ["state", "kind", "id"], unique=False)

    op.create_table(
        "ledger_transaction",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("reference", sa.String(length=80), nullable=False),
        sa.Column("occurred_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "kind IN ('bill', 'cancellation', 'payment')", name=op.f("ck_ledger_transaction_kind")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_transaction")),
    )
    with op.batch_alter_table("ledger_transaction", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_ledger_transaction_occurred_at"), ["occurred_at"], unique=False)

    op.create_table(
        "link",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("code", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("url", sa.String(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_link")),
        sa.UniqueConstraint("code", name=op.f("uq_link_code")),
    )
    op.create_table(
        "reading_plan",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("code", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("quantities", sa.Text(), nullable=False),
        sa.Column("every_seconds", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("offset_seconds", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("jitter_seconds", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("profile", sa.Boolean(), nullable=False),
        sa.Column("all_meters", sa.Boolean(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.CheckConstraint(
            "every_seconds BETWEEN 1 AND 86400", name=op.f("ck_reading_plan_period_within_a_day")
        ),
        sa.CheckConstraint("jitter_seconds >= 0", name=op.f("ck_reading_plan_jitter_not_negative")),
        sa.CheckConstraint("offset_seconds >= 0", name=op.f("ck_reading_plan_offset_not_negative")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reading_plan")),
        sa.UniqueConstraint("code", name=op.f("uq_reading_plan_code")),
    )
    op.create_table(
        "site",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("code", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("zone", sa.String(), nullable=False),
        sa.Column("currency", sa.String(), nullable=False),
        sa.CheckConstraint("length(currency) = 3", name=op.f("ck_site_currency_code")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_site")),
        sa.UniqueConstraint("code", name=op.f("uq_site_code")),
    )
    op.create_table(
        "account",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("customer_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("code", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("address", sa.String(), nullable=True),
        sa.Column(
            "kind",
            sa.Enum(
                "residential",
                "commercial",
                "industrial",
                name="accountkind",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("opened_at", sa.BigInteger(), nullable=False),
        sa.Column("closed_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("closed_at > opened_at", name=op.f("ck_account_closes_after_opening")),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customer.id"], name=op.f("fk_account_customer_id_customer")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_account")),
        sa.UniqueConstraint("code", name=op.f("uq_account_code")),
    )
    with op.batch_alter_table("account", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_account_customer_id"), ["customer_id"], unique=False)

    op.create_table(
        "area",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("site_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("parent_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("code", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "feeder", "area", "box", name="areakind", native_enum=False, create_constraint=True, length=32
            ),
            nullable=False,
        ),
        sa.CheckConstraint("parent_id <> id", name=op.f("ck_area_not_its_own_parent")),
        sa.ForeignKeyConstraint(
            ["parent_id", "site_id"], ["area.id", "area.site_id"], name=op.f("fk_area_parent_id_area")
        ),
        sa.ForeignKeyConstraint(["site_id"], ["site.id"], name=op.f("fk_area_site_id_site")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_area")),
        sa.UniqueConstraint("id", "site_id", name=op.f("uq_area_id_site_id")),
        sa.UniqueConstraint("site_id", "code", name=op.f("uq_area_site_id_code")),
    )
    with op.batch_alter_table("area", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_area_parent_id"), ["parent_id"], unique=False)

    op.create_table(
        "meter",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("protocol", sa.String(), nullable=False),
        sa.Column("link_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("register_digits", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("register_decimals", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column(
            "shows",
            sa.Enum(
                "primary", "secondary", name="shows", native_enum=False, create_constraint=True, length=32
            ),
            nullable=False,
        ),
        sa.Column("max_current_a", sa.BigInteger(), nullable=True),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.CheckConstraint("length(address) BETWEEN 1 AND 64", name=op.f("ck_meter_address_length")),
        sa.CheckConstraint("max_current_a > 0", name=op.f("ck_meter_max_current_positive")),
        sa.CheckConstraint("register_decimals BETWEEN 0 AND 4", name=op.f("ck_meter_register_decimals")),
        sa.CheckConstraint("register_digits BETWEEN 1 AND 12", name=op.f("ck_meter_register_digits")),
        sa.ForeignKeyConstraint(["link_id"], ["link.id"], name=op.f("fk_meter_link_id_link")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_meter")),
        sa.UniqueConstraint("protocol", "address", "link_id", name=op.f("uq_meter_protocol_address_link_id")),
    )
    with op.batch_alter_table("meter", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_meter_address"), ["address"], unique=False)
        batch_op.create_index(batch_op.f("ix_meter_link_id"), ["link_id"], unique=False)

    op.create_table(
        "read_statistic",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("hour", sa.BigInteger(), nullable=False),
        sa.Column("link_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("meter_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("attempts", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("reads", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("first_time", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("succeeded", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("strays", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("no_reply", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("refused", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("unsupported", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("garbled", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("link_down", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.ForeignKeyConstraint(
            ["link_id"], ["link.id"], name=op.f("fk_read_statistic_link_id_link"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_read_statistic")),
        sa.UniqueConstraint(
            "hour", "link_id", "meter_id", name=op.f("uq_read_statistic_hour_link_id_meter_id")
        ),
    )
    with op.batch_alter_table("read_statistic", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_read_statistic_meter_id_hour"), ["meter_id", "hour"], unique=False
        )

    op.create_table(
        "account_tariff",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("account_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("tariff_code", sa.String(length=64), nullable=False),
        sa.Column("basis", sa.String(length=16), nullable=False),
        sa.Column("valid_from", sa.BigInteger(), nullable=False),
        sa.Column("valid_to", sa.BigInteger(), nullable=True),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("basis IN ('intervals', 'registers')", name=op.f("ck_account_tariff_basis")),
        sa.CheckConstraint(
            "valid_to IS NULL OR valid_to > valid_from", name=op.f("ck_account_tariff_period")
        ),
        sa.ForeignKeyConstraint(
            ["account_id"], ["account.id"], name=op.f("fk_account_tariff_account_id_account")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_account_tariff")),
        sa.UniqueConstraint("account_id", "valid_from", name=op.f("uq_account_tariff_account_id_valid_from")),
    )
    with op.batch_alter_table("account_tariff", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_account_tariff_account_id"), ["account_id"], unique=False)
        batch_op.create_index(
            "uq_account_tariff_open",
            ["account_id"],
            unique=True,
            sqlite_where=sa.text("valid_to IS NULL"),
            postgresql_where=sa.text("valid_to IS NULL"),
        )

    op.create_table(
        "bill",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("number", sa.String(length=80), nullable=False),
        sa.Column("account_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("period_start", sa.BigInteger(), nullable=False),
        sa.Column("period_end", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("cancels_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("replaces_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("reason", sa.String(length=500), nullable=True),
        sa.Column("tariff_code", sa.String(length=64), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("energy_kwh", sa.BigInteger(), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("previous_balance", sa.BigInteger(), nullable=False),
        sa.Column("estimated", sa.Boolean(), nullable=False),
        sa.Column("issued_at", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=True),
        sa.Column("transaction_id", sa.String(length=32), nullable=True),
        sa.Column("verification", sa.String(length=32), nullable=False),
        sa.Column("line_count", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("inputs", sa.Text(), nullable=False),
        sa.CheckConstraint("(total = 0) = (transaction_id IS NULL)", name=op.f("ck_bill_posted_unless_zero")),
        sa.CheckConstraint("period_end > period_start", name=op.f("ck_bill_period")),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_bill_account_id_account")),
        sa.ForeignKeyConstraint(["cancels_id"], ["bill.id"], name=op.f("fk_bill_cancels_id_bill")),
        sa.ForeignKeyConstraint(["replaces_id"], ["bill.id"], name=op.f("fk_bill_replaces_id_bill")),
        sa.ForeignKeyConstraint(
            ["transaction_id"],
            ["ledger_transaction.id"],
            name=op.f("fk_bill_transaction_id_ledger_transaction"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bill")),
        sa.UniqueConstraint(
            "account_id", "period_start", "revision", name=op.f("uq_bill_account_id_period_start_revision")
        ),
        sa.UniqueConstraint("cancels_id", name=op.f("uq_bill_cancels_id")),
        sa.UniqueConstraint("number", name=op.f("uq_bill_number")),
        sa.UniqueConstraint("transaction_id", name=op.f("uq_bill_transaction_id")),
    )
    with op.batch_alter_table("bill", schema=None) as batch_op:
        batch_op.create_index("ix_bill_account_period", ["account_id", "period_start"], unique=False)
        batch_op.create_index(batch_op.f("ix_bill_issued_at"), ["issued_at"], unique=False)

    op.create_table(
        "bill_run_exception",
        sa.Column("job_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("account_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("reason", sa.String(length=32), nullable=False),
        sa.Column("message", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["account.id"], name=op.f("fk_bill_run_exception_account_id_account")
        ),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name=op.f("fk_bill_run_exception_job_id_job")),
        sa.PrimaryKeyConstraint("job_id", "account_id", name=op.f("pk_bill_run_exception")),
    )
    op.create_table(
        "ledger_account",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("code", sa.String(length=80), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("account_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.CheckConstraint(
            "kind IN ('receivable', 'revenue', 'cash', 'bank')", name=op.f("ck_ledger_account_kind")
        ),
        sa.ForeignKeyConstraint(
            ["account_id"], ["account.id"], name=op.f("fk_ledger_account_account_id_account")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_account")),
        sa.UniqueConstraint("account_id", "currency", name=op.f("uq_ledger_account_account_id_currency")),
        sa.UniqueConstraint("code", name=op.f("uq_ledger_account_code")),
    )
    op.create_table(
        "meter_progress",
        sa.Column("meter_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("backfilled_until", sa.BigInteger(), nullable=True),
        sa.Column("clock_deviation_ms", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("clock_read_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["meter_id"], ["meter.id"], name=op.f("fk_meter_progress_meter_id_meter"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("meter_id", name=op.f("pk_meter_progress")),
    )
    op.create_table(
        "metering_point",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("site_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("area_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("code", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "household",
                "shop",
                "factory",
                "street_light",
                "office",
                name="pointkind",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("interval_minutes", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("rated_power_kw", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "interval_minutes IN (1, 5, 10, 15, 30, 60)",
            name=op.f("ck_metering_point_interval_divides_the_hour"),
        ),
        sa.CheckConstraint("rated_power_kw > 0", name=op.f("ck_metering_point_rated_power_positive")),
        sa.ForeignKeyConstraint(
            ["area_id", "site_id"], ["area.id", "area.site_id"], name=op.f("fk_metering_point_area_id_area")
        ),
        sa.ForeignKeyConstraint(["site_id"], ["site.id"], name=op.f("fk_metering_point_site_id_site")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_metering_point")),
        sa.UniqueConstraint("code", name=op.f("uq_metering_point_code")),
    )
    with op.batch_alter_table("metering_point", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_metering_point_area_id"), ["area_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_metering_point_site_id"), ["site_id"], unique=False)

    op.create_table(
        "payment",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("receipt", sa.String(length=40), nullable=False),
        sa.Column("idempotency_key", sa.String(length=100), nullable=False),
        sa.Column("account_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("method", sa.String(length=16), nullable=False),
        sa.Column("cashier", sa.String(length=100), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("transaction_id", sa.String(length=32), nullable=False),
        sa.CheckConstraint("method IN ('cash', 'card')", name=op.f("ck_payment_method")),
        sa.CheckConstraint("amount > 0", name=op.f("ck_payment_amount")),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_payment_account_id_account")),
        sa.ForeignKeyConstraint(
            ["transaction_id"],
            ["ledger_transaction.id"],
            name=op.f("fk_payment_transaction_id_ledger_transaction"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payment")),
        sa.UniqueConstraint("idempotency_key", name=op.f("uq_payment_idempotency_key")),
        sa.UniqueConstraint("receipt", name=op.f("uq_payment_receipt")),
        sa.UniqueConstraint("transaction_id", name=op.f("uq_payment_transaction_id")),
    )
    with op.batch_alter_table("payment", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_payment_account_id"), ["account_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_payment_received_at"), ["received_at"], unique=False)

    op.create_table(
        "plan_meter",
        sa.Column("plan_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("meter_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.ForeignKeyConstraint(
            ["meter_id"], ["meter.id"], name=op.f("fk_plan_meter_meter_id_meter"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["plan_id"],
            ["reading_plan.id"],
            name=op.f("fk_plan_meter_plan_id_reading_plan"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("plan_id", "meter_id", name=op.f("pk_plan_meter")),
    )
    with op.batch_alter_table("plan_meter", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_plan_meter_meter_id"), ["meter_id"], unique=False)

    op.create_table(
        "refused_request",
        sa.Column("meter_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("request", sa.String(), nullable=False),
        sa.Column("refused_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["meter_id"], ["meter.id"], name=op.f("fk_refused_request_meter_id_meter"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("meter_id", "request", name=op.f("pk_refused_request")),
    )
    op.create_table(
        "account_point",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("account_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("point_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("valid_from", sa.BigInteger(), nullable=False),
        sa.Column("valid_to", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("valid_to > valid_from", name=op.f("ck_account_point_ends_after_start")),
        sa.ForeignKeyConstraint(
            ["account_id"], ["account.id"], name=op.f("fk_account_point_account_id_account")
        ),
        sa.ForeignKeyConstraint(
            ["point_id"], ["metering_point.id"], name=op.f("fk_account_point_point_id_metering_point")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_account_point")),
        sa.UniqueConstraint("point_id", "valid_from", name=op.f("uq_account_point_point_id_valid_from")),
    )
    with op.batch_alter_table("account_point", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_account_point_account_id"), ["account_id"], unique=False)
        batch_op.create_index(
            "uq_account_point_open",
            ["point_id"],
            unique=True,
            sqlite_where=sa.text("valid_to IS NULL"),
            postgresql_where=sa.text("valid_to IS NULL"),
        )

    op.create_table(
        "bill_line",
        sa.Column("bill_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("position", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("component", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("label_zh", sa.String(length=100), nullable=False),
        sa.Column("label_en", sa.String(length=100), nullable=False),
        sa.Column("period_start", sa.BigInteger(), nullable=False),
        sa.Column("period_end", sa.BigInteger(), nullable=False),
        sa.Column("tier", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("tou", sa.String(length=32), nullable=True),
        sa.Column("tou_zh", sa.String(length=32), nullable=True),
        sa.Column("tou_en", sa.String(length=32), nullable=True),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column("unit", sa.String(length=16), nullable=False),
        sa.Column("price", sa.BigInteger(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("rule_zh", sa.String(length=500), nullable=False),
        sa.Column("rule_en", sa.String(length=500), nullable=False),
        sa.Column("references", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["bill_id"], ["bill.id"], name=op.f("fk_bill_line_bill_id_bill")),
        sa.PrimaryKeyConstraint("bill_id", "position", name=op.f("pk_bill_line")),
    )
    op.create_table(
        "installation",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("point_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("meter_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("valid_from", sa.BigInteger(), nullable=False),
        sa.Column("valid_to", sa.BigInteger(), nullable=True),
        sa.Column("ct_ratio", sa.BigInteger(), nullable=False),
        sa.Column("pt_ratio", sa.BigInteger(), nullable=False),
        sa.Column("first_register", sa.BigInteger(), nullable=False),
        sa.Column("last_register", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("ct_ratio > 0 AND pt_ratio > 0", name=op.f("ck_installation_ratios_positive")),
        sa.CheckConstraint(
            "first_register >= 0 AND last_register >= 0", name=op.f("ck_installation_registers_not_negative")
        ),
        sa.CheckConstraint(
            "last_register IS NULL OR valid_to IS NOT NULL",
            name=op.f("ck_installation_last_register_when_ended"),
        ),
        sa.CheckConstraint("valid_to > valid_from", name=op.f("ck_installation_ends_after_start")),
        sa.ForeignKeyConstraint(["meter_id"], ["meter.id"], name=op.f("fk_installation_meter_id_meter")),
        sa.ForeignKeyConstraint(
            ["point_id"], ["metering_point.id"], name=op.f("fk_installation_point_id_metering_point")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_installation")),
        sa.UniqueConstraint("meter_id", "valid_from", name=op.f("uq_installation_meter_id_valid_from")),
        sa.UniqueConstraint("point_id", "valid_from", name=op.f("uq_installation_point_id_valid_from")),
    )
    with op.batch_alter_table("installation", schema=None) as batch_op:
        batch_op.create_index(
            "uq_installation_open_meter",
            ["meter_id"],
            unique=True,
            sqlite_where=sa.text("valid_to IS NULL"),
            postgresql_where=sa.text("valid_to IS NULL"),
        )
        batch_op.create_index(
            "uq_installation_open_point",
            ["point_id"],
            unique=True,
            sqlite_where=sa.text("valid_to IS NULL"),
            postgresql_where=sa.text("valid_to IS NULL"),
        )

    op.create_table(
        "posting",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("transaction_id", sa.String(length=32), nullable=False),
        sa.Column("ledger_account_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("amount <> 0", name=op.f("ck_posting_amount")),
        sa.ForeignKeyConstraint(
            ["ledger_account_id"],
            ["ledger_account.id"],
            name=op.f("fk_posting_ledger_account_id_ledger_account"),
        ),
        sa.ForeignKeyConstraint(
            ["transaction_id"],
            ["ledger_transaction.id"],
            name=op.f("fk_posting_transaction_id_ledger_transaction"),
            initially="DEFERRED",
            deferrable=True,
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_posting")),
    )
    with op.batch_alter_table("posting", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_posting_ledger_account_id"), ["ledger_account_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_posting_transaction_id"), ["transaction_id"], unique=False)

    # ### end Alembic commands ###

    for statement in GUARDS[op.get_bind().dialect.name]:
        op.get_bind().exec_driver_sql(statement)


def downgrade() -> None:
    # ### commands auto generated by Alembic - please adjust! ###
    with op.batch_alter_table("posting", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_posting_transaction_id"))
        batch_op.drop_index(batch_op.f("ix_posting_ledger_account_id"))

    op.drop_table("posting")
    with op.batch_alter_table("installation", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_installation_open_point",
            sqlite_where=sa.text("valid_to IS NULL"),
            postgresql_where=sa.text("valid_to IS NULL"),
        )
        batch_op.drop_index(
            "uq_installation_open_meter",
            sqlite_where=sa.text("valid_to IS NULL"),
            postgresql_where=sa.text("valid_to IS NULL"),
        )

    op.drop_table("installation")
    op.drop_table("bill_line")
    with op.batch_alter_table("account_point", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_account_point_open",
            sqlite_where=sa.text("valid_to IS NULL"),
            postgresql_where=sa.text("valid_to IS NULL"),
        )
        batch_op.drop_index(batch_op.f("ix_account_point_account_id"))

    op.drop_table("account_point")
    op.drop_table("refused_request")
    with op.batch_alter_table("plan_meter", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_plan_meter_meter_id"))

    op.drop_table("plan_meter")
    with op.batch_alter_table("payment", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_payment_received_at"))
        batch_op.drop_index(batch_op.f("ix_payment_account_id"))

    op.drop_table("payment")
    with op.batch_alter_table("metering_point", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_metering_point_site_id"))
        batch_op.drop_index(batch_op.f("ix_metering_point_area_id"))

    op.drop_table("metering_point")
    op.drop_table("meter_progress")
    op.drop_table("ledger_account")
    op.drop_table("bill_run_exception")
    with op.batch_alter_table("bill", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_bill_issued_at"))
        batch_op.drop_index("ix_bill_account_period")

    op.drop_table("bill")
    with op.batch_alter_table("account_tariff", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_account_tariff_open",
            sqlite_where=sa.text("valid_to IS NULL"),
            postgresql_where=sa.text("valid_to IS NULL"),
        )
        batch_op.drop_index(batch_op.f("ix_account_tariff_account_id"))

    op.drop_table("account_tariff")
    with op.batch_alter_table("read_statistic", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_read_statistic_meter_id_hour"))

    op.drop_table("read_statistic")
    with op.batch_alter_table("meter", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_meter_link_id"))
        batch_op.drop_index(batch_op.f("ix_meter_address"))

    op.drop_table("meter")
    with op.batch_alter_table("area", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_area_parent_id"))

    op.drop_table("area")
    with op.batch_alter_table("account", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_account_customer_id"))

    op.drop_table("account")
    op.drop_table("site")
    op.drop_table("reading_plan")
    op.drop_table("link")
    with op.batch_alter_table("ledger_transaction", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_ledger_transaction_occurred_at"))

    op.drop_table("ledger_transaction")
    with op.batch_alter_table("job", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_job_state_kind_id"))

    op.drop_table("job")
    with op.batch_alter_table("feed_event", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_feed_event_topic_sequence"))

    op.drop_table("feed_event")
    op.drop_table("feed_cursor")
    op.drop_table("derived_installation")
    op.drop_table("derivation_cursor")
    with op.batch_alter_table("customer", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_customer_name"))

    op.drop_table("customer")
    # ### end Alembic commands ###
