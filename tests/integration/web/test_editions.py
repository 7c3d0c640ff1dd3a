"""A meter that was found to speak an edition without commands is offered none, and is told apart on its page."""

import re
from html import unescape

import pytest
from sqlalchemy import delete
from tests.integration.web.conftest import NOW

from wattkeeper.collection.commands.errors import BadCommand
from wattkeeper.collection.commands.kinds import CommandKind
from wattkeeper.collection.commands.service import Wanted
from wattkeeper.collection.models import MeterProgress
from wattkeeper.registry.models import Meter

ADDRESS = "000000000103"


@pytest.fixture(params=["dlt645-2007", "dlt645-1997"])
def spoken(request, town):
    """A meter that is registered as one to be asked, and the edition it was found to speak."""
    meter_id = town.meters[ADDRESS]
    with town.database.write() as session:
        session.get_one(Meter, meter_id).protocol = "dlt645"
        session.add(MeterProgress(meter_id=meter_id, speaks=request.param))
    yield request.param
    with town.database.write() as session:
        session.get_one(Meter, meter_id).protocol = "dlt645-2007"
        session.execute(delete(MeterProgress).where(MeterProgress.meter_id == meter_id))


@pytest.fixture
def as_modbus(town):
    meter_id = town.meters[ADDRESS]
    with town.database.write() as session:
        session.get_one(Meter, meter_id).protocol = "modbus-rtu"
    yield
    with town.database.write() as session:
        session.get_one(Meter, meter_id).protocol = "dlt645-2007"


def text_of(page: str) -> str:
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]*>", " ", page)))


def test_the_page_says_which_edition_was_found(town, english, spoken):
    shown = text_of(english.get(f"/meters/{town.meters[ADDRESS]}").text)
    name = {"dlt645-2007": "DL/T 645-2007", "dlt645-1997": "DL/T 645-1997"}[spoken]
    assert f"Protocol {name} found by asking it" in shown
    assert f"{ADDRESS} · {name} ·" in shown


def test_commands_are_offered_where_the_edition_has_them_and_else_it_is_said_why(town, english, spoken):
    card = english.get(f"/meters/{town.meters[ADDRESS]}/control").text
    assert ("/commands/new?meter=" in card) == (spoken == "dlt645-2007")
    assert ("that edition has no commands to a relay" in card) == (spoken == "dlt645-1997")


def test_a_command_to_it_is_refused_before_it_is_asked(town, english, spoken):
    preview = english.post("/commands/new/preview", data={"kind": "trip", "addresses": ADDRESS})
    refused = "Meters of this protocol take no such command" in preview.text
    assert refused == (spoken == "dlt645-1997")
    if refused:
        wanted = Wanted(kind=CommandKind.KEEP_POWER_ON, meter_ids=[town.meters[ADDRESS]], reason="test")
        with pytest.raises(BadCommand, match="dlt645-1997 take no commands"):
            town.commands.ask(wanted, now=NOW)


def test_a_modbus_meter_has_no_relay(town, english, as_modbus):
    card = english.get(f"/meters/{town.meters[ADDRESS]}/control").text
    assert "A register map has no relay" in card
    assert "/commands/new?meter=" not in card
