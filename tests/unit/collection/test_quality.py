"""The driver's quality file says something about each rule, and what it names exists."""

from importlib.resources import files
from pathlib import Path

from ruamel.yaml import YAML

from wattkeeper.collection.drivers import DRIVERS

REPOSITORY = Path(__file__).resolve().parents[3]
QUALITY = YAML(typ="safe").load(
    (files("wattkeeper.collection.drivers") / "dlt645.quality.yaml").read_text(encoding="utf-8")
)


def test_it_is_about_a_driver_there_is():
    assert QUALITY["driver"] in DRIVERS


def test_every_rule_is_done_todo_or_exempt_with_a_comment():
    assert {rule["status"] for rule in QUALITY["rules"].values()} <= {"done", "todo", "exempt"}
    assert all(rule["comment"] for rule in QUALITY["rules"].values())


def test_what_it_was_checked_against_is_a_test_there_is():
    assert QUALITY["checked_against"]
    assert all((REPOSITORY / check["test"]).is_file() for check in QUALITY["checked_against"])
