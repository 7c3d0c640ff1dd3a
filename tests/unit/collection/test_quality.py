"""The driver's quality file says something about each rule, and what it names exists."""

from importlib.resources import files
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from wattkeeper.collection.drivers import DRIVERS

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture(params=["dlt645", "dlt645-1997", "modbus"])
def quality(request):
    """The quality file of a driver."""
    file = files("wattkeeper.collection.drivers") / f"{request.param}.quality.yaml"
    return YAML(typ="safe").load(file.read_text(encoding="utf-8"))


def test_it_is_about_a_driver_there_is(quality):
    assert quality["driver"] in DRIVERS


def test_every_rule_is_done_todo_or_exempt_with_a_comment(quality):
    assert {rule["status"] for rule in quality["rules"].values()} <= {"done", "todo", "exempt"}
    assert all(rule["comment"] for rule in quality["rules"].values())


def test_what_it_was_checked_against_is_a_test_there_is(quality):
    assert quality["checked_against"]
    assert all((REPOSITORY / check["test"]).is_file() for check in quality["checked_against"])
