"""The audit shows whoever changes it behind the product's back, and leaves nothing out."""

import threading
from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from tests.integration.security.conftest import NOW

from wattkeeper.security import audit
from wattkeeper.security.acting import Actor, ActorKind, acting
from wattkeeper.security.audit import GENESIS, record
from wattkeeper.security.values import AuditReport

KEEPER = Actor(ActorKind.USER, "chief", 1, "203.0.113.9")


def write_down(database, *names: str) -> None:
    for number, name in enumerate(names):
        with acting(KEEPER), database.write() as session:
            record(session, "user.change", now=NOW + timedelta(seconds=number), subject=("user", 7), name=name,
                   before={"name": "老名字"}, after={"name": name, "sites": [1, 2]})  # fmt: skip


@pytest.fixture
def chain(database, security):
    """Five sealed events."""
    write_down(database, "一", "二", "三", "四", "五")
    assert security.seal_audit(NOW) == 5
    return security


def behind_the_triggers(database, *statements: str) -> None:
    """What somebody does who owns the database: remove what guards it, then write."""
    with database.write() as session:
        if database.is_postgresql:
            for table in ("audit_event", "audit_seal"):
                session.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER ALL"))
        else:
            session.execute(text("PRAGMA defer_foreign_keys=ON"))
            for table in ("audit_event", "audit_seal"):
                for verb in ("update", "delete"):
                    session.execute(text(f"DROP TRIGGER {table}_no_{verb}"))
        for statement in statements:
            session.execute(text(statement))


def test_a_whole_chain_verifies_and_names_its_head(chain):
    report = chain.verify_audit()
    assert (report.sealed, report.unsealed, report.problems) == (5, 0, ())
    assert report.head.startswith("5:")
    assert chain.verify_audit(expected=report.head).problems == ()


def test_an_empty_chain_is_whole(security):
    empty = AuditReport(0, 0, f"0:{GENESIS}", ())
    assert security.verify_audit() == empty
    assert security.verify_audit(expected=empty.head) == empty


def test_events_wait_unsealed_until_the_next_round(chain, database):
    write_down(database, "六")
    assert chain.verify_audit().unsealed == 1
    assert (chain.seal_audit(NOW), chain.seal_audit(NOW)) == (1, 0)
    assert chain.verify_audit().sealed == 6


def test_a_long_chain_is_sealed_and_verified_in_batches(security, database, monkeypatch):
    monkeypatch.setattr(audit, "BATCH", 10)
    with database.write() as session:
        for number in range(21):
            record(session, "meter.read_now", now=NOW, subject=("meter", number))
    assert security.seal_audit(NOW) == 21
    assert (security.verify_audit().sealed, security.verify_audit().problems) == (21, ())


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE audit_event SET actor_name = 'somebody else' WHERE id = 3",
        "UPDATE audit_event SET at = at + 1 WHERE id = 3",
        "UPDATE audit_event SET after = NULL WHERE id = 3",
        "UPDATE audit_event SET subject_id = '8' WHERE id = 3",
    ],
)
def test_a_changed_event_is_named(chain, database, change):
    behind_the_triggers(database, change)
    problems = chain.verify_audit().problems
    assert len(problems) == 1
    assert problems[0].startswith("Link 3: event 3 (user.change, 2026-11-22T09:37:07")


def test_a_changed_link_is_named_and_so_is_the_one_that_rests_on_it(chain, database):
    behind_the_triggers(database, f"UPDATE audit_seal SET hash = '{'f' * 64}' WHERE position = 2")
    assert [problem.split(":")[0] for problem in chain.verify_audit().problems] == ["Link 2", "Link 3"]


def test_a_removed_event_is_named(chain, database):
    if database.is_postgresql:
        behind_the_triggers(database, "DELETE FROM audit_event WHERE id = 4")
    else:
        with database._engine.connect() as connection:  # SQLite checks foreign keys unless told not to
            raw = connection.connection.driver_connection
            raw.execute("PRAGMA query_only=OFF")
            raw.execute("PRAGMA foreign_keys=OFF")
            raw.execute("DROP TRIGGER audit_event_no_delete")
            raw.execute("DELETE FROM audit_event WHERE id = 4")
            connection.invalidate()
    assert chain.verify_audit().problems == ("Link 4: event 4 was removed.",)


def test_a_removed_link_leaves_a_hole(chain, database):
    behind_the_triggers(database, "DELETE FROM audit_seal WHERE position = 2")
    report = chain.verify_audit()
    assert report.problems[0] == "Links 2 to 2 of the chain are missing."
    assert report.unsealed == 1


def test_an_event_and_its_link_removed_together_leave_a_hole(chain, database):
    behind_the_triggers(
        database, "DELETE FROM audit_seal WHERE position = 2", "DELETE FROM audit_event WHERE id = 2"
    )
    assert chain.verify_audit().problems[0] == "Links 2 to 2 of the chain are missing."


def test_a_cut_off_end_shows_against_a_head_noted_before(chain, database):
    head = chain.verify_audit().head
    behind_the_triggers(
        database, "DELETE FROM audit_seal WHERE position = 5", "DELETE FROM audit_event WHERE id = 5"
    )
    assert chain.verify_audit().problems == ()
    assert chain.verify_audit(expected=head).problems == (
        f"The chain does not contain the head {head}: its end was cut off, or it was rewritten.",
    )


@pytest.mark.parametrize("table", ["audit_event", "audit_seal"])
@pytest.mark.parametrize("statement", ["UPDATE {} SET {} = {}", "DELETE FROM {}"])
def test_the_database_refuses_to_change_the_audit(chain, database, table, statement):
    column = {"audit_event": "actor_user_id", "audit_seal": "sealed_at"}[table]
    with pytest.raises(DBAPIError, match="append-only"), database.write() as session:
        session.execute(text(statement.format(table, column, column)))


def test_what_is_rolled_back_is_not_in_the_audit(database, security):
    def fail_after_recording() -> None:
        with database.write() as session:
            record(session, "user.create", now=NOW)
            raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        fail_after_recording()
    assert security.audit().rows == ()


def test_an_event_that_commits_after_later_ones_were_sealed_is_sealed_too(database, security):
    if not database.is_postgresql:
        pytest.skip("SQLite has one writer at a time")
    with database.write() as slow:
        record(slow, "user.create", now=NOW, name="slow")
        slow.flush()
        write_down(database, "quick")
        assert security.seal_audit(NOW) == 1
    assert security.seal_audit(NOW) == 1
    assert [row.position for row in security.audit().rows] == [1, 2]
    assert security.verify_audit().problems == ()


def test_writers_and_sealers_at_once_leave_no_hole(database, security):
    writers, each = 4, 12
    stop = threading.Event()

    def write(name: str) -> None:
        for number in range(each):
            write_down(database, f"{name}{number}")

    def seal() -> None:
        while not stop.is_set():
            security.seal_audit(NOW)

    threads = [threading.Thread(target=write, args=(f"w{n}-",)) for n in range(writers)]
    sealers = [threading.Thread(target=seal) for _ in range(2)]
    for thread in threads + sealers:
        thread.start()
    for thread in threads:
        thread.join()
    stop.set()
    for thread in sealers:
        thread.join()
    security.seal_audit(NOW)
    report = security.verify_audit()
    assert (report.sealed, report.unsealed, report.problems) == (writers * each, 0, ())


def test_a_thorough_search_finds_what_a_quick_one_need_not(database, security, monkeypatch):
    monkeypatch.setattr(audit, "LATE", 2)
    write_down(database, "一", "二", "三", "四", "五")
    with (
        database.write() as session
    ):  # a link to the newest only, as if the others had been committed much later
        session.execute(
            text("INSERT INTO audit_seal (position, event_id, hash, sealed_at) VALUES (1, 5, 'x', 0)")
        )
    with database.write() as session:
        assert audit.seal(session, now=NOW, thorough=False) == 1
    with database.write() as session:
        assert audit.seal(session, now=NOW) == 3


def test_the_list_is_filtered_by_who_what_about_what_and_when(database, security):
    write_down(database, "一", "二", "三")
    with database.write() as session:
        record(session, "bill.issue", now=NOW, subject=("bill", 12), actor=Actor(ActorKind.USER, "clerk", 2))
    found = {
        "action": security.audit(action="bill").rows,
        "actor": security.audit(actor="CLER").rows,
        "subject": security.audit(subject=("bill", "12")).rows,
        "kind": security.audit(subject=("user", "")).rows,
        "since": security.audit(since=NOW + timedelta(seconds=2)).rows,
        "until": security.audit(until=NOW + timedelta(seconds=1)).rows,
    }
    assert {name: [row.id for row in rows] for name, rows in found.items()} == {
        "action": [4], "actor": [4], "subject": [4], "kind": [3, 2, 1], "since": [3], "until": [4, 1],
    }  # fmt: skip
    first = security.audit(limit=3)
    assert [row.id for row in first.rows + security.audit(limit=3, after=first.after).rows] == [4, 3, 2, 1]
