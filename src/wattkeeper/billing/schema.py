"""The invariants of money, kept by the database itself: triggers for SQLite and PostgreSQL.

`Base.metadata.create_all` makes them with the tables. A migration does the same by executing each statement of
`guard_statements(dialect_name)` after it has created the tables; they can be executed again without harm.

What they promise, whoever writes:
- bills, lines, postings, transactions and payments are never changed or removed;
- a transaction is accepted only over two or more postings of one currency that add up to zero, and takes no
  further posting; a posting without its transaction cannot be committed (deferred foreign key);
- an account has at most one live bill for any instant, and a bill has no more lines than it says.
"""

from wattkeeper.kernel.append_only import append_only_statements, guarded

APPEND_ONLY = ("bill", "bill_line", "ledger_account", "ledger_transaction", "posting", "payment")

_LIVE_BILL_OVERLAPS = """SELECT 1 FROM bill b
 WHERE NEW.cancels_id IS NULL AND b.account_id = NEW.account_id AND b.cancels_id IS NULL
   AND b.period_start < NEW.period_end AND NEW.period_start < b.period_end
   AND NOT EXISTS (SELECT 1 FROM bill c WHERE c.cancels_id = b.id)"""
_UNBALANCED = """SELECT 1 FROM (
  SELECT count(*) AS entries, coalesce(sum(p.amount), 0) AS balance, count(DISTINCT a.currency) AS currencies
    FROM posting p JOIN ledger_account a ON a.id = p.ledger_account_id WHERE p.transaction_id = NEW.id
  ) t WHERE t.entries < 2 OR t.balance <> 0 OR t.currencies <> 1"""
_SEALED = "SELECT 1 FROM ledger_transaction t WHERE t.id = NEW.transaction_id"
_TOO_MANY_LINES = """SELECT 1 FROM bill b WHERE b.id = NEW.bill_id
   AND (NEW.position < 1 OR NEW.position > b.line_count)"""

#: name, table, the query that must find nothing when a row is added, the message
_CHECKS = (
    ("bill_is_the_only_live_one", "bill", _LIVE_BILL_OVERLAPS, "the account has a live bill for this period"),
    (
        "ledger_transaction_balances",
        "ledger_transaction",
        _UNBALANCED,
        "postings of a transaction must be two or more of one currency and add up to zero",
    ),
    ("posting_is_not_late", "posting", _SEALED, "the transaction is sealed and takes no further posting"),
    ("bill_line_is_announced", "bill_line", _TOO_MANY_LINES, "the bill has no such line"),
)


def guard_statements(dialect_name: str) -> list[str]:
    """The statements that create every trigger, for "sqlite" or "postgresql"."""
    never = append_only_statements(dialect_name, APPEND_ONLY, function="billing_append_only")
    return [*never, *(_sqlite() if dialect_name == "sqlite" else _postgresql())]


def _sqlite() -> list[str]:
    return [
        f"CREATE TRIGGER IF NOT EXISTS {name} BEFORE INSERT ON {table} WHEN EXISTS ({query}) "
        f"BEGIN SELECT RAISE(ABORT, '{message}'); END"
        for name, table, query, message in _CHECKS
    ]


def _postgresql() -> list[str]:
    return [statement for check in _CHECKS for statement in _postgresql_check(*check)]


def _postgresql_check(name: str, table: str, query: str, message: str) -> tuple[str, str]:
    # Two bills of one account at once: the second waits here, and then sees the first.
    lock = "PERFORM 1 FROM account WHERE id = NEW.account_id FOR UPDATE; " if table == "bill" else ""
    body = f"IF EXISTS ({query}) THEN RAISE EXCEPTION '{message}'; END IF; RETURN NEW;"
    return (
        f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {lock}{body} END $$",
        f"CREATE OR REPLACE TRIGGER {name} BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION {name}()",
    )


guarded(APPEND_ONLY, guard_statements)
