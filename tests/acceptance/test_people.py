"""`wattkeeper user` and `wattkeeper audit`, with a server on the folder and without."""

import json
import re
import sqlite3


def password_in(text: str) -> str:
    return re.search(r"(?:\w{4}-){3}\w{4}", text).group()


def test_users_are_added_listed_disabled_and_given_passwords(wattkeeper, start):
    added = wattkeeper("user", "add", "Li.Gong", "--name", "李工", "--role", "operator")
    assert added.returncode == 0, added.stderr
    first = password_in(added.stdout)
    server = start("serve", "--port", 0)
    server.url()
    assert "user admin, password" in server.said()  # nobody who could manage users was there yet
    assert wattkeeper("user", "add", "wang", "--name", "Wang", "--role", "clerk").returncode == 0
    second = password_in(wattkeeper("user", "reset-password", "li.gong").stdout)
    assert first != second
    assert wattkeeper("user", "disable", "wang").returncode == 0
    listed = [json.loads(line) for line in wattkeeper("user", "list", "--json").stdout.splitlines()]
    assert [(user["login"], user["role"], user["disabled"]) for user in listed] == [
        ("admin", "administrator", False),
        ("li.gong", "operator", False),
        ("wang", "clerk", True),
    ]


def test_what_cannot_be_is_a_sentence(wattkeeper):
    for arguments, said in (
        (("reset-password", "nobody"), "There is no user nobody"),
        (("add", "x", "--name", "X", "--role", "king"), "no role"),
        (("add", "!", "--name", "X", "--role", "clerk"), "cannot be a user name"),
    ):
        done = wattkeeper("user", *arguments)
        assert done.returncode == 1
        assert said in done.stderr
        assert "Traceback" not in done.stderr


def test_the_audit_is_whole_until_somebody_changes_it_behind_the_products_back(wattkeeper, tmp_path):
    wattkeeper("user", "add", "li.gong", "--name", "Li", "--role", "operator")
    wattkeeper("user", "disable", "li.gong")
    whole = wattkeeper("audit", "verify", "--json")
    assert whole.returncode == 0, whole.stderr
    report = json.loads(whole.stdout)
    assert (report["whole"], report["sealed"], report["unsealed"]) == (True, 2, 0)
    assert wattkeeper("audit", "verify", "--expect", report["head"]).returncode == 0
    with sqlite3.connect(tmp_path / "data" / "ledger.sqlite") as ledger:
        ledger.execute("DROP TRIGGER audit_event_no_update")
        ledger.execute("UPDATE audit_event SET actor_name = 'somebody else' WHERE id = 2")
    broken = wattkeeper("audit", "verify")
    assert broken.returncode == 1
    assert "event 2 (user.disable" in broken.stdout
    assert "was changed" in broken.stdout
