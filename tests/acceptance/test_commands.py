"""`wattkeeper command`: what a server's meters are told, from its command line."""

import json

HEADINGS = "Link code,Link URL,Meter address,Point code,Installed at,Account code,Account name"
METERS = f"""{HEADINGS}
north,tcp://127.0.0.1:9,000000000101,P-1,2026-10-01,A-1,Li
north,tcp://127.0.0.1:9,000000000102,P-2,2026-10-01,A-2,Wang
"""


def test_a_command_is_asked_seen_and_taken_back(wattkeeper, start, tmp_path):
    (tmp_path / "meters.csv").write_text(METERS, encoding="utf-8")
    imported = wattkeeper("import", "meters.csv")
    assert imported.returncode == 0, imported.stdout
    start("serve", "--port", 0, WATTKEEPER_METER_PASSWORD="02123456").url()
    asked = wattkeeper("command", "ask", "alarm_on", "101", "000000000102", "--reason", "Debt")
    assert asked.returncode == 0, asked.stderr
    assert "1: alarm_on, 2 " in asked.stdout
    (listed,) = wattkeeper("command", "list", "--json").stdout.splitlines()
    assert (sum(json.loads(listed)["counts"].values()), json.loads(listed)["reason"]) == (2, "Debt")
    taken = wattkeeper("command", "withdraw", 1, "--note", "They paid.")
    assert "2 withdrawn" in taken.stdout
    shown = json.loads(wattkeeper("command", "show", 1, "--json").stdout)
    assert {item["address"]: item["state"] for item in shown["commands"]} == {
        "000000000101": "withdrawn",
        "000000000102": "withdrawn",
    }
    assert shown["decision_note"] == "They paid."
    for arguments, said in (
        (("ask", "trip", "101", "--reason", "Debt"), "This takes two persons"),
        (("ask", "trip", "999", "--reason", "Debt"), "do not name one meter each: 000000000999"),
        (("ask", "alarm_on", "101", "--reason", " "), "A command needs a reason."),
        (("withdraw", 1), "waits any more"),
        (("show", 9), "There is no command batch 9"),
    ):
        done = wattkeeper("command", *arguments)
        assert done.returncode == 1
        assert said in done.stderr
        assert "Traceback" not in done.stderr


def test_without_a_server_nobody_can_be_told_anything(wattkeeper):
    done = wattkeeper("command", "list")
    assert done.returncode == 1
    assert "No server reads the meters" in done.stderr
    assert "wattkeeper serve" in done.stderr
